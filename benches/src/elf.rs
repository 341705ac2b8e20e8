//! Sizes of a program for a board.

use std::fs;
use std::path::Path;

/// Bytes of flash and of static memory that an ELF takes, without the pool.
///
/// # Errors
/// A file that cannot be read.
pub fn sizes(elf: &Path) -> std::io::Result<(usize, usize)> {
    let bytes = fs::read(elf)?;
    let word = |at: usize| -> usize {
        let bytes = bytes
            .get(at..at + 4)
            .map_or([0; 4], |b| [b[0], b[1], b[2], b[3]]);
        u32::from_le_bytes(bytes) as usize
    };
    let (first, count) = (word(32), word(48) & 0xffff);
    let names = word(first + 40 * (word(48) >> 16) + 16);
    let (mut flash, mut statics) = (0, 0);
    for section in (0..count).map(|i| first + 40 * i) {
        let name = bytes.get(names + word(section)..).unwrap_or_default();
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        let (kind, flags, size) = (word(section + 4), word(section + 8), word(section + 20));
        // SHF_ALLOC; SHT_NOBITS lies in RAM alone.
        match (flags & 2 != 0, kind, name) {
            (false, ..) | (_, _, b".uninit" | b".heap" | b".stack") => {}
            (_, 8, _) => statics += size,
            (_, _, b".data") => (flash, statics) = (flash + size, statics + size),
            _ => flash += size,
        }
    }
    Ok((flash, statics.next_multiple_of(16)))
}
