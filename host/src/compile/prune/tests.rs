//! Small networks whose constants are plain to see.

use foveola_core::net::op::{Activation, Geometry, Op};
use foveola_core::{Shape, TensorId};

use super::{Report, Watched, prune};
use crate::graph::{Graph, InputType, Layout, Node, Quant, QuantisedWeights, Tensor};

const QUANT: Quant = Quant {
    scale: 0.5,
    zero_point: -10,
    unsigned: false,
};
/// Tensors: picture, stored picture, 1x1 convolution, 3x3 convolution, mean,
/// dense layer, scores.
const FIRST: usize = 2;
const SECOND: usize = 3;

fn conv(kernel: u16, pad: u16) -> Op {
    Op::Conv {
        geometry: Geometry {
            kernel: [kernel; 2],
            stride: [1; 2],
            dilation: [1; 2],
            pad: [pad; 2],
        },
        groups: 1,
    }
}

/// 4 x 4 x 2 to 2 classes; the first convolution has three channels with a
/// ReLU, the second two, with padding or without.
fn graph(first: [[i8; 2]; 3], bias: [i32; 3], pad: u16) -> Graph {
    let side = 2 + 2 * usize::from(pad);
    let sizes = [(4, 2), (4, 2), (4, 3), (side, 2), (1, 2), (1, 2), (1, 2)];
    let tensors = sizes.iter().enumerate().map(|(i, &(side, c))| Tensor {
        name: format!("t{i}"),
        shape: Shape::new(side, side, c),
        constant: None,
        quant: (1..6).contains(&i).then_some(QUANT),
    });
    let weights = |weights: Vec<i8>, bias: &[i32]| QuantisedWeights {
        weights,
        zero_point: 0,
        scales: vec![0.5],
        bias: bias.to_vec(),
    };
    let quantise = Op::Quantise {
        scale: QUANT.scale,
        zero_point: QUANT.zero_point,
    };
    let mean = Op::Mean {
        axes: [true, true, false],
    };
    let second = (0..54).map(|i| [1, -3, 2, 5][i % 4]).collect();
    let (relu, none) = (Activation::Relu, Activation::None);
    let steps = [
        (quantise, none, None),
        (conv(1, 0), relu, Some(weights(first.concat(), &bias))),
        (conv(3, pad), none, Some(weights(second, &[7, -7]))),
        (mean, none, None),
        (Op::Dense, none, Some(weights(vec![9, -5, 3, 8], &[1, 2]))),
        (Op::Dequantise, none, None),
    ];
    let nodes = steps.into_iter().enumerate().map(|(i, step)| Node {
        name: format!("n{i}"),
        op: step.0,
        activation: step.1,
        inputs: vec![TensorId(i as u16)],
        output: TensorId(i as u16 + 1),
        weights: vec![],
        bias: vec![],
        quantised: step.2,
        dropout: None,
    });
    Graph {
        tensors: tensors.collect(),
        nodes: nodes.collect(),
        input: TensorId(0),
        layout: Layout::Nhwc,
        input_type: InputType::F32,
        input_name: "x".to_owned(),
        output: TensorId(6),
        output_name: "scores".to_owned(),
        logits: TensorId(6),
        names: Default::default(),
        labels: vec![],
        metadata: Default::default(),
    }
}

fn pruned(mut graph: Graph, watched: Watched) -> (Graph, Report) {
    let report = prune(&mut graph, watched);
    (graph, report)
}

/// Weights of the second convolution, by output channel, that read channel `i`.
fn read(graph: &Graph, i: usize) -> [i32; 2] {
    let weights = &graph.nodes[2].quantised.as_ref().expect("weights").weights;
    [0, 1].map(|o| {
        let filter = &weights[o * 27..][..27];
        filter
            .iter()
            .skip(i)
            .step_by(3)
            .map(|&w| i32::from(w))
            .sum()
    })
}

