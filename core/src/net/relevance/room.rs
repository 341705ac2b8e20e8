//! The scratch of one layer's relevance.

use crate::net::op::Op;
use crate::net::ops::packing;
use crate::tensor::Shape;

/// Lengths in elements.
#[derive(Clone, Copy, Default)]
struct Lengths {
    first: usize,
    second: usize,
    gradient: usize,
    total: usize,
    term: usize,
    sign: usize,
    weights: usize,
    bias: usize,
}

impl Lengths {
    fn of(op: Op, inputs: [Shape; 2], output: Shape) -> Self {
        let [first, second] = inputs.map(|shape| shape.len());
        let linear = Self {
            first,
            gradient: first,
            total: output.len(),
            term: output.len(),
            ..Self::default()
        };
        match op {
            Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => Self {
                sign: output.len(),
                weights: packing::packed_len(op, inputs[0], output),
                bias: output.c,
                ..linear
            },
            Op::MaxPool(_) | Op::GlobalMaxPool => Self {
                sign: output.len(),
                gradient: 0,
                ..linear
            },
            Op::Binary(_) => Self {
                second,
                gradient: first + second,
                ..linear
            },
            Op::AveragePool { .. } | Op::Mean { .. } | Op::Affine => linear,
            _ => Self::default(),
        }
    }

    const fn all(&self) -> usize {
        self.first
            + self.second
            + self.gradient
            + self.total
            + self.term
            + self.sign
            + self.weights
            + self.bias
    }
}

/// Bytes of scratch that the relevance of a node takes; `inputs` are the shapes
/// of its first two (the second empty if there is one).
pub fn scratch_bytes(op: Op, inputs: [Shape; 2], output: Shape) -> usize {
    Lengths::of(op, inputs, output).all() * size_of::<f32>()
}

/// The parts of the scratch.
pub(in crate::net) struct Room<'s> {
    /// Part of the first input, as real numbers.
    pub first: &'s mut [f32],
    /// The second input.
    pub second: &'s mut [f32],
    /// What comes back to an input.
    pub gradient: &'s mut [f32],
    /// Sum of the terms of the output.
    pub total: &'s mut [f32],
    /// One term of the output, then what is sent back.
    pub term: &'s mut [f32],
    /// The output itself, for its sign; or the winners of a pool.
    pub sign: &'s mut [f32],
    /// Changed weights.
    pub weights: &'s mut [f32],
    /// Changed biases.
    pub bias: &'s mut [f32],
}

impl<'s> Room<'s> {
    pub fn of(
        op: Op,
        inputs: [Shape; 2],
        output: Shape,
        mut scratch: &'s mut [f32],
    ) -> Option<Self> {
        let lengths = Lengths::of(op, inputs, output);
        let mut take = |length: usize| -> Option<&'s mut [f32]> {
            let (part, rest) = core::mem::take(&mut scratch).split_at_mut_checked(length)?;
            scratch = rest;
            Some(part)
        };
        Some(Self {
            first: take(lengths.first)?,
            second: take(lengths.second)?,
            gradient: take(lengths.gradient)?,
            total: take(lengths.total)?,
            term: take(lengths.term)?,
            sign: take(lengths.sign)?,
            weights: take(lengths.weights)?,
            bias: take(lengths.bias)?,
        })
    }
}
