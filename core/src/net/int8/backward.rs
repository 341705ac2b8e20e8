//! Straight-through gradients in f32.
//!
//! A product with a weight is (gradient * scale of the channel) * (weight -
//! zero point), each product rounded; sums run over kernel row, kernel column
//! and output channel from 0 and are then added. Products with a gradient of
//! 0 may be left out: such a sum is never -0.

use super::channels::Channels;
use super::conv::as_conv;
use super::{Node8, Saved8};
use crate::classifier::Rule;
use crate::error::Error;
use crate::net::arch::Isa;
use crate::net::op::{Activation, Arithmetic, Geometry, Op};
use crate::net::ops::activation::{derivative, pass};
use crate::net::ops::binary;
use crate::net::ops::spans::Axis;
use crate::net::ops::tile::{Region, Spot, Walk};
use crate::net::ops::{self, Rows, Saved};

/// Adds to `grad_in` the gradient of input `part` (of shape `node.input`), given
/// the gradient of the output after [`super::gate`]. `offset` as in
/// [`super::forward`]. `scratch` may have any length and any alignment; the
/// fastest variant needs [`super::scratch_len`] bytes aligned to 4.
///
/// # Errors
/// [`Error::Internal`] if a buffer does not fit or a saved value is missing.
#[expect(clippy::too_many_arguments, reason = "the one door to every kernel")]
pub fn backward(
    node: &Node8<'_>,
    part: usize,
    offset: usize,
    rule: Rule,
    grad_out: &[f32],
    saved: &Saved8<'_>,
    grad_in: &mut [f32],
    _scratch: &mut [u8],
    isa: Isa,
) -> Result<(), Error> {
    let g = grad_out.get(..node.output.len()).ok_or(Error::Internal)?;
    let to = grad_in.get_mut(..node.input.len()).ok_or(Error::Internal)?;
    match node.op {
        Op::Conv { .. } | Op::Dense => conv(node, g, to),
        Op::Depthwise { geometry } => depthwise(node, geometry, g, to),
        Op::Binary(Arithmetic::Mul) => product(node, part, g, saved, to),
        Op::Activate => activate(node, rule, g, saved, to),
        Op::Softmax => softmax(node, g, saved, to),
        _ => return as_f32(node, part, offset, rule, g, saved, to, isa),
    }
    .ok_or(Error::Internal)
}

/// Operators whose derivative does not depend on any value.
#[expect(clippy::too_many_arguments, reason = "as the door itself")]
fn as_f32(
    node: &Node8<'_>,
    part: usize,
    offset: usize,
    rule: Rule,
    g: &[f32],
    saved: &Saved8<'_>,
    to: &mut [f32],
    isa: Isa,
) -> Result<(), Error> {
    let node = ops::Node {
        op: node.op,
        activation: Activation::None,
        input: node.input,
        output: node.output,
        weights: &[],
        bias: &[],
    };
    let saved = Saved {
        inputs: [None; 2],
        output: None,
        keep: saved.keep,
    };
    ops::backward(&node, part, offset, rule, g, &saved, to, &mut [], isa)
}

/// Bytes of scratch for the fastest variant.
pub(super) const fn scratch_len(_node: &Node8<'_>, _isa: Isa) -> usize {
    0
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
fn conv(node: &Node8<'_>, grad_out: &[f32], grad_in: &mut [f32]) -> Option<()> {
    let (node, geometry) = as_conv(node);
    let reader = Reader {
        node: &node,
        channels: Channels::of(&node)?,
        source: Rows::whole(grad_out, node.output),
        kernel_w: usize::from(geometry.kernel[1]),
    };
    pixels(&node, geometry, grad_in, |region, spot, pixel| {
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

/// Gradient of operand `part` of a product: the gradient times the other one.
fn product(
    node: &Node8<'_>,
    part: usize,
    gradient: &[f32],
    saved: &Saved8<'_>,
    grad_in: &mut [f32],
) -> Option<()> {
    let [a, b] = saved.inputs;
    // Only the other operand is read.
    let other = if part == 0 { b? } else { a? };
    let way = binary::Backward {
        output: node.output,
        gradient,
        a: other.values(),
        b: other.values(),
        input: node.input,
    };
    way.add(grad_in, |_, g, other_value, _| {
        g * other.quant.real(other_value)
    })
}

/// Gradient of a table's function.
fn activate(
    node: &Node8<'_>,
    rule: Rule,
    gradient: &[f32],
    saved: &Saved8<'_>,
    grad_in: &mut [f32],
) -> Option<()> {
    if let Activation::None | Activation::Relu | Activation::Clip { .. } = node.activation {
        for (to, g) in grad_in.iter_mut().zip(gradient) {
            *to += g;
        }
        return Some(());
    }
    let [x, _] = saved.inputs;
    let x = x?;
    let values = x.data.get(..gradient.len())?;
    for ((to, &g), &x) in grad_in.iter_mut().zip(gradient).zip(values) {
        let real = node.input_quant.real(x);
        *to += match node.activation {
            Activation::LeakyRelu { slope } => pass(rule, g, real > 0.0, slope),
            other => g * derivative(other, real),
        };
    }
    Some(())
}

/// Adds `y * (g - sum g y)` with the softmax `y` of the dequantised inputs.
fn softmax(
    node: &Node8<'_>,
    gradient: &[f32],
    saved: &Saved8<'_>,
    grad_in: &mut [f32],
) -> Option<()> {
    let [x, _] = saved.inputs;
    let x = x?.data.get(..gradient.len())?;
    let c = node.input.c.max(1);
    let pixels = x.chunks_exact(c).zip(gradient.chunks_exact(c));
    for (to, (x, g)) in grad_in.chunks_exact_mut(c).zip(pixels) {
        let max = x.iter().fold(i8::MIN, |m, &x| if x > m { x } else { m });
        let exp = |&x: &i8| {
            let difference = i16::from(x) - i16::from(max);
            libm::expf(f32::from(difference) * node.input_quant.scale)
        };
        let mut sum = 0.0;
        for e in x.iter().map(exp) {
            sum += e;
        }
        let mut dot = 0.0;
        for (e, g) in x.iter().map(exp).zip(g) {
            dot += e / sum * g;
        }
        for ((to, e), g) in to.iter_mut().zip(x.iter().map(exp)).zip(g) {
            *to += e / sum * (g - dot);
        }
    }
    Some(())
}
