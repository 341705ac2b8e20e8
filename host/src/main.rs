//! The `foveola` program.

use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;
use foveola::cli::{Cli, Ending, plain};

/// Lines and characters of a message: one screen.
const SCREEN: (usize, usize) = (24, 4000);

/// What the last panic said. Printed only if nobody caught it: tract's panics
/// on malformed graphs become errors of their own.
static PANIC: Mutex<String> = Mutex::new(String::new());

fn main() -> ExitCode {
    panic::set_hook(Box::new(|info| {
        if let Ok(mut last) = PANIC.lock() {
            *last = info.to_string();
        }
    }));
    let cli = Cli::parse();
    // Nothing that the command held is used after a panic.
    let run = AssertUnwindSafe(|| cli.run().map_err(|e| e.to_string()));
    let message = match panic::catch_unwind(run) {
        Ok(Ok(Ending::Done)) => return ExitCode::SUCCESS,
        Ok(Ok(Ending::Differs)) => return ExitCode::FAILURE,
        // What a shell reports for a program that Ctrl-C ended.
        Ok(Ok(Ending::Stopped)) => return ExitCode::from(130),
        Ok(Err(message)) => message,
        Err(_) => {
            let last = PANIC.lock().map(|last| last.clone()).unwrap_or_default();
            format!("an internal fault, please report it: {last}")
        }
    };
    // Nobody reads the message if standard error is closed.
    let _ = writeln!(std::io::stderr(), "error: {}", one_screen(&plain(&message)));
    ExitCode::from(2)
}

fn one_screen(message: &str) -> String {
    let (lines, characters) = SCREEN;
    let cut: Vec<&str> = message.lines().take(lines).collect();
    cut.join("\n").chars().take(characters).collect()
}
