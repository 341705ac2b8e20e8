//! Sums of nine products, requantised, two pixels at a time.

use crate::net::arch::dsp::Dsp;
use core::arch::asm;
use core::mem::MaybeUninit;

/// Arguments of [`Dsp::adjacent`] and [`Dsp::every_other`].
#[repr(C)]
pub(super) struct Channels {
    pub triplets: *const [u32; 3],
    pub weights: *const [u32; 3],
    pub bias: *const i32,
    pub multiplier: *const i32,
    pub shift: *const i8,
    pub zero: u32,
    pub half: i32,
    pub out: *mut i8,
    pub row: usize,
    pub step: usize,
    /// Of pixels in a row.
    pub pairs: usize,
    /// Whether there is one more.
    pub odd: usize,
    pub rows: usize,
    pub channels: usize,
    /// Where the current channel and row begin, and rows to go.
    pub saved: MaybeUninit<[usize; 2]>,
}

/// All channels of all rows; `$body` makes two pixels. It has the weights in r0
/// to r4, the bias in sp[3] and the triplets at r5, and leaves two sums in r8
/// and r9 and r5 at the next triplets.
macro_rules! channels {
    ($arguments:expr, $($body:literal),*) => {
        asm!(
            cpu!(),
            "push {{r0, r6, r7}}",
            "sub sp, sp, #16",
            // Channel: weights, without their zero point, and what sums are
            // requantised by, at the stack's end.
            "20:",
            "ldr lr, [sp, #16]",
            "ldrd r5, r12, [lr]",
            "ldm r12, {{r0, r1, r3}}",
            "add r10, r12, #48",
            "ldm r10, {{r2, r4, r6}}",
            "ldr r10, [lr, #20]",
            "lsr r4, r3, #16",
            "pkhbt r4, r4, r6, lsl #16",
            "ssub16 r0, r0, r10",
            "ssub16 r1, r1, r10",
            "ssub16 r2, r2, r10",
            "ssub16 r3, r3, r10",
            "ssub16 r4, r4, r10",
            "ldrd r6, r7, [lr, #8]",
            "ldr r8, [lr, #16]",
            "ldr r9, [lr, #24]",
            "ldr r10, [r6], #4",
            "str r10, [sp, #12]",
            "ldr r10, [r7], #4",
            "ldrsb r11, [r8], #1",
            "lsl r10, r10, #1",
            "mvn r11, r11",
            "str r10, [sp]",
            "str r11, [sp, #4]",
            "str r9, [sp, #8]",
            "add r12, r12, #12",
            "add r10, r5, #12",
            "strd r10, r12, [lr]",
            "strd r6, r7, [lr, #8]",
            "str r8, [lr, #16]",
            "ldr r6, [lr, #28]",
            "ldr r10, [lr, #48]",
            "add r7, r6, #1",
            "str r7, [lr, #28]",
            "str r10, [lr, #56]",
            // Row.
            "21:",
            "str r6, [lr, #60]",
            "ldrd r10, r11, [lr, #36]",
            "mov lr, r11",
            "cmp lr, #0",
            "beq 23f",
            "22:",
            $($body,)*
            "ldm sp, {{r7, r11, r12}}",
            "smmlar r8, r8, r7, r8",
            "smmlar r9, r9, r7, r9",
            "add r8, r8, r8, asr #31",
            "add r9, r9, r9, asr #31",
            "asr r8, r8, r11",
            "asr r9, r9, r11",
            "add r8, r8, r12",
            "add r9, r9, r12",
            "ssat r8, #8, r8, asr #1",
            "ssat r9, #8, r9, asr #1",
            "subs lr, lr, #1",
            "strb r9, [r6, r10]",
            "strb r8, [r6]",
            "add r6, r6, r10, lsl #1",
            "bne 22b",
            // One more pixel: a pair that is written to one place.
            "cmp r10, #0",
            "beq 24f",
            "23:",
            "ldr lr, [sp, #16]",
            "ldr lr, [lr, #44]",
            "mov r10, #0",
            "cmp lr, #0",
            "bne 22b",
            "24:",
            "ldr lr, [sp, #16]",
            "ldr r6, [lr, #60]",
            "ldr r7, [lr, #32]",
            "ldr r10, [lr, #56]",
            "add r5, r5, #48",
            "add r6, r6, r7",
            "subs r10, r10, #1",
            "str r10, [lr, #56]",
            "bne 21b",
            "ldr r10, [lr, #52]",
            "subs r10, r10, #1",
            "str r10, [lr, #52]",
            "bne 20b",
            "add sp, sp, #16",
            "pop {{r0, r6, r7}}",
            inout("r0") $arguments => _,
            out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            out("lr") _,
        )
    };
}

impl Dsp {
    /// Where neighbouring pixels see neighbouring columns: two of them share
    /// the two triplets that they see.
    ///
    /// # Safety
    /// At least one channel, row and pixel. Weights, biases, multipliers and
    /// shifts are there for all channels; triplets for all rows, one more than
    /// there are pairs of pixels in each; `out` takes all.
    #[inline(never)]
    pub(super) unsafe fn adjacent(self, arguments: &mut Channels) {
        // SAFETY: the caller's. r6 and r7 are restored.
        unsafe {
            channels!(
                &raw mut *arguments,
                "ldr r8, [sp, #12]",
                "ldm r5, {{r7, r11, r12}}",
                "add r5, r5, #48",
                "smlad r9, r11, r0, r8",
                "smlad r8, r7, r0, r8",
                "smlad r8, r11, r1, r8",
                "smlad r8, r12, r3, r8",
                "smlatb r9, r12, r3, r9",
                "ldm r5, {{r7, r11, r12}}",
                "smlad r9, r7, r1, r9",
                "smlad r8, r7, r2, r8",
                "smlad r9, r11, r2, r9",
                "smlabt r8, r12, r4, r8",
                "smlad r9, r12, r4, r9"
            );
        }
    }

    /// Where neighbouring pixels see every other column.
    ///
    /// # Safety
    /// As [`Self::adjacent`], with one more triplet than twice the pairs.
    #[inline(never)]
    pub(super) unsafe fn every_other(self, arguments: &mut Channels) {
        // SAFETY: the caller's. r6 and r7 are restored.
        unsafe {
            channels!(
                &raw mut *arguments,
                "ldr r8, [sp, #12]",
                "ldm r5, {{r7, r11, r12}}",
                "add r5, r5, #48",
                "mov r9, r8",
                "smlad r8, r7, r0, r8",
                "smlad r8, r11, r1, r8",
                "smlad r8, r12, r3, r8",
                "ldm r5, {{r7, r11, r12}}",
                "add r5, r5, #48",
                "smlad r8, r7, r2, r8",
                "smlabt r8, r12, r4, r8",
                "smlad r9, r7, r0, r9",
                "smlad r9, r11, r1, r9",
                "smlad r9, r12, r3, r9",
                "ldr r7, [r5]",
                "ldr r12, [r5, #8]",
                "smlad r9, r7, r2, r9",
                "smlabt r9, r12, r4, r9"
            );
        }
    }
}
