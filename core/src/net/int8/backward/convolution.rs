//! Gradients of `Conv`, `Depthwise` and `Dense`.
//!
//! A product with a weight is (gradient * scale of the channel) * (weight -
//! zero point), each product rounded; sums run over kernel row, kernel column
//! and output channel from 0 and are then added. Products with a gradient of
//! 0 may be left out: such a sum is never -0.
//!
//! With vectors and scratch, both factors are written out in f32 and the f32
//! kernels do the rest, to the same bits; else the int8 weights are read as
//! they lie.

use crate::error::Error;
use crate::net::arch::Isa;
use crate::net::int8::Node8;
use crate::net::int8::channels::Channels;
use crate::net::int8::conv::as_conv;
use crate::net::op::{Geometry, Op};
use crate::net::ops::conv_backward::Sizes;
use crate::net::ops::packing::LANES;
use crate::net::ops::spans::Axis;
use crate::net::ops::tile::{Region, Spot, Walk};
use crate::net::ops::{self, Rows, depthwise as depthwise_f32};
use zerocopy::FromBytes;

/// Adds the input gradient.
pub(in crate::net::int8) fn backward(
    node: &Node8<'_>,
    grad_out: &[f32],
    grad_in: &mut [f32],
    scratch: &mut [u8],
    isa: Isa,
) -> Result<(), Error> {
    if let Op::Depthwise { geometry } = node.op {
        return match floats(node, scratch, isa) {
            Some(floats) => depthwise_from_floats(node, geometry, grad_out, grad_in, floats, isa),
            None => depthwise(node, geometry, grad_out, grad_in).ok_or(Error::Internal),
        };
    }
    let (node, geometry) = as_conv(node);
    match floats(&node, scratch, isa) {
        Some(floats) => conv_from_floats(&node, grad_out, grad_in, floats, isa),
        None => conv(&node, geometry, grad_out, grad_in).ok_or(Error::Internal),
    }
}

/// f32 elements of the weights as the f32 kernels want them; 0 where so few
/// pixels share them that writing them out does not pay.
fn weights_len(node: &Node8<'_>) -> usize {
    match node.op {
        _ if node.output.area() <= 2 => 0,
        Op::Depthwise { .. } => super::super::packing::packed_len(node.op, node.input, node.output),
        op => Sizes::of(op, node.input, node.output).map_or(0, |sizes| sizes.transposed()),
    }
}

/// Bytes of scratch for the fastest variant: weights and gradient in f32.
pub(in crate::net::int8) fn scratch_len(node: &Node8<'_>, isa: Isa) -> usize {
    match weights_len(node) {
        0 => 0,
        _ if !isa.has_vectors() => 0,
        weights => (weights + node.output.len()) * size_of::<f32>(),
    }
}

/// Room for weights and gradient, if scratch has it.
fn floats<'a>(
    node: &Node8<'_>,
    scratch: &'a mut [u8],
    isa: Isa,
) -> Option<(&'a mut [f32], &'a mut [f32])> {
    let bytes = scratch_len(node, isa);
    let scratch = scratch.get_mut(..bytes).filter(|s| !s.is_empty())?;
    let floats = <[f32]>::mut_from_bytes(scratch).ok()?;
    floats.split_at_mut_checked(weights_len(node))
}

/// Writes `gradient * scale`; 0 stays 0 even where the scale is infinite.
fn scale_gradient(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    gradient: &[f32],
    out: &mut [f32],
) -> Option<()> {
    let c = node.output.c.max(1);
    for (out, g) in out.chunks_exact_mut(c).zip(gradient.chunks_exact(c)) {
        for ((out, &g), c) in out.iter_mut().zip(g).zip(0..) {
            let scale = channels.scale(node, c)?;
            *out = if g == 0.0 { 0.0 } else { g * scale };
        }
    }
    Some(())
}

