//! The program for `mps2-an386`.
#![no_std]
#![no_main]

foveola_firmware::board_program!(foveola_firmware::board::Mps2An386, cortex_m_rt::entry);
