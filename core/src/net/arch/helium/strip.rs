//! Memory for what some output pixels see, padding included.

use super::Helium;
use core::mem::MaybeUninit;

/// Most elements of a strip.
pub(in crate::net) const STRIP: usize = 2048;

/// Elements that are written behind the last one.
pub(in crate::net) const SLACK: usize = 16;

/// Memory of a strip.
#[repr(C, align(16))]
pub(in crate::net) struct StripRoom([i8; STRIP + SLACK]);

/// Elements one behind another, written before they are read.
pub(in crate::net) struct Strip<'a> {
    /// The first `len` are initialised.
    room: &'a mut MaybeUninit<StripRoom>,
    len: usize,
}

impl<'a> Strip<'a> {
    pub fn new(room: &'a mut MaybeUninit<StripRoom>) -> Self {
        Self { room, len: 0 }
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }

    pub fn as_slice(&self) -> &[i8] {
        // SAFETY: `len` elements are initialised, and no more than there are.
        unsafe { core::slice::from_raw_parts(self.room.as_ptr().cast(), self.len) }
    }

    /// Where `count` more elements go; `None` if they do not fit.
    fn more(&mut self, count: usize) -> Option<*mut i8> {
        if count > STRIP - self.len {
            return None;
        }
        // SAFETY: `len` is at most `STRIP`.
        Some(unsafe { self.room.as_mut_ptr().cast::<i8>().add(self.len) })
    }
}

impl Helium {
    /// Adds `count` times the same element. `None` if they do not fit.
    pub fn fill(self, strip: &mut Strip<'_>, count: usize, value: i8) -> Option<()> {
        let to = strip.more(count)?;
        // SAFETY: the loop writes `count` bytes, which fit.
        unsafe {
            helium!(
                "vdup.8 q0, {value}",
                "wlstp.8 lr, {n}, 3f",
                "2:",
                "vstrb.8 q0, [{to}], #16",
                "letp lr, 2b",
                "3:",
                to = inout(reg) to => _,
                n = in(reg) count,
                value = in(reg) i32::from(value),
            );
        }
        strip.len += count;
        Some(())
    }

    /// Adds elements. `None` if they do not fit.
    pub fn copy(self, strip: &mut Strip<'_>, from: &[i8]) -> Option<()> {
        let to = strip.more(from.len())?;
        // SAFETY: the loop reads `from.len()` bytes and writes as many, which fit.
        unsafe {
            helium!(
                "wlstp.8 lr, {n}, 3f",
                "2:",
                "vldrb.u8 q0, [{from}], #16",
                "vstrb.8 q0, [{to}], #16",
                "letp lr, 2b",
                "3:",
                from = inout(reg) from.as_ptr() => _,
                to = inout(reg) to => _,
                n = in(reg) from.len(),
            );
        }
        strip.len += from.len();
        Some(())
    }

    /// Adds `count` pieces of `live` elements that lie `step` apart, each filled
    /// up with 0 to `size`, at most 16. `None` if there are not so many or they
    /// do not fit.
    pub fn pieces(
        self,
        strip: &mut Strip<'_>,
        from: &[i8],
        [count, step, live, size]: [usize; 4],
    ) -> Option<()> {
        let Some(before) = count.checked_sub(1) else {
            return Some(());
        };
        let read = before.checked_mul(step)?.checked_add(live)?;
        let added = count.checked_mul(size)?;
        if live > size || size > SLACK || from.len() < read {
            return None;
        }
        let to = strip.more(added)?;
        // SAFETY: the last of `count` pieces, at least 1, ends inside `from`.
        // Each is written as 16 elements, the last of which fall into the slack.
        unsafe {
            helium!(
                "dls lr, {n}",
                "vctp.8 {live}",
                "2:",
                "vpst",
                "vldrbt.u8 q0, [{from}]",
                "add {from}, {from}, {step}",
                "vstrb.8 q0, [{to}]",
                "add {to}, {to}, {size}",
                "le lr, 2b",
                n = in(reg) count,
                live = in(reg) live,
                from = inout(reg) from.as_ptr() => _,
                step = in(reg) step,
                to = inout(reg) to => _,
                size = in(reg) size,
            );
        }
        strip.len += added;
        Some(())
    }
}
