//! `Conv` and `Dense`: patches of the input times filters.
//!
//! A patch is what one output pixel sees, in the order of a filter, the zero
//! point where there is padding. The patches of a pointwise convolution lie in
//! the input itself; others are gathered in scratch, as many at once as it
//! holds. Without scratch, plain loops do the same.
//!
//! Source: TFLite `reference/integer_ops/conv.h`, `fully_connected.h`.

use super::channels::Channels;
use super::patches::Patches;
use super::{Node8, Rows8, wide};
use crate::net::arch::Isa;
use crate::net::arch::int8::{IntegerKernel, Integers, Requantise};
use crate::net::op::{Geometry, Op};
use crate::tensor::Shape;
use zerocopy::FromBytes;

/// Output channels that are finished at once.
const BLOCK: usize = 8;

/// Position under tap `k` of output position `o` along an axis of `size`
/// positions; `None` in the padding.
#[inline(always)]
pub(super) fn under(g: Geometry, axis: usize, o: usize, k: usize, size: usize) -> Option<usize> {
    let of = |pair: [u16; 2]| pair.get(axis).map_or(0, |&v| usize::from(v));
    let at = (o * of(g.stride) + k * of(g.dilation)).checked_sub(of(g.pad))?;
    (at < size).then_some(at)
}

/// A `Dense` as a 1x1 convolution of one pixel.
pub(super) fn as_conv<'m>(node: &Node8<'m>) -> (Node8<'m>, Geometry) {
    let one = Geometry {
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        pad: [0; 2],
    };
    match node.op {
        Op::Conv { geometry, .. } => (*node, geometry),
        _ => {
            let input = Shape::new(1, 1, node.input.len());
            let output = Shape::new(1, 1, node.output.len());
            let node = Node8 {
                input,
                output,
                ..*node
            };
            (node, one)
        }
    }
}

/// A whole `Conv` or `Dense`.
pub(super) fn forward(
    node: &Node8<'_>,
    x: &[i8],
    out: &mut [i8],
    scratch: &mut [u8],
    isa: Isa,
) -> Option<()> {
    let (node, geometry) = as_conv(node);
    let rows = Rows8::whole(x, node.input);
    forward_rows(&node, geometry, rows, 0, out, scratch, isa)
}

/// Output rows `y..` of a `Conv`, as many as `out` holds.
pub(super) fn forward_rows(
    node: &Node8<'_>,
    geometry: Geometry,
    source: Rows8<'_>,
    y: usize,
    out: &mut [i8],
    scratch: &mut [u8],
    isa: Isa,
) -> Option<()> {
    let channels = Channels::of(node)?;
    #[cfg(foveola_helium)]
    if let Some(helium) = isa.helium()
        && let Some(convolution) =
            super::helium::Convolution::new(helium, node, &channels, geometry, source, y)
    {
        return convolution.run(out);
    }
    let patches = Patches::new(node, geometry, source, y, channels.filters.inputs);
    #[cfg(foveola_dsp)]
    if let Some(dsp) = isa.dsp()
        && super::dsp::takes(node, &channels)
    {
        return super::dsp::convolve(dsp, node, &channels, &patches, out);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(done) = super::quads::forward(node, &channels, &patches, out, scratch, isa) {
        return done;
    }
    if let Some(done) = wide::forward(node, &channels, &patches, out, scratch, isa) {
        return done;
    }
    let scratch = <[i8]>::mut_from_bytes(scratch).ok()?;
    if !patches.in_place() && scratch.len() < channels.filters.len() {
        return plain(node, &channels, &patches, out);
    }
    isa.run_integers(Convolution {
        node,
        channels,
        patches,
        gathered: scratch,
        out,
    })
}

/// Most patches that vectors gather at once where [`wide`] does not pay.
const PIXELS: usize = 32;

/// Bytes of patches that are read again and again while filters pass by.
const NEAR: usize = 32 << 10;

/// Bytes of scratch for the fastest variant.
pub(super) fn scratch_len(node: &Node8<'_>, isa: Isa) -> usize {
    let Op::Conv { geometry, .. } = node.op else {
        return 0;
    };
    let Some(channels) = Channels::of(node) else {
        return 0;
    };
    let pixels = node.output.area();
    #[cfg(target_arch = "x86_64")]
    if let Some(bytes) = super::quads::scratch_len(node, &channels, pixels, isa) {
        return bytes;
    }
    if let Some(bytes) = wide::scratch_len(node, &channels, pixels, isa) {
        return bytes;
    }
    if Patches::new(node, geometry, Rows8::one(&[]), 0, 0).in_place() {
        return 0;
    }
    let most = if isa.has_vectors() { PIXELS } else { 2 };
    most.min(pixels) * channels.filters.len()
}

/// Every sum from its definition.
fn plain(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    patches: &Patches<'_>,
    out: &mut [i8],
) -> Option<()> {
    for (pixel, out) in out.chunks_exact_mut(node.output.c.max(1)).enumerate() {
        for (c, out) in out.iter_mut().enumerate() {
            let sum = sum(node, channels, patches, pixel, c)?;
            *out = node.store(channels.requantise(c, sum)?);
        }
    }
    Some(())
}

/// The sum of channel `c` of an output pixel, from its definition.
pub(super) fn sum(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    patches: &Patches<'_>,
    pixel: usize,
    c: usize,
) -> Option<i32> {
    let zero = i32::from(node.weights_zero_point);
    let first = c.checked_div(channels.filters.outputs)? * channels.filters.inputs;
    let mut weights = channels
        .filter(c)?
        .chunks_exact(channels.filters.inputs.max(1));
    let mut sum = *channels.bias.get(c)?;
    patches.taps(pixel, first, |x| {
        let weights = weights.next()?.iter().map(|&w| i32::from(w) - zero);
        let padding = i32::from(node.input_quant.zero_point);
        for (i, w) in weights.enumerate() {
            let x = x.and_then(|x| x.get(i)).map_or(padding, |&x| i32::from(x));
            sum = sum.wrapping_add(x * w);
        }
        Some(())
    })?;
    Some(sum)
}

/// A convolution as products of patches and filters.
struct Convolution<'a> {
    node: &'a Node8<'a>,
    channels: Channels<'a>,
    patches: Patches<'a>,
    gathered: &'a mut [i8],
    out: &'a mut [i8],
}

