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
