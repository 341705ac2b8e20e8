//! Masked pictures on their way to the network's input: described on the host
//! in a few words each, made on the adapter where they are read.

mod masks;

use std::collections::HashMap;

use foveola_core::mask::Fill;
use foveola_core::picture::{MAX_CHANNELS, Normalisation, Picture};
use foveola_core::{Error, Masked, Shape};

use super::device::{Gpu, GpuError};
use super::memory::storage_buffer;

/// Writes a masked picture in model space behind `out`.
///
/// # Errors
/// What [`Masked::check`] and [`Masked::row`] report.
pub(super) fn append(x: &Masked<'_>, input: Shape, out: &mut Vec<f32>) -> Result<(), Error> {
    x.check(input)?;
    let begin = out.len();
    out.resize(begin + input.len(), 0.0);
    let rows = out[begin..].chunks_exact_mut(input.row().max(1));
    let written = rows.enumerate().try_for_each(|(y, row)| x.row(y, row));
    if written.is_err() {
        out.truncate(begin);
    }
    written
}

/// Words of one question; `question.wgsl` says what they are.
const WORDS: usize = 32;

/// Words of pictures after which those of a batch are sent anew.
const MOST_SOURCES: usize = 16 << 20;

/// What tells one source from another while a batch borrows them: where they
/// lie, how many they are, and bytes of one. Nothing that is borrowed changes.
type Identity = (usize, usize, usize);

/// The identity of what is borrowed.
fn identity<T>(data: &[T]) -> Identity {
    (data.as_ptr().addr(), data.len(), size_of::<T>())
}

/// The questions of a round, and the pictures of a batch that they speak of.
#[derive(Debug)]
pub(super) struct Questions {
    input: Shape,
    questions: Vec<u32>,
    masks: Vec<u32>,
    sources: Vec<u32>,
    /// Words of `sources` that the adapter has.
    sent: usize,
    places: HashMap<Identity, Option<u32>>,
}

/// A source as the adapter reads it.
struct Described {
    kind: u32,
    start: u32,
    grey: bool,
    mean: [f32; MAX_CHANNELS],
    scale: [f32; MAX_CHANNELS],
}

impl Described {
    fn words(&self) -> [u32; 12] {
        let mut words = [0; 12];
        words[..3].copy_from_slice(&[self.kind, self.start, u32::from(self.grey)]);
        let numbers = self.mean.iter().chain(&self.scale);
        for (word, number) in words[4..].iter_mut().zip(numbers) {
            *word = number.to_bits();
        }
        words
    }

    const fn tensor(kind: u32, start: u32) -> Self {
        Self {
            kind,
            start,
            grey: false,
            mean: [0.0; MAX_CHANNELS],
            scale: [0.0; MAX_CHANNELS],
        }
    }
}

/// Bytes, four to a word, the first in the lowest bits.
fn packed(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks(4).map(|chunk| {
        let bytes = chunk.iter().rev();
        bytes.fold(0, |word, byte| word << 8 | u32::from(*byte))
    })
}

/// Whether every pixel becomes a finite number.
fn all_finite(normalisation: &Normalisation, channels: usize) -> bool {
    let numbers = normalisation.mean.iter().zip(&normalisation.scale);
    numbers.take(channels).all(|(mean, scale)| {
        let of = |pixel: f32| (pixel - mean) * scale;
        of(0.0).is_finite() && of(255.0).is_finite()
    })
}

impl Questions {
    /// For a new batch of pictures of this shape.
    pub fn of(input: Shape) -> Self {
        Self {
            input,
            questions: Vec::new(),
            masks: Vec::new(),
            sources: Vec::new(),
            sent: 0,
            places: HashMap::new(),
        }
    }

    /// Forgets the round before, and too many pictures.
    pub fn clear(&mut self) {
        self.questions.clear();
        self.masks.clear();
        if self.sources.len() > MOST_SOURCES {
            self.sources.clear();
            self.places.clear();
            self.sent = 0;
        }
    }

    /// Questions of the round.
    pub fn len(&self) -> usize {
        self.questions.len() / WORDS
    }

    /// Adds a question.
    ///
    /// # Errors
    /// What [`Masked::check`] and [`Masked::row`] report.
    pub fn add(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        x.check(self.input)?;
        if !self.described(x) {
            self.made_here(x)?;
        }
        Ok(())
    }

    /// Describes a question; false where something about it may be wrong, which
    /// shows when it is made here.
    fn described(&mut self, x: &Masked<'_>) -> bool {
        let (picture, fill) = (self.picture(&x.picture), self.fill(&x.fill));
        let (Some(picture), Some(fill)) = (picture, fill) else {
            return false;
        };
        let Some(mask) = self.mask(&x.mask) else {
            return false;
        };
        self.push(&picture, &fill, mask);
        true
    }

    fn push(&mut self, picture: &Described, fill: &Described, mask: [u32; 6]) {
        self.questions.extend(picture.words());
        self.questions.extend(fill.words());
        self.questions.extend(mask);
        self.questions.extend([0; 2]);
    }

