//! A device's audit log, read on the host: `foveola_core::audit` says what
//! records are and what can be wrong with them; here files become records, and
//! findings become words.
//!
//! [`policy`] makes the policy that a device holds itself to, [`seal`] puts it
//! into a model file and signs that, [`mod@bench`] answers as a device does, and
//! [`replay`] runs a record again.
//!
//! A log file is what the device exports: one record behind another, the
//! oldest one first.

use std::path::{Path, PathBuf};

use foveola_core::audit::Hash;
use foveola_core::audit::anchor::Link;
use foveola_core::audit::key::Key;
use foveola_core::audit::record::{Flaw, Record, length};
use foveola_core::audit::verify::{Fault, Summary, Verifier};

pub mod bench;
pub mod policy;
pub mod replay;
pub mod rules;
pub mod seal;
mod words;

pub use words::{explain, story};

/// What records start with.
const MAGIC: &[u8] = b"FVL1";

/// Why a log cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No record.
    #[error("{} holds no record of a log: it should be a file that a device exported", .0.display())]
    NoRecord(PathBuf),
    /// Not a key.
    #[error("{} holds no key: 64 hexadecimal digits, as at the enrolment", .0.display())]
    Key(PathBuf),
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No such record.
    #[error("the log has no record {number}: it holds {first} to {last}")]
    Missing {
        /// What was asked for.
        number: u64,
        /// The oldest one.
        first: u64,
        /// The latest one.
        last: u64,
    },
}

/// A log file.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// What was found in a log.
#[derive(Clone, Debug)]
pub struct Findings {
    /// Everything that is wrong, in the order of the log.
    pub faults: Vec<Fault>,
    /// The log as far as it could be read.
    pub summary: Summary,
    /// Records.
    pub records: usize,
}

impl LogFile {
    /// Reads a log.
    ///
    /// # Errors
    /// A file that cannot be read or holds no record.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let bytes = std::fs::read(path).map_err(|source| AuditError::File {
            path: path.to_path_buf(),
            source,
        })?;
        let log = Self {
            path: path.to_path_buf(),
            bytes,
        };
        let any = log.records().next().is_some();
        match any {
            true => Ok(log),
            false => Err(AuditError::NoRecord(log.path)),
        }
    }

    /// The entries. What is no record goes on to where the next one starts.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let whole = length(rest).filter(|&end| end <= rest.len());
            let sound = whole.filter(|&end| Record::read(&rest[..end]).is_ok());
            let end = sound.unwrap_or_else(|| next_start(rest));
            let (entry, behind) = rest.split_at(end);
            rest = behind;
            Some(entry)
        })
    }

    /// Holds the log to the rules.
    pub fn verify(&self, device: &str, key: Option<Key>, anchor: Option<Link>) -> Findings {
        let mut verifier = Verifier::new(device, key, anchor);
        let mut faults = Vec::new();
        let mut records = 0;
        for entry in self.entries() {
            match verifier.take(entry) {
                Ok(_) => records += 1,
                Err(fault) => {
                    records += usize::from(!matches!(fault, Fault::Damaged { .. }));
                    faults.push(fault);
                }
            }
        }
        let summary = verifier.summary();
        faults.extend(verifier.finish().err());
        Findings {
            faults,
            summary,
            records,
        }
    }

    /// Every record that can be read.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.entries().filter_map(|bytes| Record::read(bytes).ok())
    }

    /// Record `number`.
    ///
    /// # Errors
    /// There is none.
    pub fn record(&self, number: u64) -> Result<Record<'_>, AuditError> {
        let found = self.records().find(|record| record.number == number);
        let end = |record: Option<Record<'_>>| record.map_or(0, |record| record.number);
        found.ok_or_else(|| AuditError::Missing {
            number,
            first: end(self.records().next()),
            last: end(self.records().last()),
        })
    }
}

/// Where the next record may start, behind the first byte.
fn next_start(bytes: &[u8]) -> usize {
    let windows = bytes.windows(MAGIC.len()).skip(1);
    let found = windows.zip(1..).find(|(window, _)| *window == MAGIC);
    found.map_or(bytes.len(), |(_, at)| at)
}

/// 64 hexadecimal digits.
pub fn hash(text: &str) -> Option<Hash> {
    let digits = text.trim().as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        let sign = pair.starts_with(['+', '-']);
        *byte = u8::from_str_radix(pair, 16).ok().filter(|_| !sign)?;
    }
    Some(hash)
}

/// Hexadecimal digits.
pub fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key of a device's enrolment, from its file.
///
/// # Errors
/// A file that cannot be read or holds no key.
pub fn key(path: &Path) -> Result<Key, AuditError> {
    let text = std::fs::read_to_string(path).map_err(|source| AuditError::File {
        path: path.to_path_buf(),
        source,
    })?;
    let secret = hash(&text).ok_or_else(|| AuditError::Key(path.to_path_buf()))?;
    Ok(Key::enrolled(secret))
}

/// A number and a hash, as `NUMBER:HASH`.
pub fn link(text: &str) -> Option<Link> {
    let (number, digits) = text.split_once(':')?;
    Some(Link {
        number: number.parse().ok()?,
        hash: hash(digits)?,
    })
}

/// Why an entry is no record, in words.
fn flaw(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Hash => "its bytes are not those that were hashed",
        Flaw::Payload => "what it says does not fit its kind",
        _ => "it is cut off, or was never a record",
    }
}
