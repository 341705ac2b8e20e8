//! Flash in memory, whose power may be cut at any operation.

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

pub const PAGE: usize = 2048;
pub const PAGES: usize = 7;
const WORD: usize = 4;

/// What becomes of the operation at which power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing of it happens.
    Before,
    /// A part of it; one word or page is left undefined.
    Torn,
    /// All of it, but nobody learns so.
    After,
}

pub const CUTS: [Cut; 3] = [Cut::Before, Cut::Torn, Cut::After];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    PowerLost,
    Misused,
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

#[derive(Clone)]
pub struct Memory {
    pub bytes: Vec<u8>,
    /// Words that were written since they were erased.
    written: Vec<bool>,
    /// Writes and erasures so far.
    pub done: usize,
    /// The operation at which power is cut.
    pub cut: Option<(usize, Cut)>,
    pub erased: Vec<u32>,
    random: u32,
}

impl Memory {
    pub fn new() -> Self {
        Self::of(PAGES)
    }

    pub fn of(pages: usize) -> Self {
        Self {
            bytes: vec![0xff; PAGE * pages],
            written: vec![false; PAGE * pages / WORD],
            done: 0,
            cut: None,
            erased: vec![0; pages],
            random: 1,
        }
    }

    /// Power comes back.
    pub fn restart(&mut self) {
        self.cut = None;
        self.done = 0;
    }

    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }

    /// How power is cut at the next operation.
    fn fate(&mut self) -> Result<Option<Cut>, Fault> {
        let at = self.done;
        self.done += 1;
        match self.cut {
            Some((cut, _)) if at > cut => Err(Fault::PowerLost),
            Some((cut, how)) if at == cut => Ok(Some(how)),
            _ => Ok(None),
        }
    }

    fn write_word(&mut self, at: usize, from: &[u8]) {
        for (to, from) in self.bytes[at..].iter_mut().zip(from) {
            *to &= from;
        }
        self.written[at / WORD] = true;
    }
}

impl ErrorType for Memory {
    type Error = Fault;
}

impl ReadNorFlash for Memory {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        if self.cut.is_some_and(|(cut, _)| self.done > cut) {
            return Err(Fault::PowerLost);
        }
        let from = self.bytes.get(offset as usize..).unwrap_or_default();
        let from = from.get(..bytes.len()).ok_or(Fault::Misused)?;
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Memory {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        for page in from as usize / PAGE..to as usize / PAGE {
            let fate = self.fate()?;
            if fate == Some(Cut::Before) {
                return Err(Fault::PowerLost);
            }
            let end = match fate {
                Some(Cut::Torn) => self.random() as usize % PAGE,
                _ => PAGE,
            };
            let start = page * PAGE;
            self.bytes[start..start + end].fill(0xff);
            self.written[start / WORD..(start + end) / WORD].fill(false);
            self.erased[page] += 1;
            if fate.is_some() {
                return Err(Fault::PowerLost);
            }
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        let at = offset as usize;
        if !at.is_multiple_of(WORD) || !bytes.len().is_multiple_of(WORD) {
            return Err(Fault::Misused);
        }
        let twice =
            |i: usize| self.written[at / WORD + i] && bytes[i * WORD..][..WORD] != [0; WORD];
        if (0..bytes.len() / WORD).any(twice) {
            return Err(Fault::Misused);
        }
        let fate = self.fate()?;
        let words = match fate {
            Some(Cut::Before) => 0,
            Some(Cut::Torn) => self.random() as usize % (bytes.len() / WORD).max(1),
            _ => bytes.len() / WORD,
        };
        for i in 0..words {
            self.write_word(at + i * WORD, &bytes[i * WORD..][..WORD]);
        }
        if fate == Some(Cut::Torn) {
            // Some of the bits of the word on which power went.
            let mask = self.random().to_le_bytes();
            let mut torn = [0; WORD];
            for ((torn, from), mask) in torn.iter_mut().zip(&bytes[words * WORD..]).zip(mask) {
                *torn = from | mask;
            }
            self.write_word(at + words * WORD, &torn);
        }
        match fate {
            Some(_) => Err(Fault::PowerLost),
            None => Ok(()),
        }
    }
}
