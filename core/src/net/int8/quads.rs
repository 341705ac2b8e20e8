//! `Conv` in vectors of sixteen channels that sum four products at once. The
//! instruction takes unsigned times signed bytes, so a patch is raised by 128,
//! and what that adds is taken off where sums start: with `u = x + 128`,
//! `sum x (w - z) = sum u w - z sum u + 128 (z K - sum w)`.

use super::Node8;
use super::channels::Channels;
use super::patches::Patches;
use crate::net::arch::Isa;
use crate::net::arch::wide::Quads;
use crate::net::arch::x86::vnni::{Factors, QuadKernel, Vnni};
use zerocopy::FromBytes;

/// Fewest pixels for which laying out the weights pays.
const PIXELS: usize = 8;

/// Bytes of patches that are gathered at once.
const NEAR: usize = 24 << 10;

/// Pixels of the largest tile.
const TILE: usize = 12;

/// Channels of a vector.
const SIXTEEN: usize = 16;

/// Sizes of what lies in scratch.
#[derive(Clone, Copy)]
struct Sizes {
    groups: usize,
    /// Output channels of a group.
    outputs: usize,
    /// Vectors of a group.
    vectors: usize,
    /// Fours of a filter.
    quads: usize,
    /// Patches that are gathered at once.
    batch: usize,
}

impl Sizes {
    fn of(node: &Node8<'_>, channels: &Channels<'_>, pixels: usize) -> Self {
        let quads = channels.filters.len().div_ceil(4).max(1);
        let outputs = channels.filters.outputs.max(1);
        let near = (NEAR / (4 * quads)).next_multiple_of(TILE);
        Self {
            groups: node.output.c / outputs,
            outputs,
            vectors: outputs.div_ceil(SIXTEEN),
            quads,
            batch: near.clamp(TILE, pixels.max(TILE)),
        }
    }

    /// Bytes of all weights as they are laid out.
    const fn weights(&self) -> usize {
        self.groups * self.vectors * self.quads * size_of::<Quads>()
    }
}

/// Bytes of scratch for so many output pixels at once; `None` where this
/// variant does not pay or cannot run.
pub(super) fn scratch_len(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    pixels: usize,
    isa: Isa,
) -> Option<usize> {
    if isa.vnni().is_none() || channels.once || pixels < PIXELS {
        return None;
    }
    let sizes = Sizes::of(node, channels, pixels);
    Some(sizes.weights() + sizes.batch * sizes.quads * 4)
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
    let sizes = Sizes::of(node, channels, pixels);
    let scratch = scratch.get_mut(..bytes)?;
    let (weights, gathered) = scratch.split_at_mut_checked(sizes.weights())?;
    let weights = <[i8]>::mut_from_bytes(weights).ok()?;
    let gathered = <[i8]>::mut_from_bytes(gathered).ok()?;
    let convolution = Convolution {
        node,
        channels,
        patches,
        sizes,
        weights: weights.as_chunks_mut::<4>().0.as_chunks_mut().0,
        gathered,
        out,
    };
    Some(isa.vnni()?.run(convolution))
}

/// The convolution, with room for its weights and patches.
struct Convolution<'a> {
    node: &'a Node8<'a>,
    channels: &'a Channels<'a>,
    patches: &'a Patches<'a>,
    sizes: Sizes,
    weights: &'a mut [Quads],
    gathered: &'a mut [i8],
    out: &'a mut [i8],
}

impl QuadKernel for Convolution<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run(mut self, vnni: Vnni) -> Option<()> {
        let sizes = self.sizes;
        self.lay_out()?;
        let pixels = self.out.len() / self.node.output.c.max(1);
        for group in 0..sizes.groups {
            let inputs = group * self.channels.filters.inputs;
            for first in (0..pixels).step_by(sizes.batch.max(1)) {
                let count = (pixels - first).min(sizes.batch);
                let gathered = self.gathered.get_mut(..count * sizes.quads * 4)?;
                self.patches.gather(first, count, inputs, 4, gathered)?;
                for x in gathered {
                    // Adds 128 to the stored number.
                    *x ^= i8::MIN;
                }
                self.batch(vnni, group, first, count)?;
            }
        }
        Some(())
    }
}

