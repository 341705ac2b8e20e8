//! Models in flash: two slots, and two pages that say which of them runs.
//!
//! A model is written to the slot that does not run, read back, and only then
//! chosen. The choice is a record of [`LENGTH`] bytes in one of two pages, the
//! one with the larger generation holds; it is written to the page that does
//! not hold, so a cut of power leaves the old choice or the new one, and with
//! it the old model or the new one, never a mixture.
//!
//! | byte of a choice | |
//! |---|---|
//! | 0 | `FVS1` |
//! | 4 | generation |
//! | 8 | slot that runs: 0 or 1, 2 for none |
//! | 12 | oldest release that may run |
//! | 16, 52 | each slot's model: bytes (0 for none), SHA-256 of them |
//! | 88 | 0 |
//! | 124 | CRC-32C of everything before |
//!
//! Numbers are little endian. Behind a choice one word is written once the log
//! tells of it, so that no change goes untold.

use core::ops::Range;

use embedded_storage_async::nor_flash::NorFlash;
use foveola_core::audit::Hash;
use foveola_core::net::model::crc32c;
use sha2::{Digest, Sha256};

use crate::flash::wait;

#[cfg(test)]
mod tests;

/// Bytes of a choice.
pub const LENGTH: usize = 128;

const MAGIC: [u8; 4] = *b"FVS1";

/// Bytes that are read or written at a time.
const PIECE: usize = 256;

/// Most bytes of a word.
const MAX_WORD: usize = 32;

/// A choice of no slot.
const NONE: u8 = 2;

/// Why a model cannot be kept or run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError<E> {
    /// The flash does not work.
    Flash(E),
    /// Pages or words of a size that does not fit, or too few pages.
    Place,
    /// More than the bytes of a slot.
    TooLarge,
    /// The slot holds no model, or not the one that was written.
    NoModel,
}

/// A model in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Bytes.
    pub length: u32,
    /// SHA-256 of them.
    pub sha256: Hash,
}

/// Which model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choice {
    generation: u32,
    active: Option<u8>,
    release: u32,
    slots: [Option<Kept>; 2],
}

impl Choice {
    fn write(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let [first, second] = self.slots.map(|slot| {
            slot.unwrap_or(Kept {
                length: 0,
                sha256: [0; 32],
            })
        });
        let fields: [&[u8]; 8] = [
            &MAGIC,
            &self.generation.to_le_bytes(),
            &[self.active.unwrap_or(NONE), 0, 0, 0],
            &self.release.to_le_bytes(),
            &first.length.to_le_bytes(),
            &first.sha256,
            &second.length.to_le_bytes(),
            &second.sha256,
        ];
        let all = fields.into_iter().flatten();
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        if let Some((said, crc)) = bytes.split_last_chunk_mut() {
            *crc = crc32c(said).to_le_bytes();
        }
        bytes
    }

    fn read(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (said, crc) = bytes.split_last_chunk()?;
        if crc32c(said).to_le_bytes() != *crc || !said.starts_with(&MAGIC) {
            return None;
        }
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(*said.get(at..)?.first_chunk()?))
        };
        let slot = |at: usize| -> Option<Kept> {
            let sha256 = *said.get(at + 4..)?.first_chunk()?;
            let length = word(at)?;
            (length > 0).then_some(Kept { length, sha256 })
        };
        Some(Self {
            generation: word(4)?,
            active: said.get(8).copied().filter(|slot| *slot < NONE),
            release: word(12)?,
            slots: [slot(16), slot(52)],
        })
    }
}

/// The models of a device.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
    page: u32,
    slots: [Range<u32>; 2],
    choice: Choice,
    /// The page of the choice; the other one before there is any.
    held: u32,
}

