//! Softmax across the channels of each pixel, in fixed point.
//!
//! Source: TFLite `reference/softmax.h`. The output has scale 1/256 and zero
//! point -128.

use super::Node8;
use super::fixed::{divide_by_power, doubling_high, exp_of_negative, reciprocal_of_one_plus};
use crate::net::ops::one_by_one;

/// Integer bits of the sum, in Q12.19.
const SUM_BITS: u32 = 12;

/// Most channels: a sum of as many ones still fits.
pub(super) const MOST_CHANNELS: usize = (1 << SUM_BITS) - 1;

/// What the differences to the largest value are scaled by.
#[derive(Clone, Copy)]
struct Exponent {
    multiplier: i32,
    shift: u32,
    least: i32,
}

impl Exponent {
    /// exp(x - max) in Q0.31; `None` where it counts as 0.
    #[inline(always)]
    fn of(self, x: i8, max: i8) -> Option<i32> {
        let difference = i32::from(x) - i32::from(max);
        if difference < self.least {
            return None;
        }
        let scaled = doubling_high(difference.wrapping_shl(self.shift), self.multiplier);
        Some(exp_of_negative(scaled))
    }
}

pub(super) fn forward(node: &Node8<'_>, x: &[i8], out: &mut [i8]) -> Option<()> {
    let &[multiplier, shift, least] = node.words.first_chunk()?;
    let exponent = Exponent {
        multiplier,
        shift: u32::try_from(shift).ok()?,
        least,
    };
    let [low, high] = node.range;
    let c = node.input.c.max(1);
    for (out, x) in out.chunks_exact_mut(c).zip(one_by_one(x.chunks_exact(c))) {
        let max = x.iter().fold(i8::MIN, |m, &x| if x > m { x } else { m });
        let mut sum = 0_i32;
        for &x in x {
            if let Some(e) = exponent.of(x, max) {
                sum = sum.wrapping_add(divide_by_power(e, SUM_BITS));
            }
        }
        // sum = 2^(12 - headroom) * (1 + rest)
        let headroom = sum.leading_zeros();
        let rest = (sum.cast_unsigned().wrapping_shl(headroom) ^ (1 << 31)).cast_signed();
        let scale = reciprocal_of_one_plus(rest);
        let power = (SUM_BITS + 31 - 8).saturating_sub(headroom).min(31);
        for (out, &x) in out.iter_mut().zip(x) {
            let share = exponent
                .of(x, max)
                .map_or(0, |e| divide_by_power(doubling_high(scale, e), power));
            *out = super::clip(share - 128, low, high);
        }
    }
    Some(())
}
