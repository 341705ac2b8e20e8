//! A folder to run the program in.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use foveola_tests::root;
use serde_json::Value;

/// An empty working folder.
pub struct Room {
    folder: tempfile::TempDir,
}

/// What the program said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// The demo's network: 96 x 96 RGB, six shapes.
pub fn model() -> String {
    file("host/demo/scene.onnx")
}

/// The demo's scene.
pub fn scene() -> String {
    file("host/demo/scene.png")
}

/// A file of the repository.
pub fn file(name: &str) -> String {
    root().join(name).to_str().expect("a path").to_string()
}

impl Room {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file there and answers its name.
    pub fn put(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).expect("a file");
        name.to_string()
    }

    /// Runs the program in the folder.
    pub fn run(&self, args: &[&str]) -> Said {
        let program = env!("CARGO_BIN_EXE_foveola-under-test");
        let run = Command::new(program)
            .args(args)
            .current_dir(self.folder.path())
            .output();
        let Output {
            status,
            stdout,
            stderr,
        } = run.expect("the program starts");
        Said {
            code: status.code(),
            out: String::from_utf8(stdout).expect("UTF-8"),
            err: String::from_utf8(stderr).expect("UTF-8"),
        }
    }

    /// Starts the program, silent.
    pub fn start(&self, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
            .args(args)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts")
    }

    /// Runs it, and it must succeed.
    pub fn succeed(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.out
    }

    /// Runs it, and it must refuse: exit code 2, one screen that says `part`,
    /// no panic, and nothing written.
    pub fn refuse(&self, args: &[&str], part: &str) {
        let before = self.names();
        let said = self.run(args);
        let Said { code, out, err } = &said;
        assert_eq!(*code, Some(2), "{args:?}: {said:?}");
        assert!(err.contains(part), "{args:?} should say {part:?}: {err}");
        assert!(err.lines().count() <= 26, "{args:?}: {err}");
        assert!(
            !err.contains("panicked") && out.is_empty(),
            "{args:?}: {said:?}"
        );
        assert_eq!(self.names(), before, "{args:?} left files");
    }

    /// Names of all files and folders, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(self.folder.path(), "", &mut names);
        names.sort();
        names
    }

    /// `explain.json` of a folder.
    pub fn record(&self, folder: &str) -> Value {
        let path = self.path(folder).join("explain.json");
        let text = std::fs::read_to_string(path).expect("explain.json");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("a file")
    }
}

fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), names);
        }
        names.push(name);
    }
}
