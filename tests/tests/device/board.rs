//! A board in QEMU: a folder with a job, a run, the answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use foveola::crosscheck::{Device, link};
use foveola_tests::root;
use tempfile::TempDir;

/// All boards.
pub const BOARDS: [&str; 7] = [
    "mps2-an386",
    "mps2-an500",
    "mps2-an505",
    "mps3-an547",
    "netduinoplus2",
    "lm3s6965evb",
    "riscv32-virt",
];

/// Whether boards can be emulated here. Where `CI` is set they must be.
pub fn available() -> bool {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let available = ["qemu-system-arm", "qemu-system-riscv32"]
        .into_iter()
        .all(runs);
    assert!(
        available || std::env::var_os("CI").is_none(),
        "CI is set and QEMU is missing: apt-get install qemu-system-arm qemu-system-misc"
    );
    if !available {
        println!("skipped: qemu-system-arm or qemu-system-riscv32 is not there");
    }
    available
}

/// A folder under work.
pub struct Folder(TempDir);

/// What a board answered.
pub struct Answer {
    pub code: i32,
    pub log: String,
    lines: BTreeMap<String, String>,
    folder: PathBuf,
    _keeps: Arc<TempDir>,
}

/// Files of one job by name, `job.txt` among them.
pub type Files = Vec<(&'static str, Vec<u8>)>;

/// Runs jobs on a board one after the other, in one emulation.
pub fn run_batch(board: &str, jobs: &[(String, Files)]) -> Vec<Answer> {
    let all = Arc::new(TempDir::new().expect("a folder"));
    let mut batch = String::new();
    for (name, files) in jobs {
        let folder = all.path().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        for (file, bytes) in files {
            std::fs::write(folder.join(file), bytes).expect("a file");
        }
        batch += &format!("{name}\n");
    }
    std::fs::write(all.path().join("batch.txt"), batch).expect("a file");
    let (code, log) = emulate(board, all.path(), None);
    let answer =
        |(name, _): &(String, Files)| Answer::read(code, &log, all.path().join(name), &all);
    jobs.iter().map(answer).collect()
}

/// Exit code and log of `run.sh`.
fn emulate(board: &str, folder: &Path, elf: Option<&Path>) -> (i32, String) {
    let output = Command::new(root().join("firmware/run.sh"))
        .arg(board)
        .arg(folder)
        .args(elf)
        .env("FOVEOLA_SECONDS", "600")
        .env_remove("FOVEOLA_MODEL")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("run.sh runs");
    let log = [output.stdout, output.stderr].concat();
    let code = output.status.code().expect("an exit code");
    (code, String::from_utf8_lossy(&log).into_owned())
}

impl Folder {
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.0.path().join(name), bytes).expect("a file");
        self
    }

    pub fn floats(self, name: &str, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.file(name, &bytes)
    }

    /// Runs the job on a board, with the program that `run.sh` builds for anybody.
    pub fn run(self, board: &str, job: &str) -> Answer {
        self.run_program(board, job, None)
    }

    /// Runs the job with a program that was built elsewhere.
    pub fn run_program(self, board: &str, job: &str, elf: Option<&Path>) -> Answer {
        let folder = Arc::new(self.file("job.txt", job.as_bytes()).0);
        let (code, log) = emulate(board, folder.path(), elf);
        Answer::read(code, &log, folder.path().to_owned(), &folder)
    }
}

/// Builds the program of a board with a model in its flash.
pub fn with_model(board: &str, model: &[u8], elf: &Path) {
    let device: Device = format!("qemu:{board}").parse().expect("a board");
    link(&root().join("firmware"), &device, model, elf).expect("it fits");
}

/// The program that `run.sh` builds for anybody.
pub fn program(board: &str) -> PathBuf {
    let folder = Folder::new();
    let (code, log) = emulate(board, folder.path(), None);
    assert_eq!(code, 1, "{board} has no job: {log}");
    let firmware = root().join("firmware");
    let script = format!(
        "board={board}; . {}/board.sh; echo $target/$profile",
        firmware.display()
    );
    let said = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("sh runs");
    let place = String::from_utf8(said.stdout).expect("a path");
    firmware.join("target").join(place.trim()).join(board)
}

fn lines(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// Runs a job in a folder that stays.
pub fn run_in(board: &str, folder: &Path, job: &str) -> Answer {
    std::fs::write(folder.join("job.txt"), job).expect("a file");
    let (code, log) = emulate(board, folder, None);
    let nothing = Arc::new(TempDir::new().expect("a folder"));
    Answer::read(code, &log, folder.to_owned(), &nothing)
}

impl Answer {
    fn read(code: i32, log: &str, folder: PathBuf, keeps: &Arc<TempDir>) -> Self {
        Self {
            code,
            log: log.to_owned(),
            lines: lines(&folder.join("answer.txt")),
            folder,
            _keeps: Arc::clone(keeps),
        }
    }

    pub fn get(&self, key: &str) -> &str {
        self.lines.get(key).map_or("", String::as_str)
    }

    /// Fails with the board's own words unless the job came to its end.
    pub fn done(self, board: &str) -> Self {
        let error = self.get("error");
        assert_eq!(self.code, 0, "{board}: {error}\n{}", self.log);
        assert_eq!(self.get("done"), "1", "{board}");
        self
    }

    /// A file that the board wrote.
    pub fn file(&self, name: &str) -> Vec<u8> {
        let path = self.folder.join(name);
        std::fs::read(path).unwrap_or_else(|e| panic!("{name}: {e}\n{}", self.log))
    }

    /// A file of f32, as bits; nothing where there is no such file.
    pub fn bits(&self, name: &str) -> Vec<u32> {
        let bytes = std::fs::read(self.folder.join(name)).unwrap_or_default();
        let words = bytes.as_chunks().0;
        words.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    /// One number of a cost, if the board states it.
    pub fn cost(&self, key: &str, what: &str) -> Option<u64> {
        let mut parts = self.get(key).split(' ').filter_map(|p| p.split_once('='));
        let (_, value) = parts.find(|(k, _)| *k == what)?;
        value.parse().ok()
    }
}