impl<F: NorFlash> Store<F> {
    /// Reads which model runs. All of the flash belongs to the models.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(mut flash: F) -> Result<Self, StoreError<F::Error>> {
        let page = u32::try_from(F::ERASE_SIZE).map_err(|_| StoreError::Place)?;
        let word = F::WRITE_SIZE.max(F::READ_SIZE).max(1);
        let pages = (flash.capacity() / F::ERASE_SIZE.max(1)) as u32;
        let fits = word <= MAX_WORD
            && PIECE.is_multiple_of(word)
            && F::ERASE_SIZE.is_multiple_of(PIECE)
            && pages >= 4;
        if !fits {
            return Err(StoreError::Place);
        }
        let slot = (pages - 2) / 2 * page;
        let first = 2 * page;
        let mut latest = None;
        for at in [0, page] {
            let mut bytes = [0; LENGTH];
            wait(flash.read(at, &mut bytes)).map_err(StoreError::Flash)?;
            let later = |choice: &Choice| match &latest {
                Some((_, Choice { generation, .. })) => {
                    choice.generation.wrapping_sub(*generation) < 1 << 31
                }
                None => true,
            };
            if let Some(choice) = Choice::read(&bytes).filter(later) {
                latest = Some((at, choice));
            }
        }
        let none = Choice {
            generation: 0,
            active: None,
            release: 0,
            slots: [None; 2],
        };
        let (held, choice) = latest.unwrap_or((page, none));
        Ok(Self {
            flash,
            page,
            slots: [first..first + slot, first + slot..first + 2 * slot],
            choice,
            held,
        })
    }

    /// The slot that runs.
    pub const fn active(&self) -> Option<u8> {
        self.choice.active
    }

    /// The oldest release that may run.
    pub const fn release(&self) -> u32 {
        self.choice.release
    }

    /// What each slot should hold.
    pub const fn slots(&self) -> [Option<Kept>; 2] {
        self.choice.slots
    }

    /// Bytes of a slot.
    pub const fn room(&self) -> u32 {
        self.slots[0].end - self.slots[0].start
    }

    /// Whether the last choice was told to the log.
    ///
    /// # Errors
    /// Flash that does not work.
    pub fn is_told(&mut self) -> Result<bool, StoreError<F::Error>> {
        if self.choice.generation == 0 {
            return Ok(true);
        }
        let mut word = [0; MAX_WORD];
        let at = self.held + LENGTH as u32;
        wait(self.flash.read(at, &mut word)).map_err(StoreError::Flash)?;
        let word = word.get(..F::WRITE_SIZE).unwrap_or_default();
        Ok(word.iter().any(|byte| *byte != 0xff))
    }

    /// Notes that the log tells of the last choice.
    ///
    /// # Errors
    /// Flash that does not work.
    pub fn tell(&mut self) -> Result<(), StoreError<F::Error>> {
        let word = [0; MAX_WORD];
        let word = word.get(..F::WRITE_SIZE).unwrap_or_default();
        let at = self.held + LENGTH as u32;
        wait(self.flash.write(at, word)).map_err(StoreError::Flash)
    }

    /// Writes a model to the slot that does not run and chooses it; answers the
    /// slot. One that is there already is chosen as it is. From then on nothing
    /// older than `release` may run.
    ///
    /// # Errors
    /// See [`StoreError`]; then what ran before still does.
    pub fn put(&mut self, file: &[u8], release: u32) -> Result<u8, StoreError<F::Error>> {
        let length = u32::try_from(file.len()).map_err(|_| StoreError::TooLarge)?;
        if length > self.room() || length == 0 {
            return Err(StoreError::TooLarge);
        }
        let kept = Kept {
            length,
            sha256: Sha256::digest(file).into(),
        };
        let same = self
            .choice
            .slots
            .iter()
            .position(|slot| *slot == Some(kept));
        if let Some(slot) = same
            && self.activate(slot as u8, release).is_ok()
        {
            return Ok(slot as u8);
        }
        let slot = u8::from(self.choice.active == Some(0));
        self.write(slot, file)?;
        let mut choice = self.choice;
        for (place, number) in choice.slots.iter_mut().zip(0..) {
            if number == slot {
                *place = Some(kept);
            }
        }
        self.check(slot, kept)?;
        self.choose(Choice {
            active: Some(slot),
            release: release.max(choice.release),
            ..choice
        })?;
        Ok(slot)
    }

    /// Chooses the model that a slot holds.
    ///
    /// # Errors
    /// See [`StoreError`]; then what ran before still does.
    pub fn activate(&mut self, slot: u8, release: u32) -> Result<(), StoreError<F::Error>> {
        let kept = self.kept(slot)?;
        self.check(slot, kept)?;
        let release = release.max(self.choice.release);
        if self.choice.active == Some(slot) && release == self.choice.release {
            return Ok(());
        }
        self.choose(Choice {
            active: Some(slot),
            release,
            ..self.choice
        })
    }

    /// Chooses no slot.
    ///
    /// # Errors
    /// Flash that does not work.
    pub fn deactivate(&mut self) -> Result<(), StoreError<F::Error>> {
        match self.choice.active {
            None => Ok(()),
            Some(_) => self.choose(Choice {
                active: None,
                ..self.choice
            }),
        }
    }

    /// Copies the model of a slot to the front of `out`; answers its bytes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn load(&mut self, slot: u8, out: &mut [u8]) -> Result<usize, StoreError<F::Error>> {
        let kept = self.kept(slot)?;
        let place = out.get_mut(..kept.length as usize);
        let place = place.ok_or(StoreError::TooLarge)?;
        let mut rest = &mut place[..];
        let hash = self.pieces(slot, kept, |piece| {
            let now = core::mem::take(&mut rest);
            let (to, behind) = now.split_at_mut_checked(piece.len()).unwrap_or_default();
            to.copy_from_slice(piece);
            rest = behind;
        })?;
        match hash == kept.sha256 {
            true => Ok(kept.length as usize),
            false => Err(StoreError::NoModel),
        }
    }

    fn kept(&self, slot: u8) -> Result<Kept, StoreError<F::Error>> {
        let kept = self.choice.slots.get(usize::from(slot)).copied().flatten();
        let fits = |kept: &Kept| kept.length <= self.room();
        kept.filter(fits).ok_or(StoreError::NoModel)
    }

    fn check(&mut self, slot: u8, kept: Kept) -> Result<(), StoreError<F::Error>> {
        match self.pieces(slot, kept, |_| {})? == kept.sha256 {
            true => Ok(()),
            false => Err(StoreError::NoModel),
        }
    }

    /// Shows a slot's bytes; answers their hash.
    fn pieces(
        &mut self,
        slot: u8,
        kept: Kept,
        mut show: impl FnMut(&[u8]),
    ) -> Result<Hash, StoreError<F::Error>> {
        let mut hash = Sha256::new();
        let mut at = self.start(slot)?;
        let mut left = kept.length as usize;
        while left > 0 {
            let mut piece = [0; PIECE];
            wait(self.flash.read(at, &mut piece)).map_err(StoreError::Flash)?;
            let piece = piece.get(..left).unwrap_or(&piece);
            hash.update(piece);
            show(piece);
            left -= piece.len();
            at += PIECE as u32;
        }
        Ok(hash.finalize().into())
    }

    fn start(&self, slot: u8) -> Result<u32, StoreError<F::Error>> {
        let range = self.slots.get(usize::from(slot));
        Ok(range.ok_or(StoreError::NoModel)?.start)
    }

    fn write(&mut self, slot: u8, file: &[u8]) -> Result<(), StoreError<F::Error>> {
        let start = self.start(slot)?;
        let length = (file.len() as u32).next_multiple_of(self.page.max(1));
        wait(self.flash.erase(start, start + length)).map_err(StoreError::Flash)?;
        let mut at = start;
        for part in file.chunks(PIECE) {
            let mut piece = [0xff; PIECE];
            piece
                .iter_mut()
                .zip(part)
                .for_each(|(to, from)| *to = *from);
            let words = part.len().next_multiple_of(F::WRITE_SIZE.max(1));
            let piece = piece.get(..words).unwrap_or(&piece);
            wait(self.flash.write(at, piece)).map_err(StoreError::Flash)?;
            at += PIECE as u32;
        }
        Ok(())
    }

    /// Writes a choice beside the one that holds.
    fn choose(&mut self, choice: Choice) -> Result<(), StoreError<F::Error>> {
        let choice = Choice {
            generation: self.choice.generation.wrapping_add(1),
            ..choice
        };
        let to = if self.held == 0 { self.page } else { 0 };
        wait(self.flash.erase(to, to + self.page)).map_err(StoreError::Flash)?;
        wait(self.flash.write(to, &choice.write())).map_err(StoreError::Flash)?;
        (self.choice, self.held) = (choice, to);
        Ok(())
    }
}
