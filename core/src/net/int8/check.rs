//! Whether an int8 node makes sense: what the model check asks before any
//! kernel runs.

use super::channels::Channels;
use super::softmax::MOST_CHANNELS;
use super::{Node8, bytes_len, packing, reduce, words_len};
use crate::net::op::{Activation, Arithmetic, Op};
use crate::net::ops;
use crate::net::quant::Quantisation;
use crate::tensor::Shape;

/// Largest sum that rounding may still be added to.
const MOST_SUM: i64 = 1 << 31;

/// Whether shapes, lengths, factors and ranges fit together, so that nothing
/// can overflow or leave a buffer. `inputs` are all inputs in order; the first
/// is the node's.
pub fn check(node: &Node8<'_>, inputs: &[(Shape, Quantisation)]) -> bool {
    checked(node, inputs).is_some()
}

fn require(holds: bool) -> Option<()> {
    holds.then_some(())
}

fn checked(node: &Node8<'_>, inputs: &[(Shape, Quantisation)]) -> Option<()> {
    shapes(node, inputs)?;
    require(inputs.first() == Some(&(node.input, node.input_quant)))?;
    for quant in inputs.iter().map(|&(_, q)| q).chain([node.output_quant]) {
        require(quant.scale > 0.0 && quant.scale.is_finite())?;
    }
    require(node.bytes.len() == bytes_len(node.op, node.input, node.output))?;
    require(node.words.len() == words_len(node.op, inputs.len(), node.output))?;
    let [low, high] = node.range;
    require(low <= high)?;
    activation(node)?;
    match node.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => weights(node),
        Op::Binary(_) | Op::Mean { .. } | Op::Concat { .. } => factors(node),
        Op::Softmax => softmax(node),
        Op::Activate => Some(()),
        Op::AveragePool { geometry, .. } => {
            let [h, w] = geometry.kernel.map(i64::from);
            require(node.input_quant == node.output_quant)?;
            require(matches!(node.words, [0 | -128]) && h * w <= MOST_SUM / 512)
        }
        // These move numbers, so their meaning must not change.
        Op::MaxPool(_)
        | Op::GlobalMaxPool
        | Op::Slice { .. }
        | Op::Shuffle { .. }
        | Op::Pad { .. } => require(node.input_quant == node.output_quant),
        // There are no integer kernels for these.
        Op::PRelu | Op::Affine | Op::Lrn { .. } | Op::Quantise { .. } | Op::Dequantise => None,
    }
}

/// The shapes, by the rules of the f32 operators; more than one input only
/// where the operator takes them.
fn shapes(node: &Node8<'_>, inputs: &[(Shape, Quantisation)]) -> Option<()> {
    let check =
        |shapes: &[Shape]| require(ops::check(node.op, node.activation, shapes, node.output));
    match (node.op, inputs) {
        (Op::Concat { axis }, _) => {
            let mut sum = 0_usize;
            for &(shape, _) in inputs {
                sum = sum.checked_add(part(axis, shape, node.output)?)?;
            }
            let all = [node.output.h, node.output.w, node.output.c];
            require(all.get(usize::from(axis)) == Some(&sum))
        }
        (_, &[(a, _)]) => check(&[a]),
        (_, &[(a, _), (b, _)]) => check(&[a, b]),
        _ => None,
    }
}

/// Size of one input of a `Concat` along its axis; the other axes are the output's.
fn part(axis: u8, input: Shape, output: Shape) -> Option<usize> {
    let mut whole = input;
    let size = match axis {
        0 => core::mem::replace(&mut whole.h, output.h),
        1 => core::mem::replace(&mut whole.w, output.w),
        2 => core::mem::replace(&mut whole.c, output.c),
        _ => return None,
    };
    let op = Op::Concat { axis };
    require(whole == output && ops::check(op, Activation::None, &[output], output))?;
    Some(size)
}

/// Kinds of activation: only `Activate` has a table for more than a range.
fn activation(node: &Node8<'_>) -> Option<()> {
    let fused = matches!(
        node.activation,
        Activation::None | Activation::Relu | Activation::Clip { .. }
    );
    require(fused || node.op == Op::Activate)
}

fn factor(multiplier: i32, shift: i32) -> Option<()> {
    require(multiplier >= 0 && (-31..=30).contains(&shift))
}

fn factors(node: &Node8<'_>) -> Option<()> {
    for &[multiplier, shift] in node.words.as_chunks().0 {
        factor(multiplier, shift)?;
    }
    if let Op::Mean { axes } = node.op {
        let count = i64::try_from(reduce::count(axes, node.input)).ok()?;
        require(count <= MOST_SUM / 512)?;
    }
    require(node.op != Op::Binary(Arithmetic::Div))
}

fn softmax(node: &Node8<'_>) -> Option<()> {
    let &[multiplier, shift, least] = node.words.first_chunk()?;
    factor(multiplier, shift)?;
    require(shift >= 0 && node.input.c <= MOST_CHANNELS)?;
    // The least difference, scaled, fits in Q5.26.
    let scaled = i64::from(least).checked_mul(1 << shift)?;
    require(least <= 0 && scaled >= -MOST_SUM)
}

/// Factors of all channels, and an accumulator that cannot overflow:
/// |bias| + 255 times the sum of |weight - zero point| stays below 2^31.
fn weights(node: &Node8<'_>) -> Option<()> {
    let channels = Channels::of(node)?;
    let count = packing::channels(node.op, node.output);
    for c in 0..count {
        factor(
            *channels.multiplier.get(c)?,
            (*channels.shift.get(c)?).into(),
        )?;
        let sum = |weights: &mut dyn Iterator<Item = &i8>| {
            weights.fold(0_i64, |sum, &w| {
                sum + i64::from(w).abs() + i64::from(node.weights_zero_point).abs()
            })
        };
        let sum = match node.op {
            Op::Depthwise { .. } => sum(&mut channels.weights.iter().skip(c).step_by(count.max(1))),
            _ => sum(&mut channels.filter(c)?.iter()),
        };
        let bias = i64::from(*channels.bias.get(c)?).abs();
        require(bias + 255 * sum < MOST_SUM)?;
    }
    Some(())
}
