//! The audit log in flash.
//!
//! Records lie in a queue ([`sequential_storage`]), page behind page in a ring;
//! the device's key and the end of the signed chain lie in two pages beside
//! it, of which one is always whole. Once [`Log::append`] returns, no cut of
//! power takes the record away; one that comes earlier leaves the record out.
//! When the ring is full, the oldest page of records is given up, and a record
//! says so.
//!
//! What is written: `foveola_core::audit`.

use core::cell::Cell;
use core::ops::Range;

use embedded_storage_async::nor_flash::NorFlash;
use foveola_core::audit::Hash;
use foveola_core::audit::anchor::{Anchor, Link};
use foveola_core::audit::key::Key;
use foveola_core::audit::record::{Encoded, Entry, Event, MAX_RECORD, Record, origin};
use foveola_core::audit::verify::{Fault, Verifier, checkpoint_parts, cut_parts};
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::queue::{QueueConfig, QueueStorage};

use self::pages::{Anchors, Watched};
use crate::flash::wait;

mod pages;
#[cfg(test)]
mod tests;

/// Records after which a checkpoint follows by itself.
pub const SIGNED_AFTER: u32 = 64;

/// Why a log cannot be opened or written.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogError<E> {
    /// The flash does not work.
    Flash(E),
    /// The pages are too few (2 for the anchor, 3 for records), too small for
    /// two records, or their range does not begin and end with a page.
    Place,
    /// The queue's own pages cannot be repaired.
    Broken,
    /// No key was enrolled here: [`Log::format`] does.
    NotEnrolled,
}

impl<E> From<sequential_storage::Error<E>> for LogError<E> {
    fn from(error: sequential_storage::Error<E>) -> Self {
        match error {
            sequential_storage::Error::Storage { value, .. } => Self::Flash(value),
            _ => Self::Broken,
        }
    }
}

/// What every record names besides its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the model file.
    pub model: Hash,
    /// SHA-256 of the firmware.
    pub firmware: Hash,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Occurrence<'a> {
    /// What happened.
    pub event: Event<'a>,
    /// Milliseconds since 1970-01-01 UTC.
    pub time: Option<u64>,
    /// SHA-256 of the input, zeros for none.
    pub input: Hash,
    /// SHA-256 of the output, zeros for none.
    pub output: Hash,
}

impl<'a> Occurrence<'a> {
    /// An event without picture and clock.
    pub const fn of(event: Event<'a>) -> Self {
        Self {
            event,
            time: None,
            input: [0; 32],
            output: [0; 32],
        }
    }
}

type Queue<F> = QueueStorage<F, Cache<Uncached, Uncached, Uncached>>;

/// The log of a device.
pub struct Log<F: NorFlash> {
    queue: Queue<F>,
    anchors: Anchors,
    anchor: Anchor,
    identity: Identity,
    boot: u32,
    last: Link,
    next: u64,
    unsigned: u32,
    fault: Option<Fault>,
}

