//! Pictures that differ from one in a box, computed on boards only where the
//! box can reach: the bits of this machine's full runs, for fewer instructions.

use std::path::Path;

use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::import;
use foveola_core::Picture;
use foveola_core::explain::hoc::Mode;
use foveola_core::net::session::{Slot, held_len};
use foveola_tests::tflite::Reference;
use foveola_tests::{Golden, to_hwc, zoo};
use ndarray::Axis;

use super::board::{Answer, Folder, available};
use super::host::{Ask, Asked};

/// A network without preprocessing.
fn network(path: &Path, activation: OutputActivation) -> Vec<u8> {
    let graph = import::load(path, &import::Options::default()).expect("it imports");
    let shape = graph.graph.tensor(graph.graph.input).shape;
    let card = Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![0.0; 3],
        scale: vec![1.0; 3],
        activation,
        labels: Vec::new(),
    };
    let compiled = compile(graph.graph, &card, &CompileOptions::default());
    compiled.expect("it compiles").bytes
}

/// Occlusion, HOC, and a method that asks about no boxes.
fn methods(window: usize, (mode, windows): (Mode, &[usize]), threshold: f32) -> [Ask; 3] {
    [
        Ask::Occlusion {
            window: [window; 2],
            stride: [window / 2; 2],
        },
        Ask::Hoc {
            mode,
            windows: windows.to_vec(),
            strides: windows.iter().map(|side| side / 2).collect(),
            threshold,
        },
        Ask::Rise {
            masks: 4,
            by_coverage: false,
        },
    ]
}

/// Asks a board twice; answers how many times fewer instructions edits take, of
/// occlusion and of HOC.
fn both_ways(board: &str, file: &[u8], data: &[f32], methods: &[Ask]) -> [f64; 2] {
    let file = ModelFile::new(file).expect("it is sound");
    let shape = file.model().input();
    let asked = Asked {
        model: file.model(),
        picture: Picture::Tensor { shape, data },
        methods,
    };
    let truth = asked.truth();
    assert_eq!(truth.error, None);
    let ask = |edits: &str| -> Answer {
        let lines = methods.iter().map(|ask| format!("method={ask}\n"));
        let lines = lines.collect::<String>();
        let job = format!("model=n.fov\npicture=p.bin\nformat=f32\n{edits}{lines}");
        let folder = Folder::new().file("n.fov", file.model().bytes());
        folder.floats("p.bin", data).run(board, &job).done(board)
    };
    let (full, edited) = (ask(""), ask("edits=incremental\n"));
    for (name, wanted) in truth
        .files
        .iter()
        .filter(|(name, _)| name.starts_with("map"))
    {
        assert_eq!(&full.bits(name), wanted, "{board}: {name} in full");
        assert_eq!(&edited.bits(name), wanted, "{board}: {name} by edits");
    }
    let mut slots = vec![Slot::default(); file.model().tensor_count()];
    let held = held_len(file.model(), &mut slots).expect("a small network") as u64;
    let cost = |answer: &Answer, number: usize, what: &str| {
        let key = format!("cost.{number}");
        answer.cost(&key, what).expect("the cost states it")
    };
    let factors = [0, 1].map(|number| {
        let [dense, few] = [&full, &edited].map(|a| cost(a, number, "instructions"));
        let [plan, arena] = [&full, &edited].map(|a| cost(a, number, "arena"));
        let said = edited.get(&format!("edits.{number}"));
        println!(
            "| {board} | {} | {dense} in {plan} B | {few} in {arena} B | {said} |",
            methods[number]
        );
        assert_eq!(full.get(&format!("edits.{number}")), "");
        let count = said
            .strip_prefix("incremental ")
            .and_then(|n| n.parse().ok());
        let passes = cost(&edited, number, "passes");
        // All but the whole picture; HOC has more bases, and not all of them pay.
        let least = if number == 0 { passes - 1 } else { 2 };
        assert!(
            count.is_some_and(|n: u64| (least..passes).contains(&n)),
            "{said}"
        );
        assert_eq!((arena, passes), (held, cost(&full, number, "passes")));
        dense as f64 / few as f64
    });
    assert_eq!(edited.get("edits.2"), "full");
    assert_eq!(edited.get("cost.2"), full.get("cost.2"));
    factors
}

/// A small network in f32.
#[test]
fn edits_in_f32() {
    if !available() {
        return;
    }
    let mut golden = Golden::open("n3");
    let file = network(&golden.folder.join("model.onnx"), OutputActivation::Softmax);
    let data = to_hwc(&golden.picture(0));
    let factors = both_ways(
        "mps2-an386",
        &file,
        &data,
        &methods(8, (Mode::Reveal, &[16, 8]), 0.4),
    );
    assert!(factors[0] > 2.0, "{factors:?}");
}

/// MLPerf Tiny's people detector in int8; a board without room for what is
/// held computes every picture in full.
#[test]
fn edits_in_int8() {
    let (Some(zoo), true) = (zoo(), available()) else {
        return;
    };
    let name = "vww96_int8";
    let path = zoo.join(format!("models/tinyml/{name}.tflite"));
    let file = network(&path, OutputActivation::None);
    let mut reference = Reference::open(&zoo.join(format!("layers/{name}.npz")));
    let inputs = reference.get::<i8>("input");
    let picture = inputs.index_axis(Axis(0), 0);
    let data: Vec<f32> = picture.iter().map(|&v| f32::from(v)).collect();
    let factors = both_ways(
        "mps2-an386",
        &file,
        &data,
        &methods(16, (Mode::Cover, &[64]), 0.5),
    );
    assert!(factors[0] > 1.5, "{factors:?}");
}
