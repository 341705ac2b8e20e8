//! The rules by which engines scale a sum.

use foveola_core::net::int8::fixed::{apply_once, divide_by_power, doubling_high};
use foveola_core::net::quant::Factor;

/// A rule for real numbers, in words.
pub type RealRule = (&'static str, fn(f64) -> f64);

/// A rounding rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// gemmlowp: the high half rounded, then the shift rounded, halves away from 0.
    Twice,
    /// Once, halves upwards.
    OnceUp,
    /// Once, halves away from 0.
    OnceAway,
    /// Once, halves to the even number.
    OnceEven,
    /// Towards 0.
    Towards0,
    /// Downwards.
    Down,
    /// The high half cut off, then the shift rounded, halves away from 0.
    HighCut,
    /// The high half rounded, the shift cut off.
    ShiftCut,
    /// The high half rounded, then the shift rounded, halves upwards.
    TwiceUp,
    /// The factor as f32, halves to the even number.
    Float,
    /// The factor as f32, halves away from 0.
    FloatAway,
    /// The factor as f32, towards 0.
    FloatTowards0,
}

impl Rounding {
    /// Every rule.
    pub const ALL: [Self; 12] = [
        Self::Twice,
        Self::OnceUp,
        Self::OnceAway,
        Self::OnceEven,
        Self::Towards0,
        Self::Down,
        Self::HighCut,
        Self::ShiftCut,
        Self::TwiceUp,
        Self::Float,
        Self::FloatAway,
        Self::FloatTowards0,
    ];

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Twice => "rounded twice, halves away from 0 (gemmlowp)",
            Self::OnceUp => "rounded once, halves upwards",
            Self::OnceAway => "rounded once, halves away from 0",
            Self::OnceEven => "rounded once, halves to even",
            Self::Towards0 => "cut off towards 0",
            Self::Down => "rounded downwards",
            Self::HighCut => "high half cut off, then rounded",
            Self::ShiftCut => "high half rounded, then shifted without rounding",
            Self::TwiceUp => "rounded twice, halves upwards",
            Self::Float => "scaled in f32, halves to even",
            Self::FloatAway => "scaled in f32, halves away from 0",
            Self::FloatTowards0 => "scaled in f32, cut off towards 0",
        }
    }

    /// `x` times a factor.
    pub fn scale(self, factor: Factor, x: i32) -> i32 {
        let product = i64::from(x) * i64::from(factor.multiplier);
        let places = (31 - i32::from(factor.shift)).clamp(1, 62);
        let half = 1_i64 << (places - 1);
        let left = i32::from(factor.shift).max(0);
        let right = (left - i32::from(factor.shift)).unsigned_abs();
        let shifted = x.wrapping_shl(left.unsigned_abs());
        let high = || doubling_high(shifted, factor.multiplier);
        let real = f64::from(factor.multiplier) * f64::powi(2.0, i32::from(factor.shift) - 31);
        let float = x as f32 * real as f32;
        match self {
            Self::Twice => factor.apply(x),
            Self::OnceUp => apply_once(factor, x),
            Self::OnceAway => {
                let size = (product.abs() + half) >> places;
                (size * product.signum()) as i32
            }
            Self::OnceEven => {
                let down = product >> places;
                let rest = product - (down << places);
                let up = rest > half || rest == half && down & 1 == 1;
                (down + i64::from(up)) as i32
            }
            Self::Towards0 => ((product.abs() >> places) * product.signum()) as i32,
            Self::Down => (product >> places) as i32,
            Self::HighCut => {
                let cut = (i64::from(shifted) * i64::from(factor.multiplier)) >> 31;
                divide_by_power(cut as i32, right)
            }
            Self::ShiftCut => high() >> right.min(31),
            Self::TwiceUp if right == 0 => high(),
            Self::TwiceUp => ((i64::from(high()) + (1 << (right - 1))) >> right) as i32,
            Self::Float => float.round_ties_even() as i32,
            Self::FloatAway => float.round() as i32,
            Self::FloatTowards0 => float as i32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every rule is within one of the exact quotient, and does with halves
    /// what its name says.
    #[test]
    fn rules_do_what_they_say() {
        let half = Factor {
            multiplier: 1 << 30,
            shift: 0,
        };
        let at = |rule: Rounding| [-3, -1, 1, 3].map(|x| rule.scale(half, x));
        assert_eq!(at(Rounding::OnceUp), [-1, 0, 1, 2]);
        assert_eq!(at(Rounding::OnceAway), [-2, -1, 1, 2]);
        assert_eq!(at(Rounding::OnceEven), [-2, 0, 0, 2]);
        assert_eq!(at(Rounding::Towards0), [-1, 0, 0, 1]);
        assert_eq!(at(Rounding::Down), [-2, -1, 0, 1]);
        assert_eq!(at(Rounding::Float), [-2, 0, 0, 2]);
        assert_eq!(at(Rounding::FloatAway), [-2, -1, 1, 2]);
        for (multiplier, shift) in [(1_518_500_250, -7), (1_100_000_000, 2), (2_000_000_000, -1)] {
            let factor = Factor { multiplier, shift };
            let real = f64::from(multiplier) * f64::powi(2.0, i32::from(shift) - 31);
            for x in (-5000..5000).step_by(7) {
                for rule in Rounding::ALL {
                    let off = f64::from(rule.scale(factor, x)) - f64::from(x) * real;
                    assert!(off.abs() < 1.6, "{rule:?} {x} {off}");
                }
            }
        }
    }
}
