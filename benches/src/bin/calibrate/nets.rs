//! Small networks that together use every operator, activation and awkward
//! size: what prices are fitted on.

use std::collections::BTreeMap;

use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::Goal;
use foveola::graph::{Graph, InputType, Layout, Node, Tensor};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};
use foveola_core::{Shape, TensorId};

/// A graph under construction.
pub struct Builder {
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
    state: u32,
}

pub const RELU: Activation = Activation::Relu;
pub const NONE: Activation = Activation::None;

/// A square window.
pub fn window(kernel: u16, stride: u16, pad: u16) -> Geometry {
    Geometry {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        pad: [pad; 2],
    }
}

/// Size of a sliding window's output whose padding is the same on both sides.
fn slid(g: Geometry, axis: usize, size: usize) -> usize {
    let of = |pair: [u16; 2]| usize::from(pair[axis]);
    let span = (of(g.kernel) - 1) * of(g.dilation) + 1;
    (size + 2 * of(g.pad)).saturating_sub(span) / of(g.stride) + 1
}

impl Builder {
    pub fn new(shape: Shape, seed: u32) -> Self {
        let mut builder = Self {
            tensors: Vec::new(),
            nodes: Vec::new(),
            state: seed.wrapping_mul(2_654_435_761).wrapping_add(12345),
        };
        builder.tensor(shape, None);
        builder
    }

    fn tensor(&mut self, shape: Shape, constant: Option<Vec<f32>>) -> u16 {
        let id = self.tensors.len() as u16;
        self.tensors.push(Tensor {
            name: format!("t{id}"),
            shape,
            constant,
            quant: None,
        });
        id
    }

    pub fn shape(&self, id: u16) -> Shape {
        self.tensors[usize::from(id)].shape
    }

    /// A number of 0..`n` that follows no pattern to the eye.
    pub fn below(&mut self, n: usize) -> usize {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        ((u64::from(self.state) * n as u64) >> 32) as usize
    }

    /// Numbers in -scale..scale.
    fn values(&mut self, count: usize, scale: f32) -> Vec<f32> {
        let value = |n: usize| (n as f32 / (1 << 23) as f32 - 1.0) * scale;
        (0..count).map(|_| value(self.below(1 << 24))).collect()
    }

    /// A constant with numbers in 0.5..1.5.
    fn constant(&mut self, shape: Shape) -> u16 {
        let values = self.values(shape.len(), 0.5);
        self.tensor(shape, Some(values.iter().map(|v| v + 1.0).collect()))
    }

    pub fn node(&mut self, op: Op, activation: Activation, inputs: &[u16], shape: Shape) -> u16 {
        let input = self.shape(inputs[0]);
        let (weights, fan_in, bias) = match op {
            Op::Conv { geometry, groups } => {
                let [h, w] = geometry.kernel.map(usize::from);
                let each = h * w * input.c / usize::from(groups);
                (each * shape.c, each, shape.c)
            }
            Op::Depthwise { geometry } => {
                let [h, w] = geometry.kernel.map(usize::from);
                (h * w * input.c, h * w, input.c)
            }
            Op::Dense => (input.len() * shape.len(), input.len(), shape.len()),
            Op::Affine => (input.c, 1, input.c),
            _ => (0, 1, 0),
        };
        let weights = self.values(weights, (6.0 / fan_in as f32).sqrt());
        let bias = self.values(bias, 0.1);
        let output = self.tensor(shape, None);
        self.nodes.push(Node {
            name: format!("n{}", self.nodes.len()),
            op,
            activation,
            inputs: inputs.iter().map(|id| TensorId(*id)).collect(),
            output: TensorId(output),
            weights,
            bias,
            quantised: None,
            dropout: None,
        });
        output
    }

    pub fn conv(&mut self, x: u16, g: Geometry, groups: u16, c: usize, a: Activation) -> u16 {
        let from = self.shape(x);
        let shape = Shape::new(slid(g, 0, from.h), slid(g, 1, from.w), c);
        let op = Op::Conv {
            geometry: g,
            groups,
        };
        self.node(op, a, &[x], shape)
    }

