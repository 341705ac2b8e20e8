//! Buffers: which tensors share one, how many pictures fit, and the bytes that
//! go to and come from the adapter.

use std::collections::HashMap;

use foveola_core::net::model::Model;
use foveola_core::{Score, TensorId, Values};
use half::f16;

use super::device::{Gpu, GpuError};
use super::first::First;
use super::integers;
use super::kernels::{Storage, convolution_weights};
use super::residual::Residuals;
use super::steps::Operand;

/// Most pictures of a batch; a processor that plays adapter gains nothing from many.
const MOST_PICTURES: usize = 256;
const MOST_IN_SOFTWARE: usize = 32;

/// Bytes that the tensors of a batch may take, hardware and software.
const ROOM: u64 = 4 << 30;
const ROOM_IN_SOFTWARE: u64 = 256 << 20;

/// Which buffer holds each tensor, and elements of each buffer for one picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sharing {
    pub of: Vec<Option<usize>>,
    pub sizes: Vec<usize>,
}

/// First and last step of each tensor's life; `None` for constants, for what
/// first layers make themselves, and for what is stored as part of a sum alone.
fn lives(model: &Model<'_>, keep: bool) -> Vec<Option<(usize, usize)>> {
    let end = model.node_count();
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; model.tensor_count()];
    let mut born = |id: TensorId, at: usize| lives[usize::from(id.0)] = Some((at, at));
    born(model.input_id(), 0);
    let nodes = || (0..end).filter_map(|i| Some((i, model.node(i)?)));
    let first = First::where_not_kept(model, keep);
    let residuals = Residuals::where_not_kept(model, &first, keep);
    for (index, node) in nodes() {
        if residuals.done_by(index).is_none() {
            // A sum is there when the convolution that makes it runs.
            born(node.output, residuals.doer(index).unwrap_or(index));
        }
    }
    for (index, node) in nodes() {
        for id in node.inputs() {
            if let Some((_, death)) = &mut lives[usize::from(id.0)] {
                *death = index;
            }
        }
    }
    let scores = [Score::Logit, Score::Probability].map(|s| usize::from(model.score_id(s).0));
    for (id, life) in lives.iter_mut().enumerate() {
        if first.makes(TensorId(id as u16)) {
            *life = None;
        }
        if let Some((_, death)) = life
            && (keep || scores.contains(&id))
        {
            *death = end;
        }
    }
    lives
}

/// Elements of a tensor for one picture; of int8, four make one of 4 bytes.
pub(super) fn elements(model: &Model<'_>, id: TensorId) -> usize {
    let shape = model.shape(id);
    match model.tensor(id).is_some_and(|t| t.quant.is_some()) {
        true => integers::words(shape),
        false => shape.len(),
    }
}

impl Sharing {
    /// Buffers for a forward pass: a tensor takes one that is free when it is
    /// made, the nearest in size. With `keep` each tensor has its own.
    pub fn forward(model: &Model<'_>, keep: bool) -> Self {
        let lives = lives(model, keep);
        let mut sharing = Self {
            of: vec![None; lives.len()],
            sizes: Vec::new(),
        };
        let mut order: Vec<usize> = (0..lives.len()).filter(|i| lives[*i].is_some()).collect();
        order.sort_by_key(|i| lives[*i].map_or(0, |(birth, _)| birth));
        // The last step at which each buffer is in use.
        let mut busy: Vec<usize> = Vec::new();
        for id in order {
            let Some((birth, death)) = lives[id] else {
                continue;
            };
            let size = elements(model, TensorId(id as u16));
            let free = (0..busy.len()).filter(|slot| busy[*slot] < birth);
            let slot = free.min_by_key(|slot| sharing.sizes[*slot].abs_diff(size));
            let slot = slot.unwrap_or_else(|| {
                busy.push(0);
                sharing.sizes.push(0);
                busy.len() - 1
            });
            busy[slot] = death;
            sharing.sizes[slot] = sharing.sizes[slot].max(size);
            sharing.of[id] = Some(slot);
        }
        sharing
    }

    /// A buffer each for the marked tensors.
    pub fn alone(model: &Model<'_>, marked: &[bool]) -> Self {
        let mut sharing = Self::default();
        for (id, marked) in marked.iter().enumerate() {
            sharing.of.push(marked.then_some(sharing.sizes.len()));
            if *marked {
                sharing.sizes.push(model.shape(TensorId(id as u16)).len());
            }
        }
        sharing
    }

