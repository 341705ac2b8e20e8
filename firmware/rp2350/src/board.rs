//! RP2350 (Cortex-M33, 150 MHz), as on a Raspberry Pi Pico 2: the link on UART0,
//! pins GP0 (sends) and GP1 (receives).
#![allow(
    unsafe_code,
    reason = "a section by name, and registers that interrupt and program share"
)]

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, Peripherals as Core};
use foveola_firmware::board::uart::{Driver, Uart};
use foveola_firmware::board::{Board, FAILED, exit};
use foveola_firmware::flash::Absent;
use fugit::{ExtU32, RateExtU32};
use rp235x_hal::block::ImageDef;
use rp235x_hal::clocks::init_clocks_and_plls;
use rp235x_hal::gpio::Pins;
use rp235x_hal::pac::{Interrupt, Peripherals, UART0};
use rp235x_hal::timer::{CopyableTimer1, Timer};
use rp235x_hal::uart::{DataBits, StopBits, UartConfig, UartPeripheral};
use rp235x_hal::{Clock, Sio, Watchdog};

/// What the boot ROM looks for: a program in the secure state of the Arm cores.
#[unsafe(link_section = ".start_block")]
#[used]
pub static IMAGE: ImageDef = ImageDef::secure_exe();

/// Hertz of the crystal.
const CRYSTAL: u32 = 12_000_000;

/// Baud of the link; `foveola device` speaks at the same rate unless told otherwise.
const BAUD: u32 = 115_200;

/// Milliseconds after which the watchdog resets the chip, the longest that it can
/// wait. It is fed after every node of a pass.
const PATIENCE: u32 = 8_000;

/// The chip.
pub struct Rp2350 {
    timer: Timer<CopyableTimer1>,
    watchdog: Watchdog,
}

impl Board for Rp2350 {
    const NAME: &'static str = "rp2350";
    /// Of 520 KB; the rest is the stack, the line's queue and the log's.
    const POOL: usize = 492 << 10;
    const UART: Option<Uart> = Some(Uart::Driver(&Uart0));
    /// Of clk_sys, which the timer counts.
    const HZ: u64 = 150_000_000;
    /// None that a program may write yet: the log lies in RAM, models end with the power.
    type Flash = Absent;

    fn new() -> Self {
        start().unwrap_or_else(|| exit(FAILED))
    }

    /// Goes on while the core sleeps, unlike the core's own counter.
    fn ticks(&mut self) -> u32 {
        self.timer.get_counter_low()
    }

    fn instructions(ticks: u64) -> u64 {
        ticks
    }

    fn start_link(&mut self) {
        self.watchdog.start(PATIENCE.millis());
        if let Some(core) = Core::take() {
            let mut timer = core.SYST;
            timer.set_clock_source(SystClkSource::Core);
            timer.set_reload((1 << 24) - 1);
            timer.clear_current();
            timer.enable_interrupt();
            timer.enable_counter();
        }
    }

    fn feed(&mut self) {
        self.watchdog.feed();
    }
}

/// Wakes the sleeping program nine times a second, so that it feeds the watchdog.
#[cortex_m_rt::exception]
fn SysTick() {}

/// Clocks, the counter, and the UART with its pins; `None` if the crystal fails.
fn start() -> Option<Rp2350> {
    let mut chip = Peripherals::take()?;
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let clocks = init_clocks_and_plls(
        CRYSTAL,
        chip.XOSC,
        chip.CLOCKS,
        chip.PLL_SYS,
        chip.PLL_USB,
        &mut chip.RESETS,
        &mut watchdog,
    )
    .ok()?;
    let timer = Timer::new_timer1(chip.TIMER1, &mut chip.RESETS, &clocks);
    // SAFETY: the timer's other registers are read alone, and `timer` has none of its own.
    let registers = unsafe { rp235x_hal::pac::TIMER1::steal() };
    registers.source().write(|w| w.clk_sys().clk_sys());
    let sio = Sio::new(chip.SIO);
    let bank = sio.gpio_bank0;
    let pins = Pins::new(chip.IO_BANK0, chip.PADS_BANK0, bank, &mut chip.RESETS);
    let pins = (pins.gpio0.into_function(), pins.gpio1.into_function());
    let config = UartConfig::new(BAUD.Hz(), DataBits::Eight, None, StopBits::One);
    UartPeripheral::new(chip.UART0, pins, &mut chip.RESETS)
        .enable(config, clocks.peripheral_clock.freq())
        .ok()?;
    Some(Rp2350 { timer, watchdog })
}

/// UART0, a PL011 with a queue of 32 bytes.
struct Uart0;

impl Uart0 {
    fn registers() -> UART0 {
        // SAFETY: after `start` only the line's own functions use this UART, one
        // at a time: those that take bytes run with interrupts disabled, and only
        // the program sends.
        unsafe { UART0::steal() }
    }
}

impl Driver for Uart0 {
    /// The interrupt of its reception has no handler of its own, so the default
    /// one runs, which is the line's.
    fn start(&self) {
        let uart = Self::registers();
        uart.uartimsc()
            .write(|w| w.rxim().set_bit().rtim().set_bit());
        // SAFETY: the line is ready to be called.
        unsafe { NVIC::unmask(Interrupt::UART0_IRQ) };
    }

    fn received(&self) -> Option<u8> {
        let uart = Self::registers();
        let empty = uart.uartfr().read().rxfe().bit_is_set();
        (!empty).then(|| uart.uartdr().read().data().bits())
    }

    fn overran(&self) -> bool {
        let uart = Self::registers();
        let overran = uart.uartrsr().read().oe().bit_is_set();
        if overran {
            // Whatever is written clears it.
            uart.uartrsr().write(|w| w.oe().clear_bit_by_one());
        }
        overran
    }

    fn put(&self, byte: u8) {
        let uart = Self::registers();
        while uart.uartfr().read().txff().bit_is_set() {}
        // SAFETY: the lower eight bits are the byte to send.
        uart.uartdr().write(|w| unsafe { w.data().bits(byte) });
    }
}
