//! Flash that outlives a cut of power, and parts of it with an owner each.
//!
//! A driver is a [`NorFlash`]: pages that are erased to ones, words that are
//! written once. What stands on it here never needs more: the audit log
//! ([`crate::log`]), the models ([`crate::store`]), and the name of the device
//! ([`crate::enrolment`]). A [`Layout`] says where each of them lies.

use core::cell::RefCell;
use core::future::Future;
use core::ops::Range;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

#[cfg(test)]
pub(crate) mod mock;

/// Runs a future to its end. Drivers of flash wait inside; one that gives
/// control back is asked again.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        core::hint::spin_loop();
    }
}

/// Where everything lies: a page of enrolment, the log, the models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Who the device is.
    pub enrolment: Range<u32>,
    /// Its log: an eighth of all pages.
    pub log: Range<u32>,
    /// Its models: the rest.
    pub models: Range<u32>,
}

impl Layout {
    /// For flash of so many pages; `None` if they are too few.
    pub fn of(page: u32, pages: u32) -> Option<Self> {
        let log = (pages / 8).max(5);
        let end = page.checked_mul(pages)?;
        let [first, second] = [page, page.checked_mul(1 + log)?];
        // Two pages say which model runs, and each slot has one at least.
        (pages >= 1 + log + 4).then_some(Self {
            enrolment: 0..first,
            log: first..second,
            models: second..end,
        })
    }
}

/// Why an access to a part failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartError<E> {
    /// The flash itself.
    Flash(E),
    /// Outside the part.
    Outside,
    /// Another part's access is under way.
    Busy,
}

impl<E: NorFlashError> NorFlashError for PartError<E> {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Flash(error) => error.kind(),
            Self::Outside => NorFlashErrorKind::OutOfBounds,
            Self::Busy => NorFlashErrorKind::Other,
        }
    }
}

/// A part of a flash; its own first byte is 0.
#[derive(Debug)]
pub struct Part<'f, F> {
    flash: &'f RefCell<F>,
    range: Range<u32>,
}

impl<'f, F> Part<'f, F> {
    /// The part in `range`, which begins and ends with a page.
    pub const fn new(flash: &'f RefCell<F>, range: Range<u32>) -> Self {
        Self { flash, range }
    }

    /// All of it, as its owner counts.
    pub const fn all(&self) -> Range<u32> {
        0..self.range.end.saturating_sub(self.range.start)
    }

    /// Where `length` bytes from `offset` on lie in the flash.
    fn place<E>(&self, offset: u32, length: usize) -> Result<u32, PartError<E>> {
        let place = self.range.start.checked_add(offset);
        let end = place.and_then(|at| at.checked_add(u32::try_from(length).ok()?));
        match (place, end) {
            (Some(place), Some(end)) if end <= self.range.end => Ok(place),
            _ => Err(PartError::Outside),
        }
    }
}

impl<F: ErrorType> ErrorType for Part<'_, F> {
    type Error = PartError<F::Error>;
}

// Every future is run to its end at once, so no access is held across another.
#[allow(
    clippy::await_holding_refcell_ref,
    reason = "see above; a clash is an error, not a panic"
)]
impl<F: ReadNorFlash> ReadNorFlash for Part<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let place = self.place(offset, bytes.len())?;
        let mut flash = self.flash.try_borrow_mut().map_err(|_| PartError::Busy)?;
        flash.read(place, bytes).await.map_err(PartError::Flash)
    }

    fn capacity(&self) -> usize {
        self.all().end as usize
    }
}

#[allow(clippy::await_holding_refcell_ref, reason = "as above")]
impl<F: NorFlash> NorFlash for Part<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        let length = to.saturating_sub(from) as usize;
        let place = self.place(from, length)?;
        let mut flash = self.flash.try_borrow_mut().map_err(|_| PartError::Busy)?;
        let end = place + to.saturating_sub(from);
        flash.erase(place, end).await.map_err(PartError::Flash)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let place = self.place(offset, bytes.len())?;
        let mut flash = self.flash.try_borrow_mut().map_err(|_| PartError::Busy)?;
        flash.write(place, bytes).await.map_err(PartError::Flash)
    }
}

/// No flash.
#[derive(Clone, Copy, Debug)]
pub enum Absent {}

impl NorFlashError for Absent {
    fn kind(&self) -> NorFlashErrorKind {
        match *self {}
    }
}

impl ErrorType for Absent {
    type Error = Self;
}

impl ReadNorFlash for Absent {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, _offset: u32, _bytes: &mut [u8]) -> Result<(), Self> {
        match *self {}
    }

    fn capacity(&self) -> usize {
        match *self {}
    }
}

impl NorFlash for Absent {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, _from: u32, _to: u32) -> Result<(), Self> {
        match *self {}
    }

    async fn write(&mut self, _offset: u32, _bytes: &[u8]) -> Result<(), Self> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::mock::{Memory, PAGE};
    use super::*;

    #[test]
    fn a_part_ends_where_the_next_begins() {
        let page = PAGE as u32;
        let flash = RefCell::new(Memory::new());
        let mut first = Part::new(&flash, 0..page);
        let mut second = Part::new(&flash, page..3 * page);
        assert_eq!(second.capacity(), 2 * PAGE);
        wait(first.write(0, &[1; 8])).expect("inside");
        wait(second.write(0, &[2; 8])).expect("inside");
        wait(second.write(2 * page - 8, &[3; 8])).expect("the last bytes");
        assert_eq!(
            wait(first.write(page - 4, &[4; 8])),
            Err(PartError::Outside)
        );
        assert_eq!(wait(second.erase(page, 3 * page)), Err(PartError::Outside));
        wait(first.erase(0, page)).expect("the first part");
        let mut read = [0; 8];
        wait(second.read(0, &mut read)).expect("inside");
        assert_eq!(read, [2; 8]);
        assert_eq!(flash.borrow().bytes[..8], [0xff; 8]);
        assert_eq!(flash.borrow().bytes[3 * PAGE - 8..3 * PAGE], [3; 8]);
    }

    #[test]
    fn parts_do_not_overlap() {
        for pages in 0..600 {
            let Some(layout) = Layout::of(4096, pages) else {
                assert!(pages < 10, "{pages} pages are enough");
                continue;
            };
            assert_eq!(layout.enrolment, 0..4096);
            assert_eq!(layout.enrolment.end, layout.log.start);
            assert_eq!(layout.log.end, layout.models.start);
            assert_eq!(layout.models.end, 4096 * pages);
            assert!(layout.log.len() >= 5 * 4096 && layout.models.len() >= 4 * 4096);
        }
        assert_eq!(Layout::of(1 << 24, 1 << 10), None);
    }
}
