//! Operators that are no weighted sum of one input.

use zerocopy::IntoBytes;

use super::linear::{NOTHING, add_products, divided};
use super::room::Room;
use crate::classifier::Rule;
use crate::error::Error;
use crate::net::arch::Isa;
use crate::net::ops::{self, Node, Operand, Saved};
use crate::relevance::LayerRelevance;
use crate::tensor::{Shape, Values};

/// Sum in f64.
fn total(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum()
}

fn real(from: &Values<'_>, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(from.iter()) {
        *out = x;
    }
}

/// Activations and what stands between f32 and int8: everything passes.
pub(in crate::net) fn passed(out: &[f32], into: &mut [f32], sums: &mut LayerRelevance) {
    for (into, &r) in into.iter_mut().zip(out) {
        *into += r;
    }
    sums.into += total(out);
}

/// Operators that move elements: relevance goes back to where they came from.
/// What lies on constants (a padding) stays there.
pub(in crate::net) fn moved(
    (node, part, offset): (&Node<'_>, usize, usize),
    out: &[f32],
    into: &mut [f32],
    isa: Isa,
    sums: &mut LayerRelevance,
) -> Result<(), Error> {
    let before = total(into);
    let rule = Rule::Gradient;
    ops::backward(node, part, offset, rule, out, &NOTHING, into, &mut [], isa)?;
    sums.into += total(into) - before;
    Ok(())
}

/// The winner of a maximum takes all, or with `epsilon` its `z / (z + s)`.
pub(in crate::net) fn maximum(
    (node, input, epsilon): (&Node<'_>, &Values<'_>, Option<f32>),
    out: &[f32],
    into: &mut [f32],
    (room, isa): (&mut Room<'_>, Isa),
    sums: &mut LayerRelevance,
) -> Result<(), Error> {
    real(input, room.first);
    let operand = Operand {
        shape: node.input,
        data: room.first,
    };
    let winners = room.sign.as_mut_bytes();
    ops::forward(node, &[operand], 0, room.total, winners, &mut [], isa)?;
    for ((share, &z), &r) in room.term.iter_mut().zip(&*room.total).zip(out) {
        *share = r;
        if let Some(epsilon) = epsilon {
            let (message, lost) = divided(r, z, epsilon);
            *share = message * z;
            sums.epsilon += lost;
        }
    }
    sums.into += total(room.term);
    let saved = Saved {
        keep: room.sign.as_bytes(),
        ..NOTHING
    };
    let rule = Rule::Gradient;
    ops::backward(node, 0, 0, rule, room.term, &saved, into, &mut [], isa)
}

/// Two operands, of which one gets its share.
pub(in crate::net) struct Pair<'p> {
    /// `input` is the shape of the operand that is meant.
    pub node: &'p Node<'p>,
    pub shapes: [Shape; 2],
    pub values: [Values<'p>; 2],
    pub part: usize,
}

/// What goes where: relevance of the output, of the operand (`None` if it is a
/// constant), scratch.
pub(in crate::net) struct Flow<'f, 's> {
    pub out: &'f [f32],
    pub into: Option<&'f mut [f32]>,
    pub room: &'f mut Room<'s>,
    pub isa: Isa,
}

impl Pair<'_> {
    /// Sends `factor * out / (z + s)` back; the operand times what arrives is
    /// its share. Returns what is lost on the way.
    fn share(
        &self,
        flow: Flow<'_, '_>,
        (factor, epsilon): (f32, f32),
        sums: &mut LayerRelevance,
    ) -> Result<f64, Error> {
        let Flow {
            out,
            into,
            room,
            isa,
        } = flow;
        let [a, b] = &self.values;
        real(a, room.first);
        real(b, room.second);
        let operands = [
            Operand {
                shape: self.shapes[0],
                data: &*room.first,
            },
            Operand {
                shape: self.shapes[1],
                data: &*room.second,
            },
        ];
        let whole = Node {
            input: self.shapes[0],
            ..*self.node
        };
        ops::forward(&whole, &operands, 0, room.total, &mut [], &mut [], isa)?;
        let mut lost = 0.0;
        for ((message, &z), &r) in room.term.iter_mut().zip(&*room.total).zip(out) {
            let (share, epsilon) = divided(factor * r, z, epsilon);
            *message = share;
            lost += epsilon;
        }
        let saved = Saved {
            inputs: operands.map(Some),
            ..NOTHING
        };
        let gradient = room.gradient.get_mut(..self.node.input.len());
        let gradient = gradient.ok_or(Error::Internal)?;
        gradient.fill(0.0);
        let (part, rule) = (self.part, Rule::Gradient);
        let node = self.node;
        ops::backward(
            node,
            part,
            0,
            rule,
            room.term,
            &saved,
            gradient,
            &mut [],
            isa,
        )?;
        let operand = operands.get(part).ok_or(Error::Internal)?.data;
        match into {
            Some(into) => sums.into += add_products(operand, gradient, into),
            None => {
                let products = operand.iter().zip(&*gradient);
                sums.bias += products.map(|(&a, &b)| f64::from(a * b)).sum::<f64>();
            }
        }
        Ok(lost)
    }
}

/// A sum or difference: each operand gets its share, a constant as a bias.
pub(in crate::net) fn sum(
    pair: &Pair<'_>,
    flow: Flow<'_, '_>,
    epsilon: f32,
    sums: &mut LayerRelevance,
) -> Result<(), Error> {
    let lost = pair.share(flow, (1.0, epsilon), sums)?;
    // Counted with the first operand only.
    if pair.part == 0 {
        sums.epsilon += lost;
    }
    Ok(())
}

/// A product or quotient: this operand carries `factor` of the relevance.
pub(in crate::net) fn product(
    pair: &Pair<'_>,
    mut flow: Flow<'_, '_>,
    factor: f32,
    sums: &mut LayerRelevance,
) -> Result<(), Error> {
    if factor == 0.0 {
        return Ok(());
    }
    if pair.node.input == pair.node.output {
        for (into, &r) in flow
            .into
            .iter_mut()
            .flat_map(|i| i.iter_mut())
            .zip(flow.out)
        {
            *into += factor * r;
        }
        sums.into += f64::from(factor) * total(flow.out);
        return Ok(());
    }
    let divides = pair.part == 1
        && matches!(
            pair.node.op,
            crate::net::op::Op::Binary(crate::net::op::Arithmetic::Div)
        );
    // The derivative of a quotient by its divisor is negative.
    let sign = if divides { -1.0 } else { 1.0 };
    let lost = pair.share(flow, (sign * factor, 0.0), sums)?;
    sums.epsilon += f64::from(sign) * lost;
    Ok(())
}
