//! Which outputs let a gradient through: those strictly inside the clip range.

use super::Node8;
use crate::classifier::Rule;
use crate::error::Error;
use crate::net::op::{Activation, Arithmetic, Op};
use crate::net::ops::activation::{positive, record, through};
use crate::net::ops::{Keeps, own_bytes};
use crate::tensor::Shape;

/// Whether the activation is one to which the rules of backward passes apply.
const fn is_relu(activation: Activation) -> bool {
    matches!(activation, Activation::Relu | Activation::Clip { .. })
}

/// Bytes of the gate bits: one bit an output element of every operator that
/// computes, or that a ReLU kind follows.
fn gate_bytes(op: Op, activation: Activation, output: Shape) -> usize {
    let moves = matches!(
        op,
        Op::MaxPool(_)
            | Op::AveragePool { .. }
            | Op::GlobalMaxPool
            | Op::Slice { .. }
            | Op::Shuffle { .. }
            | Op::Pad { .. }
    );
    if moves && !is_relu(activation) {
        0
    } else {
        output.len().div_ceil(8)
    }
}

/// What the backward pass of a node reads besides its gradient. The bytes are
/// the winners of `MaxPool` and `GlobalMaxPool`, as in [`crate::net::ops::keeps`],
/// then the gate bits.
pub fn keeps(op: Op, activation: Activation, _input: Shape, output: Shape) -> Keeps {
    let inputs = match op {
        Op::Activate => !is_relu(activation) && activation != Activation::None,
        Op::Binary(arithmetic) => arithmetic == Arithmetic::Mul,
        Op::Softmax => true,
        _ => false,
    };
    Keeps {
        bytes: own_bytes(op, output) + gate_bytes(op, activation, output),
        inputs,
        output: false,
    }
}

/// Records the gates for `rule` from the node's output, into the bytes that
/// [`keeps`] states. A deconvolution ignores the lower bound of a ReLU kind.
pub fn record_gate(node: &Node8<'_>, rule: Rule, out: &[i8], keep: &mut [u8]) {
    let [low, high] = node.range;
    let gates = gate_bytes(node.op, node.activation, node.output);
    let first = own_bytes(node.op, node.output);
    let Some(bits) = keep.get_mut(first..).and_then(|k| k.get_mut(..gates)) else {
        return;
    };
    let out = out.get(..node.output.len()).unwrap_or(out);
    if rule == Rule::Deconvolution && is_relu(node.activation) {
        record(bits, out, |q| q < high);
    } else {
        record(bits, out, |q| q > low && q < high);
    }
}

/// Applies gates and the ReLU's rule to the gradient of the node's output, in
/// place; comes before [`super::backward`].
///
/// # Errors
/// [`Error::Internal`] if `keep` is too short.
pub fn gate(node: &Node8<'_>, rule: Rule, keep: &[u8], gradient: &mut [f32]) -> Result<(), Error> {
    let gates = gate_bytes(node.op, node.activation, node.output);
    if gates == 0 {
        return Ok(());
    }
    let gradient = gradient
        .get_mut(..node.output.len())
        .ok_or(Error::Internal)?;
    let bits = keep.get(own_bytes(node.op, node.output)..);
    let bits = bits
        .and_then(|bits| bits.get(..gates))
        .ok_or(Error::Internal)?;
    if rule == Rule::Gradient || !is_relu(node.activation) {
        through(gradient, bits, |g, open| if open { g } else { 0.0 });
    } else {
        through(
            gradient,
            bits,
            |g, open| if open { positive(g) } else { 0.0 },
        );
    }
    Ok(())
}
