//! Sums of two tensors.

use super::{Dsp, Rounding};
use crate::net::quant::Factor;
use core::arch::asm;

impl Dsp {
    /// Sums of an even number of elements, requantised in the short way.
    /// `None` if a slice is too short or the factors are none for it.
    pub fn sum(self, a: &[i8], b: &[i8], by: &Addition, out: &mut [i8]) -> Option<()> {
        let ([of_a, of_b], of_sum) = by.short()?;
        let count = out.len();
        if count == 0 || !count.is_multiple_of(2) || a.len() < count || b.len() < count {
            return None;
        }
        let out_end = out.as_ptr_range().end;
        let arguments = Sum {
            from: [a.as_ptr(), b.as_ptr()],
            out: out.as_mut_ptr(),
            less: by.zeros.map(|zero| -(zero << 20)),
            multipliers: [of_a.multiplier, of_b.multiplier],
            places: [of_a.places, of_b.places],
            of_sum,
            half: 2 * i32::from(by.zero_point) + 1,
            out_end,
        };
        // SAFETY: elements are made two by two until `out_end`, an even number
        // and more than 0 of them; `a` and `b` have as many.
        unsafe {
            asm!(
                cpu!(),
                "ldr r12, [r0, #48]",
                "push {{r6, r7, r12}}",
                "mov lr, r0",
                "ldm lr, {{r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11}}",
                ".macro foveola_one",
                "ldrsb r12, [r0], #1",
                "ldrsb lr, [r1], #1",
                "add r12, r3, r12, lsl #20",
                "add lr, r4, lr, lsl #20",
                "smmlar r12, r12, r5, r12",
                "smmlar lr, lr, r6, lr",
                "add r12, r12, r12, asr #31",
                "add lr, lr, lr, asr #31",
                "asr r12, r12, r7",
                "asr lr, lr, r8",
                "add r12, r12, #1",
                "add lr, lr, #1",
                "asr r12, r12, #1",
                "add r12, r12, lr, asr #1",
                "smmlar r12, r12, r9, r12",
                "add r12, r12, r12, asr #31",
                "asr r12, r12, r10",
                "add r12, r12, r11",
                "ssat r12, #8, r12, asr #1",
                "strb r12, [r2], #1",
                ".endm",
                "20:",
                "foveola_one",
                "foveola_one",
                ".purgem foveola_one",
                "ldr r12, [sp, #8]",
                "cmp r2, r12",
                "bne 20b",
                "pop {{r6, r7, r12}}",
                inout("r0") &raw const arguments => _,
                out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
                out("lr") _,
            );
        }
        Some(())
    }
}

/// Arguments of [`Dsp::sum`] in the order in which they are loaded.
#[repr(C)]
struct Sum {
    from: [*const i8; 2],
    out: *mut i8,
    /// Inputs are raised by 20 places and these added.
    less: [i32; 2],
    multipliers: [i32; 2],
    places: [u32; 2],
    of_sum: Rounding,
    half: i32,
    out_end: *const i8,
}

/// How two tensors are scaled and added.
#[derive(Clone, Copy)]
pub(in crate::net) struct Addition {
    /// Zero points of the inputs.
    pub zeros: [i32; 2],
    pub factors: [Factor; 2],
    pub of_sum: Factor,
    /// Zero point of the output.
    pub zero_point: i8,
}

impl Addition {
    /// The factors in the short way, if they fit it.
    fn short(&self) -> Option<([Rounding; 2], Rounding)> {
        let [a, b] = self.factors;
        // One half is no shift to SMMLAR and one place less to the division.
        let scaled = |f: Factor| match (f.multiplier, f.shift) {
            (HALF, 0) => Some(Rounding {
                multiplier: 0,
                places: 0,
            }),
            _ => Rounding::of(f),
        };
        Some(([scaled(a)?, scaled(b)?], Rounding::of(self.of_sum)?))
    }

    /// Whether [`Dsp::sum`] takes it.
    pub fn is_short(&self) -> bool {
        self.short().is_some()
    }
}

/// 0.5 as a multiplier.
const HALF: i32 = 1 << 30;
