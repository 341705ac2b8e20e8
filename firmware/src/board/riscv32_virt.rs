//! QEMU's riscv32 `virt`: the counter of retired instructions.

use super::Board;
use super::uart::Uart;

/// RISC-V, 32 bits, IMC.
#[derive(Debug)]
pub struct Riscv32Virt(());

impl Board for Riscv32Virt {
    const NAME: &'static str = "riscv32-virt";
    const POOL: usize = 4 << 20;
    const UART: Option<Uart> = Some(Uart::Ns16550 { base: 0x1000_0000 });
    const HZ: u64 = 1_000_000_000;

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
