//! How busy this process keeps the processor.

use std::time::Instant;

/// Ticks of the kernel's clock in a second.
const TICKS: f64 = 100.0;

/// Ticks that a thread has run, by its `stat` file.
fn ticks(text: &str) -> Option<f64> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some(number(11)? + number(12)?)
}

/// Ticks of each thread that lives, by its number.
fn threads() -> Vec<(String, f64)> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let of = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        Some((entry.file_name().into_string().ok()?, ticks(&text)?))
    };
    tasks.filter_map(of).collect()
}

/// Since when it is watched.
pub struct Watch {
    begin: Instant,
    before: Vec<(String, f64)>,
}

/// Seconds of the clock, and shares of them that all threads together and the
/// busiest one ran; NaN where the system does not tell.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub seconds: f64,
    pub all: f64,
    pub busiest: f64,
}

impl Watch {
    pub fn start() -> Self {
        Self {
            before: threads(),
            begin: Instant::now(),
        }
    }

    pub fn stop(&self) -> Load {
        let seconds = self.begin.elapsed().as_secs_f64();
        let now = threads();
        let spent = |(name, ticks): &(String, f64)| {
            let before = self.before.iter().find(|(other, _)| other == name);
            (ticks - before.map_or(0.0, |b| b.1)) / TICKS / seconds
        };
        let shares: Vec<f64> = now.iter().map(spent).collect();
        let known = !shares.is_empty();
        Load {
            seconds,
            all: if known { shares.iter().sum() } else { f64::NAN },
            busiest: shares.into_iter().fold(f64::NAN, f64::max),
        }
    }
}