    pub fn pointwise(&mut self, x: u16, c: usize, a: Activation) -> u16 {
        self.conv(x, window(1, 1, 0), 1, c, a)
    }

    pub fn depthwise(&mut self, x: u16, g: Geometry, a: Activation) -> u16 {
        let shape = self.pooled(x, g);
        self.node(Op::Depthwise { geometry: g }, a, &[x], shape)
    }

    pub fn pooled(&self, x: u16, g: Geometry) -> Shape {
        let from = self.shape(x);
        Shape::new(slid(g, 0, from.h), slid(g, 1, from.w), from.c)
    }

    /// A node of the same shape as its input.
    pub fn same(&mut self, op: Op, a: Activation, inputs: &[u16]) -> u16 {
        let shape = self.shape(inputs[0]);
        self.node(op, a, inputs, shape)
    }

    pub fn mean(&mut self, x: u16, axes: [bool; 3]) -> u16 {
        let Shape { h, w, c } = self.shape(x);
        let of = |marked: bool, size| if marked { 1 } else { size };
        let shape = Shape::new(of(axes[0], h), of(axes[1], w), of(axes[2], c));
        self.node(Op::Mean { axes }, NONE, &[x], shape)
    }

    pub fn dense(&mut self, x: u16, classes: usize) -> u16 {
        self.node(Op::Dense, NONE, &[x], Shape::new(1, 1, classes))
    }

