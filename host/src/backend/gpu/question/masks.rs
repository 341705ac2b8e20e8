//! Masks as the adapter draws them: a few words each. What many masks share
//! (segments of pixels, ranks, an activation) is sent once a batch.

use foveola_core::mask::{Enlarged, Grid, Sequence, Window};
use foveola_core::{Mask, Masked, Shape};

use super::{Questions, identity, packed};

/// The kinds of masks, as `question.wgsl` knows them.
const KEEP: u32 = 0;
const BOXES: u32 = 1;
const WEIGHTS: u32 = 2;
const BYTES: u32 = 3;
const RANKS: u32 = 4;
const RISE: u32 = 5;
const EVEN: u32 = 6;
const SEGMENT_BITS: u32 = 7;
const SEGMENT_WEIGHTS: u32 = 8;
const ENLARGED: u32 = 9;

/// Spreads of an enlarged channel that the adapter divides by: beyond them it
/// meets subnormal numbers, which count as 0 on some.
const SPREADS: std::ops::Range<f32> = 1e-20..1e20;

/// Shifts of a RISE mask along a side, and cells a pixel, as in `core`.
fn axis(grid: &Grid, side: usize) -> (u32, f32) {
    /// Pixels by which MindSpore's masks are larger than the picture.
    const MARGIN: usize = 10;
    let cells = usize::from(grid.cells);
    let (upsampled, shifts) = match grid.mindspore {
        true => (side + MARGIN, MARGIN + 1),
        false => {
            let cell = side.div_ceil(cells);
            ((cells + 1) * cell, cell)
        }
    };
    (shifts as u32, cells as f32 / upsampled as f32)
}

fn is_weight(weight: &f32) -> bool {
    (0.0..=1.0).contains(weight)
}

impl Questions {
    /// Whether the adapter makes this question, and can weigh its mask by its
    /// scores; nothing is added.
    pub fn weighs(&mut self, x: &Masked<'_>) -> bool {
        let kind = match x.mask {
            Mask::Grid(grid) => matches!(grid.sequence, Sequence::Random),
            Mask::SoftBytes(_) => true,
            Mask::Soft(weights) => weights.iter().all(is_weight),
            _ => false,
        };
        let sound = kind && x.check(self.input).is_ok();
        sound && self.picture(&x.picture).is_some() && self.fill(&x.fill).is_some()
    }

    /// Kind, start, count, reveal, first and end of a mask.
    pub(super) fn mask(&mut self, mask: &Mask<'_>) -> Option<[u32; 6]> {
        let start = self.masks.len() as u32;
        let area = self.input.area();
        match *mask {
            Mask::Keep => Some([KEEP, 0, 0, 0, 0, 0]),
            Mask::Windows {
                boxes,
                extra,
                reveal,
            } => Some(self.boxes(boxes.iter().copied().chain(extra), reveal)),
            Mask::Soft(weights) => {
                let weights = weights.get(..area)?;
                if !weights.iter().all(is_weight) {
                    return None;
                }
                self.masks.extend(weights.iter().map(|w| w.to_bits()));
                Some([WEIGHTS, start, 0, 0, 0, 0])
            }
            Mask::SoftBytes(weights) => {
                self.masks.extend(packed(weights.get(..area)?));
                Some([BYTES, start, 0, 0, 0, 0])
            }
            Mask::Ranked {
                ranks,
                from,
                to,
                reveal,
            } => {
                let ranks = ranks.get(..area)?;
                let start = self.place(identity(ranks), || true, ranks.iter().copied())?;
                Some([RANKS, start, 0, u32::from(reveal), from, to])
            }
            Mask::Grid(grid) => match grid.sequence {
                Sequence::Random => self.rise(&grid, start),
                // Only Philox runs there.
                Sequence::Even(_) => None,
            },
            Mask::Spot(_) => None,
            Mask::Even(weight) => {
                is_weight(&weight).then_some([EVEN, weight.to_bits(), 0, 0, 0, 0])
            }
            Mask::Segments { labels, weights } => self.segments(labels.get(..area)?, weights),
            Mask::Enlarged(channel) => self.enlarged(&channel),
        }
    }

