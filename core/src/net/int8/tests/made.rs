//! Nodes with the numbers that a writer makes for them, and how they are run.

use crate::Rule;
use crate::net::arch::Isa;
use crate::net::int8::make::{Spec, Weights, node, view};
use crate::net::int8::{
    Node8, Operand8, Saved8, backward, bytes_len, check, forward, gate, keeps, record_gate,
    scratch_len, words_len,
};
use crate::net::op::{Activation, Arithmetic, Op};
use crate::net::ops::packing::{bias_len, plain_len};
use crate::net::ops::tests::cases::case;
use crate::net::ops::tests::{Case, Random};
use crate::net::quant::Quantisation;
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

pub fn quantisation(scale: f32, zero_point: i8) -> Quantisation {
    Quantisation { scale, zero_point }
}

/// A node with inputs, as its model states it and as the writer stores it.
#[derive(Clone, Debug)]
pub struct Made {
    pub op: Op,
    pub activation: Activation,
    pub inputs: Vec<(Shape, Quantisation)>,
    pub output: (Shape, Quantisation),
    pub unsigned: bool,
    pub weights: Vec<i8>,
    pub weights_zero_point: i8,
    pub scales: Vec<f32>,
    pub bias: Vec<i32>,
    pub data: Vec<Vec<i8>>,
    pub bytes: Vec<i8>,
    pub words: Vec<i32>,
    pub range: [i8; 2],
}

/// How much of the scratch that the fastest variant wants there is.
pub type Share = fn(usize) -> usize;

/// None, too little, less than wanted, all.
pub const SHARES: [Share; 4] = [|_| 0, |need| need.min(3), |need| need / 2, |need| need];

impl Made {
    /// Fills in what the writer makes.
    pub fn finish(mut self) -> Self {
        let (input, output) = (self.inputs[0].0, self.output.0);
        let mut bytes = vec![0; bytes_len(self.op, input, output)];
        let mut words = vec![0; words_len(self.op, self.inputs.len(), output)];
        self.range = node(&self.spec(), &mut bytes, &mut words).unwrap();
        (self.bytes, self.words) = (bytes, words);
        assert!(check(&self.node(0), &self.inputs), "{self:?}");
        self
    }

    pub fn spec(&self) -> Spec<'_> {
        Spec {
            op: self.op,
            activation: self.activation,
            inputs: &self.inputs,
            output: self.output,
            unsigned: self.unsigned,
            weights: (!self.weights.is_empty()).then_some(Weights {
                values: &self.weights,
                zero_point: self.weights_zero_point,
                scales: &self.scales,
                bias: &self.bias,
            }),
        }
    }

    /// The node, about input `part`.
    pub fn node(&self, part: usize) -> Node8<'_> {
        view(&self.spec(), part, &self.bytes, &self.words, self.range).unwrap()
    }

    pub fn operands(&self) -> Vec<Operand8<'_>> {
        self.inputs
            .iter()
            .zip(&self.data)
            .map(|(&(shape, quant), data)| Operand8 { shape, data, quant })
            .collect()
    }

    /// Part and offset of each call: several for a `Concat`.
    pub fn calls(&self) -> Vec<(usize, usize)> {
        let Op::Concat { axis } = self.op else {
            return vec![(0, 0)];
        };
        let mut offset = 0;
        let mut calls = Vec::new();
        for (part, (s, _)) in self.inputs.iter().enumerate() {
            calls.push((part, offset));
            offset += [s.h, s.w, s.c][usize::from(axis)];
        }
        calls
    }

    /// Output and kept bytes.
    pub fn forward(&self, isa: Isa, share: Share) -> (Vec<i8>, Vec<u8>) {
        let output = self.output.0;
        let mut out = vec![77; output.len()];
        let kept = keeps(self.op, self.activation, self.inputs[0].0, output);
        let mut keep = vec![0xAA; kept.bytes];
        let operands = self.operands();
        let calls = self.calls();
        for &(part, offset) in &calls {
            let node = self.node(part);
            let mut scratch = vec![0x55; share(scratch_len(&node, isa))];
            let operands = if calls.len() > 1 {
                &operands[part..=part]
            } else {
                &operands[..]
            };
            forward(
                &node,
                operands,
                part,
                offset,
                &mut out,
                &mut keep,
                &mut scratch,
                isa,
            )
            .unwrap();
        }
        (out, keep)
    }

    /// Gradient of input `part` for `seed`, on top of `before`.
    pub fn backward(
        &self,
        part: usize,
        rule: Rule,
        seed: &[f32],
        before: f32,
        isa: Isa,
        share: Share,
    ) -> Vec<f32> {
        let (out, mut keep) = self.forward(isa, share);
        let node = self.node(part);
        record_gate(&node, rule, &out, 0, &mut keep, isa);
        let mut gradient = seed.to_vec();
        gate(&node, rule, &keep, 0, &mut gradient).unwrap();
        let operands = self.operands();
        let reads = keeps(self.op, self.activation, self.inputs[0].0, self.output.0).inputs;
        let saved = Saved8 {
            inputs: [0, 1].map(|i| operands.get(i).copied().filter(|_| reads)),
            keep: &keep,
        };
        let offset = self.calls().get(part).map_or(0, |&(_, offset)| offset);
        let mut words = vec![0x5555_5555_u32; share(scratch_len(&node, isa)).div_ceil(4)];
        let scratch = zerocopy::IntoBytes::as_mut_bytes(&mut words[..]);
        let mut grad_in = vec![before; self.inputs[part].0.len()];
        backward(
            &node,
            part,
            offset,
            rule,
            &gradient,
            &saved,
            &mut grad_in,
            scratch,
            isa,
        )
        .unwrap();
        grad_in
    }
}

