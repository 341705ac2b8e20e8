//! The `foveola` program.

use std::process::ExitCode;

use clap::Parser;
use foveola::cli::{Cli, Ending};

/// Lines and characters of a message: one screen.
const SCREEN: (usize, usize) = (24, 4000);

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        // What a shell reports for a program that Ctrl-C ended.
        Ok(Ending::Stopped) => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {}", one_screen(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

fn one_screen(message: &str) -> String {
    let (lines, characters) = SCREEN;
    let cut: Vec<&str> = message.lines().take(lines).collect();
    cut.join("\n").chars().take(characters).collect()
}
