//! Simplification: what folds, what merges, what a tap keeps, and that the
//! values stay.

use foveola::compile::fold::{default_cam_layer, optimise};
use foveola::graph::Graph;
use foveola::import::{Options, from_bytes};
use foveola_core::net::op::{Activation, Op};
use foveola_tests::interpreter::tensor;
use foveola_tests::onnx::{Attribute, Onnx, floats, numbers};

fn graph(model: &Onnx) -> Graph {
    from_bytes(&model.bytes(), None, &Options::default())
        .unwrap_or_else(|e| panic!("{e}"))
        .graph
}

fn batch_norm(model: &mut Onnx, from: &str, to: &str, channels: usize) {
    let name = |what: &str| format!("{to}.{what}");
    let variance: Vec<f32> = numbers(channels, 5).iter().map(|v| v.abs() + 0.1).collect();
    model
        .weights(&name("scale"), &[channels])
        .weights(&name("shift"), &[channels])
        .weights(&name("mean"), &[channels])
        .tensor(floats(&name("var"), &[channels as i64], &variance));
    let inputs = format!("{from} {to}.scale {to}.shift {to}.mean {to}.var");
    model.node("BatchNormalization", &inputs, to, &[]);
}

/// Convolution, normalisation, ReLU; depthwise, scale, offset, ReLU6; mean, dense with bias.
fn network() -> Onnx {
    let mut model = Onnx::new(13, &[1, 3, 6, 5]);
    model
        .weights("w", &[4, 3, 3, 3])
        .weights("b", &[4])
        .weights("dw", &[4, 1, 2, 2])
        .weights("k", &[4, 1, 1])
        .weights("m", &[4, 3])
        .weights("mb", &[3])
        .tensor(floats("zero", &[], &[0.0]))
        .tensor(floats("six", &[], &[6.0]))
        .tensor(floats("two", &[], &[2.0]))
        .node("Conv", "x w b", "conv", &[]);
    batch_norm(&mut model, "conv", "norm", 4);
    model
        .node("Relu", "norm", "act", &[])
        .node("Conv", "act dw", "depth", &[("group", Attribute::Int(4))])
        .node("Mul", "k depth", "scaled", &[])
        .node("Sub", "two scaled", "turned", &[])
        .node("Div", "turned two", "halved", &[])
        .node("Clip", "halved zero six", "act6", &[])
        .node("GlobalAveragePool", "act6", "mean", &[])
        .node("Flatten", "mean", "flat", &[])
        .node("MatMul", "flat m", "product", &[])
        .node("Add", "product mb", "scores", &[])
        .output("scores");
    model
}

fn agree(a: &Graph, b: &Graph, name: &str) {
    let input = numbers(a.tensor(a.input).shape.len(), 3);
    let (x, y) = (
        tensor(a, &input, a.names[name]),
        tensor(b, &input, b.names[name]),
    );
    assert_eq!(x.len(), y.len());
    for (x, y) in x.iter().zip(&y) {
        assert!((x - y).abs() <= 1e-6 * x.abs().max(1.0), "{name}: {x} {y}");
    }
}

#[test]
fn chains_fold_into_their_first_node() {
    let model = network();
    let before = graph(&model);
    let mut after = before.clone();
    let report = optimise(&mut after, &[], true);
    assert_eq!((report.folded, report.merged, report.removed), (5, 2, 0));
    let ops: Vec<_> = after.nodes.iter().map(|n| (n.op, n.activation)).collect();
    assert!(matches!(ops[0], (Op::Conv { .. }, Activation::Relu)));
    assert!(matches!(
        ops[1],
        (Op::Depthwise { .. }, Activation::Clip { lo: 0.0, hi: 6.0 })
    ));
    assert!(matches!(ops[2], (Op::Mean { .. }, Activation::None)));
    assert!(matches!(ops[3], (Op::Dense, Activation::None)));
    assert_eq!(ops.len(), 4);
    for name in ["act", "act6", "scores", "flat"] {
        agree(&before, &after, name);
    }
    assert_eq!(
        after.tensors.len(),
        5,
        "constants that nothing reads are gone"
    );
    for name in [
        "conv",
        "norm",
        "depth",
        "Conv of depth",
        "halved",
        "product",
    ] {
        assert!(!after.names.contains_key(name), "{name}");
        assert!(report.vanished.contains_key(name), "{name}");
    }
    assert!(report.vanished["conv"].contains("BatchNormalization of norm"));
    assert_eq!(after.names["Relu of act"], after.names["act"]);
    let again = optimise(&mut after, &[], true);
    assert_eq!((again.folded, again.merged, again.removed), (0, 0, 0));
}

