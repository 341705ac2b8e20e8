//! What a device keeps of itself: its name, its log, its models.
//!
//! Without a key, or once the flash fails, records go into memory, where they
//! are lost when power goes, and the first of them says so. Nothing here stops
//! the device from answering.

use core::cell::RefCell;

use embedded_storage_async::nor_flash::NorFlash;
use foveola_core::audit::Hash;
use foveola_core::audit::anchor::Link;
use foveola_core::audit::record::Event;
use foveola_core::wire::message::{Keeping, Storage};

use self::ring::Ring;
use crate::enrolment::Enrolment;
use crate::flash::{Layout, Part, PartError};
use crate::log::{Identity, Log, LogError, Occurrence};
use crate::store::{Store, StoreError};

mod ring;
#[cfg(test)]
mod tests;

/// Why a device cannot be enrolled.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolError {
    /// It has no flash, or the flash fails.
    Flash,
    /// It has a name and a key already.
    Already,
    /// No name, or one above 64 bytes.
    Name,
}

/// Why a model cannot be kept.
pub type KeepError<F> =
    StoreError<PartError<<F as embedded_storage_async::nor_flash::ErrorType>::Error>>;

/// See the module.
pub struct Witness<'f, F: NorFlash> {
    flash: Option<&'f RefCell<F>>,
    layout: Option<Layout>,
    enrolment: Enrolment,
    store: Option<Store<Part<'f, F>>>,
    log: Option<Log<Part<'f, F>>>,
    ring: Ring<'f>,
    identity: Identity,
    keeping: Keeping,
    /// Bytes of the log when its first ones were read.
    exported: u32,
}

impl<'f, F: NorFlash> Witness<'f, F> {
    /// Reads who the device is and which model runs. `ring` takes the records
    /// that flash does not; a few kilobytes.
    pub fn new(flash: Option<&'f RefCell<F>>, ring: &'f mut [u8], firmware: Hash) -> Self {
        let layout = flash.and_then(|flash| {
            let capacity = flash.try_borrow().map_or(0, |flash| flash.capacity());
            let page = u32::try_from(F::ERASE_SIZE).ok()?;
            Layout::of(page, u32::try_from(capacity).ok()? / page.max(1))
        });
        let mut witness = Self {
            flash,
            layout,
            enrolment: Enrolment::default(),
            store: None,
            log: None,
            ring: Ring::new(ring),
            identity: Identity {
                model: [0; 32],
                firmware,
            },
            keeping: Keeping::FlashFailed,
            exported: 0,
        };
        let part = witness.part(|layout| layout.models.clone());
        witness.store = part.and_then(|part| Store::open(part).ok());
        let part = witness.part(|layout| layout.enrolment.clone());
        match part.map(|mut part| Enrolment::load(&mut part)) {
            Some(Ok(Some(enrolment))) => witness.enrolment = enrolment,
            Some(Ok(None)) => witness.keeping = Keeping::NotEnrolled,
            _ => {}
        }
        witness
    }

