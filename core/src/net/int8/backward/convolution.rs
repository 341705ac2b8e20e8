//! Gradients of `Conv`, `Depthwise` and `Dense`.
//!
//! A weight is the real number (stored - zero point) * scale, where the scale
//! is that of its channel in steps of the input and output; then all is as in
//! f32: each product is rounded, sums run over kernel row, kernel column and
//! output channel from 0 and are then added. Products with a gradient of 0 may
//! be left out: weights are finite, and a sum that starts from +0 is never -0,
//! so adding +0 or -0 to it changes nothing.
//!
//! With scratch, weights are written out in f32: all of them for the kernels
//! with vectors, else those of a few input channels at a time ([`outer`]).
//! Without, they are read as they lie.

use zerocopy::FromBytes;

use super::{depthwise, outer};
use crate::error::Error;
use crate::net::arch::Isa;
use crate::net::arch::products::{self, Stored};
use crate::net::int8::Node8;
use crate::net::int8::channels::Channels;
use crate::net::int8::conv::as_conv;
use crate::net::op::{Geometry, Op};
use crate::net::ops::conv_backward::{Part, Sizes};
use crate::net::ops::packing::LANES;
use crate::net::ops::spans::Axis;
use crate::net::ops::tile::{Region, Spot, Walk};
use crate::net::ops::walk::Window;
use crate::net::ops::{self, Rows, depthwise as depthwise_f32};
use crate::tensor::Shape;

/// Adds the input gradient, or a row of it.
pub(in crate::net::int8) fn backward(
    node: &Node8<'_>,
    part: Part<'_>,
    grad_in: &mut [f32],
    scratch: &mut [u8],
    isa: Isa,
) -> Result<(), Error> {
    let weights = floats(node, scratch, isa);
    if let Op::Depthwise { geometry } = node.op {
        return match weights {
            Some(weights) => depthwise_widened(node, geometry, part, grad_in, weights, isa),
            None => depthwise_in_place(node, geometry, part, grad_in).ok_or(Error::Internal),
        };
    }
    let (node, _) = as_conv(node);
    let conv = Conv::of(&node, part).ok_or(Error::Internal)?;
    match weights {
        Some(weights) if isa.has_vectors() => {
            conv.widen(weights).ok_or(Error::Internal)?;
            conv.sizes.backward(weights, conv.source, grad_in, isa)
        }
        Some(weights) if conv.window().is_walked() => {
            outer::add(&conv, grad_in, weights).ok_or(Error::Internal)
        }
        _ => conv.add(grad_in).ok_or(Error::Internal),
    }
}

/// f32 elements of the weights that are written out at a time; 0 where so few
/// pixels share them that it does not pay.
fn weights_len(op: Op, input: Shape, output: Shape, vectors: bool) -> usize {
    // Weights of a `Depthwise` are few.
    let few = match op {
        Op::Depthwise { .. } => 1,
        _ if vectors => 2,
        _ => 9,
    };
    match op {
        _ if output.area() <= few => 0,
        Op::Depthwise { .. } => super::super::packing::packed_len(op, input, output),
        op => Sizes::of(op, input, output).map_or(0, |sizes| match vectors {
            true => sizes.transposed(),
            false => outer::weights_len(&sizes),
        }),
    }
}

/// Bytes of scratch for the fastest variant that every machine has.
pub fn portable_scratch_len(op: Op, input: Shape, output: Shape) -> usize {
    match op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => {
            weights_len(op, input, output, false) * size_of::<f32>()
        }
        _ => 0,
    }
}

/// Bytes of scratch for the fastest variant.
pub(in crate::net::int8) fn scratch_len(node: &Node8<'_>, isa: Isa) -> usize {
    if isa.has_vectors() {
        weights_len(node.op, node.input, node.output, true) * size_of::<f32>()
    } else {
        portable_scratch_len(node.op, node.input, node.output)
    }
}

/// Room for weights, if scratch has it.
fn floats<'a>(node: &Node8<'_>, scratch: &'a mut [u8], isa: Isa) -> Option<&'a mut [f32]> {
    let bytes = scratch_len(node, isa);
    let scratch = scratch.get_mut(..bytes).filter(|s| !s.is_empty())?;
    <[f32]>::mut_from_bytes(scratch).ok()
}

/// `2^power` for -126 <= power <= 127.
fn power_of_two(power: i32) -> f32 {
    f32::from_bits(((power + 127).unsigned_abs() & 0xFF) << 23)
}

