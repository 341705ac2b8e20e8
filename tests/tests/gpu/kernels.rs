//! Every operator at awkward sizes, forward and backward, against `core`'s
//! reference: a 1x1 convolution makes the channels, the operator follows, and a
//! dense layer makes scores of all its elements, so that each has a gradient.

use std::collections::BTreeMap;
use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::backend::gpu::{Gpu, GpuBackend, Storage};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::graph::{Graph, InputType, Layout, Node, Tensor};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};
use foveola_core::{At, Classifier, Masked, Picture, Rule, Score, Shape, TensorId};

use super::device;

/// Largest difference of a forward and of a backward pass, in shares of the
/// largest value. Sums of products differ by contracted products; functions by
/// the adapter's own `exp`, `tanh` and `pow`, which Vulkan allows 3 ulp and more.
fn tolerance(op: Op, activation: Activation) -> [f32; 2] {
    match (op, activation) {
        (Op::Conv { .. } | Op::Dense | Op::Depthwise { .. }, _) => [2e-6, 4e-6],
        (Op::Lrn { .. } | Op::Softmax, _) => [4e-6, 2e-5],
        (Op::Activate, Activation::Sigmoid | Activation::Silu | Activation::Tanh) => [4e-6, 2e-5],
        (Op::Binary(Arithmetic::Div), _) => [4e-6, 2e-5],
        (Op::Mean { .. } | Op::AveragePool { .. }, _) => [2e-6, 4e-6],
        _ => [1e-6, 2e-6],
    }
}

/// Scores of a case.
pub const CLASSES: usize = 5;

/// An operator on a picture of `input`, and what it makes. A second operand of
/// another shape is the mean of the first over the axes where it is 1.
struct Case {
    op: Op,
    activation: Activation,
    input: Shape,
    second: Option<Shape>,
    output: Shape,
}

pub fn geometry(kernel: [u16; 2], stride: [u16; 2], dilation: [u16; 2], pad: [u16; 2]) -> Geometry {
    Geometry {
        kernel,
        stride,
        dilation,
        pad,
    }
}

