//! Another model in the flash of a program that is built already.
//!
//! The linked model is a section of its own behind everything else in flash
//! (`firmware/memory/model.x`): its length (`u32`), then its bytes from the next
//! multiple of 16 on. Nothing else in the program knows where it ends, so the
//! section may grow: its new bytes are appended to the file, and the headers
//! that tell of it changed.

use object::LittleEndian;
use object::elf::{self, FileHeader32, PT_LOAD, ProgramHeader32, SectionHeader32};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};

/// The section of the linked model.
const SECTION: &str = ".foveola_model";

/// The symbol where the board's flash ends.
const END: &str = "__foveola_flash_end";

/// Bytes of the section before the model.
const HEAD: usize = 16;

type Endian = LittleEndian;

/// Why a model is not put into a program.
#[derive(Debug, PartialEq)]
pub(super) enum Misfit {
    /// This is no program with a linked model: what is missing.
    Program(String),
    /// The flash holds a model of so many bytes beside the program.
    Room(usize),
}

impl From<object::Error> for Misfit {
    fn from(e: object::Error) -> Self {
        Self::Program(e.to_string())
    }
}

fn missing(what: &str) -> Misfit {
    Misfit::Program(format!("there is no {what}"))
}

/// Where the headers lie that tell of the section, and the numbers in them.
struct Place {
    /// Of the section's header in the file.
    section: usize,
    /// Of the segment's header in the file.
    segment: usize,
    /// Address of the section.
    address: u32,
    /// Power of two that file offset and address agree modulo.
    align: usize,
    /// Bytes from the section's start to the end of flash.
    flash: usize,
}

fn place(program: &[u8]) -> Result<Place, Misfit> {
    let endian = LittleEndian;
    let header = FileHeader32::<Endian>::parse(program)?;
    let sections = header.sections(endian, program)?;
    let found = sections.section_by_name(endian, SECTION.as_bytes());
    let (index, section) = found.ok_or_else(|| missing(SECTION))?;
    let address = section.sh_addr(endian);
    let segments = header.program_headers(endian, program)?;
    let alone = |segment: &ProgramHeader32<Endian>| {
        segment.p_type(endian) == PT_LOAD
            && segment.p_vaddr(endian) == address
            && segment.p_memsz(endian) == section.sh_size(endian)
    };
    let k = segments.iter().position(alone);
    let k = k.ok_or_else(|| missing("segment with that section alone"))?;
    let symbols = sections.symbols(endian, program, elf::SHT_SYMTAB)?;
    let named = |s: &&elf::Sym32<Endian>| symbols.symbol_name(endian, s) == Ok(END.as_bytes());
    let end = symbols.iter().find(named).ok_or_else(|| missing(END))?;
    let flash = end.st_value(endian).checked_sub(address);
    Ok(Place {
        section: header.e_shoff(endian) as usize + index.0 * size_of::<SectionHeader32<Endian>>(),
        segment: header.e_phoff(endian) as usize + k * size_of::<ProgramHeader32<Endian>>(),
        address,
        align: (segments[k].p_align(endian) as usize).max(1),
        flash: flash.ok_or_else(|| missing("flash behind it"))? as usize,
    })
}

/// The program (an ELF file) with this model in its flash.
pub(super) fn with_model(program: &[u8], model: &[u8]) -> Result<Vec<u8>, Misfit> {
    let place = place(program)?;
    let room = place.flash.saturating_sub(HEAD);
    let length = u32::try_from(model.len()).map_err(|_| Misfit::Room(room))?;
    if model.len() > room {
        return Err(Misfit::Room(room));
    }
    let size = length + HEAD as u32;
    let mut file = program.to_vec();
    let residue = place.address as usize % place.align;
    while file.len() % place.align != residue {
        file.push(0);
    }
    let offset = u32::try_from(file.len()).map_err(|_| Misfit::Room(room))?;
    file.extend(length.to_le_bytes());
    file.resize(file.len() + HEAD - size_of::<u32>(), 0);
    file.extend(model);
    let mut set = |at: usize, value: u32| {
        let field = file.get_mut(at..at + size_of::<u32>());
        field.map(|field| field.copy_from_slice(&value.to_le_bytes()))
    };
    // sh_offset, sh_size; p_offset, p_filesz, p_memsz.
    let fields = [
        (place.section + 16, offset),
        (place.section + 20, size),
        (place.segment + 4, offset),
        (place.segment + 16, size),
        (place.segment + 20, size),
    ];
    match fields
        .into_iter()
        .all(|(at, value)| set(at, value).is_some())
    {
        true => Ok(file),
        false => Err(missing("header where there was one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_no_programs() {
        for file in [b"".as_slice(), b"\x7fELF", &[0; 4096]] {
            assert!(matches!(
                with_model(file, b"model"),
                Err(Misfit::Program(_))
            ));
        }
    }
}
