//! The program for the RP2350. `board.rs` is all that it knows of the chip.
#![no_std]
#![no_main]

mod board;

use defmt_rtt as _;

foveola_firmware::board_program!(board::Rp2350, rp235x_hal::entry);
