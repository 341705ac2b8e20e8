//! What each operator computes, forward and backward, in f32.
//!
//! **Strict arithmetic.** Every product is rounded, then added; every output
//! element has one order of summation (bias, kernel row, kernel column, input
//! channel; padded taps are skipped); comparisons are written so that -0 and
//! NaN behave alike everywhere. So the bits are the same on every machine.
//!
//! **NaN.** A kernel reports whether it saw NaN before a ReLU could hide it.

use super::arch::Isa;
use super::op::{Activation, Op};
use crate::classifier::Rule;
use crate::error::Error;
use crate::tensor::Shape;

pub mod packing;

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
pub struct Operand<'a> {
    /// Shape.
    pub shape: Shape,
    /// `shape.len()` values, HWC.
    pub data: &'a [f32],
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

/// Rows of an input: row `y` lies at `data[(y % modulo) * row ..]`. A whole
/// tensor has `modulo` = its height; a ring of fewer rows lets the first layer
/// stream its input.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The values, HWC.
    pub data: &'a [f32],
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
/// activations are written by [`record_gate`]. `scratch` may have any length;
/// a faster variant is chosen when it suffices ([`scratch_len`]).
///
/// # Errors
/// [`Error::Internal`] if a buffer does not fit the shapes.
pub fn forward(
    node: &Node<'_>,
    inputs: &[Operand<'_>],
    offset: usize,
    out: &mut [f32],
    keep: &mut [u8],
    scratch: &mut [f32],
    isa: Isa,
) -> Result<SawNan, Error> {
    let _ = (node, inputs, offset, out, keep, scratch, isa);
    Err(Error::Internal)
}

/// Output row `y` of a `Conv` or `Depthwise` whose input comes as [`Rows`],
/// activation included, into `out_row` (one row of the output).
///
/// # Errors
/// [`Error::Internal`] for another operator or a buffer that does not fit.
pub fn forward_row(
    node: &Node<'_>,
    input: Rows<'_>,
    y: usize,
    out_row: &mut [f32],
    isa: Isa,
) -> Result<SawNan, Error> {
    let _ = (node, input, y, out_row, isa);
    Err(Error::Internal)
}

/// What the backward pass of a node reads besides its gradient. The bytes are
/// the operator's own (winners of `MaxPool` as u8, or u16 little endian if the
/// kernel has more than 256 taps; winners of `GlobalMaxPool` as u32 little
/// endian; gate bits of `PRelu`), then one gate bit an output element for
/// `Relu`, `Clip` and `LeakyRelu`.
pub fn keeps(op: Op, activation: Activation, input: Shape, output: Shape) -> Keeps {
    let _ = (op, activation, input, output);
    Keeps::default()
}

/// Records the gate of the activation for `rule` from the node's output, into
/// the bytes that [`keeps`] states.
pub fn record_gate(node: &Node<'_>, rule: Rule, out: &[f32], keep: &mut [u8]) {
    let _ = (node, rule, out, keep);
}

/// Applies the rule of the node's `Relu`, `Clip` or `LeakyRelu` to the gradient
/// of its output, in place; comes before [`backward`].
///
/// # Errors
/// [`Error::Internal`] if `keep` is too short.
pub fn gate(node: &Node<'_>, rule: Rule, keep: &[u8], gradient: &mut [f32]) -> Result<(), Error> {
    let _ = (node, rule, keep, gradient);
    Err(Error::Internal)
}

/// Adds to `grad_in` the gradient of input `part` (of shape `node.input`), given
/// the gradient of the output after [`gate`]. `offset` as in [`forward`].
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
    let _ = (
        node, part, offset, rule, grad_out, saved, grad_in, scratch, isa,
    );
    Err(Error::Internal)
}

/// f32 elements of scratch with which the fastest variants of the node's
/// forward and backward pass run (0 if none needs any).
pub fn scratch_len(node: &Node<'_>, isa: Isa) -> usize {
    let _ = (node, isa);
    0
}

/// Whether shapes, arity and attributes fit together, so that nothing can
/// overflow, divide by zero or leave a buffer. `inputs` are all input shapes
/// in order.
pub fn check(op: Op, activation: Activation, inputs: &[Shape], output: Shape) -> bool {
    let _ = (op, activation, inputs, output);
    false
}
