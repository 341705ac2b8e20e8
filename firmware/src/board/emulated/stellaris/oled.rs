//! The SSD0323 panel on the synchronous serial interface: 128 x 64 pixels of 16 greys.

use core::ptr;

use embedded_graphics::geometry::Size;

/// Columns and rows.
pub const SIZE: Size = Size::new(128, 64);

const GATES: usize = 0x400f_e104;
const GATES_2: usize = 0x400f_e108;
const SSI: usize = 0x4000_8000;
const PORT_A: usize = 0x4000_4000;
const PORT_C: usize = 0x4000_6000;
const PORT_D: usize = 0x4000_7000;
const DATA_OR_COMMAND: u32 = 1 << 7;
const CHIP_SELECT: u32 = 1 << 0;

fn write(register: usize, value: u32) {
    // SAFETY: a register of the LM3S6965 from the list above, 4 bytes wide; the
    // panel belongs to this module alone.
    unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(register), value) };
}

fn read(register: usize) -> u32 {
    // SAFETY: as in `write`; reading these registers changes nothing, but for
    // the received byte, which nobody wants.
    unsafe { ptr::read_volatile(ptr::with_exposed_provenance(register)) }
}

/// Sets pins of a port: the address says which ones (data sheet, section 8.2.1).
fn pins(port: usize, mask: u32, value: u32) {
    write(port + ((mask as usize) << 2), value);
}

fn outputs(port: usize, mask: u32) {
    write(port + 0x400, read(port + 0x400) | mask);
    write(port + 0x51c, read(port + 0x51c) | mask);
}

/// Starts clocks, pins, serial interface and panel.
pub fn begin() {
    write(GATES, read(GATES) | 1 << 4);
    write(GATES_2, read(GATES_2) | 0b1101);
    // Pins 2, 3 and 5 of port A are the interface's.
    write(PORT_A + 0x420, read(PORT_A + 0x420) | 0b10_1100);
    write(PORT_A + 0x51c, read(PORT_A + 0x51c) | 0b10_1100);
    outputs(PORT_C, DATA_OR_COMMAND);
    outputs(PORT_D, CHIP_SELECT);
    pins(PORT_D, CHIP_SELECT, CHIP_SELECT);
    // 8 bits a frame, clock / 2, master, on.
    write(SSI + 4, 0);
    write(SSI + 0x10, 2);
    write(SSI, 7);
    write(SSI + 4, 2);
    // All columns, all rows, bytes along a row, on.
    commands(&[0x15, 0, 63, 0x75, 0, 63, 0xa0, 0x50, 0xaf]);
}

fn send(bytes: &[u8]) {
    for byte in bytes {
        write(SSI + 8, u32::from(*byte));
        // Until the interface is idle; a byte takes a few cycles of the bus.
        while read(SSI + 0xc) & (1 << 4) != 0 {}
        read(SSI + 8);
    }
}

fn commands(bytes: &[u8]) {
    pins(PORT_C, DATA_OR_COMMAND, 0);
    send(bytes);
}

/// Sends a picture: two pixels a byte, row by row.
pub fn show(greys: &[u8]) {
    commands(&[0x15, 0, 63, 0x75, 0, 63]);
    pins(PORT_C, DATA_OR_COMMAND, DATA_OR_COMMAND);
    send(greys);
}
