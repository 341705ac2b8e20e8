//! SqueezeNet as int8 gives another label on a quarter of the pictures. Where
//! it gives the same one, does it still look at the same thing?

use std::collections::BTreeMap;

use foveola_tests::zoo;
use serde_json::Value;

use super::{Room, text};

/// Pictures that are asked; all of the folder have a class of their own.
const PICTURES: usize = 6;

/// Some pictures with their table, and SqueezeNet asked about them twice.
fn room() -> Option<Room> {
    let zoo = zoo()?;
    let room = Room::new();
    let table = std::fs::read_to_string(zoo.join("labels/imagenet_images.csv")).expect("a table");
    let lines: Vec<&str> = table.lines().take(PICTURES + 1).collect();
    let folder = room.path("data");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("labels.csv"), lines.join("\n")).expect("a table");
    for line in &lines[1..] {
        let name = line.split(',').next().expect("a name");
        let from = zoo.join("images/imagenet").join(name);
        std::fs::copy(from, folder.join(name)).expect("a picture");
    }
    for model in ["squeezenet_fp32", "squeezenet_int8_qdq"] {
        let file = zoo.join(format!("models/imagenet/{model}.onnx"));
        room.foveola(&[
            "run",
            text(&file),
            "data/labels.csv",
            "--column",
            "class_index_0_999",
            "-o",
            model,
            "--method",
            "grad-cam",
            "--metric",
            "deletion:steps=10",
        ]);
    }
    Some(room)
}

#[test]
fn label_changes_and_evidence_changes_are_told_apart() {
    let Some(room) = room() else { return };
    let args = ["diff", "squeezenet_fp32", "squeezenet_int8_qdq", "--json"];
    let found = room.json(&args);
    let best = |name: &str| -> BTreeMap<String, usize> {
        let run = room.run(name);
        let samples = run.samples.iter();
        let best = |p: &[f32]| (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b]));
        samples
            .map(|s| (s.file.clone(), best(&s.probabilities).expect("classes")))
            .collect()
    };
    let (float, int8) = (best("squeezenet_fp32"), best("squeezenet_int8_qdq"));
    let changed = float.iter().filter(|(file, class)| int8[*file] != **class);
    assert_eq!(found["label_changes"], changed.count());
    assert_eq!(found["pictures"], PICTURES);
    for answer in found["answers"].as_array().expect("answers") {
        let file = answer["file"].as_str().expect("a name");
        assert_eq!(answer["same_label"], float[file] == int8[file]);
    }
    let kept = &found["kept"][0];
    assert!(
        kept["spearman"].as_f64().expect("a correlation") > 0.5,
        "{kept}"
    );
    let other = found["same_label_other_evidence"]
        .as_array()
        .expect("a list");
    let drifts: Vec<f64> = other.iter().filter_map(|a| a["drift"].as_f64()).collect();
    assert!(drifts.is_sorted_by(|a, b| a >= b), "{drifts:?}");
    let (said, _) = room.foveola(&args[..3]);
    println!("{said}");
    assert!(said.contains("Same label, other evidence"));

    // The gate: int8 drifts a little, and a run never drifts from itself.
    let gate = |second: &str, drift: &str| {
        let args = [
            "diff",
            "squeezenet_fp32",
            second,
            "--max-drift",
            drift,
            "--max-changed",
            "0",
        ];
        room.foveola(&args).1
    };
    assert_eq!(gate("squeezenet_int8_qdq", "0"), Some(1));
    assert_eq!(gate("squeezenet_fp32", "0"), Some(0));
    let itself = room.json(&["diff", "squeezenet_fp32", "squeezenet_fp32", "--json"]);
    let drift = |answer: &Value| answer["drift"].as_f64();
    let answers = itself["answers"].as_array().expect("answers");
    assert!(answers.iter().all(|a| drift(a) == Some(0.0)), "{itself}");
    assert_eq!(itself["label_changes"], 0);
}
