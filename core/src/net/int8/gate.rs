//! Which outputs let a gradient through: those strictly inside the clip range.

use super::Node8;
use crate::classifier::Rule;
use crate::error::Error;
use crate::net::arch::Isa;
use crate::net::op::{Activation, Arithmetic, Op};
use crate::net::ops::activation::{close, record_from};
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
pub fn record_gate(
    node: &Node8<'_>,
    rule: Rule,
    out: &[i8],
    first: usize,
    keep: &mut [u8],
    isa: Isa,
) {
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
    record_inside(out, (least, steps), first, bits, isa);
}

/// One bit a value: whether it is one of so many `steps` from `least` on. The
/// first value is number `first` of those that `bits` is about.
pub(in crate::net) fn record_inside(
    values: &[i8],
    (least, steps): (i8, u8),
    first: usize,
    bits: &mut [u8],
    isa: Isa,
) {
    let done = with_words(values, [least as u8, steps], first, bits, isa).unwrap_or(0);
    let rest = values.get(done..).unwrap_or(&[]);
    // One comparison does for both ends: what lies below wraps round.
    let open = |q: i8| (q.wrapping_sub(least) as u8) < steps;
    record_from(first + done, bits, rest, open);
}

/// How many values, from the first on, are done by words.
#[cfg(foveola_dsp)]
fn with_words(
    values: &[i8],
    range: [u8; 2],
    first: usize,
    bits: &mut [u8],
    isa: Isa,
) -> Option<usize> {
    let bits = bits.get_mut(first / 8..)?;
    let (eights, _) = values.as_chunks::<8>();
    if !first.is_multiple_of(8) {
        return None;
    }
    isa.dsp()?.inside(eights, range, bits)?;
    Some(eights.len() * 8)
}

/// There are no words of int8.
#[cfg(not(foveola_dsp))]
const fn with_words(_: &[i8], _: [u8; 2], _: usize, _: &mut [u8], _: Isa) -> Option<usize> {
    None
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
    let only_positive = rule != Rule::Gradient && is_relu(node.activation);
    close(first, gradient, bits, only_positive).ok_or(Error::Internal)
}
