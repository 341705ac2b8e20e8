//! The boards. The only module of the crate in which `unsafe` is allowed: each
//! block states why it is sound.
#![allow(
    unsafe_code,
    reason = "registers, linker symbols and static memory are only reached by address"
)]

#[cfg(target_arch = "arm")]
pub mod ethos_u;
pub mod image;
pub mod pool;
pub mod stack;
pub mod uart;

#[cfg(feature = "emulator")]
mod emulated;
#[cfg(feature = "emulator")]
pub use emulated::*;

use embedded_graphics::geometry::Size;
use embedded_storage_async::nor_flash::NorFlash;
use foveola_core::Shape;
#[cfg(not(feature = "emulator"))]
use foveola_core::net::format::Aligned;
use uart::Uart;

/// A board: one of QEMU 7.2, or one to hold in the hand.
pub trait Board {
    /// QEMU's name for it, or the chip's.
    const NAME: &'static str;
    /// Bytes of memory for models, pictures, maps and arenas.
    const POOL: usize;
    /// The UART of the link; `None` where the flash has no room for it.
    const UART: Option<Uart>;
    /// Ticks of its counter in a second.
    const HZ: u64;
    /// Flash that outlives a run, for log and models; [`Absent`](crate::flash::Absent)
    /// where there is none, or no room for the program that needs it.
    type Flash: NorFlash;

    /// Takes the hardware; once, at the start.
    fn new() -> Self;

    /// A counter that wraps at 2^32 and goes on with every instruction.
    fn ticks(&mut self) -> u32;

    /// Instructions that take this many ticks; on a real board cycles of the processor.
    fn instructions(ticks: u64) -> u64;

    /// Called once before the link: starts what wakes a sleeping program now
    /// and then, and the watchdog if there is one.
    fn start_link(&mut self) {}

    /// The flash; once, at the start.
    fn flash(&mut self) -> Option<Self::Flash> {
        None
    }

    /// Tells the watchdog that the program is alive. Only the program's own
    /// loop calls it, never an interrupt.
    fn feed(&mut self) {}

    /// Size of its panel in pixels; none by default.
    fn panel(&self) -> Option<Size> {
        None
    }

    /// Shows 16 greys on its panel, row by row, two pixels a byte, the left one
    /// in the upper half.
    fn show(&mut self, _greys: &[u8]) {}

    /// Fills a picture of this shape, HWC pixels, from a camera; whether there is one.
    fn take_frame(&mut self, _shape: Shape, _out: &mut [u8]) -> bool {
        false
    }
}

/// Exit code of a job that ended with an error.
pub const FAILED: usize = 1;
/// Exit code of a panic.
pub const PANICKED: usize = 3;
/// Exit code of a fault of the processor.
pub const FAULTED: usize = 4;

/// Ends the emulation. A real board stops until its watchdog, if it has one, starts it anew.
pub fn exit(code: usize) -> ! {
    #[cfg(feature = "emulator")]
    emulated::exit(code);
    #[cfg(not(feature = "emulator"))]
    defmt::error!("stopped with code {=usize}", code);
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let line = info.location().map_or(0, core::panic::Location::line);
    defmt::error!("panic in line {=u32}", line);
    exit(PANICKED)
}

/// A fault ends the program; the default handler would hang.
#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    defmt::error!("hard fault at {=u32:#x}", frame.pc());
    exit(FAULTED)
}

/// Every interrupt that has no handler of its own: the UART's.
#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn DefaultHandler(_number: i16) {
    uart::interrupt();
}

/// The model that is linked into the program.
#[cfg(not(feature = "emulator"))]
pub fn linked_model() -> &'static [u8] {
    static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("FOVEOLA_MODEL_PATH")));
    &MODEL.0
}

/// The entry point of a board's program: its type, and the attribute of the function
/// that its run-time library calls.
#[macro_export]
macro_rules! board_program {
    ($board:ty, $entry:path) => {
        #[$entry]
        fn main() -> ! {
            use $crate::board::{Board, pool::Reserved};
            #[unsafe(link_section = ".uninit.pool")]
            static POOL: Reserved<{ <$board>::POOL }> = Reserved::new();
            $crate::program::main::<$board>(POOL.take(), $crate::board::linked_model())
        }
    };
}
