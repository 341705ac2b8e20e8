//! Networks to plant faults in: small ones that are made up, and real ones.

use std::collections::BTreeMap;
use std::path::Path;

use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, Compiled, compile};
use foveola::graph::{Graph, InputType, Layout, Node, Quant, QuantisedWeights, Tensor};
use foveola::import::{Options, load};
use foveola::photo::Intake;
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op};
use foveola_core::{Shape, TensorId};

use super::engine::{Deviation, compute, quantised};

/// SplitMix64.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `0..n`
    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }

    /// `low..=high`
    pub fn within(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as usize) as i32
    }

    /// `low..high`
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.word() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// A network, compiled, with names for the files of its tensors.
pub struct Network {
    pub name: String,
    pub graph: Graph,
    pub card: Card,
    pub compiled: Compiled,
    pub file: ModelFile,
    /// File name of each node's output, by node; `None` for conversions.
    pub files: Vec<Option<String>>,
}

impl Network {
    fn new(
        name: &str,
        graph: Graph,
        card: Card,
        file_of: impl Fn(usize, &Node) -> Option<String>,
    ) -> Self {
        let compiled = compile(graph.clone(), &card, &CompileOptions::default());
        let compiled = compiled.expect("it compiles");
        let file = ModelFile::new(&compiled.bytes).expect("the file is sound");
        let files = graph.nodes.iter().enumerate();
        Self {
            name: name.to_owned(),
            files: files.map(|(i, node)| file_of(i, node)).collect(),
            graph,
            card,
            compiled,
            file,
        }
    }

    pub fn intake(&self) -> Intake<'_> {
        Intake {
            shape: self.graph.tensor(self.graph.input).shape,
            layout: self.graph.layout,
            input_type: self.graph.input_type,
            card: &self.card,
        }
    }

    /// A real one: its tensors are called as TFLite's reference wrote them.
    pub fn real(zoo: &Path, name: &str, keys: &[String]) -> Self {
        let path = zoo.join(format!("models/tinyml/{name}.tflite"));
        let graph = load(&path, &Options::default()).expect("it opens").graph;
        let shape = graph.tensor(graph.input).shape;
        let ids = graph.names.clone();
        let file_of = |_: usize, node: &Node| {
            let number = |key: &&String| {
                let number = key.rsplit('.').next().unwrap_or("");
                ids.get(&format!("#{number}")) == Some(&node.output)
            };
            keys.iter().find(number).cloned()
        };
        Self::new(name, graph, card([shape.h, shape.w], 128.0, 1.0), file_of)
    }

    /// A made-up one.
    pub fn made_up(seed: u64) -> Self {
        let mut maker = Maker::new(seed);
        let (graph, card) = maker.network();
        Self::new(&format!("made-up {seed}"), graph, card, |_, node| {
            let converts = matches!(node.op, Op::Quantise { .. } | Op::Dequantise);
            (!converts).then(|| node.name.clone())
        })
    }
}

fn card(size: [usize; 2], mean: f32, scale: f32) -> Card {
    Card {
        size,
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![mean; 3],
        scale: vec![scale; 3],
        activation: OutputActivation::None,
        labels: Vec::new(),
    }
}

struct Maker {
    random: Random,
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
    /// What a calibration picture makes of each tensor.
    values: Vec<Option<Vec<i8>>>,
}

