//! Quantised networks: what becomes of QDQ and QLinear operators, and the
//! scores of ONNX Runtime, which runs the files literally, in float, where its
//! optimisations are off.

use std::fs::File;
use std::path::Path;

use foveola::graph::{Graph, Layout, Quant};
use foveola::import::{Imported, Options, load};
use foveola_core::Score;
use foveola_core::TensorId;
use foveola_core::net::op::Op;
use foveola_tests::compiled::scores_as;
use foveola_tests::interpreter::tensor;
use foveola_tests::{Golden, max_difference, root, to_hwc, zoo};
use ndarray::{ArrayD, ArrayView1, Axis, Ix2};
use ndarray_npy::{NpzReader, ReadableElement, read_npy};

fn import(path: &Path) -> Imported {
    load(path, &Options::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// How many nodes are int8, and the names of those that are neither int8 nor
/// between f32 and int8.
fn census(graph: &Graph) -> (usize, Vec<&str>) {
    let (mut int8, mut float) = (0, vec![]);
    for node in &graph.nodes {
        match (node.op, graph.tensor(node.output).quant) {
            (Op::Quantise { .. } | Op::Dequantise, _) => {}
            (_, Some(_)) => int8 += 1,
            (_, None) => float.push(&node.name[..]),
        }
    }
    (int8, float)
}

/// How the scores, or the logits, are stored.
fn stored(graph: &Graph, real: TensorId) -> Quant {
    let node = graph.producer(real).expect("a node makes the scores");
    assert_eq!(node.op, Op::Dequantise, "the scores are dequantised");
    graph.tensor(node.inputs[0]).quant.expect("they are stored")
}

/// Files of the zoo, and how many int8 nodes each becomes.
const ZOO: [(&str, usize); 6] = [
    ("imagenet/mobilenet_v2_100_224_ort_int8_qdq", 66),
    ("imagenet/mobilenet_v2_100_224_uint8_qdq", 65),
    ("imagenet/squeezenet_int8_qdq", 40),
    ("imagenet/squeezenet_uint8_qoperator", 39),
    ("tinyml/resnet8_cifar10_int8_qdq", 15),
    ("tinyml/vww96_int8_qdq", 30),
];

/// Those that tf2onnx made of .tflite files.
const CONVERTED: [&str; 3] = [
    "imagenet/mobilenet_v2_100_224_uint8_qdq",
    "tinyml/resnet8_cifar10_int8_qdq",
    "tinyml/vww96_int8_qdq",
];

/// The scores when `core` runs the network on integers.
fn integers(graph: &Graph, input: &[f32], score: Score) -> Vec<f64> {
    let scores = scores_as(graph, input, score).expect("a picture");
    scores.into_iter().map(f64::from).collect()
}

#[test]
fn zoo_networks_become_int8_from_end_to_end() {
    let Some(zoo) = zoo() else { return };
    for (model, count) in ZOO {
        let imported = import(&zoo.join(format!("models/{model}.onnx")));
        let graph = &imported.graph;
        let (int8, float) = census(graph);
        assert_eq!((int8, float), (count, vec![]), "{model}");
        assert_eq!(graph.nodes.len(), count + 3, "{model}: nodes");
        assert_eq!(imported.warnings, Vec::<String>::new(), "{model}");
        assert_ne!(graph.logits, graph.output, "{model}: logits");
        assert!((1.0 / 257.0..1.0 / 254.0).contains(&stored(graph, graph.output).scale));
        stored(graph, graph.logits);
    }
}

fn read<T: ReadableElement + Copy + Into<f32>>(path: &Path) -> Option<ArrayD<f32>> {
    let values: ArrayD<T> = read_npy(path).ok()?;
    Some(values.mapv(Into::into))
}

/// A stored array of any type, as f32.
fn array(path: &Path) -> ArrayD<f32> {
    read::<f32>(path)
        .or_else(|| read::<u8>(path))
        .or_else(|| read::<i8>(path))
        .unwrap_or_else(|| panic!("{} holds f4, u1 or i1", path.display()))
}

/// The stored input in HWC order.
fn input(folder: &Path, graph: &Graph) -> Vec<f32> {
    let values = array(&folder.join("input.npy"));
    match graph.layout {
        Layout::Nchw => to_hwc(&values.index_axis(Axis(0), 0).to_owned()),
        _ => values.iter().copied().collect(),
    }
}

/// What ONNX Runtime made of the stored input.
fn reference(model: &str, what: &str) -> Vec<f64> {
    let file = File::open(root().join("tests/golden/unoptimised.npz")).expect("the file opens");
    let mut npz = NpzReader::new(file).expect("it is an npz");
    let key = format!("{}.{what}", model.replace('/', "__"));
    let values: ArrayD<f32> = npz.by_name(&key).expect("the model is in it");
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Integers of a file as real numbers.
fn real(integers: &[f64], quant: Quant) -> Vec<f64> {
    let lower = if quant.unsigned { 128.0 } else { 0.0 };
    let zero = lower + f64::from(quant.zero_point);
    let scale = f64::from(quant.scale);
    integers.iter().map(|&v| (v - zero) * scale).collect()
}

/// Root of the mean square and largest difference, in steps.
fn differences(found: &[f64], wanted: &[f64], scale: f32) -> (f64, f64) {
    assert_eq!(found.len(), wanted.len(), "number of scores");
    let steps = |(a, b): (&f64, &f64)| (a - b) / f64::from(scale);
    let all: Vec<f64> = found.iter().zip(wanted).map(steps).collect();
    let square: f64 = all.iter().map(|d| d * d).sum();
    let worst = all.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
    ((square / all.len() as f64).sqrt(), worst)
}

/// One rounding that falls otherwise in an early layer, as f32 and f64 do where
/// a number lies between two steps, moves logits by a step or two and the
/// probabilities of a sure network by many; so the logits are compared. The
/// integers of `core` are rounded twice in each layer, as TFLite's are.
#[test]
fn zoo_networks_give_their_logits() {
    let Some(zoo) = zoo() else { return };
    for (model, _) in ZOO {
        let graph = import(&zoo.join(format!("models/{model}.onnx"))).graph;
        let folder = zoo.join("expected").join(model.replace('/', "__"));
        let found = tensor(&graph, &input(&folder, &graph), graph.logits);
        let quant = stored(&graph, graph.logits);
        let literal = real(&reference(model, "logits"), quant);
        let optimised = real(&reference(model, "logits_optimised"), quant);
        let (_, modes) = differences(&literal, &optimised, quant.scale);
        let (rms, worst) = differences(&found, &literal, quant.scale);
        println!("{model}: rms {rms:.3}, at most {worst:.0} steps; modes {modes:.0}");
        assert!(
            rms <= 1.0 && worst <= modes + 2.01,
            "{model}: {rms} {worst}"
        );
        // TFLite's rounding is not ONNX Runtime's; these equal TFLite.
        if CONVERTED.contains(&model) {
            continue;
        }
        let found = integers(&graph, &input(&folder, &graph), Score::Logit);
        let (rms, worst) = differences(&found, &literal, quant.scale);
        println!("{model}: core rms {rms:.3}, at most {worst:.0} steps");
        assert!(
            rms <= 1.0 && worst <= modes + 4.01,
            "core {model}: {rms} {worst}"
        );
    }
}

/// Files that take integers answer integers; the scores are what they mean.
#[test]
fn stored_scores_are_dequantised() {
    let Some(zoo) = zoo() else { return };
    for model in ["tinyml/resnet8_cifar10_int8_qdq", "tinyml/vww96_int8_qdq"] {
        let graph = import(&zoo.join(format!("models/{model}.onnx"))).graph;
        let folder = zoo.join("expected").join(model.replace('/', "__"));
        let found = tensor(&graph, &input(&folder, &graph), graph.output);
        let quant = stored(&graph, graph.output);
        let wanted = real(&reference(model, "scores"), quant);
        let (_, worst) = differences(&found, &wanted, quant.scale);
        assert!(worst <= 1.01, "{model}: {worst}");
        let sum: f64 = found.iter().sum();
        assert!(
            (sum - 1.0).abs() < 0.05,
            "{model}: probabilities sum to {sum}"
        );
    }
}

/// tf2onnx keeps scales and integers of a .tflite file, so `core` answers what
/// TFLite's reference kernels answer.
#[test]
fn converted_networks_equal_tflite() {
    let Some(zoo) = zoo() else { return };
    for model in CONVERTED {
        let graph = import(&zoo.join(format!("models/{model}.onnx"))).graph;
        let folder = zoo.join("expected").join(model.replace('/', "__"));
        let found = integers(&graph, &input(&folder, &graph), Score::Probability);
        let stored = stored(&graph, graph.output);
        let wanted = array(&folder.join("output_tflite_ref.npy"));
        let wanted: Vec<f64> = wanted.iter().map(|&v| f64::from(v)).collect();
        let (rms, worst) = differences(&found, &real(&wanted, stored), stored.scale);
        assert_eq!((rms, worst), (0.0, 0.0), "{model}");
    }
}

#[test]
fn golden_networks_give_the_logits_of_onnx_runtime() {
    for (net, count) in [("n3", 14), ("n4", 17)] {
        let mut golden = Golden::open(net);
        for file in ["int8", "int8_u8"] {
            let imported = import(&golden.folder.join(format!("model_{file}.onnx")));
            let graph = &imported.graph;
            assert_eq!(census(graph), (count, vec![]), "{net} {file}");
            let logits = golden.int8(&format!("{file}.logits_ort_noopt"));
            let optimised = golden.int8(&format!("{file}.logits_ort"));
            let step = stored(graph, graph.output).scale;
            let apart =
                |(a, b): (ArrayView1<f32>, ArrayView1<f32>)| max_difference(a, b) / f64::from(step);
            let rows = |a: &ArrayD<f32>| a.clone().into_dimensionality::<Ix2>().expect("a matrix");
            let (literal, fast) = (rows(&logits), rows(&optimised));
            let modes: Vec<f64> = literal
                .outer_iter()
                .zip(fast.outer_iter())
                .map(apart)
                .collect();
            for (i, wanted) in logits.outer_iter().enumerate() {
                let picture = to_hwc(&golden.picture(i));
                let found = tensor(graph, &picture, graph.output);
                let wanted: Vec<f64> = wanted.iter().map(|&v| f64::from(v)).collect();
                let scale = stored(graph, graph.output).scale;
                let (rms, worst) = differences(&found, &wanted, scale);
                println!("{net} {file} {i}: rms {rms:.3}, at most {worst:.3} steps");
                assert!(rms <= 1.0 && worst <= 1.01, "{net} {file}: {rms} {worst}");
                let found = integers(graph, &picture, Score::Probability);
                let (rms, worst) = differences(&found, &wanted, scale);
                println!("{net} {file} {i}: core rms {rms:.3}, at most {worst:.3} steps");
                assert!(
                    rms <= 1.0 && worst <= modes[i] + 1.01,
                    "core {net} {file}: {rms} {worst}"
                );
            }
        }
    }
}
