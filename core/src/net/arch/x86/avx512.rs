//! Sixteen f32 at once with AVX-512.

use super::Avx2;
use crate::net::arch::wide::Wide;
use crate::net::arch::{Kernel, Simd};
use core::arch::x86_64::{
    __m256, __m512, __mmask16, _CMP_GT_OQ, _CMP_UNORD_Q, _mm256_loadu_ps, _mm512_add_ps,
    _mm512_castps256_ps512, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_insertf32x8,
    _mm512_loadu_ps, _mm512_mask_blend_ps, _mm512_mask_cmp_ps_mask, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_storeu_ps,
};

/// Made by the functions below alone, so AVX2, FMA and AVX-512 F, BW, DQ, VL
/// and VNNI exist where a value of this type does.
#[derive(Clone, Copy)]
pub(in crate::net) struct Avx512<const FUSED: bool>(Avx2<FUSED>);

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn strict<K: Kernel>(kernel: K) -> K::Output {
    kernel.run_wide(Avx512(Avx2::<false>(())))
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn fused<K: Kernel>(kernel: K) -> K::Output {
    kernel.run_wide(Avx512(Avx2::<true>(())))
}

/// The first `live` of 16 lanes.
#[inline(always)]
const fn first(live: usize) -> __mmask16 {
    if live < 16 {
        (1 << live) - 1
    } else {
        __mmask16::MAX
    }
}

/// What is narrow is AVX2's.
impl<const FUSED: bool> Simd for Avx512<FUSED> {
    type V = __m256;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        self.0.splat(x)
    }

    #[inline(always)]
    fn load(self, from: &[f32; 8]) -> __m256 {
        self.0.load(from)
    }

    #[inline(always)]
    fn store(self, v: __m256) -> [f32; 8] {
        self.0.store(v)
    }

    #[inline(always)]
    fn add_product(self, sum: __m256, a: __m256, b: __m256) -> __m256 {
        self.0.add_product(sum, a, b)
    }

    #[inline(always)]
    fn product(self, a: __m256, b: __m256) -> __m256 {
        self.0.product(a, b)
    }

    #[inline(always)]
    fn larger(self, a: __m256, b: __m256) -> __m256 {
        self.0.larger(a, b)
    }

    #[inline(always)]
    fn smaller(self, a: __m256, b: __m256) -> __m256 {
        self.0.smaller(a, b)
    }

    #[inline(always)]
    fn positive_or(self, x: __m256, other: __m256) -> __m256 {
        self.0.positive_or(x, other)
    }

    #[inline(always)]
    fn note_nan(self, seen: __m256, v: __m256) -> __m256 {
        self.0.note_nan(seen, v)
    }
}

impl<const FUSED: bool> Wide for Avx512<FUSED> {
    type W = __m512;

    #[inline(always)]
    fn fill(self, x: f32) -> __m512 {
        // SAFETY: `self` proves that AVX-512 exists.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn read(self, from: &[f32]) -> __m512 {
        // SAFETY: as above; the mask keeps to the elements of `from`.
        unsafe { _mm512_maskz_loadu_ps(first(from.len()), from.as_ptr()) }
    }

    #[inline(always)]
    fn read_all(self, from: &[f32; 16]) -> __m512 {
        // SAFETY: as above; `from` is 16 readable f32, in any alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn read_two(self, low: &[f32; 8], high: &[f32; 8]) -> __m512 {
        // SAFETY: as above; each is 8 readable f32, in any alignment.
        unsafe {
            let low = _mm512_castps256_ps512(_mm256_loadu_ps(low.as_ptr()));
            _mm512_insertf32x8::<1>(low, _mm256_loadu_ps(high.as_ptr()))
        }
    }

    #[inline(always)]
    fn write(self, v: __m512, to: &mut [f32]) {
        // SAFETY: as above; the mask keeps to the elements of `to`.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), first(to.len()), v) };
    }

    #[inline(always)]
    fn write_all(self, v: __m512, to: &mut [f32; 16]) {
        // SAFETY: as above; `to` is 16 writable f32, in any alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) };
    }

    #[inline(always)]
    fn add_products(self, sum: __m512, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that AVX-512 exists.
        unsafe {
            if FUSED {
                _mm512_fmadd_ps(a, b, sum)
            } else {
                _mm512_add_ps(sum, _mm512_mul_ps(a, b))
            }
        }
    }

    #[inline(always)]
    fn sum(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn products(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn largest(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above. VMAXPS gives `b` unless `a > b`.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn smallest(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above. VMINPS gives `b` unless `a < b`.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn positives_or(self, x: __m512, other: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, _mm512_setzero_ps());
            _mm512_mask_blend_ps(positive, other, x)
        }
    }

    #[inline(always)]
    fn nans(self, seen: u16, v: __m512, live: usize) -> u16 {
        // SAFETY: as above.
        unsafe { seen | _mm512_mask_cmp_ps_mask::<_CMP_UNORD_Q>(first(live), v, v) }
    }
}
