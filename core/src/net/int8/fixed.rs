//! Fixed-point arithmetic of the TFLite family (gemmlowp, `fixedpoint.h`): a
//! saturating rounding doubling high multiply, then a rounding division by a
//! power of two, so each result is rounded twice ([`Factor::apply`]). Formats are named Qm.n: m
//! integer bits, n fraction bits, one sign bit.
//!
//! Sums and shifts wrap where the original would overflow; the model check
//! keeps accumulators in range.

use crate::net::quant::Factor;

/// High half of twice the product, rounded to nearest with ties up, saturated.
///
/// gemmlowp divides `ab + 2^30`, or `ab + 1 - 2^30` where `ab` is negative, by
/// 2^31 towards 0: the same as this shift.
#[inline(always)]
pub fn doubling_high(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    ((i64::from(a) * i64::from(b) + (1 << 30)) >> 31) as i32
}

/// `x / 2^power` rounded to nearest, ties away from 0; `power` is 0 to 31.
#[inline(always)]
pub fn divide_by_power(x: i32, power: u32) -> i32 {
    let mask = ((1_u32 << (power & 31)) - 1) as i32;
    let threshold = (mask >> 1) + i32::from(x < 0);
    x.wrapping_shr(power) + i32::from(x & mask > threshold)
}

impl Factor {
    /// `x` times the factor, rounded twice.
    #[inline(always)]
    pub fn apply(self, x: i32) -> i32 {
        let shift = i32::from(self.shift);
        let left = if shift > 0 { shift } else { 0 };
        let shifted = x.wrapping_shl(left.unsigned_abs());
        let right = (left - shift).unsigned_abs();
        divide_by_power(doubling_high(shifted, self.multiplier), right)
    }
}

/// `x` times the factor, rounded once, halves up: what ruy does behind TFLite's
/// fully connected layers.
#[inline(always)]
pub fn apply_once(factor: Factor, x: i32) -> i32 {
    let places = (31 - i32::from(factor.shift)).unsigned_abs().clamp(1, 62);
    let product = i64::from(x) * i64::from(factor.multiplier);
    ((product + (1 << (places - 1))) >> places) as i32
}

/// `x * 2^power`, saturated.
fn raise(x: i32, power: u32) -> i32 {
    let wide = i64::from(x) << (power & 31);
    wide.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// exp(a) in Q0.31 for `a` in Q0.31 with -1/4 <= a < 0: the Taylor series
/// around -1/8.
fn exp_of_last_quarter(a: i32) -> i32 {
    /// exp(-1/8) and 1/3.
    const CENTRE: i32 = 1_895_147_668;
    const THIRD: i32 = 715_827_883;
    let x = a.wrapping_add(1 << 28);
    let x2 = doubling_high(x, x);
    let x3 = doubling_high(x2, x);
    let x4 = doubling_high(x2, x2);
    let tail = doubling_high(divide_by_power(x4, 2).wrapping_add(x3), THIRD);
    let series = x.wrapping_add(divide_by_power(tail.wrapping_add(x2), 1));
    CENTRE.wrapping_add(doubling_high(CENTRE, series))
}

/// exp(a) in Q0.31 for `a <= 0` in Q5.26.
pub fn exp_of_negative(a: i32) -> i32 {
    /// exp(-2^k) in Q0.31 for k = -2 to 4, next to the bit that stands for 2^k.
    const POWERS: [(u32, i32); 7] = [
        (24, 1_672_461_947),
        (25, 1_302_514_674),
        (26, 790_015_084),
        (27, 290_630_308),
        (28, 39_332_535),
        (29, 720_401),
        (30, 242),
    ];
    const QUARTER: i32 = 1 << 24;
    if a == 0 {
        return i32::MAX;
    }
    let within = (a & (QUARTER - 1)) - QUARTER;
    let rest = within.wrapping_sub(a);
    let mut result = exp_of_last_quarter(raise(within, 5));
    for (bit, power) in POWERS {
        if rest & (1 << bit) != 0 {
            result = doubling_high(result, power);
        }
    }
    result
}

/// 1 / (1 + x) in Q0.31 for `x` in Q0.31 with 0 <= x < 1: three steps of
/// Newton and Raphson from 48/17 - 32/17 d.
pub fn reciprocal_of_one_plus(x: i32) -> i32 {
    const FIRST: i32 = 1_515_870_810;
    const SLOPE: i32 = -1_010_580_540;
    // (x + 1) / 2; 1 is the largest Q0.31.
    let half = ((i64::from(x) + i64::from(i32::MAX) + 1) / 2) as i32;
    let mut estimate = FIRST.wrapping_add(doubling_high(half, SLOPE));
    for _ in 0..3 {
        let error = (1_i32 << 29).wrapping_sub(doubling_high(half, estimate));
        estimate = estimate.wrapping_add(raise(doubling_high(estimate, error), 2));
    }
    raise(estimate, 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test may stop")]
    use super::*;

    /// gemmlowp's formula, division towards 0 and all.
    #[test]
    fn doubling_high_is_gemmlowps() {
        let values = [
            0,
            1,
            -1,
            2,
            -2,
            3,
            255,
            -255,
            1 << 15,
            1 << 16,
            (1 << 30) - 1,
            1 << 30,
            -(1 << 30),
            i32::MAX,
            i32::MIN,
            i32::MIN + 1,
            123_456_789,
            -987_654_321,
        ];
        for a in values {
            for b in values {
                let product = i128::from(a) * i128::from(b);
                let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
                let wanted = ((product + nudge) / (1 << 31)).min(i32::MAX.into());
                assert_eq!(i128::from(doubling_high(a, b)), wanted, "{a} {b}");
            }
        }
    }

    #[test]
    fn division_rounds_ties_away_from_zero() {
        for x in (-300..300).chain([i32::MAX, i32::MIN, i32::MIN + 1]) {
            for power in 0..32 {
                let exact = f64::from(x) / 2_f64.powi(power as i32);
                assert_eq!(
                    f64::from(divide_by_power(x, power)),
                    exact.round(),
                    "{x} {power}"
                );
            }
        }
    }

    #[test]
    fn exponential_and_reciprocal_are_close() {
        for i in 0..4000 {
            let a = -(i * 50_000_i32);
            let wanted = (f64::from(a) / f64::from(1 << 26)).exp();
            let found = f64::from(exp_of_negative(a)) / 2_f64.powi(31);
            assert!((wanted - found).abs() < 4e-7, "{a} {wanted} {found}");
            let x = i * 500_000;
            let wanted = 1.0 / (1.0 + f64::from(x) / 2_f64.powi(31));
            let found = f64::from(reciprocal_of_one_plus(x)) / 2_f64.powi(31);
            assert!((wanted - found).abs() < 1e-8, "{x} {wanted} {found}");
        }
    }
}
