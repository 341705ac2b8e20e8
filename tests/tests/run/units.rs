//! A unit of the network, explained in every picture of a data set.

use foveola::activations::Activations;
use foveola::model::{OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola::run::read::RunFolder;
use foveola::run::view::{Flag, Pictures};
use ndarray::ArrayD;
use ndarray_npy::ReadNpyExt;

use super::scenes::{PICTURES, assert_same, files, room, words};
use crate::room::file;

const UNIT: &str = "joined:5";

fn question(command: &str, out: &str, unit: &str) -> Vec<String> {
    let model = file("host/demo/honest.onnx");
    let card = file("host/demo/poles.card.toml");
    let words = [
        command,
        &model,
        "scenes.json",
        "--card",
        &card,
        "-o",
        out,
        "--unit",
        unit,
        "--method",
        "gradient",
        "--method",
        "rise:masks=60",
        "--metric",
        "deletion",
        "--shard-size",
        "9",
    ];
    words.map(String::from).to_vec()
}

/// Each picture has one answer: the unit's value, which is the mean of its channel
/// where the layers are read off, and the maps that `explain --unit` draws.
#[test]
fn every_picture_is_explained_by_the_unit() {
    let room = room();
    room.succeed(&words(&question("run", "u", UNIT)));
    let folder = RunFolder::open(&room.path("u")).expect("a run");
    let run = folder.run().expect("a run");
    assert_eq!(run.samples.len(), PICTURES);
    let path = file("host/demo/honest.onnx");
    let card = file("host/demo/poles.card.toml");
    let options = OpenOptions {
        card_file: Some(card.clone().into()),
        ..OpenOptions::default()
    };
    let model = OpenModel::open(path.as_ref(), &options).expect("a model");
    for (i, sample) in run.samples.iter().enumerate().take(PICTURES - 1) {
        let [answer] = &sample.answers[..] else {
            panic!("{} answers", sample.answers.len())
        };
        assert_eq!((answer.label, answer.flag), (5, Flag::Unknown));
        assert!(sample.truth.is_empty() && sample.boxes.is_empty());
        assert!(sample.entropy.is_none() && sample.margin.is_none());
        assert!(answer.maps[0].scores[0].is_ok(), "{:?}", answer.maps[0]);
        let photo = Photo::open(&room.path(&sample.file), &model.intake()).expect("a photo");
        let layers = Activations::of(&model, &photo, &[]).expect("layers").all();
        let layer = layers.iter().find(|l| l.name == "joined").expect("a layer");
        let own = layer.values.iter().skip(5).step_by(layer.shape.c);
        let mean = own.map(|v| f64::from(*v)).sum::<f64>() / layer.shape.area() as f64;
        let value = f64::from(sample.probabilities[5]);
        assert!(
            (value - mean).abs() < 1e-4 * (1.0 + mean.abs()),
            "{value} {mean}"
        );
        if i > 1 {
            continue;
        }
        let first = ["explain", &path, &sample.file, "--card", &card];
        let asked = ["--unit", UNIT, "-m", "rise:masks=60", "--raw", "--out", "e"];
        room.succeed(&[&first[..], &asked[..]].concat());
        let npy = room.record("e")["maps"][0]["npy"]
            .as_str()
            .expect("a name")
            .to_string();
        let drawn = ArrayD::<f32>::read_npy(room.bytes(&format!("e/{npy}")).as_slice());
        let kept = folder.map(i, 0, 1).expect("a map");
        assert!(kept.values.iter().eq(drawn.expect("an array").iter()));
        std::fs::remove_dir_all(room.path("e")).expect("a folder");
    }
}

/// A run that goes on, by the same words or by its folder alone, has the bytes of
/// one that was not cut; another unit, or none, is another run.
#[test]
fn a_run_keeps_its_unit() {
    let room = room();
    room.succeed(&words(&question("run", "whole", UNIT)));
    let mut half = question("run", "half", UNIT);
    half.extend(["--shard", "1/2"].map(String::from));
    room.succeed(&words(&half));
    room.refuse(&words(&question("run", "half", "joined:4")), "config.unit");
    room.refuse(
        &words(&question("run", "half", "joined:5,1,1")),
        "config.unit",
    );
    let mut classes = question("run", "half", UNIT);
    classes.drain(7..9);
    room.refuse(&words(&classes), "config.unit");
    room.refuse(&["run", "half", "--unit", UNIT], "--unit is for a new run");
    room.succeed(&["run", "half"]);
    assert_same(&files(&room.path("half")), &files(&room.path("whole")));
}

#[test]
fn what_only_classes_have_is_refused() {
    let room = room();
    for (flags, part) in [
        (
            &["--metric", "pointing-game"][..],
            "no boxes say where a unit",
        ),
        (&["--uncertainty"][..], "of probabilities of classes"),
        (&["--hoc"][..], "no unit of a network is predicted"),
        (&["--train", "scenes"][..], "no unit of a network is one"),
        (&["--threshold", "0.4"][..], "--threshold"),
    ] {
        let mut asked = question("run", "r", UNIT);
        asked.extend(flags.iter().map(ToString::to_string));
        room.refuse(&words(&asked), part);
    }
    room.refuse(
        &words(&question("run", "r", "joined:9999")),
        "channels, 0 to",
    );
    room.refuse(&words(&question("run", "r", "nowhere:0")), "nowhere");
}
