//! Uncertainty by dropout: f32 against tract, int8 against its definition,
//! linear networks against closed forms, the same bits for every plan and
//! number of threads.

#[path = "uncertainty/bits.rs"]
mod bits;
#[path = "uncertainty/command.rs"]
mod command;
#[path = "uncertainty/integers.rs"]
mod integers;
#[path = "uncertainty/linear.rs"]
mod linear;
#[path = "uncertainty/real.rs"]
mod real;

use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::graph::Graph;
use foveola::import::{Options, from_bytes};
use foveola_tests::onnx::Onnx;

/// Philox4x32-10, written from the paper (Salmon et al. 2011) for these tests.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [a, b, c, d] = counter;
        let (p, q) = (u64::from(a) * 0xD251_1F53, u64::from(c) * 0xCD9E_8D57);
        let (high, low) = (|p: u64| (p >> 32) as u32, |p: u64| p as u32);
        counter = [high(q) ^ b ^ key[0], low(q), high(p) ^ d ^ key[1], low(p)];
        key[0] = key[0].wrapping_add(0x9E37_79B9);
        key[1] = key[1].wrapping_add(0xBB67_AE85);
    }
    counter
}

/// Whether a dropout keeps an element: the counter is pass, element / 4, which
/// dropout, and 2 for dropouts.
fn kept(seed: u64, pass: u32, ordinal: u32, element: usize, keep: f32) -> bool {
    let key = [seed as u32, (seed >> 32) as u32];
    let words = philox([pass, element as u32 / 4, ordinal, 2], key);
    let word = words[element % 4];
    f64::from(word >> 8) / f64::from(1 << 24) < f64::from(keep)
}

fn import(model: &Onnx) -> Graph {
    let imported = from_bytes(&model.bytes(), None, &Options::default());
    imported.expect("it imports").graph
}

/// A card that leaves numbers as they are.
fn plain_card(graph: &Graph) -> Card {
    let shape = graph.tensor(graph.input).shape;
    Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: Channels::usual(shape.c).unwrap_or(Channels::Rgb),
        mean: vec![0.0; shape.c],
        scale: vec![1.0; shape.c],
        activation: OutputActivation::None,
        labels: vec![],
    }
}

fn file(graph: &Graph, options: &CompileOptions) -> ModelFile {
    let compiled = compile(graph.clone(), &plain_card(graph), options).expect("it compiles");
    ModelFile::new(&compiled.bytes).expect("it is sound")
}
