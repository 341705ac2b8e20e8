//! The program for `netduinoplus2`.
#![no_std]
#![no_main]

foveola_firmware::board_program!(foveola_firmware::board::NetduinoPlus2, cortex_m_rt::entry);
