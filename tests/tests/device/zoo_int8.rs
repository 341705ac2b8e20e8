//! MLPerf Tiny's networks in int8 on the boards whose RAM holds them: every
//! layer has this machine's integers, which are TFLite's (`tests/int8.rs`), and
//! Grad-CAM and gradient have the same bits.

use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::import;
use foveola_core::Picture;
use foveola_tests::tflite::Reference;
use foveola_tests::zoo;
use ndarray::Axis;

use super::board::{Folder, available};
use super::compare::{costs, differences};
use super::host::{Ask, Asked};

const BOARDS: [&str; 5] = [
    "mps2-an386",
    "mps2-an500",
    "mps2-an505",
    "mps3-an547",
    "riscv32-virt",
];

fn same_bits(name: &str, boards: &[&str]) {
    let (Some(zoo), true) = (zoo(), available()) else {
        return;
    };
    let path = zoo.join(format!("models/tinyml/{name}.tflite"));
    let graph = import::load(&path, &import::Options::default()).expect("it imports");
    let shape = graph.graph.tensor(graph.graph.input).shape;
    let card = Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![0.0; 3],
        scale: vec![1.0; 3],
        activation: OutputActivation::None,
        labels: Vec::new(),
    };
    let compiled = compile(graph.graph, &card, &CompileOptions::default()).expect("it compiles");
    let file = ModelFile::new(&compiled.bytes).expect("it is sound");
    let mut reference = Reference::open(&zoo.join(format!("layers/{name}.npz")));
    let inputs = reference.get::<i8>("input");
    let picture = inputs.index_axis(Axis(0), 0);
    let data: Vec<f32> = picture.iter().map(|&v| f32::from(v)).collect();
    let asked = Asked {
        model: file.model(),
        picture: Picture::Tensor { shape, data: &data },
        methods: &[Ask::GradCam { relu: false }, Ask::Gradient],
    };
    let truth = asked.truth();
    assert_eq!(truth.error, None);
    assert!(truth.answered.iter().all(|a| a.outcome == "ok"), "{name}");
    let job = format!("model=n.fov\npicture=p.bin\nformat=f32\n{}", asked.job());
    for board in boards {
        let folder = Folder::new().file("n.fov", &compiled.bytes);
        let answer = folder.floats("p.bin", &data).run(board, &job).done(board);
        let report = differences(asked.model, asked.methods, &answer, &truth);
        assert!(report.is_empty(), "{name}: {board}: {report:#?}");
        costs(board, &answer);
    }
}

#[test]
fn resnet8_cifar10_int8_is_the_same_on_boards() {
    same_bits("resnet8_cifar10_int8", &BOARDS);
}

#[test]
fn vww96_int8_is_the_same_on_boards() {
    same_bits("vww96_int8", &BOARDS);
}
