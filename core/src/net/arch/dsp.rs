//! The DSP extension of Arm's microcontrollers (Cortex-M4, M7, M33, M55):
//! whole loops in assembly, since no intrinsic of it is stable.
//!
//! Two products of 16 bits are added at once (SMLAD). Four int8 are widened by
//! SXTB16 to the pairs 0, 2 and 1, 3; as both factors are, no product is
//! missed. Sums are requantised in a way that is short, and exact for the
//! factors that [`is_short`] admits.
//!
//! All blocks keep to these rules: arguments lie in a structure or in operands,
//! r6, r7 and the stack pointer are restored, and only the memory that the safe
//! function around has checked is touched. Words of int8 may lie at any address
//! (LDR allows it unless UNALIGN_TRP is set, which no start-up code does).

use crate::net::quant::Factor;
use core::arch::asm;

/// Lets the assembler know the extension, which rustc cannot be told about in
/// the source where it is an option. Ends with the block.
#[cfg(foveola_dsp_optional)]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(foveola_dsp_optional))]
macro_rules! cpu {
    () => {
        ""
    };
}

mod depthwise;
mod sum;

pub(in crate::net) use depthwise::Table;
pub(in crate::net) use sum::Addition;

/// Proof that the extension exists: only `Isa::detect` makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Dsp(());

/// Most elements of a patch.
pub(in crate::net) const MOST: usize = 576;

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
}

/// Whether sums that start at `bias` and gain less than 2^28 are requantised
/// as always by this multiplier and shift in the short way.
///
/// The doubling high multiply h = (x * m + 2^30) >> 31 is SMMLAR's
/// (x * 2^32 + x * (2m - 2^32) + 2^31) >> 32, which needs 2m >= 2^31. With
/// places p = -shift, h / 2^p rounded with ties away from 0 is
/// (((h + (h >> 31)) >> (p - 1)) + 1) >> 1. For m = 0 and p = 0 a shift by
/// p - 1, read as 255, leaves the sign alone, and both signs give 0.
pub(in crate::net) fn is_short(bias: i32, multiplier: i32, shift: i8) -> bool {
    let fits = multiplier >= 1 << 30 && (-31..0).contains(&shift);
    bias.unsigned_abs() < 3 << 29 && (fits || (multiplier, shift) == (0, 0))
}

/// Arguments of [`Dsp::products`] in the order in which they are loaded.
#[repr(C)]
struct Products {
    bias: *const i32,
    patches: *const [u32; 4],
    weights: *const i8,
    len: usize,
    twice: usize,
    patches_end: *const [u32; 4],
    fours: usize,
    multiplier: *const i32,
    shift: *const i8,
    out: [*mut i8; 2],
    half: i32,
    out_end: *const i8,
}

impl Dsp {
    /// Widens four elements at a time to one of two patches side by side: for
    /// each four elements pairs 0, 2 and 1, 3 of the first patch, then those
    /// of the second. What of
    /// `from` is less than four elements is left out, as is what does not fit.
    pub fn widen(self, from: &[i8], patches: &mut [[u32; 4]], second: bool) {
        let fours = (from.len() / 4).min(patches.len());
        if fours == 0 {
            return;
        }
        let to = patches.as_mut_ptr().cast::<u32>();
        // SAFETY: `fours` is at least 1; `from` has 4 bytes for each and
        // `patches` 4 words, of which two are written, the first or last two.
        // `self` proves that the instructions exist.
        unsafe {
            let to = to.add(usize::from(second) * 2);
            asm!(
                cpu!(),
                "lsrs {n}, {n}, #1",
                "bcc 3f",
                "ldr {v}, [{from}], #4",
                "sxtb16 {a}, {v}",
                "sxtb16 {v}, {v}, ror #8",
                "strd {a}, {v}, [{to}], #16",
                "3:",
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
                from = inout(reg) from.as_ptr() => _,
                to = inout(reg) to => _,
                n = inout(reg) fours => _,
                v = out(reg) _,
                w = out(reg) _,
                a = out(reg) _,
                options(nostack),
            );
        }
    }

    /// Copies `count` words of 4 bytes that lie `step` bytes apart. Whether
    /// there are so many.
    pub fn words(self, from: &[i8], step: usize, to: &mut [u32], count: usize) -> bool {
        let Some(before) = count.checked_sub(1) else {
            return true;
        };
        if before
            .checked_mul(step)
            .is_none_or(|last| from.len() < 4 || from.len() - 4 < last)
            || to.len() < count
        {
            return false;
        }
        // SAFETY: the last of `count` (at least 1) reads ends inside `from`;
        // `to` has `count` words.
        unsafe {
            asm!(
                cpu!(),
                "2:",
                "ldr {w}, [{from}]",
                "subs {n}, {n}, #1",
                "add {from}, {from}, {step}",
                "str {w}, [{to}], #4",
                "bne 2b",
                from = inout(reg) from.as_ptr() => _,
                to = inout(reg) to.as_mut_ptr() => _,
                n = inout(reg) count => _,
                step = in(reg) step,
                w = out(reg) _,
                options(nostack),
            );
        }
        true
    }

