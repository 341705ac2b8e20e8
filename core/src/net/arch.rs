//! Which instruction sets may be used. The only module of the crate in which
//! `unsafe` is allowed: each block states why it is sound.
#![allow(
    unsafe_code,
    reason = "a function compiled for an instruction set may only be called where that set exists"
)]

#[cfg(foveola_dsp)]
pub(super) mod dsp;
#[cfg(foveola_helium)]
pub(super) mod helium;
pub(super) mod int8;
pub(super) mod products;

use int8::IntegerKernel;

/// Permission to use an instruction set. `core` cannot find out by itself
/// what an operating system allows, so whoever runs a session passes it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Level);

/// Levels other than `Portable` come from [`Isa::detect`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    /// Integers only.
    #[cfg(foveola_dsp)]
    Dsp(dsp::Dsp),
    /// Integers and their making only.
    #[cfg(foveola_helium)]
    Helium(helium::Helium),
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

/// Eight f32 at once, rounded one by one as scalars are. A value of such a type
/// is the proof that its instructions exist, so its methods are safe.
pub(super) trait Simd: Copy {
    /// Eight f32.
    type V: Copy;

    fn splat(self, x: f32) -> Self::V;
    fn load(self, from: &[f32; 8]) -> Self::V;
    fn store(self, v: Self::V) -> [f32; 8];

    /// `sum + a * b`, the product rounded before it is added.
    fn add_product(self, sum: Self::V, a: Self::V, b: Self::V) -> Self::V;

    fn product(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a > b ? a : b`
    fn larger(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a < b ? a : b`
    fn smaller(self, a: Self::V, b: Self::V) -> Self::V;

    /// `x > 0 ? x : other`
    fn positive_or(self, x: Self::V, other: Self::V) -> Self::V;

    /// NaN where `v` is NaN, else `seen`.
    fn note_nan(self, seen: Self::V, v: Self::V) -> Self::V;
}

/// What every machine has.
#[derive(Clone, Copy)]
pub(super) struct Scalar;

impl Scalar {
    #[inline(always)]
    fn zip(mut a: [f32; 8], b: [f32; 8], f: impl Fn(f32, f32) -> f32) -> [f32; 8] {
        for (a, b) in a.iter_mut().zip(b) {
            *a = f(*a, b);
        }
        a
    }
}

impl Simd for Scalar {
    type V = [f32; 8];

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; 8] {
        [x; 8]
    }

    #[inline(always)]
    fn load(self, from: &[f32; 8]) -> [f32; 8] {
        *from
    }

    #[inline(always)]
    fn store(self, v: [f32; 8]) -> [f32; 8] {
        v
    }

    #[inline(always)]
    fn add_product(self, mut sum: [f32; 8], a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
        sum
    }

    #[inline(always)]
    fn product(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        Self::zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn larger(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        Self::zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn smaller(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        Self::zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn positive_or(self, x: [f32; 8], other: [f32; 8]) -> [f32; 8] {
        Self::zip(x, other, |x, other| if x > 0.0 { x } else { other })
    }

    #[inline(always)]
    fn note_nan(self, seen: [f32; 8], v: [f32; 8]) -> [f32; 8] {
        Self::zip(seen, v, |seen, v| if v.is_nan() { v } else { seen })
    }
}

/// A computation written once in safe code and compiled once for each
/// instruction set. `run` and all that it calls in its inner loops must be
/// `#[inline(always)]`, else vectors travel through memory.
///
/// `P` pixels times `B` blocks of 8 channels is the largest tile of
/// accumulators that stays in registers.
pub(super) trait Kernel {
    type Output;
    fn run<S: Simd, const P: usize, const B: usize>(self, simd: S) -> Self::Output;
}

impl Isa {
    /// What every machine has.
    pub const fn portable() -> Self {
        Self(Level::Portable)
    }

    /// The best that this processor and its operating system offer.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        let level = x86::level();
        #[cfg(foveola_dsp)]
        let level = dsp::find().map_or(Level::Portable, Level::Dsp);
        #[cfg(foveola_helium)]
        let level = helium::find().map_or(level, Level::Helium);
        #[cfg(not(any(target_arch = "x86_64", foveola_dsp)))]
        let level = Level::Portable;
        Self(level)
    }

    /// Runs `kernel` as compiled for this instruction set.
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Level::Portable => kernel.run::<_, 2, 1>(Scalar),
            #[cfg(foveola_dsp)]
            Level::Dsp(_) => kernel.run::<_, 2, 1>(Scalar),
            #[cfg(foveola_helium)]
            Level::Helium(_) => kernel.run::<_, 2, 1>(Scalar),
            // SAFETY: only `x86::level` makes `Avx2`, after it found that the
            // processor has AVX2 and the operating system saves its registers.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::avx2(kernel) },
        }
    }

