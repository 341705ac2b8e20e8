//! LM3S6965 evaluation board. Its timers cannot be read in QEMU, so SysTick
//! counts the processor's clock (12.5 MHz after reset), and its exception the
//! 2^24 ticks of each round.

mod oled;

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SYST};

use embedded_graphics::geometry::Size;

use crate::board::Board;
use crate::board::uart::Uart;
use crate::flash::Absent;

const ROUND: u32 = 1 << 24;

static ROUNDS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    // Nobody else writes it, and the processor may have no compare-and-swap.
    ROUNDS.store(
        ROUNDS.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// Starts SysTick, whose exception also wakes a sleeping program.
pub fn start_rounds() {
    if let Some(mut peripherals) = Peripherals::take() {
        let timer = &mut peripherals.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(ROUND - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
    }
}

/// LM3S6965 evaluation board: Cortex-M3, 64 KB of RAM, an OLED.
pub struct Lm3s6965Evb(());

impl Board for Lm3s6965Evb {
    const NAME: &'static str = "lm3s6965evb";
    const POOL: usize = 54 << 10;
    const UART: Option<Uart> = None;
    const HZ: u64 = 12_500_000;
    type Flash = Absent;

    fn new() -> Self {
        start_rounds();
        oled::begin();
        Self(())
    }

    fn ticks(&mut self) -> u32 {
        loop {
            let rounds = ROUNDS.load(Ordering::Relaxed);
            let left = SYST::get_current();
            if ROUNDS.load(Ordering::Relaxed) == rounds {
                return rounds.wrapping_mul(ROUND).wrapping_add(ROUND - left);
            }
        }
    }

    fn instructions(ticks: u64) -> u64 {
        (ticks * 80 + 128) >> 8
    }

    fn panel(&self) -> Option<Size> {
        Some(oled::SIZE)
    }

    fn show(&mut self, greys: &[u8]) {
        oled::show(greys);
    }
}
