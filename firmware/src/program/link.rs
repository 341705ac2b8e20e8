//! The link: the board answers on its UART until it is switched off.

use core::convert::Infallible;

use foveola_core::Shape;
use foveola_core::explain::hoc::{Step, UNUSED_WINDOW};
use foveola_core::wire::server::{Facts, Memory, Platform, Server, Spent};

use super::meter::Meter;
use super::{Failure, Pool};
use crate::board::uart as line;
use crate::board::{Board, image};

/// Steps and boxes of HOC's tree.
const TREE: usize = 128;

/// What the link stands on.
struct Station<'s, B, C> {
    meter: &'s mut Meter<B>,
    camera: C,
    sha256: [u8; 32],
    /// The clock when it was set, less the seconds since the start.
    clock: Option<u64>,
}

/// Answers on the UART. `camera` fills a picture of a shape with pixels, if it can.
#[inline(never)]
pub(super) fn serve<B: Board, C: FnMut(&mut B, Shape, &mut [u8]) -> bool>(
    meter: &mut Meter<B>,
    pool: &mut Pool<'_>,
    linked: &[u8],
    camera: C,
) -> Result<Infallible, Failure> {
    let uart = B::UART.ok_or(Failure::NoLink)?;
    let slot = B::POOL / 4 / 16 * 16;
    let memory = Memory {
        slots: [pool.take(slot, 0)?, pool.take(slot, 0)?],
        linked: Some(linked),
        steps: pool.take(TREE, Step::UNUSED)?,
        boxes: pool.take(TREE, UNUSED_WINDOW)?,
        work: pool.take(pool.left() / 16 * 16, 0)?,
    };
    let mut server = Server::new(memory);
    let mut station = Station {
        meter,
        camera,
        sha256: image::digest(),
        clock: None,
    };
    station.meter.board().start_link();
    uart.start();
    defmt::info!("{}: the link is open", B::NAME);
    loop {
        server.step(&mut station);
        // The counter wraps, so it is read at least once a sleep.
        station.meter.read();
        line::sleep();
    }
}

impl<B: Board, C: FnMut(&mut B, Shape, &mut [u8]) -> bool> Platform for Station<'_, B, C> {
    fn read(&mut self) -> Option<u8> {
        line::read()
    }

    fn write(&mut self, bytes: &[u8]) {
        line::write(bytes);
    }

    fn feed(&mut self) {
        self.meter.board().feed();
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            board: B::NAME,
            firmware: env!("CARGO_PKG_VERSION"),
            sha256: &self.sha256,
            overruns: line::lost(),
        }
    }

    fn begin(&mut self) {
        self.meter.begin();
    }

    fn end(&mut self) -> Spent {
        let measured = self.meter.end();
        Spent {
            instructions: measured.instructions,
            stack: measured.stack as u32,
        }
    }

    fn time(&mut self) -> Option<u64> {
        let clock = self.clock?;
        Some(clock.saturating_add(self.meter.seconds()))
    }

    fn set_time(&mut self, seconds: u64) -> bool {
        self.clock = Some(seconds.saturating_sub(self.meter.seconds()));
        true
    }

    fn take_frame(&mut self, shape: Shape, out: &mut [u8]) -> bool {
        (self.camera)(self.meter.board(), shape, out)
    }
}