    /// Output channels of two pixels, `first` and `second`, from their
    /// patches: an even number of channels, as many as `first` holds. Without
    /// `second`, of one pixel; both patches must then be the same. Requantised
    /// in the short way ([`is_short`]). `None` if a slice is too short.
    pub fn products(
        self,
        patches: &[[u32; 4]],
        filters: &Filters<'_>,
        first: &mut [i8],
        second: Option<&mut [i8]>,
    ) -> Option<()> {
        let (count, fours) = (first.len(), patches.len());
        let read = count.checked_sub(1)?.checked_mul(filters.len)? + 4 * fours;
        let fits = fours > 0
            && count.is_multiple_of(2)
            && filters.weights.len() >= read
            && filters.bias.len() >= count
            && filters.multiplier.len() >= count
            && filters.shift.len() >= count
            && second.as_ref().is_none_or(|out| out.len() == count);
        if !fits {
            return None;
        }
        let ends = (patches.as_ptr_range(), first.as_ptr_range());
        let out = first.as_mut_ptr();
        let mut arguments = Products {
            bias: filters.bias.as_ptr(),
            patches: ends.0.start,
            weights: filters.weights.as_ptr(),
            len: filters.len,
            twice: filters.len * 2,
            patches_end: ends.0.end,
            fours,
            multiplier: filters.multiplier.as_ptr(),
            shift: filters.shift.as_ptr(),
            out: [out, second.map_or(out, <[i8]>::as_mut_ptr)],
            half: 2 * i32::from(filters.zero_point) + 1,
            out_end: ends.1.end,
        };
        // SAFETY: channels are made two by two until `out_end`, an even number
        // and more than 0 of them, and each reads two biases, multipliers and
        // shifts and writes two bytes a pixel. The loop over a patch starts at
        // a place such that it takes all `fours`, more than 0, and ends exactly
        // at `patches_end`; the last word of weights ends at `read`.
        unsafe {
            asm!(
                cpu!(),
                "push {{r0, r6, r7}}",
                // Two channels.
                "20:",
                "ldr r12, [sp]",
                "ldm r12, {{r4, r8, r9, r10, r11, lr}}",
                "add r10, r9, r10",
                "add r11, r9, r11",
                "str r11, [r12, #8]",
                "ldm r4!, {{r0, r1}}",
                "ldr r5, [r12, #24]",
                "str r4, [r12]",
                "mov r2, r0",
                "mov r3, r1",
                "lsls r5, r5, #31",
                "bcs 25f",
                "bne 24f",
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
                "b 26f",
                "25:",
                "bne 22b",
                "b 23b",
                // Requantisation.
                "26:",
                ".purgem foveola_four",
                "ldr r12, [sp]",
                "add r12, r12, #28",
                "ldm r12, {{r4, r5, r8, r9, r10}}",
                "ldm r4!, {{r6, r7}}",
                "ldrsb r11, [r5], #1",
                "lsl r6, r6, #1",
                "mvn r11, r11",
                "smmlar r0, r0, r6, r0",
                "smmlar r2, r2, r6, r2",
                "add r0, r0, r0, asr #31",
                "add r2, r2, r2, asr #31",
                "asr r0, r0, r11",
                "add r0, r0, r10",
                "asr r2, r2, r11",
                "add r2, r2, r10",
                "ssat r0, #8, r0, asr #1",
                "ssat r2, #8, r2, asr #1",
                "strb r0, [r8], #1",
                "strb r2, [r9], #1",
                "ldrsb r11, [r5], #1",
                "lsl r7, r7, #1",
                "mvn r11, r11",
                "smmlar r1, r1, r7, r1",
                "smmlar r3, r3, r7, r3",
                "add r1, r1, r1, asr #31",
                "add r3, r3, r3, asr #31",
                "asr r1, r1, r11",
                "add r1, r1, r10",
                "asr r3, r3, r11",
                "add r3, r3, r10",
                "ssat r1, #8, r1, asr #1",
                "ssat r3, #8, r3, asr #1",
                "strb r1, [r8], #1",
                "strb r3, [r9], #1",
                "ldr lr, [r12, #20]",
                "stm r12, {{r4, r5, r8, r9}}",
                "cmp r8, lr",
                "bne 20b",
                "pop {{r0, r6, r7}}",
                inout("r0") &raw mut arguments => _,
                out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
                out("lr") _,
            );
        }
        Some(())
    }
}

/// The extension, if this processor has it. Where it is an option, this reads
/// a register of the processor, so call it in privileged mode.
pub(super) fn find() -> Option<Dsp> {
    if cfg!(not(foveola_dsp_optional)) {
        return Some(Dsp(()));
    }
    // Armv8-M Architecture Reference Manual, ID_ISAR3: SIMD is 1 without the
    // extension, 3 with it.
    const ID_ISAR3: *const u32 = 0xE000_ED6C as *const u32;
    // SAFETY: every Armv8-M mainline processor has this register; reading it
    // has no effect.
    let features = unsafe { ID_ISAR3.read_volatile() };
    (features >> 4 & 0xF >= 3).then_some(Dsp(()))
}

/// What one channel is requantised by.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Rounding {
    /// Twice the multiplier, less 2^32.
    multiplier: i32,
    /// Places to the right, less one.
    places: u32,
}

impl Rounding {
    fn of(factor: Factor) -> Option<Self> {
        is_short(0, factor.multiplier, factor.shift).then_some(Self {
            multiplier: factor.multiplier.wrapping_shl(1),
            places: (!factor.shift as u8).into(),
        })
    }
}
