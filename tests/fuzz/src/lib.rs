//! Breaks model files in ways that keep most of their structure, hands them to
//! [`Model::from_bytes_unhashed`](foveola_core::net::model::Model::from_bytes_unhashed)
//! and runs what it accepts.
//!
//! What must hold for every input, and is a [finding](run::Finding) if it does
//! not: the reader returns; what it accepts runs forward and backward without a
//! panic, an overflow or [`Error::Internal`](foveola_core::Error::Internal); the
//! answer is the same bits with every instruction set and whatever lay in the
//! arena before; nothing takes more than [`watch::LIMIT`] of a processor. With its hashes on,
//! the reader rejects every change.
//!
//! ```text
//! cargo run --release --manifest-path tests/fuzz/Cargo.toml -- model --inputs 10000000 --seed 1
//! cargo run --release --manifest-path tests/fuzz/Cargo.toml -- flips model.fov
//! cargo run --release --manifest-path tests/fuzz/Cargo.toml -- log --inputs 10000000
//! ```
//! Input number `i` of a seed is a function of both, whatever the threads:
//! `model --seed 1 --only i` runs it alone, and writes it to `found/`.
//!
//! Reads out of range, with the nightly toolchain's interpreter (portable
//! kernels; every file of the corpus, and inputs made from them):
//! ```text
//! cd tests/fuzz
//! MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test --target armv7-unknown-linux-gnueabihf
//! ```
//! (that target has words of 32 bits, as boards do, and no assembly in `libm`),
//! and with its address sanitizer (kernels of this processor):
//! ```text
//! RUSTFLAGS=-Zsanitizer=address cargo +nightly run --release --target x86_64-unknown-linux-gnu -- model --inputs 1000000
//! ```
//! The corpus is made by `cargo run --release -p foveola-tests --example fuzz_corpus`.

pub mod aligned;
pub mod file;
pub mod flips;
pub mod fuzz;
pub mod log;
pub mod mutate;
pub mod number;
pub mod repair;
pub mod run;
pub mod tally;
pub mod watch;

use std::path::{Path, PathBuf};

use file::File;

/// The folder of the corpus.
pub fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The files of a folder, by name.
///
/// # Errors
/// A folder or file that cannot be read, or is no model file.
pub fn corpus(folder: &Path) -> Result<Vec<File>, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|e| e.map(|e| e.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "fov"));
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path).map_err(failed)?;
        let file = File::parse(&bytes).ok_or(format!("{}: no model file", path.display()))?;
        files.push(file);
    }
    match files.is_empty() {
        true => Err(format!("{}: no model files", folder.display())),
        false => Ok(files),
    }
}
