//! Real networks: imported, and imported and simplified, they give the scores
//! that PyTorch and ONNX Runtime gave.

use std::path::Path;

use foveola::compile::fold;
use foveola::graph::{Graph, Layout};
use foveola::import::{Imported, Options, load};
use foveola_core::TensorId;
use foveola_tests::compiled::scores;
use foveola_tests::interpreter::tensor;
use foveola_tests::{Golden, to_hwc, zoo};
use ndarray::ArrayD;

fn import(path: &Path) -> Imported {
    load(path, &Options::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The graph as imported, and simplified.
fn both(path: &Path) -> [Graph; 2] {
    let graph = import(path).graph;
    let mut simple = graph.clone();
    fold::optimise(&mut simple, &[], true);
    [graph, simple]
}

fn assert_close(found: &[f64], wanted: &[f32], tolerance: f64, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}: number of scores");
    for (i, (a, &b)) in found.iter().zip(wanted).enumerate() {
        let difference = (a - f64::from(b)).abs();
        assert!(difference <= tolerance, "{what}: score {i} is {a}, not {b}");
    }
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |m, &v| m.max(f64::from(v.abs())))
}

#[test]
fn golden_networks_give_their_logits() {
    for net in ["n1", "n2", "n3", "n4", "n5"] {
        let mut golden = Golden::open(net);
        let logits: ArrayD<f32> = golden.reference("logits");
        for file in ["model.onnx", "model_bn.onnx", "model_fused.onnx"] {
            let path = golden.folder.join(file);
            if !path.exists() {
                continue;
            }
            for graph in both(&path) {
                let picture = to_hwc(&golden.picture(0));
                let found = tensor(&graph, &picture, graph.logits);
                let wanted: Vec<f32> = logits
                    .index_axis(ndarray::Axis(0), 0)
                    .iter()
                    .copied()
                    .collect();
                let tolerance = 1e-5 * largest(&wanted);
                assert_close(&found, &wanted, tolerance, &format!("{net}/{file}"));
            }
        }
    }
}

#[test]
fn golden_layers_keep_their_shapes() {
    for net in ["n1", "n2", "n3", "n4", "n5"] {
        let golden = Golden::open(net);
        let graph = import(&golden.folder.join("model.onnx")).graph;
        for which in ["last", "inner"] {
            let wanted = &golden.manifest["layers"][which]["shape"];
            let wanted: Vec<u64> = (0..3)
                .map(|i| wanted[i].as_u64().expect("a size"))
                .collect();
            let id: TensorId = graph.names[&golden.layer(which)];
            let shape = graph.tensor(id).shape;
            assert_eq!(
                [shape.c, shape.h, shape.w].map(|n| n as u64),
                wanted[..],
                "{net} {which}"
            );
        }
    }
}

/// The stored input in HWC order.
fn stored_input(folder: &Path, graph: &Graph) -> Vec<f32> {
    let file = folder.join("input.npy");
    let values: ArrayD<f32> = ndarray_npy::read_npy(&file).unwrap_or_else(|_| halves(&file));
    if graph.layout != Layout::Nchw {
        return values.iter().copied().collect();
    }
    to_hwc(&values.index_axis(ndarray::Axis(0), 0).to_owned())
}

/// A float16 array: its bits follow the header.
fn halves(file: &Path) -> ArrayD<f32> {
    let bytes = std::fs::read(file).expect("the array is there");
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..header]).into_owned();
    assert!(text.contains("'<f2'"), "float32 or float16: {text}");
    let shape: Vec<usize> = text
        .split_once("'shape': (")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(dims, _)| {
            dims.split(',')
                .filter_map(|d| d.trim().parse().ok())
                .collect()
        })
        .expect("a shape");
    let values = bytes[header..]
        .chunks_exact(2)
        .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
        .collect();
    ArrayD::from_shape_vec(shape, values).expect("elements fit the shape")
}

fn stored_output(folder: &Path) -> Vec<f32> {
    let file = folder.join("output.npy");
    let values: ArrayD<f32> = ndarray_npy::read_npy(&file).unwrap_or_else(|_| halves(&file));
    values.iter().copied().collect()
}

#[test]
fn zoo_models_give_their_scores() {
    let Some(zoo) = zoo() else { return };
    let models = [
        ("cifar10/resnet20_cifar10_float", 1e-5),
        ("cifar10/winml_pytorch_cnn_cifar10", 1e-5),
        ("customvision/cat-or-dog_core", 1e-5),
        ("customvision/cat-or-dog_orig", 1e-5),
        ("imagenet/mobilenet_v2_100_224_float_nchw", 1e-5),
        ("imagenet/squeezenet_fp32", 1e-5),
        // ONNX Runtime computed this one in float16.
        ("imagenet/squeezenet_fp16_orig", 2e-3),
        ("mnist/mnist_cntk", 1e-5),
        ("tinyml/resnet8_cifar10_float", 1e-5),
        ("tinyml/vww96_float", 1e-5),
    ];
    for (model, tolerance) in models {
        let folder = zoo.join("expected").join(model.replace('/', "__"));
        let wanted = stored_output(&folder);
        for graph in both(&zoo.join(format!("models/{model}.onnx"))) {
            let input = stored_input(&folder, &graph);
            let found = tensor(&graph, &input, graph.output);
            let tolerance = tolerance * largest(&wanted).max(1.0);
            assert_close(&found, &wanted, tolerance, model);
        }
        let graph = import(&zoo.join(format!("models/{model}.onnx"))).graph;
        let input = stored_input(&folder, &graph);
        let found = scores(&graph, &input).expect("a picture");
        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
        let tolerance = 10.0 * tolerance * largest(&wanted).max(1.0);
        assert_close(&found, &wanted, tolerance, model);
    }
}

#[test]
fn custom_vision_tails_leave_labels() {
    let Some(zoo) = zoo() else { return };
    let imported = import(&zoo.join("models/customvision/cat-or-dog_orig.onnx"));
    assert_eq!(imported.graph.labels, ["cat", "dog", "Negative"]);
    assert_eq!(imported.graph.output_name, "loss1");
    assert_eq!(imported.graph.metadata["Image.BitmapPixelFormat"], "Bgr8");
    assert_ne!(imported.graph.logits, imported.graph.output);
    assert_eq!(imported.graph.names["fc"], imported.graph.logits);
}
