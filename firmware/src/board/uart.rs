//! The UARTs of the boards: bytes are taken by interrupt into a queue, so
//! that none is lost while a pass runs; they are sent one by one.

use core::cell::{Cell, RefCell};
use core::ptr;

use critical_section::Mutex;
use heapless::Deque;

/// Bytes that may wait: the longest frame of the link, and then some. A host
/// waits for the reply to one frame before it sends the next.
const WAITING: usize = 1024;

/// A UART that a board brings along.
pub trait Driver: Sync {
    /// Starts reception. Where bytes come by interrupt, the interrupt calls [`interrupt`].
    fn start(&self);

    /// The byte that has come, if one has.
    fn received(&self) -> Option<u8>;

    /// Whether the hardware lost a byte since the last call.
    fn overran(&self) -> bool;

    /// Sends a byte; returns when the hardware has taken it.
    fn put(&self, byte: u8);
}

/// A UART, by what it is and where.
#[derive(Clone, Copy)]
pub enum Uart {
    /// Arm's CMSDK APB UART.
    Cmsdk {
        /// First register.
        base: usize,
        /// Interrupts of reception; those of sending are not enabled.
        interrupts: &'static [usize],
    },
    /// STM32F2 and F4.
    Usart {
        /// First register.
        base: usize,
        /// Interrupt.
        interrupts: &'static [usize],
    },
    /// 16550; asked whenever the program looks for bytes, without interrupts.
    Ns16550 {
        /// First register.
        base: usize,
    },
    /// Any other.
    Driver(&'static dyn Driver),
}

/// What the interrupt and the program share.
struct Reception {
    waiting: RefCell<Deque<u8, WAITING>>,
    lost: Cell<u32>,
}

/// Beside the queue, which is all zeros at the start and so takes no flash.
static UART: Mutex<Cell<Option<Uart>>> = Mutex::new(Cell::new(None));

type Handler = Mutex<Cell<Option<fn()>>>;

/// What an interrupt does. The queue is part of no program that does not start a UART.
static HANDLER: Handler = Mutex::new(Cell::new(None));

static RECEPTION: Mutex<Reception> = Mutex::new(Reception {
    waiting: RefCell::new(Deque::new()),
    lost: Cell::new(0),
});

fn peek(address: usize) -> u32 {
    // SAFETY: a register of the board's UART, which only this module reaches.
    unsafe { ptr::read_volatile(ptr::with_exposed_provenance(address)) }
}

fn poke(address: usize, value: u32) {
    // SAFETY: a register of the board's UART, its clock or its interrupt,
    // which only this module reaches; none of them touches memory.
    unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(address), value) }
}

fn peek8(address: usize) -> u8 {
    // SAFETY: as `peek`; the registers of a 16550 are bytes.
    unsafe { ptr::read_volatile(ptr::with_exposed_provenance(address)) }
}

fn poke8(address: usize, value: u8) {
    // SAFETY: as `poke`.
    unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(address), value) }
}

impl Uart {
    /// Starts reception.
    pub fn start(self) {
        critical_section::with(|cs| {
            UART.borrow(cs).set(Some(self));
            HANDLER.borrow(cs).set(Some(collect));
        });
        match self {
            Self::Cmsdk { base, .. } => {
                poke(base + 0x10, 16); // BAUDDIV
                poke(base + 0x08, 0b1011); // CTRL: send, receive, interrupt of reception
            }
            Self::Usart { base, .. } => {
                poke(0x4002_3844, 0x10); // RCC_APB2ENR: clock of USART1
                poke(base + 0x08, 139); // BRR: 115,200 baud at 16 MHz
                poke(base + 0x0c, 0x202c); // CR1: on, interrupt of reception, send, receive
            }
            Self::Ns16550 { base } => poke8(base + 2, 1), // FCR: FIFOs
            Self::Driver(driver) => driver.start(),
        }
        for number in self.interrupts() {
            poke(0xe000_e100 + number / 32 * 4, 1 << (number % 32)); // NVIC_ISER
        }
    }

