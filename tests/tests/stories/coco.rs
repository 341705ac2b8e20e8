//! Grad-CAM, RISE and guided backpropagation on photos with boxes: which one
//! finds the object, which one names what the score depends on, and which one
//! does not notice when the network loses its mind.

use foveola_tests::zoo;

use super::{Room, score, text};

const METHODS: [&str; 3] = ["grad-cam", "rise", "guided-backprop"];
/// The metrics; curves have so many steps.
fn metrics(steps: usize) -> [String; 5] {
    [
        String::from("pointing-game"),
        String::from("energy"),
        format!("insertion:steps={steps}"),
        format!("deletion:steps={steps}"),
        String::from("road"),
    ]
}

/// A table of so many of the boxed pictures, and MobileNetV2.
struct Photos {
    room: Room,
    zoo: std::path::PathBuf,
}

impl Photos {
    fn new(pictures: usize) -> Option<Self> {
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
        Some(Self { room, zoo })
    }

    /// Runs methods and metrics and gives the scores.
    fn scores(&self, out: &str, methods: &[&str], metrics: &[String]) -> serde_json::Value {
        let model = self
            .zoo
            .join("models/imagenet/mobilenet_v2_100_224_float_nchw.onnx");
        let images = self.zoo.join("images/coco");
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
        args.extend(["-o", out, "--arithmetic", "fused"]);
        args.extend(methods.iter().flat_map(|method| ["--method", *method]));
        args.extend(metrics.iter().flat_map(|metric| ["--metric", metric]));
        self.room.foveola(&args);
        println!("{}", self.room.foveola(&["scores", out]).0);
        self.room.json(&["scores", out, "--json"])
    }
}

#[test]
fn a_few_pictures_are_scored_by_everything() {
    let Some(photos) = Photos::new(2) else { return };
    let methods = ["grad-cam", "rise:masks=10", "guided-backprop"];
    let metrics = metrics(4);
    let scores = photos.scores("RUN", &methods, &metrics);
    let run = photos.room.run("RUN");
    assert_eq!(run.samples.len(), 2);
    let whole = |s: &foveola::run::view::Sample| !s.boxes.is_empty() && s.failure.is_none();
    assert!(run.samples.iter().all(whole));
    let baselines = run.methods.iter().filter(|m| m.baseline).count();
    assert_eq!(baselines, 2, "a random map and a centred one");
    for method in METHODS {
        for metric in &metrics {
            let [mean, low, high] = score(&scores, method, metric);
            assert!(low <= mean && mean <= high, "{method} {metric}");
        }
    }
}

/// All pictures that have a class of the network, 65:
///
/// ```text
/// cargo test --release -p foveola-tests --test stories -- --ignored --nocapture
/// ```
#[test]
#[ignore = "takes an hour of two cores"]
fn guided_backpropagation_does_not_notice_random_weights() {
    let Some(photos) = Photos::new(65) else {
        return;
    };
    let methods = ["grad-cam", "rise:masks=1000", "guided-backprop"];
    let scores = photos.scores("RUN", &methods, &metrics(28));
    for method in ["grad-cam", "rise"] {
        let (own, none) = (
            score(&scores, method, "energy"),
            score(&scores, "baseline:map=random", "energy"),
        );
        assert!(own[1] > none[2], "{method}: {own:?} {none:?}");
    }
    // The last layers from the output down become random, one more each time.
    let sanity = [String::from("randomisation:layers=8")];
    let scores = photos.scores("SANITY", &["grad-cam", "guided-backprop"], &sanity);
    let [cam, guided] = ["grad-cam", "guided-backprop"].map(|m| score(&scores, m, &sanity[0]));
    assert!(
        cam[2] < guided[1],
        "Grad-CAM notices, it does not: {cam:?} {guided:?}"
    );
}