impl Convolution<'_> {
    /// Lays out the weights: for each group and 16 channels `[quad][channel]`,
    /// zeros behind the filters and channels.
    #[inline(always)]
    fn lay_out(&mut self) -> Option<()> {
        let sizes = self.sizes;
        for (i, block) in self
            .weights
            .chunks_exact_mut(sizes.quads.max(1))
            .enumerate()
        {
            let group = i.checked_div(sizes.vectors)?;
            let first = (i - group * sizes.vectors) * SIXTEEN;
            for lane in 0..SIXTEEN {
                let c = first + lane;
                if c >= sizes.outputs {
                    for quads in &mut *block {
                        *quads.get_mut(lane)? = [0; 4];
                    }
                    continue;
                }
                let filter = self.channels.filter(group * sizes.outputs + c)?;
                let (whole, rest) = filter.as_chunks::<4>();
                for (quads, four) in block.iter_mut().zip(whole) {
                    *quads.get_mut(lane)? = *four;
                }
                if let (Some(last), false) = (block.last_mut(), rest.is_empty()) {
                    let mut four = [0; 4];
                    for (four, w) in four.iter_mut().zip(rest) {
                        *four = *w;
                    }
                    *last.get_mut(lane)? = four;
                }
            }
        }
        Some(())
    }

    /// All channels of a group for the gathered patches, of pixels from `first` on.
    #[inline(always)]
    fn batch(&mut self, vnni: Vnni, group: usize, first: usize, count: usize) -> Option<()> {
        let mut vector = 0;
        while vector < self.sizes.vectors {
            if self.sizes.vectors - vector > 1 {
                self.part::<2>(vnni, group, vector, first, count)?;
                vector += 2;
            } else {
                self.part::<1>(vnni, group, vector, first, count)?;
                vector += 1;
            }
        }
        Some(())
    }

    /// `B` vectors of channels.
    #[inline(always)]
    fn part<const B: usize>(
        &mut self,
        vnni: Vnni,
        group: usize,
        vector: usize,
        first: usize,
        count: usize,
    ) -> Option<()> {
        let Sizes {
            quads,
            vectors,
            outputs,
            ..
        } = self.sizes;
        let mut weights: [&[Quads]; B] = [&[]; B];
        let mut factors: [Option<Factors>; B] = [None; B];
        for ((weights, factors), i) in weights.iter_mut().zip(&mut factors).zip(vector..) {
            let from = (group * vectors + i) * quads;
            *weights = self.weights.get(from..)?.get(..quads)?;
            *factors = Some(self.factors(vnni, group, i * SIXTEEN, weights)?);
        }
        let part = Part {
            weights,
            factors,
            zero: self.node.weights_zero_point.into(),
            channel: group * outputs + vector * SIXTEEN,
            live: (outputs - vector * SIXTEEN).min(B * SIXTEEN),
            c: self.node.output.c,
        };
        let gathered = self.gathered.get(..count * quads * 4)?;
        let mut at = 0;
        while at < count {
            let left = count - at;
            let from = (gathered, at);
            let to = (&mut *self.out, first + at);
            at += match left {
                1 => part.tile::<1>(vnni, from, 1, to)?,
                2..=6 => part.tile::<6>(vnni, from, left, to)?,
                _ => part.tile::<TILE>(vnni, from, left.min(TILE), to)?,
            };
        }
        Some(())
    }

    /// Factors of up to 16 channels of a group from `first` on; idle places
    /// repeat the last channel.
    #[inline(always)]
    fn factors(
        &self,
        vnni: Vnni,
        group: usize,
        first: usize,
        weights: &[Quads],
    ) -> Option<Factors> {
        let (node, channels) = (self.node, self.channels);
        let zero = i32::from(node.weights_zero_point);
        // What fills a patch up is raised too.
        let raised = zero.wrapping_mul(4 * self.sizes.quads as i32);
        let [mut bias, mut multiplier, mut shift] = [[0; SIXTEEN]; 3];
        let places = bias.iter_mut().zip(&mut multiplier).zip(&mut shift);
        let sums = vnni.sums(weights);
        for ((((bias, multiplier), shift), sum), lane) in places.zip(sums).zip(0..) {
            let c = group * self.sizes.outputs + (first + lane).min(self.sizes.outputs - 1);
            let taken_off = raised.wrapping_sub(sum).wrapping_mul(128);
            *bias = channels.bias.get(c)?.wrapping_add(taken_off);
            *multiplier = *channels.multiplier.get(c)?;
            *shift = (*channels.shift.get(c)?).into();
        }
        let zero_point = node.output_quant.zero_point.into();
        let range = node.range.map(i32::from);
        Some(vnni.factors(&bias, &multiplier, &shift, zero_point, range))
    }
}

/// Up to `B` times 16 channels.
struct Part<'a, const B: usize> {
    weights: [&'a [Quads]; B],
    factors: [Option<Factors>; B],
    /// Zero point of the weights.
    zero: i32,
    /// First channel, how many there are, and those of a whole pixel.
    channel: usize,
    live: usize,
    c: usize,
}

impl<const B: usize> Part<'_, B> {
    /// `live` pixels, the number of which it gives back; idle places repeat the last.
    #[inline(always)]
    fn tile<const P: usize>(
        &self,
        vnni: Vnni,
        (gathered, at): (&[i8], usize),
        live: usize,
        (out, pixel): (&mut [i8], usize),
    ) -> Option<usize> {
        let [weights, ..] = &self.weights[..] else {
            return None;
        };
        let quads = weights.len();
        let patches = zerocopy::IntoBytes::as_bytes(gathered).as_chunks::<4>().0;
        let mut x: [&[[u8; 4]]; P] = [&[]; P];
        let mut starts = [0_i32; P];
        for (i, (x, start)) in x.iter_mut().zip(&mut starts).enumerate() {
            let patch = at + i.min(live.saturating_sub(1));
            *x = patches.get(patch * quads..)?.get(..quads)?;
            if self.zero != 0 {
                *start = vnni.sum(x).wrapping_mul(self.zero).wrapping_neg();
            }
        }
        let sums = vnni.products(starts, &x, &self.weights);
        for (sums, i) in sums.into_iter().take(live).zip(pixel..) {
            let out = out.get_mut(i * self.c + self.channel..)?;
            let out = out.get_mut(..self.live)?.chunks_mut(SIXTEEN);
            for ((out, sums), factors) in out.zip(sums).zip(&self.factors) {
                let results = vnni.requantise(sums, factors.as_ref()?);
                match out.first_chunk_mut() {
                    Some(whole) => *whole = results,
                    None => {
                        for (out, result) in out.iter_mut().zip(results) {
                            *out = result;
                        }
                    }
                }
            }
        }
        Some(live)
    }
}
