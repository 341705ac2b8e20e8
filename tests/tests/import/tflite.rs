//! TFLite networks: every tensor of float ones against TFLite's reference
//! kernels; the structure of int8 and uint8 ones.

use std::path::Path;

use foveola::compile::fold;
use foveola::graph::{Graph, InputType};
use foveola::import::{Format, Imported, Options, from_bytes, load};
use foveola_core::TensorId;
use foveola_core::net::op::Op;
use foveola_tests::compiled::scores;
use foveola_tests::interpreter::{run, tensor};
use foveola_tests::tflite::{Reference, folder, names};
use foveola_tests::zoo;
use ndarray::ArrayD;

fn import(path: &Path) -> Imported {
    load(path, &Options::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn assert_close(found: &[f64], wanted: &[f32], tolerance: f64, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}: number of values");
    for (i, (a, &b)) in found.iter().zip(wanted).enumerate() {
        let difference = (a - f64::from(b)).abs();
        assert!(
            difference <= tolerance,
            "{what}: element {i} is {a}, not {b}"
        );
    }
}

#[test]
fn float_networks_give_every_tensor() {
    let mut reference = Reference::small();
    let mut tensors = 0;
    for name in names("float") {
        let graph = import(&folder().join(format!("{name}.tflite"))).graph;
        let input: Vec<f32> = reference.flat(&format!("{name}.input"));
        let values = run(&graph, &input);
        for index in reference.keys(&format!("{name}.")) {
            let wanted: ArrayD<f32> = reference.get(&format!("{name}.{index}"));
            let id = graph.names.get(&format!("#{index}"));
            let Some(id) = id.filter(|&&id| lies_alike(&graph, id, &wanted)) else {
                continue;
            };
            let found = values[usize::from(id.0)].as_ref().expect("a value");
            let wanted: Vec<f32> = wanted.iter().copied().collect();
            assert_close(&found.data, &wanted, 2e-5, &format!("{name} {index}"));
            tensors += 1;
        }
        holds_compiled(
            &graph,
            &input,
            &values[usize::from(graph.output.0)]
                .as_ref()
                .expect("scores")
                .data,
        );
    }
    assert!(tensors > 90, "only {tensors} tensors were compared");
}

/// Whether a tensor's elements lie in the order of the file's: not so where the
/// file transposes and we only rename.
fn lies_alike(graph: &Graph, id: TensorId, file: &ArrayD<f32>) -> bool {
    let shape = graph.tensor(id).shape;
    let wide =
        |sizes: &[usize]| -> Vec<usize> { sizes.iter().copied().filter(|&n| n > 1).collect() };
    let flat = wide(file.shape()).len() < 2;
    flat || wide(&[shape.h, shape.w, shape.c]) == wide(file.shape())
}

/// Simplified, and compiled and run by `core`, the network gives the same scores.
fn holds_compiled(graph: &Graph, input: &[f32], wanted: &[f64]) {
    let wanted: Vec<f32> = wanted.iter().map(|&v| v as f32).collect();
    let mut simple = graph.clone();
    fold::optimise(&mut simple, &[], true);
    assert_close(
        &tensor(&simple, input, simple.output),
        &wanted,
        2e-5,
        "simplified",
    );
    if let Some(found) = scores(graph, input) {
        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
        assert_close(&found, &wanted, 1e-4, "compiled");
    }
}

#[test]
fn zoo_float_networks_give_their_scores_and_those_of_their_twins() {
    let Some(zoo) = zoo() else { return };
    for model in ["resnet8_cifar10_float", "vww96_float"] {
        let folder = zoo.join(format!("expected/tinyml__{model}"));
        let read = |file: &str| -> Vec<f32> {
            let values: ArrayD<f32> = ndarray_npy::read_npy(folder.join(file)).expect("an array");
            values.iter().copied().collect()
        };
        let input = read("input.npy");
        let imported = import(&zoo.join(format!("models/tinyml/{model}.tflite")));
        assert_eq!(imported.format, Format::Tflite { version: 3 });
        let graph = &imported.graph;
        let found = tensor(graph, &input, graph.output);
        assert_close(&found, &read("output_tflite_ref.npy"), 1e-6, model);
        let compiled = scores(graph, &input).expect("a picture");
        let compiled: Vec<f64> = compiled.into_iter().map(f64::from).collect();
        assert_close(&compiled, &read("output_tflite_ref.npy"), 1e-6, model);
        let twin = import(&zoo.join(format!("models/tinyml/{model}.onnx"))).graph;
        let wanted: Vec<f32> = tensor(&twin, &input, twin.logits)
            .iter()
            .map(|&v| v as f32)
            .collect();
        assert_close(&tensor(graph, &input, graph.logits), &wanted, 1e-4, model);
        assert_ne!(graph.logits, graph.output, "the softmax is not the logits");
    }
}

/// Rows of a CSV file whose fields hold no commas.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).expect("the table is there");
    let lines = text.lines().skip(1);
    lines
        .map(|l| l.split(',').map(String::from).collect())
        .collect()
}