    const fn interrupts(self) -> &'static [usize] {
        match self {
            Self::Cmsdk { interrupts, .. } | Self::Usart { interrupts, .. } => interrupts,
            Self::Ns16550 { .. } | Self::Driver(_) => &[],
        }
    }

    /// The byte that has come, if one has.
    fn received(self) -> Option<u8> {
        let (there, data) = match self {
            Self::Cmsdk { base, .. } => (peek(base + 4) & 2 != 0, base),
            Self::Usart { base, .. } => (peek(base) & 0x20 != 0, base + 4),
            Self::Ns16550 { base } => return (peek8(base + 5) & 1 != 0).then(|| peek8(base)),
            Self::Driver(driver) => return driver.received(),
        };
        there.then(|| peek(data) as u8)
    }

    /// Whether the hardware lost a byte since the last call.
    fn overran(self) -> bool {
        match self {
            Self::Cmsdk { base, .. } => {
                let overran = peek(base + 4) & 8 != 0;
                poke(base + 4, 8);
                poke(base + 0x0c, 0b1010); // INTCLEAR: reception, its overrun
                overran
            }
            Self::Usart { base, .. } => peek(base) & 8 != 0, // cleared by reading SR, then DR
            Self::Ns16550 { base } => peek8(base + 5) & 2 != 0,
            Self::Driver(driver) => driver.overran(),
        }
    }

    fn put(self, byte: u8) {
        match self {
            Self::Cmsdk { base, .. } => {
                while peek(base + 4) & 1 != 0 {}
                poke(base, byte.into());
            }
            Self::Usart { base, .. } => {
                while peek(base) & 0x80 == 0 {}
                poke(base + 4, byte.into());
            }
            Self::Ns16550 { base } => {
                while peek8(base + 5) & 0x20 == 0 {}
                poke8(base, byte);
            }
            Self::Driver(driver) => driver.put(byte),
        }
    }
}

/// Takes what the hardware has.
fn collect() {
    critical_section::with(|cs| {
        let reception = RECEPTION.borrow(cs);
        let waiting = reception.waiting.try_borrow_mut();
        let (Some(uart), Ok(mut waiting)) = (UART.borrow(cs).get(), waiting) else {
            return;
        };
        let mut lost = u32::from(uart.overran());
        while let Some(byte) = uart.received() {
            lost += u32::from(waiting.push_back(byte).is_err());
        }
        reception.lost.set(reception.lost.get().wrapping_add(lost));
    });
}

/// What the interrupt of a UART does.
pub fn interrupt() {
    if let Some(handler) = critical_section::with(|cs| HANDLER.borrow(cs).get()) {
        handler();
    }
}

fn next() -> Option<u8> {
    critical_section::with(|cs| {
        let mut waiting = RECEPTION.borrow(cs).waiting.try_borrow_mut().ok()?;
        waiting.pop_front()
    })
}

/// The next byte that came.
pub fn read() -> Option<u8> {
    next().or_else(|| {
        // Nothing waits: a UART without interrupts is asked now.
        collect();
        next()
    })
}

/// Sends bytes; returns when the last one has been taken.
pub fn write(bytes: &[u8]) {
    let uart = critical_section::with(|cs| UART.borrow(cs).get());
    if let Some(uart) = uart {
        bytes.iter().for_each(|byte| uart.put(*byte));
    }
}

/// Bytes that were lost: the hardware or the queue was full.
pub fn lost() -> u32 {
    critical_section::with(|cs| RECEPTION.borrow(cs).lost.get())
}

/// Sleeps until an interrupt, unless a byte waits. A byte that comes between
/// the look and the sleep ends the sleep: its interrupt is pending.
#[cfg(target_arch = "arm")]
pub fn sleep() {
    cortex_m::interrupt::disable();
    let idle = critical_section::with(|cs| {
        let waiting = RECEPTION.borrow(cs).waiting.try_borrow();
        waiting.is_ok_and(|queue| queue.is_empty())
    });
    if idle {
        cortex_m::asm::wfi();
    }
    // SAFETY: they were enabled before, and no critical section is open.
    unsafe { cortex_m::interrupt::enable() };
}

/// There is no interrupt that could end a sleep.
#[cfg(target_arch = "riscv32")]
pub fn sleep() {}
