//! Curves, their areas and infidelity on trained networks: every gated entry
//! of `tests/golden/*/metrics.json`.

use std::fs::File;
use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::import;
use foveola_core::explain::Progress;
use foveola_core::metric::{
    Attribution, Deletion, Finished, Infidelity, Insertion, Metric, Perturbation, Scored, Subject,
    Witness,
};
use foveola_core::{Classifier, Fill, Picture, Score};
use foveola_tests::{Golden, to_hwc};
use ndarray::{ArrayD, Axis};
use ndarray_npy::NpzReader;
use serde_json::Value;

struct Case {
    golden: Golden,
    stored: NpzReader<File>,
    backend: CoreBackend,
}

#[derive(Default)]
struct Scores(Vec<f64>);

impl Progress for Scores {
    fn step(&mut self, _: u64, _: u64) -> bool {
        true
    }
}

impl Witness for Scores {
    fn point(&mut self, _: &'static str, _: f64, score: f64) {
        self.0.push(score);
    }
    fn part(&mut self, _: &'static str, _: f64) {}
}

impl Case {
    fn open(net: &str) -> Self {
        let golden = Golden::open(net);
        let options = import::Options::default();
        let graph = import::load(&golden.folder.join("model.onnx"), &options)
            .expect("it imports")
            .graph;
        let input = graph.tensor(graph.input).shape;
        let card = Card {
            size: [input.h, input.w],
            resize: Resize::Squash,
            channels: match input.c {
                1 => Channels::Gray,
                _ => Channels::Rgb,
            },
            mean: vec![0.0; input.c],
            scale: vec![1.0; input.c],
            activation: OutputActivation::Softmax,
            labels: Vec::new(),
        };
        let compiled = compile(graph, &card, &CompileOptions::default()).expect("it compiles");
        let file = Arc::new(ModelFile::new(&compiled.bytes).expect("its file is sound"));
        let stored = File::open(golden.folder.join("metrics.npz")).expect("it opens");
        Self {
            golden,
            stored: NpzReader::new(stored).expect("an npz"),
            backend: CoreBackend::new(file, 2).expect("the backend starts"),
        }
    }

    fn array(&mut self, key: &str) -> ArrayD<f32> {
        self.stored.by_name(key).expect("it is in the file")
    }

    fn hwc(&mut self, key: &str) -> Vec<f32> {
        to_hwc(&self.array(key))
    }

    fn score(&mut self, metric: &dyn Metric, subject: &Subject<'_>) -> (f64, Vec<f64>) {
        let none = foveola_core::explain::Cost {
            forward: 0,
            backward: 0,
            scratch: 0,
        };
        let (input, classes) = (self.backend.input(), self.backend.classes());
        let mut scratch = vec![0.0; metric.cost(input, classes, none).scratch];
        let mut scores = Scores::default();
        let scored = metric.score(
            &mut self.backend,
            subject,
            &mut Finished,
            &mut scratch,
            &mut scores,
        );
        match scored {
            Ok(Scored::Value(value)) => (value, scores.0),
            other => panic!("{other:?}"),
        }
    }

    /// Our numbers for an entry.
    fn answer(&mut self, key: &str, entry: &Value) -> Vec<f64> {
        let parts: Vec<&str> = key.split('.').collect();
        let (input, class, name) = (parts[0], parts[1], parts[2]);
        let target = class[1..].parse().expect("a class");
        let picture = to_hwc(&self.golden.picture(input[1..].parse().expect("a number")));
        let shape = self.backend.input();
        let blurred = self.hwc(&format!("{input}.blur"));
        let evidence: Vec<f32> = self
            .array(&format!("{input}.delmap_{class}"))
            .into_iter()
            .collect();
        let fill = match name.ends_with("_blur") {
            true => Fill::Picture(Picture::Tensor {
                shape,
                data: &blurred,
            }),
            false => Fill::Colour([0.0; 4]),
        };
        let map = name
            .trim_start_matches("infidelity_")
            .trim_end_matches("_norm");
        let values = match name.starts_with("infidelity") {
            true => self.hwc(&format!("{input}.{class}.{map}")),
            false => Vec::new(),
        };
        let subject = Subject {
            picture: Picture::Tensor {
                shape,
                data: &picture,
            },
            fill,
            target,
            evidence: &evidence,
            attribution: Attribution {
                shape,
                values: &values,
                score: Score::Logit,
            },
            region: None,
            backgrounds: &[],
            seed: 0,
        };
        if name.starts_with("infidelity") {
            let stored = self.array(&format!("{input}.pert"));
            let each = stored.axis_iter(Axis(0)).map(|one| to_hwc(&one.to_owned()));
            let metric = Infidelity {
                perturbation: Perturbation::Stored(&each.flatten().collect::<Vec<f32>>()),
                scale: entry["normalize"].as_bool().expect("whether it is scaled"),
                score: Score::Logit,
                ..Infidelity::default()
            };
            return vec![self.score(&metric, &subject).0];
        }
        // Both networks and pictures divide into steps of equal size.
        let steps = shape.h;
        let (area, curve) = match name.contains("deletion") {
            true => {
                let metric = Deletion {
                    steps,
                    ..Deletion::default()
                };
                self.score(&metric, &subject)
            }
            false => {
                let metric = Insertion {
                    steps,
                    ..Insertion::default()
                };
                self.score(&metric, &subject)
            }
        };
        match name.starts_with("auc") {
            true => vec![area],
            false => curve,
        }
    }
}

/// Compares every entry; returns how many there were.
fn check(net: &str) -> usize {
    let mut case = Case::open(net);
    let text = std::fs::read_to_string(case.golden.folder.join("metrics.json")).expect("a list");
    let entries: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("JSON");
    let own = |(key, _): &(&String, &Value)| !key.contains("sensitivity");
    let mut compared = 0;
    for (key, entry) in entries.iter().filter(own) {
        let wanted = case.array(key);
        let found = case.answer(key, entry);
        assert_eq!(found.len(), wanted.len(), "{key}");
        let atol = entry["atol"].as_f64().expect("a tolerance");
        for (found, wanted) in found.iter().zip(&wanted) {
            let off = (found - f64::from(*wanted)).abs();
            assert!(
                off <= atol,
                "{net} {key}: {found} for {wanted}, allowed {atol:.1e}"
            );
        }
        compared += 1;
    }
    compared
}

#[test]
fn n1() {
    assert_eq!(check("n1"), 24);
}

#[test]
fn n2() {
    assert_eq!(check("n2"), 24);
}
