//! What goes wrong on a device is said, and never becomes a map: a device that
//! is lost, matrices that fail their check, f16 where it changes nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foveola::backend::gpu::{Gpu, GpuBackend, GpuError, Matrices, ShaderKind, Storage};
use foveola::explainer::{Explainer, Question};
use foveola::model::{BackendKind, OpenModel, OpenOptions, Precision};
use foveola::photo::Photo;
use foveola::run::data::{DataOptions, DataSet};
use foveola::run::shard::Seal;
use foveola::run::{Observe, Part, Runner};
use foveola_core::{At, Classifier, Error, Masked, Picture, Rule, Score};
use foveola_tests::{Golden, root, tflite, to_hwc};

use super::device;
use super::networks::golden_file;

/// A device of its own for a test that loses it.
fn own() -> Option<Arc<Gpu>> {
    device()?;
    Some(Gpu::open(None).expect("it opens as before"))
}

fn is_lost(error: Option<GpuError>) -> bool {
    let text = error.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(text.contains("--backend core"), "{text}");
    matches!(error, Some(GpuError::Lost { .. }))
}

#[test]
fn a_lost_device_answers_nothing() {
    let Some(gpu) = own() else { return };
    let (mut golden, file) = golden_file("n1");
    let mut ours = GpuBackend::new(Arc::clone(&gpu), file, Storage::Full).expect("gpu starts");
    let shape = ours.input();
    let data = to_hwc(&golden.picture(0));
    let x = Masked::whole(Picture::Tensor { shape, data: &data });
    let mut out = vec![0.0; ours.classes()];
    ours.classify(&x, Score::Logit, &mut out).expect("gpu runs");
    let layers = ours.layers().expect("a white box");
    layers.run(&x, At::Input, Rule::Gradient).expect("gpu runs");
    gpu.check().expect("the device is sound");
    gpu.destroy();
    // It is known before anybody asks.
    assert!(is_lost(gpu.check().err()));
    let after = ours.classify(&x, Score::Logit, &mut out);
    assert_eq!(after, Err(Error::Backend));
    assert!(is_lost(gpu.failure()));
    let layers = ours.layers().expect("a white box");
    let gradient = layers.backward(&[(1, 1.0)], Score::Logit).map(<[f32]>::len);
    assert_eq!(gradient, Err(Error::Backend));
    let again = layers.run(&x, At::Input, Rule::Guided);
    assert_eq!(again, Err(Error::Backend));
    assert!(is_lost(gpu.check().err()));
}

/// Methods end with an error where the device is lost before or while they run.
#[test]
fn a_lost_device_explains_nothing() {
    for method in ["occlusion:window=5", "rise:masks=70", "guided-backprop"] {
        let Some(gpu) = own() else { return };
        let path = Golden::open("n1").folder.join("model.onnx");
        let mut model = OpenModel::open(&path, &OpenOptions::default()).expect("it opens");
        model.gpu = Some(Arc::clone(&gpu));
        let photo = Photo::tensor(model.facts.input, to_hwc(&Golden::open("n1").picture(0)));
        let question = Question::of([method]).expect("a method");
        let mut explainer = Explainer::new(model, 1);
        explainer.explain(&photo, &question).expect("it explains");
        gpu.destroy();
        let after = explainer.explain(&photo, &question);
        assert!(after.is_err(), "{method}: {after:?}");
        let why = explainer.model().failure().expect("a reason").to_string();
        assert!(why.contains("was lost"), "{method}: {why}");
    }
}

/// Loses the device behind the first picture.
struct Thief {
    gpu: Arc<Gpu>,
    seen: AtomicUsize,
}

impl Observe for Thief {
    fn begin(&self, _todo: u64, _there: u64) {}
    fn picture(&self, _file: &str, failure: Option<&str>) {
        assert_eq!(failure, None, "no picture is blamed for the device");
        if self.seen.fetch_add(1, Ordering::Relaxed) == 0 {
            self.gpu.destroy();
        }
    }
    fn shard(&self, _seal: &Seal) {}
    fn stopped(&self) -> bool {
        false
    }
}