fn depthwise_from_floats(
    node: &Node8<'_>,
    geometry: Geometry,
    grad_out: &[f32],
    grad_in: &mut [f32],
    (weights, scaled): (&mut [f32], &mut [f32]),
    isa: Isa,
) -> Result<(), Error> {
    let channels = Channels::of(node).ok_or(Error::Internal)?;
    scale_gradient(node, &channels, grad_out, scaled).ok_or(Error::Internal)?;
    let zero = f32::from(node.weights_zero_point);
    for (out, &w) in weights.iter_mut().zip(channels.weights) {
        *out = f32::from(w) - zero;
    }
    let node = ops::Node {
        op: node.op,
        activation: node.activation,
        input: node.input,
        output: node.output,
        weights,
        bias: &[],
    };
    depthwise_f32::backward(&node, geometry, scaled, grad_in, isa)
}

fn conv_from_floats(
    node: &Node8<'_>,
    grad_out: &[f32],
    grad_in: &mut [f32],
    (weights, scaled): (&mut [f32], &mut [f32]),
    isa: Isa,
) -> Result<(), Error> {
    let channels = Channels::of(node).ok_or(Error::Internal)?;
    scale_gradient(node, &channels, grad_out, scaled).ok_or(Error::Internal)?;
    let sizes = Sizes::of(node.op, node.input, node.output).ok_or(Error::Internal)?;
    transpose(node, &channels, &sizes, weights).ok_or(Error::Internal)?;
    sizes.backward(weights, scaled, grad_in, isa)
}

/// Filters to blocks of input channels; see [`Sizes::transposed`].
fn transpose(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    sizes: &Sizes,
    out: &mut [f32],
) -> Option<()> {
    let (inputs, outputs) = sizes.group();
    let (blocks, taps) = (inputs.div_ceil(LANES), sizes.taps());
    let zero = f32::from(node.weights_zero_point);
    let (out, _) = out.as_chunks_mut::<LANES>();
    for c in 0..node.output.c {
        let group = c.checked_div(outputs)?;
        let filter = channels.filter(c)?.chunks_exact(inputs.max(1));
        for (tap, filter) in filter.enumerate() {
            for (block, filter) in filter.chunks(LANES).enumerate() {
                let at = ((group * blocks + block) * taps + tap) * outputs + (c - group * outputs);
                let lanes = out.get_mut(at)?;
                *lanes = [0.0; LANES];
                for (lane, &w) in lanes.iter_mut().zip(filter) {
                    *lane = f32::from(w) - zero;
                }
            }
        }
    }
    Some(())
}

/// `2^power` for -126 <= power <= 127.
fn power_of_two(power: i32) -> f32 {
    f32::from_bits(((power + 127).unsigned_abs() & 0xFF) << 23)
}

impl Channels<'_> {
    /// Real value of one step of channel `c`'s weights.
    #[inline(always)]
    fn scale(&self, node: &Node8<'_>, c: usize) -> Option<f32> {
        let factor = self.factor(c)?;
        let ratio = factor.multiplier as f32 * power_of_two(i32::from(factor.shift) - 31);
        Some(ratio * (node.output_quant.scale / node.input_quant.scale))
    }
}

/// Input channels whose sums are kept at once.
const CHUNK: usize = 32;

/// Gradient of a `Conv` or `Dense` straight from the int8 weights.
fn conv(node: &Node8<'_>, geometry: Geometry, grad_out: &[f32], grad_in: &mut [f32]) -> Option<()> {
    let reader = Reader {
        node,
        channels: Channels::of(node)?,
        source: Rows::whole(grad_out, node.output),
        kernel_w: usize::from(geometry.kernel[1]),
    };
    pixels(node, geometry, grad_in, |region, spot, pixel| {
        let inputs = reader.channels.filters.inputs.max(1);
        for (group, target) in pixel.chunks_exact_mut(inputs).enumerate() {
            for (target, first) in target.chunks_mut(CHUNK).zip((0..).step_by(CHUNK)) {
                let mut sums = [0.0; CHUNK];
                let part = sums.get_mut(..target.len())?;
                reader.sum(region, spot, group, first, part)?;
                for (target, sum) in target.iter_mut().zip(part) {
                    *target += *sum;
                }
            }
        }
        Some(())
    })
}

