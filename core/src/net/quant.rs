//! Quantised numbers: what a stored int8 means, and the fixed-point arithmetic
//! that every engine of TFLite's family shares.
//!
//! A real number r is stored as q = r / scale + zero_point. uint8 networks are
//! stored as int8 with 128 subtracted from both, which changes no result.
//!
//! Source: B. Jacob et al., "Quantization and Training of Neural Networks for
//! Efficient Integer-Arithmetic-Only Inference", CVPR 2018, equations 1 to 6;
//! rounding as in gemmlowp: a saturating rounding doubling high multiply, then
//! a rounding division by a power of two, so each result is rounded twice.

use super::arch::{Isa, products};
use super::int8::record_inside;
use super::ops::activation::BITS;

/// Scale and zero point of a tensor: real = (stored - zero_point) * scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantisation {
    /// Finite and above 0.
    pub scale: f32,
    /// The stored number that means 0.
    pub zero_point: i8,
}

impl Quantisation {
    /// The real number that `stored` means.
    #[inline(always)]
    pub fn real(self, stored: i8) -> f32 {
        (i16::from(stored) - i16::from(self.zero_point)) as f32 * self.scale
    }

    /// The nearest stored number, halves away from zero, saturated. NaN gives
    /// the zero point.
    #[inline(always)]
    pub fn stored(self, real: f32) -> i8 {
        // Just below one half: one half itself would carry the number below it.
        const HALF: f32 = 0.499_999_97;
        let steps = real / self.scale;
        // `as` rounds towards 0, saturates, and makes 0 of NaN.
        let nearest = (steps + HALF.copysign(steps)) as i32;
        let q = nearest.saturating_add(self.zero_point.into());
        let q = if q > -128 { q } else { -128 };
        (if q < 127 { q } else { 127 }) as i8
    }
}

/// A factor as multiplier * 2^(shift - 31), multiplier in 2^30..2^31 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// The significant bits.
    pub multiplier: i32,
    /// Power of two, -31 to 30.
    pub shift: i8,
}

/// `Quantise`: f32 to int8, and whether a number was NaN.
pub(super) fn quantise(from: &[f32], to: Quantisation, out: &mut [i8], isa: Isa) -> bool {
    let (done, mut saw_nan) = with_vectors(from, to, out, isa);
    for (q, &x) in out.iter_mut().zip(from).skip(done) {
        saw_nan |= x.is_nan();
        *q = to.stored(x);
    }
    saw_nan
}

/// As many elements as vectors take, and whether one of them was NaN.
#[cfg(foveola_helium)]
fn with_vectors(from: &[f32], to: Quantisation, out: &mut [i8], isa: Isa) -> (usize, bool) {
    isa.helium()
        .map_or((0, false), |helium| helium.quantise(from, to, out))
}

/// No vectors quantise exactly.
#[cfg(not(foveola_helium))]
const fn with_vectors(_: &[f32], _: Quantisation, _: &mut [i8], _: Isa) -> (usize, bool) {
    (0, false)
}

/// `Dequantise`: int8 to f32.
pub(super) fn dequantise(from: &[i8], by: Quantisation, out: &mut [f32]) {
    for (x, &q) in out.iter_mut().zip(from) {
        *x = by.real(q);
    }
}

/// Gates of a `Quantise`, one bit an element: 1 where the number was inside
/// the range that int8 can store. `first` is the index of the first element.
pub(super) fn record_gate(stored: &[i8], first: usize, keep: &mut [u8], isa: Isa) {
    if !keep.is_empty() {
        record_inside(stored, (i8::MIN + 1, 254), first, keep, isa);
    }
}

/// Adds the gradient of a `Quantise`: `factor` real steps of the output a step
/// of the input, where the gate is open.
///
/// `first` is the index of the first element.
pub(super) fn quantise_backward(
    grad_out: &[f32],
    factor: f32,
    first: usize,
    keep: &[u8],
    grad_in: &mut [f32],
) {
    if !first.is_multiple_of(8) {
        for (index, (to, &g)) in (first..).zip(grad_in.iter_mut().zip(grad_out)) {
            let byte = keep.get(index / 8).copied().unwrap_or(0);
            if byte >> (index % 8) & 1 != 0 {
                *to += g * factor;
            }
        }
        return;
    }
    let bytes = keep.get(first / 8..).unwrap_or(&[]);
    let all = grad_in.len().min(grad_out.len()) / 8;
    // Few pictures have a number that cannot be stored.
    let open = bytes.iter().take(all).all(|&byte| byte == u8::MAX);
    let done = if open {
        products::add_multiple(grad_out, factor, grad_in)
    } else {
        0
    };
    let rest = grad_in.chunks_mut(8).zip(grad_out.chunks(8));
    for ((to, g), &byte) in rest.zip(bytes).skip(done / 8) {
        for ((to, g), bit) in to.iter_mut().zip(g).zip(BITS) {
            if u32::from(byte) & bit != 0 {
                *to += g * factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Halves, their neighbours and far numbers, against f64's own rounding.
    #[test]
    fn stored_is_the_nearest_step() {
        let mut steps = std::vec![0.0_f32, -0.0, 1e9, -1e9, 3e38, f32::INFINITY, 8_388_609.0];
        for i in 0..3000_i16 {
            let half = f32::from(i) * 0.5;
            let near = [half.next_down(), half, half.next_up()];
            steps.extend(near.iter().flat_map(|&x| [x, -x]));
            steps.push(f32::from(i) * 0.137_f32 - 205.0);
        }
        for (scale, zero_point) in [(1.0_f32, 0_i8), (0.25, -128), (2.0, 127), (4.0, 5)] {
            let quant = Quantisation { scale, zero_point };
            for &steps in &steps {
                let wanted = (f64::from(steps).round() + f64::from(zero_point)) as i8;
                let found = quant.stored(steps * scale);
                if (steps * scale).is_finite() {
                    assert_eq!(found, wanted, "{steps} {scale} {zero_point}");
                }
            }
            assert_eq!(quant.stored(f32::NAN), zero_point);
        }
    }
}
