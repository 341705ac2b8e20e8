//! Grad-CAM, RISE and guided backpropagation on photos with boxes: which one
//! finds the object, which one names what the score depends on, and which one
//! does not notice when the network loses its mind.

use foveola_tests::zoo;

use super::{Room, score, text};

const METRICS: [&str; 6] = [
    "pointing-game",
    "energy",
    "insertion:steps=28",
    "deletion:steps=28",
    "road",
    "randomisation",
];

/// Runs MobileNetV2 on so many of the boxed pictures and gives its scores.
fn run(pictures: usize, masks: usize) -> Option<(Room, serde_json::Value)> {
    let zoo = zoo()?;
    let room = Room::new();
    let all = std::fs::read_to_string(zoo.join("boxes/coco_boxes.csv")).expect("boxes");
    let mut lines = vec![all.lines().next().expect("a heading")];
    let mut files = std::collections::BTreeSet::new();
    // The column holds the class of MobileNetV2's answer where it is a right one.
    for line in all.lines().skip(1) {
        let hit = line.split(',').nth(8).is_some_and(|cell| !cell.is_empty());
        let file = line.split(',').next().expect("a file");
        if hit && (files.contains(file) || files.len() < pictures) {
            files.insert(file);
            lines.push(line);
        }
    }
    std::fs::write(room.path("boxes.csv"), lines.join("\n") + "\n").expect("a table");
    let (model, images) = (
        zoo.join("models/imagenet/mobilenet_v2_100_224_float_nchw.onnx"),
        zoo.join("images/coco"),
    );
    let rise = format!("rise:masks={masks}");
    let mut args = vec![
        "run",
        text(&model),
        "boxes.csv",
        "--pictures-in",
        text(&images),
    ];
    args.extend([
        "--column",
        "mobilenetv2_top1_idx_if_hit",
        "--first-class",
        "1",
    ]);
    // Every picture's own class is explained, whatever its probability.
    args.extend(["-o", "RUN", "--threshold", "0.5", "--arithmetic", "fused"]);
    for method in ["grad-cam", &rise, "guided-backprop"] {
        args.extend(["--method", method]);
    }
    for metric in METRICS {
        args.extend(["--metric", metric]);
    }
    room.foveola(&args);
    println!("{}", room.foveola(&["scores", "RUN"]).0);
    let scores = room.json(&["scores", "RUN", "--json"]);
    Some((room, scores))
}

#[test]
fn a_few_pictures_are_scored_by_everything() {
    let Some((room, scores)) = run(2, 40) else {
        return;
    };
    let run = room.run("RUN");
    assert_eq!(run.samples.len(), 2);
    assert!(
        run.samples
            .iter()
            .all(|s| !s.boxes.is_empty() && s.failure.is_none())
    );
    let baselines = run.methods.iter().filter(|m| m.baseline).count();
    assert_eq!(baselines, 2, "a random map and a centred one");
    for method in ["grad-cam", "rise", "guided-backprop"] {
        for metric in METRICS {
            let [mean, low, high] = score(&scores, method, metric);
            assert!(low <= mean && mean <= high, "{method} {metric}");
        }
    }
}

/// All 66 pictures: `cargo test --release -p foveola-tests --test stories -- --ignored --nocapture`
#[test]
#[ignore = "takes an hour of two cores"]
fn guided_backpropagation_does_not_notice_random_weights() {
    let Some((_room, scores)) = run(66, 1000) else {
        return;
    };
    let of = |method, metric| score(&scores, method, metric);
    let (cam, guided) = (
        of("grad-cam", "randomisation"),
        of("guided-backprop", "randomisation"),
    );
    assert!(
        cam[2] < guided[1],
        "Grad-CAM changes with the weights: {cam:?} {guided:?}"
    );
    for method in ["grad-cam", "rise"] {
        assert!(of(method, "energy")[1] > of("baseline:random", "energy")[2]);
    }
}
