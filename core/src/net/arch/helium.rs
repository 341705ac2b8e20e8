//! Helium, the vector extension of Arm's Armv8.1-M (MVE): whole loops in
//! assembly, since no intrinsic of it is stable. Integers only, but for the
//! making of integers from f32: its f32 arithmetic flushes subnormals.
//!
//! Sums of products of int8 stay exact in i32. They are requantised as always:
//! VQRDMULH is the doubling high multiply, and with h its result and p > 0
//! places, VRSHL of h + (h >> 31), whose halves go up, is h / 2^p with halves
//! away from 0. Without places only h = 0 would be right, so shifts must be
//! negative or the multiplier 0 ([`is_right`]).
//!
//! All blocks keep to these rules: arguments lie in a structure or in operands,
//! r6, r7 and the stack pointer are restored, and only the memory that the safe
//! function around has checked is touched. Elements of 8 bits may lie at any
//! address. All vector registers count as changed; they are those of floating
//! point, which hardware saves for an interrupt together with the predicates
//! and with the length of a loop that is under way.

use super::dsp::Dsp;

/// `asm!` that knows the extension, of which rustc cannot be told in the source.
macro_rules! helium {
    ($($code:tt)*) => {
        core::arch::asm!(
            ".cpu cortex-m55",
            $($code)*
            out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _,
            out("d12") _, out("d13") _, out("d14") _, out("d15") _,
            out("lr") _,
        )
    };
}

mod depthwise;
mod patches;
mod products;
mod quantise;
mod strip;
mod sum;

pub(in crate::net) use depthwise::{Block, LANES, Line, Source};
pub(in crate::net) use patches::{Patches, Runs};
pub(in crate::net) use products::{BATCH, Constants, Filters, Pixels};
pub(in crate::net) use strip::{SLACK, STRIP, Strip};
pub(in crate::net) use sum::Addition;

/// Proof that the extension exists: only `Isa::detect` makes one. With it goes
/// the DSP extension, which it includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Helium(Dsp);

/// Whether sums with these shifts are requantised as always.
pub(in crate::net) fn is_right(multiplier: i32, shift: i8) -> bool {
    shift < 0 || (multiplier == 0 && shift == 0)
}

impl Helium {
    pub fn dsp(self) -> Dsp {
        self.0
    }

    /// Least and largest of some numbers, at least -128 and at most 127.
    pub fn extremes(self, of: &[i8]) -> [i8; 2] {
        let (mut least, mut most) = (127, -128);
        // SAFETY: the loop reads `of.len()` bytes, none if there are none.
        // `self` proves that the instructions exist.
        unsafe {
            helium!(
                "wlstp.8 lr, {n}, 3f",
                "2:",
                "vldrb.u8 q0, [{from}], #16",
                "vminv.s8 r4, q0",
                "vmaxv.s8 r8, q0",
                "letp lr, 2b",
                "3:",
                from = inout(reg) of.as_ptr() => _,
                n = in(reg) of.len(),
                inout("r4") least, inout("r8") most,
            );
        }
        [least as i8, most as i8]
    }
}

/// The extension, if this processor has it with floating point and start-up
/// code has enabled that. Reads registers of the processor, so call it in
/// privileged mode.
pub(super) fn find() -> Option<Helium> {
    const MVFR1: *const u32 = 0xE000_EF44 as *const u32;
    const CPACR: *const u32 = 0xE000_ED88 as *const u32;
    let dsp = super::dsp::find()?;
    // SAFETY: every Armv8-M mainline processor has these registers; reading
    // them has no effect.
    let (features, access) = unsafe { (MVFR1.read_volatile(), CPACR.read_volatile()) };
    // Armv8-M Architecture Reference Manual: MVFR1.MVE is 2 with floating
    // point; CPACR.CP10 and CP11 are both 3 for full access.
    let exists = features >> 8 & 0xF >= 2 && access >> 20 & 0xF == 0xF;
    exists.then_some(Helium(dsp))
}