    /// The graph, its last tensor the scores.
    pub fn finish(self, output: u16) -> Graph {
        let names: BTreeMap<_, _> = (0..)
            .zip(&self.tensors)
            .map(|(i, t)| (t.name.clone(), TensorId(i)))
            .collect();
        Graph {
            tensors: self.tensors,
            nodes: self.nodes,
            input: TensorId(0),
            layout: Layout::Nchw,
            input_type: InputType::F32,
            input_name: "t0".to_owned(),
            output: TensorId(output),
            output_name: format!("t{output}"),
            logits: TensorId(output),
            names,
            labels: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }
}

/// Number of kinds of [`layer`].
const LAYERS: usize = 47;

/// Layer number `kind` of everything that is to be measured.
fn layer(b: &mut Builder, x: u16, kind: usize) -> u16 {
    let Shape { h, w, c } = b.shape(x);
    let clip = Activation::Clip { lo: 0.0, hi: 6.0 };
    let leaky = Activation::LeakyRelu { slope: 0.1 };
    let act = [RELU, NONE, clip, leaky][b.below(4)];
    let wide = [4, 5, 8, 9, 12, 16, 19, 24, 32][b.below(9)];
    match kind {
        0 | 1 => b.conv(x, window(3, 1, 1), 1, wide, RELU),
        2 => b.conv(x, window(3, 2, 1), 1, wide, clip),
        3 => b.conv(x, window(3, 1, 1), 1, wide, leaky),
        4 => b.conv(x, window(5, 1, 2), 1, wide.min(8), NONE),
        5 => b.conv(x, window(1, 2, 0), 1, wide, act),
        6 => {
            let g = Geometry {
                kernel: [1, 3],
                pad: [0, 1],
                ..window(1, 1, 0)
            };
            b.conv(x, g, 1, wide, act)
        }
        7 => {
            let g = Geometry {
                dilation: [2; 2],
                pad: [2; 2],
                ..window(3, 1, 1)
            };
            b.conv(x, g, 1, wide, act)
        }
        8 | 9 => {
            let y = b.pointwise(x, 12, act);
            b.conv(
                y,
                window(if kind == 8 { 3 } else { 1 }, 1, u16::from(kind == 8)),
                2,
                20,
                RELU,
            )
        }
        10 => b.pointwise(x, wide, RELU),
        11 => b.pointwise(x, wide, clip),
        12 => b.pointwise(x, wide, leaky),
        13 => b.pointwise(x, wide, NONE),
        14 => b.depthwise(x, window(3, 1, 1), RELU),
        15 => b.depthwise(x, window(3, 2, 1), clip),
        16 => b.depthwise(x, window(5, 1, 2), NONE),
        17 => b.depthwise(x, window(3, 1, 1), leaky),
        _ => other(b, x, kind, Shape { h, w, c }),
    }
}

/// Layers that do not convolve.
fn other(b: &mut Builder, x: u16, kind: usize, shape: Shape) -> u16 {
    let Shape { h, w, c } = shape;
    let vector = Shape::new(1, 1, c);
    let binary = |i: usize| {
        Op::Binary(
            [
                Arithmetic::Add,
                Arithmetic::Sub,
                Arithmetic::Mul,
                Arithmetic::Div,
            ][i],
        )
    };
    match kind {
        18 => b.node(
            Op::MaxPool(window(2, 2, 0)),
            NONE,
            &[x],
            b.pooled(x, window(2, 2, 0)),
        ),
        19 => b.node(
            Op::MaxPool(window(3, 2, 1)),
            RELU,
            &[x],
            b.pooled(x, window(3, 2, 1)),
        ),
        20 | 21 => {
            let geometry = window(
                if kind == 20 { 2 } else { 3 },
                if kind == 20 { 2 } else { 1 },
                0,
            );
            let op = Op::AveragePool {
                geometry,
                count_padding: false,
                pad_end: [0; 2],
            };
            let shape = b.pooled(x, geometry);
            b.node(op, NONE, &[x], shape)
        }
        22..=24 => {
            let y = b.pointwise(x, c, NONE);
            b.same(
                binary([0, 1, 2][kind - 22]),
                if kind == 22 { RELU } else { NONE },
                &[x, y],
            )
        }
        25 => {
            let y = b.same(Op::Activate, Activation::Sigmoid, &[x]);
            let z = b.constant(shape);
            let y = b.same(binary(0), NONE, &[y, z]);
            b.same(binary(3), NONE, &[x, y])
        }
        26..=29 => {
            let y = b.constant(vector);
            let z = b.same(binary(kind - 26), RELU, &[x, y]);
            b.node(
                Op::MaxPool(window(2, 1, 0)),
                NONE,
                &[z],
                b.pooled(z, window(2, 1, 0)),
            )
        }
        30 => squeeze_excite(b, x),
        31 => {
            let y = b.mean(x, [false, false, true]);
            let y = b.same(Op::Activate, Activation::Sigmoid, &[y]);
            b.same(binary(2), NONE, &[x, y])
        }
        32 => {
            let slope = b.constant(vector);
            b.same(Op::PRelu, NONE, &[x, slope])
        }
        33 => {
            let y = b.node(
                Op::MaxPool(window(2, 1, 0)),
                NONE,
                &[x],
                b.pooled(x, window(2, 1, 0)),
            );
            b.same(Op::Affine, RELU, &[y])
        }
        34 | 35 => {
            let step = if kind == 34 { 1 } else { 2 };
            let op = Op::Slice {
                start: [0, 0, 1],
                step: [step, step, step.min(if c > 2 { 2 } else { 1 })],
            };
            let of = |size: usize, start: usize, step: u16| (size - start).div_ceil(step.into());
            let to = Shape::new(of(h, 0, step), of(w, 0, step), of(c, 1, step.min(2)));
            b.node(op, NONE, &[x], to)
        }
        36 => {
            let y = b.pointwise(x, 12, RELU);
            b.same(Op::Shuffle { groups: 3 }, NONE, &[y])
        }
        37..=40 => padded(b, x, kind),
        41 | 42 => {
            let y = b.pointwise(x, c + 3, RELU);
            let shape = if kind == 41 {
                Shape::new(h, w, 2 * c + 3)
            } else {
                Shape::new(2 * h, w, c)
            };
            let y = if kind == 41 {
                y
            } else {
                b.pointwise(x, c, RELU)
            };
            let op = Op::Concat {
                axis: if kind == 41 { 2 } else { 0 },
            };
            b.node(op, NONE, &[x, y], shape)
        }
        43 | 44 => b.same(
            Op::Lrn {
                size: 5,
                alpha: 0.1,
                beta: if kind == 43 { 0.75 } else { 0.6 },
                bias: 1.0,
            },
            NONE,
            &[x],
        ),
        _ => activations(b, x, kind),
    }
}

fn squeeze_excite(b: &mut Builder, x: u16) -> u16 {
    let c = b.shape(x).c;
    let y = b.mean(x, [true, true, false]);
    let y = b.pointwise(y, c.div_ceil(2), RELU);
    let y = b.pointwise(y, c, NONE);
    let hard = Activation::HardSigmoid {
        alpha: 0.2,
        beta: 0.5,
    };
    let y = b.same(Op::Activate, hard, &[y]);
    b.same(Op::Binary(Arithmetic::Mul), NONE, &[x, y])
}

fn padded(b: &mut Builder, x: u16, kind: usize) -> u16 {
    let Shape { h, w, c } = b.shape(x);
    let mode = [
        PadMode::Constant(0.5),
        PadMode::Edge,
        PadMode::Reflect,
        PadMode::Constant(0.0),
    ];
    let more = if kind == 40 { 2 } else { 0 };
    let op = Op::Pad {
        before: [1, 2, 0],
        mode: mode[kind - 37],
    };
    let y = b.node(op, NONE, &[x], Shape::new(h + 2, w + 3, c + more));
    b.conv(y, window(3, 2, 0), 1, 8, RELU)
}

fn activations(b: &mut Builder, x: u16, kind: usize) -> u16 {
    let hard = Activation::HardSigmoid {
        alpha: 0.2,
        beta: 0.5,
    };
    let list: &[Activation] = match kind {
        45 => &[Activation::HardSwish, Activation::Sigmoid, hard],
        _ => &[Activation::Silu, Activation::Tanh],
    };
    let mut y = x;
    for activation in list {
        y = b.same(Op::Activate, *activation, &[y]);
    }
    if kind == 46 {
        y = b.same(Op::Softmax, NONE, &[y]);
    }
    y
}

/// A network with its card.
pub struct Net {
    pub graph: Graph,
    pub card: Card,
    /// What is measured besides the methods with gradients.
    pub masks: &'static [&'static str],
    /// Whether its picture is a tensor instead of pixels.
    pub tensor: bool,
    /// Whether it is quantised, and what its plans are then to be.
    pub int8: Option<Goal>,
}

