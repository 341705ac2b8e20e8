//! 3x3 depthwise convolutions, four channels at once.
//!
//! What four channels of a tile of output pixels see, its padding included, is
//! copied into words, one a pixel. These are taken apart for each output row:
//! a triplet holds, of one channel at two neighbouring columns, pairs of the
//! first two rows' elements, then the pair of the third row's two elements. So
//! a sum of nine products takes five multiplications.

mod channels;
mod words;

use super::Dsp;
use channels::Channels;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use words::{take_apart, words};

/// Words of a tile.
pub(in crate::net) const WORDS: usize = 160;

/// Triplets of each channel of a tile.
pub(in crate::net) const TRIPLETS: usize = 28;

/// Lines of a tile.
pub(in crate::net) const LINES: usize = 24;

/// Triplets of four channels.
type Four = [[u32; 3]; 4];

/// Which output pixels a tile is about and what they see.
#[derive(Clone, Copy)]
pub(in crate::net) struct View {
    /// Output pixels: rows and columns.
    pub rows: usize,
    pub width: usize,
    /// How far apart what neighbours see is; to the right, 1 or 2.
    pub down: usize,
    pub right: usize,
    /// Channels of input and output.
    pub channels: usize,
    /// Columns before and inside the input.
    pub before: usize,
    pub inside: usize,
    /// Four elements of padding.
    pub padding: u32,
}

impl View {
    /// Triplets that a row of pixels sees.
    pub const fn triplets(&self) -> usize {
        self.width.div_ceil(2) * self.right + 1
    }

    /// Words from line to line.
    pub const fn pitch(&self) -> usize {
        2 * self.triplets()
    }

    /// Lines.
    pub const fn seen(&self) -> usize {
        self.rows.saturating_sub(1) * self.down + 3
    }

    /// Whether a tile may have this view.
    const fn fits(&self) -> bool {
        (self.right == 1 || self.right == 2)
            && self.rows > 0
            && self.width > 0
            && self.rows <= TRIPLETS
            && self.width <= TRIPLETS * 2
            && self.down <= LINES
            && self.seen() <= LINES
            && self.seen() * self.pitch() <= WORDS
            && self.rows * self.triplets() <= TRIPLETS
            && self.before + self.inside <= self.pitch()
    }
}

/// A tile of output pixels, four channels at a time.
pub(in crate::net) struct Tile<'a> {
    view: View,
    /// Where lines inside come from, and at which byte of `words` they lie.
    lines: [(*const i8, usize); LINES],
    /// How many of them there are.
    count: usize,
    words: MaybeUninit<[u32; WORDS]>,
    triplets: MaybeUninit<[Four; TRIPLETS]>,
    from: PhantomData<&'a [i8]>,
}

/// Filters of all channels: nine taps, each with one weight a channel.
#[derive(Clone, Copy)]
pub(in crate::net) struct DepthwiseFilters<'a> {
    pub weights: &'a [i8],
    /// What a weight of 0 is stored as.
    pub zero: i8,
    pub bias: &'a [i32],
    pub multiplier: &'a [i32],
    pub shift: &'a [i8],
    /// Of the output.
    pub zero_point: i8,
}

impl DepthwiseFilters<'_> {
    /// Whether there are so many channels.
    const fn serve(&self, channels: usize) -> bool {
        self.weights.len() / 9 >= channels
            && self.bias.len() >= channels
            && self.multiplier.len() >= channels
            && self.shift.len() >= channels
    }

    /// Weights of four channels, like what is seen of three lines of columns.
    ///
    /// # Safety
    /// The filters serve so many channels, `first + 4` at least. The DSP
    /// extension exists.
    #[inline(always)]
    unsafe fn four(&self, first: usize, channels: usize) -> [Four; 2] {
        // One word more than nine: columns are taken apart by twos.
        let mut nine = MaybeUninit::<[u32; 10]>::uninit();
        let mut taps = MaybeUninit::<[Four; 2]>::uninit();
        // SAFETY: each of nine taps has so many weights. Ten words are two
        // pairs of columns of three lines that are three words apart.
        unsafe {
            let nine = nine.as_mut_ptr().cast::<u32>();
            nine.add(9).write(0);
            words(self.weights.as_ptr().add(first), channels, nine, 9);
            take_apart(nine, 3, taps.as_mut_ptr().cast(), 2);
            taps.assume_init()
        }
    }
}

impl<'a> Tile<'a> {
    pub const fn new() -> Self {
        Self {
            view: View {
                rows: 0,
                width: 0,
                down: 0,
                right: 0,
                channels: 0,
                before: 0,
                inside: 0,
                padding: 0,
            },
            lines: [(core::ptr::null(), 0); LINES],
            count: 0,
            words: MaybeUninit::uninit(),
            triplets: MaybeUninit::uninit(),
            from: PhantomData,
        }
    }

