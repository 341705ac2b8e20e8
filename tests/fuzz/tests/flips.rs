//! The demo's network with each of its bits flipped.

use foveola_fuzz::corpus_folder;
use foveola_fuzz::flips::{Choice, Flips, flips};
use foveola_fuzz::fuzz::quiet_panics;

/// Of the networks with a flipped weight, so many run.
const SAMPLE: usize = 5003;

/// With hashes each flip is rejected; without them it is rejected or runs:
/// no panic, the same bits with every instruction set and in any arena.
#[test]
#[cfg_attr(miri, ignore = "an interpreter takes days")]
fn every_flipped_bit_of_the_demo_is_rejected_or_harmless() {
    let bytes = std::fs::read(corpus_folder().with_file_name("demo.fov")).expect("the network");
    let bytes = &bytes;
    quiet_panics();
    let half = |first| {
        let (step, sample) = (2, SAMPLE);
        flips(
            bytes,
            Choice {
                first,
                step,
                sample,
            },
        )
        .expect("the file is sound")
    };
    let halves: [Flips; 2] = std::thread::scope(|scope| {
        let threads = [0, 1].map(|first| scope.spawn(move || half(first)));
        threads.map(|thread| thread.join().expect("the thread ends"))
    });
    let _ = std::panic::take_hook();
    for flips in &halves {
        assert_eq!(flips.unnoticed, [0; 0], "bits that hashes do not notice");
        assert_eq!(flips.findings, [], "bits that break something");
        // Digest, checksums, names, preprocessing, some attributes.
        assert!(flips.tally.ran > 2000, "{}", flips.tally.table());
        assert!(flips.tally.rejected.len() > 20, "{}", flips.tally.table());
    }
    let flipped: u64 = halves.iter().map(|flips| flips.tally.inputs).sum();
    assert_eq!(flipped, bytes.len() as u64 * 8);
}

/// Broken logs are read without a panic, and none that was changed passes.
#[test]
fn broken_logs_are_noticed() {
    let sound = foveola_fuzz::log::sound();
    quiet_panics();
    let inputs = if cfg!(miri) { 20 } else { 20_000 };
    let mut passed = 0;
    for index in 0..inputs {
        let found = foveola_fuzz::log::feed(&sound, 5, index);
        passed += u32::from(found.expect("nothing that must not happen"));
    }
    let _ = std::panic::take_hook();
    assert!(passed > 0, "a log whose end is cut is sound");
}