    /// Pictures of the largest batch that the adapter takes, at least one.
    ///
    /// # Errors
    /// A tensor of one picture that is larger than a binding.
    pub fn batch(&self, gpu: &Gpu, storage: Storage) -> Result<usize, GpuError> {
        let facts = gpu.facts();
        let bytes = |elements: usize| (elements * storage.size()) as u64;
        let largest = bytes(self.sizes.iter().copied().max().unwrap_or(1)).max(1);
        if largest > facts.binding {
            return Err(GpuError::TooLarge {
                adapter: facts.name.clone(),
                bytes: largest,
                most: facts.binding,
            });
        }
        let (room, most) = match facts.software {
            true => (ROOM_IN_SOFTWARE, MOST_IN_SOFTWARE),
            false => (ROOM, MOST_PICTURES),
        };
        let all = bytes(self.sizes.iter().sum()).max(1);
        let fits = (facts.binding / largest).min(room / all);
        Ok((fits as usize).clamp(1, most))
    }
}

/// Elements as the shaders store them, to a multiple of 4 bytes.
pub(super) fn encode(values: &[f32], storage: Storage) -> Vec<u8> {
    let mut bytes: Vec<u8> = match storage {
        Storage::Full => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Storage::Half => {
            let halves = values.iter().map(|v| f16::from_f32(*v));
            halves.flat_map(|v| v.to_le_bytes()).collect()
        }
    };
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Words as bytes.
pub(super) fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `count` elements as f32.
pub(super) fn decode(bytes: &[u8], storage: Storage, count: usize) -> Vec<f32> {
    match storage {
        Storage::Full => {
            let (words, _) = bytes.as_chunks::<4>();
            words
                .iter()
                .take(count)
                .map(|b| f32::from_le_bytes(*b))
                .collect()
        }
        Storage::Half => {
            let (halves, _) = bytes.as_chunks::<2>();
            let halves = halves.iter().take(count);
            halves.map(|b| f16::from_le_bytes(*b).to_f32()).collect()
        }
    }
}

/// A buffer for a kernel, of at least 16 bytes.
pub(super) fn storage_buffer(gpu: &Gpu, label: &str, bytes: u64) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes.next_multiple_of(16).max(16),
        usage: wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

/// What is uploaded once: weights, biases, constants.
#[derive(Debug)]
pub(super) struct Uploads {
    storage: Storage,
    buffers: HashMap<Operand, wgpu::Buffer>,
}

impl Uploads {
    pub fn new(storage: Storage) -> Self {
        Self {
            storage,
            buffers: HashMap::new(),
        }
    }

    /// The buffer of something that was uploaded.
    pub fn get(&self, operand: Operand) -> Option<&wgpu::Buffer> {
        self.buffers.get(&operand)
    }

    /// Uploads what does not change, if it was not uploaded before.
    ///
    /// # Errors
    /// Weights that are larger than a binding, or than the adapter's memory.
    pub fn add(&mut self, gpu: &Gpu, model: &Model<'_>, operand: Operand) -> Result<(), GpuError> {
        if !self.buffers.contains_key(&operand) {
            let bytes = self.bytes(model, operand);
            let (adapter, have) = (gpu.facts().name.clone(), bytes.len() as u64);
            if have > gpu.facts().binding {
                return Err(GpuError::TooLarge {
                    adapter,
                    bytes: have,
                    most: gpu.facts().binding,
                });
            }
            let buffer = gpu.within_memory(|| storage_buffer(gpu, "weights", have));
            let buffer = buffer.ok_or(GpuError::OutOfMemory {
                adapter,
                wanted: have,
            })?;
            gpu.queue.write_buffer(&buffer, 0, &bytes);
            self.buffers.insert(operand, buffer);
        }
        Ok(())
    }

    fn bytes(&self, model: &Model<'_>, operand: Operand) -> Vec<u8> {
        let node = |index: usize, backward: bool| {
            model.node(index).map_or_else(Vec::new, |view| {
                let input = view.input(0).map(|id| model.shape(id));
                let input = input.unwrap_or(model.shape(view.output));
                convolution_weights(&view, input, model.shape(view.output), backward)
            })
        };
        match operand {
            // Only the matrix products read weights as tensors are stored.
            Operand::Weights(index) => encode(&node(index, false), self.weights(model, index)),
            Operand::Transposed(index) => encode(&node(index, true), self.storage),
            Operand::Bias(index) => {
                let bias = model.node(index).map_or(&[][..], |view| view.bias);
                encode(bias, Storage::Full)
            }
            Operand::Value(id) => match model.tensor(id).and_then(|t| t.constant) {
                Some(Values::Real(values)) => encode(values, self.storage),
                Some(Values::Stored { data, .. }) => {
                    bytes_of(&integers::packed(model.shape(id), data))
                }
                None => Vec::new(),
            },
            Operand::Integers(index) => bytes_of(&integers::numbers(model, index)),
            _ => Vec::new(),
        }
    }

    fn weights(&self, model: &Model<'_>, index: usize) -> Storage {
        use foveola_core::net::op::Op;
        match model.node(index).map(|view| view.op) {
            Some(Op::Conv { .. } | Op::Dense) => self.storage,
            _ => Storage::Full,
        }
    }
}
