//! The program for `lm3s6965evb`.
#![no_std]
#![no_main]

foveola_firmware::board_program!(foveola_firmware::board::Lm3s6965Evb, cortex_m_rt::entry);
