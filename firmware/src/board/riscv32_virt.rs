//! QEMU's riscv32 `virt`: the counter of retired instructions.

use super::Board;

/// RISC-V, 32 bits, IMC.
#[derive(Debug)]
pub struct Riscv32Virt(());

impl Board for Riscv32Virt {
    const NAME: &'static str = "riscv32-virt";
    const POOL: usize = 4 << 20;

    fn new() -> Self {
        Self(())
    }

    fn ticks(&mut self) -> u32 {
        riscv::register::minstret::read() as u32
    }

    fn instructions(ticks: u64) -> u64 {
        ticks
    }
}