impl Channels<'_> {
    /// Real value of one step of channel `c`'s weights, in steps of the input
    /// and output.
    #[inline(always)]
    pub(in crate::net::int8) fn scale(&self, node: &Node8<'_>, c: usize) -> Option<f32> {
        // 256 steps of a weight stay finite, whatever a file says.
        const MOST: f32 = f32::MAX / 256.0;
        let factor = self.factor(c)?;
        let ratio = factor.multiplier as f32 * power_of_two(i32::from(factor.shift) - 31);
        let scale = ratio * (node.output_quant.scale / node.input_quant.scale);
        Some(if scale < MOST { scale } else { MOST })
    }
}

/// A `Conv` or `Dense` whose gradient is wanted.
pub(super) struct Conv<'a> {
    node: &'a Node8<'a>,
    channels: Channels<'a>,
    pub sizes: Sizes,
    pub source: Rows<'a>,
}

/// Input channels whose sums are kept at once.
const CHUNK: usize = 32;

impl<'a> Conv<'a> {
    fn of(node: &'a Node8<'a>, part: Part<'a>) -> Option<Self> {
        let (sizes, source) = Sizes::part(node.op, node.input, node.output, part)?;
        Some(Self {
            node,
            channels: Channels::of(node)?,
            sizes,
            source,
        })
    }

    pub fn window(&self) -> Window<'a> {
        self.sizes.window(self.source)
    }

    /// The stored weight that means 0.
    pub const fn zero(&self) -> i8 {
        self.node.weights_zero_point
    }

    /// Real value of one step of output channel `c`'s weights.
    pub fn scale(&self, c: usize) -> Option<f32> {
        self.channels.scale(self.node, c)
    }

    /// The weights of output channel `c` from input channel `within` of its
    /// group on, a row a tap. Behind them lie those of other channels.
    pub fn stored(&self, c: usize, within: usize) -> Option<Stored<'a>> {
        let (inputs, _) = self.sizes.group();
        let rows = self.sizes.taps();
        let first = c * rows * inputs + within;
        Some(Stored {
            weights: self.channels.weights.get(first..)?,
            step: inputs,
            rows,
        })
    }

    /// Hands on the weights of output channel `c`, `[tap][input channel]`, with
    /// the stored zero and the scale.
    fn filter(&self, c: usize) -> Option<(&'a [i8], f32, f32)> {
        let zero = f32::from(self.node.weights_zero_point);
        Some((
            self.channels.filter(c)?,
            zero,
            self.channels.scale(self.node, c)?,
        ))
    }

    /// Writes all weights in blocks of input channels; see [`Sizes::transposed`].
    fn widen(&self, out: &mut [f32]) -> Option<()> {
        let (inputs, outputs) = self.sizes.group();
        let (blocks, taps) = (inputs.div_ceil(LANES), self.sizes.taps());
        let (out, _) = out.as_chunks_mut::<LANES>();
        for c in 0..self.node.output.c {
            let group = c.checked_div(outputs)?;
            let (filter, zero, scale) = self.filter(c)?;
            for (tap, filter) in filter.chunks_exact(inputs.max(1)).enumerate() {
                for (block, filter) in filter.chunks(LANES).enumerate() {
                    let tap = (group * blocks + block) * taps + tap;
                    let lanes = out.get_mut(tap * outputs + (c - group * outputs))?;
                    *lanes = [0.0; LANES];
                    for (lane, &w) in lanes.iter_mut().zip(filter) {
                        *lane = (f32::from(w) - zero) * scale;
                    }
                }
            }
        }
        Some(())
    }

    /// Adds the gradient straight from the int8 weights.
    fn add(&self, grad_in: &mut [f32]) -> Option<()> {
        let (inputs, _) = self.sizes.group();
        self.sizes.pixels(grad_in, |region, spot, pixel| {
            for (group, target) in pixel.chunks_exact_mut(inputs.max(1)).enumerate() {
                for (target, first) in target.chunks_mut(CHUNK).zip((0..).step_by(CHUNK)) {
                    let mut sums = [0.0; CHUNK];
                    let part = sums.get_mut(..target.len())?;
                    self.sum(region, spot, group, first, part)?;
                    for (target, sum) in target.iter_mut().zip(part) {
                        *target += *sum;
                    }
                }
            }
            Some(())
        })
    }

    /// Sums of the input channels of `group` from `first` on.
    fn sum(
        &self,
        region: &Region,
        spot: &Spot,
        group: usize,
        first: usize,
        sums: &mut [f32],
    ) -> Option<()> {
        let (inputs, outputs) = self.sizes.group();
        let own = group * outputs..(group + 1) * outputs;
        self.sizes
            .visit_taps(region, spot, self.source, |tap, gradient| {
                for (&g, c) in gradient.get(own.clone())?.iter().zip(own.clone()) {
                    if g == 0.0 {
                        continue;
                    }
                    let (filter, zero, scale) = self.filter(c)?;
                    let weights = filter.get(tap * inputs + first..)?;
                    for (sum, &w) in sums.iter_mut().zip(weights) {
                        *sum += g * ((f32::from(w) - zero) * scale);
                    }
                }
                Some(())
            })
    }
}

