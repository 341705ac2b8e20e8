//! A small network made by hand: convolution with ReLU, residual add, max
//! pooling, global average, dense layer.

use std::collections::BTreeMap;

use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::graph::{Graph, InputType, Layout, Node, Tensor};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op};
use foveola_core::{Shape, TensorId};

/// A card for it: 7 x 6 RGB pixels, softmax, two labels more than needed characters.
pub fn card() -> Card {
    Card {
        size: [7, 6],
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![120.0, 110.0, 100.0],
        scale: vec![0.02, 0.025, 0.03],
        activation: OutputActivation::Softmax,
        labels: ["oak", "steel", "concrete"].map(str::to_owned).to_vec(),
    }
}

/// The network: 7 x 6 x 3 in, three classes out.
pub fn graph() -> Graph {
    let tensor = |name: &str, h, w, c| Tensor {
        name: name.to_owned(),
        shape: Shape::new(h, w, c),
        constant: None,
        quant: None,
    };
    let window = |kernel: u16, stride: u16, pad: u16| Geometry {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        pad: [pad; 2],
    };
    let node =
        |name: &str, op, activation, inputs: &[u16], output: u16, weights: usize, bias: usize| {
            Node {
                name: name.to_owned(),
                op,
                activation,
                inputs: inputs.iter().map(|&i| TensorId(i)).collect(),
                output: TensorId(output),
                weights: values(weights, output),
                bias: values(bias, output + 7),
                quantised: None,
                dropout: None,
            }
        };
    let conv = |geometry| Op::Conv {
        geometry,
        groups: 1,
    };
    let gap = Op::Mean {
        axes: [true, true, false],
    };
    let (relu, none) = (Activation::Relu, Activation::None);
    let tensors = vec![
        tensor("input", 7, 6, 3),
        tensor("conv1", 7, 6, 5),
        tensor("conv2", 7, 6, 5),
        tensor("add", 7, 6, 5),
        tensor("pool", 3, 3, 5),
        tensor("mean", 1, 1, 5),
        tensor("output", 1, 1, 3),
    ];
    let names: BTreeMap<_, _> = (0..)
        .zip(&tensors)
        .map(|(i, t)| (t.name.clone(), TensorId(i)))
        .collect();
    Graph {
        tensors,
        nodes: vec![
            node("conv1", conv(window(3, 1, 1)), relu, &[0], 1, 5 * 9 * 3, 5),
            node("conv2", conv(window(1, 1, 0)), none, &[1], 2, 5 * 5, 5),
            node("add", Op::Binary(Arithmetic::Add), relu, &[1, 2], 3, 0, 0),
            node("pool", Op::MaxPool(window(2, 2, 0)), none, &[3], 4, 0, 0),
            node("mean", gap, none, &[4], 5, 0, 0),
            node("output", Op::Dense, none, &[5], 6, 15, 3),
        ],
        input: TensorId(0),
        layout: Layout::Nchw,
        input_type: InputType::F32,
        input_name: "input".to_owned(),
        output: TensorId(6),
        output_name: "output".to_owned(),
        logits: TensorId(6),
        names,
        labels: Vec::new(),
        metadata: BTreeMap::new(),
    }
}

/// Numbers in -0.5..0.5 that follow no pattern to the eye.
fn values(count: usize, seed: u16) -> Vec<f32> {
    let mut state = u32::from(seed) * 2_654_435_761 + 12345;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect()
}
