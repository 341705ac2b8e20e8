//! The program's own words: `classify --uncertainty`, `explain --uncertainty`.

use std::process::{Command, Output};

use foveola_tests::root;
use serde_json::Value;

fn foveola(words: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
        .current_dir(root().join("host/demo"))
        .args(words)
        .output();
    output.expect("it runs")
}

fn text(words: &[&str]) -> String {
    let output = foveola(words);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    String::from_utf8(output.stdout).expect("text")
}

fn classified(more: &[&str]) -> Value {
    let words = [
        "classify",
        "scene.onnx",
        "scene.png",
        "--uncertainty",
        "--json",
    ];
    let json = text(&[&words[..], more].concat());
    serde_json::from_str(&json).expect("JSON")
}

#[test]
fn classify_says_how_sure_the_model_is() {
    let record = classified(&["--passes", "12", "--seed", "4"]);
    let found = &record["uncertainty"];
    assert_eq!((&found["passes"], &found["seed"]), (&12.into(), &4.into()));
    let classes = found["classes"].as_array().expect("classes");
    assert_eq!(
        classes.len(),
        record["scores"].as_array().expect("scores").len()
    );
    let number = |v: &Value| v.as_f64().expect("a number");
    let probabilities: Vec<f64> = classes.iter().map(|c| number(&c["probability"])).collect();
    let entropy: f64 = probabilities
        .iter()
        .filter(|p| **p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    assert!((number(&found["entropy"]) - entropy).abs() < 1e-5);
    for class in classes {
        let (low, high) = (number(&class["interval"][0]), number(&class["interval"][1]));
        assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0);
        assert!(number(&class["deviation"]) >= 0.0);
    }
    assert!(classes.iter().any(|c| number(&c["deviation"]) > 0.0));
    let again = classified(&["--passes", "12", "--seed", "4", "--threads", "1"]);
    assert_eq!(record, again, "threads change nothing");
    let other = classified(&["--passes", "12", "--seed", "5"]);
    assert_ne!(
        record["uncertainty"]["classes"],
        other["uncertainty"]["classes"]
    );
    let table = text(&["classify", "scene.onnx", "scene.png", "--uncertainty"]);
    for word in [
        "deviation",
        "95 % interval",
        "10 passes",
        "margin",
        "entropy",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
}

#[test]
fn explain_keeps_it_in_its_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let out = out.to_str().expect("a path");
    let words = [
        "explain",
        "scene.onnx",
        "scene.png",
        "-m",
        "gradient",
        "--uncertainty",
        "-o",
        out,
    ];
    let shown = text(&words);
    assert!(shown.contains("95 % interval"), "{shown}");
    let json = std::fs::read(format!("{out}/explain.json")).expect("the record");
    let record: Value = serde_json::from_slice(&json).expect("JSON");
    let found = &record["uncertainty"];
    assert_eq!(found["passes"], 10);
    assert_eq!(found["seed"], record["seed"]);
    let classes = found["classes"].as_array().expect("classes");
    assert_eq!(classes.len(), 1);
    assert_eq!(classes[0]["class"], record["targets"][0]["target"]);
}

#[test]
fn tract_and_lone_options_are_refused() {
    let refused = |words: &[&str]| {
        let output = foveola(words);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let usual = ["classify", "scene.onnx", "scene.png"];
    let tract = refused(&[&usual[..], &["--uncertainty", "--backend", "tract"]].concat());
    assert!(tract.contains("dropout"), "{tract}");
    for lone in [["--passes", "3"], ["--seed", "3"]] {
        let said = refused(&[&usual[..], &lone].concat());
        assert!(said.contains("--uncertainty"), "{said}");
    }
    let none = refused(&[&usual[..], &["--uncertainty", "--passes", "0"]].concat());
    assert!(none.contains("passes"), "{none}");
}