#[test]
fn a_run_ends_where_the_device_is_lost() {
    let Some(gpu) = own() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).expect("a folder");
    for i in 0..4 {
        let from = root().join("host/demo/scene.png");
        std::fs::copy(from, pictures.join(format!("{i}.png"))).expect("a picture");
    }
    let path = root().join("host/demo/scene.onnx");
    let mut model = OpenModel::open(&path, &OpenOptions::default()).expect("it opens");
    model.gpu = Some(Arc::clone(&gpu));
    let data = open(&pictures, &model.card.labels, model.facts.classes);
    let mut runner = Runner::new(model, data).method("grad-cam".parse().expect("a method"));
    runner.workers = 1;
    runner.shard_size = Some(4);
    let thief = Thief {
        gpu,
        seen: AtomicUsize::new(0),
    };
    let out = folder.path().join("run");
    let error = runner.run(&out, Part::WHOLE, &thief);
    let error = error.expect_err("the device is gone").to_string();
    assert!(
        error.contains("was lost") && error.contains("--backend core"),
        "{error}"
    );
    assert!(!out.join("shards/00000").exists(), "a shard was kept");
}

fn open(path: &Path, labels: &[String], classes: usize) -> DataSet {
    DataSet::open(path, &DataOptions::default(), labels, classes).expect("a data set")
}

/// A shader that computes the product passes the check, one that computes
/// something else or does not compile fails it, and the device is as before.
#[test]
fn matrices_are_used_only_where_they_multiply() {
    let Some(gpu) = device().filter(|gpu| gpu.facts().f16) else {
        return;
    };
    gpu.try_product(ShaderKind::ConvScalar)
        .expect("it multiplies");
    let other = gpu.try_product(ShaderKind::Depthwise);
    let other = other.expect_err("it multiplies something else");
    assert!(other.contains("and not"), "{other}");
    match gpu.facts().matrices {
        true => assert_ne!(*gpu.matrices(), Matrices::NotOffered),
        false => {
            assert_eq!(*gpu.matrices(), Matrices::NotOffered);
            let refused = gpu.try_product(ShaderKind::ConvMatrix);
            let refused = refused.expect_err("the adapter has no matrices");
            assert!(refused.to_lowercase().contains("cooperative"), "{refused}");
        }
    }
    gpu.check().expect("the device is sound");
    let (mut golden, file) = golden_file("n1");
    let mut ours = GpuBackend::new(Arc::clone(&gpu), file, Storage::Half).expect("gpu starts");
    let uses = ours.shaders().any(|kind| kind == ShaderKind::ConvMatrix);
    assert_eq!(uses, *gpu.matrices() == Matrices::InUse);
    let shape = ours.input();
    let data = to_hwc(&golden.picture(0));
    let x = Masked::whole(Picture::Tensor { shape, data: &data });
    let mut out = vec![0.0; ours.classes()];
    ours.classify(&x, Score::Logit, &mut out).expect("gpu runs");
}

/// Half precision reaches the device, and leaves networks of integers alone.
#[test]
fn half_precision() {
    let Some(_) = device().filter(|gpu| gpu.facts().f16) else {
        return;
    };
    let options = OpenOptions {
        backend: Some(BackendKind::Gpu),
        precision: Precision::Half,
        ..OpenOptions::default()
    };
    let n1 = Golden::open("n1").folder.join("model.onnx");
    let scores = |precision| {
        let options = OpenOptions {
            precision,
            ..options.clone()
        };
        let model = OpenModel::open(&n1, &options).expect("it opens");
        assert_eq!(model.precision, precision);
        let photo = Photo::tensor(model.facts.input, to_hwc(&Golden::open("n1").picture(0)));
        let question = Question::of(["occlusion:window=5"]).expect("a method");
        let mut explainer = Explainer::new(model, 1);
        let explained = explainer.explain(&photo, &question).expect("it explains");
        explained.probabilities
    };
    let [full, half] = [Precision::Full, Precision::Half].map(scores);
    assert_ne!(full, half, "f16 rounds");
    super::networks::close(&half, &full, 1e-2, "f16");
    let name = tflite::names("int8").into_iter().next().expect("a network");
    let path = tflite::folder().join(format!("{name}.tflite"));
    let model = OpenModel::open(&path, &options).expect("it opens");
    assert_eq!(model.precision, Precision::Full);
    let told = model.notes.iter().any(|note| note.contains("integers"));
    assert!(told, "{:?}", model.notes);
}
