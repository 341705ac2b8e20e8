//! Nodes in int8: scales, zero points and weights at random, with saturation,
//! and conversions wherever a node in int8 meets one in f32.

use foveola::graph::{Node, Quant, QuantisedWeights};
use foveola_core::net::int8::make::{Spec, Weights, node as fill, view};
use foveola_core::net::int8::{bytes_len, check as sound_numbers, words_len};
use foveola_core::net::op::{Activation, Arithmetic, Op};
use foveola_core::net::ops::{check, packing};
use foveola_core::net::quant::Quantisation;
use foveola_core::{Shape, TensorId};

use super::draft::{Draft, MOST_ELEMENTS, MOST_WEIGHTS};
use super::number::Random;

/// What a draft in int8 has besides.
#[derive(Clone, Copy, Debug)]
pub struct Integers {
    /// Whether the model's own integers are uint8.
    pub unsigned: bool,
    /// Whether the model takes integers.
    pub integer_input: bool,
    /// Whether some nodes compute in f32.
    pub mixed: bool,
}

/// A usual stored number lies this many steps from the zero point.
const STEPS: f32 = 40.0;

fn has_kernel(op: Op, activation: Activation) -> bool {
    let operator = !matches!(
        op,
        Op::Affine
            | Op::PRelu
            | Op::Lrn { .. }
            | Op::Binary(Arithmetic::Div)
            | Op::Quantise { .. }
            | Op::Dequantise
    );
    operator && (op == Op::Activate || !matches!(activation, Activation::LeakyRelu { .. }))
}