    /// Makes a question on the host.
    fn made_here(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        let mut values = Vec::new();
        append(x, self.input, &mut values)?;
        let start = self.masks.len() as u32;
        self.masks.extend(values.iter().map(|v| v.to_bits()));
        let tensor = Described::tensor(3, start);
        self.push(&tensor, &tensor, [0; 6]);
        Ok(())
    }

    /// A picture or fill; `None` where one of its numbers may not be finite.
    fn picture(&mut self, picture: &Picture<'_>) -> Option<Described> {
        let len = self.input.len();
        match *picture {
            Picture::Tensor { data, .. } => {
                let data = data.get(..len)?;
                let finite = || data.iter().all(|v| v.is_finite());
                let words = data.iter().map(|v| v.to_bits());
                let start = self.place(identity(data), finite, words)?;
                Some(Described::tensor(1, start))
            }
            Picture::Pixels {
                data,
                normalisation,
                ..
            } => {
                let data = data.get(..len)?;
                if !all_finite(normalisation, self.input.c) {
                    return None;
                }
                let start = self.place(identity(data), || true, packed(data))?;
                Some(Described {
                    kind: 2,
                    start,
                    grey: false,
                    mean: normalisation.mean,
                    scale: normalisation.scale,
                })
            }
        }
    }

    fn fill(&mut self, fill: &Fill<'_>) -> Option<Described> {
        let colour = match fill {
            Fill::Picture(picture) => return self.picture(picture),
            Fill::Colour(colour) => *colour,
        };
        let grey = self.input.c > MAX_CHANNELS;
        let read = if grey { 1 } else { self.input.c };
        let finite = colour.iter().take(read).all(|v| v.is_finite());
        finite.then_some(Described {
            kind: 0,
            start: 0,
            grey,
            mean: colour,
            scale: [0.0; MAX_CHANNELS],
        })
    }

    /// Where a source's words lie; those that are new are put there if `sound`.
    fn place(
        &mut self,
        at: Identity,
        sound: impl FnOnce() -> bool,
        words: impl Iterator<Item = u32>,
    ) -> Option<u32> {
        if let Some(known) = self.places.get(&at) {
            return *known;
        }
        let place = sound().then(|| {
            let start = self.sources.len() as u32;
            self.sources.extend(words);
            start
        });
        self.places.insert(at, place);
        place
    }
}

/// Buffers of the questions on the adapter.
#[derive(Debug)]
pub(super) struct Inbox {
    questions: wgpu::Buffer,
    sources: wgpu::Buffer,
    masks: wgpu::Buffer,
}

impl Inbox {
    /// For `batch` questions; room for pictures and masks grows.
    pub fn new(gpu: &Gpu, batch: usize) -> Self {
        Self {
            questions: storage_buffer(gpu, "questions", (batch * WORDS * 4) as u64),
            sources: storage_buffer(gpu, "pictures", 16),
            masks: storage_buffer(gpu, "masks", 16),
        }
    }

    /// The buffers, in the order that shaders bind them.
    pub const fn buffers(&self) -> [&wgpu::Buffer; 3] {
        [&self.questions, &self.sources, &self.masks]
    }

    /// Sends a round; true if a buffer has grown, so that it must be bound anew.
    ///
    /// # Errors
    /// Masks that are larger than a binding, or than the adapter's memory.
    pub fn send(&mut self, gpu: &Gpu, round: &mut Questions) -> Result<bool, GpuError> {
        write(gpu, &self.questions, 0, &round.questions);
        let masks = grown(gpu, &self.masks, "masks", round.masks.len())?;
        let sources = grown(gpu, &self.sources, "pictures", round.sources.len())?;
        let new = masks.is_some() || sources.is_some();
        self.masks = masks.unwrap_or_else(|| self.masks.clone());
        if let Some(sources) = sources {
            self.sources = sources;
            round.sent = 0;
        }
        write(gpu, &self.masks, 0, &round.masks);
        write(gpu, &self.sources, round.sent, &round.sources[round.sent..]);
        round.sent = round.sources.len();
        Ok(new)
    }
}

/// A larger buffer, if this one does not hold so many words.
fn grown(
    gpu: &Gpu,
    have: &wgpu::Buffer,
    label: &str,
    words: usize,
) -> Result<Option<wgpu::Buffer>, GpuError> {
    let need = (words * 4) as u64;
    if need <= have.size() {
        return Ok(None);
    }
    let (adapter, most) = (gpu.facts().name.clone(), gpu.facts().binding);
    if need > most {
        return Err(GpuError::TooLarge {
            adapter,
            bytes: need,
            most,
        });
    }
    let size = (need + need / 2).min(most);
    let made = gpu.within_memory(|| storage_buffer(gpu, label, size));
    let full = GpuError::OutOfMemory {
        adapter,
        wanted: size,
    };
    made.map(Some).ok_or(full)
}

fn write(gpu: &Gpu, buffer: &wgpu::Buffer, first: usize, words: &[u32]) {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    gpu.queue.write_buffer(buffer, (first * 4) as u64, &bytes);
}