impl<F: NorFlash> Log<F> {
    /// Erases `range` and enrols a key; the verifier keeps the same key.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn format(
        flash: &mut F,
        range: Range<u32>,
        device: &str,
        secret: Hash,
    ) -> Result<(), LogError<F::Error>> {
        let (anchors, _) = pages::split::<F>(&range).ok_or(LogError::Place)?;
        wait(flash.erase(range.start, range.end)).map_err(LogError::Flash)?;
        let link = Link {
            number: 0,
            hash: origin(device),
        };
        let anchor = Anchor {
            generation: 0,
            key: Key::enrolled(secret),
            head: link,
            first: link,
        };
        anchors.save(flash, &anchor)
    }

    /// Reads the log, mends what a cut of power left, and writes that the
    /// device started.
    ///
    /// # Errors
    /// See [`LogError`]; a log that is not sound is none: [`Log::fault`].
    pub fn open(
        flash: F,
        range: Range<u32>,
        device: &str,
        identity: Identity,
    ) -> Result<Self, LogError<F::Error>> {
        let (anchors, records) = pages::split::<F>(&range).ok_or(LogError::Place)?;
        let config = QueueConfig::try_new(records).map_err(|_| LogError::Place)?;
        let mut queue = QueueStorage::new(flash, config, Cache::new_uncached());
        let anchor = anchors.load(queue.flash())?.ok_or(LogError::NotEnrolled)?;
        let mut log = Self {
            queue,
            anchors,
            last: Link {
                number: 0,
                hash: origin(device),
            },
            anchor,
            identity,
            boot: 0,
            next: 0,
            unsigned: 0,
            fault: None,
        };
        let lost = log.recover(device)?;
        log.append(&Occurrence::of(Event::Boot { lost }))?;
        log.checkpoint(None)?;
        Ok(log)
    }

    /// What is wrong with the records that were there when the log was opened.
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The last record.
    pub const fn last(&self) -> Link {
        self.last
    }

    /// From here on records name another model.
    pub const fn set_model(&mut self, model: Hash) {
        self.identity.model = model;
    }

    /// Boots before this one.
    pub const fn boot(&self) -> u32 {
        self.boot
    }

    /// Gives the flash back.
    pub fn close(self) -> F {
        self.queue.destroy().0
    }

    /// Reads every record; how many the anchor knows of that are not there.
    fn recover(&mut self, device: &str) -> Result<u64, LogError<F::Error>> {
        let mut verifier = Verifier::new(device, None, None);
        let mut buffer = [0; MAX_RECORD];
        let mut since = 0;
        let mut iterator = wait(self.queue.iter())?;
        while let Some(entry) = wait(iterator.next(&mut buffer))? {
            since += 1;
            match verifier.take(&entry) {
                Ok(record) => {
                    if let Event::Checkpoint { .. } = record.entry.event {
                        since = 0;
                    }
                }
                Err(fault) => self.fault = self.fault.or(Some(fault)),
            }
        }
        let found = verifier.summary();
        self.unsigned = since;
        if let Some(last) = found.last {
            self.last = last;
            self.next = last.number.wrapping_add(1);
            self.boot = found.boot.wrapping_add(1);
        }
        // The key moves on after its checkpoint is written.
        if found.checkpoint == Some(self.anchor.key.epoch) {
            self.move_on(found.signed.unwrap_or(self.last))?;
        }
        let lost = (self.anchor.head.number + 1).saturating_sub(self.next);
        let lost = if self.anchor.key.epoch == 0 { 0 } else { lost };
        if let Some(first) = found.first.filter(|first| first.number > 0)
            && found.cut != Some(first)
        {
            if self.anchor.first == first {
                self.say_cut()?;
            } else {
                let number = first.number;
                self.fault = self.fault.or(Some(Fault::Beginning { number }));
            }
        }
        Ok(lost)
    }

    /// Writes a record behind the others.
    ///
    /// # Errors
    /// See [`LogError`]; then the record is not there.
    pub fn append(&mut self, occurrence: &Occurrence<'_>) -> Result<(), LogError<F::Error>> {
        if !self.push(occurrence, false)? {
            self.give_up_a_page()?;
            if !self.push(occurrence, false)? {
                return Err(LogError::Broken);
            }
        }
        if self.unsigned >= SIGNED_AFTER {
            self.checkpoint(occurrence.time)?;
        }
        Ok(())
    }

    /// Signs the chain and moves the key on.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn checkpoint(&mut self, time: Option<u64>) -> Result<(), LogError<F::Error>> {
        if !self.push(&self.signed(time), false)? {
            self.give_up_a_page()?;
            // The record before is another one now.
            if !self.push(&self.signed(time), false)? {
                return Err(LogError::Broken);
            }
        }
        self.unsigned = 0;
        self.move_on(self.last)
    }

    /// The checkpoint that comes next.
    fn signed(&self, time: Option<u64>) -> Occurrence<'static> {
        let key = &self.anchor.key;
        let number = self.next.to_le_bytes();
        let event = Event::Checkpoint {
            epoch: key.epoch,
            signature: key.sign(&checkpoint_parts(&number, &self.last.hash)),
        };
        Occurrence {
            time,
            ..Occurrence::of(event)
        }
    }

    /// The next key, and the end of what the one before has signed.
    fn move_on(&mut self, signed: Link) -> Result<(), LogError<F::Error>> {
        self.anchor.key = self.anchor.key.next();
        self.anchor.head = signed;
        self.save()
    }

    fn save(&mut self) -> Result<(), LogError<F::Error>> {
        self.anchor.generation = self.anchor.generation.wrapping_add(1);
        self.anchors.save(self.queue.flash(), &self.anchor)
    }

    /// Writes the next record; `false` if there is no room. With `over`, the
    /// oldest page makes room.
    fn push(
        &mut self,
        occurrence: &Occurrence<'_>,
        over: bool,
    ) -> Result<bool, LogError<F::Error>> {
        let entry = Entry {
            boot: self.boot,
            time: occurrence.time,
            model: self.identity.model,
            firmware: self.identity.firmware,
            input: occurrence.input,
            output: occurrence.output,
            event: occurrence.event,
        };
        let encoded = Encoded::new(self.next, &self.last.hash, &entry);
        match wait(self.queue.push(encoded.bytes(), over)) {
            Err(sequential_storage::Error::FullStorage) => return Ok(false),
            other => other?,
        }
        self.last = Link {
            number: self.next,
            hash: *encoded.hash(),
        };
        self.next = self.next.wrapping_add(1);
        self.unsigned = self.unsigned.saturating_add(1);
        Ok(true)
    }

    /// Gives up the oldest page of records and says so, in this order: the
    /// anchor knows first, so that a cut of power in between is understood.
    fn give_up_a_page(&mut self) -> Result<(), LogError<F::Error>> {
        let Some(first) = self.behind_the_oldest_page()? else {
            return Err(LogError::Place);
        };
        if self.anchor.first != first {
            self.anchor.first = first;
            self.save()?;
        }
        self.say_cut()
    }

    /// Writes the cut that the anchor knows of, over the oldest page.
    fn say_cut(&mut self) -> Result<(), LogError<F::Error>> {
        let (key, first) = (&self.anchor.key, self.anchor.first);
        let (number, oldest) = (self.next.to_le_bytes(), first.number.to_le_bytes());
        let event = Event::Cut {
            first: first.number,
            previous: first.hash,
            epoch: key.epoch,
            signature: key.sign(&cut_parts(&number, &oldest, &first.hash)),
        };
        match self.push(&Occurrence::of(event), true)? {
            true => Ok(()),
            false => Err(LogError::Broken),
        }
    }

    /// The first record that is not on the oldest page.
    fn behind_the_oldest_page(&mut self) -> Result<Option<Link>, LogError<F::Error>> {
        let range = self.queue.flash_range();
        let config = QueueConfig::try_new(range).map_err(|_| LogError::Place)?;
        // The queue does not say where an entry lies, but its flash knows
        // where it was read last.
        let at = Cell::new(0);
        let flash = Watched {
            flash: self.queue.flash(),
            at: &at,
        };
        let mut queue = QueueStorage::new(flash, config, Cache::new_uncached());
        let mut buffer = [0; MAX_RECORD];
        let mut oldest = None;
        let mut iterator = wait(queue.iter())?;
        while let Some(entry) = wait(iterator.next(&mut buffer))? {
            let page = at.get() / F::ERASE_SIZE as u32;
            if page == *oldest.get_or_insert(page) {
                continue;
            }
            if let Ok(record) = Record::read(&entry) {
                return Ok(Some(Link {
                    number: record.number,
                    hash: record.previous,
                }));
            }
        }
        Ok(None)
    }

    /// Shows every record, the oldest one first, until `show` says no.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn read(&mut self, mut show: impl FnMut(&[u8]) -> bool) -> Result<(), LogError<F::Error>> {
        let mut buffer = [0; MAX_RECORD];
        let mut iterator = wait(self.queue.iter())?;
        while let Some(entry) = wait(iterator.next(&mut buffer))? {
            if !show(&entry) {
                break;
            }
        }
        Ok(())
    }
}
