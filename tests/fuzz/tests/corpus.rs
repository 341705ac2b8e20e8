//! The corpus and a few inputs made from it, small enough for an interpreter.

use foveola_fuzz::fuzz::{Feeder, sound};
use foveola_fuzz::{corpus, corpus_folder};

/// Inputs to feed; an interpreter is some thousand times slower.
const INPUTS: u64 = if cfg!(miri) { 20 } else { 20_000 };
/// Of the files, every so many.
const STEP: usize = if cfg!(miri) { 8 } else { 1 };

#[test]
fn every_file_is_accepted_and_runs() {
    let files = corpus(&corpus_folder()).expect("the corpus is there");
    assert!(files.len() >= 40, "{} files", files.len());
    let some: Vec<_> = files.into_iter().step_by(STEP).collect();
    sound(&some).expect("sound files");
}

#[test]
fn inputs_find_nothing_and_many_are_accepted() {
    let files = corpus(&corpus_folder()).expect("the corpus is there");
    let mut feeder = Feeder::default();
    for index in 0..INPUTS {
        let fed = feeder.feed(&files, 7, index);
        assert_eq!(fed, Ok(()), "seed 7 input {index}");
    }
    let tally = &feeder.tally;
    assert_eq!(tally.inputs, INPUTS);
    assert!(tally.ran > INPUTS / 20, "{}", tally.table());
    let reasons = if cfg!(miri) { 5 } else { 40 };
    assert!(tally.rejected.len() >= reasons, "{}", tally.table());
}
