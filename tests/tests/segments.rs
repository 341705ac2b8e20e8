//! Methods over segments against Captum, lime and exact Shapley values in
//! float64, with the segments and designs that these were asked with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::import;
use foveola_core::explain::{FeatureAblation, KernelShap, Lime, Method, Outcome, Progress, Query};
use foveola_core::segment::Segments;
use foveola_core::{Classifier, Fill, Picture, Score};
use foveola_tests::{Golden, to_hwc};
use ndarray::ArrayD;
use ndarray_npy::{NpzReader, ReadNpyExt, ReadableElement};
use serde_json::Value;

fn backend(golden: &Golden, model: &str) -> CoreBackend {
    let graph = import::load(&golden.folder.join(model), &import::Options::default());
    let graph = graph.expect("it imports").graph;
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
        activation: match golden.folder.ends_with("n5") {
            true => OutputActivation::None,
            false => OutputActivation::Softmax,
        },
        labels: Vec::new(),
    };
    let compiled = compile(graph, &card, &CompileOptions::default()).expect("it compiles");
    let file = Arc::new(ModelFile::new(&compiled.bytes).expect("its file is sound"));
    CoreBackend::new(file, 2).expect("the backend starts")
}

/// Keeps the numbers beside the map.
#[derive(Default)]
struct Notes(BTreeMap<&'static str, f64>);

impl Progress for Notes {
    fn step(&mut self, _done: u64, _total: u64) -> bool {
        true
    }

    fn note(&mut self, _map: usize, name: &'static str, value: f64) {
        self.0.insert(name, value);
    }
}

struct Case {
    golden: Golden,
    backend: CoreBackend,
    npz: NpzReader<File>,
}

impl Case {
    fn array<T: ReadableElement>(&mut self, name: &str) -> ArrayD<T>
    where
        ArrayD<T>: ReadNpyExt,
    {
        self.npz.by_name(name).expect("the array is in the file")
    }

    /// One value a segment, and the numbers beside the map.
    fn run(
        &mut self,
        method: &dyn Method,
        query: &Query<'_>,
        segments: Segments<'_>,
    ) -> (Vec<f32>, Notes) {
        let shape = method.map_shape(&mut self.backend).expect("a shape");
        let cost = method.cost(&mut self.backend, 1).expect("a cost");
        let (mut map, mut scratch) = (vec![0.0; shape.len()], vec![0.0; cost.scratch]);
        let (mut outcome, mut notes) = ([Outcome::Flat], Notes::default());
        let asked = method.explain(
            &mut self.backend,
            query,
            &mut map,
            &mut outcome,
            &mut scratch,
            &mut notes,
        );
        asked.expect("it explains");
        let first = |s| segments.labels().iter().position(|l| usize::from(*l) == s);
        let values = (0..segments.count()).map(|s| map[first(s).expect("a pixel")]);
        (values.collect(), notes)
    }

    fn answer(&mut self, key: &str, entry: &Value) -> Vec<f32> {
        let part = |i: usize| key.split('.').nth(i).expect("i0.t1.method");
        let name = part(2);
        let cut = match name.ends_with("grid") {
            true => String::from("seg_grid"),
            false => format!("{}.seg_slic", part(0)),
        };
        let labels: Vec<u16> = self
            .array::<u8>(&cut)
            .iter()
            .map(|l| u16::from(*l))
            .collect();
        let segments = Segments::new(&labels);
        let hwc = to_hwc(&self.golden.picture(part(0)[1..].parse().expect("a number")));
        let query = Query {
            picture: Picture::Tensor {
                shape: self.backend.input(),
                data: &hwc,
            },
            targets: &[part(1)[1..].parse().expect("a number")],
            score: Some(match entry["score"].as_str() {
                Some("prob") => Score::Probability,
                _ => Score::Logit,
            }),
            seed: 0,
        };
        let fill = Fill::Colour([0.0; 4]);
        let mut storage = vec![0.0; 1 << 12];
        let storage = RefCell::new(storage.as_mut_slice());
        match name {
            "feature_ablation_slic" | "feature_ablation_grid" => {
                self.run(&FeatureAblation { segments, fill }, &query, segments)
                    .0
            }
            "shapley_exact_grid" => {
                let shap = KernelShap {
                    segments,
                    fill,
                    samples: None,
                    design: None,
                    storage,
                };
                self.run(&shap, &query, segments).0
            }
            _ => {
                let design: ArrayD<u8> = self.array(&format!("{}.lime_Z", part(0)));
                let lime = Lime {
                    segments,
                    fill,
                    samples: 1,
                    kernel: 0.25,
                    alpha: 1.0,
                    design: design.as_slice(),
                    storage,
                };
                let (values, notes) = self.run(&lime, &query, segments);
                match name {
                    "lime_coef" => values,
                    _ => ["intercept", "r2"].map(|n| notes.0[n] as f32).to_vec(),
                }
            }
        }
    }
}

/// Compares every entry and lists all failures; returns how many were compared.
fn check(net: &str, model: &str) -> usize {
    let golden = Golden::open(net);
    let open = |name: &str| File::open(golden.folder.join(name)).expect("the file opens");
    let entries: BTreeMap<String, Value> =
        serde_json::from_reader(open("segments.json")).expect("the manifest is JSON");
    let mut case = Case {
        npz: NpzReader::new(open("segments.npz")).expect("an npz"),
        backend: backend(&golden, model),
        golden,
    };
    let mut failures = Vec::new();
    for (key, entry) in &entries {
        let ours = case.answer(key, entry);
        let reference: ArrayD<f32> = case.array(key);
        let pairs = ours.iter().zip(&reference);
        let difference = pairs
            .map(|(a, b)| f64::from((a - b).abs()))
            .fold(0.0, f64::max);
        let atol = entry["atol"].as_f64().expect("a tolerance");
        if difference > atol || ours.len() != reference.len() {
            failures.push(format!("{key}: {ours:?}, {reference}, allowed {atol:.3e}"));
        }
    }
    let (failed, all) = (failures.len(), entries.len());
    assert!(
        failures.is_empty(),
        "{net}: {failed} of {all}\n{}",
        failures.join("\n")
    );
    all
}

macro_rules! golden {
    ($($name:ident: $net:literal $model:literal $entries:literal;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(check($net, $model), $entries);
        })*
    };
}

golden! {
    n1: "n1" "model.onnx" 30;
    n2: "n2" "model.onnx" 30;
    n2_folded_elsewhere: "n2" "model_fused.onnx" 30;
    n3: "n3" "model.onnx" 30;
    n4: "n4" "model.onnx" 30;
    n5: "n5" "model.onnx" 30;
}
