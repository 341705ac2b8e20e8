//! Ends the program when one input takes too long.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Most processor time that one input may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// What one thread works on, and since when.
#[derive(Debug)]
pub struct Watch {
    begin: Instant,
    /// 0: nothing; else the input's index and one.
    input: AtomicU64,
    since: AtomicU64,
    /// Where Linux says how long the thread has run.
    clock: OnceLock<PathBuf>,
    /// An input that is late by the wall's clock, and how long the thread had
    /// run then: on a busy machine it may just have had no turn.
    late: Mutex<Option<(u64, Duration)>>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            input: AtomicU64::new(0),
            since: AtomicU64::new(0),
            clock: OnceLock::new(),
            late: Mutex::new(None),
        }
    }
}

impl Watch {
    /// The calling thread is the one to watch.
    pub fn this_thread(&self) {
        if let Ok(task) = std::fs::read_link("/proc/thread-self") {
            let _ = self
                .clock
                .set(PathBuf::from("/proc").join(task).join("schedstat"));
        }
    }

    /// The thread begins with an input.
    pub fn start(&self, index: u64) {
        let now = self.begin.elapsed().as_millis() as u64;
        self.since.store(now, Ordering::Relaxed);
        self.input.store(index + 1, Ordering::Release);
    }

    /// The thread is done.
    pub fn stop(&self) {
        self.input.store(0, Ordering::Release);
    }

    /// Processor time of the thread; that of the wall where nobody tells.
    fn ran(&self) -> Duration {
        let told = || {
            let text = std::fs::read_to_string(self.clock.get()?).ok()?;
            let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
            Some(Duration::from_nanos(nanoseconds))
        };
        told().unwrap_or_else(|| self.begin.elapsed())
    }

    /// The input that takes too long, if one does.
    pub fn overdue(&self) -> Option<u64> {
        let input = self.input.load(Ordering::Acquire);
        let since = Duration::from_millis(self.since.load(Ordering::Relaxed));
        let late = self.begin.elapsed().saturating_sub(since) > LIMIT;
        // The thread may have gone on while both were read.
        if input == 0 || !late || self.input.load(Ordering::Acquire) != input {
            return None;
        }
        let ran = self.ran();
        let mut noticed = self.late.lock().ok()?;
        match *noticed {
            Some((same, then)) if same == input => {
                (ran.saturating_sub(then) > LIMIT).then(|| input - 1)
            }
            _ => {
                *noticed = Some((input, ran));
                None
            }
        }
    }
}
