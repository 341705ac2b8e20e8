//! [`Integers`] with AVX2.

use super::{Integers, Requantise, shortest};
use crate::net::arch::x86::Avx2;
use core::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi32, _mm_and_si128, _mm_cvtsi128_si64, _mm_loadl_epi64,
    _mm_loadu_si128, _mm_packs_epi16, _mm_packs_epi32, _mm_unpackhi_epi8, _mm_unpacklo_epi8,
    _mm256_add_epi32, _mm256_add_epi64, _mm256_and_si256, _mm256_blend_epi32,
    _mm256_castsi256_si128, _mm256_cmpgt_epi32, _mm256_cvtepi8_epi16, _mm256_cvtepi8_epi32,
    _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_max_epi32, _mm256_min_epi32, _mm256_mul_epi32, _mm256_set_m128i, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_slli_epi32,
    _mm256_slli_epi64, _mm256_sllv_epi32, _mm256_srai_epi32, _mm256_srav_epi32, _mm256_srli_epi32,
    _mm256_srli_epi64, _mm256_storeu_si256, _mm256_sub_epi16, _mm256_sub_epi32,
};

/// Sixteen 0 and then sixteen ones: from byte 16 - n on, all but the last n of 16 are 0.
const LAST: [[i8; 16]; 2] = [[0; 16], [-1; 16]];

#[inline(always)]
fn load(from: &[i8; 16]) -> __m128i {
    // SAFETY: SSE2 is part of x86-64; `from` is 16 readable bytes, in any alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

impl Avx2<false> {
    /// Sums over the 16 elements from `at` on, of the patches those that `mask` keeps.
    ///
    /// # Safety
    /// All slices have at least `at + 16` elements.
    #[inline(always)]
    unsafe fn step<const P: usize, const B: usize>(
        self,
        sums: &mut [[__m256i; B]; P],
        x: &[&[i8]; P],
        w: &[&[i8]; B],
        at: usize,
        mask: Option<__m128i>,
        zero: Option<__m256i>,
    ) {
        // SAFETY: `self` proves that AVX2 exists; the caller, that all 16 bytes do.
        unsafe {
            let mut patches = [_mm256_setzero_si256(); P];
            for (patch, x) in patches.iter_mut().zip(x) {
                let bytes = _mm_loadu_si128(x.as_ptr().add(at).cast());
                let bytes = match mask {
                    Some(mask) => _mm_and_si128(bytes, mask),
                    None => bytes,
                };
                *patch = _mm256_cvtepi8_epi16(bytes);
            }
            for (b, w) in w.iter().enumerate() {
                let bytes = _mm_loadu_si128(w.as_ptr().add(at).cast());
                let lanes = _mm256_cvtepi8_epi16(bytes);
                let lanes = match zero {
                    Some(zero) => _mm256_sub_epi16(lanes, zero),
                    None => lanes,
                };
                for (sums, &x) in sums.iter_mut().zip(&patches) {
                    if let Some(sum) = sums.get_mut(b) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x, lanes));
                    }
                }
            }
        }
    }

    /// Dot products with four filters; `zero` in 16 lanes, if it is not 0.
    #[inline(always)]
    fn four<const P: usize>(
        self,
        x: &[&[i8]; P],
        w: &[&[i8]; 4],
        zero: Option<__m256i>,
    ) -> [__m128i; P] {
        // Opaque, so that addresses are not computed again in the loop.
        let (x, w) = &core::hint::black_box((*x, *w));
        let len = shortest(x, w);
        // SAFETY: `self` proves that AVX2 exists.
        let mut sums = unsafe { [[_mm256_setzero_si256(); 4]; P] };
        let whole = len & !15;
        for at in (0..whole).step_by(16) {
            // SAFETY: at + 16 <= len.
            unsafe { self.step(&mut sums, x, w, at, None, zero) };
        }
        let rest = len - whole;
        if rest > 0 && len >= 16 {
            // SAFETY: rest + 16 <= 32, the bytes of `LAST`.
            let mask = unsafe { _mm_loadu_si128(LAST.as_ptr().cast::<i8>().add(rest).cast()) };
            // SAFETY: len - 16 + 16 = len.
            unsafe { self.step(&mut sums, x, w, len - 16, Some(mask), zero) };
        } else if rest > 0 {
            self.short(&mut sums, x, w, zero);
        }
        let mut totals = [load(&[0; 16]); P];
        for (total, &sums) in totals.iter_mut().zip(&sums) {
            *total = self.totals(sums);
        }
        totals
    }

    /// Adds products of fewer than 16 elements.
    #[inline(always)]
    fn short<const P: usize>(
        self,
        sums: &mut [[__m256i; 4]; P],
        x: &[&[i8]; P],
        w: &[&[i8]; 4],
        zero: Option<__m256i>,
    ) {
        let len = shortest(x, w);
        // Zeros behind the end make no product.
        let (mut few_x, mut few_w) = ([[0; 16]; P], [[0; 16]; 4]);
        few(&mut few_x, x, len);
        few(&mut few_w, w, len);
        let (mut x, mut w): ([&[i8]; P], [&[i8]; 4]) = ([&[0; 16]; P], [&[0; 16]; 4]);
        for (x, few) in x.iter_mut().zip(&few_x) {
            *x = few;
        }
        for (w, few) in w.iter_mut().zip(&few_w) {
            *w = few;
        }
        // SAFETY: each has 16 elements.
        unsafe { self.step(sums, &x, &w, 0, None, zero) };
    }

    /// Sum of each vector's lanes.
    #[inline(always)]
    fn totals(self, [a, b, c, d]: [__m256i; 4]) -> __m128i {
        // SAFETY: `self` proves that AVX2 exists.
        unsafe {
            let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
            let high = _mm256_extracti128_si256::<1>(pairs);
            _mm_add_epi32(_mm256_castsi256_si128(pairs), high)
        }
    }

    #[inline(always)]
    fn vector(self, from: &[i32; 8]) -> __m256i {
        // SAFETY: `self` proves that AVX2 exists; `from` is 32 readable bytes.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    /// Two taps side by side, channel by channel: channels 0 to 7, and 8 to 15.
    #[inline(always)]
    fn side_by_side(self, first: &[i8; 16], second: &[i8; 16]) -> [__m256i; 2] {
        let (a, b) = (load(first), load(second));
        // SAFETY: `self` proves that AVX2 exists.
        unsafe {
            [
                _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b)),
                _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(a, b)),
            ]
        }
    }
}

