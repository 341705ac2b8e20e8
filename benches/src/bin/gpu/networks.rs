//! ResNet-18 and ResNet-50 (He et al. 2016, version 1.5) and MobileNetV2
//! (Sandler et al. 2018) with random weights, batch normalisation folded.

use std::collections::BTreeMap;
use std::sync::Arc;

use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::graph::{Graph, InputType, Layout, Node, Tensor};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op};
use foveola_core::rng::{DEFAULT_SEED, Purpose, unit, words};
use foveola_core::{Shape, TensorId};

use super::Result;

/// A network of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    ResNet18,
    ResNet50,
    MobileNetV2,
}

impl Network {
    pub const ALL: [Self; 3] = [Self::ResNet18, Self::ResNet50, Self::MobileNetV2];

    /// As torchvision calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResNet18 => "resnet18",
            Self::ResNet50 => "resnet50",
            Self::MobileNetV2 => "mobilenet_v2",
        }
    }
}

/// A compiled network, and what a picture takes: floating-point operations, two
/// for each product of a layer with weights, and elements of tensors that nodes
/// read and write.
pub struct Built {
    pub file: Arc<ModelFile>,
    pub operations: f64,
    pub elements: f64,
}

const RELU6: Activation = Activation::Clip { lo: 0.0, hi: 6.0 };

struct Draft {
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
    operations: f64,
}

/// Number `i` of a stream, from -1 to 1.
fn drawn(stream: u32, i: usize) -> f32 {
    let [word, ..] = words(DEFAULT_SEED, stream, i as u32, 0, Purpose::Weights);
    2.0 * unit(word) - 1.0
}

impl Draft {
    fn new(side: usize) -> Self {
        let mut draft = Self {
            tensors: vec![],
            nodes: vec![],
            operations: 0.0,
        };
        draft.tensor(Shape::new(side, side, 3));
        draft
    }

    fn tensor(&mut self, shape: Shape) -> TensorId {
        let id = TensorId(self.tensors.len() as u16);
        self.tensors.push(Tensor {
            name: format!("t{}", id.0),
            shape,
            constant: None,
            quant: None,
        });
        id
    }

    fn shape(&self, id: TensorId) -> Shape {
        self.tensors[usize::from(id.0)].shape
    }

    fn node(&mut self, op: Op, activation: Activation, inputs: &[TensorId], to: Shape) -> TensorId {
        let output = self.tensor(to);
        self.nodes.push(Node {
            name: format!("n{}", self.nodes.len()),
            op,
            activation,
            inputs: inputs.to_vec(),
            output,
            weights: vec![],
            bias: vec![],
            quantised: None,
            dropout: None,
        });
        output
    }

    /// Weights as He et al. 2015 draw them.
    fn weighted(&mut self, count: usize, fan: usize, channels: usize, products: usize) {
        let stream = self.nodes.len() as u32;
        let wide = (6.0 / fan as f32).sqrt();
        let Some(node) = self.nodes.last_mut() else {
            return;
        };
        node.weights = (0..count).map(|i| drawn(stream, i) * wide).collect();
        node.bias = (0..channels)
            .map(|i| drawn(stream + 4096, i) * 0.1)
            .collect();
        self.operations += 2.0 * products as f64;
    }

