//! Convolutions: patches of two pixels at a time, times filters.

use super::Dsp;
use core::arch::asm;
use core::mem::MaybeUninit;

/// Most elements of a patch.
pub(in crate::net) const MOST: usize = 576;

/// Places for four elements of two patches each.
const ITEMS: usize = MOST / 4;

/// Where [`Patches`] lie. A room of its own, since what is made as one value
/// with anything else is cleared first.
pub(in crate::net) type PatchRoom = MaybeUninit<[[u32; 4]; ITEMS]>;

/// Where a [`Narrow`] patch lies.
pub(in crate::net) type NarrowRoom = MaybeUninit<[i8; MOST]>;

/// Patches of pairs of pixels, one pair behind another. Each item has four
/// elements of both: pairs 0, 2 and 1, 3 of the first pixel, then those of the
/// second.
pub(in crate::net) struct Patches<'r> {
    items: &'r mut PatchRoom,
    /// Items up to here hold something of the first pixel, of the second.
    ready: [usize; 2],
}

/// What output channels are made of: one element a channel, filters of
/// `len` weights one behind another. `weights` may go on behind the last filter.
#[derive(Clone, Copy)]
pub(in crate::net) struct Filters<'a> {
    pub weights: &'a [i8],
    pub len: usize,
    pub bias: &'a [i32],
    pub multiplier: &'a [i32],
    pub shift: &'a [i8],
    pub zero_point: i8,
    /// Channels.
    pub count: usize,
}

/// Arguments of [`two_channels`] in the order in which they are loaded.
#[repr(C)]
struct Products {
    bias: [i32; 2],
    weights: [*const i8; 2],
    /// Of the patches of a pair of pixels.
    bytes: usize,
    /// Where the loop over a patch begins.
    entry: usize,
    /// Twice the multiplier less 2^32, places less one; of each channel.
    rounding: [[i32; 2]; 2],
    half: i32,
    out: *mut i8,
    /// From pixel to pixel.
    step: usize,
    /// From channel to channel.
    apart: usize,
    patches: *const [u32; 4],
    end: *const [u32; 4],
    fours: usize,
}

impl<'r> Patches<'r> {
    pub const fn new(items: &'r mut PatchRoom) -> Self {
        Self {
            items,
            ready: [0; 2],
        }
    }

    /// Widens elements into the first or second halves of the items from `at`
    /// on, four by four, zeros behind the last ones; the item behind them.
    /// `None` if they do not fit or leave a gap.
    #[inline(always)]
    pub fn widen(&mut self, _: Dsp, from: &[i8], at: usize, second: bool) -> Option<usize> {
        let end = at + from.len().div_ceil(4);
        let [first_ready, second_ready] = &mut self.ready;
        let ready = if second { second_ready } else { first_ready };
        if end > ITEMS || at > *ready {
            return None;
        }
        if end > *ready {
            *ready = end;
        }
        // SAFETY: items from `at` to `end` lie inside; the token proves that
        // the instructions exist.
        unsafe {
            let to = self.items.as_mut_ptr().cast::<u32>();
            widen(from, to.add(4 * at + 2 * usize::from(second)));
        }
        Some(end)
    }
}