pub fn card(shape: Shape, activation: OutputActivation) -> Card {
    Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: match shape.c {
            1 => Channels::Gray,
            3 => Channels::Rgb,
            _ => Channels::Rgba,
        },
        mean: vec![127.5; shape.c],
        scale: vec![2.0 / 255.0; shape.c],
        activation,
        labels: Vec::new(),
    }
}

/// Methods that are asked of some networks.
const MASKS: [&str; 5] = [
    "occlusion:window=4/5,stride=3/4",
    "rise:masks=6",
    "rise:masks=4,grid=5,baseline=40",
    "hoc:windows=6/4,strides=3/2,threshold=0.05,baseline=black",
    "occlusion:window=3,stride=5,baseline=90",
];

/// Methods that hide much of a broad picture.
const BROAD_MASKS: [&str; 4] = [
    "occlusion:window=30/20,stride=15/14",
    "occlusion:window=44/36,stride=12,baseline=black",
    "rise:masks=8",
    "rise:masks=5,grid=12,baseline=black",
];

/// Network number `index`: a stem, four kinds of layers, a head.
fn net(index: usize) -> Net {
    let sides = [9, 10, 12, 11, 8, 13];
    let (h, w) = (sides[index % 6], sides[(index / 2 + 1) % 6]);
    let input = Shape::new(h, w, [3, 1, 3, 4][index % 4]);
    let mut b = Builder::new(input, index as u32 + 1);
    let wide = [5, 8, 12, 4, 16, 7, 9][index % 7];
    let mut x = match index % 5 {
        0 => b.conv(0, window(5, 2, 2), 1, wide, RELU),
        1 => b.depthwise(0, window(3, 1, 1), NONE),
        2 => b.pointwise(0, wide, RELU),
        _ => b.conv(0, window(3, 1, 1), 1, wide, RELU),
    };
    for i in 0..4 {
        let shape = b.shape(x);
        if shape.h < 4 || shape.w < 4 || shape.c < 3 || shape.len() > 2400 {
            x = b.pointwise(x, 8, RELU);
        }
        if b.shape(x).h >= 4 && b.shape(x).w >= 4 {
            x = layer(&mut b, x, (index * 4 + i) % LAYERS);
        }
    }
    let classes = [3, 10, 5, 8][index % 4];
    let x = match index % 6 {
        0 => b.dense(x, classes),
        1 => {
            let c = b.shape(x).c;
            let y = b.node(Op::GlobalMaxPool, NONE, &[x], Shape::new(1, 1, c));
            b.dense(y, classes)
        }
        _ => {
            let y = b.mean(x, [true, true, false]);
            b.dense(y, classes)
        }
    };
    let activation =
        [OutputActivation::Softmax, OutputActivation::Sigmoid][usize::from(index % 7 == 3)];
    Net {
        graph: b.finish(x),
        card: card(input, activation),
        masks: if index % 5 < 2 && index < 40 {
            &MASKS
        } else {
            &[]
        },
        tensor: index % 4 == 1,
        int8: None,
    }
}

