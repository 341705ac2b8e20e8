//! The seven methods against Captum, grad-cam and PyTorch in float64: every
//! gated entry of `tests/golden`, whose manifests name peer and tolerance.

use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::backend::gpu::{Gpu, GpuBackend, GpuError, Storage};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, Compiled, compile};
use foveola::import;
use foveola_core::explain::{
    Deconvolution, GradCam, Gradient, GuidedBackprop, Method, Occlusion, Outcome, Query, Rise,
    Silent, StoredMasks, upsample_bilinear,
};
use foveola_core::{At, Classifier, Mask, Masked, Picture, Score, Shape};
use foveola_tests::{Golden, max_difference, to_chw, to_hwc};
use ndarray::{ArrayD, Axis, IxDyn};
use serde_json::Value;

struct Case {
    golden: Golden,
    compiled: Compiled,
    backend: Box<dyn Classifier>,
}

/// Whose answers are compared.
type Start = dyn Fn(Arc<ModelFile>) -> Box<dyn Classifier>;

fn on_core(file: Arc<ModelFile>) -> Box<dyn Classifier> {
    Box::new(CoreBackend::new(file, 2).expect("the backend starts"))
}

impl Case {
    fn open(net: &str, model: &str, start: &Start) -> Self {
        let golden = Golden::open(net);
        let options = import::Options::default();
        let graph = import::load(&golden.folder.join(model), &options)
            .expect("it imports")
            .graph;
        let input = graph.tensor(graph.input).shape;
        let card = Card {
            size: [input.h, input.w],
            resize: Resize::Squash,
            channels: if input.c == 1 {
                Channels::Gray
            } else {
                Channels::Rgb
            },
            mean: vec![0.0; input.c],
            scale: vec![1.0; input.c],
            activation: if net == "n5" {
                OutputActivation::None
            } else {
                OutputActivation::Softmax
            },
            labels: Vec::new(),
        };
        // Only the file that was explained holds the tensors under these names.
        let layers = ["last", "inner"].map(|l| golden.layer(l));
        let layers = layers
            .into_iter()
            .filter(|l| graph.names.contains_key(l))
            .collect();
        let options = CompileOptions {
            layers,
            ..CompileOptions::default()
        };
        let compiled = compile(graph, &card, &options).expect("it compiles");
        let file = Arc::new(ModelFile::new(&compiled.bytes).expect("its file is sound"));
        Self {
            golden,
            compiled,
            backend: start(file),
        }
    }

    /// Our answer to one entry in the shape of the reference; `None` if this
    /// model file lacks the layer.
    fn answer(&mut self, key: &str, entry: &Value) -> Option<ArrayD<f32>> {
        let part = |i: usize| key.split('.').nth(i).expect("i0.t1.method");
        let (picture, target) = (part(0)[1..].parse().ok()?, part(1)[1..].parse().ok()?);
        let hwc = to_hwc(&self.golden.picture(picture));
        let picture = Picture::Tensor {
            shape: self.backend.input(),
            data: &hwc,
        };
        let score = match entry["score"].as_str() {
            Some("prob") => Score::Probability,
            _ => Score::Logit,
        };
        let query = Query {
            picture,
            targets: &[target],
            score: Some(score),
            seed: 0,
        };
        let name = part(2);
        Some(match name {
            "saliency" | "saliency_prob" => self.elements(&Gradient, &query),
            "deconvolution" => self.elements(&Deconvolution, &query),
            "guided_backprop" => self.elements(&GuidedBackprop, &query),
            "occlusion_a" | "occlusion_b" => self.occlusion(&query, entry),
            "rise" | "rise_norm" => self.rise(&query, name == "rise_norm"),
            "rise_scores" => self.rise_scores(picture, target),
            _ => return self.grad_cam(&query, name),
        })
    }

