//! Int8 nodes that write over an input, as `ops::in_place`.

use super::{Node8, Operand8, forward};
use crate::error::Error;
use crate::net::arch::Isa;
use crate::net::ops::in_place::{beside, blocks};
use crate::net::quant::Quantisation;

/// Elements that are held aside at once.
const HELD: usize = 128;

/// Runs a node forward whose input `part` lies in `values`, stored by `quant`,
/// where its output is wanted; `node.output` is the shape of both. `other` is
/// the second operand, if there is one: of the same shape, or one value a
/// channel.
///
/// # Errors
/// [`Error::Internal`] for an operator whose elements do not stand alone, or
/// if a buffer does not fit.
pub fn forward_in_place(
    node: &Node8<'_>,
    (part, quant): (usize, Quantisation),
    other: Option<&Operand8<'_>>,
    values: &mut [i8],
    isa: Isa,
) -> Result<(), Error> {
    let repeats = other.is_some_and(|other| other.shape != node.output);
    let channels = if repeats { node.output.c } else { 0 };
    blocks(values, channels, HELD, |block, values| {
        let mut held = [0; HELD];
        let held = held.get_mut(..values.len()).ok_or(Error::Internal)?;
        held.copy_from_slice(values);
        let own = Operand8 {
            shape: block.shape,
            data: &*held,
            quant,
        };
        let second = match other {
            None => own,
            Some(other) => {
                let (shape, data) = beside(other.data, repeats, &block)?;
                let quant = other.quant;
                Operand8 { shape, data, quant }
            }
        };
        let both = if part == 0 {
            [own, second]
        } else {
            [second, own]
        };
        let [first, _] = both;
        let node = Node8 {
            input: first.shape,
            output: block.shape,
            ..*node
        };
        let operands = both.get(..1 + usize::from(other.is_some()));
        let operands = operands.ok_or(Error::Internal)?;
        forward(&node, operands, 0, 0, values, &mut [], &mut [], isa)
    })
}
