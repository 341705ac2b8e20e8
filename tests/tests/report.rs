//! The page: what is in the file, and what a browser makes of it.

#[path = "report/browser.rs"]
mod browser;
#[path = "report/file.rs"]
mod file;

use std::path::PathBuf;

use foveola::report::page::{Entry, Limits, Page, render};
use foveola_tests::synthetic_run::run;

/// The page of one made-up run.
fn page(pictures: u32, words: &[&str], limits: Limits) -> Page {
    let (run, painted) = run(pictures, words);
    let entry = Entry {
        name: "poles",
        run: &run,
        pictures: &painted,
    };
    render(&[entry], None, limits)
}

/// Where screenshots go, for people to look at.
fn screenshots() -> PathBuf {
    let folder = foveola_tests::root().join("target/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