    /// Moves to what `view` says. `line` gives the input from the first column
    /// inside on, all channels, `&[]` where a line is padding. `None` if it
    /// says so or something does not fit.
    pub fn look(
        &mut self,
        view: View,
        mut line: impl FnMut(usize) -> Option<&'a [i8]>,
    ) -> Option<()> {
        // What is not looked at any more must not be used.
        self.view.rows = 0;
        self.count = 0;
        if !view.fits() {
            return None;
        }
        let (pitch, to) = (view.pitch(), self.words.as_mut_ptr().cast::<u32>());
        for row in 0..view.seen() {
            let from = line(row)?;
            let inside = if from.is_empty() { 0 } else { view.inside };
            if inside > 0 {
                if from.len() < inside.checked_mul(view.channels)? {
                    return None;
                }
                let at = row * pitch + view.before;
                *self.lines.get_mut(self.count)? = (from.as_ptr(), 4 * at);
                self.count += 1;
            }
            let behind = if inside > 0 { view.before + inside } else { 0 };
            let before = if inside > 0 { view.before } else { 0 };
            // SAFETY: `fits` says that all `seen` lines of `pitch` words lie
            // in `words` and that `before + inside` is at most `pitch`.
            unsafe {
                let to = to.add(row * pitch);
                for i in (0..before).chain(behind..pitch) {
                    to.add(i).write(view.padding);
                }
            }
        }
        self.view = view;
        Some(())
    }

    /// Makes the channels from `first + skip` to `first + 4` of its pixels, of
    /// which the first begins at `out`'s begin; rows are `row` bytes apart.
    /// Requantised in the short way. `None` if something does not fit.
    pub fn make(
        &mut self,
        dsp: Dsp,
        filters: &DepthwiseFilters<'_>,
        first: usize,
        skip: usize,
        out: &mut [i8],
        row: usize,
    ) -> Option<()> {
        let View {
            rows,
            width,
            channels,
            ..
        } = self.view;
        let last = rows.checked_sub(1)?.checked_mul(row)?;
        let written = last.checked_add(width.checked_mul(channels)?)?;
        let fits =
            first + 4 <= channels && skip < 4 && filters.serve(channels) && out.len() >= written;
        if !fits {
            return None;
        }
        // SAFETY: nine taps have as many weights as channels each, and four of
        // them from `first` on are there. `out` takes all channels of the last
        // pixel.
        unsafe {
            self.take_in(first);
            let taps = filters.four(first, channels);
            let from = first + skip;
            let zero = u32::from(i16::from(filters.zero) as u16);
            let mut arguments = Channels {
                triplets: self.triplets.as_ptr().cast::<[u32; 3]>().add(skip),
                weights: taps.as_ptr().cast::<[u32; 3]>().add(skip),
                bias: filters.bias.as_ptr().add(from),
                multiplier: filters.multiplier.as_ptr().add(from),
                shift: filters.shift.as_ptr().add(from),
                zero: zero << 16 | zero,
                half: 2 * i32::from(filters.zero_point) + 1,
                out: out.as_mut_ptr().add(from),
                row,
                step: channels,
                pairs: width / 2,
                odd: width % 2,
                rows,
                channels: 4 - skip,
                saved: MaybeUninit::uninit(),
            };
            match self.view.right {
                1 => dsp.adjacent(&mut arguments),
                _ => dsp.every_other(&mut arguments),
            }
        }
        Some(())
    }

    /// Copies what four channels see and takes it apart.
    ///
    /// # Safety
    /// `first + 4` is at most the number of channels, and the tile has a view.
    #[inline(always)]
    unsafe fn take_in(&mut self, first: usize) {
        let View {
            rows,
            down,
            channels,
            inside,
            ..
        } = self.view;
        let (pitch, triplets) = (self.view.pitch(), self.view.triplets());
        let to = self.words.as_mut_ptr().cast::<u32>();
        let apart = self.triplets.as_mut_ptr().cast::<Four>();
        // SAFETY: `look` has seen that each line has `inside` pixels of all
        // channels and that everything lies in `words` and `triplets`. What is
        // no pixel it has filled with padding.
        unsafe {
            for &(from, at) in self.lines.get_unchecked(..self.count) {
                words(from.add(first), channels, to.byte_add(at), inside);
            }
            if down == 1 {
                take_apart(to, pitch, apart, rows * triplets);
            } else {
                for row in 0..rows {
                    let to = to.add(row * down * pitch);
                    take_apart(to, pitch, apart.add(row * triplets), triplets);
                }
            }
        }
    }
}
