//! Products of int8, as each instruction set does them best. All arithmetic is
//! exact in i32 (or wraps the same way), so every implementation gives the
//! same numbers; another instruction set needs an implementation of
//! [`Integers`] and a line in `Isa::run_integers`.

use crate::net::int8::fixed::divide_by_power;
use crate::net::int8::fixed::doubling_high;

#[cfg(target_arch = "x86_64")]
mod x86;

/// What eight sums are requantised by.
#[derive(Clone, Copy)]
pub(in crate::net) struct Requantise {
    /// Where sums start.
    pub bias: [i32; 8],
    /// Multipliers, not negative.
    pub multiplier: [i32; 8],
    /// Powers of two, -31 to 30.
    pub shift: [i32; 8],
    /// Added to the results.
    pub zero_point: i32,
    /// Least and largest result.
    pub range: [i32; 2],
}

/// Int8 arithmetic. A value of such a type is the proof that its instructions
/// exist, so its methods are safe.
pub(in crate::net) trait Integers: Copy {
    /// Eight i32.
    type Sums: Copy;

    /// The dot products of patch `x[p]` with the filters `w`, less `zero` in
    /// every weight; as long as the shortest of all. Those of filters from
    /// `live` on are not used.
    fn dots<const P: usize>(
        self,
        x: &[&[i8]; P],
        w: &[&[i8]; 8],
        live: usize,
        zero: i8,
    ) -> [Self::Sums; P];

    /// Sums of 16 channels over pairs of elements: `x[p]` times `w[0]` for the
    /// first 8, times `w[1]` for the others; as long as the shortest of all.
    fn wide<const P: usize>(
        self,
        x: &[&[[i16; 2]]; P],
        w: [&[[[i16; 2]; 8]]; 2],
    ) -> [[Self::Sums; 2]; P];

    /// The sums one by one.
    fn each(self, sums: Self::Sums) -> [i32; 8];

    /// Bias, multiplication rounded twice, zero point, limits.
    fn requantise(self, sums: Self::Sums, by: &Requantise) -> [i8; 8];

    /// Eight elements, each times 2^20.
    fn raise(self, x: &[i8; 8]) -> Self::Sums;

    /// Bias and multiplication rounded twice, nothing more.
    fn scale(self, sums: Self::Sums, by: &Requantise) -> Self::Sums;

    /// `a + b`, or `a - b` if `less`.
    fn combine(self, a: Self::Sums, b: Self::Sums, less: bool) -> Self::Sums;

    /// Weights of 16 channels at two taps.
    type Pair: Copy;

    fn nothing(self) -> Self::Sums;

    /// Weights without their zero point.
    fn pair(self, first: &[i8; 16], second: &[i8; 16], zero: i8) -> Self::Pair;

    /// Adds the products of two taps to the sums of 16 channels.
    fn add_pair(
        self,
        sums: [Self::Sums; 2],
        first: &[i8; 16],
        second: &[i8; 16],
        weights: &Self::Pair,
    ) -> [Self::Sums; 2];
}

/// A computation on int8, compiled once for each instruction set; `P` patches
/// are summed at once. As in [`super::Kernel`], all inner loops must be
/// `#[inline(always)]`.
pub(in crate::net) trait IntegerKernel {
    type Output;
    fn run<I: Integers, const P: usize>(self, integers: I) -> Self::Output;
}

impl super::Scalar {
    /// Dot products with two filters.
    #[inline(always)]
    fn two<const P: usize>(x: &[&[i8]; P], w: &[&[i8]; 2], zero: i32) -> [[i32; 2]; P] {
        let mut sums = [[0_i32; 2]; P];
        for k in 0..shortest(x, w) {
            let mut lanes = [0; 2];
            for (lane, w) in lanes.iter_mut().zip(w) {
                *lane = i32::from(w.get(k).copied().unwrap_or(0)) - zero;
            }
            for (sums, x) in sums.iter_mut().zip(x) {
                let x = i32::from(x.get(k).copied().unwrap_or(0));
                for (sum, w) in sums.iter_mut().zip(lanes) {
                    *sum = sum.wrapping_add(x * w);
                }
            }
        }
        sums
    }
}

impl Integers for super::Scalar {
    type Sums = [i32; 8];

