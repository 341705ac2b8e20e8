//! The registers of a real Ethos-U, for the driver of
//! [`foveola_core::accelerator::ethos_u`]. No emulated board has one.

use core::arch::asm;
use core::ptr::NonNull;

use foveola_core::accelerator::ethos_u::{Lent, Registers};

/// Registers in memory, and how the processor's addresses look to the NPU.
#[derive(Debug)]
pub struct Mapped {
    base: NonNull<u32>,
    alias: fn(usize) -> u64,
}

impl Mapped {
    /// The registers from `base` on; `alias` maps an address of the processor to
    /// the NPU's (`|a| a as u64` where both see memory in the same place; tightly
    /// coupled memory often lies elsewhere for the NPU).
    ///
    /// # Safety
    /// At `base` lie the 4 KiB of an Ethos-U55's or U65's registers as long as the
    /// value lives, and nobody else uses them. `alias` is right. The memory that
    /// the driver lends is not cached, or coherent with the NPU.
    pub const unsafe fn new(base: NonNull<u32>, alias: fn(usize) -> u64) -> Self {
        Self { base, alias }
    }

    /// The register at an offset, which the driver takes from a list below 4 KiB.
    const fn at(&self, offset: u32) -> *mut u32 {
        let offset = (offset & 0xFFC) as usize;
        self.base.as_ptr().wrapping_byte_add(offset)
    }
}

impl Registers for Mapped {
    fn read(&mut self, offset: u32) -> u32 {
        // SAFETY: a register by the contract of `new`, aligned to 4 by the mask
        // of `at` and because the block is.
        unsafe { self.at(offset).read_volatile() }
    }

    fn write(&mut self, offset: u32, value: u32) {
        // SAFETY: what was written to lent memory before is there when the NPU
        // starts: the barrier waits for it.
        unsafe { asm!("dsb", options(nostack, preserves_flags)) }
        // SAFETY: as in `read`. The NPU touches only what the driver lends it.
        unsafe { self.at(offset).write_volatile(value) }
    }

    fn wait(&mut self, lent: &mut Lent<'_>) {
        // SAFETY: a barrier that takes the addresses of the lent memory, so that
        // the compiler knows that it may change here; the memory is the NPU's
        // until this returns, and all of it stays initialised.
        unsafe {
            asm!(
                "dsb",
                in("r0") lent.scratch.as_mut_ptr(),
                in("r1") lent.fast.as_mut_ptr(),
                options(nostack, preserves_flags)
            );
        }
    }

    fn address(&self, address: usize) -> u64 {
        (self.alias)(address)
    }
}