impl Maker {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            tensors: Vec::new(),
            nodes: Vec::new(),
            values: Vec::new(),
        }
    }

    fn tensor(&mut self, name: &str, shape: Shape, quant: Option<Quant>) -> TensorId {
        self.tensors.push(Tensor {
            name: name.to_owned(),
            shape,
            constant: None,
            quant,
        });
        self.values.push(None);
        TensorId(self.tensors.len() as u16 - 1)
    }

    fn of(&self, id: TensorId) -> &Tensor {
        &self.tensors[usize::from(id.0)]
    }

    /// A quantisation in which 100 steps reach `most`; ReLUs show, as 0 is not
    /// the least number.
    fn quant(&mut self, most: f64) -> Quant {
        Quant {
            scale: (most.max(1e-3) / 100.0) as f32,
            zero_point: self.random.within(-60, 20) as i8,
            unsigned: false,
        }
    }

    fn node(
        &mut self,
        op: Op,
        activation: Activation,
        inputs: &[TensorId],
        output: TensorId,
        weights: Option<QuantisedWeights>,
    ) {
        let node = Node {
            name: self.of(output).name.clone(),
            op,
            activation,
            inputs: inputs.to_vec(),
            output,
            weights: Vec::new(),
            bias: Vec::new(),
            quantised: weights,
            dropout: None,
        };
        if !matches!(op, Op::Quantise { .. } | Op::Dequantise) {
            let graph = self.graph();
            let out = compute(&graph, &node, &self.values, &Deviation::None);
            self.values[usize::from(output.0)] = Some(out);
        }
        self.nodes.push(node);
    }

    /// As far as it is.
    fn graph(&self) -> Graph {
        let last = TensorId(self.tensors.len() as u16 - 1);
        let named = self.tensors.iter().enumerate();
        Graph {
            tensors: self.tensors.clone(),
            nodes: self.nodes.clone(),
            input: TensorId(0),
            layout: Layout::Nhwc,
            input_type: InputType::I8,
            input_name: "input".to_owned(),
            output: last,
            output_name: "scores".to_owned(),
            logits: last,
            names: named
                .map(|(i, t)| (t.name.clone(), TensorId(i as u16)))
                .collect(),
            labels: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// A layer with weights; its output's scale fits what comes out.
    fn linear(
        &mut self,
        name: &str,
        op: Op,
        input: TensorId,
        output: Shape,
        relu: bool,
    ) -> TensorId {
        let from = self.of(input).shape;
        let taps = |g: Geometry| usize::from(g.kernel[0]) * usize::from(g.kernel[1]);
        let (count, outputs) = match op {
            Op::Conv { geometry, .. } => (taps(geometry) * from.c * output.c, output.c),
            Op::Depthwise { geometry } => (taps(geometry) * output.c, output.c),
            _ => (from.len() * output.len(), output.len()),
        };
        let random = &mut self.random;
        let weights = QuantisedWeights {
            weights: (0..count).map(|_| random.within(-127, 127) as i8).collect(),
            zero_point: 0,
            scales: (0..outputs)
                .map(|_| random.real(0.002, 0.01) as f32)
                .collect(),
            bias: (0..outputs).map(|_| random.within(-3000, 3000)).collect(),
        };
        let activation = match relu {
            true => Activation::Relu,
            false => Activation::None,
        };
        // Once with a scale that holds everything, to see how large the values are.
        let wide = Quant {
            scale: 1.0,
            zero_point: 0,
            unsigned: false,
        };
        let mut scale = 1.0;
        let id = self.tensor(name, output, Some(wide));
        for _ in 0..12 {
            self.tensors[usize::from(id.0)].quant = Some(Quant { scale, ..wide });
            let node = Node {
                name: name.to_owned(),
                op,
                activation: Activation::None,
                inputs: vec![input],
                output: id,
                weights: Vec::new(),
                bias: Vec::new(),
                quantised: Some(weights.clone()),
                dropout: None,
            };
            let out = compute(&self.graph(), &node, &self.values, &Deviation::None);
            let most = out.iter().map(|q| i32::from(*q).abs()).max().unwrap_or(0);
            if (40..=110).contains(&most) {
                break;
            }
            scale *= if most > 110 { 2.0 } else { 0.5 };
        }
        let quant = self.quant(f64::from(scale) * 100.0);
        self.tensors[usize::from(id.0)].quant = Some(quant);
        self.node(op, activation, &[input], id, Some(weights));
        id
    }

    fn network(&mut self) -> (Graph, Card) {
        let (h, w) = (self.random.within(9, 16), self.random.within(9, 16));
        let shape = Shape::new(h as usize, w as usize, 3);
        let integers = self.random.below(2) == 0;
        let input = self.tensor("input", shape, None);
        let (quant, op, card) = self.entry(shape, integers);
        let first = self.tensor("quantised", shape, Some(quant));
        self.node(op, Activation::None, &[input], first, None);
        let random = &mut self.random;
        let picture: Vec<f32> = (0..shape.len())
            .map(|_| {
                let pixel = random.below(256) as f32;
                (pixel - card.mean[0]) * card.scale[0]
            })
            .collect();
        let quantise = self.nodes.last().expect("a node");
        self.values[usize::from(first.0)] = Some(quantised(quantise, &picture));
        let last = self.body(first);
        let logits = self.tensor("logits", self.of(last).shape, None);
        self.node(Op::Dequantise, Activation::None, &[last], logits, None);
        let shares = Quant {
            scale: 1.0 / 256.0,
            zero_point: -128,
            unsigned: false,
        };
        let softmax = self.tensor("softmax", self.of(last).shape, Some(shares));
        self.node(Op::Softmax, Activation::None, &[last], softmax, None);
        let scores = self.tensor("scores", self.of(last).shape, None);
        self.node(Op::Dequantise, Activation::None, &[softmax], scores, None);
        let kind = if integers {
            InputType::I8
        } else {
            InputType::F32
        };
        let graph = Graph {
            input_type: kind,
            output: scores,
            logits,
            ..self.graph()
        };
        (graph, card)
    }

    /// How the picture gets in: as integers, or as floats that are quantised.
    fn entry(&mut self, shape: Shape, integers: bool) -> (Quant, Op, Card) {
        let zero_point = self.random.within(-128, -100) as i8;
        let size = [shape.h, shape.w];
        if integers {
            let quant = Quant {
                scale: 1.0 / 255.0,
                zero_point,
                unsigned: false,
            };
            let op = Op::Quantise {
                scale: 1.0,
                zero_point: 0,
            };
            return (quant, op, card(size, 128.0, 1.0));
        }
        let quant = Quant {
            scale: 0.02,
            zero_point: 3,
            unsigned: false,
        };
        let op = Op::Quantise {
            scale: quant.scale,
            zero_point: quant.zero_point,
        };
        (quant, op, card(size, 120.0, 0.019))
    }

    /// Convolutions, a residual, a pool and a dense layer.
    fn body(&mut self, input: TensorId) -> TensorId {
        let channels = self.random.within(4, 8) as usize;
        let stride = self.random.within(1, 2) as u16;
        let first = self.conv("conv1", input, channels, 3, stride, true);
        let stride = self.random.within(1, 2) as u16;
        let from = self.of(first).shape;
        let geometry = same(from, 3, stride);
        let out = shrunk(from, stride, from.c);
        let depthwise = self.linear("depthwise", Op::Depthwise { geometry }, first, out, true);
        let point = self.conv("pointwise", depthwise, channels, 1, 1, true);
        let again = self.conv("conv2", point, channels, 3, 1, false);
        let shape = self.of(again).shape;
        let scales = [point, again].map(|id| f64::from(self.of(id).quant.expect("int8").scale));
        let quant = self.quant(f64::max(scales[0], scales[1]) * 130.0);
        let sum = self.tensor("add", shape, Some(quant));
        let add = Op::Binary(Arithmetic::Add);
        self.node(add, Activation::Relu, &[point, again], sum, None);
        let geometry = Geometry {
            kernel: [shape.h as u16, shape.w as u16],
            stride: [1; 2],
            dilation: [1; 2],
            pad: [0; 2],
        };
        let pool = Op::AveragePool {
            geometry,
            count_padding: false,
            pad_end: [0; 2],
        };
        let mean = self.tensor("mean", Shape::new(1, 1, shape.c), Some(quant));
        self.node(pool, Activation::None, &[sum], mean, None);
        let classes = self.random.within(5, 10) as usize;
        self.linear("dense", Op::Dense, mean, Shape::new(1, 1, classes), false)
    }

    fn conv(
        &mut self,
        name: &str,
        input: TensorId,
        channels: usize,
        kernel: u16,
        stride: u16,
        relu: bool,
    ) -> TensorId {
        let from = self.of(input).shape;
        let geometry = same(from, kernel, stride);
        let op = Op::Conv {
            geometry,
            groups: 1,
        };
        self.linear(name, op, input, shrunk(from, stride, channels), relu)
    }
}

fn shrunk(from: Shape, stride: u16, channels: usize) -> Shape {
    let side = |n: usize| n.div_ceil(usize::from(stride));
    Shape::new(side(from.h), side(from.w), channels)
}

/// TFLite's SAME: what is odd goes below and right.
fn same(from: Shape, kernel: u16, stride: u16) -> Geometry {
    let pad = |n: usize| {
        let outputs = n.div_ceil(usize::from(stride));
        let reach = (outputs - 1) * usize::from(stride) + usize::from(kernel);
        (reach.saturating_sub(n) / 2) as u16
    };
    Geometry {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        pad: [pad(from.h), pad(from.w)],
    }
}