    fn part(&self, range: fn(&Layout) -> core::ops::Range<u32>) -> Option<Part<'f, F>> {
        Some(Part::new(self.flash?, range(self.layout.as_ref()?)))
    }

    /// Opens the log, in which it writes that the device started, and that
    /// another model was chosen if that was not told yet.
    pub fn begin(&mut self, model: Hash) {
        self.identity.model = model;
        if !self.enrolment.name.is_empty() {
            self.open();
        }
        if self.keeping != Keeping::Flash {
            self.ring.begin(&self.enrolment.name);
            self.note(&Occurrence::of(Event::Boot { lost: 0 }));
            self.note(&Occurrence::of(Event::Volatile));
        }
        let untold = self.store.as_mut().map(|store| store.is_told());
        if matches!(untold, Some(Ok(false))) {
            self.tell();
        }
    }

    fn open(&mut self) {
        let Some(part) = self.part(|layout| layout.log.clone()) else {
            return;
        };
        let range = part.all();
        self.keeping = match Log::open(part, range, &self.enrolment.name, self.identity) {
            Ok(log) => {
                self.log = Some(log);
                Keeping::Flash
            }
            Err(LogError::NotEnrolled) => Keeping::NotEnrolled,
            Err(_) => Keeping::FlashFailed,
        };
    }

    /// Gives the device its name and key, once.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn enrol(&mut self, name: &str, secret: Hash, signer: Hash) -> Result<(), EnrolError> {
        if !self.enrolment.name.is_empty() {
            return Err(EnrolError::Already);
        }
        let enrolment = Enrolment::new(name, signer).ok_or(EnrolError::Name)?;
        let mut log = self
            .part(|layout| layout.log.clone())
            .ok_or(EnrolError::Flash)?;
        let range = log.all();
        Log::format(&mut log, range, name, secret).map_err(|_| EnrolError::Flash)?;
        let page = self.part(|layout| layout.enrolment.clone());
        let mut page = page.ok_or(EnrolError::Flash)?;
        enrolment.save(&mut page).map_err(|_| EnrolError::Flash)?;
        self.enrolment = enrolment;
        self.begin(self.identity.model);
        Ok(())
    }

    /// Writes down what happened.
    pub fn note(&mut self, occurrence: &Occurrence<'_>) {
        if let (Keeping::Flash, Some(log)) = (self.keeping, &mut self.log) {
            let written = log.append(occurrence);
            let (last, boot) = (log.last(), log.boot());
            if written.is_ok() {
                return;
            }
            // What cannot be written any more can still be read, maybe.
            self.keeping = Keeping::FlashFailed;
            self.ring.follow(last, boot);
            let lost = Occurrence::of(Event::Volatile);
            self.ring.push(&lost, self.identity);
        }
        self.ring.push(occurrence, self.identity);
    }

    /// Copies bytes of the log from an offset; how many it has in all. Reading
    /// from the start signs the log first.
    pub fn export(&mut self, offset: u32, out: &mut [u8]) -> u32 {
        if offset == 0 {
            if let (Keeping::Flash, Some(log)) = (self.keeping, &mut self.log) {
                // What cannot be signed is chained all the same.
                let _ = log.checkpoint(None);
            }
            self.exported = self.walk(|_, _| true);
        }
        let end = offset.saturating_add(out.len() as u32);
        self.walk(|at, record| {
            let skipped = offset.saturating_sub(at) as usize;
            let first = at.saturating_sub(offset) as usize;
            let from = record.get(skipped..).unwrap_or_default();
            let to = out.get_mut(first..).unwrap_or_default();
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            at < end
        });
        self.exported
    }

    /// Shows every record with its offset; how many bytes there were.
    fn walk(&mut self, mut show: impl FnMut(u32, &[u8]) -> bool) -> u32 {
        let mut at = 0;
        let mut one = |record: &[u8]| {
            let more = show(at, record);
            at += record.len() as u32;
            more
        };
        if let Some(log) = &mut self.log {
            // A record that cannot be read is missing, and the verifier says so.
            let _ = log.read(&mut one);
        }
        self.ring.read(&mut one);
        at
    }

    /// What the board keeps.
    pub fn storage(&self) -> Storage<'_> {
        let log = self.log.as_ref().filter(|_| self.keeping == Keeping::Flash);
        let Link { number, hash } = log.map_or(self.ring.last(), Log::last);
        let store = self.store.as_ref();
        let slots = store.map_or([None; 2], Store::slots);
        Storage {
            device: &self.enrolment.name,
            keeping: self.keeping,
            sound: log.is_none_or(|log| log.fault().is_none()),
            last: (number, hash),
            release: store.map_or(0, Store::release),
            room: store.map_or(0, Store::room),
            slots: slots.map(|slot| slot.map(|kept| (kept.length, kept.sha256))),
            active: store.and_then(Store::active),
        }
    }

    /// Ed25519 key of those who release models; zeros if anybody may.
    pub const fn signer(&self) -> &Hash {
        &self.enrolment.signer
    }

    /// The oldest release that may run.
    pub fn release(&self) -> u32 {
        self.store.as_ref().map_or(0, Store::release)
    }

    /// Copies the model that runs to the front of `out`; answers its bytes,
    /// nothing if no model was kept.
    ///
    /// # Errors
    /// It cannot be read, or is not the one that was kept.
    pub fn load(&mut self, out: &mut [u8]) -> Result<Option<usize>, KeepError<F>> {
        let Some(store) = &mut self.store else {
            return Ok(None);
        };
        match store.active() {
            Some(slot) => store.load(slot, out).map(Some),
            None => Ok(None),
        }
    }

    /// Keeps a model as the one that runs, and tells the log.
    ///
    /// # Errors
    /// It cannot be kept; then the one before runs.
    pub fn keep(&mut self, file: &[u8], model: Hash, release: u32) -> Result<(), KeepError<F>> {
        if let Some(store) = &mut self.store {
            store.put(file, release)?;
        }
        self.take_over(model);
        Ok(())
    }

    /// Keeps no model: the one in the program runs.
    ///
    /// # Errors
    /// It cannot be noted; then the one before runs.
    pub fn keep_none(&mut self, model: Hash) -> Result<(), KeepError<F>> {
        if let Some(store) = &mut self.store {
            store.deactivate()?;
        }
        self.take_over(model);
        Ok(())
    }

    fn take_over(&mut self, model: Hash) {
        self.set_model(model);
        self.tell();
    }

    /// From here on records name this model.
    pub const fn set_model(&mut self, model: Hash) {
        self.identity.model = model;
        if let Some(log) = &mut self.log {
            log.set_model(model);
        }
    }

    /// Tells the log which slot runs; once the record is there, the store knows.
    fn tell(&mut self) {
        let chosen = self
            .store
            .as_ref()
            .map(|store| (store.active(), store.release()));
        let (slot, version) = chosen.unwrap_or((None, 0));
        let slot = slot.unwrap_or(2);
        self.note(&Occurrence::of(Event::Update { slot, version }));
        if let (Keeping::Flash, Some(store)) = (self.keeping, &mut self.store) {
            // Otherwise it is told once more, which harms nobody.
            let _ = store.tell();
        }
    }
}