/// Widens elements four by four into two words of every item.
///
/// # Safety
/// `to` takes two of each four words, one time for each four elements and for
/// what is behind them. The DSP extension exists.
#[inline(always)]
unsafe fn widen(from: &[i8], to: *mut u32) {
    // SAFETY: `from` has 4 bytes for each of `n` and `t`, less than 4, more.
    unsafe {
        asm!(
            cpu!(),
            "lsrs {n}, {n}, #1",
            "bcc 3f",
            "ldr {v}, [{from}], #4",
            "sxtb16 {a}, {v}",
            "sxtb16 {v}, {v}, ror #8",
            "strd {a}, {v}, [{to}], #16",
            "3:",
            "cmp {n}, #0",
            "beq 4f",
            "2:",
            "ldr {v}, [{from}], #4",
            "ldr {w}, [{from}], #4",
            "subs {n}, {n}, #1",
            "sxtb16 {a}, {v}",
            "sxtb16 {v}, {v}, ror #8",
            "strd {a}, {v}, [{to}], #16",
            "sxtb16 {a}, {w}",
            "sxtb16 {w}, {w}, ror #8",
            "strd {a}, {w}, [{to}], #16",
            "bne 2b",
            "4:",
            // The tail.
            "cmp {t}, #1",
            "blo 6f",
            "ldrb {v}, [{from}]",
            "beq 5f",
            "ldrh {v}, [{from}]",
            "cmp {t}, #2",
            "beq 5f",
            "ldrb {w}, [{from}, #2]",
            "orr {v}, {v}, {w}, lsl #16",
            "5:",
            "sxtb16 {a}, {v}",
            "sxtb16 {v}, {v}, ror #8",
            "strd {a}, {v}, [{to}]",
            "6:",
            from = inout(reg) from.as_ptr() => _,
            to = inout(reg) to => _,
            n = inout(reg) from.len() / 4 => _,
            t = in(reg) from.len() % 4,
            v = out(reg) _,
            w = out(reg) _,
            a = out(reg) _,
            options(nostack),
        );
    }
}

/// A patch that does not lie in one run, put together.
pub(in crate::net) struct Narrow<'r> {
    bytes: &'r mut NarrowRoom,
    /// Elements that are there.
    len: usize,
}

impl<'r> Narrow<'r> {
    pub const fn new(bytes: &'r mut NarrowRoom) -> Self {
        Self { bytes, len: 0 }
    }

    /// Room for `count` more elements.
    #[inline(always)]
    fn room(&mut self, count: usize) -> Option<*mut i8> {
        if count > MOST - self.len {
            return None;
        }
        // SAFETY: `len` is at most MOST.
        Some(unsafe { self.bytes.as_mut_ptr().cast::<i8>().add(self.len) })
    }

    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends a run. `None` if it does not fit, here and below.
    #[inline(always)]
    pub fn push(&mut self, _: Dsp, from: &[i8]) -> Option<()> {
        let to = self.room(from.len())?;
        // SAFETY: there is room for all of `from`.
        unsafe { copy(from.as_ptr(), to, from.len()) };
        self.len += from.len();
        Some(())
    }

    /// Appends padding.
    pub fn pad(&mut self, value: i8, count: usize) -> Option<()> {
        let to = self.room(count)?;
        for i in 0..count {
            // SAFETY: there is room for `count` elements.
            unsafe { to.add(i).write(value) };
        }
        self.len += count;
        Some(())
    }

    /// What is there.
    pub fn elements(&mut self) -> &mut [i8] {
        // SAFETY: the first `len` elements are written.
        unsafe { core::slice::from_raw_parts_mut(self.bytes.as_mut_ptr().cast(), self.len) }
    }
}

/// Copies so many elements.
///
/// # Safety
/// All may be read and written. The DSP extension exists.
#[inline(always)]
unsafe fn copy(from: *const i8, to: *mut i8, count: usize) {
    // SAFETY: as many words as `count` holds, and less than 4 bytes behind them.
    unsafe {
        asm!(
            cpu!(),
            "lsrs {t}, {n}, #2",
            "beq 3f",
            "2:",
            "ldr {v}, [{from}], #4",
            "subs {t}, {t}, #1",
            "str {v}, [{to}], #4",
            "bne 2b",
            "3:",
            "ands {n}, {n}, #3",
            "beq 5f",
            "4:",
            "ldrb {v}, [{from}], #1",
            "subs {n}, {n}, #1",
            "strb {v}, [{to}], #1",
            "bne 4b",
            "5:",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            n = inout(reg) count => _,
            t = out(reg) _,
            v = out(reg) _,
            options(nostack),
        );
    }
}

