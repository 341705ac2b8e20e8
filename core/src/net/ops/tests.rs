//! The kernels against naive loops in f64, their gradients against central
//! differences of those loops, and every variant against plain loops in f32,
//! bit by bit.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop"
)]

mod bits;
pub(in crate::net) mod cases;
mod gradients;
mod hostile;
mod in_place;
pub(in crate::net) mod naive;
pub(in crate::net) mod rows_back;
mod rules;
mod values;

use super::packing::{bias_len, packed_index, packed_len, plain_len};
use super::{
    Keeps, Node, Operand, Saved, backward, forward, gate, keeps, record_gate, scratch_len,
};
use crate::classifier::Rule;
use crate::net::arch::Isa;
use crate::net::op::{Activation, Op};
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

/// A node with its own numbers.
#[derive(Clone, Debug)]
pub(in crate::net) struct Case {
    pub op: Op,
    pub activation: Activation,
    pub shapes: Vec<Shape>,
    pub output: Shape,
    pub inputs: Vec<Vec<f32>>,
    /// In plain order.
    pub weights: Vec<f32>,
    pub packed: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Case {
    fn new(
        op: Op,
        activation: Activation,
        shapes: Vec<Shape>,
        output: Shape,
        random: &mut Random,
    ) -> Self {
        let input = shapes[0];
        let weights = random.values(plain_len(op, input, output));
        let mut packed = vec![0.0; packed_len(op, input, output)];
        for (i, &w) in weights.iter().enumerate() {
            packed[packed_index(op, input, output, i)] = w;
        }
        let with_bias = op == Op::Affine || random.below(4) > 0;
        Self {
            op,
            activation,
            inputs: shapes.iter().map(|s| random.values(s.len())).collect(),
            weights,
            packed,
            bias: random.values(if with_bias { bias_len(op, output) } else { 0 }),
            shapes,
            output,
        }
    }

    fn node(&self, part: usize) -> Node<'_> {
        Node {
            op: self.op,
            activation: self.activation,
            input: self.shapes[part],
            output: self.output,
            weights: &self.packed,
            bias: &self.bias,
        }
    }

    fn operands(&self) -> Vec<Operand<'_>> {
        self.shapes
            .iter()
            .zip(&self.inputs)
            .map(|(&shape, data)| Operand { shape, data })
            .collect()
    }

    fn keeps(&self) -> Keeps {
        keeps(self.op, self.activation, self.shapes[0], self.output)
    }

    /// Calls of a `Concat`: one an input, with its offset; else one.
    fn calls(&self) -> Vec<(usize, usize)> {
        let Op::Concat { axis } = self.op else {
            return vec![(0, 0)];
        };
        let mut offset = 0;
        let mut calls = Vec::new();
        for (part, s) in self.shapes.iter().enumerate() {
            calls.push((part, offset));
            offset += [s.h, s.w, s.c][usize::from(axis)];
        }
        calls
    }

    /// Output, kept bytes, and whether NaN was seen.
    fn forward(&self, isa: Isa) -> (Vec<f32>, Vec<u8>, bool) {
        let mut out = vec![7.0; self.output.len()];
        let mut keep = vec![0xAA; self.keeps().bytes];
        let mut nan = false;
        let operands = self.operands();
        for (part, offset) in self.calls() {
            let operands = if self.calls().len() > 1 {
                &operands[part..=part]
            } else {
                &operands[..]
            };
            let node = self.node(part);
            nan |= forward(&node, operands, offset, &mut out, &mut keep, &mut [], isa).unwrap();
        }
        (out, keep, nan)
    }

    /// Gradient of input `part` for `seed`, on top of `before`.
    fn backward(
        &self,
        part: usize,
        rule: Rule,
        seed: &[f32],
        before: f32,
        isa: Isa,
        with_scratch: bool,
    ) -> Vec<f32> {
        let (out, mut keep, _) = self.forward(isa);
        let node = self.node(part);
        record_gate(&node, rule, &out, 0, &mut keep);
        let mut gradient = seed.to_vec();
        gate(&node, rule, &keep, 0, &mut gradient).unwrap();
        let Keeps { inputs, output, .. } = self.keeps();
        let operands = self.operands();
        let saved = Saved {
            inputs: [0, 1].map(|i| operands.get(i).copied().filter(|_| inputs)),
            output: output.then_some(&out[..]),
            keep: &keep,
        };
        let offset = self.calls().get(part).map_or(0, |&(_, offset)| offset);
        let scratch = if with_scratch {
            scratch_len(&node, isa)
        } else {
            0
        };
        let mut scratch = vec![9.0; scratch];
        let mut grad_in = vec![before; self.shapes[part].len()];
        backward(
            &node,
            part,
            offset,
            rule,
            &gradient,
            &saved,
            &mut grad_in,
            &mut scratch,
            isa,
        )
        .unwrap();
        grad_in
    }
}

/// xorshift64* (Vigna 2016).
pub(in crate::net) struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// `0..n`
    pub fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    /// `low..=high`
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// Of magnitude 0.25..2, either sign.
    pub fn value(&mut self) -> f32 {
        let v = 0.25 + 1.75 * (self.below(1 << 20) as f32 / (1 << 20) as f32);
        if self.below(2) == 0 { v } else { -v }
    }

    pub fn values(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.value()).collect()
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}