#[test]
fn zoo_quantised_networks_keep_their_tensors_and_scales() {
    let Some(zoo) = zoo() else { return };
    let models = [
        ("tinyml", "resnet8_cifar10_int8", InputType::I8),
        ("tinyml", "vww96_int8", InputType::I8),
        ("imagenet", "mobilenet_v2_100_224_uint8", InputType::U8),
    ];
    for (folder, model, kind) in models {
        let graph = import(&zoo.join(format!("models/{folder}/{model}.tflite"))).graph;
        assert_eq!(graph.input_type, kind, "{model}");
        let unsigned = kind == InputType::U8;
        let table = rows(&zoo.join(format!("layers/{model}.csv")));
        assert!(table.len() > 15, "{model}");
        for row in &table {
            let [op, name, index, tensor_name, shape, _, scale, zero_point] = &row[..] else {
                panic!("{model}: a row of {} fields", row.len());
            };
            let what = format!("{model} {op} {name}");
            let id = graph.names[&format!("#{index}")];
            assert_eq!(graph.names[tensor_name], id, "{what}");
            let tensor = graph.tensor(id);
            let quant = tensor.quant.expect("a stored tensor");
            let zero_point: i32 = zero_point.parse().expect("a number");
            let offset = if unsigned { 128 } else { 0 };
            assert_eq!(
                f64::from(quant.scale),
                scale.parse::<f64>().expect("a number"),
                "{what}"
            );
            assert_eq!(i32::from(quant.zero_point), zero_point - offset, "{what}");
            assert_eq!(quant.unsigned, unsigned, "{what}");
            let sizes: Vec<usize> = shape
                .split('x')
                .map(|n| n.parse().expect("a size"))
                .collect();
            assert_eq!(
                tensor.shape.len(),
                sizes.iter().product::<usize>(),
                "{what}"
            );
        }
    }
}

#[test]
fn quantised_networks_stand_between_f32_tensors() {
    let Some(zoo) = zoo() else { return };
    let path = zoo.join("models/imagenet/mobilenet_v2_100_224_uint8.tflite");
    let imported = import(&path);
    let graph = &imported.graph;
    for id in [graph.input, graph.output, graph.logits] {
        assert_eq!(graph.tensor(id).quant, None, "{:?}", graph.tensor(id).name);
    }
    // The model takes integers: they are its model space.
    let first = Op::Quantise {
        scale: 1.0,
        zero_point: -128,
    };
    assert_eq!(graph.nodes[0].op, first);
    let softmax = graph
        .nodes
        .iter()
        .find(|n| n.op == Op::Softmax)
        .expect("a softmax");
    let made_of = |id| graph.producer(id).expect("a node").inputs[0];
    assert_eq!(made_of(graph.output), softmax.output);
    assert_eq!(made_of(graph.logits), softmax.inputs[0]);
    let weights = |n: &foveola::graph::Node| n.quantised.clone();
    let convolutions: Vec<_> = graph.nodes.iter().filter_map(weights).collect();
    assert_eq!(convolutions.len(), 53);
    assert!(
        convolutions
            .iter()
            .all(|w| w.scales.len() == 1 && !w.bias.is_empty())
    );
    assert!(
        convolutions
            .iter()
            .any(|w| w.zero_point != -128 && w.zero_point != 0)
    );
    assert_eq!(graph.names["0.CONV_2D"], graph.names["#56"]);
}

#[test]
fn an_int8_operator_without_a_kernel_runs_in_f32() {
    let graph = import(&folder().join("prelu_int8.tflite")).graph;
    let at = graph
        .nodes
        .iter()
        .position(|n| n.op == Op::PRelu)
        .expect("a PReLU");
    let stored = |i: usize| graph.tensor(graph.nodes[i].output).quant;
    assert_eq!(graph.nodes[at - 1].op, Op::Dequantise);
    assert_eq!(stored(at), None);
    let quant = stored(at + 1).expect("its stored result");
    let back = Op::Quantise {
        scale: quant.scale,
        zero_point: quant.zero_point,
    };
    assert_eq!(graph.nodes[at + 1].op, back);
}

#[test]
fn every_small_quantised_network_imports() {
    for kind in ["int8", "uint8"] {
        for name in names(kind) {
            let bytes = std::fs::read(folder().join(format!("{name}.tflite"))).expect("a file");
            let imported = from_bytes(&bytes, None, &Options::default());
            let graph = imported.unwrap_or_else(|e| panic!("{name}: {e}")).graph;
            for node in graph.nodes.iter().filter(|n| n.quantised.is_some()) {
                assert!(node.weights.is_empty() && node.bias.is_empty(), "{name}");
            }
        }
    }
}
