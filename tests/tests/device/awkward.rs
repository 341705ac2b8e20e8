//! Single int8 operators of awkward sizes on the boards whose kernels take
//! several elements at a time: every length, rest and border of theirs, bit for
//! bit as portable code makes them, which is held to sums in i64 elsewhere.

use std::sync::OnceLock;

use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::graph::{Graph, InputType, Layout, Node, Quant, QuantisedWeights, Tensor};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op};
use foveola_core::{Shape, TensorId};
use foveola_tests::random::number::Random;
use foveola_tests::random::{Numbers, RandomNetwork};
use foveola_tests::zoo;

use super::board::{Folder, available};
use super::random_networks::{Case, same_bits};

const NETWORKS: u64 = 300;

/// A network under construction.
struct Draft {
    random: Random,
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
}

impl Draft {
    fn push(
        &mut self,
        op: Op,
        activation: Activation,
        inputs: &[TensorId],
        (shape, quant): (Shape, Option<Quant>),
        quantised: Option<QuantisedWeights>,
    ) -> TensorId {
        let id = TensorId(self.tensors.len() as u16);
        self.tensors.push(Tensor {
            name: format!("t{}", id.0),
            shape,
            constant: None,
            quant,
        });
        self.nodes.push(Node {
            name: format!("n{}", id.0),
            op,
            activation,
            inputs: inputs.to_vec(),
            output: id,
            weights: vec![],
            bias: vec![],
            quantised,
            dropout: None,
        });
        id
    }

    fn quant(&mut self) -> Quant {
        Quant {
            scale: 0.02 + 0.05 * self.random.unit(),
            zero_point: self.random.pick(&[-128, -128, 0, 127, 3, -77]),
            unsigned: false,
        }
    }

    fn activation(&mut self) -> Activation {
        let clip = Activation::Clip { lo: -0.5, hi: 1.5 };
        self.random
            .pick(&[Activation::None, Activation::Relu, clip])
    }

    /// Numbers that fill most of the output's range.
    fn weights(
        &mut self,
        count: usize,
        channels: usize,
        from: Quant,
        to: Quant,
    ) -> QuantisedWeights {
        let random = &mut self.random;
        let least = random.pick(&[-128, -127, -127]);
        let values = (128 - least) as usize;
        let weight = |_| (least + random.below(values) as i32) as i8;
        let weights = (0..count).map(weight).collect();
        let terms = (count / channels) as f32;
        let usual = 74.0 * 74.0 * terms.sqrt();
        // Factors of more than 1 are for no fast kernel.
        let large = if random.chance(12) { 2e4 } else { 60.0 };
        let scales = (0..channels).map(|_| {
            let factor = large / usual * (0.3 + random.unit());
            factor * to.scale / from.scale
        });
        let scales = scales.collect();
        let bias = (0..channels).map(|_| random.below(40_000) as i32 - 20_000);
        QuantisedWeights {
            weights,
            zero_point: 0,
            scales,
            bias: bias.collect(),
        }
    }

    /// An operator with weights, on `x`.
    fn sliding(&mut self, x: TensorId, op: Op, outputs: usize) -> TensorId {
        let (input, from) = self.value(x);
        let (geometry, depthwise) = match op {
            Op::Depthwise { geometry } => (geometry, true),
            Op::Conv { geometry, .. } => (geometry, false),
            _ => unreachable!("an operator with a window"),
        };
        let side = |axis: usize, size: usize| {
            let pad = usize::from(geometry.pad[axis]);
            let reach = usize::from(geometry.kernel[axis]);
            (size + 2 * pad - reach) / usize::from(geometry.stride[axis]) + 1
        };
        let shape = Shape::new(side(0, input.h), side(1, input.w), outputs);
        let taps = usize::from(geometry.kernel[0]) * usize::from(geometry.kernel[1]);
        let count = taps * outputs * if depthwise { 1 } else { input.c };
        let (to, activation) = (self.quant(), self.activation());
        let weights = self.weights(count, outputs, from, to);
        self.push(op, activation, &[x], (shape, Some(to)), Some(weights))
    }

    fn value(&self, id: TensorId) -> (Shape, Quant) {
        let tensor = &self.tensors[usize::from(id.0)];
        (tensor.shape, tensor.quant.expect("stored as int8"))
    }

    /// A kernel with its strides and padding for pictures of at least `least`.
    fn geometry(&mut self, kernel: [u16; 2], least: [usize; 2]) -> Geometry {
        let mut pad = [0; 2];
        for (axis, pad) in pad.iter_mut().enumerate() {
            let needed = usize::from(kernel[axis])
                .saturating_sub(least[axis])
                .div_ceil(2);
            let most = usize::from(kernel[axis]) / 2;
            *pad = self.random.within(needed.min(most), most) as u16;
        }
        let stride = self
            .random
            .pick(&[[1, 1], [1, 1], [2, 2], [1, 2], [2, 1], [1, 3]]);
        Geometry {
            kernel,
            stride,
            dilation: [1; 2],
            pad,
        }
    }
}

/// Shape of the picture, and how the operator under test is made of it.
fn operator(seed: u64, draft: &mut Draft) -> Shape {
    let random = &mut draft.random;
    // All channel counts in turn.
    let c = 1 + (seed / 5) as usize % 40;
    let wide = random.chance(6);
    let w = if wide {
        random.within(40, 130)
    } else {
        random.within(1, 14)
    };
    let h = random.within(1, if wide { 3 } else { 7 });
    Shape::new(h, w, c)
}

