//! Writes generated scenes as a data set, for `foveola run`:
//!
//! ```text
//! cargo run --release -p foveola-tests --example boxed_scenes -- FOLDER 10000
//! foveola run host/demo/cheat.onnx FOLDER/boxes.csv --card host/demo/poles.card.toml -o RUN ..
//! ```

use std::path::Path;

use foveola::demo::scene::Snow;
use foveola_tests::scenes::write;

/// Another seed than the demo's networks have seen.
const SEED: u64 = 2_026;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, count] = &arguments[..] else {
        eprintln!("usage: boxed_scenes FOLDER COUNT");
        std::process::exit(2);
    };
    let count = count.parse().expect("a number of scenes");
    std::fs::create_dir_all(folder).expect("a folder");
    write(Path::new(folder), SEED, count, Snow::WithConcrete).expect("written");
    println!("{count} scenes in {folder}");
}