/// The first `len` elements of each, fewer than 16.
#[inline(always)]
fn few(to: &mut [[i8; 16]], from: &[&[i8]], len: usize) {
    for (to, from) in to.iter_mut().zip(from) {
        for (to, from) in to.iter_mut().zip(*from).take(len) {
            *to = *from;
        }
    }
}

impl Integers for Avx2<false> {
    type Sums = __m256i;

    #[inline(always)]
    fn dots<const P: usize>(
        self,
        x: &[&[i8]; P],
        w: &[&[i8]; 8],
        live: usize,
        zero: i8,
    ) -> [__m256i; P] {
        let [a, b, c, d, e, f, g, h] = *w;
        // SAFETY: `self` proves that AVX2 exists.
        let less = unsafe { _mm256_set1_epi16(zero.into()) };
        let less = if zero == 0 { None } else { Some(less) };
        let low = self.four(x, &[a, b, c, d], less);
        let high = if live > 4 {
            self.four(x, &[e, f, g, h], less)
        } else {
            low
        };
        let mut sums = [self.nothing(); P];
        for ((sums, low), high) in sums.iter_mut().zip(low).zip(high) {
            // SAFETY: `self` proves that AVX2 exists.
            *sums = unsafe { _mm256_set_m128i(high, low) };
        }
        sums
    }

