//! Metrics that compare a map with boxes or with other maps, against NumPy and
//! Captum: every picture of `tests/golden/*/localisation.npz`, and the
//! sensitivity of gradients to stored perturbations.

use std::fs::File;
use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, Compiled, compile};
use foveola::import;
use foveola_core::explain::{
    GradCam, Gradient, Method, Outcome, Query, Silent, strongest_channel, upsample_bilinear,
};
use foveola_core::metric::region::{Outline, rasterise};
use foveola_core::metric::{
    Attribution, Explain, Finished, Iosr, MaxSensitivity, Metric, Noise, PointingGame, Scored,
    Subject,
};
use foveola_core::{At, Classifier, Error, Fill, Picture, Score, Shape};
use foveola_tests::{Golden, to_hwc};
use ndarray::{Array1, Array2, ArrayD, Axis};
use ndarray_npy::NpzReader;
use serde_json::Value;

struct Net {
    golden: Golden,
    compiled: Compiled,
    backend: CoreBackend,
}

impl Net {
    fn open(net: &str) -> Self {
        let golden = Golden::open(net);
        let graph = import::load(
            &golden.folder.join("model.onnx"),
            &import::Options::default(),
        );
        let graph = graph.expect("it imports").graph;
        let input = graph.tensor(graph.input).shape;
        let card = Card {
            size: [input.h, input.w],
            resize: Resize::Squash,
            channels: Channels::usual(input.c).expect("colours or grey"),
            mean: vec![0.0; input.c],
            scale: vec![1.0; input.c],
            activation: match net {
                "n5" => OutputActivation::None,
                _ => OutputActivation::Softmax,
            },
            labels: Vec::new(),
        };
        let options = CompileOptions {
            layers: vec![golden.layer("last")],
            ..CompileOptions::default()
        };
        let compiled = compile(graph, &card, &options).expect("it compiles");
        let file = Arc::new(ModelFile::new(&compiled.bytes).expect("its file is sound"));
        let backend = CoreBackend::new(file, 1).expect("the backend starts");
        Self {
            golden,
            compiled,
            backend,
        }
    }

    fn map(&mut self, method: &dyn Method, picture: Picture<'_>, target: usize) -> Vec<f32> {
        explain(method, &mut self.backend, picture, target)
    }

    /// The greatest magnitude of the gradient over the channels.
    fn saliency(&mut self, picture: Picture<'_>, target: usize) -> Vec<f32> {
        let shape = self.backend.input();
        let map = self.map(&Gradient, picture, target);
        let mut evidence = vec![0.0; shape.area()];
        strongest_channel(&map, shape, &mut evidence).expect("it fits");
        evidence.iter().map(|v| v.abs()).collect()
    }

    /// The positive part of Grad-CAM, enlarged first.
    fn grad_cam(&mut self, picture: Picture<'_>, target: usize) -> Vec<f32> {
        let shape = self.backend.input();
        let layer = self.compiled.names[&self.golden.layer("last")];
        let method = GradCam {
            layer: Some(At::Tensor(layer)),
            relu: false,
        };
        let small = method.map_shape(&mut self.backend).expect("a shape");
        let map = self.map(&method, picture, target);
        let mut up = vec![0.0; shape.area()];
        let (from, to) = ([small.h, small.w], [shape.h, shape.w]);
        upsample_bilinear(&map, from, to, &mut up).expect("it fits");
        up.iter().map(|v| v.max(0.0)).collect()
    }
}

fn explain(
    method: &dyn Method,
    classifier: &mut dyn Classifier,
    picture: Picture<'_>,
    target: usize,
) -> Vec<f32> {
    let shape = method.map_shape(classifier).expect("a shape");
    let cost = method.cost(classifier, 1).expect("a cost");
    let query = Query {
        picture,
        targets: &[target],
        score: Some(Score::Logit),
        seed: 0,
    };
    let mut map = vec![0.0; shape.len()];
    let (mut outcome, mut scratch) = ([Outcome::Flat], vec![0.0; cost.scratch]);
    method
        .explain(
            classifier,
            &query,
            &mut map,
            &mut outcome,
            &mut scratch,
            &mut Silent,
        )
        .expect("it explains");
    map
}

/// What is scored: a picture, evidence, and where the object is.
fn subject<'a>(
    picture: Picture<'a>,
    evidence: &'a [f32],
    region: Option<&'a [u8]>,
    target: usize,
) -> Subject<'a> {
    Subject {
        picture,
        fill: Fill::Colour([0.0; 4]),
        target,
        evidence,
        attribution: Attribution {
            shape: picture.shape(),
            values: evidence,
            score: Score::Logit,
        },
        region,
        backgrounds: &[],
        seed: 0,
    }
}

fn score(net: &mut Net, metric: &dyn Metric, subject: &Subject<'_>) -> f64 {
    let scored = metric.score(
        &mut net.backend,
        subject,
        &mut Finished,
        &mut [],
        &mut Silent,
    );
    match scored {
        Ok(Scored::Value(value)) => value,
        other => panic!("{other:?}"),
    }
}

