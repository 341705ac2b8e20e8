//! Arm's MPS2 and MPS3 boards: the FPGA's cycle counter, which under
//! `-icount shift=8` goes on 256 ns with every instruction.

use core::ptr;

use super::file::FileFlash;
use super::{stellaris, watchdog};
use crate::board::Board;
use crate::board::uart::Uart;

/// UART0 of the AN386 and AN500.
const MPS2: Uart = Uart::Cmsdk {
    base: 0x4000_4000,
    interrupts: &[0],
};

/// UART0 of the AN505, by its secure address.
const AN505: Uart = Uart::Cmsdk {
    base: 0x5020_0000,
    interrupts: &[32, 33],
};

/// UART0 of the AN547.
const AN547: Uart = Uart::Cmsdk {
    base: 0x4930_3000,
    interrupts: &[33, 34],
};

macro_rules! mps {
    ($(#[$doc:meta])* $board:ident, $name:literal, $pool:expr, $counter:literal, $hz:literal, $uart:expr, $watchdog:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $board(());

        impl Board for $board {
            const NAME: &'static str = $name;
            const POOL: usize = $pool;
            const UART: Option<Uart> = Some($uart);
            const HZ: u64 = $hz;
            type Flash = FileFlash;

            fn new() -> Self {
                Self(())
            }

            fn ticks(&mut self) -> u32 {
                // SAFETY: COUNTER of this board's FPGA I/O block; reading it changes nothing.
                unsafe { ptr::read_volatile(ptr::with_exposed_provenance($counter)) }
            }

            fn instructions(ticks: u64) -> u64 {
                (ticks * (1_000_000_000 / $hz) + 128) >> 8
            }

            fn flash(&mut self) -> Option<FileFlash> {
                FileFlash::open()
            }

            fn start_link(&mut self) {
                stellaris::start_rounds();
                if $watchdog {
                    watchdog::start();
                }
            }

            fn feed(&mut self) {
                if $watchdog {
                    watchdog::feed();
                }
            }
        }
    };
}

mps!(
    /// MPS2 with AN386: Cortex-M4F.
    Mps2An386, "mps2-an386", 3 << 20, 0x4002_8018, 25_000_000, MPS2, true
);
mps!(
    /// MPS2 with AN500: Cortex-M7.
    Mps2An500, "mps2-an500", 3 << 20, 0x4002_8018, 25_000_000, MPS2, true
);
mps!(
    /// MPS2 with AN505: Cortex-M33, in its secure state.
    Mps2An505, "mps2-an505", 3 << 20, 0x5030_2018, 20_000_000, AN505, false
);
mps!(
    /// MPS3 with AN547: Cortex-M55.
    Mps3An547, "mps3-an547", 3 << 20, 0x5930_2018, 20_000_000, AN547, false
);
