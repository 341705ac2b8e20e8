//! One entry of the log.
//!
//! | byte | |
//! |---|---|
//! | 0 | `FVL1` |
//! | 4 | kind of the event, see [`Event`] |
//! | 5 | bytes of the payload, 0 to 160 |
//! | 6 | 0, 0 |
//! | 8 | number of the record, from 0 |
//! | 16 | boots before it |
//! | 20 | milliseconds since 1970-01-01 UTC; all ones where the time is not known |
//! | 28 | hash of the record before; of the device's name for the first |
//! | 60 | SHA-256 of the model file |
//! | 92 | SHA-256 of the firmware |
//! | 124 | SHA-256 of the input (the picture as it came), zeros for none |
//! | 156 | SHA-256 of the output (scores or map), zeros for none |
//! | 188 | payload |
//! | 188 + n | SHA-256 of everything before |
//!
//! Numbers are little endian.

use sha2::{Digest, Sha256};

use super::{HASH, Hash};

/// What a record starts with.
const MAGIC: [u8; 4] = *b"FVL1";
/// Bytes before the payload.
const HEAD: usize = 188;
/// Most bytes of a payload.
pub const MAX_PAYLOAD: usize = 160;
/// Most bytes of a record.
pub const MAX_RECORD: usize = HEAD + MAX_PAYLOAD + HASH;
/// A time that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Why the first bytes are not a record.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Flaw {
    /// It does not start like a record, or is of no length that records have.
    NotARecord,
    /// The hash at its end is not that of its bytes.
    Hash,
    /// The payload does not fit the kind.
    Payload,
}

/// What happened.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// 1: power came. Records lost from the end of the log, as the anchor tells.
    Boot {
        /// 0 if nothing is missing.
        lost: u64,
    },
    /// 2: the model file was checked.
    Model {
        /// Its version, by which old ones are refused.
        version: u32,
        /// Error code of the check, 0 if it is sound.
        code: u16,
    },
    /// 3: the pictures of the self-test were asked.
    SelfTest {
        /// How many.
        cases: u16,
        /// How many did not answer as expected.
        failed: u16,
    },
    /// 4: a picture was classified.
    Answer {
        /// The class.
        class: u16,
        /// Its score.
        score: f32,
    },
    /// 5: a map was made.
    Explanation {
        /// The class.
        class: u16,
        /// The method as it was asked for, at most 128 bytes.
        method: &'a str,
    },
    /// 6: a picture was judged by the policy.
    Verdict {
        /// The class.
        class: u16,
        /// 0 for a pass, else the number of the rule that failed.
        rule: u16,
        /// Share of the evidence inside the region.
        inside: f32,
    },
    /// 7: another model became the one that runs.
    Update {
        /// The slot.
        slot: u8,
        /// Its version.
        version: u32,
    },
    /// 8: the chain so far is signed; the key moves on.
    Checkpoint {
        /// The key's epoch.
        epoch: u32,
        /// Signature of number and previous hash.
        signature: Hash,
    },
    /// 9: older records are given up.
    Cut {
        /// Number of the oldest record that is kept.
        first: u64,
        /// Hash of the record before it.
        previous: Hash,
        /// The key's epoch.
        epoch: u32,
        /// Signature of number and hash.
        signature: Hash,
    },
    /// 10: from here on records lie in memory and are gone when power goes: the
    /// flash failed, or there is no key.
    Volatile,
}

/// Everything in a record but the number and the chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Boots before it.
    pub boot: u32,
    /// Milliseconds since 1970-01-01 UTC.
    pub time: Option<u64>,
    /// SHA-256 of the model file.
    pub model: Hash,
    /// SHA-256 of the firmware.
    pub firmware: Hash,
    /// SHA-256 of the input.
    pub input: Hash,
    /// SHA-256 of the output.
    pub output: Hash,
    /// What happened.
    pub event: Event<'a>,
}

/// A record, decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Its number.
    pub number: u64,
    /// Hash of the record before.
    pub previous: Hash,
    /// What it says.
    pub entry: Entry<'a>,
    /// Its own hash.
    pub hash: Hash,
}

/// A record's bytes.
#[derive(Clone, Debug)]
pub struct Encoded {
    bytes: [u8; MAX_RECORD],
    len: usize,
    hash: Hash,
}

/// Writes fields one behind another.
struct Writer<'b> {
    rest: &'b mut [u8],
    written: usize,
}

impl Writer<'_> {
    /// Writes what fits: all callers stay within [`MAX_RECORD`].
    fn put(&mut self, bytes: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        let count = bytes.len().min(rest.len());
        if let Some((to, rest)) = rest.split_at_mut_checked(count) {
            to.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            self.rest = rest;
            self.written += count;
        }
    }
}

/// Reads fields one behind another.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn f32(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'b str> {
        core::str::from_utf8(core::mem::take(&mut self.0)).ok()
    }
}

/// Most bytes of a method's text.
const MAX_METHOD: usize = 128;

