//! Photos, held to Pillow: the tensors in `zoo/expected` were made by it. And
//! batches of pictures in threads, on tract.

use std::path::Path;
use std::sync::Arc;

use foveola::backend::tract::{TractBackend, TractModel};
use foveola::card::{Card, OutputActivation, PartialCard, Resize};
use foveola::graph::Layout;
use foveola::import::Options;
use foveola::photo::{Intake, Photo};
use foveola_core::{Classifier, Masked, Score};
use foveola_tests::zoo;
use ndarray::ArrayD;
use ndarray_npy::ReadNpyExt;
use serde_json::Value;

/// One f32 model of `expected.json`.
struct Expected {
    model: String,
    picture: String,
    entry: Value,
}

fn entries(zoo: &Path) -> Vec<Expected> {
    let text = std::fs::read_to_string(zoo.join("expected/expected.json")).expect("an index");
    let list: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let there = list.into_iter().map(|entry| Expected {
        model: entry["model"].as_str().expect("a model").to_string(),
        picture: entry["image"].as_str().expect("a picture").to_string(),
        entry,
    });
    there
        .filter(|e| e.model.ends_with(".onnx") && zoo.join(&e.model).is_file())
        .filter(|e| e.entry["input_dtype"] == "float32" && !e.model.contains("int8"))
        .collect()
}

fn folder(zoo: &Path, model: &str) -> std::path::PathBuf {
    let name = model
        .trim_start_matches("models/")
        .trim_end_matches(".onnx");
    zoo.join("expected").join(name.replace('/', "__"))
}

fn open(zoo: &Path, model: &str) -> (Arc<TractModel>, Card) {
    let path = zoo.join(model);
    let bytes = std::fs::read(&path).expect("a model");
    let model = TractModel::open(&bytes, None, &Options::default()).expect("tract runs it");
    let card = PartialCard::beside(&path).expect("a card");
    let card = PartialCard::from_toml_file(&card).expect("a card");
    let card = card
        .complete(&model.facts().into())
        .expect("a card that fits");
    assert!(card.assumed.is_empty(), "{:?}", card.assumed);
    (Arc::new(model), card.card)
}

fn read_f32(path: &Path) -> Vec<f32> {
    let file = std::fs::File::open(path).expect("an array");
    let array = ArrayD::<f32>::read_npy(file).expect("f32");
    array.into_iter().collect()
}

/// The card's resize, crop, channel order and normalisation give Pillow's bytes.
#[test]
fn photos_become_the_tensors_that_pillow_made() {
    let Some(zoo) = zoo() else { return };
    let mut photos = 0;
    for expected in entries(&zoo) {
        let (model, mut card) = open(&zoo, &expected.model);
        let facts = model.facts();
        if expected.picture.contains("chelsea") {
            // The one wide photo was cropped for every model, whatever its card says.
            card.resize = Resize::Crop;
        }
        let intake = Intake {
            shape: facts.input,
            layout: facts.layout,
            input_type: facts.input_type,
            card: &card,
        };
        let photo = Photo::open(&zoo.join(&expected.picture), &intake).expect("a photo");
        let tensor = read_f32(&folder(&zoo, &expected.model).join("input.npy"));
        let s = facts.input;
        // Two JPEG decoders may differ in the last levels; PNGs may not.
        let levels = if expected.picture.ends_with("png") {
            0.0
        } else {
            3.0
        };
        for y in 0..s.h {
            for x in 0..s.w {
                for c in 0..s.c {
                    let at = match facts.layout {
                        Layout::Nchw => (c * s.h + y) * s.w + x,
                        _ => (y * s.w + x) * s.c + c,
                    };
                    let got = photo.picture().value(y, x, c).expect("a value");
                    let close = (got - tensor[at]).abs()
                        <= levels * card.scale[c] + 2e-6 * tensor[at].abs().max(1.0);
                    assert!(
                        close,
                        "{}: {y} {x} {c}: {got} {}",
                        expected.model, tensor[at]
                    );
                }
            }
        }
        photos += 1;
    }
    assert!(photos >= 6, "only {photos} photos");
}

#[test]
fn threads_and_batches_do_not_change_a_bit() {
    let Some(zoo) = zoo() else { return };
    let (model, card) = open(&zoo, "models/tinyml/vww96_float.onnx");
    let shape = model.facts().input;
    let pictures: Vec<Vec<f32>> = (0..9)
        .map(|k| {
            (0..shape.len())
                .map(|i| ((i * 7 + k * 31) % 256) as f32 / 255.0)
                .collect()
        })
        .collect();
    let run = |threads| {
        let mut backend =
            TractBackend::new(model.clone(), OutputActivation::None, threads).expect("threads");
        let view = |i: usize| {
            let data = pictures[i].as_slice();
            Masked::whole(foveola_core::Picture::Tensor { shape, data })
        };
        let (mut scratch, mut all) = ([0.0; 2], Vec::new());
        let mut sink = |i: usize, s: &[f32]| {
            assert_eq!(all.len(), 2 * i);
            all.extend_from_slice(s);
            Ok(())
        };
        backend
            .classify_batch(9, &view, Score::Probability, &mut scratch, &mut sink)
            .expect("scores");
        all
    };
    assert_eq!(card.labels.len(), 2);
    assert_eq!(run(1), run(3));
}