fn depthwise_widened(
    node: &Node8<'_>,
    geometry: Geometry,
    part: Part<'_>,
    grad_in: &mut [f32],
    weights: &mut [f32],
    isa: Isa,
) -> Result<(), Error> {
    widen_channelwise(node, weights).ok_or(Error::Internal)?;
    let c = node.output.c;
    let window = Window {
        rows: part.rows(Axis::backward(geometry, 0, node.output.h, node.input.h)),
        cols: Axis::backward(geometry, 1, node.output.w, node.input.w),
        source: part.source(node.output),
        source_c: c,
        target_row: node.input.row(),
        target_c: c,
    };
    if !isa.has_vectors() && window.is_walked() {
        return depthwise::add(&window, weights, grad_in).ok_or(Error::Internal);
    }
    let node = ops::Node {
        op: node.op,
        activation: node.activation,
        input: node.input,
        output: node.output,
        weights,
        bias: &[],
    };
    depthwise_f32::backward(&node, geometry, part, grad_in, isa)
}

/// Writes all weights of a `Depthwise` in f32. The scales of its channels lie
/// where the first tap's weights go, until these come last.
fn widen_channelwise(node: &Node8<'_>, out: &mut [f32]) -> Option<()> {
    let channels = Channels::of(node)?;
    let c = node.output.c;
    let (scales, rest) = out.split_at_mut_checked(c)?;
    for (scale, channel) in scales.iter_mut().zip(0..) {
        *scale = channels.scale(node, channel)?;
    }
    let zero = node.weights_zero_point;
    let (first, stored) = channels.weights.split_at_checked(c)?;
    let taps = rest.chunks_exact_mut(c.max(1));
    // Zipped, the two would divide by their lengths, which a compiler for size
    // does not see are not 0.
    let mut filters = stored.chunks_exact(c.max(1));
    for out in taps {
        let Some(stored) = filters.next() else { break };
        widen_tap(stored, zero, Some(scales), out)?;
    }
    widen_tap(first, zero, None, scales)
}

/// One tap's weights, by the scales or by what lies in their places.
fn widen_tap(stored: &[i8], zero: i8, scales: Option<&[f32]>, out: &mut [f32]) -> Option<()> {
    let done = match zero {
        0 => products::scale(stored, scales, out),
        _ => 0,
    };
    let zero = f32::from(zero);
    for (i, (out, &w)) in out.iter_mut().zip(stored).enumerate().skip(done) {
        let scale = match scales {
            Some(scales) => *scales.get(i)?,
            None => *out,
        };
        *out = (f32::from(w) - zero) * scale;
    }
    Some(())
}

/// Gradient of a `Depthwise` straight from the int8 weights.
fn depthwise_in_place(
    node: &Node8<'_>,
    geometry: Geometry,
    part: Part<'_>,
    grad_in: &mut [f32],
) -> Option<()> {
    let channels = Channels::of(node)?;
    let (input, output) = (node.input, node.output);
    let source = part.source(output);
    let rows = part.rows(Axis::backward(geometry, 0, output.h, input.h));
    let cols = Axis::backward(geometry, 1, output.w, input.w);
    for rows in rows.spans() {
        for cols in cols.spans() {
            let region = Region { rows, cols };
            if region.is_blind() {
                continue;
            }
            let mut walk = Walk::new(region);
            while !walk.done() {
                let [spot] = walk.tile(input.row(), input.c).spots;
                let pixel = grad_in.get_mut(spot.target..)?.get_mut(..input.c)?;
                for (target, c) in pixel.iter_mut().zip(0..) {
                    *target +=
                        depthwise_sum(node, &channels, (geometry, source), (&region, &spot), c)?;
                }
            }
        }
    }
    Some(())
}

/// Sum of channel `c` of one input pixel.
fn depthwise_sum(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    (geometry, source): (Geometry, Rows<'_>),
    (region, spot): (&Region, &Spot),
    c: usize,
) -> Option<f32> {
    let Region { rows, cols } = region;
    let zero = f32::from(node.weights_zero_point);
    let scale = channels.scale(node, c)?;
    let mut sum = 0.0;
    for j in 0..rows.taps {
        let line = source.line(spot.row + j as isize * rows.hop)?;
        let ky = (rows.tap + j * rows.tap_step) * usize::from(geometry.kernel[1]);
        for i in 0..cols.taps {
            let col = usize::try_from(spot.col + i as isize * cols.hop).ok()?;
            let g = line.get(col * node.output.c + c)?;
            let tap = ky + cols.tap + i * cols.tap_step;
            let w = *channels.weights.get(tap * node.output.c + c)?;
            sum += g * ((f32::from(w) - zero) * scale);
        }
    }
    Some(sum)
}