    /// Runs `kernel` as compiled for this instruction set.
    pub(super) fn run_integers<K: IntegerKernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Level::Portable => kernel.run::<_, 2>(Scalar),
            #[cfg(foveola_dsp)]
            Level::Dsp(_) => kernel.run::<_, 2>(Scalar),
            #[cfg(foveola_helium)]
            Level::Helium(_) => kernel.run::<_, 2>(Scalar),
            // SAFETY: as in `run`.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::avx2_integers(kernel) },
        }
    }

    /// Whether this instruction set has vectors.
    pub(super) fn has_vectors(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Level::Avx2;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// The DSP extension, if it may be used.
    #[cfg(foveola_dsp)]
    pub(super) fn dsp(self) -> Option<dsp::Dsp> {
        match self.0 {
            Level::Dsp(dsp) => Some(dsp),
            #[cfg(foveola_helium)]
            Level::Helium(helium) => Some(helium.dsp()),
            Level::Portable => None,
        }
    }

    /// Helium, if it may be used.
    #[cfg(foveola_helium)]
    pub(super) fn helium(self) -> Option<helium::Helium> {
        match self.0 {
            Level::Helium(helium) => Some(helium),
            _ => None,
        }
    }

    /// Every instruction set that this machine can run.
    #[cfg(test)]
    pub(super) fn every() -> impl Iterator<Item = Self> {
        let best = Self::detect();
        let portable = Self::portable();
        [portable, best]
            .into_iter()
            .take(if best == portable { 1 } else { 2 })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{IntegerKernel, Kernel, Level, Simd};
    use core::arch::x86_64::{
        __cpuid, __cpuid_count, __m256, _CMP_GT_OQ, _CMP_UNORD_Q, _mm256_add_ps, _mm256_blendv_ps,
        _mm256_cmp_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_or_ps,
        _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _xgetbv,
    };

    /// Made by [`avx2`] alone, so AVX2 exists where a value of this type does.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(());

    impl Simd for Avx2 {
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
            // SAFETY: `self` proves that AVX exists.
            unsafe { _mm256_add_ps(sum, _mm256_mul_ps(a, b)) }
        }

        #[inline(always)]
        fn product(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: as above.
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
    pub(super) fn avx2_integers<K: IntegerKernel>(kernel: K) -> K::Output {
        kernel.run::<_, 3>(Avx2(()))
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<_, 6, 2>(Avx2(()))
    }

    /// Register state that the operating system saves (XCR0).
    #[target_feature(enable = "xsave")]
    fn saved_state() -> u64 {
        // SAFETY: register 0 exists wherever XGETBV does.
        unsafe { _xgetbv(0) }
    }

    /// Intel SDM vol. 1, 14.3: what to ask before AVX2 is used.
    pub(super) fn level() -> Level {
        const OSXSAVE: u32 = 1 << 27;
        const AVX: u32 = 1 << 28;
        const AVX2: u32 = 1 << 5;
        const YMM: u64 = 0b110;
        let basic = OSXSAVE | AVX;
        if __cpuid(0).eax < 7 || __cpuid(1).ecx & basic != basic {
            return Level::Portable;
        }
        // SAFETY: OSXSAVE says that XGETBV exists and is enabled.
        let saved = unsafe { saved_state() };
        if saved & YMM == YMM && __cpuid_count(7, 0).ebx & AVX2 != 0 {
            Level::Avx2
        } else {
            Level::Portable
        }
    }
}