#[test]
fn zeros_go_also_where_they_are_padded() {
    for pad in [0, 1] {
        let whole = graph([[3, 4], [0, 0], [5, -2]], [0, -8, 3], pad);
        let (smaller, report) = pruned(whole.clone(), Watched::default());
        assert_eq!(report.kept[FIRST], [true, false, true]);
        assert_eq!(smaller.tensors[FIRST].shape.c, 2);
        let [old, new] = [&whole, &smaller].map(|g| g.nodes[2].quantised.clone());
        let [old, new] = [old, new].map(|weights| weights.expect("weights"));
        assert_eq!((new.weights.len(), new.bias), (36, old.bias));
        assert_eq!((report.weights.before, report.weights.after), (64, 44));
        assert_eq!(report.layers.len(), 2);
    }
}

#[test]
fn other_constants_go_into_the_bias_where_nothing_is_padded() {
    // 40 * 0.5 * 0.5 are 10, or 20 steps above the zero point.
    let first = [[3, 4], [0, 0], [5, -2]];
    let whole = graph(first, [0, 40, 3], 0);
    let (smaller, report) = pruned(whole.clone(), Watched::default());
    assert_eq!(report.kept[FIRST], [true, false, true]);
    let bias = &smaller.nodes[2].quantised.as_ref().expect("weights").bias;
    let [a, b] = read(&whole, 1);
    assert_eq!(bias, &[7 + 20 * a, -7 + 20 * b]);
    let (_, report) = pruned(graph(first, [0, 40, 3], 1), Watched::default());
    assert_eq!(report.kept[FIRST], [true; 3]);
    assert!(report.is_empty());
}

#[test]
fn what_is_watched_stays() {
    let whole = |bias| graph([[3, 4], [0, 0], [5, -2]], bias, 0);
    let id = TensorId(FIRST as u16);
    let watched = Watched {
        whole: [id].into(),
        cam: None,
    };
    assert!(pruned(whole([0, 0, 0]), watched).1.is_empty());
    // Grad-CAM's sum does without a channel that is 0, not without another.
    let cam = || Watched {
        cam: Some(id),
        ..Watched::default()
    };
    assert!(pruned(whole([0, 40, 0]), cam()).1.is_empty());
    let (_, report) = pruned(whole([0, 0, 0]), cam());
    assert_eq!(report.kept[FIRST], [true, false, true]);
}

#[test]
fn one_channel_stays_where_all_are_constant() {
    let (smaller, report) = pruned(graph([[0; 2]; 3], [0; 3], 1), Watched::default());
    assert_eq!(report.kept[FIRST], [true, false, false]);
    assert_eq!(report.kept[SECOND], [true, false]);
    let dense = smaller.nodes[4].quantised.as_ref().expect("weights");
    assert_eq!((dense.weights.len(), smaller.tensors[6].shape.c), (2, 2));
}

#[test]
fn what_nothing_reads_goes() {
    let mut whole = graph([[3, 4], [6, 7], [5, -2]], [0; 3], 1);
    let weights = whole.nodes[2].quantised.as_mut().expect("weights");
    let of_last = weights.weights.iter_mut().skip(2).step_by(3);
    of_last.for_each(|w| *w = 0);
    let (_, report) = pruned(whole, Watched::default());
    assert_eq!(report.kept[FIRST], [true, true, false]);
}

/// A constant that its gate lets through keeps the channels that its gradient
/// goes on to.
#[test]
fn constants_with_an_open_gate_stay() {
    let mut whole = graph([[0, 0], [1, 1], [5, -2]], [0, 400, 3], 0);
    let weights = whole.nodes[1].quantised.as_mut().expect("weights");
    // Steps so small that no picture moves the sum by one.
    weights.scales = vec![0.5, 0.0005, 0.5];
    weights.bias[1] = 40_000;
    let (_, report) = pruned(whole, Watched::default());
    assert_eq!(report.kept[FIRST], [false, true, true]);
}