impl Dsp {
    /// Output channels of so many pixels from their patches, `fours` items a
    /// pair of pixels; the last one of an odd number must fill both places.
    /// The first channel of the first pixel goes to the begin of `out`, that
    /// of the next `step` bytes on. Requantised in the short way
    /// ([`super::is_short`]). `None` if a slice is too short.
    pub fn products(
        self,
        patches: &Patches<'_>,
        fours: usize,
        pixels: usize,
        filters: &Filters<'_>,
        out: &mut [i8],
        step: usize,
    ) -> Option<()> {
        let count = filters.count;
        let items = pixels.div_ceil(2).checked_mul(fours)?;
        let read = count.checked_sub(1)?.checked_mul(filters.len)? + 4 * fours;
        let written = pixels.checked_sub(1)?.checked_mul(step)? + count;
        let [first_ready, second_ready] = patches.ready;
        let fits = fours > 0
            && items <= first_ready
            && items <= second_ready
            && filters.weights.len() >= read
            && filters.bias.len() >= count
            && filters.multiplier.len() >= count
            && filters.shift.len() >= count
            && out.len() >= written;
        if !fits {
            return None;
        }
        let start = patches.items.as_ptr().cast::<[u32; 4]>();
        let mut arguments = Products {
            bias: [0; 2],
            weights: [filters.weights.as_ptr(); 2],
            bytes: 16 * fours,
            entry: 0,
            rounding: [[0; 2]; 2],
            half: 2 * i32::from(filters.zero_point) + 1,
            out: out.as_mut_ptr(),
            step,
            apart: 1,
            patches: start,
            // SAFETY: not behind `items`, which are there.
            end: unsafe { start.add(pixels / 2 * fours) },
            fours,
        };
        let mut first = 0;
        while first < count {
            let apart = usize::from(count - first > 1);
            // SAFETY: `first + apart < count`, so biases, multipliers and
            // shifts are there, and `read` bytes of weights hold the filters.
            // Patches are initialised up to `items`. `out` takes the last
            // channel of the last pixel. An odd pixel is made as a pair that
            // is written to one place.
            unsafe {
                arguments.channels(filters, first, apart);
                let to = out.as_mut_ptr().add(first);
                arguments.out = to;
                if pixels > 1 {
                    two_channels(&mut arguments);
                }
                if pixels % 2 == 1 {
                    arguments.out = to.add((pixels - 1) * step);
                    arguments.step = 0;
                    arguments.patches = start.add(items - fours);
                    arguments.end = start.add(items);
                    two_channels(&mut arguments);
                    arguments.step = step;
                    arguments.patches = start;
                    arguments.end = start.add(items - fours);
                }
            }
            first += 2;
        }
        Some(())
    }
}

impl Products {
    /// Takes up channel `first` and the one so far apart.
    ///
    /// # Safety
    /// All slices but the weights have more than `first + apart` elements, and
    /// filter `first + apart` begins inside the weights.
    #[inline(always)]
    unsafe fn channels(&mut self, filters: &Filters<'_>, first: usize, apart: usize) {
        // SAFETY: the caller's.
        unsafe {
            let rounding = |c: usize| {
                let multiplier = *filters.multiplier.get_unchecked(c);
                [
                    multiplier.wrapping_shl(1),
                    i32::from(!*filters.shift.get_unchecked(c) as u8),
                ]
            };
            let second = first + apart;
            let weights = filters.weights.as_ptr();
            let bias = |c: usize| *filters.bias.get_unchecked(c);
            self.bias = [bias(first), bias(second)];
            self.weights = [first, second].map(|c| weights.add(c * filters.len));
            self.rounding = [rounding(first), rounding(second)];
            self.apart = apart;
        }
    }
}

