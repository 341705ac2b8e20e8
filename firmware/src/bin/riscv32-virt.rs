//! The program for `riscv32-virt`.
#![no_std]
#![no_main]

foveola_firmware::board_program!(foveola_firmware::board::Riscv32Virt, riscv_rt::entry);
