//! QEMU's riscv32 `virt`: the counter of retired instructions.

use super::file::FileFlash;
use crate::board::uart::Uart;
use crate::board::{Board, FAULTED, exit};

/// RISC-V, 32 bits, IMC.
#[derive(Debug)]
pub struct Riscv32Virt(());

impl Board for Riscv32Virt {
    const NAME: &'static str = "riscv32-virt";
    const POOL: usize = 4 << 20;
    const UART: Option<Uart> = Some(Uart::Ns16550 { base: 0x1000_0000 });
    const HZ: u64 = 1_000_000_000;
    type Flash = FileFlash;

    fn new() -> Self {
        Self(())
    }

    fn ticks(&mut self) -> u32 {
        riscv::register::minstret::read() as u32
    }

    fn instructions(ticks: u64) -> u64 {
        ticks
    }

    fn flash(&mut self) -> Option<FileFlash> {
        FileFlash::open()
    }
}

/// A fault ends the program; the default handler would hang.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_frame: &riscv_rt::TrapFrame) -> ! {
    let (cause, pc) = (
        riscv::register::mcause::read(),
        riscv::register::mepc::read(),
    );
    defmt::error!("exception {=usize} at {=usize:#x}", cause.bits(), pc);
    exit(FAULTED)
}