    #[inline(always)]
    fn dots<const P: usize>(
        self,
        x: &[&[i8]; P],
        w: &[&[i8]; 8],
        live: usize,
        zero: i8,
    ) -> [[i32; 8]; P] {
        let mut sums = [[0; 8]; P];
        for (w, first) in w.as_chunks().0.iter().zip((0..live).step_by(2)) {
            let two = Self::two(x, w, zero.into());
            for (sums, two) in sums.iter_mut().zip(two) {
                for (sum, dot) in sums.iter_mut().skip(first).zip(two) {
                    *sum = dot;
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn wide<const P: usize>(
        self,
        x: &[&[[i16; 2]]; P],
        w: [&[[[i16; 2]; 8]]; 2],
    ) -> [[[i32; 8]; 2]; P] {
        let mut sums = [[[0_i32; 8]; 2]; P];
        for (sums, x) in sums.iter_mut().zip(x) {
            for (sums, w) in sums.iter_mut().zip(w) {
                for (&[a, b], w) in x.iter().zip(w) {
                    for (sum, &[v, u]) in sums.iter_mut().zip(w) {
                        let products = i32::from(a) * i32::from(v) + i32::from(b) * i32::from(u);
                        *sum = sum.wrapping_add(products);
                    }
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn each(self, sums: [i32; 8]) -> [i32; 8] {
        sums
    }

    #[inline(always)]
    fn requantise(self, sums: [i32; 8], by: &Requantise) -> [i8; 8] {
        let mut out = [0; 8];
        let [low, high] = by.range;
        for (out, scaled) in out.iter_mut().zip(self.scale(sums, by)) {
            let q = scaled.wrapping_add(by.zero_point);
            let q = if q > low { q } else { low };
            *out = (if q < high { q } else { high }) as i8;
        }
        out
    }

    #[inline(always)]
    fn raise(self, x: &[i8; 8]) -> [i32; 8] {
        x.map(|x| i32::from(x) << 20)
    }

    #[inline(always)]
    fn scale(self, mut sums: [i32; 8], by: &Requantise) -> [i32; 8] {
        let channels = by.bias.iter().zip(by.multiplier).zip(by.shift);
        for (sum, ((&bias, multiplier), shift)) in sums.iter_mut().zip(channels) {
            let left = if shift > 0 { shift } else { 0 };
            let raised = sum.wrapping_add(bias).wrapping_shl(left.unsigned_abs());
            let right = (left - shift).unsigned_abs();
            *sum = divide_by_power(doubling_high(raised, multiplier), right);
        }
        sums
    }

    #[inline(always)]
    fn combine(self, mut a: [i32; 8], b: [i32; 8], less: bool) -> [i32; 8] {
        for (a, b) in a.iter_mut().zip(b) {
            *a = if less {
                a.wrapping_sub(b)
            } else {
                a.wrapping_add(b)
            };
        }
        a
    }

    type Pair = [[[i16; 2]; 8]; 2];

    #[inline(always)]
    fn nothing(self) -> [i32; 8] {
        [0; 8]
    }

    #[inline(always)]
    fn pair(self, first: &[i8; 16], second: &[i8; 16], zero: i8) -> Self::Pair {
        let mut pair = [[[0; 2]; 8]; 2];
        let taps = first.iter().zip(second);
        for (pair, (&a, &b)) in pair.as_flattened_mut().iter_mut().zip(taps) {
            *pair = [
                i16::from(a) - i16::from(zero),
                i16::from(b) - i16::from(zero),
            ];
        }
        pair
    }

    #[inline(always)]
    fn add_pair(
        self,
        mut sums: [[i32; 8]; 2],
        first: &[i8; 16],
        second: &[i8; 16],
        weights: &Self::Pair,
    ) -> [[i32; 8]; 2] {
        let taps = first.iter().zip(second);
        let sums_and_weights = sums
            .as_flattened_mut()
            .iter_mut()
            .zip(weights.as_flattened());
        for ((sum, &[of_a, of_b]), (&a, &b)) in sums_and_weights.zip(taps) {
            let products = i32::from(a) * i32::from(of_a) + i32::from(b) * i32::from(of_b);
            *sum = sum.wrapping_add(products);
        }
        sums
    }
}

/// Elements of the shortest slice.
#[inline(always)]
fn shortest(x: &[&[i8]], w: &[&[i8]]) -> usize {
    x.iter()
        .chain(w)
        .map(|s| s.len())
        .fold(usize::MAX, |a, b| if a < b { a } else { b })
}
