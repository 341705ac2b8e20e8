//! `tests/link_reader.py`, written from the page alone, speaks to a board.

use std::io::copy;
use std::net::TcpListener;
use std::process::Command;

use foveola::aligned::AlignedBytes;
use foveola::link::Qemu;
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Masked, Picture, Score};
use foveola_tests::root;
use serde_json::Value;

/// Whether boards can be emulated here. Where `CI` is set they must be.
pub fn available() -> bool {
    let runs = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    let available = ["qemu-system-arm", "qemu-system-riscv32"].iter().all(runs);
    assert!(
        available || std::env::var_os("CI").is_none(),
        "CI is set and QEMU is missing: apt-get install qemu-system-arm qemu-system-misc"
    );
    if !available {
        println!("skipped: qemu-system-arm or qemu-system-riscv32 is not there");
    }
    available
}

/// What this machine says of the picture.
fn expected(pixels: &[u8]) -> Vec<f32> {
    let file = std::fs::read(root().join("core/fixtures/small.fov")).expect("the fixture");
    let file = AlignedBytes::copy_of(&file);
    let model = Model::from_bytes(&file).expect("a model");
    let mut arena = AlignedBytes::zeros(model.plan(Pass::Forward).expect("a plan").arena_len());
    let mut session = Session::new(&model, &mut arena, Isa::detect()).expect("a session");
    let normalisation = model.normalisation();
    let picture = Picture::Pixels {
        shape: model.input(),
        data: pixels,
        normalisation: &normalisation,
    };
    let mut scores = [0.0; 3];
    let x = Masked::whole(picture);
    session
        .classify(&x, Score::Probability, &mut scores)
        .expect("scores");
    scores.to_vec()
}

#[test]
fn a_reader_written_from_the_page() {
    let python = Command::new("python3").arg("--version").output().is_ok();
    if !available() || !python {
        assert!(
            std::env::var_os("CI").is_none() || python,
            "CI is set and python3 is missing"
        );
        return;
    }
    let device = "qemu:mps2-an386".parse().expect("a board");
    let (qemu, line) = Qemu::start(&device, &root().join("firmware")).expect("a board");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener
        .local_addr()
        .expect("its number")
        .port()
        .to_string();
    let picture = qemu.folder().join("picture.bin");
    let pixels: Vec<u8> = (0..126).map(|i| (i * 29 % 256) as u8).collect();
    std::fs::write(&picture, &pixels).expect("a picture");
    let relay = std::thread::spawn(move || {
        let (mut reader, _) = listener.accept().expect("the reader");
        let (mut from, mut to) = (line.try_clone().expect("a line"), line);
        let mut back = reader.try_clone().expect("a line");
        std::thread::spawn(move || copy(&mut from, &mut back));
        copy(&mut reader, &mut to)
    });
    let output = Command::new("python3")
        .arg(root().join("tests/link_reader.py"))
        .args(["127.0.0.1", &port])
        .arg(&picture)
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["board"], "mps2-an386");
    assert_eq!(answer["shape"], serde_json::json!([7, 6, 3]));
    let scores = answer["scores"].as_array().expect("scores").iter();
    let scores: Vec<f32> = scores
        .map(|v| v.as_f64().expect("a number") as f32)
        .collect();
    assert_eq!(scores, expected(&pixels));
    drop(qemu);
    let _ = relay.join();
}
