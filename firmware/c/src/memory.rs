//! From a caller's pointers to memory that Rust may use.
#![allow(
    unsafe_code,
    reason = "a caller in C hands over addresses; the header says what they must lead to"
)]

use core::slice;

use foveola_core::Error;

use crate::answer::Refusal;

/// Addresses `begin..end` of the caller's.
#[derive(Clone, Copy)]
pub struct Span {
    begin: usize,
    end: usize,
}

impl Span {
    /// `count` elements from `start` on.
    ///
    /// # Errors
    /// A null or misaligned pointer with a name for it, memory past the last address.
    pub fn of<T>(start: *const T, count: usize, name: &'static str) -> Result<Self, Refusal> {
        if start.is_null() {
            return Err(Refusal::Null(name));
        }
        if !start.is_aligned() {
            return Err(Refusal::Misaligned(name));
        }
        let begin = start.addr();
        // Rust counts bytes of one object in an isize.
        let bytes = count.checked_mul(size_of::<T>());
        let end = bytes
            .filter(|bytes| isize::try_from(*bytes).is_ok())
            .and_then(|bytes| begin.checked_add(bytes));
        let end = end.ok_or(Error::BadParameter(name))?;
        Ok(Self { begin, end })
    }

    const fn meets(&self, other: &Self) -> bool {
        self.begin < other.end && other.begin < self.end
    }
}

/// What a call writes, in two parts, must be apart from all else that it is given.
///
/// # Errors
/// [`Refusal::Overlap`].
pub fn apart(written: &[Span], more: &[Span], read: &[Span]) -> Result<(), Refusal> {
    let mut rest = written.iter().chain(more);
    while let Some(span) = rest.next() {
        if rest.clone().chain(read).any(|other| span.meets(other)) {
            return Err(Refusal::Overlap);
        }
    }
    Ok(())
}

/// A copy of a structure.
///
/// # Errors
/// As [`Span::of`].
///
/// # Safety
/// A pointer that is neither null nor misaligned leads to a `T`.
pub unsafe fn copied<T: Copy>(from: *const T, name: &'static str) -> Result<T, Refusal> {
    Span::of(from, 1, name)?;
    // SAFETY: not null, aligned, and by the contract above a `T`.
    Ok(unsafe { from.read() })
}

/// Elements that stay as they are during a call.
///
/// # Errors
/// As [`Span::of`].
///
/// # Safety
/// A pointer that is neither null nor misaligned leads to `len` elements, which
/// nobody writes as long as `'c` lasts; any bits are a `T`.
pub unsafe fn read<'c, T: Copy>(
    from: *const T,
    len: usize,
    name: &'static str,
) -> Result<(&'c [T], Span), Refusal> {
    let span = Span::of(from, len, name)?;
    // SAFETY: not null, aligned, not larger than isize::MAX bytes; the rest is
    // the contract above.
    Ok((unsafe { slice::from_raw_parts(from, len) }, span))
}

/// Elements that belong to the call, all of them `value` at first.
///
/// # Errors
/// As [`Span::of`].
///
/// # Safety
/// A pointer that is neither null nor misaligned leads to memory of `len`
/// elements, which nobody else reads or writes as long as `'c` lasts.
pub unsafe fn own<'c, T: Copy>(
    start: *mut T,
    len: usize,
    value: T,
    name: &'static str,
) -> Result<&'c mut [T], Refusal> {
    Span::of(start, len, name)?;
    for i in 0..len {
        // SAFETY: `i` is below `len`, and the memory is the call's own.
        unsafe { start.add(i).write(value) };
    }
    // SAFETY: not null, aligned, not larger than isize::MAX bytes, every element
    // has just been written, and the memory is the call's own.
    Ok(unsafe { slice::from_raw_parts_mut(start, len) })
}

/// Scratch that is dealt out from the front. All of it is aligned to 4.
pub struct Scratch {
    next: *mut u32,
    used: usize,
    words: usize,
}

impl Scratch {
    /// Memory of the caller's.
    ///
    /// # Safety
    /// `next` is aligned and leads to `bytes` bytes, which nobody else reads or
    /// writes as long as what is taken is in use.
    pub const unsafe fn new(next: *mut u32, bytes: usize) -> Self {
        let words = bytes / size_of::<u32>();
        Self {
            next,
            used: 0,
            words,
        }
    }

    /// `len` elements, all of them `value`.
    ///
    /// # Errors
    /// [`Refusal::Scratch`] with what is needed up to these, and there.
    pub fn take<'c, T: Copy>(&mut self, len: usize, value: T) -> Result<&'c mut [T], Refusal> {
        const { assert!(align_of::<T>() == align_of::<u32>() && size_of::<T>().is_multiple_of(4)) };
        let need = len.saturating_mul(size_of::<T>() / size_of::<u32>());
        let used = self.used.saturating_add(need);
        if used > self.words {
            return Err(Refusal::Scratch {
                need: used.saturating_mul(size_of::<u32>()),
                have: self.words * size_of::<u32>(),
            });
        }
        // SAFETY: `used` words have been dealt out before, and `words` are there.
        let start = unsafe { self.next.add(self.used) };
        self.used = used;
        // SAFETY: `need` words from there are left, belong to the call by the
        // contract of `new`, and nobody gets them twice.
        unsafe { own(start.cast::<T>(), len, value, "scratch") }
    }
}

/// Writes one element of the caller's.
///
/// # Safety
/// `to` leads to memory of more than `index` elements, is aligned, and nobody
/// else has it.
pub unsafe fn put<T>(to: *mut T, index: usize, value: T) {
    // SAFETY: the contract above.
    unsafe { to.add(index).write(value) }
}
