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
        let q = libm::roundf(real / self.scale) + f32::from(self.zero_point);
        if q.is_nan() {
            return self.zero_point;
        }
        // `as` saturates.
        q as i8
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
