//! Ends the program when one input takes too long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Most time that one input may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// What one thread works on, and since when.
#[derive(Debug)]
pub struct Watch {
    begin: Instant,
    /// 0: nothing; else the input's index and one.
    input: AtomicU64,
    since: AtomicU64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            input: AtomicU64::new(0),
            since: AtomicU64::new(0),
        }
    }
}

impl Watch {
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

    /// The input that takes too long, if one does.
    pub fn overdue(&self) -> Option<u64> {
        let input = self.input.load(Ordering::Acquire);
        let since = Duration::from_millis(self.since.load(Ordering::Relaxed));
        let late = self.begin.elapsed().saturating_sub(since) > LIMIT;
        // The thread may have gone on while both were read.
        let same = self.input.load(Ordering::Acquire) == input;
        (late && same).then(|| input.checked_sub(1)).flatten()
    }
}
