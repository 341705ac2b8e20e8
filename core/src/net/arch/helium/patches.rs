//! What four output pixels of a convolution see, side by side.

use super::Helium;
use core::mem::MaybeUninit;

/// Most elements of a patch.
const MOST: usize = 656;

/// Most elements of a patch of several runs that are no whole chunks.
const MOST_NARROW: usize = 320;

/// Elements that a register holds.
pub(super) const CHUNK: usize = 16;

/// One chunk of each of four patches.
pub(super) type Chunks = [[i8; CHUNK]; 4];

/// The patches of four pixels: 16 elements of the first, 16 of the second, and
/// so on; zeros behind the end of each.
pub(in crate::net) struct Patches<'a>(&'a mut MaybeUninit<PatchesRoom>);

/// Memory of patches.
#[repr(C, align(16))]
pub(in crate::net) struct PatchesRoom {
    chunks: [Chunks; MOST_NARROW / CHUNK],
    /// Patches whose runs are no whole chunks, one behind another; or more chunks.
    narrow: [[i8; MOST_NARROW + CHUNK]; 4],
}

const _: () = assert!(size_of::<PatchesRoom>() >= 4 * MOST);

/// A patch as runs of elements in memory.
#[derive(Clone, Copy)]
pub(in crate::net) struct Runs {
    /// Elements of a run.
    pub len: usize,
    /// How many runs.
    pub count: usize,
    /// Elements from one to the next.
    pub pitch: usize,
}

/// Where the patches of four pixels lie: arguments of [`Helium::fetch`] in the
/// order in which they are loaded.
#[repr(C)]
pub(super) struct Fetch {
    to: [*mut i8; 4],
    pub from: *const i8,
    count: usize,
    len: usize,
    /// What a run is less than whole chunks.
    spare: usize,
    /// Elements from the first patch to the others.
    pub offsets: [usize; 3],
    pitch: usize,
    /// Whether patches go by way of `narrow`.
    narrow: bool,
}

impl<'a> Patches<'a> {
    pub fn new(room: &'a mut MaybeUninit<PatchesRoom>) -> Self {
        Self(room)
    }

    pub(super) fn chunks(&mut self) -> *mut Chunks {
        self.0.as_mut_ptr().cast()
    }

    fn narrow(&mut self) -> *mut i8 {
        let room = self.0.as_mut_ptr().cast::<i8>();
        room.wrapping_add(core::mem::offset_of!(PatchesRoom, narrow))
    }
}

impl Runs {
    /// Elements of a patch; `None` if there are none or too many.
    pub fn whole(self) -> Option<usize> {
        let whole = self.len.checked_mul(self.count)?;
        let most = if self.is_narrow() { MOST_NARROW } else { MOST };
        (1..=most).contains(&whole).then_some(whole)
    }

    const fn is_narrow(self) -> bool {
        self.count > 1 && !self.len.is_multiple_of(CHUNK)
    }

    /// Elements from the first to behind the last.
    pub fn reach(self) -> Option<usize> {
        let before = self.count.checked_sub(1)?;
        self.pitch.checked_mul(before)?.checked_add(self.len)
    }

    pub(super) fn fetch(self, from: &[i8], patches: &mut Patches<'_>) -> Fetch {
        let narrow = self.is_narrow();
        let chunks = patches.chunks().cast::<i8>();
        let apart = patches.narrow();
        let to = [0, 1, 2, 3].map(|patch| match narrow {
            true => apart.wrapping_add(patch * (MOST_NARROW + CHUNK)),
            false => chunks.wrapping_add(patch * CHUNK),
        });
        Fetch {
            to,
            from: from.as_ptr(),
            count: self.count,
            len: self.len,
            spare: self.len.next_multiple_of(CHUNK) - self.len,
            offsets: [0; 3],
            pitch: self.pitch,
            narrow,
        }
    }
}