#[test]
fn taps_keep_their_values() {
    let model = network();
    let before = graph(&model);
    for tap in [
        "conv",
        "norm",
        "scaled",
        "halved",
        "product",
        "Conv of depth",
        "mean",
    ] {
        let mut after = before.clone();
        let report = optimise(&mut after, &[tap.to_owned()], true);
        assert!(!report.vanished.contains_key(tap));
        agree(&before, &after, tap);
        agree(&before, &after, "scores");
    }
}

#[test]
fn what_is_read_twice_stays() {
    let mut model = Onnx::new(13, &[1, 3, 6, 5]);
    model
        .weights("w", &[3, 3, 1, 1])
        .node("Conv", "x w", "conv", &[]);
    batch_norm(&mut model, "conv", "norm", 3);
    model
        .node("Relu", "norm", "act", &[])
        .node("Sub", "act conv", "sum", &[])
        .node("GlobalMaxPool", "sum", "max", &[])
        .output("max");
    let before = graph(&model);
    let mut after = before.clone();
    let report = optimise(&mut after, &[], true);
    assert_eq!((report.folded, report.merged), (0, 1));
    assert!(after.names.contains_key("conv"));
    agree(&before, &after, "max");
}

#[test]
fn logits_stay_and_dead_ends_go() {
    let mut model = Onnx::new(13, &[1, 3, 6, 5]);
    model
        .weights("w", &[3, 3, 2, 2])
        .node("Split", "x", "a b c", &[("axis", Attribute::Int(1))])
        .node("Concat", "a b x", "joined", &[("axis", Attribute::Int(1))])
        .node("GlobalAveragePool", "joined", "g", &[])
        .node("Flatten", "g", "logits", &[])
        .node("Softmax", "logits", "p", &[])
        .output("p");
    let before = graph(&model);
    assert_eq!(before.logits, before.names["logits"]);
    let mut after = before.clone();
    let report = optimise(&mut after, &[], true);
    assert_eq!(report.removed, 1, "the third part has no reader");
    assert!(report.vanished.contains_key("c"));
    agree(&before, &after, "logits");
    agree(&before, &after, "p");
    assert_eq!(after.logits, after.names["logits"]);
}

#[test]
fn cam_layer_is_the_last_picture_before_the_scores() {
    let mut model = network();
    // A side branch that does not lead to the scores comes last.
    model.node("Sigmoid", "act", "side", &[]).output("side");
    let graph = graph(&model);
    assert!(graph.names.contains_key("side"));
    assert_eq!(default_cam_layer(&graph), Some(graph.names["act6"]));
}

#[test]
fn dropout_survives_simplification() {
    let mut model = Onnx::new(7, &[1, 3, 6, 5]);
    model
        .weights("w", &[4, 90])
        .node("Flatten", "x", "f", &[])
        .node("Gemm", "f w", "g", &[("transB", Attribute::Int(1))])
        .node("Relu", "g", "r", &[])
        .node("Dropout", "r", "d", &[("ratio", Attribute::Float(0.5))])
        .output("d");
    let mut graph = graph(&model);
    optimise(&mut graph, &[], true);
    assert_eq!(graph.nodes.len(), 1);
    assert!(graph.nodes[0].dropout == Some(0.5) && graph.nodes[0].activation == Activation::Relu);
}
