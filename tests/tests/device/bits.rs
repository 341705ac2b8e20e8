//! Every layer, both scores and all seven maps, bit for bit.

use std::fmt::Write as _;

use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::import;
use foveola_core::Picture;
use foveola_core::explain::hoc::Mode;
use foveola_tests::{Golden, root, to_hwc};

use super::board::{Answer, BOARDS, Folder, available};
use super::compare::{costs, differences};
use super::host::{Asked, Truth, seven};

/// Lists what differs.
fn compare(board: &str, asked: &Asked<'_>, answer: &Answer, truth: &Truth, report: &mut String) {
    for line in differences(asked.model, asked.methods, answer, truth) {
        writeln!(report, "{board}: {line}").expect("text grows");
    }
}

/// The host's answer, all of whose maps say something.
fn truth_of(asked: &Asked<'_>) -> Truth {
    let truth = asked.truth();
    assert_eq!(truth.error, None);
    assert!(
        truth.answered.iter().all(|a| a.outcome == "ok"),
        "{truth:?}"
    );
    truth
}

/// The model in flash, u8 pixels, on every board.
#[test]
fn small_network_in_flash() {
    if !available() {
        return;
    }
    let bytes = std::fs::read(root().join("core/fixtures/small.fov")).expect("the fixture");
    let file = ModelFile::new(&bytes).expect("it is sound");
    let data: Vec<u8> = (0..7 * 6 * 3).map(|i| (i * 37 % 256) as u8).collect();
    let normalisation = file.model().normalisation();
    let asked = Asked {
        model: file.model(),
        picture: Picture::Pixels {
            shape: file.model().input(),
            data: &data,
            normalisation: &normalisation,
        },
        methods: &seven(([2, 3], [2, 2]), 64, (Mode::Reveal, &[5, 3], &[1, 1], 0.1)),
    };
    let truth = truth_of(&asked);
    let job = format!("picture=p.bin\n{}", asked.job());
    let mut report = String::new();
    for board in BOARDS {
        let answer = Folder::new()
            .file("p.bin", &data)
            .run(board, &job)
            .done(board);
        compare(board, &asked, &answer, &truth, &mut report);
        costs(board, &answer);
    }
    assert!(report.is_empty(), "{report}");
}

/// A trained network with 32 x 32 pixels, read from a file, a tensor as its picture.
#[test]
fn golden_network_from_a_file() {
    if !available() {
        return;
    }
    let mut golden = Golden::open("n3");
    let options = import::Options::default();
    let graph = import::load(&golden.folder.join("model.onnx"), &options).expect("it imports");
    let card = Card {
        size: [32, 32],
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![0.0; 3],
        scale: vec![1.0; 3],
        activation: OutputActivation::Softmax,
        labels: Vec::new(),
    };
    let compiled = compile(graph.graph, &card, &CompileOptions::default()).expect("it compiles");
    let file = ModelFile::new(&compiled.bytes).expect("it is sound");
    let data = to_hwc(&golden.picture(0));
    let asked = Asked {
        model: file.model(),
        picture: Picture::Tensor {
            shape: file.model().input(),
            data: &data,
        },
        methods: &seven(([8, 9], [6, 6]), 64, (Mode::Cover, &[16, 8], &[8, 4], 0.5)),
    };
    let truth = truth_of(&asked);
    let job = format!(
        "model=n.fov
picture=p.bin
format=f32
{}",
        asked.job()
    );
    let mut report = String::new();
    for board in ["mps2-an386", "mps3-an547"] {
        let folder = Folder::new().file("n.fov", &compiled.bytes);
        let answer = folder.floats("p.bin", &data).run(board, &job).done(board);
        compare(board, &asked, &answer, &truth, &mut report);
        costs(board, &answer);
    }
    assert!(report.is_empty(), "{report}");
}
