//! `uf2 ELF FILE`: writes a program for the RP2350 (Arm, secure state) as UF2, the
//! file that the chip takes as a USB drive while its BOOTSEL button is held at the
//! start. The format is <https://github.com/microsoft/uf2>; the family's number is
//! in the RP2350 datasheet, section 5.5.3.

use std::error::Error;
use std::process::ExitCode;

use object::LittleEndian;
use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// First byte of flash, and how many its window has.
const FLASH: u32 = 0x1000_0000;
const WINDOW: u32 = 0x0200_0000;

/// Flash is erased in sectors; a sector that is not written whole is not erased.
const SECTOR: usize = 4096;

/// Bytes of a block that are written to flash.
const PAYLOAD: usize = 256;

/// Bytes of a block.
const BLOCK: usize = 512;

/// `rp2350-arm-s`.
const FAMILY: u32 = 0xe48b_ff59;

/// What flash holds from its first byte on, in whole sectors, zeros in gaps.
fn image(elf: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let file = FileHeader32::<LittleEndian>::parse(elf)?;
    let endian = file.endian()?;
    let mut image = Vec::new();
    for part in file.program_headers(endian, elf)? {
        let bytes = part
            .data(endian, elf)
            .map_err(|()| "a segment lies outside the file")?;
        if part.p_type(endian) != PT_LOAD || bytes.is_empty() {
            continue;
        }
        let address = part.p_paddr(endian);
        let start = address.checked_sub(FLASH).filter(|start| *start < WINDOW);
        let start =
            start.ok_or_else(|| format!("a segment at {address:#x}, outside flash"))? as usize;
        let end = (start + bytes.len()).next_multiple_of(SECTOR);
        if end > WINDOW as usize {
            return Err("more than flash holds".into());
        }
        image.resize(image.len().max(end), 0);
        image[start..start + bytes.len()].copy_from_slice(bytes);
    }
    if image.is_empty() {
        Err("nothing for flash".into())
    } else {
        Ok(image)
    }
}

/// The blocks of an image, in order.
fn blocks(image: &[u8]) -> Vec<u8> {
    let count = image.len().div_ceil(PAYLOAD) as u32;
    let mut file = Vec::with_capacity(count as usize * BLOCK);
    for (number, payload) in (0..).zip(image.chunks(PAYLOAD)) {
        let mut words: Vec<u8> = [
            0x0a32_4655,
            0x9e5d_5157,
            0x2000, // the family is named
            FLASH + number * PAYLOAD as u32,
            PAYLOAD as u32,
            number,
            count,
            FAMILY,
        ]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
        words.extend(payload);
        words.resize(BLOCK - 4, 0);
        words.extend(0x0ab1_6f30u32.to_le_bytes());
        file.extend(words);
    }
    file
}

fn convert() -> Result<(), Box<dyn Error>> {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    let [elf, uf2] = paths.as_slice() else {
        return Err("usage: uf2 ELF FILE".into());
    };
    Ok(std::fs::write(uf2, blocks(&image(&std::fs::read(elf)?)?))?)
}

fn main() -> ExitCode {
    match convert() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