    #[inline(always)]
    fn wide<const P: usize>(
        self,
        x: &[&[[i16; 2]]; P],
        w: [&[[[i16; 2]; 8]]; 2],
    ) -> [[__m256i; 2]; P] {
        // Opaque, so that addresses are not computed again in the loop.
        let (x, [low, high]) = core::hint::black_box((*x, w));
        let len = x
            .iter()
            .fold(low.len().min(high.len()), |len, x| len.min(x.len()));
        let mut sums = [[self.nothing(); 2]; P];
        for k in 0..len {
            // SAFETY: `self` proves that AVX2 exists; k is an index into all
            // slices, whose elements have 32 bytes (weights) and 4 (patches).
            unsafe {
                let low = _mm256_loadu_si256(low.as_ptr().add(k).cast());
                let high = _mm256_loadu_si256(high.as_ptr().add(k).cast());
                for ([first, second], x) in sums.iter_mut().zip(&x) {
                    let pair = x.as_ptr().add(k).cast::<i32>().read_unaligned();
                    let pair = _mm256_set1_epi32(pair);
                    *first = _mm256_add_epi32(*first, _mm256_madd_epi16(pair, low));
                    *second = _mm256_add_epi32(*second, _mm256_madd_epi16(pair, high));
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn each(self, sums: __m256i) -> [i32; 8] {
        let mut out = [0; 8];
        // SAFETY: `self` proves that AVX2 exists; `out` is 32 writable bytes.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), sums) };
        out
    }

    #[inline(always)]
    fn requantise(self, sums: __m256i, by: &Requantise) -> [i8; 8] {
        let scaled = self.scale(sums, by);
        // SAFETY: `self` proves that AVX2 exists.
        unsafe {
            let q = _mm256_add_epi32(scaled, _mm256_set1_epi32(by.zero_point));
            let [low, high] = by.range;
            let q = _mm256_max_epi32(q, _mm256_set1_epi32(low));
            let q = _mm256_min_epi32(q, _mm256_set1_epi32(high));
            let (low, high) = (_mm256_castsi256_si128(q), _mm256_extracti128_si256::<1>(q));
            let words = _mm_packs_epi32(low, high);
            _mm_cvtsi128_si64(_mm_packs_epi16(words, words))
                .to_le_bytes()
                .map(u8::cast_signed)
        }
    }

    #[inline(always)]
    fn raise(self, x: &[i8; 8]) -> __m256i {
        // SAFETY: `self` proves that AVX2 exists; `x` is 8 readable bytes.
        unsafe {
            let wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(x.as_ptr().cast()));
            _mm256_slli_epi32::<20>(wide)
        }
    }

    #[inline(always)]
    fn scale(self, sums: __m256i, by: &Requantise) -> __m256i {
        let bias = self.vector(&by.bias);
        let (multiplier, shift) = (self.vector(&by.multiplier), self.vector(&by.shift));
        // SAFETY: `self` proves that AVX2 exists.
        unsafe {
            let none = _mm256_setzero_si256();
            let left = _mm256_max_epi32(shift, none);
            let right = _mm256_sub_epi32(left, shift);
            let x = _mm256_sllv_epi32(_mm256_add_epi32(sums, bias), left);
            let half = _mm256_set1_epi64x(1 << 30);
            let even = _mm256_add_epi64(_mm256_mul_epi32(x, multiplier), half);
            let odd = _mm256_mul_epi32(
                _mm256_srli_epi64::<32>(x),
                _mm256_srli_epi64::<32>(multiplier),
            );
            let odd = _mm256_slli_epi64::<1>(_mm256_add_epi64(odd, half));
            let high = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<31>(even), odd);
            let one = _mm256_set1_epi32(1);
            let mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, right), one);
            let threshold =
                _mm256_sub_epi32(_mm256_srli_epi32::<1>(mask), _mm256_srai_epi32::<31>(high));
            let up = _mm256_cmpgt_epi32(_mm256_and_si256(high, mask), threshold);
            let down = _mm256_srav_epi32(high, right);
            _mm256_sub_epi32(down, up)
        }
    }

    #[inline(always)]
    fn combine(self, a: __m256i, b: __m256i, less: bool) -> __m256i {
        // SAFETY: `self` proves that AVX2 exists.
        unsafe {
            if less {
                _mm256_sub_epi32(a, b)
            } else {
                _mm256_add_epi32(a, b)
            }
        }
    }

    type Pair = [__m256i; 2];

    #[inline(always)]
    fn nothing(self) -> __m256i {
        // SAFETY: `self` proves that AVX2 exists.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    fn pair(self, first: &[i8; 16], second: &[i8; 16], zero: i8) -> [__m256i; 2] {
        let [low, high] = self.side_by_side(first, second);
        // SAFETY: `self` proves that AVX2 exists.
        unsafe {
            let zero = _mm256_set1_epi16(zero.into());
            [_mm256_sub_epi16(low, zero), _mm256_sub_epi16(high, zero)]
        }
    }

    #[inline(always)]
    fn add_pair(
        self,
        sums: [__m256i; 2],
        first: &[i8; 16],
        second: &[i8; 16],
        weights: &[__m256i; 2],
    ) -> [__m256i; 2] {
        let ([x, y], [w, v]) = (self.side_by_side(first, second), *weights);
        let [low, high] = sums;
        // SAFETY: `self` proves that AVX2 exists.
        unsafe {
            [
                _mm256_add_epi32(low, _mm256_madd_epi16(x, w)),
                _mm256_add_epi32(high, _mm256_madd_epi16(y, v)),
            ]
        }
    }
}
