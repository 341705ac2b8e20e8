//! What each operator computes, forward and backward, in f32.
//!
//! **Strict arithmetic.** Every product is rounded, then added; every output
//! element has one order of summation (bias, kernel row, kernel column, input
//! channel; padded taps are skipped); comparisons are written so that -0 and
//! NaN behave alike everywhere. So the bits are the same on every machine.
//!
//! **NaN.** A kernel reports whether it saw NaN before a ReLU could hide it.

use super::arch::Isa;
use super::int8;
use super::op::{Activation, Arithmetic, Op, PadMode};
use crate::classifier::Rule;
use crate::error::Error;
use crate::tensor::Shape;

pub(super) mod activation;
pub(super) mod binary;
mod check;
mod conv;
pub(super) mod conv_backward;
pub(super) mod depthwise;
#[cfg(target_arch = "x86_64")]
mod even;
pub(super) mod in_place;
pub(super) mod layout;
#[cfg(target_arch = "x86_64")]
mod neighbours;
mod normalise;
pub mod packing;
pub(super) mod pool;
#[cfg(target_arch = "x86_64")]
mod product;
pub(super) mod reduce;
pub mod spans;
#[cfg(test)]
pub(super) mod tests;
pub(super) mod tile;
pub(super) mod walk;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use check::check;
pub use in_place::forward_in_place;

use activation::{Needs, gate_bytes, needs, settle};
use conv_backward::Part;
use layout::Padding;
use normalise::Lrn;

/// The same elements, one by one. `zip` of two `chunks_exact` divides by both
/// lengths of a chunk, which an optimiser for size does not see to be no 0; with
/// this around one of them it does not divide.
pub(in crate::net) fn one_by_one<I: Iterator>(mut of: I) -> impl Iterator<Item = I::Item> {
    core::iter::from_fn(move || of.next())
}

/// One node, decoded: what it computes and on which shapes.
#[derive(Clone, Copy, Debug)]
pub struct Node<'m> {
    /// The operator.
    pub op: Op,
    /// What follows it: `None`, `Relu`, `Clip` or `LeakyRelu` for any operator, everything for `Activate`.
    pub activation: Activation,
    /// Shape of the input that this call is about.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// Packed weights (see [`packing`]); empty if there are none.
    pub weights: &'m [f32],
    /// Bias, one an output channel; empty if there is none.
    pub bias: &'m [f32],
}

/// An input of a node: its shape and its values.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T = f32> {
    /// Shape.
    pub shape: Shape,
    /// `shape.len()` values, HWC.
    pub data: &'a [T],
}

/// What the backward pass of a node reads besides its gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    /// Bytes that the forward pass writes for it (winners of a pool, gates of a ReLU).
    pub bytes: usize,
    /// Whether it reads the values of the inputs.
    pub inputs: bool,
    /// Whether it reads the value of the output.
    pub output: bool,
}

impl Keeps {
    /// Of a node that makes f32 or, if `is_int8`, int8.
    pub fn of(op: Op, activation: Activation, is_int8: bool, input: Shape, output: Shape) -> Self {
        match op {
            Op::Quantise { .. } => Self {
                bytes: output.len().div_ceil(8),
                ..Self::default()
            },
            _ if is_int8 => int8::keeps(op, activation, input, output),
            _ => keeps(op, activation, input, output),
        }
    }
}

/// Rows of an input: row `y` lies at `data[(y % modulo) * row ..]`. A whole
/// tensor has `modulo` = its height; a ring of fewer rows lets the first layer
/// stream its input.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T = f32> {
    /// The values, HWC.
    pub data: &'a [T],
    /// Elements of one row.
    pub row: usize,
    /// Rows that `data` holds.
    pub modulo: usize,
}

/// Whether a kernel saw NaN, before an activation could hide it.
pub type SawNan = bool;

/// What the forward pass left for the backward pass of one node, as [`keeps`] says.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a> {
    /// Values of the inputs.
    pub inputs: [Option<Operand<'a>>; 2],
    /// Values of the output.
    pub output: Option<&'a [f32]>,
    /// Winners and gates.
    pub keep: &'a [u8],
}

