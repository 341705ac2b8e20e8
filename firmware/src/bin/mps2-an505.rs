//! The program for `mps2-an505`.
#![no_std]
#![no_main]

foveola_firmware::board_program!(foveola_firmware::board::Mps2An505, cortex_m_rt::entry);