impl IntegerKernel for Convolution<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<I: Integers, const P: usize>(self, integers: I) -> Option<()> {
        let Self {
            node,
            channels,
            patches,
            gathered,
            out,
        } = self;
        let filters = channels.filters;
        let pixels = out.len() / node.output.c.max(1);
        let batch = if patches.in_place() {
            (NEAR / filters.len().max(1)).max(P)
        } else {
            (gathered.len() / filters.len().max(1)).max(1)
        };
        let groups = node.output.c / filters.outputs.max(1);
        for group in 0..groups {
            for first in (0..pixels).step_by(batch.max(1)) {
                let count = (pixels - first).min(batch);
                let gathered = if patches.in_place() {
                    None
                } else {
                    patches.gather(first, count, group * filters.inputs, 1, gathered)?;
                    Some(&*gathered)
                };
                let batch = Batch {
                    first,
                    count,
                    group,
                    patches: &patches,
                    gathered,
                };
                batch.run::<I, P>(integers, node, &channels, out)?;
            }
        }
        Some(())
    }
}

/// Neighbouring pixels whose patches are at hand.
struct Batch<'a> {
    first: usize,
    count: usize,
    group: usize,
    patches: &'a Patches<'a>,
    gathered: Option<&'a [i8]>,
}

impl<'a> Batch<'a> {
    /// Patch of pixel `first + i`.
    #[inline(always)]
    fn patch(&self, i: usize, len: usize) -> Option<&'a [i8]> {
        match self.gathered {
            Some(gathered) => gathered.get(i * len..)?.get(..len),
            None => self.patches.pointed(self.first + i, self.group * len, len),
        }
    }

    /// All channels of the group, block by block.
    #[inline(always)]
    fn run<I: Integers, const P: usize>(
        &self,
        integers: I,
        node: &Node8<'_>,
        channels: &Channels<'_>,
        out: &mut [i8],
    ) -> Option<()> {
        let outputs = channels.filters.outputs;
        for block in (0..outputs).step_by(BLOCK) {
            let first = self.group * outputs + block;
            let block = Block::of(node, channels, first, (outputs - block).min(BLOCK))?;
            let mut done = 0;
            while self.count - done > 1 {
                self.tile::<I, P>(integers, done, &block, out)?;
                done += P.min(self.count - done);
            }
            if done < self.count {
                self.tile::<I, 1>(integers, done, &block, out)?;
            }
        }
        Some(())
    }

    /// One block of channels of up to `P` pixels. Idle places repeat the last one.
    #[inline(always)]
    fn tile<I: Integers, const P: usize>(
        &self,
        integers: I,
        at: usize,
        block: &Block<'_>,
        out: &mut [i8],
    ) -> Option<()> {
        let live = P.min(self.count - at);
        let len = block.channels.filters.len();
        let mut x: [&[i8]; P] = [&[]; P];
        for (i, x) in x.iter_mut().enumerate() {
            *x = self.patch(at + i.min(live - 1), len)?;
        }
        let sums = integers.dots(&x, &block.filters, block.count, block.zero);
        let c = block.node.output.c;
        for (sums, i) in sums.into_iter().take(live).zip(self.first + at..) {
            let out = out.get_mut(i * c + block.first..)?.get_mut(..block.count)?;
            block.finish(integers, sums, out)?;
        }
        Some(())
    }
}

/// Up to 8 channels. Idle places repeat the last one.
struct Block<'a> {
    node: &'a Node8<'a>,
    channels: &'a Channels<'a>,
    first: usize,
    count: usize,
    filters: [&'a [i8]; BLOCK],
    zero: i8,
    by: Requantise,
}

impl<'a> Block<'a> {
    #[inline(always)]
    fn of(
        node: &'a Node8<'a>,
        channels: &'a Channels<'a>,
        first: usize,
        count: usize,
    ) -> Option<Self> {
        let mut filters: [&[i8]; BLOCK] = [&[]; BLOCK];
        for (i, filter) in filters.iter_mut().enumerate() {
            *filter = channels.filter(first + i.min(count.saturating_sub(1)))?;
        }
        Some(Self {
            node,
            channels,
            first,
            count,
            filters,
            zero: node.weights_zero_point,
            by: channels.requantisation(node, first, count)?,
        })
    }

    /// Requantises the sums of one pixel.
    #[inline(always)]
    fn finish<I: Integers>(&self, integers: I, sums: I::Sums, out: &mut [i8]) -> Option<()> {
        if self.channels.once {
            let sums = integers.each(sums);
            for ((out, sum), c) in out.iter_mut().zip(sums).zip(self.first..) {
                let sum = sum.wrapping_add(*self.channels.bias.get(c)?);
                *out = self.node.store(self.channels.requantise(c, sum)?);
            }
            return Some(());
        }
        let results = integers.requantise(sums, &self.by);
        if let Some(whole) = out.first_chunk_mut() {
            *whole = results;
        } else {
            for (out, result) in out.iter_mut().zip(results) {
                *out = result;
            }
        }
        Some(())
    }
}
