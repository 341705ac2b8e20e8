//! Random small networks in int8, half of them with layers in f32 between, on
//! every board: every layer, both scores, five maps each, bit for bit.
//!
//! 1,000 of them on all boards:
//! `FOVEOLA_NETWORKS=1000 cargo test --release -p foveola-tests --test device random_int8`;
//! one alone: `FOVEOLA_SEED=17` instead.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use foveola_tests::random::RandomNetwork;
use foveola_tests::random::coverage::Coverage;
use foveola_tests::random::coverage8::{integer_operators, wanted};

use super::random_networks::{Case, draw, name, note, same_bits};

/// How many networks.
const NETWORKS: u64 = 200;

/// What the layers and answers of all networks must show among them.
const SEEN: [&str; 4] = [
    "outcome ok",
    "outcome flat",
    "outcome undefined",
    "no error",
];

/// Five of the seven methods.
fn five(seed: u64) -> Vec<usize> {
    let shifted = |by| ((seed + by) % 7) as usize;
    [0, 1, 2, 3, 4].map(shifted).to_vec()
}

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| draw(RandomNetwork::int8, five, NETWORKS))
}

#[test]
fn on_mps2_an386() {
    same_bits("mps2-an386", cases());
}

#[test]
fn on_mps2_an500() {
    same_bits("mps2-an500", cases());
}

#[test]
fn on_mps2_an505() {
    same_bits("mps2-an505", cases());
}

#[test]
fn on_mps3_an547() {
    same_bits("mps3-an547", cases());
}

#[test]
fn on_netduinoplus2() {
    same_bits("netduinoplus2", cases());
}

#[test]
fn on_lm3s6965evb() {
    same_bits("lm3s6965evb", cases());
}

#[test]
fn on_riscv32_virt() {
    same_bits("riscv32-virt", cases());
}

/// Every operator, attribute and corner was drawn, and every method but HOC
/// answered through every operator.
#[test]
fn nothing_is_left_out() {
    if std::env::var_os("FOVEOLA_SEED").is_some() {
        return;
    }
    let mut coverage = Coverage::default();
    let mut names = BTreeSet::new();
    for case in cases() {
        note(case, &mut coverage);
        note_integers(case, &mut coverage);
        names.extend(case.methods.iter().map(name));
    }
    assert_eq!(names.len(), 7, "all methods");
    // A search often finds nothing that the few steps of a score can decide.
    names.remove("hoc");
    let pairs = integer_operators().flat_map(|op| {
        let names = names.iter();
        let pair = names.map(move |method| format!("{method} through {op}"));
        pair.collect::<Vec<_>>()
    });
    let seen = SEEN.iter().map(|&seen| seen.to_owned());
    let missing = coverage.missing(wanted().chain(pairs).chain(seen));
    assert!(missing.is_empty(), "never drawn: {missing:#?}");
    let whole = cases().iter().filter(|case| case.truth.error.is_none());
    let (whole, all) = (whole.count(), cases().len());
    assert!(
        10 * whole >= 8 * all,
        "only {whole} networks run to their end"
    );
}

fn note_integers(case: &Case, coverage: &mut Coverage) {
    let model = case.file.model();
    coverage.integers(model);
    for (name, bits) in &case.truth.files {
        let number = name
            .strip_prefix("layer")
            .and_then(|rest| rest.strip_suffix(".bin"));
        let Some(index) = number.and_then(|number| number.parse().ok()) else {
            continue;
        };
        coverage.stored(model, &model.node(index).expect("a node"), bits);
    }
}
