//! Sums of two tensors.

use super::{Helium, is_right};
use crate::net::quant::Factor;

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

/// 0.5 as a multiplier.
const HALF: i32 = 1 << 30;

/// Places by which inputs are raised.
const RAISED: i32 = 20;

/// Arguments of [`Helium::sum`] in the order in which they are loaded.
#[repr(C)]
struct Sum {
    less: [i32; 2],
    from: [*const i8; 2],
    out: *mut i8,
    raised: [i32; 2],
    multipliers: [i32; 2],
    shifts: [i32; 2],
    of_sum: [i32; 2],
    zero_point: i32,
    count: usize,
}

impl Addition {
    /// What each input is raised by, multiplied with and shifted by. One half
    /// without a shift is exact, and the same as one whole with a shift.
    fn inputs(&self) -> Option<[(i32, Factor); 2]> {
        let of = |f: Factor| match (f.multiplier, f.shift) {
            (HALF, 0) => Some((RAISED + 1, Factor { shift: -1, ..f })),
            _ => is_right(f.multiplier, f.shift).then_some((RAISED, f)),
        };
        let [a, b] = self.factors;
        Some([of(a)?, of(b)?])
    }

    /// Whether [`Helium::sum`] takes it.
    pub fn is_right(&self) -> bool {
        self.inputs().is_some() && is_right(self.of_sum.multiplier, self.of_sum.shift)
    }
}

impl Helium {
    /// Sums of all elements. `None` if slices differ in length or the factors
    /// are none for it.
    pub fn sum(self, a: &[i8], b: &[i8], by: &Addition, out: &mut [i8]) -> Option<()> {
        if a.len() != out.len() || b.len() != out.len() || out.is_empty() || !by.is_right() {
            return None;
        }
        let [(raised_a, of_a), (raised_b, of_b)] = by.inputs()?;
        let [zero_a, zero_b] = by.zeros;
        let arguments = Sum {
            less: [-(zero_a << raised_a), -(zero_b << raised_b)],
            from: [a.as_ptr(), b.as_ptr()],
            out: out.as_mut_ptr(),
            raised: [raised_a, raised_b],
            multipliers: [of_a.multiplier, of_b.multiplier],
            shifts: [of_a.shift.into(), of_b.shift.into()],
            of_sum: [by.of_sum.multiplier, by.of_sum.shift.into()],
            zero_point: by.zero_point.into(),
            count: out.len(),
        };
        // SAFETY: the loop takes `count` elements, at least 1, of `a` and `b`
        // and writes as many.
        unsafe {
            helium!(
                "push {{r6, r7}}",
                "mov r12, r0",
                "ldrd r1, r2, [r12], #8",
                "vdup.32 q4, r1",
                "vdup.32 q5, r2",
                "ldm r12!, {{r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10}}",
                "ldrd r11, lr, [r12]",
                "vdup.32 q6, r11",
                "dlstp.32 lr, lr",
                "2:",
                "vldrb.s32 q0, [r0], #4",
                "vldrb.s32 q1, [r1], #4",
                "vshl.s32 q0, r3",
                "vshl.s32 q1, r4",
                "vadd.i32 q0, q0, q4",
                "vadd.i32 q1, q1, q5",
                "vqrdmulh.s32 q0, q0, r5",
                "vqrdmulh.s32 q1, q1, r6",
                "vshr.s32 q2, q0, #31",
                "vshr.s32 q3, q1, #31",
                "vadd.i32 q0, q0, q2",
                "vadd.i32 q1, q1, q3",
                "vrshl.s32 q0, r7",
                "vrshl.s32 q1, r8",
                "vadd.i32 q0, q0, q1",
                "vqrdmulh.s32 q0, q0, r9",
                "vshr.s32 q2, q0, #31",
                "vadd.i32 q0, q0, q2",
                "vrshl.s32 q0, r10",
                "vqadd.s32 q0, q0, q6",
                "vqmovnb.s32 q0, q0",
                "vqmovnb.s16 q0, q0",
                "vstrb.32 q0, [r2], #4",
                "letp lr, 2b",
                "pop {{r6, r7}}",
                inout("r0") &raw const arguments => _,
                out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            );
        }
        Some(())
    }
}
