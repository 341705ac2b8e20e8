//! Arm's CMSDK watchdog: it resets the board when it has run out twice.

use core::ptr;

const BASE: usize = 0x4000_8000;
/// Ticks of 25 MHz: a minute, twice. A node of a large network may take
/// seconds, and the watchdog is fed between nodes.
const LOAD: u32 = 60 * 25_000_000;

fn poke(offset: usize, value: u32) {
    // SAFETY: a register of the watchdog, which only this module reaches.
    unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(BASE + offset), value) }
}

/// Starts it.
pub fn start() {
    poke(0xc00, 0x1acc_e551); // LOCK
    poke(0x000, LOAD);
    poke(0x008, 3); // CONTROL: count, reset
}

/// Begins the minute anew.
pub fn feed() {
    poke(0x00c, 1); // INTCLR
}
