//! Reads a log from its oldest record on and tells what is wrong with it.

use super::Hash;
use super::anchor::Link;
use super::key::Key;
use super::record::{Event, Flaw, Record, origin};

/// Epochs that are stepped over to reach a log whose beginning was given up.
const MOST_EPOCHS: u32 = 1 << 22;

/// What is wrong with a log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// An entry is no record.
    Damaged {
        /// Number that it should have.
        number: u64,
        /// What is wrong.
        flaw: Flaw,
    },
    /// Records are missing, doubled or out of order.
    Gap {
        /// Number of the record that should come.
        wanted: u64,
        /// Number of the record that comes.
        found: u64,
    },
    /// The record before is not the one that it was written behind.
    Chain {
        /// Number of the record.
        number: u64,
    },
    /// The first record does not name this device.
    OtherDevice,
    /// Not signed by this device's key.
    Signature {
        /// Number of the record.
        number: u64,
    },
    /// A key was used again or left out.
    Epoch {
        /// Number of the record.
        number: u64,
        /// Epoch that should have signed.
        wanted: u32,
        /// Epoch that says it did.
        found: u32,
    },
    /// Boots do not count up.
    Boot {
        /// Number of the record.
        number: u64,
    },
    /// The log begins after its start, and no record says so.
    Beginning {
        /// Number of the first record.
        number: u64,
    },
    /// The log ends before the anchor.
    Ending {
        /// Number of the last record.
        number: u64,
        /// Number that the anchor names.
        anchor: u64,
    },
    /// The record that the anchor names is another one.
    Anchor {
        /// Its number.
        number: u64,
    },
}

/// What the parts of a checkpoint's signature are.
pub fn checkpoint_parts<'a>(number: &'a [u8; 8], previous: &'a Hash) -> [&'a [u8]; 3] {
    [b"checkpoint", number, previous]
}

/// What the parts of a cut's signature are.
pub fn cut_parts<'a>(number: &'a [u8; 8], first: &'a [u8; 8], previous: &'a Hash) -> [&'a [u8]; 4] {
    [b"cut", number, first, previous]
}

/// A log as far as it was read.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// The enrolment's key, or the one of the next signature once one was seen;
    /// `None` where signatures are not checked.
    key: Option<Key>,
    seen_epoch: bool,
    /// Hash that the very first record names.
    origin: Hash,
    anchor: Option<Link>,
    /// The oldest record, with the hash before it.
    first: Option<Link>,
    /// The last record, with its hash.
    last: Option<Link>,
    boot: u32,
    /// The latest cut.
    cut: Option<Link>,
    signed: Option<Link>,
    checkpoint: Option<u32>,
    anchored: bool,
}

/// A log that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The oldest record, with the hash before it.
    pub first: Option<Link>,
    /// The last record, with its hash.
    pub last: Option<Link>,
    /// Boots so far.
    pub boot: u32,
    /// The last record that a checkpoint signs.
    pub signed: Option<Link>,
    /// Epoch of the last checkpoint.
    pub checkpoint: Option<u32>,
    /// The latest cut: oldest record, and the hash before it.
    pub cut: Option<Link>,
}

impl Verifier {
    /// For the log of a device. With the key of its enrolment, signatures are
    /// checked; with an anchor (number and hash of a record that was seen
    /// elsewhere), an end that was cut off is noticed.
    pub fn new(device: &str, key: Option<Key>, anchor: Option<Link>) -> Self {
        Self {
            key,
            seen_epoch: false,
            origin: origin(device),
            anchor,
            first: None,
            last: None,
            boot: 0,
            cut: None,
            signed: None,
            checkpoint: None,
            anchored: false,
        }
    }

