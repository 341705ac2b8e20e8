//! Squeeze and excitation by hand: the gate is a constant, the signal carries
//! all of the relevance. And int8 beside f32.

use foveola::card::OutputActivation;
use foveola::graph::{Graph, InputType, Layout, Node, Tensor};
use foveola::import;
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op};
use foveola_core::relevance::{LayerRule, RelevanceRules};
use foveola_core::{Shape, TensorId};
use foveola_tests::{Golden, to_hwc};

use super::{backend, logit, relevance, sum};

const PICTURE: Shape = Shape::new(2, 3, 3);
const INSIDE: Shape = Shape::new(2, 3, 2);
const SIGNAL: [[f32; 3]; 2] = [[1.0, -0.5, 0.5], [0.25, 2.0, -1.0]];
const GATE: [[f32; 2]; 2] = [[0.5, 0.25], [-1.0, 0.75]];
const HEAD: [[f32; 2]; 2] = [[1.5, -1.0], [0.5, 2.0]];

struct Draft(Graph);

impl Draft {
    fn add(&mut self, op: Op, activation: Activation, inputs: &[u16], shape: Shape) -> u16 {
        let id = self.0.tensors.len() as u16;
        self.0.tensors.push(tensor(&format!("t{id}"), shape));
        self.0.nodes.push(Node {
            name: format!("n{id}"),
            op,
            activation,
            inputs: inputs.iter().map(|&id| TensorId(id)).collect(),
            output: TensorId(id),
            weights: Vec::new(),
            bias: Vec::new(),
            quantised: None,
            dropout: None,
        });
        id
    }

    fn weigh<const N: usize>(&mut self, weights: [[f32; N]; 2]) {
        let node = self.0.nodes.last_mut().expect("a node");
        node.weights = weights.concat();
    }
}

fn tensor(name: &str, shape: Shape) -> Tensor {
    Tensor {
        name: name.into(),
        shape,
        constant: None,
        quant: None,
    }
}

/// `head(mean(signal * sigmoid(gate(mean(signal)))))`, no bias anywhere.
fn excited() -> Graph {
    let vector = Shape::new(1, 1, 2);
    let mut draft = Draft(Graph {
        tensors: vec![tensor("x", PICTURE)],
        nodes: Vec::new(),
        input: TensorId(0),
        layout: Layout::Nchw,
        input_type: InputType::F32,
        input_name: "x".into(),
        output: TensorId(0),
        output_name: "y".into(),
        logits: TensorId(0),
        names: Default::default(),
        metadata: Default::default(),
        labels: Vec::new(),
    });
    let point = Geometry {
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0, 0],
    };
    let conv = Op::Conv {
        geometry: point,
        groups: 1,
    };
    let mean = Op::Mean {
        axes: [true, true, false],
    };
    let none = Activation::None;
    let signal = draft.add(conv, none, &[0], INSIDE);
    draft.weigh(SIGNAL);
    let squeezed = draft.add(mean, none, &[signal], vector);
    let gate = draft.add(conv, none, &[squeezed], vector);
    draft.weigh(GATE);
    let gate = draft.add(Op::Activate, Activation::Sigmoid, &[gate], vector);
    let product = Op::Binary(Arithmetic::Mul);
    let excited = draft.add(product, none, &[gate, signal], INSIDE);
    let pooled = draft.add(mean, none, &[excited], vector);
    let head = draft.add(Op::Dense, none, &[pooled], vector);
    draft.weigh(HEAD);
    draft.0.output = TensorId(head);
    draft.0.logits = TensorId(head);
    draft.0
}

#[test]
fn a_gate_is_a_constant() {
    let hwc: Vec<f32> = (0..18).map(|i| ((i * 7) % 18) as f32 / 8.0 - 1.0).collect();
    let mut backend = backend(excited(), OutputActivation::None);
    let mean = |i: usize| hwc.iter().skip(i).step_by(3).sum::<f32>() / 6.0;
    let signal = SIGNAL.map(|w| (0..3).map(|i| w[i] * mean(i)).sum::<f32>());
    let gate = GATE.map(|w| 1.0 / (1.0 + (-(w[0] * signal[0] + w[1] * signal[1])).exp()));
    for (target, head) in HEAD.iter().enumerate() {
        let rules = RelevanceRules::uniform(LayerRule::Epsilon, 0.0);
        let (map, layers) = relevance(&mut backend, &hwc, target, rules).expect("a map");
        for (i, (r, x)) in map.iter().zip(&hwc).enumerate() {
            let slope: f32 = (0..2)
                .map(|c| head[c] * gate[c] * SIGNAL[c][i % 3] / 6.0)
                .sum();
            assert!((r - x * slope).abs() < 1e-6, "{i}: {r} {}", x * slope);
        }
        let score = logit(&mut backend, &hwc, target);
        assert!((sum(&map) - score).abs() < 1e-6, "{} {score}", sum(&map));
        assert!(layers.iter().all(|l| l.bias == 0.0 && l.epsilon == 0.0));
    }
}

/// Pearson's correlation.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |v: &[f32]| sum(v) / v.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x) - ma, f64::from(*y) - mb);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt()
}

/// The int8 network shares relevance as the network that it was made of, and
/// its books balance.
#[test]
fn int8_stays_near_f32() {
    for (net, file) in [
        ("n3", "model_int8.onnx"),
        ("n3", "model_int8_u8.onnx"),
        ("n4", "model_int8.onnx"),
    ] {
        let mut golden = Golden::open(net);
        let open = |file: &str| {
            let options = import::Options::default();
            let loaded = import::load(&golden.folder.join(file), &options);
            backend(loaded.expect("it imports").graph, OutputActivation::Softmax)
        };
        let (mut real, mut integer) = (open("model.onnx"), open(file));
        for picture in 0..2 {
            let hwc = to_hwc(&golden.picture(picture));
            let rules = RelevanceRules::uniform(LayerRule::ZPlus, 1e-6);
            let (wanted, _) = relevance(&mut real, &hwc, 1, rules).expect("a map");
            let (found, layers) = relevance(&mut integer, &hwc, 1, rules).expect("a map");
            let alike = correlation(&wanted, &found);
            assert!(alike > 0.97, "{net}/{file}: {alike}");
            let taken: f64 = layers.iter().map(|l| l.bias + l.epsilon).sum();
            let score = logit(&mut integer, &hwc, 1);
            let left = sum(&found) + taken;
            assert!(
                (left - score).abs() < 1e-3 * score.abs().max(1.0),
                "{left} {score}"
            );
        }
    }
}
