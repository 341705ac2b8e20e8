//! Straight-through gradients in f32: the derivative of the real-valued
//! operator at the dequantised inputs.

use super::{Node8, Saved8};
use crate::classifier::Rule;
use crate::error::Error;
use crate::net::arch::Isa;
use crate::net::op::{Activation, Arithmetic, Op};
use crate::net::ops::activation::{derivative, pass};
use crate::net::ops::binary;
use crate::net::ops::conv_backward::Part;
use crate::net::ops::one_by_one;
use crate::net::ops::{self, Rows, Saved};

mod convolution;
mod depthwise;
mod outer;

pub use convolution::portable_scratch_len;
pub(super) use convolution::scratch_len;

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
    scratch: &mut [u8],
    isa: Isa,
) -> Result<(), Error> {
    let g = grad_out.get(..node.output.len()).ok_or(Error::Internal)?;
    let to = grad_in.get_mut(..node.input.len()).ok_or(Error::Internal)?;
    match node.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => {
            return convolution::backward(node, Part::Whole(g), to, scratch, isa);
        }
        Op::Binary(Arithmetic::Mul) => product(node, part, g, saved, to),
        Op::Activate => activate(node, rule, g, saved, to),
        Op::Softmax => softmax(node, g, saved, to),
        _ => return as_f32(node, part, offset, rule, g, saved, to, isa),
    }
    .ok_or(Error::Internal)
}

/// Adds row `y` of the input gradient of a `Conv` or `Depthwise` to `grad_in`
/// (one row of the input), from rows of the output's gradient: those whose
/// windows reach row `y` are there. The bits are those of [`backward`];
/// `scratch` as there.
///
/// # Errors
/// [`Error::Internal`] for another operator or a buffer that does not fit.
pub fn backward_row(
    node: &Node8<'_>,
    grad_out: Rows<'_>,
    y: usize,
    grad_in: &mut [f32],
    scratch: &mut [u8],
    isa: Isa,
) -> Result<(), Error> {
    let to = grad_in.get_mut(..node.input.row()).ok_or(Error::Internal)?;
    match node.op {
        Op::Conv { .. } | Op::Depthwise { .. } => {
            convolution::backward(node, Part::Row(y, grad_out), to, scratch, isa)
        }
        _ => Err(Error::Internal),
    }
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
    let pixels = x.chunks_exact(c).zip(one_by_one(gradient.chunks_exact(c)));
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