/// A network whose innermost loops outweigh everything around them.
fn broad(index: usize) -> Net {
    let input = Shape::new(20, 18, 3);
    let mut b = Builder::new(input, 77 + index as u32);
    let x = match index {
        0 => {
            let x = b.conv(0, window(3, 1, 1), 1, 8, RELU);
            let x = b.conv(x, window(3, 2, 1), 1, 24, RELU);
            b.conv(x, window(3, 1, 1), 1, 20, RELU)
        }
        1 => {
            let x = b.conv(0, window(3, 2, 1), 1, 16, RELU);
            let x = b.depthwise(x, window(3, 1, 1), RELU);
            let x = b.pointwise(x, 32, RELU);
            let x = b.depthwise(x, window(3, 2, 1), RELU);
            b.pointwise(x, 40, RELU)
        }
        _ => {
            let x = b.conv(0, window(3, 2, 1), 1, 12, RELU);
            let x = b.node(
                Op::MaxPool(window(2, 2, 0)),
                NONE,
                &[x],
                b.pooled(x, window(2, 2, 0)),
            );
            b.conv(x, window(3, 1, 1), 1, 16, RELU)
        }
    };
    let x = b.mean(x, [true, true, false]);
    let x = b.dense(x, 4);
    Net {
        graph: b.finish(x),
        card: card(input, OutputActivation::Softmax),
        masks: if index == 2 { &MASKS } else { &[] },
        tensor: index == 1,
        int8: None,
    }
}

/// A network that is little beside its picture, so that masks outweigh it.
fn scene() -> Net {
    let input = Shape::new(56, 48, 3);
    let mut b = Builder::new(input, 99);
    let x = b.conv(0, window(5, 4, 2), 1, 8, RELU);
    let x = b.mean(x, [true, true, false]);
    let x = b.dense(x, 4);
    Net {
        graph: b.finish(x),
        card: card(input, OutputActivation::Softmax),
        masks: &BROAD_MASKS,
        tensor: false,
        int8: None,
    }
}

/// The networks in f32.
pub fn nets() -> Vec<Net> {
    let small = (0..LAYERS.div_ceil(4) * 4).map(net);
    let broad = (0..3).map(broad);
    small.chain(broad).chain([scene()]).collect()
}
