//! Progress of a run on the terminal, and its times in a log beside it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::plain;
use crate::cli::progress::interrupted;
use crate::run::Observe;
use crate::run::shard::Seal;

/// Failures that are named on the terminal; the tables hold all.
const NAMED: u64 = 5;

/// A bar on the terminal, and a line in the log for each shard.
pub struct Progress {
    bar: ProgressBar,
    log: PathBuf,
    /// Opened when the run begins, as a question that is refused leaves no files.
    file: Mutex<Option<File>>,
    begun: Instant,
    pictures: AtomicU64,
    failures: AtomicU64,
}

impl Progress {
    /// The log lies beside the folder, as times differ from run to run.
    pub fn new(run: &Path) -> Self {
        let bar = ProgressBar::new(0);
        let style = "[{bar:32}] {pos}/{len} pictures, {per_sec}, {eta} left{msg}";
        // The template is fixed; a wrong one would only cost the style.
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        let mut name = run.as_os_str().to_owned();
        name.push(".log");
        Self {
            bar,
            log: PathBuf::from(name),
            file: Mutex::new(None),
            begun: Instant::now(),
            pictures: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// A run does without its log where none can be written.
    fn log(&self, line: &serde_json::Value) {
        let Ok(mut file) = self.file.lock() else {
            return;
        };
        if file.is_none() {
            let opened = OpenOptions::new().create(true).append(true).open(&self.log);
            *file = opened.ok();
        }
        if let Some(file) = &mut *file {
            let _ = writeln!(file, "{line}");
        }
    }

    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

impl Observe for Progress {
    fn begin(&self, todo: u64, there: u64) {
        if there > 0 && todo > 0 {
            let text = format!("{there} pictures are there already, {todo} are left");
            self.bar.println(format!("note: {text}"));
        }
        self.bar.set_length(todo);
        self.bar.reset_eta();
        self.log(&json!({"event": "begin", "todo": todo, "there": there}));
    }

    fn picture(&self, file: &str, failure: Option<&str>) {
        self.pictures.fetch_add(1, Ordering::Relaxed);
        if let Some(reason) = failure {
            let failures = 1 + self.failures.fetch_add(1, Ordering::Relaxed);
            if failures <= NAMED {
                self.bar
                    .println(format!("note: {}: {}", plain(file), plain(reason)));
            }
            self.bar.set_message(format!(", {failures} failed"));
        }
        self.bar.inc(1);
    }

    fn shard(&self, seal: &Seal) {
        let pictures = self.pictures.load(Ordering::Relaxed);
        let seconds = self.seconds();
        self.log(&json!({
            "event": "shard",
            "shard": seal.shard,
            "pictures": seal.pictures,
            "failures": seal.failures,
            "seconds": seconds,
            "rate": pictures as f64 / seconds.max(1e-9),
        }));
    }

    fn stopped(&self) -> bool {
        interrupted()
    }
}
