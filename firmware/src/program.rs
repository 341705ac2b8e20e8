//! The program of every board. An emulated one runs jobs that lie in files, one
//! of which may ask for the link ([`crate::job`]); a real one answers on the link.
#![cfg_attr(
    not(feature = "emulator"),
    allow(
        dead_code,
        reason = "jobs measure, and fail, in more ways than the link"
    )
)]

mod failure;
#[cfg(feature = "emulator")]
mod jobs;
mod link;
mod meter;
mod notice;
mod station;
mod verdict;

#[cfg(feature = "emulator")]
use defmt_semihosting as _;

use crate::board::pool::Pool;
use crate::board::{Board, FAILED, exit};
use failure::Failure;
use meter::Meter;

/// Runs the jobs in the folder and ends the emulation.
#[cfg(feature = "emulator")]
fn run<B: Board>(
    meter: &mut Meter<B>,
    pool: &mut Pool<'_>,
    linked: &[u8],
) -> Result<bool, Failure> {
    jobs::run_all(meter, pool, linked)
}

/// Answers on the link until the board is switched off.
#[cfg(not(feature = "emulator"))]
fn run<B: Board>(
    meter: &mut Meter<B>,
    pool: &mut Pool<'_>,
    linked: &[u8],
) -> Result<bool, Failure> {
    link::serve(meter, pool, linked, B::take_frame).map(|never| match never {})
}

/// What a board does from its start on.
pub fn main<B: Board>(mut pool: Pool<'_>, linked: &[u8]) -> ! {
    let mut meter = Meter::new(B::new());
    let all_done = run(&mut meter, &mut pool, linked).unwrap_or_else(|failure| {
        defmt::error!("{}: {}", B::NAME, failure);
        notice::fail_on_panel(meter.board(), &failure);
        false
    });
    exit(if all_done { 0 } else { FAILED })
}