/// Numbers in -0.5..0.5 that follow no pattern to the eye.
pub fn values(count: usize, seed: usize) -> Vec<f32> {
    let mut state = (seed as u32 + 1).wrapping_mul(2_654_435_761);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

/// Elements of weights and bias.
fn parameters(op: Op, input: Shape, output: Shape) -> [usize; 2] {
    let taps = |g: Geometry| usize::from(g.kernel[0]) * usize::from(g.kernel[1]);
    match op {
        Op::Conv { geometry, groups } => [
            output.c * taps(geometry) * input.c / usize::from(groups),
            output.c,
        ],
        Op::Depthwise { geometry } => [taps(geometry) * input.c, input.c],
        Op::Dense => [output.len() * input.len(), output.len()],
        Op::Affine => [input.c, input.c],
        _ => [0, 0],
    }
}

#[derive(Default)]
pub struct Draft {
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
}

impl Draft {
    pub fn tensor(&mut self, shape: Shape) -> TensorId {
        let name = format!("t{}", self.tensors.len());
        self.tensors.push(Tensor {
            name,
            shape,
            constant: None,
            quant: None,
        });
        TensorId(self.tensors.len() as u16 - 1)
    }

    pub fn node(
        &mut self,
        op: Op,
        activation: Activation,
        inputs: &[TensorId],
        shape: Shape,
    ) -> TensorId {
        let output = self.tensor(shape);
        let first = self.tensors[usize::from(inputs[0].0)].shape;
        let [weights, bias] = parameters(op, first, shape);
        self.nodes.push(Node {
            name: format!("n{}", output.0),
            op,
            activation,
            inputs: inputs.to_vec(),
            output,
            weights: values(weights, usize::from(output.0)),
            bias: values(bias, 100 + usize::from(output.0)),
            quantised: None,
            dropout: None,
        });
        output
    }

    /// With a dense layer behind `last`.
    pub fn finish(mut self, picture: TensorId, last: TensorId) -> Graph {
        let scores = Shape::new(1, 1, CLASSES);
        let output = self.node(Op::Dense, Activation::None, &[last], scores);
        let named = (0..).zip(&self.tensors);
        let names: BTreeMap<_, _> = named.map(|(i, t)| (t.name.clone(), TensorId(i))).collect();
        Graph {
            tensors: self.tensors,
            nodes: self.nodes,
            input: picture,
            layout: Layout::Nhwc,
            input_type: InputType::F32,
            input_name: String::from("t0"),
            output,
            output_name: format!("t{}", output.0),
            logits: output,
            names,
            labels: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }
}

/// The card of pictures of a shape that enter as they are.
pub fn card(shape: Shape) -> Card {
    Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: Channels::usual(shape.c).unwrap_or(Channels::Rgb),
        mean: vec![0.0; shape.c],
        scale: vec![1.0; shape.c],
        activation: OutputActivation::None,
        labels: Vec::new(),
    }
}

impl Case {
    fn graph(&self) -> Graph {
        let mut draft = Draft::default();
        let Shape { h, w, .. } = self.input;
        let picture = draft.tensor(Shape::new(h, w, 3));
        let one = geometry([1; 2], [1; 2], [1; 2], [0; 2]);
        let mix = Op::Conv {
            geometry: one,
            groups: 1,
        };
        let first = draft.node(mix, Activation::None, &[picture], self.input);
        let mut inputs = vec![first];
        if let Some(shape) = self.second {
            let other = draft.node(mix, Activation::None, &[picture], self.input);
            // What is divided by stays away from 0.
            let other = match self.op {
                Op::Binary(Arithmetic::Div) => {
                    draft.node(Op::Activate, Activation::Sigmoid, &[other], self.input)
                }
                _ => other,
            };
            let own = [shape.h, shape.w, shape.c];
            let axes = [0, 1, 2].map(|i| own[i] != [h, w, self.input.c][i]);
            inputs.push(match axes {
                [false, false, false] => other,
                _ => draft.node(Op::Mean { axes }, Activation::None, &[other], shape),
            });
        }
        let output = draft.node(self.op, self.activation, &inputs, self.output);
        draft.finish(picture, output)
    }

    fn file(&self) -> (Arc<ModelFile>, At) {
        let card = card(Shape::new(self.input.h, self.input.w, 3));
        let graph = self.graph();
        // The operator's own output, before the dense layer.
        let layer = format!("t{}", graph.output.0 - 1);
        let options = CompileOptions {
            layers: vec![layer.clone()],
            ..CompileOptions::default()
        };
        let compiled = compile(graph, &card, &options);
        let compiled = compiled.unwrap_or_else(|e| panic!("{:?}: {e}", self.op));
        let file = ModelFile::new(&compiled.bytes);
        let file = file.unwrap_or_else(|e| panic!("{:?}: {e}", self.op));
        (Arc::new(file), At::Tensor(compiled.names[&layer]))
    }

    /// Compares scores of three pictures at once, and gradients by every rule.
    fn check(&self, gpu: &Arc<Gpu>) {
        let what = format!("{:?} {:?} of {:?}", self.op, self.activation, self.input);
        let (file, layer) = self.file();
        let mut core = CoreBackend::new(Arc::clone(&file), 1).expect("core starts");
        let mut ours = GpuBackend::new(Arc::clone(gpu), file, Storage::Full)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let shape = core.input();
        let pictures = [1, 2, 3].map(|seed| values(shape.len(), seed));
        let question = |i: usize| {
            let data = &pictures[i];
            Masked::whole(Picture::Tensor { shape, data })
        };
        let [forward, _] = tolerance(self.op, self.activation);
        let mut scratch = vec![0.0; core.classes()];
        let mut expected = Vec::new();
        let mut keep = |_: usize, scores: &[f32]| {
            expected.push(scores.to_vec());
            Ok(())
        };
        core.classify_batch(3, &question, Score::Logit, &mut scratch, &mut keep)
            .expect("core runs");
        let mut compare = |i: usize, scores: &[f32]| {
            close(scores, &expected[i], forward, &what);
            Ok(())
        };
        let done = ours.classify_batch(3, &question, Score::Logit, &mut scratch, &mut compare);
        done.unwrap_or_else(|e| panic!("{what}: {e}, {:?}", gpu.failure()));
        self.check_layers(&mut core, &mut ours, &question(0), layer);
    }

    /// Compares every element that the operator makes, and the gradients.
    fn check_layers(
        &self,
        core: &mut CoreBackend,
        ours: &mut GpuBackend,
        picture: &Masked<'_>,
        layer: At,
    ) {
        let what = format!("{:?} {:?} of {:?}", self.op, self.activation, self.input);
        let [forward, backward] = tolerance(self.op, self.activation);
        let seeds = values(core.classes(), 9);
        let seeds: Vec<_> = seeds.into_iter().enumerate().collect();
        let core = core.layers().expect("a white box");
        let ours = ours.layers().expect("a white box");
        core.run(picture, layer, Rule::Gradient).expect("core runs");
        ours.run(picture, layer, Rule::Gradient).expect("gpu runs");
        let expected: Vec<_> = core.activation().expect("a layer").iter().collect();
        let found: Vec<_> = ours.activation().expect("a layer").iter().collect();
        close(&found, &expected, forward, &what);
        for rule in [Rule::Gradient, Rule::Deconvolution, Rule::Guided] {
            core.run(picture, At::Input, rule).expect("core runs");
            let expected = core.backward(&seeds, Score::Logit).expect("a gradient");
            ours.run(picture, At::Input, rule).expect("gpu runs");
            let found = ours.backward(&seeds, Score::Logit).expect("a gradient");
            close(found, expected, backward, &format!("{what} {rule:?}"));
        }
    }
}

pub fn close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let most = expected.iter().fold(1e-3_f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = (a - b).abs() / most;
        assert!(
            error <= tolerance,
            "{what} {i}: {a}, core {b}: {error} of {most}"
        );
    }
}