impl Helium {
    /// Fetches four patches.
    ///
    /// # Safety
    /// `by` was made by [`Runs::fetch`] for `patches` with runs of which
    /// [`Runs::whole`] is some, and that lie inside memory from `from` and from
    /// each offset behind it.
    pub(super) unsafe fn fetch(self, by: &Fetch, patches: &mut Patches<'_>) {
        if !by.narrow {
            // SAFETY: a patch is made of as many chunks as `MOST` allows, 64
            // bytes apart, those of a run behind those of the run before. One
            // that is no whole chunks is one run, and its last chunk exists.
            unsafe {
                if by.spare > 0 {
                    clear(patches.chunks().add(by.len / CHUNK));
                }
                copy::<64>(by);
            }
            return;
        }
        // SAFETY: all runs together have at most `MOST_NARROW` elements and lie
        // one behind another. Zeros go to the 16 elements behind them, which exist.
        unsafe { copy::<16>(by) };
        let [a, b, c, d] = by.to;
        let len = by.count * by.len;
        // SAFETY: `MOST_NARROW` is a multiple of 16, so each patch of `len`
        // elements has as many chunks here and there.
        unsafe {
            helium!(
                "vmov.i32 q0, #0",
                "add r4, {a}, {len}",
                "vstrb.8 q0, [r4]",
                "add r4, {b}, {len}",
                "vstrb.8 q0, [r4]",
                "add r4, {c}, {len}",
                "vstrb.8 q0, [r4]",
                "add r4, {d}, {len}",
                "vstrb.8 q0, [r4]",
                "add {len}, {len}, #15",
                "lsr {len}, {len}, #4",
                "dls lr, {len}",
                "2:",
                "vldrb.u8 q0, [{a}], #16",
                "vldrb.u8 q1, [{b}], #16",
                "vldrb.u8 q2, [{c}], #16",
                "vldrb.u8 q3, [{d}], #16",
                "vstrw.32 q0, [{to}], #64",
                "vstrw.32 q1, [{to}, #-48]",
                "vstrw.32 q2, [{to}, #-32]",
                "vstrw.32 q3, [{to}, #-16]",
                "le lr, 2b",
                len = inout(reg) len => _,
                a = inout(reg) a => _,
                b = inout(reg) b => _,
                c = inout(reg) c => _,
                d = inout(reg) d => _,
                to = inout(reg) patches.chunks() => _,
                out("r4") _,
            );
        }
    }
}

/// Writes zeros.
///
/// # Safety
/// The chunks are there. Helium must exist.
unsafe fn clear(chunks: *mut Chunks) {
    // SAFETY: as the caller promises.
    unsafe {
        helium!(
            "vmov.i32 q0, #0",
            "vstrw.32 q0, [{to}]",
            "vstrw.32 q0, [{to}, #16]",
            "vstrw.32 q0, [{to}, #32]",
            "vstrw.32 q0, [{to}, #48]",
            to = in(reg) chunks,
        );
    }
}

/// Copies the runs of four patches, each to its own place, in pieces of 16
/// elements that begin `STEP` bytes apart; but the next run begins where the
/// last one ended.
///
/// # Safety
/// The runs lie in memory, there is at least one element, and the pieces fit
/// where they go. Helium must exist.
unsafe fn copy<const STEP: i32>(by: *const Fetch) {
    // SAFETY: as the caller promises. Loads and stores of the last piece of a
    // run leave out what is behind its end.
    unsafe {
        helium!(
            "push {{r6, r7}}",
            "mov r12, r0",
            "ldm r12!, {{r4, r5, r8, r9, r10, r11}}",
            "ldrd r6, r7, [r12], #8",
            "20:",
            "mov r0, r10",
            "ldm r12, {{r1, r2, r3, lr}}",
            "add r1, r10, r1",
            "add r2, r10, r2",
            "add r3, r10, r3",
            "add r10, r10, lr",
            "dlstp.8 lr, r6",
            "21:",
            "vldrb.u8 q0, [r0], #16",
            "vldrb.u8 q1, [r1], #16",
            "vldrb.u8 q2, [r2], #16",
            "vldrb.u8 q3, [r3], #16",
            "vstrb.8 q0, [r4], #{step}",
            "vstrb.8 q1, [r5], #{step}",
            "vstrb.8 q2, [r8], #{step}",
            "vstrb.8 q3, [r9], #{step}",
            "letp lr, 21b",
            "sub r4, r4, r7",
            "sub r5, r5, r7",
            "sub r8, r8, r7",
            "sub r9, r9, r7",
            "subs r11, r11, #1",
            "bne 20b",
            "pop {{r6, r7}}",
            step = const STEP,
            inout("r0") by => _,
            out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
        );
    }
}
