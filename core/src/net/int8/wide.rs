//! `Conv` where vectors run across channels: weights and patches are widened
//! to i16 in scratch, two products are summed at once, and no sum crosses the
//! lanes. Pays where many pixels share the weights.

use super::Node8;
use super::channels::Channels;
use super::patches::Patches;
use crate::net::arch::Isa;
use crate::net::arch::int8::{IntegerKernel, Integers, Requantise};
use zerocopy::FromBytes;

/// Fewest pixels for which widening the weights pays.
const PIXELS: usize = 32;

/// Bytes of patches that are gathered at once.
const NEAR: usize = 32 << 10;

/// Pixels of a tile.
const TILE: usize = 6;

/// Two neighbouring elements of a patch or filter.
type Pair = [i16; 2];

/// Sizes of widened weights and patches.
#[derive(Clone, Copy)]
struct Sizes {
    groups: usize,
    /// Output channels of a group.
    outputs: usize,
    /// Blocks of 8 channels of a group, an even number.
    blocks: usize,
    /// Pairs of a filter.
    pairs: usize,
    /// Patches that are gathered at once.
    batch: usize,
}

impl Sizes {
    fn of(node: &Node8<'_>, channels: &Channels<'_>, pixels: usize) -> Self {
        let pairs = channels.filters.len().div_ceil(2);
        let outputs = channels.filters.outputs.max(1);
        let near = (NEAR / (size_of::<Pair>() * pairs.max(1))).next_multiple_of(TILE);
        Self {
            groups: node.output.c / outputs,
            outputs,
            blocks: outputs.div_ceil(16) * 2,
            pairs,
            batch: near.min(pixels),
        }
    }

    /// Pairs of all widened weights.
    const fn weights(&self) -> usize {
        self.groups * self.blocks * self.pairs * 8
    }
}

/// Bytes of scratch for so many output pixels at once; `None` where this
/// variant does not pay.
pub(super) fn scratch_len(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    pixels: usize,
    isa: Isa,
) -> Option<usize> {
    if !isa.has_vectors() || channels.once || pixels < PIXELS {
        return None;
    }
    let sizes = Sizes::of(node, channels, pixels);
    Some((sizes.weights() + sizes.batch * sizes.pairs) * size_of::<Pair>())
}

/// Runs the convolution if scratch suffices; `None` if it does not.
pub(super) fn forward(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    patches: &Patches<'_>,
    out: &mut [i8],
    scratch: &mut [u8],
    isa: Isa,
) -> Option<Option<()>> {
    let pixels = out.len() / node.output.c.max(1);
    let bytes = scratch_len(node, channels, pixels, isa)?;
    let pairs = <[Pair]>::mut_from_bytes(scratch.get_mut(..bytes)?).ok()?;
    let sizes = Sizes::of(node, channels, pixels);
    let (weights, gathered) = pairs.split_at_mut_checked(sizes.weights())?;
    let (weights, _) = weights.as_chunks_mut::<8>();
    let widened = widen(node, channels, sizes, weights);
    Some(widened.and_then(|()| {
        isa.run_integers(Wide {
            node,
            channels,
            patches,
            sizes,
            weights,
            gathered,
            out,
        })
    }))
}

/// Writes the weights less their zero point: for each group and block of 8
/// channels `[pair][channel]`.
fn widen(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    sizes: Sizes,
    out: &mut [[Pair; 8]],
) -> Option<()> {
    let zero = i16::from(node.weights_zero_point);
    let less = |w: i8| i16::from(w) - zero;
    for (i, block) in out.chunks_exact_mut(sizes.pairs.max(1)).enumerate() {
        let group = i.checked_div(sizes.blocks)?;
        for lane in 0..8 {
            // Idle lanes repeat the last channel.
            let c = ((i - group * sizes.blocks) * 8 + lane).min(sizes.outputs - 1);
            let (whole, rest) = channels.filter(group * sizes.outputs + c)?.as_chunks::<2>();
            for (pairs, &[a, b]) in block.iter_mut().zip(whole) {
                *pairs.get_mut(lane)? = [less(a), less(b)];
            }
            if let (Some(last), &[a]) = (block.last_mut(), rest) {
                *last.get_mut(lane)? = [less(a), 0];
            }
        }
    }
    Some(())
}