fn zero_point(random: &mut Random) -> i8 {
    match random.below(5) {
        0 => -128,
        1 => 127,
        _ => random.within(0, 255) as u8 as i8,
    }
}

pub fn stored(len: usize, random: &mut Random) -> Vec<i8> {
    // Saturated inputs and weights too.
    let all = random.below(8);
    let byte = |random: &mut Random| match all {
        0 => -128,
        1 => 127,
        _ => random.within(0, 255) as u8 as i8,
    };
    (0..len).map(|_| byte(random)).collect()
}

/// Whether a family of the f32 cases has an int8 kernel, and with which activation.
fn quantised(case: &Case) -> Option<Activation> {
    match case.op {
        Op::PRelu | Op::Affine | Op::Lrn { .. } | Op::Binary(Arithmetic::Div) => None,
        Op::Activate => Some(case.activation),
        _ => Some(match case.activation {
            Activation::LeakyRelu { .. } => Activation::None,
            other => other,
        }),
    }
}

/// A random int8 node of one of the f32 tests' families, `None` where it has no kernel.
pub fn made(family: usize, random: &mut Random) -> Option<Made> {
    let case = case(family, random);
    let activation = quantised(&case)?;
    let (op, output) = (case.op, case.output);
    let input = case.shapes[0];
    let scale = |random: &mut Random| 0.01 + 0.1 * random.below(1000) as f32 / 1000.0;
    let mut inputs = Vec::new();
    for &shape in &case.shapes {
        inputs.push((shape, quantisation(scale(random), zero_point(random))));
    }
    let with_weights = matches!(op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense);
    let channels = bias_len(op, output);
    let scales = if random.below(2) == 0 { 1 } else { channels };
    let mut made = Made {
        op,
        activation,
        output: (output, quantisation(scale(random), zero_point(random))),
        unsigned: random.below(2) == 0,
        weights: Vec::new(),
        weights_zero_point: 0,
        scales: Vec::new(),
        bias: Vec::new(),
        data: case
            .shapes
            .iter()
            .map(|s| stored(s.len(), random))
            .collect(),
        inputs,
        bytes: Vec::new(),
        words: Vec::new(),
        range: [0; 2],
    };
    if with_weights {
        made.weights = stored(plain_len(op, input, output), random);
        if random.below(2) == 0 {
            made.weights_zero_point = zero_point(random);
        }
        made.scales = (0..scales).map(|_| scale(random) * 0.2).collect();
        let bias = |random: &mut Random| random.within(0, 20_000) as i32 - 10_000;
        if random.below(4) > 0 {
            made.bias = (0..channels).map(|_| bias(random)).collect();
        }
        // Sums of some size; a few must saturate.
        let filter = (made.weights.len() / channels.max(1)) as f32;
        let reach = made.inputs[0].1.scale * made.scales[0] * 74.0 * 74.0 * filter.sqrt();
        made.output.1.scale = reach / random.within(40, 150) as f32;
    } else if keeps_meaning(op) {
        made.output.1 = made.inputs[0].1;
    } else if op == Op::Softmax {
        made.output.1 = quantisation(1.0 / 256.0, -128);
    } else if op == Op::Binary(Arithmetic::Mul) {
        made.output.1.scale = made.inputs[0].1.scale * made.inputs[1].1.scale * 40.0;
    }
    if let Activation::HardSwish = made.activation {
        made.output.1.scale = made.inputs[0].1.scale;
    }
    Some(made.finish())
}

/// Operators whose input and output share scale and zero point.
pub fn keeps_meaning(op: Op) -> bool {
    matches!(
        op,
        Op::MaxPool(_)
            | Op::AveragePool { .. }
            | Op::GlobalMaxPool
            | Op::Slice { .. }
            | Op::Shuffle { .. }
            | Op::Pad { .. }
    )
}
