//! The DSP extension of Arm's microcontrollers (Cortex-M4, M7, M33, M55):
//! whole loops in assembly, since no intrinsic of it is stable.
//!
//! Two products of 16 bits are added at once (SMLAD). Four int8 are widened by
//! SXTB16 to the pairs 0, 2 and 1, 3; as both factors are, no product is
//! missed. Sums are requantised in a way that is short, and exact for the
//! factors that [`is_short`] admits.
//!
//! All blocks keep to these rules: arguments lie in a structure or in operands,
//! r6, r7 and the stack pointer are restored, and only the memory that the safe
//! function around has checked is touched. Words of int8 may lie at any address
//! (LDR allows it unless UNALIGN_TRP is set, which no start-up code does).

use crate::net::quant::Factor;

/// Lets the assembler know the extension, which rustc cannot be told about in
/// the source where it is an option. Ends with the block.
#[cfg(foveola_dsp_optional)]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(foveola_dsp_optional))]
macro_rules! cpu {
    () => {
        ""
    };
}

mod depthwise;
mod gate;
mod limit;
mod products;
mod sum;

pub(in crate::net) use depthwise::{DepthwiseFilters, LINES, TRIPLETS, Tile, View, WORDS};
pub(in crate::net) use products::{Filters, MOST, Narrow, NarrowRoom, PatchRoom, Patches};
pub(in crate::net) use sum::Addition;

/// Proof that the extension exists: only `Isa::detect` makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Dsp(());

/// Whether sums that start at `bias` and gain less than 2^28 are requantised
/// as always by this multiplier and shift in the short way.
///
/// The doubling high multiply h = (x * m + 2^30) >> 31 is SMMLAR's
/// (x * 2^32 + x * (2m - 2^32) + 2^31) >> 32, which needs 2m >= 2^31. With
/// places p = -shift, h / 2^p rounded with ties away from 0 is
/// (((h + (h >> 31)) >> (p - 1)) + 1) >> 1. For m = 0 and p = 0 a shift by
/// p - 1, read as 255, leaves the sign alone, and both signs give 0.
pub(in crate::net) fn is_short(bias: i32, multiplier: i32, shift: i8) -> bool {
    let fits = multiplier >= 1 << 30 && (-31..0).contains(&shift);
    bias.unsigned_abs() < 3 << 29 && (fits || (multiplier, shift) == (0, 0))
}

/// The extension, if this processor has it. Where it is an option, this reads
/// a register of the processor, so call it in privileged mode.
pub(super) fn find() -> Option<Dsp> {
    if cfg!(not(foveola_dsp_optional)) {
        return Some(Dsp(()));
    }
    // Armv8-M Architecture Reference Manual, ID_ISAR3: SIMD is 1 without the
    // extension, 3 with it.
    const ID_ISAR3: *const u32 = 0xE000_ED6C as *const u32;
    // SAFETY: every Armv8-M mainline processor has this register; reading it
    // has no effect.
    let features = unsafe { ID_ISAR3.read_volatile() };
    (features >> 4 & 0xF >= 3).then_some(Dsp(()))
}

/// What one channel is requantised by.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Rounding {
    /// Twice the multiplier, less 2^32.
    multiplier: i32,
    /// Places to the right, less one.
    places: u32,
}

impl Rounding {
    fn of(factor: Factor) -> Option<Self> {
        is_short(0, factor.multiplier, factor.shift).then_some(Self {
            multiplier: factor.multiplier.wrapping_shl(1),
            places: (!factor.shift as u8).into(),
        })
    }
}