/// Pointing hits (the strongest pixel inside the box) and IoSR of every picture.
fn check(name: &str) {
    let mut net = Net::open(name);
    let file = File::open(net.golden.folder.join("localisation.npz")).expect("it opens");
    let mut npz = NpzReader::new(file).expect("an npz");
    let images: ArrayD<u8> = npz.by_name("images_u8").expect("images");
    let classes: Array1<i32> = npz.by_name("cls").expect("classes");
    let boxes: Array2<i32> = npz.by_name("boxes").expect("boxes");
    let [saliency, grad_cam] = ["hit_saliency", "hit_gradcam"].map(|key| {
        npz.by_name::<ndarray::OwnedRepr<i32>, ndarray::Ix1>(key)
            .expect("hits")
    });
    let iosr: Array1<f32> = npz.by_name("iosr_gradcam").expect("IoSR");
    let shape = net.backend.input();
    let pixel = PointingGame { tolerance: 1.0 };
    for (i, image) in images.axis_iter(Axis(0)).enumerate() {
        let values = image.mapv(|v| ((f64::from(v) / 255.0 - 0.5) / 0.25) as f32);
        let data = to_hwc(&values);
        let picture = Picture::Tensor { shape, data: &data };
        let [y0, x0, y1, x1] = [0, 1, 2, 3].map(|k| boxes[[i, k]] as f32);
        let mut region = vec![0; shape.area()];
        let outline = [Outline::Box([x0, y0, x1 - x0, y1 - y0])];
        rasterise(&outline, [shape.h, shape.w], &mut region).expect("a region");
        let target = classes[i] as usize;
        let map = net.saliency(picture, target);
        let hit = score(
            &mut net,
            &pixel,
            &subject(picture, &map, Some(&region), target),
        );
        assert_eq!(hit, f64::from(saliency[i]), "{name} {i}: saliency");
        let map = net.grad_cam(picture, target);
        let about = subject(picture, &map, Some(&region), target);
        let hit = score(&mut net, &pixel, &about);
        assert_eq!(hit, f64::from(grad_cam[i]), "{name} {i}: Grad-CAM");
        let found = score(&mut net, &Iosr::default(), &about);
        assert!(
            (found - f64::from(iosr[i])).abs() < 1e-6,
            "{name} {i}: {found}"
        );
    }
}

#[test]
fn n2() {
    check("n2");
}

#[test]
fn n3() {
    check("n3");
}

#[test]
fn n4() {
    check("n4");
}

#[test]
fn n5() {
    check("n5");
}

/// The signed gradient itself, all channels.
struct Gradients;

impl Explain for Gradients {
    fn evidence(
        &mut self,
        classifier: &mut dyn Classifier,
        picture: Picture<'_>,
        target: usize,
        evidence: &mut [f32],
    ) -> Result<bool, Error> {
        evidence.copy_from_slice(&explain(&Gradient, classifier, picture, target));
        Ok(true)
    }

    fn randomised(
        &mut self,
        _depth: usize,
        _cascading: bool,
        _seed: u64,
        _picture: Picture<'_>,
        _target: usize,
        _evidence: &mut [f32],
    ) -> Result<Option<bool>, Error> {
        Err(Error::NotWhiteBox)
    }
}

/// Captum 0.9.0's maximum over stored perturbations of the input.
#[test]
fn sensitivity_of_gradients() {
    let mut compared = 0;
    for name in ["n1", "n2"] {
        let mut net = Net::open(name);
        let text = std::fs::read_to_string(net.golden.folder.join("metrics.json"));
        let entries: Value = serde_json::from_str(&text.expect("it opens")).expect("JSON");
        let file = File::open(net.golden.folder.join("metrics.npz")).expect("it opens");
        let mut npz = NpzReader::new(file).expect("an npz");
        let mut array = |key: &str| -> ArrayD<f32> { npz.by_name(key).expect("an array") };
        for (key, entry) in entries.as_object().expect("entries") {
            if !key.ends_with("sensitivity_max_saliency") {
                continue;
            }
            let number = |field: &str| entry[field].as_u64().expect("a number") as usize;
            let (index, target) = (number("input"), number("target"));
            let data = to_hwc(&net.golden.picture(index));
            let stored: Vec<f32> = array(&format!("i{index}.pert"))
                .axis_iter(Axis(0))
                .flat_map(|p| to_hwc(&p.to_owned()))
                .collect();
            let shape = net.backend.input();
            let found = sensitivity(&mut net, (shape, &data), target, &stored);
            let expected = f64::from(array(key)[[0]]);
            let atol = entry["atol"].as_f64().expect("a tolerance");
            assert!(
                (found - expected).abs() <= atol,
                "{name} {key}: {found} for {expected}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 3);
}

fn sensitivity(
    net: &mut Net,
    (shape, data): (Shape, &[f32]),
    target: usize,
    stored: &[f32],
) -> f64 {
    let picture = Picture::Tensor { shape, data };
    let own = explain(&Gradient, &mut net.backend, picture, target);
    let metric = MaxSensitivity {
        noise: Noise {
            stored: Some(stored),
            ..Noise::random(0.0, (stored.len() / shape.len()) as u32)
        },
    };
    let about = subject(picture, &own, None, target);
    let mut scratch = vec![0.0; 2 * shape.len()];
    let scored = metric.score(
        &mut net.backend,
        &about,
        &mut Gradients,
        &mut scratch,
        &mut Silent,
    );
    scored.expect("a score").value().expect("a number")
}
