//! Real networks: scores against ONNX Runtime, on `core` and on tract.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::backend::tract::{TractBackend, TractModel};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::graph::{Graph, Layout};
use foveola::import;
use foveola_core::{Classifier, Masked, Picture, Score};
use foveola_tests::{to_hwc, zoo};
use ndarray::{ArrayD, Axis, IxDyn};

/// A model in float32 (or float16) and where its expectations lie.
struct Model {
    path: PathBuf,
    expected: PathBuf,
}

fn float_models(zoo: &Path) -> Vec<Model> {
    let index = std::fs::read_to_string(zoo.join("expected/expected.json")).expect("the index");
    let index: serde_json::Value = serde_json::from_str(&index).expect("JSON");
    let mut models = Vec::new();
    for entry in index.as_array().expect("a list") {
        let ops = entry["ops"].as_object().expect("operators");
        let name = entry["model"].as_str().expect("a path");
        let path = zoo.join(name);
        let quantised = ops
            .keys()
            .any(|op| op.contains("QLinear") || op.contains("quantize") || op.contains("Quantize"));
        let folder = name
            .trim_start_matches("models/")
            .trim_end_matches(".onnx")
            .replace('/', "__");
        let expected = zoo.join("expected").join(folder);
        if !quantised && path.is_file() && expected.is_dir() {
            models.push(Model { path, expected });
        }
    }
    models
}

/// The input as H,W,C in float32.
fn input(model: &Model, layout: Layout) -> Vec<f32> {
    let path = model.expected.join("input.npy");
    let array: ArrayD<f32> = ndarray_npy::read_npy(&path).unwrap_or_else(|_| {
        let half: ArrayD<f32> = read_f16(&path);
        half
    });
    let array = array.index_axis(Axis(0), 0).to_owned();
    match layout {
        Layout::Nchw => to_hwc(&array),
        Layout::Nhwc | Layout::Flat => array.iter().copied().collect(),
    }
}

fn read_f16(path: &Path) -> ArrayD<f32> {
    let bytes = std::fs::read(path).expect("the file");
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..10 + header]);
    assert!(
        text.contains("'<f2'"),
        "{} is float32 or float16",
        path.display()
    );
    let shape = text
        .split("'shape': (")
        .nth(1)
        .and_then(|t| t.split(')').next())
        .expect("a shape");
    let shape: Vec<usize> = shape
        .split(',')
        .filter_map(|n| n.trim().parse().ok())
        .collect();
    let values = bytes[10 + header..]
        .chunks_exact(2)
        .map(|b| f16_to_f32(u16::from_le_bytes([b[0], b[1]])));
    ArrayD::from_shape_vec(IxDyn(&shape), values.collect())
        .expect("as many values as the shape says")
}

fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2.0_f32.powi(-24),
        e => sign * (1.0 + fraction / 1024.0) * 2.0_f32.powi(e - 15),
    }
}

fn card(graph: &Graph) -> Card {
    let shape = graph.tensor(graph.input).shape;
    Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: if shape.c == 1 {
            Channels::Gray
        } else {
            Channels::Rgb
        },
        mean: vec![0.0; shape.c],
        scale: vec![1.0; shape.c],
        activation: OutputActivation::None,
        labels: Vec::new(),
    }
}

/// How far scores may be off: 1e-4 for probabilities, else 1e-4 of the largest;
/// float16 networks round their own reference to 11 bits.
fn tolerance(reference: &[f32], name: &str) -> f32 {
    let largest = reference.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let share = if name.contains("fp16") { 2e-3 } else { 1e-4 };
    if largest <= 1.0 {
        share
    } else {
        share * largest
    }
}

fn top(scores: &[f32]) -> usize {
    (0..scores.len())
        .max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
        .expect("a class")
}

fn compare(backend: &mut dyn Classifier, hwc: &[f32], reference: &[f32], what: &str) {
    let picture = Picture::Tensor {
        shape: backend.input(),
        data: hwc,
    };
    let mut scores = vec![0.0; backend.classes()];
    backend
        .classify(&Masked::whole(picture), Score::Probability, &mut scores)
        .expect("it classifies");
    assert_eq!(scores.len(), reference.len(), "{what}");
    let worst = scores
        .iter()
        .zip(reference)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let allowed = tolerance(reference, what);
    println!("{what}: off by {worst:.2e}, allowed {allowed:.2e}");
    assert!(
        worst <= allowed,
        "{what}: off by {worst:e}, allowed {allowed:e}"
    );
    assert_eq!(top(&scores), top(reference), "{what}");
}