    /// A convolution of `taps` x `taps`, depthwise if `alone`.
    fn conv(
        &mut self,
        x: TensorId,
        to: usize,
        (taps, stride): (u16, u16),
        activation: Activation,
        alone: bool,
    ) -> TensorId {
        let from = self.shape(x);
        let geometry = Geometry {
            kernel: [taps; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            pad: [taps / 2; 2],
        };
        let side = |n: usize| (n - 1) / usize::from(stride) + 1;
        let shape = Shape::new(side(from.h), side(from.w), to);
        let (op, inputs) = match alone {
            true => (Op::Depthwise { geometry }, 1),
            false => (
                Op::Conv {
                    geometry,
                    groups: 1,
                },
                from.c,
            ),
        };
        let id = self.node(op, activation, &[x], shape);
        let fan = inputs * usize::from(taps * taps);
        self.weighted(to * fan, fan, to, shape.len() * fan);
        id
    }

    fn add(&mut self, a: TensorId, b: TensorId, activation: Activation) -> TensorId {
        let shape = self.shape(a);
        self.node(Op::Binary(Arithmetic::Add), activation, &[a, b], shape)
    }

    /// Mean of all pixels, 1000 scores.
    fn end(mut self, x: TensorId) -> (Graph, f64) {
        let channels = self.shape(x).c;
        let axes = [true, true, false];
        let mean = Shape::new(1, 1, channels);
        let x = self.node(Op::Mean { axes }, Activation::None, &[x], mean);
        let scores = Shape::new(1, 1, 1000);
        let logits = self.node(Op::Dense, Activation::None, &[x], scores);
        self.weighted(1000 * channels, channels, 1000, 1000 * channels);
        let output = self.node(Op::Softmax, Activation::None, &[logits], scores);
        let graph = Graph {
            tensors: self.tensors,
            nodes: self.nodes,
            input: TensorId(0),
            layout: Layout::Nchw,
            input_type: InputType::F32,
            input_name: String::from("x"),
            output,
            output_name: String::from("scores"),
            logits,
            names: BTreeMap::new(),
            labels: vec![],
            metadata: BTreeMap::new(),
        };
        (graph, self.operations)
    }
}

fn stem(draft: &mut Draft) -> TensorId {
    let x = draft.conv(TensorId(0), 64, (7, 2), Activation::Relu, false);
    let geometry = Geometry {
        kernel: [3; 2],
        stride: [2; 2],
        dilation: [1; 2],
        pad: [1; 2],
    };
    let Shape { h, w, c } = draft.shape(x);
    let half = |n: usize| (n - 1) / 2 + 1;
    let to = Shape::new(half(h), half(w), c);
    draft.node(Op::MaxPool(geometry), Activation::None, &[x], to)
}

fn resnet(side: usize, blocks: [usize; 4], bottleneck: bool) -> (Graph, f64) {
    let mut draft = Draft::new(side);
    let mut x = stem(&mut draft);
    for (stage, (&count, width)) in blocks.iter().zip([64, 128, 256, 512]).enumerate() {
        for block in 0..count {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let to = if bottleneck { 4 * width } else { width };
            let mut way = x;
            if draft.shape(x).c != to || stride > 1 {
                way = draft.conv(x, to, (1, stride), Activation::None, false);
            }
            x = match bottleneck {
                true => {
                    let a = draft.conv(x, width, (1, 1), Activation::Relu, false);
                    let b = draft.conv(a, width, (3, stride), Activation::Relu, false);
                    draft.conv(b, to, (1, 1), Activation::None, false)
                }
                false => {
                    let a = draft.conv(x, width, (3, stride), Activation::Relu, false);
                    draft.conv(a, to, (3, 1), Activation::None, false)
                }
            };
            x = draft.add(x, way, Activation::Relu);
        }
    }
    draft.end(x)
}

/// Expansion, channels, blocks, stride.
const STAGES: [[usize; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

fn mobilenet(side: usize) -> (Graph, f64) {
    let mut draft = Draft::new(side);
    let mut x = draft.conv(TensorId(0), 32, (3, 2), RELU6, false);
    for [expansion, to, blocks, first] in STAGES {
        for block in 0..blocks {
            let stride = if block == 0 { first as u16 } else { 1 };
            let from = draft.shape(x).c;
            let mut y = x;
            if expansion > 1 {
                y = draft.conv(y, from * expansion, (1, 1), RELU6, false);
            }
            let wide = draft.shape(y).c;
            y = draft.conv(y, wide, (3, stride), RELU6, true);
            y = draft.conv(y, to, (1, 1), Activation::None, false);
            x = match (stride, from == to) {
                (1, true) => draft.add(x, y, Activation::None),
                _ => y,
            };
        }
    }
    x = draft.conv(x, 1280, (1, 1), RELU6, false);
    draft.end(x)
}

/// The network for pictures of `side` x `side`.
pub fn build(network: Network, side: usize) -> Result<Built> {
    let (graph, operations) = match network {
        Network::ResNet18 => resnet(side, [2, 2, 2, 2], false),
        Network::ResNet50 => resnet(side, [3, 4, 6, 3], true),
        Network::MobileNetV2 => mobilenet(side),
    };
    let of = |id: &TensorId| graph.tensor(*id).shape.len() as f64;
    let moved = |n: &Node| n.inputs.iter().map(of).sum::<f64>() + of(&n.output);
    let elements = graph.nodes.iter().map(moved).sum();
    let card = Card {
        size: [side; 2],
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![123.675, 116.28, 103.53],
        scale: vec![1.0 / 58.395, 1.0 / 57.12, 1.0 / 57.375],
        activation: OutputActivation::Softmax,
        labels: vec![],
    };
    let compiled = compile(graph, &card, &CompileOptions::default())?;
    Ok(Built {
        file: Arc::new(ModelFile::new(&compiled.bytes)?),
        operations,
        elements,
    })
}
