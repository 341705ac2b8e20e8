//! Which instruction sets may be used. The only module of the crate in which
//! `unsafe` is allowed: each block states why it is sound.
#![allow(
    unsafe_code,
    reason = "a function compiled for an instruction set may only be called where that set exists"
)]

/// Permission to use an instruction set. `core` cannot find out by itself
/// what an operating system allows, so whoever runs a session passes it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Level);

/// Variants other than `Portable` are made by [`Isa::detect`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// A computation written once in safe code and compiled once for each
/// instruction set. `run` and all that it calls in its inner loops must be
/// `#[inline(always)]`, else they keep the portable instructions.
///
/// `P` pixels times `B` blocks of 8 channels is the largest tile of
/// accumulators that stays in registers.
pub(super) trait Kernel {
    type Output;
    fn run<const P: usize, const B: usize>(self) -> Self::Output;
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
        #[cfg(not(target_arch = "x86_64"))]
        let level = Level::Portable;
        Self(level)
    }

    /// Runs `kernel` as compiled for this instruction set.
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Level::Portable => kernel.run::<2, 1>(),
            // SAFETY: only `x86::level` makes `Avx2`, after it found that the
            // processor has AVX2 and the operating system saves its registers.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::avx2(kernel) },
            // SAFETY: as above, with AVX-512F.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::avx512(kernel) },
        }
    }

    /// Every instruction set that this machine can run.
    #[cfg(test)]
    pub(super) fn every() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let all = match x86::level() {
            Level::Portable => 1,
            Level::Avx2 => 2,
            Level::Avx512 => 3,
        };
        #[cfg(target_arch = "x86_64")]
        let levels = [Level::Portable, Level::Avx2, Level::Avx512];
        #[cfg(not(target_arch = "x86_64"))]
        let (all, levels) = (1, [Level::Portable]);
        levels.into_iter().take(all).map(Self)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Kernel, Level};
    use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<6, 2>()
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<6, 4>()
    }

    /// Register state that the operating system saves (XCR0).
    #[target_feature(enable = "xsave")]
    fn saved_state() -> u64 {
        // SAFETY: register 0 exists wherever XGETBV does.
        unsafe { _xgetbv(0) }
    }

    /// Intel SDM vol. 1, 14.3 and 15.2: what to ask before AVX2 and AVX-512F.
    pub(super) fn level() -> Level {
        const OSXSAVE: u32 = 1 << 27;
        const AVX2: u32 = 1 << 5;
        const AVX512F: u32 = 1 << 16;
        const YMM: u64 = 0b110;
        const ZMM: u64 = 0b1110_0110;
        if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 {
            return Level::Portable;
        }
        // SAFETY: OSXSAVE says that XGETBV exists and is enabled.
        let saved = unsafe { saved_state() };
        let features = __cpuid_count(7, 0).ebx;
        if saved & YMM != YMM || features & AVX2 == 0 {
            Level::Portable
        } else if saved & ZMM != ZMM || features & AVX512F == 0 {
            Level::Avx2
        } else {
            Level::Avx512
        }
    }
}
