//! f32 to int8.

use super::Helium;
use crate::net::quant::Quantisation;

impl Helium {
    /// Quantises elements four by four, as [`Quantisation::stored`] does; how
    /// many, and whether one of them was NaN.
    ///
    /// The division is a scalar one, so nothing is flushed before it; what is
    /// flushed after it is less than one half, and so 0 anyway. VCVTA rounds
    /// halves away from 0, saturates, and makes 0 of NaN.
    pub fn quantise(self, from: &[f32], to: Quantisation, out: &mut [i8]) -> (usize, bool) {
        let fours = from.len().min(out.len()) / 4;
        if fours == 0 {
            return (0, false);
        }
        let mut largest = 0_u32;
        // SAFETY: the loop reads and writes four elements `fours` times, which
        // is at least 1 and no more than there are.
        unsafe {
            helium!(
                "vmov s16, {scale}",
                "vmov.i32 q3, #0",
                "dls lr, {n}",
                "2:",
                "vldrw.u32 q0, [{from}], #16",
                "vabs.f32 q1, q0",
                "vdiv.f32 s0, s0, s16",
                "vdiv.f32 s1, s1, s16",
                "vdiv.f32 s2, s2, s16",
                "vdiv.f32 s3, s3, s16",
                "vmax.u32 q3, q3, q1",
                "vcvta.s32.f32 q0, q0",
                "vqadd.s32 q0, q0, {zero}",
                "vqmovnb.s32 q0, q0",
                "vqmovnb.s16 q0, q0",
                "vstrb.32 q0, [r3], #4",
                "le lr, 2b",
                "vmaxv.u32 r4, q3",
                scale = in(reg) to.scale.to_bits(),
                zero = in(reg) i32::from(to.zero_point),
                n = in(reg) fours,
                from = inout(reg) from.as_ptr() => _,
                inout("r3") out.as_mut_ptr() => _,
                inout("r4") largest,
            );
        }
        (4 * fours, f32::from_bits(largest).is_nan())
    }
}
