//! The boards that QEMU emulates, and what only an emulator offers.

mod file;
mod linked;
#[cfg(target_arch = "arm")]
mod mps;
#[cfg(target_arch = "riscv32")]
mod riscv32_virt;
#[cfg(target_arch = "arm")]
mod stellaris;
#[cfg(target_arch = "arm")]
mod stm32;
#[cfg(target_arch = "arm")]
mod watchdog;

#[cfg(target_arch = "arm")]
pub use mps::{Mps2An386, Mps2An500, Mps2An505, Mps3An547};
#[cfg(target_arch = "riscv32")]
pub use riscv32_virt::Riscv32Virt;
#[cfg(target_arch = "arm")]
pub use stellaris::Lm3s6965Evb;
#[cfg(target_arch = "arm")]
pub use stm32::NetduinoPlus2;

pub use linked::linked_model;
pub(super) use linked::section;
use semihosting::sys::arm_compat::{ExitReason, sys_exit_extended};

/// Ends the emulation.
pub(super) fn exit(code: usize) {
    sys_exit_extended(ExitReason::ADP_Stopped_ApplicationExit, code);
}
