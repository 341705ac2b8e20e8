//! The link: the board answers on its UART until it is switched off.

use core::cell::RefCell;
use core::convert::Infallible;

use super::meter::Meter;
use super::station::{Camera, Station, server};
use super::{Failure, Pool};
use crate::board::Board;
use crate::board::uart as line;

/// Answers on the UART.
#[inline(never)]
pub(super) fn serve<B: Board, C: Camera<B>>(
    meter: &mut Meter<B>,
    pool: &mut Pool<'_>,
    linked: &[u8],
    camera: C,
) -> Result<Infallible, Failure> {
    let uart = B::UART.ok_or(Failure::NoLink)?;
    let flash = meter.board().flash().map(RefCell::new);
    let mut pool = pool.scope();
    let mut station = Station::new(meter, &mut pool, flash.as_ref(), camera)?;
    let mut server = server(&mut station, &mut pool, linked)?;
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