/// Operators whose output has the scale and zero point of their input.
fn moves(op: Op) -> bool {
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

fn zero_point(random: &mut Random) -> i8 {
    match random.below(8) {
        0 | 1 => 0,
        2 | 3 => -128,
        4 => 127,
        _ => (random.below(256) as i32 - 128) as i8,
    }
}

/// Weights near the ends, few that are not 0, small ones, or any.
fn stored_weights(random: &mut Random, count: usize) -> Vec<i8> {
    let any = |random: &mut Random| (random.below(256) as i32 - 128) as i8;
    let kind = random.below(8);
    let weight = |_| match kind {
        0 => random.pick(&[-128, -127, 127]),
        1 if !random.chance(5) => 0,
        2 => random.below(7) as i8 - 3,
        _ => any(random),
    };
    (0..count).map(weight).collect()
}

impl Draft {
    /// Scale and zero point for usual numbers of this magnitude: sometimes all
    /// saturate, sometimes few steps are left.
    fn quant(&mut self, magnitude: f32) -> Option<Quant> {
        let integers = self.integers?;
        let random = &mut self.random;
        let steps = random.pick(&[20.0, 40.0, 40.0, 60.0, 60.0, 90.0, 300.0, 4000.0, 2.0]);
        let scale = magnitude / steps * (0.75 + 0.5 * random.unit());
        Some(Quant {
            scale: scale.clamp(1e-6, 1e6),
            zero_point: zero_point(random),
            unsigned: integers.unsigned,
        })
    }

    fn magnitude(&self, id: TensorId) -> f32 {
        match (self.quant_of(id), self.integers) {
            (Some(quant), _) => STEPS * quant.scale,
            (None, Some(Integers { integer_input, .. })) if integer_input && id.0 == 0 => 60.0,
            _ => 1.0,
        }
    }

    /// The tensor in f32.
    pub fn real(&mut self, id: TensorId) -> TensorId {
        if self.quant_of(id).is_none() {
            return id;
        }
        let made = self.maker_of(id, |op| op == Op::Dequantise);
        made.unwrap_or_else(|| {
            let shape = self.shape(id);
            self.push(Op::Dequantise, Activation::None, vec![id], shape, None)
        })
    }

    /// What a node of such an operator makes of a tensor, if there is one.
    fn maker_of(&self, id: TensorId, is: impl Fn(Op) -> bool) -> Option<TensorId> {
        let mut nodes = self.nodes().iter();
        let node = nodes.find(|n| n.inputs == [id] && is(n.op));
        node.map(|node| node.output)
    }

    /// The tensor in int8.
    fn stored(&mut self, id: TensorId) -> Option<TensorId> {
        if self.quant_of(id).is_some() {
            return Some(id);
        }
        let quant = self.quant(self.magnitude(id))?;
        if self.set_constant_quant(id, quant) {
            return Some(id);
        }
        let made = self.maker_of(id, |op| matches!(op, Op::Quantise { .. }));
        let Integers {
            integer_input,
            unsigned,
            ..
        } = self.integers?;
        // A model's own integers become stored numbers in one way.
        let is_integer = integer_input && id.0 == 0;
        if made.is_some() && (is_integer || !self.random.chance(4)) {
            return made;
        }
        let (scale, zero_point) = match (is_integer, unsigned) {
            (false, _) => (quant.scale, quant.zero_point),
            (true, false) => (1.0, 0),
            (true, true) => (1.0, -128),
        };
        let shape = self.shape(id);
        let op = Op::Quantise { scale, zero_point };
        Some(self.push(op, Activation::None, vec![id], shape, Some(quant)))
    }

    /// Whether a node shall compute with integers; `None` if it must not be.
    pub fn wants_integers(&mut self, op: Op, activation: Activation) -> Option<bool> {
        match (self.integers, has_kernel(op, activation)) {
            (None, _) => Some(false),
            (Some(integers), true) => Some(!integers.mixed || !self.random.chance(8)),
            (Some(integers), false) => integers.mixed.then_some(false),
        }
    }

    /// Adds a node in int8 if it makes sense and is small.
    pub fn integer_node(
        &mut self,
        op: Op,
        activation: Activation,
        inputs: &[TensorId],
        output: Shape,
    ) -> Option<TensorId> {
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.shape(id)).collect();
        let sound = output.len() <= MOST_ELEMENTS && check(op, activation, &shapes, output);
        if !sound || packing::plain_len(op, shapes[0], output) > MOST_WEIGHTS {
            return None;
        }
        let inputs: Option<Vec<TensorId>> = inputs.iter().map(|&id| self.stored(id)).collect();
        let inputs = inputs?;
        let to = self.output_quant(op, activation, &inputs)?;
        let ports: Option<Vec<(Shape, Quantisation)>> = inputs
            .iter()
            .map(|&id| Some((self.shape(id), self.quant_of(id)?.quantisation())))
            .collect();
        let ports = ports?;
        let weights = self.weights8(op, shapes[0], output, to, ports[0].1);
        let spec = Spec {
            op,
            activation,
            inputs: &ports,
            output: (output, to.quantisation()),
            unsigned: to.unsigned,
            weights: weights.as_ref().map(|w| Weights {
                values: &w.weights,
                zero_point: w.zero_point,
                scales: &w.scales,
                bias: &w.bias,
            }),
        };
        if !fits(&spec) {
            return None;
        }
        let id = self.push(op, activation, inputs, output, Some(to));
        self.set_weights(weights);
        Some(id)
    }

    fn output_quant(
        &mut self,
        op: Op,
        activation: Activation,
        inputs: &[TensorId],
    ) -> Option<Quant> {
        let first = self.quant_of(inputs[0])?;
        let a = self.magnitude(inputs[0]);
        let b = inputs.get(1).map_or(0.0, |&id| self.magnitude(id));
        let fixed = |scale, zero_point| Quant {
            scale,
            zero_point,
            ..first
        };
        let usual = !self.random.chance(3);
        match (op, activation) {
            _ if moves(op) => Some(first),
            (Op::Softmax, _) => Some(fixed(1.0 / 256.0, -128)),
            (Op::Activate, Activation::Sigmoid) if usual => Some(fixed(1.0 / 256.0, -128)),
            (Op::Activate, Activation::Tanh) if usual => Some(fixed(1.0 / 128.0, 0)),
            (Op::Concat { .. }, _) if usual => Some(first),
            (Op::Binary(Arithmetic::Mul), _) => self.quant(a * b),
            (Op::Binary(_), _) => self.quant(a.hypot(b)),
            // The next layers find numbers of the size of 1 again.
            (Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense, _) => self.quant(1.0),
            _ => self.quant(a),
        }
    }

    /// Weights that make numbers of about the output's magnitude.
    fn weights8(
        &mut self,
        op: Op,
        input: Shape,
        output: Shape,
        to: Quant,
        from: Quantisation,
    ) -> Option<QuantisedWeights> {
        if !matches!(op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense) {
            return None;
        }
        let random = &mut self.random;
        let (count, channels) = (
            packing::plain_len(op, input, output),
            packing::bias_len(op, output),
        );
        let terms = (count / channels.max(1)).max(1) as f32;
        let usual = 74.0 * STEPS * terms.sqrt();
        let factor = random.pick(&[0.5, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 100.0]) * STEPS / usual;
        let scale = factor * to.scale / from.scale;
        let scales = match random.chance(2) {
            true => vec![scale],
            false => (0..channels)
                .map(|_| scale * (0.25 + 1.75 * random.unit()))
                .collect(),
        };
        let most = match random.below(8) {
            0 => 1e6,
            _ => usual,
        };
        let bias = match random.chance(4) {
            true => vec![],
            false => (0..channels)
                .map(|_| (most * (2.0 * random.unit() - 1.0)) as i32)
                .collect(),
        };
        let shifted = random.chance(if to.unsigned { 2 } else { 6 });
        Some(QuantisedWeights {
            weights: stored_weights(random, count),
            zero_point: if shifted { zero_point(random) } else { 0 },
            scales,
            bias,
        })
    }
}

/// Whether the numbers of a node can be made and pass the model's check.
fn fits(spec: &Spec<'_>) -> bool {
    let ((input, _), (output, _)) = (spec.inputs[0], spec.output);
    let mut bytes = vec![0; bytes_len(spec.op, input, output)];
    let mut words = vec![0; words_len(spec.op, spec.inputs.len(), output)];
    let Some(range) = fill(spec, &mut bytes, &mut words) else {
        return false;
    };
    let node = view(spec, 0, &bytes, &words, range);
    node.is_some_and(|node| sound_numbers(&node, spec.inputs))
}

/// A node without weights.
pub fn plain_node(
    name: String,
    op: Op,
    activation: Activation,
    inputs: Vec<TensorId>,
    output: TensorId,
) -> Node {
    Node {
        name,
        op,
        activation,
        inputs,
        output,
        weights: vec![],
        bias: vec![],
        quantised: None,
        dropout: None,
    }
}
