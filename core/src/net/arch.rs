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
#[cfg(target_arch = "x86_64")]
pub(super) mod wide;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

use int8::IntegerKernel;
#[cfg(target_arch = "x86_64")]
use wide::Wide;

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
    X86(x86::X86),
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

    /// As `run`, where there are vectors of 16.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn run_wide<W: Wide>(self, wide: W) -> Self::Output
    where
        Self: Sized,
    {
        self.run::<_, 6, 2>(wide)
    }
}

impl Isa {
    /// What every machine has.
    pub const fn portable() -> Self {
        Self(Level::Portable)
    }

    /// The best that this processor and its operating system offer.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        let level = x86::find().map_or(Level::Portable, Level::X86);
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
            #[cfg(target_arch = "x86_64")]
            Level::X86(x86) => x86.run(kernel),
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
            #[cfg(target_arch = "x86_64")]
            Level::X86(x86) => x86.run_integers(kernel),
        }
    }

    /// Whether this instruction set has vectors.
    pub(super) fn has_vectors(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return matches!(self.0, Level::X86(_));
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// AVX-512 VNNI, if it may be used.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn vnni(self) -> Option<x86::vnni::Vnni> {
        match self.0 {
            Level::X86(x86) => x86.vnni(),
            Level::Portable => None,
        }
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

    /// The same instruction set with f32 products that are not rounded before
    /// they are added, where it has them: faster, and within rounding errors of
    /// Strict, but other bits. Integers stay as they are.
    #[must_use]
    pub const fn fused(self) -> Self {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::X86(x86) => Self(Level::X86(x86.fused())),
            _ => self,
        }
    }

    /// Whether f32 products are rounded before they are added: the same bits
    /// on every machine.
    pub const fn is_strict(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::X86(x86) => !x86.is_fused(),
            _ => true,
        }
    }

    /// Every instruction set that this machine can run, Strict.
    pub fn every() -> impl Iterator<Item = Self> {
        let best = Self::detect();
        let portable = Self::portable();
        #[cfg(target_arch = "x86_64")]
        let between = x86::below_best().map(|x86| Self(Level::X86(x86)));
        #[cfg(not(target_arch = "x86_64"))]
        let between = None;
        [
            Some(portable),
            between,
            Some(best).filter(|&best| best != portable),
        ]
        .into_iter()
        .flatten()
    }
}