    fn boxes(&mut self, boxes: impl Iterator<Item = Window>, reveal: bool) -> [u32; 6] {
        let (start, mut count) = (self.masks.len() as u32, 0);
        for Window { y, x, c, h, w, d } in boxes.map(|b| b.cut(self.input)) {
            self.masks.extend([y, h, x, w, c, d].map(|n| n as u32));
            count += 1;
        }
        [BOXES, start, count, u32::from(reveal), 0, 0]
    }

    /// One weight a segment: a bit where each is 0 or 1.
    fn segments(&mut self, labels: &[u16], weights: &[f32]) -> Option<[u32; 6]> {
        // A mask begins with the number of its segments: shorter ones than the
        // labels ask for are told apart on the host.
        let pairs = labels.chunks(2).map(|pair| {
            let second = pair.get(1).copied().unwrap_or(0);
            u32::from(pair[0]) | u32::from(second) << 16
        });
        let most = labels.iter().copied().max().map(u32::from);
        let words = most.into_iter().chain(pairs);
        let place = self.place(identity(labels), || true, words)?;
        let most = *self.sources.get(place as usize)? as usize;
        let weights = weights.get(..=most)?;
        let (start, first) = (self.masks.len() as u32, place + 1);
        if weights.iter().all(|w| *w == 0.0 || *w == 1.0) {
            let bit = |(i, weight): (usize, &f32)| u32::from(*weight == 1.0) << i;
            let words = weights.chunks(32);
            self.masks
                .extend(words.map(|word| word.iter().enumerate().map(bit).sum::<u32>()));
            return Some([SEGMENT_BITS, start, 0, 0, first, 0]);
        }
        if !weights.iter().all(is_weight) {
            return None;
        }
        self.masks.extend(weights.iter().map(|w| w.to_bits()));
        Some([SEGMENT_WEIGHTS, start, 0, 0, first, 0])
    }

    /// The record of an enlarged channel; `question.wgsl` says what it holds.
    fn enlarged(&mut self, mask: &Enlarged<'_>) -> Option<[u32; 6]> {
        mask.check().ok()?;
        let [least, spread] = mask.range();
        if spread != 0.0 && !SPREADS.contains(&spread) {
            return None;
        }
        let (values, shape, channel) = mask.channel();
        let values = values.get(..shape.len())?;
        let finite = || values.iter().all(|v| v.is_finite());
        let words = values.iter().map(|v| v.to_bits());
        let first = self.place(identity(values), finite, words)?;
        let start = self.masks.len() as u32;
        let Shape { h, w, c } = shape;
        self.masks.push(first);
        self.masks.extend([h, w, c, channel].map(|n| n as u32));
        let [down, along] = mask.ratios();
        let numbers = [down, along, mask.centre(), least, spread];
        self.masks.extend(numbers.map(f32::to_bits));
        Some([ENLARGED, start, 0, 0, 0, 0])
    }

    /// The record of a RISE mask, which the adapter draws; see `rise.wgsl`.
    fn rise(&mut self, grid: &Grid, start: u32) -> Option<[u32; 6]> {
        grid.check().ok()?;
        let cells = usize::from(grid.cells);
        let (shift_y, ratio_y) = axis(grid, self.input.h);
        let (shift_x, ratio_x) = axis(grid, self.input.w);
        self.masks
            .extend([grid.seed as u32, (grid.seed >> 32) as u32]);
        self.masks
            .extend([grid.sample, u32::from(grid.cells), grid.keep.to_bits()]);
        self.masks
            .extend([shift_y, shift_x, ratio_y.to_bits(), ratio_x.to_bits()]);
        // Its shift and its cells.
        self.masks.extend(std::iter::repeat_n(0, 2 + 2 * cells));
        Some([RISE, start, 0, 0, 0, 0])
    }
}
