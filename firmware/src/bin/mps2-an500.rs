//! The program for `mps2-an500`.
#![no_std]
#![no_main]

foveola_firmware::board_program!(foveola_firmware::board::Mps2An500, cortex_m_rt::entry);
