//! Nodes that write over an input: a few elements at a time are held aside,
//! and the usual kernel reads them there.

use super::{Node, Operand, SawNan, forward};
use crate::error::Error;
use crate::net::arch::Isa;
use crate::net::op::Op;
use crate::tensor::Shape;

/// Elements that are held aside at once.
const HELD: usize = 64;

/// Which elements are computed together.
#[derive(Clone, Copy)]
pub(in crate::net) struct Block {
    /// First element of the tensor.
    pub first: usize,
    /// First channel among what repeats with every pixel.
    pub channel: usize,
    /// The block as a tensor.
    pub shape: Shape,
}

/// Calls `visit` with each block of at most `most` of `values`, in order. With
/// `channels` (0 for none) something repeats with every pixel: a block holds
/// whole pixels, or a part of one.
pub(in crate::net) fn blocks<T>(
    values: &mut [T],
    channels: usize,
    most: usize,
    mut visit: impl FnMut(Block, &mut [T]) -> Result<(), Error>,
) -> Result<(), Error> {
    let c = channels.max(1);
    let pixels = most.checked_div(c).unwrap_or(0);
    let mut first = 0;
    for run in values.chunks_mut((pixels.max(1) * c).max(1)) {
        let mut channel = 0;
        for part in run.chunks_mut(most.max(1)) {
            let shape = match part.len().checked_div(c) {
                Some(w) if pixels > 0 => Shape::new(1, w, c),
                _ => Shape::new(1, 1, part.len()),
            };
            let block = Block {
                first,
                channel,
                shape,
            };
            first += part.len();
            channel += part.len();
            visit(block, part)?;
        }
    }
    Ok(())
}

/// The elements of a second operand that belong to a block: of its own, or of
/// its channels where it repeats with every pixel.
pub(in crate::net) fn beside<'a, T>(
    other: &'a [T],
    repeats: bool,
    block: &Block,
) -> Result<(Shape, &'a [T]), Error> {
    let (first, shape) = match repeats {
        true => (block.channel, Shape::new(1, 1, block.shape.c)),
        false => (block.first, block.shape),
    };
    let data = other.get(first..).and_then(|data| data.get(..shape.len()));
    Ok((shape, data.ok_or(Error::Internal)?))
}

/// Runs a node forward whose input `part` lies in `values`, where its output
/// is wanted; `node.output` is the shape of both. `other` is the second
/// operand, if there is one: of the same shape, or one value a channel. Tells
/// whether NaN was seen.
///
/// # Errors
/// [`Error::Internal`] for an operator whose elements do not stand alone, or
/// if a buffer does not fit.
pub fn forward_in_place(
    node: &Node<'_>,
    part: usize,
    other: Option<&Operand<'_>>,
    values: &mut [f32],
    isa: Isa,
) -> Result<SawNan, Error> {
    let repeats = other.is_some_and(|other| other.shape != node.output);
    let is_affine = node.op == Op::Affine;
    let channels = match repeats || is_affine {
        true => node.output.c,
        false => 0,
    };
    let mut saw_nan = false;
    blocks(values, channels, HELD, |block, values| {
        let mut held = [0.0; HELD];
        let held = held.get_mut(..values.len()).ok_or(Error::Internal)?;
        held.copy_from_slice(values);
        let (mut weights, mut bias) = (node.weights, node.bias);
        if is_affine {
            (_, weights) = beside(weights, true, &block)?;
            (_, bias) = beside(bias, true, &block)?;
        }
        let own = Operand {
            shape: block.shape,
            data: &*held,
        };
        let second = match other {
            None => own,
            Some(other) => {
                let (shape, data) = beside(other.data, repeats, &block)?;
                Operand { shape, data }
            }
        };
        let both = if part == 0 {
            [own, second]
        } else {
            [second, own]
        };
        let [first, _] = both;
        let node = Node {
            input: first.shape,
            output: block.shape,
            weights,
            bias,
            ..*node
        };
        let operands = both.get(..1 + usize::from(other.is_some()));
        let operands = operands.ok_or(Error::Internal)?;
        saw_nan |= forward(&node, operands, 0, values, &mut [], &mut [], isa)?;
        Ok(())
    })?;
    Ok(saw_nan)
}
