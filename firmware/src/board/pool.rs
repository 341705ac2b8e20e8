//! One piece of static memory, lent out from the front.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use foveola_core::Error;

/// Alignment of whatever a pool lends.
const ALIGNMENT: usize = 16;

/// Static memory that is handed out once. Its content is arbitrary.
#[repr(C, align(16))]
pub struct Reserved<const N: usize> {
    bytes: UnsafeCell<MaybeUninit<[u8; N]>>,
    used: AtomicBool,
}

// SAFETY: `bytes` is only reached through `take`, which hands it out once.
unsafe impl<const N: usize> Sync for Reserved<N> {}

impl<const N: usize> Reserved<N> {
    /// Memory that is not taken yet.
    #[allow(clippy::new_without_default, reason = "made in a static alone")]
    pub const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new(MaybeUninit::uninit()),
            used: AtomicBool::new(false),
        }
    }
}

/// Memory that still can be lent.
#[derive(Debug)]
pub struct Pool<'p>(&'p mut [MaybeUninit<u8>]);

impl<const N: usize> Reserved<N> {
    /// All of it the first time, nothing afterwards.
    pub fn take(&'static self) -> Pool<'static> {
        // Targets without compare-and-swap have one core and call this from `main`.
        if self.used.load(Ordering::Relaxed) {
            return Pool(&mut []);
        }
        self.used.store(true, Ordering::Relaxed);
        let bytes = self.bytes.get().cast::<MaybeUninit<u8>>();
        // SAFETY: the flag was false, so nobody else has these N bytes, and
        // `MaybeUninit<u8>` may hold anything.
        Pool(unsafe { core::slice::from_raw_parts_mut(bytes, N) })
    }
}

impl<'p> Pool<'p> {
    /// Bytes left.
    pub const fn left(&self) -> usize {
        self.0.len()
    }

    /// A pool of the same memory, for a while.
    pub const fn scope(&mut self) -> Pool<'_> {
        Pool(self.0)
    }

    /// `len` elements, all of them `value`.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] with what is needed and there, in elements.
    pub fn take<T: Copy>(&mut self, len: usize, value: T) -> Result<&'p mut [T], Error> {
        const { assert!(align_of::<T>() <= ALIGNMENT && size_of::<T>() > 0) };
        let have = self.left() / size_of::<T>();
        let short = Error::BufferTooSmall { need: len, have };
        let bytes = len.checked_mul(size_of::<T>()).ok_or(short)?;
        let whole = bytes.checked_next_multiple_of(ALIGNMENT).ok_or(short)?;
        let all = core::mem::take(&mut self.0);
        if all.len() < whole {
            self.0 = all;
            return Err(short);
        }
        let (mine, rest) = all.split_at_mut(whole);
        self.0 = rest;
        let start = mine.as_mut_ptr().cast::<MaybeUninit<T>>();
        // SAFETY: `mine` is at least `len * size_of::<T>()` bytes that nobody
        // else borrows. The pool starts on a multiple of 16 and every piece has
        // such a length, so `start` is aligned; `MaybeUninit<T>` holds anything.
        let places = unsafe { core::slice::from_raw_parts_mut(start, len) };
        for place in places.iter_mut() {
            place.write(value);
        }
        // SAFETY: every element has just been written, and `places` is not used again.
        Ok(unsafe { core::slice::from_raw_parts_mut(start.cast::<T>(), len) })
    }
}