    /// Takes the next entry, the oldest one first. After a fault, the next
    /// records are held to what came last.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<Record<'b>, Fault> {
        let wanted = self.last.map_or(0, |last| last.number.wrapping_add(1));
        let damaged = |flaw| Fault::Damaged {
            number: wanted,
            flaw,
        };
        let record = Record::read(bytes).map_err(damaged)?;
        let place = self.place(&record, wanted);
        let link = |number, hash| Link { number, hash };
        if self.first.is_none() {
            self.first = Some(link(record.number, record.previous));
        }
        self.last = Some(link(record.number, record.hash));
        let boots = record.entry.boot < self.boot;
        self.boot = record.entry.boot;
        place?;
        if boots {
            return Err(Fault::Boot {
                number: record.number,
            });
        }
        self.signatures(&record)?;
        self.at_anchor(&record)?;
        Ok(record)
    }

    /// Whether the record comes at the right place.
    fn place(&self, record: &Record<'_>, wanted: u64) -> Result<(), Fault> {
        let number = record.number;
        let Some(last) = self.last else {
            return match number {
                0 if record.previous != self.origin => Err(Fault::OtherDevice),
                _ => Ok(()),
            };
        };
        if number != wanted {
            return Err(Fault::Gap {
                wanted,
                found: number,
            });
        }
        if record.previous != last.hash {
            return Err(Fault::Chain { number });
        }
        Ok(())
    }

    fn signatures(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let number = record.number.to_le_bytes();
        match record.entry.event {
            Event::Checkpoint { epoch, signature } => {
                let parts = checkpoint_parts(&number, &record.previous);
                self.signed_by(record.number, epoch, &parts, &signature)?;
                if let Some(key) = &mut self.key {
                    *key = key.next();
                }
                self.signed = self.last;
                self.checkpoint = Some(epoch);
            }
            Event::Cut {
                first,
                previous,
                epoch,
                signature,
            } => {
                let oldest = first.to_le_bytes();
                let parts = cut_parts(&number, &oldest, &previous);
                self.signed_by(record.number, epoch, &parts, &signature)?;
                self.cut = Some(Link {
                    number: first,
                    hash: previous,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn signed_by(
        &mut self,
        number: u64,
        epoch: u32,
        parts: &[&[u8]],
        signature: &Hash,
    ) -> Result<(), Fault> {
        let Some(key) = &mut self.key else {
            return Ok(());
        };
        // Earlier signatures may have gone with the log's beginning.
        let begun = self.first.is_some_and(|first| first.number == 0) || self.seen_epoch;
        if !begun && epoch < MOST_EPOCHS {
            while key.epoch < epoch {
                *key = key.next();
            }
        }
        self.seen_epoch = true;
        if key.epoch != epoch {
            return Err(Fault::Epoch {
                number,
                wanted: key.epoch,
                found: epoch,
            });
        }
        match key.signed(parts, signature) {
            true => Ok(()),
            false => Err(Fault::Signature { number }),
        }
    }

    fn at_anchor(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let Some(anchor) = self.anchor.filter(|a| a.number == record.number) else {
            return Ok(());
        };
        self.anchored = true;
        match anchor.hash == record.hash {
            true => Ok(()),
            false => Err(Fault::Anchor {
                number: record.number,
            }),
        }
    }

    /// What was read.
    pub const fn summary(&self) -> Summary {
        Summary {
            first: self.first,
            last: self.last,
            boot: self.boot,
            signed: self.signed,
            checkpoint: self.checkpoint,
            cut: self.cut,
        }
    }

    /// Ends the log.
    ///
    /// # Errors
    /// A beginning that nothing explains, an end before the anchor.
    pub fn finish(self) -> Result<Summary, Fault> {
        let summary = self.summary();
        if let Some(first) = self.first
            && first.number > 0
            && self.cut != Some(first)
        {
            return Err(Fault::Beginning {
                number: first.number,
            });
        }
        if let Some(anchor) = self.anchor
            && !self.anchored
        {
            let number = self.last.map_or(0, |last| last.number);
            let before = self.first.is_some_and(|first| anchor.number < first.number);
            // What was given up since cannot be looked at.
            if !before {
                return Err(Fault::Ending {
                    number,
                    anchor: anchor.number,
                });
            }
        }
        Ok(summary)
    }
}

#[cfg(test)]
mod tests;