fn check(cases: impl IntoIterator<Item = Case>) {
    let Some(gpu) = device() else { return };
    for case in cases {
        case.check(&gpu);
    }
}

fn alone(op: Op, input: [usize; 3], output: [usize; 3]) -> Case {
    let of = |[h, w, c]: [usize; 3]| Shape::new(h, w, c);
    Case {
        op,
        activation: Activation::None,
        input: of(input),
        second: None,
        output: of(output),
    }
}

/// Size of the output of a window along both axes.
pub fn slid(geometry: Geometry, [h, w]: [usize; 2], end: [usize; 2]) -> [usize; 2] {
    let of = |i: usize, size: usize| {
        let [kernel, stride, dilation, pad] = [
            geometry.kernel,
            geometry.stride,
            geometry.dilation,
            geometry.pad,
        ]
        .map(|p| usize::from(p[i]));
        (size + pad + end[i] - (kernel - 1) * dilation - 1) / stride + 1
    };
    [of(0, h), of(1, w)]
}

/// Windows of every kind: 1x1, strided, dilated, padded on one side, not square.
pub fn windows() -> Vec<(Geometry, [usize; 2], [usize; 2])> {
    vec![
        (geometry([1, 1], [1, 1], [1, 1], [0, 0]), [1, 1], [0, 0]),
        (geometry([3, 3], [1, 1], [1, 1], [1, 1]), [7, 5], [1, 1]),
        (geometry([3, 3], [2, 2], [1, 1], [0, 1]), [8, 9], [1, 0]),
        (geometry([2, 5], [3, 1], [1, 2], [1, 4]), [11, 10], [0, 2]),
        (geometry([7, 7], [2, 2], [1, 1], [3, 3]), [13, 17], [3, 3]),
        (geometry([3, 2], [1, 2], [3, 1], [2, 0]), [10, 6], [3, 1]),
    ]
}

#[test]
fn convolutions() {
    // Channels in, channels out, groups: below, at and above a tile and a vector.
    let channels = [
        [1, 1, 1],
        [3, 5, 1],
        [4, 64, 1],
        [20, 70, 1],
        [6, 9, 3],
        [16, 8, 2],
        [24, 132, 4],
    ];
    let cases = windows().into_iter().flat_map(|(geometry, sides, end)| {
        channels.map(|[inputs, outputs, groups]| {
            let op = Op::Conv {
                geometry,
                groups: groups as u16,
            };
            let [h, w] = slid(geometry, sides, end);
            let case = alone(op, [sides[0], sides[1], inputs], [h, w, outputs]);
            Case {
                activation: [Activation::None, Activation::Relu][inputs % 2],
                ..case
            }
        })
    });
    check(cases);
}

#[test]
fn depthwise() {
    check(windows().into_iter().flat_map(|(geometry, sides, end)| {
        [1, 5, 32].map(|c| {
            let [h, w] = slid(geometry, sides, end);
            let case = alone(
                Op::Depthwise { geometry },
                [sides[0], sides[1], c],
                [h, w, c],
            );
            Case {
                activation: Activation::Clip { lo: 0.0, hi: 0.25 },
                ..case
            }
        })
    }));
}

