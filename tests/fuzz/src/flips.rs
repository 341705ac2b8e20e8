//! Every single bit of one file flipped, with hashes and without.

use foveola_core::net::model::Model;

use crate::aligned::Aligned;
use crate::file::File;
use crate::fuzz::guarded;
use crate::number::Random;
use crate::run::{Finding, Runner};
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

/// Flips the bits `from..` of a file, every `step`-th of them.
///
/// # Errors
/// A file that is not sound.
pub fn flips(original: &[u8], from: usize, step: usize) -> Result<Flips, String> {
    let mut buffer = Aligned::default();
    let bytes = buffer.copy(original);
    Model::from_bytes(bytes).map_err(|e| e.to_string())?;
    let file = File::parse(bytes).ok_or("no model file")?;
    let (mut runner, mut flips) = (Runner::default(), Flips::default());
    for bit in (from..bytes.len() * 8).step_by(step) {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if guarded(|| Ok(Model::from_bytes(bytes).is_err())) != Ok(true) {
            flips.unnoticed.push(bit);
        }
        let outcome = guarded(|| match Model::from_bytes_unhashed(bytes) {
            Err(error) => Ok(Err(error)),
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
