//! The program for `mps3-an547`.
#![no_std]
#![no_main]

foveola_firmware::board_program!(foveola_firmware::board::Mps3An547, cortex_m_rt::entry);