/// The convolution, its weights widened.
struct Wide<'a> {
    node: &'a Node8<'a>,
    channels: &'a Channels<'a>,
    patches: &'a Patches<'a>,
    sizes: Sizes,
    weights: &'a [[Pair; 8]],
    gathered: &'a mut [Pair],
    out: &'a mut [i8],
}

impl IntegerKernel for Wide<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<I: Integers, const P: usize>(self, integers: I) -> Option<()> {
        let Self { sizes, out, .. } = self;
        let pixels = out.len() / self.node.output.c.max(1);
        for group in 0..sizes.groups {
            let inputs = group * self.channels.filters.inputs;
            for first in (0..pixels).step_by(sizes.batch.max(1)) {
                let count = (pixels - first).min(sizes.batch);
                let gathered = self.gathered.get_mut(..count * sizes.pairs)?;
                let flat = gathered.as_flattened_mut();
                self.patches.gather(first, count, inputs, 2, flat)?;
                for block in (0..sizes.outputs).step_by(16) {
                    let part = Part::of(self.node, self.channels, sizes, group, block)?;
                    let weights = self.weights.get(part.weights..)?;
                    part.run(integers, weights, gathered, first, out)?;
                }
            }
        }
        Some(())
    }
}

/// Up to 16 channels.
struct Part {
    pairs: usize,
    /// Channels of a pixel, and which of them these are.
    c: usize,
    first: usize,
    live: usize,
    /// First row of their weights.
    weights: usize,
    by: [Requantise; 2],
}

impl Part {
    #[inline(always)]
    fn of(
        node: &Node8<'_>,
        channels: &Channels<'_>,
        sizes: Sizes,
        group: usize,
        block: usize,
    ) -> Option<Self> {
        let first = group * sizes.outputs + block;
        let live = (sizes.outputs - block).min(16);
        let (low, high) = (live.min(8), live.saturating_sub(8));
        let second = if high > 0 { first + 8 } else { first };
        Some(Self {
            pairs: sizes.pairs,
            c: node.output.c,
            first,
            live,
            weights: (group * sizes.blocks + block / 8) * sizes.pairs,
            by: [
                channels.requantisation(node, first, low)?,
                channels.requantisation(node, second, high)?,
            ],
        })
    }

    /// All gathered pixels, of which the first is `pixel`.
    #[inline(always)]
    fn run<I: Integers>(
        &self,
        integers: I,
        weights: &[[Pair; 8]],
        gathered: &[Pair],
        pixel: usize,
        out: &mut [i8],
    ) -> Option<()> {
        let low = weights.get(..self.pairs)?;
        let high = weights.get(self.pairs..)?.get(..self.pairs)?;
        let count = gathered.len() / self.pairs.max(1);
        let mut done = 0;
        while done < count {
            let left = count - done;
            let from = (gathered, done);
            let to = (&mut *out, pixel + done);
            if left > 2 {
                self.tile::<I, TILE>(integers, [low, high], from, left.min(TILE), to)?;
                done += left.min(TILE);
            } else {
                self.tile::<I, 1>(integers, [low, high], from, 1, to)?;
                done += 1;
            }
        }
        Some(())
    }

    /// Up to `P` pixels; idle places repeat the last one.
    #[inline(always)]
    fn tile<I: Integers, const P: usize>(
        &self,
        integers: I,
        weights: [&[[Pair; 8]]; 2],
        (gathered, at): (&[Pair], usize),
        live: usize,
        (out, pixel): (&mut [i8], usize),
    ) -> Option<()> {
        let mut x: [&[Pair]; P] = [&[]; P];
        for (i, x) in x.iter_mut().enumerate() {
            let patch = at + i.min(live.saturating_sub(1));
            *x = gathered.get(patch * self.pairs..)?.get(..self.pairs)?;
        }
        let sums = integers.wide(&x, weights);
        let [by_low, by_high] = &self.by;
        for ([low, high], i) in sums.into_iter().take(live).zip(pixel..) {
            let out = out
                .get_mut(i * self.c + self.first..)?
                .get_mut(..self.live)?;
            let low = integers.requantise(low, by_low);
            let high = integers.requantise(high, by_high);
            if let (halves, []) = out.as_chunks_mut::<8>() {
                for (half, result) in halves.iter_mut().zip([low, high]) {
                    *half = result;
                }
                continue;
            }
            for (out, result) in out.iter_mut().zip(low.into_iter().chain(high)) {
                *out = result;
            }
        }
        Some(())
    }
}
