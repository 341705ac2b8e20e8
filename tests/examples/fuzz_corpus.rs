//! Makes the corpus of `tests/fuzz`: the smallest of many random networks in
//! which each operator, attribute and corner occurs, ones whose plans stream,
//! and a network by hand. Beside it the demo's network, whose bits are flipped.
//!
//! `cargo run --release -p foveola-tests --example fuzz_corpus`

use std::collections::{BTreeMap, BTreeSet};

use foveola::aligned::AlignedBytes;
use foveola::compile::{CompileOptions, compile};
use foveola::demo::NETWORKS;
use foveola::model::Engine;
use foveola_core::net::model::{Model, Pass};
use foveola_tests::random::coverage::Coverage;
use foveola_tests::random::{RandomNetwork, coverage, coverage8};
use foveola_tests::{root, small};

/// Seeds that are tried, of f32 and of int8 each.
const SEEDS: u64 = 1500;

/// Everything that a network shows.
fn features(model: &Model<'_>) -> BTreeSet<String> {
    let mut seen = Coverage::default();
    seen.network(model, false);
    seen.integers(model);
    let wanted: BTreeSet<String> = coverage::wanted().chain(coverage8::wanted()).collect();
    let missing: BTreeSet<String> = seen.missing(wanted.iter().cloned()).into_iter().collect();
    let mut shown: BTreeSet<String> = wanted.difference(&missing).cloned().collect();
    for pass in model.passes() {
        let plan = model.plan(pass).expect("a pass has a plan");
        let short = (0..model.tensor_count() as u16)
            .map(foveola_core::TensorId)
            .filter(|&id| model.is_short(&plan, id));
        let way = if pass == Pass::Forward {
            "forward"
        } else {
            "backward"
        };
        for id in short {
            let what = if id == model.input_id() {
                "picture"
            } else {
                "layer"
            };
            shown.insert(format!("{way} streams a {what}"));
        }
    }
    shown
}

/// The demo's honest network.
fn demo() -> Vec<u8> {
    let model = NETWORKS[0].open().expect("the demo's network opens");
    let Engine::Graph(imported) = &model.engine else {
        panic!("it is an ONNX file");
    };
    let options = CompileOptions::default();
    let compiled = compile(imported.graph.clone(), &model.card, &options);
    compiled.expect("it compiles").bytes
}

fn main() {
    // Seeds of their own: what other tests draw is not what breaks here.
    let networks = (0..SEEDS).flat_map(|i| {
        let seed = 1_000_000 + i;
        [RandomNetwork::new(seed), RandomNetwork::int8(seed)]
    });
    let mut smallest: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for network in networks {
        let bytes = AlignedBytes::copy_of(&network.bytes);
        let model = Model::from_bytes(&bytes).expect("the compiler's file is sound");
        for feature in features(&model) {
            let best = smallest
                .entry(feature)
                .or_insert_with(|| network.bytes.clone());
            if network.bytes.len() < best.len() {
                best.clone_from(&network.bytes);
            }
        }
    }
    println!("{} features", smallest.len());
    let mut files: BTreeSet<Vec<u8>> = smallest.into_values().collect();
    let by_hand = compile(small::graph(), &small::card(), &CompileOptions::default());
    files.insert(by_hand.expect("the small network compiles").bytes);
    let folder = root().join("tests/fuzz/corpus");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the folder is made");
    for (i, bytes) in files.iter().enumerate() {
        std::fs::write(folder.join(format!("{i:03}.fov")), bytes).expect("a file is written");
    }
    std::fs::write(folder.with_file_name("demo.fov"), demo()).expect("a file is written");
    let total: usize = files.iter().map(Vec::len).sum();
    println!("{} files, {total} bytes", files.len());
}
