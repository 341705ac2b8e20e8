//! What whole runs are for, from pictures to an answer, with the program itself.

#[path = "stories/coco.rs"]
mod coco;
#[path = "stories/poles.rs"]
mod poles;
#[path = "stories/quantised.rs"]
mod quantised;

use std::path::{Path, PathBuf};
use std::process::Command;

use foveola::run::read::RunFolder;
use foveola::run::view::Run;
use serde_json::Value;

/// A folder to work in.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program here; what it printed, and its exit code.
    fn foveola(&self, args: &[&str]) -> (String, Option<i32>) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_foveola-under-test"));
        let output = program.args(args).current_dir(self.0.path()).output();
        let output = output.expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{args:?}: {error}"
        );
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        (printed, output.status.code())
    }

    /// The same, as JSON.
    fn json(&self, args: &[&str]) -> Value {
        let printed = self.foveola(args).0;
        serde_json::from_str(&printed).expect("JSON")
    }

    /// A run of this folder, read back.
    fn run(&self, name: &str) -> Run {
        let folder = RunFolder::open(&self.path(name)).expect("a run");
        folder.run().expect("it can be read")
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name")
}

/// The mean of a metric for a method, out of `foveola scores --json`, with its interval.
fn score(scores: &Value, method: &str, metric: &str) -> [f64; 3] {
    let place = |list: &Value, key: &str, name: &str| {
        let list = list.as_array().expect("a list").clone();
        let begins = |v: &Value| v[key].as_str().is_some_and(|s| s.starts_with(name));
        list.iter().position(begins).expect("it is in the run")
    };
    let k = place(&scores["metrics"], "metric", metric);
    let m = place(&scores["methods"], "method", method);
    let found = &scores["methods"][m]["scores"][k];
    let number = |v: &Value| v.as_f64().expect("a number");
    let ends = &found["interval"];
    [number(&found["mean"]), number(&ends[0]), number(&ends[1])]
}
