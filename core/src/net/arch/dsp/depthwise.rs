//! 3x3 depthwise convolutions, four channels at once.

use super::{Dsp, Rounding};
use core::arch::asm;

impl Dsp {
    /// One row of `count` pixels of a 3x3 depthwise convolution, four channels.
    /// `strip` is what they see: rows `pitch` words apart, one word a pixel, the
    /// first output pixel under the first three words. The next sees what is
    /// `step` words to the right, and is written `stride` bytes on. `None` if
    /// a slice is too short.
    #[expect(
        clippy::too_many_arguments,
        reason = "where a row comes from and goes to"
    )]
    pub fn depthwise(
        self,
        strip: &[u32],
        pitch: usize,
        step: usize,
        table: &Table,
        out: &mut [i8],
        stride: usize,
        count: usize,
    ) -> Option<()> {
        let before = count.checked_sub(1)?;
        let fits = strip.len() >= 2 * pitch + before.checked_mul(step)? + 3
            && out.len() >= before.checked_mul(stride)? + 4;
        if !fits {
            return None;
        }
        let (rows, to) = (strip.as_ptr(), out.as_mut_ptr());
        // SAFETY: the last pixel's words end inside `strip` and its bytes
        // inside `out`; both were just checked. Pointers behind these ends are
        // made, never used.
        let mut arguments = unsafe {
            Row {
                rows: [rows, rows.add(pitch), rows.add(2 * pitch)],
                table,
                out: to,
                stride,
                step: 4 * step,
                count,
            }
        };
        // SAFETY: as above; `count` is at least 1, and the table is read in
        // its order to its end.
        unsafe {
            asm!(
                cpu!(),
                "push {{r0, r6, r7}}",
                "mov lr, r0",
                "ldm lr, {{r4, r5, r6}}",
                ".macro foveola_pair",
                "pkhbt r10, r7, r9, lsl #16",
                "pkhtb r7, r9, r7, asr #16",
                "ldm r8!, {{r11, r12}}",
                "sxtb16 r9, r10",
                "sxtb16 r10, r10, ror #8",
                "smlad r0, r9, r11, r0",
                "smlad r1, r10, r12, r1",
                "ldm r8!, {{r11, r12}}",
                "sxtb16 r9, r7",
                "sxtb16 r7, r7, ror #8",
                "smlad r2, r9, r11, r2",
                "smlad r3, r7, r12, r3",
                ".endm",
                ".macro foveola_round sum",
                "ldm r8!, {{r7, r9}}",
                "smmlar \\sum, \\sum, r7, \\sum",
                "add \\sum, \\sum, \\sum, asr #31",
                "asr \\sum, \\sum, r9",
                "add \\sum, \\sum, r12",
                "ssat \\sum, #8, \\sum, asr #1",
                ".endm",
                "20:",
                "ldr r8, [lr, #12]",
                "ldm r8!, {{r0, r1, r2, r3}}",
                "ldrd r7, r9, [r4]",
                "foveola_pair",
                "ldr r7, [r4, #8]",
                "ldr r9, [r5]",
                "foveola_pair",
                "ldrd r7, r9, [r5, #4]",
                "foveola_pair",
                "ldrd r7, r9, [r6]",
                "foveola_pair",
                "ldr r7, [r6, #8]",
                "ldm r8!, {{r11, r12}}",
                "sxtb16 r9, r7",
                "sxtb16 r7, r7, ror #8",
                "smlabb r0, r9, r11, r0",
                "smlatt r2, r9, r11, r2",
                "smlabb r1, r7, r12, r1",
                "smlatt r3, r7, r12, r3",
                "ldr r12, [r8], #4",
                "foveola_round r0",
                "foveola_round r1",
                "foveola_round r2",
                "foveola_round r3",
                ".purgem foveola_pair",
                ".purgem foveola_round",
                "ldr r12, [lr, #16]",
                "ldrd r10, r11, [lr, #20]",
                "ldr r9, [lr, #28]",
                "strb r0, [r12]",
                "strb r1, [r12, #1]",
                "strb r2, [r12, #2]",
                "strb r3, [r12, #3]",
                "add r12, r12, r10",
                "add r4, r4, r11",
                "add r5, r5, r11",
                "add r6, r6, r11",
                "str r12, [lr, #16]",
                "subs r9, r9, #1",
                "str r9, [lr, #28]",
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

/// Arguments of [`Dsp::depthwise`].
#[repr(C)]
struct Row {
    rows: [*const u32; 3],
    table: *const Table,
    out: *mut i8,
    stride: usize,
    step: usize,
    count: usize,
}

/// Numbers of four channels of a 3x3 depthwise convolution.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(in crate::net) struct Table {
    bias: [i32; 4],
    /// Weights at taps 0 and 1, 2 and 3, 4 and 5, 6 and 7 of each channel.
    pairs: [[[i16; 2]; 4]; 4],
    /// Weights at tap 8 of channels 0, 2, 1, 3.
    last: [i16; 4],
    /// One half and the zero point, doubled.
    half: i32,
    rounding: [Rounding; 4],
}

impl Table {
    /// Four channels by their biases, weights (nine taps of four channels,
    /// without their zero point), multipliers and shifts.
    pub fn new(
        bias: &[i32; 4],
        weights: &[[i16; 4]; 9],
        multiplier: &[i32; 4],
        shift: &[i8; 4],
        zero_point: i8,
    ) -> Self {
        let mut table = Self {
            bias: *bias,
            half: 2 * i32::from(zero_point) + 1,
            ..Self::default()
        };
        let (taps, last) = weights.as_chunks::<2>();
        for (pairs, [first, second]) in table.pairs.iter_mut().zip(taps) {
            for ((pair, &a), &b) in pairs.iter_mut().zip(first).zip(second) {
                *pair = [a, b];
            }
        }
        if let Some(&[a, b, c, d]) = last.first() {
            table.last = [a, c, b, d];
        }
        let factors = multiplier.iter().zip(shift);
        for (rounding, (&multiplier, &shift)) in table.rounding.iter_mut().zip(factors) {
            *rounding = Rounding {
                multiplier: multiplier.wrapping_shl(1),
                places: (!shift as u8).into(),
            };
        }
        table
    }
}