/// The network of a seed.
fn network(seed: u64) -> RandomNetwork {
    let mut draft = Draft {
        random: Random::new(seed, 1 << 20),
        tensors: vec![],
        nodes: vec![],
    };
    let shape = operator(seed, &mut draft);
    draft.tensors.push(Tensor {
        name: "x".to_owned(),
        shape,
        constant: None,
        quant: None,
    });
    let stored = draft.quant();
    let op = Op::Quantise {
        scale: stored.scale,
        zero_point: stored.zero_point,
    };
    let x = draft.push(
        op,
        Activation::None,
        &[TensorId(0)],
        (shape, Some(stored)),
        None,
    );
    let least = [shape.h, shape.w];
    let outputs = draft.random.within(1, 70);
    let y = match seed % 5 {
        0 => {
            let geometry = draft.geometry([1, 1], least);
            draft.sliding(
                x,
                Op::Conv {
                    geometry,
                    groups: 1,
                },
                outputs,
            )
        }
        1 => {
            let kernel = draft
                .random
                .pick(&[[3, 3], [3, 3], [2, 3], [1, 3], [3, 1], [5, 5]]);
            let kernel = [
                kernel[0].min(2 * shape.h as u16),
                kernel[1].min(2 * shape.w as u16),
            ];
            let geometry = draft.geometry(kernel, least);
            draft.sliding(
                x,
                Op::Conv {
                    geometry,
                    groups: 1,
                },
                outputs.min(33),
            )
        }
        2 | 3 => {
            let kernel = [3.min(2 * shape.h as u16), 3.min(2 * shape.w as u16)];
            let geometry = draft.geometry(kernel, least);
            draft.sliding(x, Op::Depthwise { geometry }, shape.c)
        }
        _ => {
            let geometry = Geometry {
                stride: [1; 2],
                ..draft.geometry([1, 1], least)
            };
            let other = draft.sliding(
                x,
                Op::Conv {
                    geometry,
                    groups: 1,
                },
                shape.c,
            );
            let (to, activation) = (draft.quant(), draft.activation());
            let op =
                Op::Binary(
                    draft
                        .random
                        .pick(&[Arithmetic::Add, Arithmetic::Add, Arithmetic::Sub]),
                );
            draft.push(op, activation, &[x, other], (shape, Some(to)), None)
        }
    };
    finish(seed, draft, y, shape)
}

/// Adds the scores and compiles.
fn finish(seed: u64, mut draft: Draft, y: TensorId, shape: Shape) -> RandomNetwork {
    let (made, quant) = draft.value(y);
    let vector = Shape::new(1, 1, made.c);
    let mean = Op::Mean {
        axes: [true, true, false],
    };
    let mean = draft.push(mean, Activation::None, &[y], (vector, Some(quant)), None);
    let scores = draft.push(
        Op::Dequantise,
        Activation::None,
        &[mean],
        (vector, None),
        None,
    );
    let number = |_| 8.0 * (draft.random.unit() - 0.5);
    let picture = (0..shape.len()).map(number).collect();
    let graph = Graph {
        tensors: draft.tensors,
        nodes: draft.nodes,
        input: TensorId(0),
        layout: Layout::Nhwc,
        input_type: InputType::F32,
        input_name: "x".to_owned(),
        output: scores,
        output_name: "scores".to_owned(),
        logits: scores,
        names: Default::default(),
        labels: Vec::new(),
        metadata: Default::default(),
    };
    let card = Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![0.0; shape.c],
        scale: vec![1.0; shape.c],
        activation: OutputActivation::None,
        labels: Vec::new(),
    };
    let compiled = compile(graph, &card, &CompileOptions::default()).expect("it compiles");
    RandomNetwork {
        seed,
        bytes: compiled.bytes,
        shape,
        picture: Numbers::Tensor(picture),
    }
}

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    let case = |seed| Case::new(network(seed), &[]);
    CASES.get_or_init(|| (0..NETWORKS).map(case).collect())
}

#[test]
fn on_mps2_an386() {
    same_bits("mps2-an386", cases());
}

#[test]
fn on_mps2_an505() {
    same_bits("mps2-an505", cases());
}

#[test]
fn on_mps3_an547() {
    same_bits("mps3-an547", cases());
}

/// Helium is found and pays: the same network on the same program takes less
/// than half of what it takes on a board without.
#[test]
fn helium_is_used() {
    let (Some(zoo), true) = (zoo(), available()) else {
        return;
    };
    let path = zoo.join("models/tinyml/resnet8_cifar10_int8.tflite");
    let graph = foveola::import::load(&path, &Default::default()).expect("it imports");
    let card = Card {
        size: [32; 2],
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![128.0; 3],
        scale: vec![1.0; 3],
        activation: OutputActivation::None,
        labels: Vec::new(),
    };
    let bytes = compile(graph.graph, &card, &CompileOptions::default())
        .expect("it compiles")
        .bytes;
    let picture: Vec<u8> = (0..32 * 32 * 3).map(|i| (i * 37 % 256) as u8).collect();
    let [without, with] = ["mps2-an505", "mps3-an547"].map(|board| {
        let folder = Folder::new().file("n.fov", &bytes).file("p.bin", &picture);
        let answer = folder
            .run(board, "model=n.fov\npicture=p.bin\n")
            .done(board);
        answer.cost("classify", "instructions").expect("a cost")
    });
    println!("ResNet-8: {without} instructions without Helium, {with} with it");
    assert!(2 * with < without, "{without} {with}");
}