#[test]
fn dense() {
    check([
        alone(Op::Dense, [1, 1, 1], [1, 1, 1]),
        alone(Op::Dense, [3, 2, 7], [1, 1, 65]),
        alone(Op::Dense, [4, 4, 16], [1, 1, 130]),
    ]);
}

#[test]
fn pools() {
    check(windows().into_iter().flat_map(|(geometry, sides, end)| {
        let [h, w] = slid(geometry, sides, end);
        let mean = |count_padding| Op::AveragePool {
            geometry,
            count_padding,
            pad_end: end.map(|n| n as u16),
        };
        [Op::MaxPool(geometry), mean(false), mean(true)]
            .map(|op| alone(op, [sides[0], sides[1], 5], [h, w, 5]))
    }));
}

#[test]
fn activations() {
    let kinds = [
        Activation::None,
        Activation::Relu,
        Activation::Clip { lo: -0.1, hi: 0.2 },
        Activation::LeakyRelu { slope: 0.2 },
        Activation::HardSigmoid {
            alpha: 0.9,
            beta: 0.5,
        },
        Activation::HardSwish,
        Activation::Sigmoid,
        Activation::Silu,
        Activation::Tanh,
    ];
    check(kinds.map(|activation| Case {
        activation,
        ..alone(Op::Activate, [5, 3, 7], [5, 3, 7])
    }));
    check([Case {
        activation: Activation::Relu,
        ..alone(Op::Affine, [4, 3, 6], [4, 3, 6])
    }]);
}

#[test]
fn arithmetic() {
    let shape = Shape::new(5, 3, 6);
    let seconds = [
        shape,
        Shape::new(1, 1, 6),
        Shape::new(5, 3, 1),
        Shape::new(1, 3, 6),
        Shape::new(5, 1, 1),
        Shape::new(1, 1, 1),
    ];
    let kinds = [
        Arithmetic::Add,
        Arithmetic::Sub,
        Arithmetic::Mul,
        Arithmetic::Div,
    ];
    let ops = kinds.map(Op::Binary).into_iter().chain([Op::PRelu]);
    check(ops.flat_map(|op| {
        seconds.map(|second| Case {
            second: Some(second),
            ..alone(op, [5, 3, 6], [5, 3, 6])
        })
    }));
}

#[test]
fn moved() {
    let slice = Op::Slice {
        start: [1, 0, 2],
        step: [2, 3, 1],
    };
    let pad = |before, mode| Op::Pad { before, mode };
    check([
        alone(slice, [6, 7, 5], [3, 2, 3]),
        alone(Op::Shuffle { groups: 3 }, [4, 3, 12], [4, 3, 12]),
        alone(pad([1, 2, 1], PadMode::Constant(0.5)), [3, 4, 2], [6, 6, 5]),
        alone(pad([2, 1, 0], PadMode::Edge), [3, 1, 2], [7, 4, 3]),
        alone(pad([2, 3, 1], PadMode::Reflect), [3, 5, 3], [7, 12, 6]),
    ]);
    for axis in 0..3_u8 {
        let mut output = [5, 3, 6];
        output[usize::from(axis)] *= 2;
        let case = alone(Op::Concat { axis }, [5, 3, 6], output);
        check([Case {
            second: Some(case.input),
            activation: Activation::Relu,
            ..case
        }]);
    }
}

#[test]
fn reductions() {
    let mean = |axes: [bool; 3]| {
        let size = |marked: bool, n: usize| if marked { 1 } else { n };
        let output = [size(axes[0], 5), size(axes[1], 4), size(axes[2], 7)];
        alone(Op::Mean { axes }, [5, 4, 7], output)
    };
    check([
        mean([true, true, false]),
        mean([false, false, true]),
        mean([true, false, false]),
        mean([true, true, true]),
        alone(Op::GlobalMaxPool, [5, 4, 7], [1, 1, 7]),
        alone(Op::Softmax, [1, 1, 1], [1, 1, 1]),
        alone(Op::Softmax, [3, 2, 300], [3, 2, 300]),
    ]);
    let lrn = |size, beta| Op::Lrn {
        size,
        alpha: 0.9,
        beta,
        bias: 1.0,
    };
    check(
        [(5, 0.75), (4, 0.5), (1, 1.0)]
            .map(|(size, beta)| alone(lrn(size, beta), [3, 4, 9], [3, 4, 9])),
    );
}