/// Two output channels of the pixels whose patches go from `patches` to `end`,
/// pair by pair.
///
/// # Safety
/// `fours` and the number of pairs are at least 1, `end` is that many pairs
/// behind `patches`, all of them initialised. Both filters have `4 * fours`
/// readable bytes. `out` may be written for each pixel, `step` bytes apart, at
/// 0 and at `apart`. The DSP extension exists.
#[inline(always)]
unsafe fn two_channels(arguments: &mut Products) {
    // SAFETY: the loop over a patch starts at a place such that it takes all
    // `fours` and ends exactly `bytes` further on; pairs end at `end`.
    unsafe {
        asm!(
            cpu!(),
            "push {{r0, r6, r7}}",
            "ldr r4, [r0, #64]",
            // The assembler takes no heed of ADR's rounding.
            ".p2align 2",
            "adr.w r5, 21f",
            "adr.w r6, 23f",
            "lsls r4, r4, #31",
            "itt ne",
            "adrne.w r5, 24f",
            "adrne.w r6, 22f",
            "it cs",
            "movcs r5, r6",
            "orr r5, r5, #1",
            "str r5, [r0, #20]",
            "ldr r8, [r0, #56]",
            // Two pixels.
            "20:",
            "ldr r12, [sp]",
            "ldm r12, {{r0, r1, r9, r10, r11, r12}}",
            "mov r2, r0",
            "mov r3, r1",
            "add lr, r8, r11",
            "bx r12",
            ".macro foveola_four",
            "ldm r8!, {{r4, r5, r6, r7}}",
            "ldr r11, [r9], #4",
            "sxtb16 r12, r11, ror #8",
            "sxtb16 r11, r11",
            "smlad r0, r4, r11, r0",
            "smlad r2, r6, r11, r2",
            "ldr r11, [r10], #4",
            "smlad r0, r5, r12, r0",
            "smlad r2, r7, r12, r2",
            "sxtb16 r12, r11, ror #8",
            "sxtb16 r11, r11",
            "smlad r1, r4, r11, r1",
            "smlad r3, r6, r11, r3",
            "smlad r1, r5, r12, r1",
            "smlad r3, r7, r12, r3",
            ".endm",
            "21:",
            "foveola_four",
            "22:",
            "foveola_four",
            "23:",
            "foveola_four",
            "24:",
            "foveola_four",
            "cmp r8, lr",
            "bne 21b",
            ".purgem foveola_four",
            // Requantisation.
            "ldr lr, [sp]",
            "add lr, lr, #24",
            "ldm lr, {{r4, r5, r6, r7, r9, r10, r11, r12}}",
            "smmlar r0, r0, r4, r0",
            "smmlar r2, r2, r4, r2",
            "smmlar r1, r1, r6, r1",
            "smmlar r3, r3, r6, r3",
            "add r0, r0, r0, asr #31",
            "add r2, r2, r2, asr #31",
            "add r1, r1, r1, asr #31",
            "add r3, r3, r3, asr #31",
            "asr r0, r0, r5",
            "asr r2, r2, r5",
            "asr r1, r1, r7",
            "asr r3, r3, r7",
            "add r0, r0, r9",
            "add r2, r2, r9",
            "add r1, r1, r9",
            "add r3, r3, r9",
            "ssat r0, #8, r0, asr #1",
            "ssat r2, #8, r2, asr #1",
            "ssat r1, #8, r1, asr #1",
            "ssat r3, #8, r3, asr #1",
            "strb r0, [r10]",
            "strb r1, [r10, r12]",
            "add r10, r10, r11",
            "strb r2, [r10]",
            "strb r3, [r10, r12]",
            "add r10, r10, r11",
            "ldr r12, [lr, #36]",
            "str r10, [lr, #20]",
            "cmp r8, r12",
            "bne 20b",
            "pop {{r0, r6, r7}}",
            inout("r0") &raw mut *arguments => _,
            out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            out("lr") _,
        );
    }
}