    fn run(&mut self, method: &dyn Method, query: &Query<'_>) -> (Vec<f32>, Shape) {
        let shape = method.map_shape(&mut *self.backend).expect("a shape");
        let cost = method.cost(&mut *self.backend, 1).expect("a cost");
        let mut map = vec![0.0; shape.len()];
        let mut scratch = vec![0.0; cost.scratch];
        let mut outcome = [Outcome::Flat];
        method
            .explain(
                &mut *self.backend,
                query,
                &mut map,
                &mut outcome,
                &mut scratch,
                &mut Silent,
            )
            .expect("it explains");
        (map, shape)
    }

    fn elements(&mut self, method: &dyn Method, query: &Query<'_>) -> ArrayD<f32> {
        let (map, shape) = self.run(method, query);
        to_chw(&map, shape.h, shape.w, shape.c)
    }

    fn occlusion(&mut self, query: &Query<'_>, entry: &Value) -> ArrayD<f32> {
        let triple = |name: &str| {
            let values = entry[name].as_array().expect("three numbers");
            [0, 1, 2].map(|i| values[i].as_u64().expect("a number") as usize)
        };
        let method = Occlusion {
            window: Some(triple("window")),
            stride: Some(triple("stride")),
            ..Occlusion::default()
        };
        let map = self.elements(&method, query);
        if entry["shape"].as_array().expect("a shape").len() == 2 {
            return map.index_axis(Axis(0), 0).to_owned();
        }
        map
    }

    fn rise(&mut self, query: &Query<'_>, by_coverage: bool) -> ArrayD<f32> {
        let masks = self.golden.rise_masks();
        let bytes = masks.as_slice().expect("contiguous");
        let stored = Some(StoredMasks::Bytes(bytes));
        let method = Rise {
            stored,
            by_coverage,
            ..Rise::default()
        };
        self.elements(&method, query)
            .index_axis(Axis(0), 0)
            .to_owned()
    }

    fn rise_scores(&mut self, picture: Picture<'_>, target: usize) -> ArrayD<f32> {
        let masks = self.golden.rise_masks();
        let mut scores = vec![0.0; self.backend.classes()];
        let answers: Vec<f32> = masks
            .axis_iter(Axis(0))
            .map(|mask| {
                let mask = Mask::SoftBytes(mask.to_slice().expect("contiguous"));
                let x = Masked {
                    mask,
                    ..Masked::whole(picture)
                };
                self.backend
                    .classify(&x, Score::Probability, &mut scores)
                    .expect("it classifies");
                scores[target]
            })
            .collect();
        ArrayD::from_shape_vec(IxDyn(&[answers.len()]), answers).expect("one score a mask")
    }

    fn grad_cam(&mut self, query: &Query<'_>, name: &str) -> Option<ArrayD<f32>> {
        let layer = if name.contains("inner") {
            "inner"
        } else {
            "last"
        };
        let id = *self.compiled.names.get(&self.golden.layer(layer))?;
        let is_final = name.ends_with("_final");
        let relu = name.ends_with("_relu") || is_final;
        let method = GradCam {
            layer: Some(At::Tensor(id)),
            relu,
        };
        let (mut map, shape) = self.run(&method, query);
        let (mut h, mut w) = (shape.h, shape.w);
        if is_final {
            stretch(&mut map);
        }
        if name.ends_with("_up") || is_final {
            let input = self.backend.input();
            let mut up = vec![0.0; input.area()];
            upsample_bilinear(&map, [h, w], [input.h, input.w], &mut up).expect("it fits");
            (map, h, w) = (up, input.h, input.w);
        }
        if is_final {
            stretch(&mut map);
        }
        Some(ArrayD::from_shape_vec(IxDyn(&[h, w]), map).expect("the map has its shape"))
    }
}

/// grad-cam 1.5.7 shows maps so.
fn stretch(map: &mut [f32]) {
    let min = map.iter().copied().fold(f32::INFINITY, f32::min);
    let max = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for v in map {
        *v = (*v - min) / (1e-7 + (max - min));
    }
}