fn reference(model: &Model) -> Vec<f32> {
    let path = model.expected.join("output.npy");
    let array: ArrayD<f32> = ndarray_npy::read_npy(&path).unwrap_or_else(|_| read_f16(&path));
    array.iter().copied().collect()
}

#[test]
fn core_gives_the_scores_of_onnx_runtime() {
    let Some(zoo) = zoo() else { return };
    let models = float_models(&zoo);
    assert!(models.len() >= 9, "{} float models", models.len());
    for model in models {
        let name = model
            .path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let imported = import::load(&model.path, &import::Options::default());
        let graph = imported.unwrap_or_else(|e| panic!("{name}: {e}")).graph;
        let hwc = input(&model, graph.layout);
        let card = card(&graph);
        let compiled = compile(graph, &card, &CompileOptions::default()).expect("it compiles");
        let file = Arc::new(ModelFile::new(&compiled.bytes).expect("a sound file"));
        let mut backend = CoreBackend::new(file, 1).expect("it starts");
        compare(&mut backend, &hwc, &reference(&model), &name);
    }
}

#[test]
fn tract_gives_the_scores_of_onnx_runtime() {
    let Some(zoo) = zoo() else { return };
    // tract computes float16 networks in float16, slowly and by its own rounding.
    let is_f32 = |model: &Model| !model.path.to_string_lossy().contains("fp16");
    for model in float_models(&zoo).into_iter().filter(is_f32) {
        let name = model
            .path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let imported = import::load(&model.path, &import::Options::default());
        let graph = imported.unwrap_or_else(|e| panic!("{name}: {e}")).graph;
        let hwc = input(&model, graph.layout);
        let bytes = std::fs::read(&model.path).expect("the model");
        let tract = TractModel::open(&bytes, model.path.parent(), &import::Options::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut backend =
            TractBackend::new(Arc::new(tract), OutputActivation::None, 1).expect("it starts");
        compare(
            &mut backend,
            &hwc,
            &reference(&model),
            &format!("tract {name}"),
        );
    }
}

/// tract judges quantised networks too: same top class as
/// ONNX Runtime, probabilities within 2.5 steps of 1/256 (the two round differently).
#[test]
fn tract_runs_quantised_networks() {
    let Some(zoo) = zoo() else { return };
    for name in [
        "tinyml/vww96_int8_qdq",
        "tinyml/resnet8_cifar10_int8_qdq",
        "imagenet/squeezenet_int8_qdq",
    ] {
        let path = zoo.join("models").join(name).with_extension("onnx");
        let expected = zoo.join("expected").join(name.replace('/', "__"));
        let bytes = std::fs::read(&path).expect("the model");
        let options = import::Options::default();
        let tract = TractModel::open(&bytes, path.parent(), &options).expect("tract takes it");
        let mut backend =
            TractBackend::new(Arc::new(tract), OutputActivation::None, 1).expect("it starts");
        let hwc = quantised_input(&expected.join("input.npy"));
        let picture = Picture::Tensor {
            shape: backend.input(),
            data: &hwc,
        };
        let mut scores = vec![0.0; backend.classes()];
        backend
            .classify(&Masked::whole(picture), Score::Probability, &mut scores)
            .expect("it classifies");
        let reference = quantised_output(&expected.join("output.npy"));
        let worst = scores.iter().zip(&reference).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0, f32::max);
        println!("tract {name}: off by {worst:.2e}");
        assert_eq!(scores.len(), reference.len(), "{name}");
        assert!(worst <= 2.5 / 256.0, "{name}: off by {worst}");
        assert_eq!(top(&scores), top(&reference), "{name}");
    }
}

/// N,H,W,C in int8 or N,C,H,W in float32, as H,W,C.
fn quantised_input(path: &Path) -> Vec<f32> {
    if let Ok(array) = ndarray_npy::read_npy::<_, ArrayD<i8>>(path) {
        return array.iter().map(|&v| f32::from(v)).collect();
    }
    let array: ArrayD<f32> = ndarray_npy::read_npy(path).expect("an input");
    to_hwc(&array.index_axis(Axis(0), 0).to_owned())
}

/// Probabilities; int8 ones in steps of 1/256 from -128.
fn quantised_output(path: &Path) -> Vec<f32> {
    if let Ok(array) = ndarray_npy::read_npy::<_, ArrayD<i8>>(path) {
        return array
            .iter()
            .map(|&v| (f32::from(v) + 128.0) / 256.0)
            .collect();
    }
    let array: ArrayD<f32> = ndarray_npy::read_npy(path).expect("an output");
    array.iter().copied().collect()
}
