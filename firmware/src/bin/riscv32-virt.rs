//! The program for `riscv32-virt`.
#![no_std]
#![no_main]

foveola_firmware::board_program!(Riscv32Virt, riscv_rt::entry);
