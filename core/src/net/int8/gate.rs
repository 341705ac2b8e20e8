//! Which outputs let a gradient through: those strictly inside the clip range.

use super::Node8;
use crate::classifier::Rule;
use crate::error::Error;
use crate::net::op::{Activation, Arithmetic, Op};
use crate::net::ops::activation::{close, positive, record_from};
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

/// Records the gates for `rule` from elements `first..` of the node's output,
/// into the bytes that [`keeps`] states. A deconvolution ignores the lower
/// bound of a ReLU kind.
pub fn record_gate(node: &Node8<'_>, rule: Rule, out: &[i8], first: usize, keep: &mut [u8]) {
    let [low, high] = node.range;
    let gates = gate_bytes(node.op, node.activation, node.output);
    let own = own_bytes(node.op, node.output);
    let Some(bits) = keep.get_mut(own..).and_then(|k| k.get_mut(..gates)) else {
        return;
    };
    // A closed lower end is i8::MIN, which nothing lies below.
    let ignores_low = rule == Rule::Deconvolution && is_relu(node.activation);
    let least = if ignores_low {
        i8::MIN
    } else {
        low.saturating_add(1)
    };
    let steps = i16::from(high) - i16::from(least);
    let steps = u8::try_from(steps).unwrap_or(0);
    // One comparison does for both ends: what lies below wraps round.
    let open = |q: i8| (q.wrapping_sub(least) as u8) < steps;
    record_from(first, bits, out, open);
}

/// Applies gates and the ReLU's rule to elements `first..` of the gradient of
/// the node's output, in place; comes before [`super::backward`].
///
/// # Errors
/// [`Error::Internal`] if `keep` is too short.
pub fn gate(
    node: &Node8<'_>,
    rule: Rule,
    keep: &[u8],
    first: usize,
    gradient: &mut [f32],
) -> Result<(), Error> {
    let gates = gate_bytes(node.op, node.activation, node.output);
    if gates == 0 {
        return Ok(());
    }
    let bits = keep.get(own_bytes(node.op, node.output)..);
    let bits = bits
        .and_then(|bits| bits.get(..gates))
        .ok_or(Error::Internal)?;
    if rule == Rule::Gradient || !is_relu(node.activation) {
        close(first, gradient, bits, |g| g)
    } else {
        close(first, gradient, bits, positive)
    }
    .ok_or(Error::Internal)
}
