//! `foveola doctor` on real networks whose preprocessing is documented, and
//! what it says of wrong input.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use foveola_tests::zoo;
use serde_json::Value;

fn doctor(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
        .arg("doctor")
        .args(args)
        .output()
        .expect("the program starts")
}

/// The card that it writes, and its ranking.
fn diagnosis(model: &Path, pictures: &Path, more: &[&str]) -> (toml::Table, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let card = folder.path().join("found.toml");
    let mut args = vec![
        model.to_str().expect("a name"),
        pictures.to_str().expect("a name"),
        "--json",
        "-o",
        card.to_str().expect("a name"),
    ];
    args.extend(more);
    let output = doctor(&args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{error}");
    let written = std::fs::read_to_string(card).expect("a card");
    let ranking = serde_json::from_slice(&output.stdout).expect("JSON");
    (written.parse().expect("TOML"), ranking)
}

/// A copy without the card that lies beside the model.
fn bare(model: &Path, folder: &Path) -> std::path::PathBuf {
    let copy = folder.join("model.onnx");
    std::fs::copy(model, &copy).expect("copied");
    copy
}

/// The zoo's documentation: BGR, less (103.53, 116.28, 123.675), centre crop.
#[test]
fn squeezenet_takes_blue_first_less_the_mean() {
    let Some(zoo) = zoo() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let model = bare(
        &zoo.join("models/imagenet/squeezenet_fp32.onnx"),
        folder.path(),
    );
    let table = zoo.join("labels/imagenet_images.csv");
    let table = table.to_str().expect("a name");
    let (card, ranking) = diagnosis(
        &model,
        &zoo.join("images/imagenet"),
        &["--table", table, "--limit", "30"],
    );
    assert_eq!(card["channels"].as_str(), Some("BGR"), "{ranking}");
    let mean: Vec<f64> = card["mean"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(toml::Value::as_float)
        .collect();
    for (found, documented) in mean.iter().zip([103.53, 116.28, 123.675]) {
        assert!((found - documented).abs() < 1e-3, "{mean:?}");
    }
    let best = &ranking["ranking"][0];
    assert_eq!(best["right"], best["pictures"], "{ranking}");
    assert_ne!(best["stated"], true, "nothing but assumptions were at hand");
}

/// The zoo's documentation: BGR, 0 to 255.
#[test]
fn custom_vision_takes_blue_first_and_whole_bytes() {
    let Some(zoo) = zoo() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let model = bare(
        &zoo.join("models/customvision/cat-or-dog_core.onnx"),
        folder.path(),
    );
    let table = folder.path().join("table.csv");
    let boxes = std::fs::read_to_string(zoo.join("boxes/coco_boxes.csv")).expect("boxes");
    std::fs::write(&table, cats_and_dogs(&boxes)).expect("written");
    let labels = zoo.join("models/customvision/cat-or-dog_labels.txt");
    let (card, ranking) = diagnosis(
        &model,
        &zoo.join("images/coco"),
        &[
            "--table",
            table.to_str().expect("a name"),
            "--labels",
            labels.to_str().expect("a name"),
        ],
    );
    assert_eq!(card["channels"].as_str(), Some("BGR"), "{ranking}");
    assert_eq!(
        card["mean"].as_array().expect("a list")[0].as_float(),
        Some(0.0)
    );
    assert_eq!(
        card["scale"].as_array().expect("a list")[0].as_float(),
        Some(1.0)
    );
}

/// Photos with cats and without dogs, the other way about, and with neither.
fn cats_and_dogs(boxes: &str) -> String {
    let mut files: BTreeMap<&str, [bool; 2]> = BTreeMap::new();
    for line in boxes.lines().skip(1) {
        let mut cells = line.split(',');
        let (file, class) = (cells.next().expect("a file"), cells.next());
        let [cat, dog] = files.entry(file).or_default();
        *cat |= class == Some("cat");
        *dog |= class == Some("dog");
    }
    let mut table = String::from("file,label\n");
    for (file, has) in files {
        let label = match has {
            [true, false] => "cat",
            [false, true] => "dog",
            [false, false] => "Negative",
            [true, true] => continue,
        };
        table += &format!("{file},{label}\n");
    }
    table
}

#[test]
fn wrong_input_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a name")
            .to_owned()
    };
    let model = foveola_tests::root().join("core/fixtures/small.fov");
    let model = model.to_str().expect("a name");
    std::fs::create_dir(at("empty")).expect("made");
    std::fs::create_dir_all(at("odd/nothing")).expect("made");
    image::RgbImage::new(9, 9)
        .save(at("odd/nothing/a.png"))
        .expect("saved");
    std::fs::write(at("none.csv"), "file,label\nodd/nothing/a.png,unknown\n").expect("written");
    std::fs::write(at("gone.csv"), "file,label\nb.png,0\n").expect("written");
    let (empty, odd, here) = (at("empty"), at("odd"), at(""));
    let (none, gone) = (at("none.csv"), at("gone.csv"));
    let cases: [(&[&str], &str); 5] = [
        (&[&empty], "no picture"),
        (
            &[&odd],
            "no folder in it is called like one of the 3 classes",
        ),
        (&[&here, "--table", &none], "no column in which every cell"),
        (&[&here, "--table", &gone], "b.png is not there"),
        (
            &[&here, "--table", &gone, "--column", "truth"],
            "no column `truth`",
        ),
    ];
    for (more, expected) in cases {
        let mut args = vec![model];
        args.extend(more);
        let output = doctor(&args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}
