//! The program for the ESP32-C3. `board.rs` is all that it knows of the chip.
#![no_std]
#![no_main]

mod board;

use defmt_rtt as _;

esp_bootloader_esp_idf::esp_app_desc!();

foveola_firmware::board_program!(board::Esp32C3, esp_hal::main);
