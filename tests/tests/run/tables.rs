//! The tables as others read them: `tests/run_reader.py` recomputes with NumPy,
//! pandas and DuckDB what can be recomputed from them.

use std::process::Command;

use foveola::run::read::RunFolder;
use foveola::run::view::{Flag, Verdict};
use foveola_tests::root;
use serde_json::Value;

use super::scenes::{PICTURES, room, undisturbed};

/// Whether Python has what the reader needs. Where `CI` is set it must, unless
/// `tests/ci.sh` found no way to install it and said so.
fn readers() -> bool {
    let mut python = Command::new("python3");
    let there = python.args(["-c", "import pandas, pyarrow, duckdb, numpy, PIL"]);
    let there = there.output().is_ok_and(|output| output.status.success());
    let is_set = |name| std::env::var_os(name).is_some();
    assert!(
        there || !is_set("CI") || is_set("FOVEOLA_WITHOUT_READERS"),
        "CI is set and Python lacks a module: pip install numpy pandas pyarrow duckdb pillow"
    );
    if !there {
        println!("skipped: python3 lacks numpy, pandas, pyarrow, duckdb or pillow");
    }
    there
}

#[test]
fn pandas_and_duckdb_read_them() {
    if !readers() {
        return;
    }
    let room = room();
    undisturbed(&room);
    let output = Command::new("python3")
        .arg(root().join("tests/run_reader.py"))
        .arg(room.path("whole"))
        .output()
        .expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    // The same counts as this crate reads.
    let run = RunFolder::open(&room.path("whole")).expect("a run");
    let run = run.run().expect("its tables");
    let answers = || run.samples.iter().flat_map(|s| &s.answers);
    let flagged = |flag: Flag| answers().filter(|a| a.flag == flag).count() as u64;
    assert_eq!(found["pictures"], PICTURES as u64);
    assert_eq!(found["TP"], flagged(Flag::TruePositive));
    assert_eq!(found["FN"], flagged(Flag::FalseNegative));
    let right = answers()
        .filter(|a| a.verdict == Some(Verdict::Right))
        .count() as u64;
    assert_eq!(found["RIGHT"], right);
    assert_eq!(found["checked"]["entropy"], PICTURES as u64 - 1);
    for check in ["curves", "ranks", "pointing", "regions"] {
        assert!(
            found["checked"][check].as_u64() > Some(10),
            "{check}: {found}"
        );
    }
}
