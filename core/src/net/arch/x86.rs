//! x86-64: AVX2 and AVX-512, Strict or fused.

mod avx512;
pub(in crate::net) mod vnni;

use super::int8::IntegerKernel;
use super::{Kernel, Simd};
use core::arch::x86_64::{
    __cpuid, __cpuid_count, __m256, _CMP_GT_OQ, _CMP_UNORD_Q, _mm256_add_ps, _mm256_blendv_ps,
    _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
    _mm256_or_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _xgetbv,
};

/// A set of instructions that this processor has and its operating system
/// supports: only [`find`] and [`below_best`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct X86 {
    set: Set,
    arithmetic: Arithmetic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// AVX2 alone.
    Avx2,
    /// AVX2 and FMA.
    Avx2Fma,
    /// Those and AVX-512 F, BW, DQ, VL and VNNI.
    Avx512,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arithmetic {
    /// Products are rounded, then added.
    Strict,
    /// Products are added as they are.
    Fused,
}

impl X86 {
    /// The same instructions, with fused products where there are any.
    pub const fn fused(self) -> Self {
        let arithmetic = match self.set {
            Set::Avx2 => Arithmetic::Strict,
            Set::Avx2Fma | Set::Avx512 => Arithmetic::Fused,
        };
        Self { arithmetic, ..self }
    }

    pub const fn is_fused(self) -> bool {
        matches!(self.arithmetic, Arithmetic::Fused)
    }

    /// Runs `kernel` as compiled for these instructions.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: a value of this type exists only where its instructions do;
        // `Fused` only where FMA does.
        unsafe {
            match (self.set, self.arithmetic) {
                (Set::Avx2 | Set::Avx2Fma, Arithmetic::Strict) => avx2(kernel),
                (Set::Avx2 | Set::Avx2Fma, Arithmetic::Fused) => avx2_fma(kernel),
                (Set::Avx512, Arithmetic::Strict) => avx512::strict(kernel),
                (Set::Avx512, Arithmetic::Fused) => avx512::fused(kernel),
            }
        }
    }

    /// AVX-512 VNNI, if this set has it.
    pub fn vnni(self) -> Option<vnni::Vnni> {
        // SAFETY: a value of this type exists only where its instructions do.
        (self.set == Set::Avx512).then(|| unsafe { vnni::Vnni::new() })
    }

    /// Runs `kernel` as compiled for these instructions.
    pub fn run_integers<K: IntegerKernel>(self, kernel: K) -> K::Output {
        // SAFETY: as in `run`; each of these sets has AVX2.
        unsafe { avx2_integers(kernel) }
    }
}

/// Eight lanes. Made by the functions below alone, so AVX2 exists where a
/// value of this type does, and FMA where it is `FUSED`.
#[derive(Clone, Copy)]
pub(in crate::net) struct Avx2<const FUSED: bool = false>(());

impl<const FUSED: bool> Simd for Avx2<FUSED> {
    type V = __m256;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: `self` proves that AVX exists.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; 8]) -> __m256 {
        // SAFETY: as above; `from` is 8 readable f32, in any alignment.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: __m256) -> [f32; 8] {
        let mut out = [0.0; 8];
        // SAFETY: as above; `out` is 8 writable f32, in any alignment.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), v) };
        out
    }

    #[inline(always)]
    fn add_product(self, sum: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves that AVX exists, and FMA if `FUSED`.
        unsafe {
            if FUSED {
                _mm256_fmadd_ps(a, b, sum)
            } else {
                _mm256_add_ps(sum, _mm256_mul_ps(a, b))
            }
        }
    }

    #[inline(always)]
    fn product(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves that AVX exists.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn larger(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above. MAXPS gives `b` unless `a > b`.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn smaller(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above. MINPS gives `b` unless `a < b`.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn positive_or(self, x: __m256, other: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe {
            let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(x, _mm256_setzero_ps());
            _mm256_blendv_ps(other, x, positive)
        }
    }

    #[inline(always)]
    fn note_nan(self, seen: __m256, v: __m256) -> __m256 {
        // SAFETY: as above. A lane of ones is NaN and stays so.
        unsafe { _mm256_or_ps(seen, _mm256_cmp_ps::<_CMP_UNORD_Q>(v, v)) }
    }
}

#[target_feature(enable = "avx2")]
fn avx2_integers<K: IntegerKernel>(kernel: K) -> K::Output {
    kernel.run::<_, 3>(Avx2::<false>(()))
}

#[target_feature(enable = "avx2")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<_, 6, 2>(Avx2::<false>(()))
}

#[target_feature(enable = "avx2,fma")]
fn avx2_fma<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<_, 6, 2>(Avx2::<true>(()))
}

/// Register state that the operating system saves (XCR0).
#[target_feature(enable = "xsave")]
fn saved_state() -> u64 {
    // SAFETY: register 0 exists wherever XGETBV does.
    unsafe { _xgetbv(0) }
}

/// The best set of this processor: Intel SDM vol. 1, 14.3 and 15.2 say what to ask.
fn best() -> Option<Set> {
    const FMA: u32 = 1 << 12;
    const OSXSAVE: u32 = 1 << 27;
    const AVX: u32 = 1 << 28;
    const AVX2: u32 = 1 << 5;
    /// F, DQ, BW, VL of leaf 7, EBX; VNNI of ECX.
    const AVX512: u32 = 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31;
    const VNNI: u32 = 1 << 11;
    const YMM: u64 = 0b110;
    /// Masks, upper halves, upper registers.
    const ZMM: u64 = 0b1110_0000 | YMM;
    let basic = OSXSAVE | AVX;
    let first = __cpuid(1).ecx;
    if __cpuid(0).eax < 7 || first & basic != basic {
        return None;
    }
    // SAFETY: OSXSAVE says that XGETBV exists and is enabled.
    let saved = unsafe { saved_state() };
    let more = __cpuid_count(7, 0);
    if saved & YMM != YMM || more.ebx & AVX2 == 0 {
        return None;
    }
    if first & FMA == 0 {
        return Some(Set::Avx2);
    }
    if saved & ZMM == ZMM && more.ebx & AVX512 == AVX512 && more.ecx & VNNI != 0 {
        return Some(Set::Avx512);
    }
    Some(Set::Avx2Fma)
}

/// The best set of this processor, Strict.
pub(super) fn find() -> Option<X86> {
    let arithmetic = Arithmetic::Strict;
    best().map(|set| X86 { set, arithmetic })
}

/// What lies between the best set and none.
pub(super) fn below_best() -> Option<X86> {
    let arithmetic = Arithmetic::Strict;
    match best()? {
        Set::Avx2 | Set::Avx2Fma => None,
        // AVX-512 is found only where AVX2 and FMA are.
        Set::Avx512 => Some(X86 {
            set: Set::Avx2Fma,
            arithmetic,
        }),
    }
}
