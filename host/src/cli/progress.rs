//! Progress with the time left, for what takes longer than a second; Ctrl-C
//! stops the method that runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use foveola_core::explain::Cost;
use indicatif::{ProgressBar, ProgressStyle};

use crate::explainer::Watch;
use crate::method_spec::MethodSpec;

/// Before this time nothing is shown.
const PATIENCE: Duration = Duration::from_secs(1);

static STOP: AtomicBool = AtomicBool::new(false);

/// Lets the first Ctrl-C stop what runs and keep what is finished, and the
/// second end the program.
pub fn catch_interrupts() {
    let handler = || {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    // Without a handler Ctrl-C ends the program at once, which is no harm.
    let _ = ctrlc::set_handler(handler);
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// A bar of `total` steps, called `unit`.
pub fn bar(name: &str, total: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = format!("{{msg:16}} [{{bar:32}}] {{pos}}/{{len}} {unit}, {{eta}} left");
    // The template is fixed; a wrong one would only cost the style.
    if let Ok(style) = ProgressStyle::with_template(&style) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(name.to_string());
    bar
}

/// Shows a bar on the terminal.
#[derive(Debug)]
pub struct Terminal {
    name: String,
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl Terminal {
    pub fn new() -> Self {
        Self {
            name: String::new(),
            begun: Instant::now(),
            bar: None,
        }
    }

    fn show(&mut self, total: u64) -> &ProgressBar {
        let name = self.name.clone();
        self.bar.get_or_insert_with(|| bar(&name, total, "passes"))
    }
}

impl Watch for Terminal {
    fn begin(&mut self, method: &MethodSpec, _cost: &Cost) {
        self.name = method.title().to_string();
        self.begun = Instant::now();
    }

    fn step(&mut self, done: u64, total: u64) -> bool {
        if self.begun.elapsed() > PATIENCE {
            let bar = self.show(total);
            bar.set_length(total.max(done));
            bar.set_position(done);
        }
        !self.stopped()
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn stopped(&self) -> bool {
        interrupted()
    }
}