impl<'a> Event<'a> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Boot { .. } => 1,
            Self::Model { .. } => 2,
            Self::SelfTest { .. } => 3,
            Self::Answer { .. } => 4,
            Self::Explanation { .. } => 5,
            Self::Verdict { .. } => 6,
            Self::Update { .. } => 7,
            Self::Checkpoint { .. } => 8,
            Self::Cut { .. } => 9,
            Self::Volatile => 10,
        }
    }

    fn write(&self, to: &mut Writer<'_>) {
        match *self {
            Self::Boot { lost } => to.put(&lost.to_le_bytes()),
            Self::Model { version, code } => {
                to.put(&version.to_le_bytes());
                to.put(&code.to_le_bytes());
            }
            Self::SelfTest { cases, failed } => {
                to.put(&cases.to_le_bytes());
                to.put(&failed.to_le_bytes());
            }
            Self::Answer { class, score } => {
                to.put(&class.to_le_bytes());
                to.put(&score.to_le_bytes());
            }
            Self::Explanation { class, method } => {
                to.put(&class.to_le_bytes());
                to.put(shortened(method).as_bytes());
            }
            Self::Verdict {
                class,
                rule,
                inside,
            } => {
                to.put(&class.to_le_bytes());
                to.put(&rule.to_le_bytes());
                to.put(&inside.to_le_bytes());
            }
            Self::Update { slot, version } => {
                to.put(&[slot]);
                to.put(&version.to_le_bytes());
            }
            Self::Checkpoint { epoch, signature } => {
                to.put(&epoch.to_le_bytes());
                to.put(&signature);
            }
            Self::Cut {
                first,
                previous,
                epoch,
                signature,
            } => {
                to.put(&first.to_le_bytes());
                to.put(&previous);
                to.put(&epoch.to_le_bytes());
                to.put(&signature);
            }
            Self::Volatile => {}
        }
    }

    fn read(kind: u8, payload: &'a [u8]) -> Option<Self> {
        let mut from = Reader(payload);
        let event = match kind {
            1 => Self::Boot { lost: from.u64()? },
            2 => Self::Model {
                version: from.u32()?,
                code: from.u16()?,
            },
            3 => Self::SelfTest {
                cases: from.u16()?,
                failed: from.u16()?,
            },
            4 => Self::Answer {
                class: from.u16()?,
                score: from.f32()?,
            },
            5 => Self::Explanation {
                class: from.u16()?,
                method: from.text()?,
            },
            6 => Self::Verdict {
                class: from.u16()?,
                rule: from.u16()?,
                inside: from.f32()?,
            },
            7 => Self::Update {
                slot: from.u8()?,
                version: from.u32()?,
            },
            8 => Self::Checkpoint {
                epoch: from.u32()?,
                signature: from.take()?,
            },
            9 => Self::Cut {
                first: from.u64()?,
                previous: from.take()?,
                epoch: from.u32()?,
                signature: from.take()?,
            },
            10 => Self::Volatile,
            _ => return None,
        };
        from.0.is_empty().then_some(event)
    }
}

/// As many whole characters as fit.
fn shortened(method: &str) -> &str {
    let mut end = method.len().min(MAX_METHOD);
    while !method.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    method.get(..end).unwrap_or_default()
}

/// The hash that the first record names: that of the device.
pub fn origin(device: &str) -> Hash {
    Sha256::digest(device.as_bytes()).into()
}

impl Encoded {
    /// Record `number` behind the record with the hash `previous`.
    pub fn new(number: u64, previous: &Hash, entry: &Entry<'_>) -> Self {
        let mut bytes = [0; MAX_RECORD];
        let mut to = Writer {
            rest: &mut bytes,
            written: 0,
        };
        to.put(&MAGIC);
        to.put(&[entry.event.kind(), 0, 0, 0]);
        to.put(&number.to_le_bytes());
        to.put(&entry.boot.to_le_bytes());
        to.put(&entry.time.unwrap_or(UNKNOWN).to_le_bytes());
        for hash in [
            previous,
            &entry.model,
            &entry.firmware,
            &entry.input,
            &entry.output,
        ] {
            to.put(hash);
        }
        entry.event.write(&mut to);
        let end = to.written;
        if let Some(length) = bytes.get_mut(5) {
            *length = (end.saturating_sub(HEAD)).min(MAX_PAYLOAD) as u8;
        }
        let hash: Hash = Sha256::digest(bytes.get(..end).unwrap_or_default()).into();
        for (to, from) in bytes.iter_mut().skip(end).zip(hash) {
            *to = from;
        }
        Self {
            bytes,
            len: end + HASH,
            hash,
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The record's own hash.
    pub const fn hash(&self) -> &Hash {
        &self.hash
    }
}

/// Bytes of the record that `bytes` start with.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let payload = usize::from(*bytes.get(5)?);
    let right = bytes.starts_with(&MAGIC) && payload <= MAX_PAYLOAD;
    right.then_some(HEAD + payload + HASH)
}

impl<'a> Record<'a> {
    /// Decodes exactly one record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Flaw> {
        if length(bytes) != Some(bytes.len()) {
            return Err(Flaw::NotARecord);
        }
        let (said, hash) = bytes.split_last_chunk().ok_or(Flaw::NotARecord)?;
        let own: Hash = Sha256::digest(said).into();
        if own != *hash {
            return Err(Flaw::Hash);
        }
        Self::fields(said, *hash).ok_or(Flaw::Payload)
    }

    fn fields(said: &'a [u8], hash: Hash) -> Option<Self> {
        let (head, payload) = said.split_at_checked(HEAD)?;
        let mut from = Reader(head);
        let _magic: [u8; 4] = from.take()?;
        let [kind, _, 0, 0] = from.take()? else {
            return None;
        };
        let number = from.u64()?;
        let boot = from.u32()?;
        let time = from.u64().filter(|time| *time != UNKNOWN);
        let previous = from.take()?;
        let entry = Entry {
            boot,
            time,
            model: from.take()?,
            firmware: from.take()?,
            input: from.take()?,
            output: from.take()?,
            event: Event::read(kind, payload)?,
        };
        Some(Self {
            number,
            previous,
            entry,
            hash,
        })
    }
}

#[cfg(test)]
mod tests;