/// Compares every wanted entry and lists all failures; returns how many were compared.
fn check(net: &str, model: &str, start: &Start, wanted: fn(&str) -> bool) -> usize {
    let mut case = Case::open(net, model, start);
    let (mut compared, mut failures) = (0, Vec::new());
    for (key, entry) in case.golden.entries() {
        if key == "logits" || key == "output_ort" || !wanted(&key) {
            continue;
        }
        let Some(ours) = case.answer(&key, &entry) else {
            continue;
        };
        compared += 1;
        let reference = case.golden.reference(&key);
        let difference = if ours.shape() == reference.shape() {
            max_difference(&ours, &reference)
        } else {
            f64::INFINITY
        };
        let atol = entry["atol"].as_f64().expect("a tolerance");
        if difference > atol {
            failures.push(format!(
                "{key}: differs by {difference:.3e}, allowed {atol:.3e}"
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{net}/{model}: {} of {compared}\n{}",
        failures.len(),
        failures.join("\n")
    );
    compared
}

fn check_logits(net: &str, model: &str, start: &Start) {
    let mut case = Case::open(net, model, start);
    let reference = case.golden.reference("logits");
    let atol = case.golden.entries()["logits"]["atol"]
        .as_f64()
        .expect("a tolerance");
    for i in 0..reference.shape()[0] {
        let hwc = to_hwc(&case.golden.picture(i));
        let picture = Picture::Tensor {
            shape: case.backend.input(),
            data: &hwc,
        };
        let mut scores = vec![0.0; case.backend.classes()];
        case.backend
            .classify(&Masked::whole(picture), Score::Logit, &mut scores)
            .expect("it classifies");
        let difference = max_difference(&scores, reference.index_axis(Axis(0), i));
        assert!(
            difference <= atol,
            "{net}/{model} picture {i}: {difference:.3e} > {atol:.3e}"
        );
    }
}

macro_rules! golden {
    ($($name:ident: $net:literal $model:literal $entries:literal;)*) => {
        $(#[test]
        fn $name() {
            check_logits($net, $model, &on_core);
            assert_eq!(check($net, $model, &on_core, |_| true), $entries);
        })*
    };
}

golden! {
    n1: "n1" "model.onnx" 108;
    n2: "n2" "model.onnx" 102;
    n2_folded_elsewhere: "n2" "model_fused.onnx" 78;
    n3: "n3" "model.onnx" 108;
    n3_with_batch_norm: "n3" "model_bn.onnx" 108;
    n4: "n4" "model.onnx" 88;
    n4_folded_elsewhere: "n4" "model_fused.onnx" 65;
    n5: "n5" "model.onnx" 102;
}

/// The same entries, within the same tolerances, on the GPU where one is within
/// reach; with `CI` set there must be one. RISE, thousands of masks, is held to
/// `core` instead.
#[test]
fn on_the_gpu() {
    let gpu = match Gpu::open(None) {
        Ok(gpu) => gpu,
        Err(GpuError::NoAdapter) => {
            let ci = std::env::var_os("CI").is_some();
            assert!(!ci, "CI is set and there is no GPU adapter");
            println!("skipped: no GPU adapter is within reach");
            return;
        }
        Err(other) => panic!("{other}"),
    };
    let start = move |file| -> Box<dyn Classifier> {
        let backend = GpuBackend::new(Arc::clone(&gpu), file, Storage::Full);
        Box::new(backend.expect("the backend starts"))
    };
    let nets = [("n1", 90), ("n2", 84), ("n3", 90), ("n4", 70), ("n5", 84)];
    for (net, entries) in nets {
        check_logits(net, "model.onnx", &start);
        let compared = check(net, "model.onnx", &start, |key| !key.contains("rise"));
        assert_eq!(compared, entries, "{net}");
    }
}
