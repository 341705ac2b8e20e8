//! The command itself: ladder, last line, exit code, errors.

use std::path::Path;
use std::process::{Command, Output};

use foveola_core::net::op::Op;
use ndarray::ArrayD;
use ndarray_npy::write_npy;

use super::dumps::{self, Style};
use super::engine::{Deviation, Rule, run};
use super::networks::{Network, Random};
use super::pictures::{input, photo};

fn bisect(folder: &Path, more: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
        .args(["bisect", "model.fov", "photo.png"])
        .args(more)
        .current_dir(folder)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

/// A folder with a model, a photo, and a dump in which the second convolution
/// rounds another way.
fn bench(deviation: &Deviation) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random(77);
    let network = Network::made_up(random.word());
    let shape = network.intake().shape;
    let image = photo(&mut random, shape.w as u32, shape.h as u32);
    image.save(folder.path().join("photo.png")).expect("saved");
    let model = folder.path().join("model.fov");
    std::fs::write(model, &network.compiled.bytes).expect("saved");
    let values = input(&network, &image, None);
    let is_conv = |(_, node): &(usize, &foveola::graph::Node)| matches!(node.op, Op::Conv { .. });
    let (at, node) = network
        .graph
        .nodes
        .iter()
        .enumerate()
        .filter(is_conv)
        .nth(1)
        .expect("two convolutions");
    let tensors = run(&network.graph, &values, at, deviation);
    let dump = folder.path().join("dump");
    std::fs::create_dir(&dump).expect("a folder");
    dumps::input(&dump, &network, &values);
    dumps::layers(&dump, &network, &tensors, Style::Plain, |_| false);
    (folder, node.name.clone())
}

#[test]
fn the_last_line_is_the_verdict_and_the_exit_code_follows_it() {
    let (folder, _) = bench(&Deviation::None);
    let (output, text) = bisect(folder.path(), &["--dump", "dump"]);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(text.lines().last(), Some("EQUAL"));

    let (folder, name) = bench(&Deviation::Rounding(Rule::Truncate));
    let (output, text) = bisect(folder.path(), &["--dump", "dump"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().last(), Some("LAYER-DIFFERS"));
    assert!(text.contains(&format!("first: {name} ")), "{text}");
    assert!(
        text.contains("cause: rounding rule: sums are cut off towards 0"),
        "{text}"
    );
    let marked = text.lines().filter(|line| line.starts_with("! ")).count();
    assert_eq!(marked, 1, "{text}");
}

#[test]
fn json_says_the_same() {
    let (folder, name) = bench(&Deviation::OutputZero(-31));
    let (output, text) = bisect(folder.path(), &["--dump", "dump", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["verdict"], "LAYER-DIFFERS");
    let rung = report["faults"][0]["rung"].as_u64().expect("an index") as usize;
    assert_eq!(report["rungs"][rung]["name"], name.as_str());
    assert_eq!(report["faults"][0]["causes"][0]["kind"], "zero-point");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let (folder, _) = bench(&Deviation::None);
    let fails = |dump: &str, wanted: &str| {
        let (output, _) = bisect(folder.path(), &["--dump", dump]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(wanted), "{error}");
    };
    fails("nowhere", "cannot read nowhere");
    let other = folder.path().join("other");
    std::fs::create_dir(&other).expect("a folder");
    write_npy(other.join("stranger.npy"), &ArrayD::<i8>::zeros(vec![3])).expect("written");
    fails(
        "other",
        "nothing in other belongs to the model: it has stranger",
    );
    write_npy(other.join("conv1.npy"), &ArrayD::<i8>::zeros(vec![3])).expect("written");
    fails("other", "its shape is [3]; the network has");
    std::fs::write(other.join("conv1.npy"), b"no array").expect("written");
    fails("other", "conv1.npy: it is not a .npy file");
    let (output, _) = bisect(folder.path(), &[]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("--dump"), "{error}");
}
