//! ESP32-C3 (RV32IMC, 160 MHz): the link on UART0, pins GPIO21 (sends) and GPIO20
//! (receives), which development boards connect to their USB socket.

use core::cell::RefCell;

use critical_section::Mutex;
use esp_hal::clock::CpuClock;
use esp_hal::peripherals::TIMG0;
use esp_hal::time::Duration;
use esp_hal::timer::systimer::{SystemTimer, Unit};
use esp_hal::timer::timg::{MwdtStage, TimerGroup, Wdt};
use esp_hal::uart::{self, UartInterrupt};
use esp_hal::{Blocking, handler};
use foveola_firmware::board::uart::{Driver, Uart, interrupt};
use foveola_firmware::board::{Board, FAILED, exit};
use foveola_firmware::flash::Absent;

/// Baud of the link; `foveola device` speaks at the same rate unless told otherwise.
const BAUD: u32 = 115_200;

/// Seconds after which the watchdog resets the chip. It is fed after every node of
/// a pass.
const PATIENCE: u64 = 60;

/// Cycles of the processor (160 MHz) in a tick of the counter (16 MHz).
const CYCLES: u64 = 10;

/// The chip.
pub struct Esp32C3 {
    watchdog: Wdt<TIMG0<'static>>,
}

impl Board for Esp32C3 {
    const NAME: &'static str = "esp32c3";
    /// Of 313 KB; the rest is code that runs from RAM, data and the stack.
    const POOL: usize = 280 << 10;
    const UART: Option<Uart> = Some(Uart::Driver(&Uart0));
    const HZ: u64 = 16_000_000;
    /// None that a program may write yet: the log lies in RAM, models end with the power.
    type Flash = Absent;

    fn new() -> Self {
        start().unwrap_or_else(|| exit(FAILED))
    }

    fn ticks(&mut self) -> u32 {
        SystemTimer::unit_value(Unit::Unit0) as u32
    }

    fn instructions(ticks: u64) -> u64 {
        ticks * CYCLES
    }

    fn start_link(&mut self) {
        let patience = Duration::from_secs(PATIENCE);
        self.watchdog.set_timeout(MwdtStage::Stage0, patience);
        self.watchdog.enable();
    }

    fn feed(&mut self) {
        self.watchdog.feed();
    }
}

/// Clocks, the watchdog, and the UART with its pins; `None` if its driver will not.
fn start() -> Option<Esp32C3> {
    let config = esp_hal::Config::default().with_cpu_clock(CpuClock::max());
    let chip = esp_hal::init(config);
    let half = uart::RxConfig::default().with_fifo_full_threshold(64);
    let config = uart::Config::default().with_baudrate(BAUD).with_rx(half);
    let uart = uart::Uart::new(chip.UART0, config).ok()?;
    let uart = uart.with_tx(chip.GPIO21).with_rx(chip.GPIO20);
    critical_section::with(|cs| LINE.borrow_ref_mut(cs).replace(uart));
    let watchdog = TimerGroup::new(chip.TIMG0).wdt;
    Some(Esp32C3 { watchdog })
}

/// What interrupt and program share.
static LINE: Mutex<RefCell<Option<uart::Uart<'static, Blocking>>>> = Mutex::new(RefCell::new(None));

/// UART0, which queues 128 bytes.
struct Uart0;

fn with<T>(then: impl FnOnce(&mut uart::Uart<'static, Blocking>) -> T) -> Option<T> {
    critical_section::with(|cs| LINE.borrow_ref_mut(cs).as_mut().map(then))
}

#[handler]
fn bytes_came() {
    with(|uart| uart.clear_interrupts(UartInterrupt::RxFifoFull | UartInterrupt::RxTimeout));
    interrupt();
}

impl Driver for Uart0 {
    fn start(&self) {
        with(|uart| {
            uart.set_interrupt_handler(bytes_came);
            uart.listen(UartInterrupt::RxFifoFull | UartInterrupt::RxTimeout);
        });
    }

    fn received(&self) -> Option<u8> {
        let mut byte = [0];
        // An error was told of by `overran`; the byte behind it comes next time.
        let count = with(|uart| uart.read_buffered(&mut byte).unwrap_or(0))?;
        (count == 1).then_some(byte[0])
    }

    fn overran(&self) -> bool {
        with(|uart| uart.check_for_rx_errors().is_err()).unwrap_or(false)
    }

    fn put(&self, byte: u8) {
        // Waits while the queue is full: 87 microseconds at most, in which fewer
        // bytes come than the other queue holds.
        with(|uart| uart.write(&[byte]));
    }
}