/// Runs one node forward, activation included, and tells whether it saw NaN.
///
/// `inputs` are the operands: two for `Binary` and `PRelu`, else one. A
/// `Concat` is called once an input, with `offset` = elements along the axis
/// before this input (0 for other operators). `keep` takes the bytes that
/// [`keeps`] states, or is empty when no backward pass follows; gates of
/// activations are written by [`record_gate`]. `_scratch` may have any length:
/// no forward kernel in f32 is faster with it.
///
/// # Errors
/// [`Error::Internal`] if a buffer does not fit the shapes.
pub fn forward(
    node: &Node<'_>,
    inputs: &[Operand<'_>],
    offset: usize,
    out: &mut [f32],
    keep: &mut [u8],
    _scratch: &mut [f32],
    isa: Isa,
) -> Result<SawNan, Error> {
    let x = inputs.first().ok_or(Error::Internal)?.data;
    let x = x.get(..node.input.len()).ok_or(Error::Internal)?;
    let out = out.get_mut(..node.output.len()).ok_or(Error::Internal)?;
    let kept = own_bytes(node.op, node.output).min(keep.len());
    let keep = keep.get_mut(..kept).unwrap_or_default();
    match node.op {
        Op::Conv { .. } | Op::Dense => return conv::forward(node, x, out, isa),
        Op::Depthwise { geometry } => {
            let rows = Rows::whole(x, node.input);
            return depthwise::forward_rows(node, geometry, rows, 0, out, isa);
        }
        Op::Activate => return Ok(activation::forward(node.activation, x, out)),
        Op::Concat { axis } => {
            return layout::concat(node, axis, offset, x, out).ok_or(Error::Internal);
        }
        _ => plain(node, inputs, x, out, keep).ok_or(Error::Internal)?,
    }
    Ok(settle(node.activation, out))
}

/// Operators whose activation is applied to the finished output.
fn plain(
    node: &Node<'_>,
    inputs: &[Operand<'_>],
    x: &[f32],
    out: &mut [f32],
    keep: &mut [u8],
) -> Option<()> {
    let (input, output) = (node.input, node.output);
    match node.op {
        Op::PRelu | Op::Binary(_) => return binary::forward(node, inputs, out, keep),
        Op::Affine => normalise::affine(x, node.weights, node.bias, out),
        Op::Slice { start, step } => return layout::slice(start, step, (input, output), x, out),
        Op::Shuffle { groups } => layout::shuffle(groups, input.c, x, out),
        Op::Pad { before, mode } => {
            let constant = if let PadMode::Constant(value) = mode {
                value
            } else {
                0.0
            };
            let padding = Padding {
                before,
                mode,
                input,
                output,
            };
            return padding.fill(constant, x, out);
        }
        Op::MaxPool(geometry) => {
            let rows = Rows::whole(x, input);
            return pool::max_forward(geometry, (input, output), rows, 0, out, keep);
        }
        Op::AveragePool { .. } => {
            return pool::average_forward(node, Rows::whole(x, input), 0, out);
        }
        Op::Mean { axes } => return reduce::mean_forward(axes, input, output, x, out),
        Op::GlobalMaxPool => reduce::max_forward(input, x, out, keep),
        Op::Lrn { .. } => Lrn::of(node.op)?.forward(input.c, x, out),
        Op::Softmax => normalise::softmax(input.c, x, out),
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense | Op::Activate | Op::Concat { .. } => {
            return None;
        }
        // These stand between f32 and int8; the session runs them.
        Op::Quantise { .. } | Op::Dequantise => return None,
    }
    Some(())
}

/// Output row `y` of an operator with a sliding window whose input comes as [`Rows`],
/// activation included, into `out_row` (one row of the output). `keep` as in [`forward`].
///
/// # Errors
/// [`Error::Internal`] for another operator or a buffer that does not fit.
pub fn forward_row(
    node: &Node<'_>,
    input: Rows<'_>,
    y: usize,
    out_row: &mut [f32],
    keep: &mut [u8],
    isa: Isa,
) -> Result<SawNan, Error> {
    let out = out_row
        .get_mut(..node.output.row())
        .ok_or(Error::Internal)?;
    match node.op {
        Op::Conv { geometry, groups } => {
            conv::forward_rows(node, geometry, groups, input, y, out, isa)
        }
        Op::Depthwise { geometry } => depthwise::forward_rows(node, geometry, input, y, out, isa),
        _ => {
            pool_row(node, input, y, out, keep).ok_or(Error::Internal)?;
            Ok(settle(node.activation, out))
        }
    }
}

fn pool_row(
    node: &Node<'_>,
    input: Rows<'_>,
    y: usize,
    out: &mut [f32],
    keep: &mut [u8],
) -> Option<()> {
    let shapes = (node.input, node.output);
    match node.op {
        Op::MaxPool(geometry) => pool::max_forward(geometry, shapes, input, y, out, keep),
        Op::AveragePool { .. } => pool::average_forward(node, input, y, out),
        _ => None,
    }
}

/// What the backward pass of a node reads besides its gradient. The bytes are
/// the operator's own (winners of `MaxPool` in 2, 4, 8 or 16 bits each, as many
/// as its taps need, the first in the lowest bits; winners of `GlobalMaxPool`
/// as u32 little endian; gate bits of `PRelu`), then one gate bit an output element for
/// `Relu`, `Clip` and `LeakyRelu`.
pub fn keeps(op: Op, activation: Activation, _input: Shape, output: Shape) -> Keeps {
    let (inputs, outputs) = match (op, needs(activation)) {
        (Op::Activate, Needs::Input) | (Op::PRelu | Op::Lrn { .. }, _) => (true, false),
        (Op::Binary(Arithmetic::Mul | Arithmetic::Div), _) => (true, false),
        (Op::Activate, Needs::Output) | (Op::Softmax, _) => (false, true),
        _ => (false, false),
    };
    Keeps {
        bytes: own_bytes(op, output) + gate_bytes(activation, output.len()),
        inputs,
        output: outputs,
    }
}

/// Bytes that the operator itself writes for its backward pass.
pub(super) fn own_bytes(op: Op, output: Shape) -> usize {
    match op {
        Op::MaxPool(geometry) => pool::winner_bytes(geometry, output),
        Op::GlobalMaxPool => output.c * 4,
        Op::PRelu => output.len().div_ceil(8),
        _ => 0,
    }
}

/// Records the gate of the activation for `rule` from elements `first..` of the
/// node's output, into the bytes that [`keeps`] states.
pub fn record_gate(node: &Node<'_>, rule: Rule, out: &[f32], first: usize, keep: &mut [u8]) {
    if let Some(bits) = keep.get_mut(own_bytes(node.op, node.output)..) {
        activation::record_gate(node.activation, rule, out, first, bits);
    }
}

/// Applies the rule of the node's `Relu`, `Clip` or `LeakyRelu` to elements
/// `first..` of the gradient of its output, in place; comes before [`backward`].
///
/// # Errors
/// [`Error::Internal`] if `keep` is too short.
pub fn gate(
    node: &Node<'_>,
    rule: Rule,
    keep: &[u8],
    first: usize,
    gradient: &mut [f32],
) -> Result<(), Error> {
    let bits = keep.get(own_bytes(node.op, node.output)..).unwrap_or(&[]);
    activation::gate(node.activation, rule, bits, first, gradient).ok_or(Error::Internal)
}

/// Adds to `grad_in` the gradient of input `part` (of shape `node.input`), given
/// the gradient of the output after [`gate`]. `offset` as in [`forward`].
/// `scratch` may have any length; the fastest variant needs [`scratch_len`].
///
/// # Errors
/// [`Error::Internal`] if a buffer does not fit or a saved value is missing.
#[expect(clippy::too_many_arguments, reason = "the one door to every kernel")]
pub fn backward(
    node: &Node<'_>,
    part: usize,
    offset: usize,
    rule: Rule,
    grad_out: &[f32],
    saved: &Saved<'_>,
    grad_in: &mut [f32],
    scratch: &mut [f32],
    isa: Isa,
) -> Result<(), Error> {
    let g = grad_out.get(..node.output.len()).ok_or(Error::Internal)?;
    let to = grad_in.get_mut(..node.input.len()).ok_or(Error::Internal)?;
    match node.op {
        Op::Conv { .. } | Op::Dense => {
            conv_backward::backward(node, Part::Whole(g), to, (scratch, false), isa)
        }
        Op::Depthwise { geometry } => depthwise::backward(node, geometry, Part::Whole(g), to, isa),
        Op::PRelu | Op::Binary(_) => binary::backward(node, part, rule, g, saved, to),
        Op::Activate => {
            let value = match needs(node.activation) {
                Needs::Output => saved.output,
                _ => saved.inputs[0].map(|x| x.data),
            };
            activation::backward(node.activation, g, value, to)
        }
        Op::Concat { axis } => {
            layout::concat_backward(node, axis, offset, g, to).ok_or(Error::Internal)
        }
        _ => plain_backward(node, g, saved, to, scratch).ok_or(Error::Internal),
    }
}

/// Adds row `y` of the input gradient of a `Conv` or `Depthwise` to `grad_in`
/// (one row of the input), from rows of the output's gradient: those whose
/// windows reach row `y` are there. The bits are those of [`backward`].
/// `laid_out`: whether `scratch` is as the last call for this node left it.
///
/// # Errors
/// [`Error::Internal`] for another operator or a buffer that does not fit.
pub fn backward_row(
    node: &Node<'_>,
    grad_out: Rows<'_>,
    y: usize,
    grad_in: &mut [f32],
    (scratch, laid_out): (&mut [f32], bool),
    isa: Isa,
) -> Result<(), Error> {
    let to = grad_in.get_mut(..node.input.row()).ok_or(Error::Internal)?;
    let part = Part::Row(y, grad_out);
    match node.op {
        Op::Conv { .. } => conv_backward::backward(node, part, to, (scratch, laid_out), isa),
        Op::Depthwise { geometry } => depthwise::backward(node, geometry, part, to, isa),
        _ => Err(Error::Internal),
    }
}

/// Operators of one input that need neither a rule nor an instruction set.
fn plain_backward(
    node: &Node<'_>,
    g: &[f32],
    saved: &Saved<'_>,
    to: &mut [f32],
    scratch: &mut [f32],
) -> Option<()> {
    let (input, output) = (node.input, node.output);
    match node.op {
        Op::Affine => normalise::affine_backward(g, node.weights, to),
        Op::Slice { start, step } => {
            return layout::slice_backward(start, step, (input, output), g, to);
        }
        Op::Shuffle { groups } => layout::shuffle_backward(groups, input.c, g, to),
        Op::Pad { before, mode } => {
            let padding = Padding {
                before,
                mode,
                input,
                output,
            };
            return padding.backward(g, to);
        }
        Op::MaxPool(geometry) => return pool::max_backward(node, geometry, g, saved.keep, to),
        Op::AveragePool { .. } => return pool::average_backward(node, g, to),
        Op::Mean { axes } => return reduce::mean_backward(axes, input, output, g, to),
        Op::GlobalMaxPool => return reduce::max_backward(input, g, saved.keep, to),
        Op::Lrn { .. } => {
            let x = saved.inputs[0]?.data.get(..input.len())?;
            Lrn::of(node.op)?.backward(input.c, x, g, to, scratch);
        }
        Op::Softmax => {
            normalise::softmax_backward(input.c, saved.output?.get(..output.len())?, g, to);
        }
        _ => return None,
    }
    Some(())
}

/// f32 elements of scratch with which the fastest variants of the node's
/// forward and backward pass run (0 if none needs any).
pub fn scratch_len(node: &Node<'_>, isa: Isa) -> usize {
    match node.op {
        Op::Conv { .. } | Op::Dense => conv_backward::scratch_len(node, isa),
        Op::Lrn { .. } => node.input.c,
        _ => 0,
    }
}
