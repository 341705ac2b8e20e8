//! Netduino Plus 2, an STM32F405: TIM2, which QEMU runs at 1 GHz. Divided by
//! 256 it counts instructions under `-icount shift=8`.

use core::ptr;

use super::file::FileFlash;
use super::stellaris;
use crate::board::Board;
use crate::board::uart::Uart;

const TIM2: usize = 0x4000_0000;
const CR1: usize = TIM2;
const CNT: usize = TIM2 + 0x24;
const PSC: usize = TIM2 + 0x28;

/// Netduino Plus 2: Cortex-M4F, 192 KB of RAM.
#[derive(Debug)]
pub struct NetduinoPlus2(());

impl Board for NetduinoPlus2 {
    const NAME: &'static str = "netduinoplus2";
    const POOL: usize = 160 << 10;
    const UART: Option<Uart> = Some(Uart::Usart {
        base: 0x4001_1000,
        interrupts: &[37],
    });
    const HZ: u64 = 1_000_000_000 / 256;
    type Flash = FileFlash;

    fn new() -> Self {
        // SAFETY: registers of TIM2, which nobody else uses.
        unsafe {
            ptr::write_volatile(ptr::with_exposed_provenance_mut(PSC), 255u32);
            ptr::write_volatile(ptr::with_exposed_provenance_mut(CR1), 1u32);
        }
        Self(())
    }

    fn ticks(&mut self) -> u32 {
        // SAFETY: the count of TIM2; reading it changes nothing.
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance(CNT)) }
    }

    fn instructions(ticks: u64) -> u64 {
        ticks
    }

    fn flash(&mut self) -> Option<FileFlash> {
        FileFlash::open()
    }

    fn start_link(&mut self) {
        stellaris::start_rounds();
    }
}
