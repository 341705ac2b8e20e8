//! The pages of a log: the first two hold the anchor, the others records.

use core::cell::Cell;
use core::ops::Range;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use foveola_core::audit::anchor::{Anchor, LENGTH};
use foveola_core::audit::record::MAX_RECORD;

use super::LogError;
use crate::flash::wait;

/// Bytes that a page of records has besides two records: its states and the
/// records' headers, each a few words of flash.
const OVERHEAD: usize = 128;

/// Least pages: the anchors', and records in three, so that two are left
/// while one is given up.
const LEAST: u32 = 5;

/// The pages of anchors and those of records.
pub fn split<F: NorFlash>(range: &Range<u32>) -> Option<(Anchors, Range<u32>)> {
    let page = u32::try_from(F::ERASE_SIZE).ok()?;
    let even = page > 0 && range.start.is_multiple_of(page) && range.end.is_multiple_of(page);
    let length = range.end.checked_sub(range.start)?;
    let fits = F::ERASE_SIZE >= 2 * MAX_RECORD + OVERHEAD
        && LENGTH.is_multiple_of(F::WRITE_SIZE.max(1))
        && LENGTH.is_multiple_of(F::READ_SIZE.max(1));
    if !even || !fits || length < LEAST.checked_mul(page)? {
        return None;
    }
    let anchors = Anchors {
        pages: [range.start, range.start + page],
        page,
    };
    Some((anchors, range.start + 2 * page..range.end))
}

/// Two pages, of which one holds the latest anchor.
#[derive(Clone, Copy, Debug)]
pub struct Anchors {
    pages: [u32; 2],
    page: u32,
}

impl Anchors {
    /// The latest anchor; `None` if there is none.
    pub fn load<F: NorFlash>(&self, flash: &mut F) -> Result<Option<Anchor>, LogError<F::Error>> {
        let mut latest: Option<Anchor> = None;
        for page in self.pages {
            let mut bytes = [0; LENGTH];
            wait(flash.read(page, &mut bytes)).map_err(LogError::Flash)?;
            let later = |anchor: &Anchor| match &latest {
                Some(latest) => anchor.generation.wrapping_sub(latest.generation) < 1 << 31,
                None => true,
            };
            if let Some(anchor) = Anchor::read(&bytes).filter(later) {
                latest = Some(anchor);
            }
        }
        Ok(latest)
    }

    /// Writes an anchor to the page that the one before does not lie in, and
    /// then erases that one: with it goes the old key.
    pub fn save<F: NorFlash>(
        &self,
        flash: &mut F,
        anchor: &Anchor,
    ) -> Result<(), LogError<F::Error>> {
        let [even, odd] = self.pages;
        let (to, old) = match anchor.generation.is_multiple_of(2) {
            true => (even, odd),
            false => (odd, even),
        };
        wait(flash.erase(to, to + self.page)).map_err(LogError::Flash)?;
        wait(flash.write(to, &anchor.write())).map_err(LogError::Flash)?;
        wait(flash.erase(old, old + self.page)).map_err(LogError::Flash)
    }
}

/// Flash that tells where it was read last.
pub struct Watched<'a, F> {
    pub flash: &'a mut F,
    pub at: &'a Cell<u32>,
}

impl<F: ErrorType> ErrorType for Watched<'_, F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> ReadNorFlash for Watched<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.at.set(offset);
        self.flash.read(offset, bytes).await
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<F: NorFlash> NorFlash for Watched<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.flash.erase(from, to).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.flash.write(offset, bytes).await
    }
}
