//! Metrics that make maps anew, inside a run.

use std::collections::BTreeMap;

use foveola::run::read::RunFolder;

use super::scenes::{assert_same, files, room, words};
use crate::room::file;

const METRICS: [&str; 6] = [
    "max-sensitivity",
    "average-sensitivity",
    "lipschitz",
    "robustness",
    "class-sensitivity",
    "randomisation",
];
const METHODS: [&str; 3] = ["gradient", "grad-cam", "rise:masks=40"];

fn question(command: &str, out: &str) -> Vec<String> {
    let (model, card) = (
        file("host/demo/honest.onnx"),
        file("host/demo/poles.card.toml"),
    );
    let mut all: Vec<String> = [command, &model, "scenes.json", "--card", &card, "-o", out]
        .map(String::from)
        .to_vec();
    for method in METHODS {
        all.extend(["--method", method].map(String::from));
    }
    for metric in METRICS {
        all.extend(["--metric", metric].map(String::from));
    }
    all.extend(["--shard-size", "2"].map(String::from));
    all
}

#[test]
fn they_are_numbers_or_have_reasons_and_go_on_with_the_same_bytes() {
    let room = room();
    // The first seven scenes are enough.
    let list = std::fs::read(room.path("scenes.json")).expect("the list");
    let mut list: serde_json::Value = serde_json::from_slice(&list).expect("JSON");
    list["pictures"]
        .as_array_mut()
        .expect("pictures")
        .truncate(7);
    room.put("scenes.json", list.to_string().as_bytes());
    let mut asked = question("run", "whole");
    asked.extend(["--workers", "1"].map(String::from));
    room.succeed(&words(&asked));
    let whole = files(&room.path("whole"));
    // In two parts, with other numbers of workers.
    room.succeed(&words(&question("plan", "parts")));
    room.succeed(&["run", "parts", "--shard", "2/2", "--workers", "3"]);
    room.succeed(&["run", "parts", "--workers", "2"]);
    assert_same(&files(&room.path("parts")), &whole);

    let run = RunFolder::open(&room.path("whole")).expect("a run");
    let run = run.run().expect("its tables");
    let mut numbers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for answer in run.samples.iter().flat_map(|s| &s.answers) {
        for (method, map) in run.methods.iter().zip(&answer.maps) {
            assert_eq!(map.scores.len(), METRICS.len());
            for (metric, score) in run.metrics.iter().zip(&map.scores) {
                match score {
                    Ok(value) => {
                        let [low, high] = metric.row.range;
                        assert!(value.is_finite(), "{} of {}", metric.spec, method.spec);
                        assert!((low..=high).contains(value), "{}: {value}", metric.spec);
                        *numbers.entry((&method.spec, &metric.spec)).or_default() += 1;
                    }
                    Err(reason) => assert!(reason.len() > 5, "{}: {reason}", metric.spec),
                }
            }
        }
    }
    for method in run.methods.iter().filter(|m| !m.baseline) {
        for metric in METRICS {
            let found = numbers.get(&(&method.spec[..], metric));
            assert!(found > Some(&2), "{metric} of {}: {found:?}", method.spec);
        }
    }
}
