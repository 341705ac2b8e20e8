//! Every single bit of one file flipped, with hashes and without.

use foveola_core::net::format::section;
use foveola_core::net::model::Model;

use crate::aligned::Aligned;
use crate::file::File;
use crate::fuzz::guarded;
use crate::number::Random;
use crate::run::{Finding, Ran, Runner};
use crate::tally::Tally;

/// What came of all flips.
#[derive(Clone, Debug, Default)]
pub struct Flips {
    /// Flips that the hashes let pass.
    pub unnoticed: Vec<usize>,
    /// Flips that break something that the check should exclude.
    pub findings: Vec<(usize, Finding)>,
    /// What became of them without hashes.
    pub tally: Tally,
}

/// Largest arena in bytes and most work of a flipped network that is run.
const LIMITS: (usize, usize) = (1 << 24, 1 << 28);

/// Which bits are flipped, and which of the networks that are accepted run.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// First bit.
    pub first: usize,
    /// Every so many.
    pub step: usize,
    /// Flips of weights, biases and factors: every so many of them run. The
    /// others are checked only.
    pub sample: usize,
}

/// Flips the bits of a file, one after the other.
///
/// # Errors
/// A file that is not sound.
pub fn flips(original: &[u8], choice: Choice) -> Result<Flips, String> {
    let mut buffer = Aligned::default();
    let bytes = buffer.copy(original);
    Model::from_bytes(bytes).map_err(|e| e.to_string())?;
    let file = File::parse(bytes).ok_or("no model file")?;
    let numbers = file.places(&[section::WEIGHTS, section::BYTES, section::WORDS]);
    let mut runner = Runner::with_limits(LIMITS.0, LIMITS.1);
    let mut flips = Flips::default();
    for bit in (choice.first..bytes.len() * 8).step_by(choice.step) {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if guarded(|| Ok(Model::from_bytes(bytes).is_err())) != Ok(true) {
            flips.unnoticed.push(bit);
        }
        let is_number = numbers.iter().any(|place| place.contains(&(bit / 8)));
        let runs = !is_number || (bit / choice.step).is_multiple_of(choice.sample);
        let outcome = guarded(|| match Model::from_bytes_unhashed(bytes) {
            Err(error) => Ok(Err(error)),
            Ok(_) if !runs => Ok(Ok(Ran::OnlyChecked)),
            Ok(model) => runner.run(&model, &mut Random::new(0, bit as u64)).map(Ok),
        });
        match outcome {
            Ok(Ok(ran)) => flips.tally.accept(ran),
            Ok(Err(error)) => flips.tally.reject(&file, error),
            Err(finding) => flips.findings.push((bit, finding)),
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    Ok(flips)
}
