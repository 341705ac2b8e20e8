//! The page: what is in the file, and what a browser makes of it.

#[path = "report/browser.rs"]
mod browser;
#[path = "report/file.rs"]
mod file;
#[path = "report/split.rs"]
mod split;

use std::path::PathBuf;

use foveola::report::page::{Entry, Limits, Page, render, render_split};
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

/// The page of one made-up run that is split, and the files beside it.
fn split(pictures: u32, words: &[&str]) -> (Page, Vec<(String, String)>) {
    let (run, painted) = run(pictures, words);
    let entry = Entry {
        name: "poles",
        run: &run,
        pictures: &painted,
    };
    let limits = Limits {
        samples: usize::MAX,
        bytes: 0,
    };
    let mut files = Vec::new();
    let mut put = |name: &str, bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec());
        files.push((String::from(name), text.expect("UTF-8")));
        Ok::<(), std::convert::Infallible>(())
    };
    let Ok(page) = render_split(&[entry], None, limits, &mut put);
    (page, files)
}

/// Where screenshots go, for people to look at.
fn screenshots() -> PathBuf {
    let folder = foveola_tests::root().join("target/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