/// Calls `visit` with every input pixel that some output reads.
fn pixels(
    node: &Node8<'_>,
    geometry: Geometry,
    grad_in: &mut [f32],
    mut visit: impl FnMut(&Region, &Spot, &mut [f32]) -> Option<()>,
) -> Option<()> {
    let (input, output) = (node.input, node.output);
    let rows = Axis::backward(geometry, 0, output.h, input.h);
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
                visit(&region, &spot, pixel)?;
            }
        }
    }
    Some(())
}

/// Calls `visit` with every tap of an input pixel: its index in the kernel,
/// and the gradients of the output pixel that reads it there.
fn taps<'a>(
    region: &Region,
    spot: &Spot,
    kernel_w: usize,
    source: Rows<'a>,
    channels: usize,
    mut visit: impl FnMut(usize, &'a [f32]) -> Option<()>,
) -> Option<()> {
    let Region { rows, cols } = region;
    for j in 0..rows.taps {
        let line = source.line(spot.row + j as isize * rows.hop)?;
        let ky = (rows.tap + j * rows.tap_step) * kernel_w;
        for i in 0..cols.taps {
            let col = usize::try_from(spot.col + i as isize * cols.hop).ok()?;
            let gradient = line.get(col * channels..)?.get(..channels)?;
            visit(ky + cols.tap + i * cols.tap_step, gradient)?;
        }
    }
    Some(())
}

/// Reads the filters of a convolution against their order.
struct Reader<'a> {
    node: &'a Node8<'a>,
    channels: Channels<'a>,
    source: Rows<'a>,
    kernel_w: usize,
}

impl Reader<'_> {
    /// Sums of the input channels of `group` from `first` on.
    fn sum(
        &self,
        region: &Region,
        spot: &Spot,
        group: usize,
        first: usize,
        sums: &mut [f32],
    ) -> Option<()> {
        let filters = self.channels.filters;
        let zero = f32::from(self.node.weights_zero_point);
        let c = self.node.output.c;
        taps(
            region,
            spot,
            self.kernel_w,
            self.source,
            c,
            |tap, gradient| {
                let outputs = group * filters.outputs..(group + 1) * filters.outputs;
                for (&g, c) in gradient.get(outputs.clone())?.iter().zip(outputs) {
                    if g == 0.0 {
                        continue;
                    }
                    let g = g * self.channels.scale(self.node, c)?;
                    let weights = self
                        .channels
                        .filter(c)?
                        .get(tap * filters.inputs + first..)?;
                    for (sum, &w) in sums.iter_mut().zip(weights) {
                        *sum += g * (f32::from(w) - zero);
                    }
                }
                Some(())
            },
        )
    }
}

/// Gradient of a `Depthwise`.
fn depthwise(
    node: &Node8<'_>,
    geometry: Geometry,
    grad_out: &[f32],
    grad_in: &mut [f32],
) -> Option<()> {
    let channels = Channels::of(node)?;
    let source = Rows::whole(grad_out, node.output);
    let kernel_w = usize::from(geometry.kernel[1]);
    let zero = f32::from(node.weights_zero_point);
    let c = node.output.c;
    pixels(node, geometry, grad_in, |region, spot, pixel| {
        for (target, first) in pixel.chunks_mut(CHUNK).zip((0..).step_by(CHUNK)) {
            let mut sums = [0.0; CHUNK];
            taps(region, spot, kernel_w, source, c, |tap, gradient| {
                let gradient = gradient.get(first..)?.iter();
                let weights = channels.weights.get(tap * c + first..)?.iter();
                for (((sum, &g), &w), c) in sums.iter_mut().zip(gradient).zip(weights).zip(first..)
                {
                    if g != 0.0 {
                        *sum += g * channels.scale(node, c)? * (f32::from(w) - zero);
                    }
                }
                Some(())
            })?;
            for (target, sum) in target.iter_mut().zip(sums) {
                *target += sum;
            }
        }
        Some(())
    })
}
