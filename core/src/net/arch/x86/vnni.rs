//! Int8 products with AVX-512 VNNI: sums of four products in each of sixteen lanes.

use crate::net::arch::wide::Quads;
use core::arch::x86_64::{
    __m512i, _mm_storeu_si128, _mm512_add_epi32, _mm512_add_epi64, _mm512_and_si512,
    _mm512_cmpgt_epi32_mask, _mm512_cvtepi32_epi8, _mm512_dpbusd_epi32, _mm512_loadu_si512,
    _mm512_mask_add_epi32, _mm512_mask_blend_epi32, _mm512_max_epi32, _mm512_min_epi32,
    _mm512_mul_epi32, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_slli_epi64, _mm512_sllv_epi32, _mm512_srai_epi32, _mm512_srav_epi32, _mm512_srli_epi32,
    _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi32,
};

/// Permission to use AVX-512 F, BW, DQ, VL and VNNI: `X86::vnni` alone makes one.
#[derive(Clone, Copy)]
pub(in crate::net) struct Vnni(());

/// What the sums of sixteen channels are requantised by.
#[derive(Clone, Copy)]
pub(in crate::net) struct Factors {
    bias: __m512i,
    multiplier: __m512i,
    left: __m512i,
    right: __m512i,
    zero_point: i32,
    range: [i32; 2],
}

/// A computation on int8, compiled for [`Vnni`]; as in
/// [`Kernel`](crate::net::arch::Kernel), all of it must be `#[inline(always)]`.
pub(in crate::net) trait QuadKernel {
    type Output;
    fn run(self, vnni: Vnni) -> Self::Output;
}

impl Vnni {
    /// # Safety
    /// The processor has the instructions and its operating system supports them.
    pub(super) const unsafe fn new() -> Self {
        Self(())
    }

    /// Runs `kernel` as compiled for these instructions.
    pub fn run<K: QuadKernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn compiled<K: QuadKernel>(kernel: K, vnni: Vnni) -> K::Output {
            kernel.run(vnni)
        }
        // SAFETY: `self` proves that the instructions exist.
        unsafe { compiled(kernel, self) }
    }

    #[inline(always)]
    fn load(self, from: &[i32; 16]) -> __m512i {
        // SAFETY: `self` proves that AVX-512 exists; `from` is 64 readable bytes.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    /// For each pixel its start in every lane, and the products of its patch
    /// `x[p]` with the weights of `B` times 16 channels; as long as the shortest.
    #[inline(always)]
    pub fn products<const P: usize, const B: usize>(
        self,
        starts: [i32; P],
        x: &[&[[u8; 4]]; P],
        w: &[&[Quads]; B],
    ) -> [[__m512i; B]; P] {
        // SAFETY: `self` proves that AVX-512 exists.
        let mut sums = starts.map(|start| [unsafe { _mm512_set1_epi32(start) }; B]);
        let len = x
            .iter()
            .map(|x| x.len())
            .chain(w.iter().map(|w| w.len()))
            .min();
        for k in 0..len.unwrap_or(0) {
            // SAFETY: as above.
            let mut weights = [unsafe { _mm512_setzero_si512() }; B];
            for (weights, w) in weights.iter_mut().zip(w) {
                if let Some(w) = w.get(k) {
                    // SAFETY: as above; `w` is 64 readable bytes.
                    *weights = unsafe { _mm512_loadu_si512(w.as_ptr().cast()) };
                }
            }
            for (sums, x) in sums.iter_mut().zip(x) {
                let four = x.get(k).copied().unwrap_or_default();
                for (sum, &w) in sums.iter_mut().zip(&weights) {
                    // SAFETY: as above.
                    *sum = unsafe {
                        let four = _mm512_set1_epi32(i32::from_le_bytes(four));
                        _mm512_dpbusd_epi32(*sum, four, w)
                    };
                }
            }
        }
        sums
    }

    /// Sums of the weights of sixteen channels.
    #[inline(always)]
    pub fn sums(self, weights: &[Quads]) -> [i32; 16] {
        let mut out = [0; 16];
        // SAFETY: `self` proves that AVX-512 exists; each of the weights is 64
        // readable bytes, `out` is 64 writable ones.
        unsafe {
            let ones = _mm512_set1_epi8(1);
            let mut sums = _mm512_setzero_si512();
            for w in weights {
                let w = _mm512_loadu_si512(w.as_ptr().cast());
                sums = _mm512_dpbusd_epi32(sums, ones, w);
            }
            _mm512_storeu_si512(out.as_mut_ptr().cast(), sums);
        }
        out
    }

    /// Sum of the elements of a patch.
    #[inline(always)]
    pub fn sum(self, patch: &[[u8; 4]]) -> i32 {
        let each = patch.as_flattened().iter().map(|&u| i32::from(u));
        each.fold(0, i32::wrapping_add)
    }

    /// Factors of channels: where sums start, multipliers, shifts of -31 to 30.
    #[inline(always)]
    pub fn factors(
        self,
        bias: &[i32; 16],
        multiplier: &[i32; 16],
        shift: &[i32; 16],
        zero_point: i32,
        range: [i32; 2],
    ) -> Factors {
        let shift = self.load(shift);
        // SAFETY: `self` proves that AVX-512 exists.
        unsafe {
            let left = _mm512_max_epi32(shift, _mm512_setzero_si512());
            Factors {
                bias: self.load(bias),
                multiplier: self.load(multiplier),
                left,
                right: _mm512_sub_epi32(left, shift),
                zero_point,
                range,
            }
        }
    }

    /// Bias, multiplication rounded twice, zero point, limits.
    #[inline(always)]
    pub fn requantise(self, sums: __m512i, by: &Factors) -> [i8; 16] {
        let mut out = [0; 16];
        // SAFETY: `self` proves that AVX-512 exists; `out` is 16 writable bytes.
        unsafe {
            let x = _mm512_sllv_epi32(_mm512_add_epi32(sums, by.bias), by.left);
            let half = _mm512_set1_epi64(1 << 30);
            let even = _mm512_add_epi64(_mm512_mul_epi32(x, by.multiplier), half);
            let odd = _mm512_mul_epi32(
                _mm512_srli_epi64::<32>(x),
                _mm512_srli_epi64::<32>(by.multiplier),
            );
            let odd = _mm512_slli_epi64::<1>(_mm512_add_epi64(odd, half));
            let high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64::<31>(even), odd);
            // What is cut off, one less where it is negative: ties go away from 0.
            let one = _mm512_set1_epi32(1);
            let mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, by.right), one);
            let cut = _mm512_and_si512(high, mask);
            let cut = _mm512_add_epi32(cut, _mm512_srai_epi32::<31>(high));
            let up = _mm512_cmpgt_epi32_mask(cut, _mm512_srli_epi32::<1>(mask));
            let down = _mm512_srav_epi32(high, by.right);
            let scaled = _mm512_mask_add_epi32(down, up, down, one);
            let q = _mm512_add_epi32(scaled, _mm512_set1_epi32(by.zero_point));
            let [low, most] = by.range;
            let q = _mm512_max_epi32(q, _mm512_set1_epi32(low));
            let q = _mm512_min_epi32(q, _mm512_set1_epi32(most));
            let out: *mut [i8; 16] = &mut out;
            _mm_storeu_si128(out.cast(), _mm512_cvtepi32_epi8(q));
        }
        out
    }
}
