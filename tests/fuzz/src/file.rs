//! A model file taken apart into its sections.

use foveola_core::net::format::{ALIGNMENT, Header, SectionRecord, section};
use foveola_core::net::model::{crc32c, digest};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use crate::aligned::Aligned;

/// Bytes of header and section table.
const HEAD: usize = size_of::<Header>() + section::COUNT * size_of::<SectionRecord>();

/// The content of each section, in the order of their kinds.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// The contents.
    pub sections: [Vec<u8>; section::COUNT],
}

/// Width of a number in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte,
    /// u16.
    Half,
    /// u32 or i32.
    Word,
    /// f32.
    Real,
}

impl Width {
    /// Bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word | Self::Real => 4,
        }
    }
}

use Width::{Byte, Half, Real, Word};

const NETWORK: [Width; 20] = [
    Half, Half, Half, Half, Byte, Byte, Byte, Byte, Real, Real, Real, Real, Real, Real, Real, Real,
    Word, Word, Word, Word,
];
const TENSOR: [Width; 10] = [Word, Word, Word, Byte, Byte, Half, Word, Word, Half, Half];
const NODE: [Width; 34] = [
    Half, Half, Real, Real, Word, Half, Half, Word, Word, Word, Word, Half, Half, Half, Half, Half,
    Half, Half, Half, Half, Half, Half, Half, Real, Real, Real, Real, Half, Half, Word, Byte, Byte,
    Byte, Byte,
];
const PLAN: [Width; 5] = [Half, Half, Word, Word, Word];
const BUFFER: [Width; 4] = [Word, Word, Half, Half];

/// The numbers of one record of a section, and the record's bytes.
pub fn fields(kind: u16) -> (&'static [Width], usize) {
    match kind {
        section::NETWORK => (&NETWORK, 64),
        section::TENSORS => (&TENSOR, 32),
        section::NODES => (&NODE, 96),
        section::EDGES => (&[Half], 2),
        section::QUANTISATION => (&[Real, Word], 8),
        section::WEIGHTS => (&[Real], 4),
        section::PLANS => (&PLAN, 16),
        section::BUFFERS => (&BUFFER, 12),
        section::LABELS | section::WORDS => (&[Word], 4),
        _ => (&[Byte], 1),
    }
}

impl File {
    /// Takes a sound file apart.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let table = bytes.get(size_of::<Header>()..HEAD)?;
        let table = <[SectionRecord]>::ref_from_bytes(table).ok()?;
        let mut file = Self::default();
        for (section, record) in file.sections.iter_mut().zip(table) {
            let start = record.offset.get() as usize;
            let end = start.checked_add(record.length.get() as usize)?;
            *section = bytes.get(start..end)?.to_vec();
        }
        Some(file)
    }

    /// The content of a section.
    pub fn section(&self, kind: u16) -> &Vec<u8> {
        &self.sections[usize::from(kind) - 1]
    }

    /// The same, to be changed.
    pub fn section_mut(&mut self, kind: u16) -> &mut Vec<u8> {
        &mut self.sections[usize::from(kind) - 1]
    }

    /// Takes over another file's content without new memory.
    pub fn copy(&mut self, other: &Self) {
        for (to, from) in self.sections.iter_mut().zip(&other.sections) {
            to.clear();
            to.extend_from_slice(from);
        }
    }

    /// Bytes of the whole file.
    pub fn length(&self) -> usize {
        let mut end = HEAD;
        for section in &self.sections {
            end = end.next_multiple_of(ALIGNMENT) + section.len();
        }
        end
    }

    /// Where sections of these kinds lie in the file.
    pub fn places(&self, kinds: &[u16]) -> Vec<std::ops::Range<usize>> {
        let mut end = HEAD;
        let mut places = Vec::new();
        for (kind, section) in (1..).zip(&self.sections) {
            let start = end.next_multiple_of(ALIGNMENT);
            end = start + section.len();
            if kinds.contains(&kind) {
                places.push(start..end);
            }
        }
        places
    }

    /// Lays the file out; its hashes are right if `sealed`, else zeros.
    pub fn write<'b>(&self, buffer: &'b mut Aligned, sealed: bool) -> &'b mut [u8] {
        let bytes = buffer.first(self.length());
        let mut end = HEAD;
        for ((kind, section), at) in (1..)
            .zip(&self.sections)
            .zip((size_of::<Header>()..).step_by(16))
        {
            let start = end.next_multiple_of(ALIGNMENT);
            bytes[end..start].fill(0);
            end = start + section.len();
            bytes[start..end].copy_from_slice(section);
            let record = SectionRecord {
                kind: U16::new(kind),
                reserved: U16::new(0),
                offset: U32::new(start as u32),
                length: U32::new(section.len() as u32),
                crc: U32::new(if sealed { crc32c(section) } else { 0 }),
            };
            bytes[at..at + 16].copy_from_slice(record.as_bytes());
        }
        let mut header = header(end);
        bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        if sealed {
            header.digest = digest(bytes);
            bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        }
        bytes
    }
}

fn header(length: usize) -> Header {
    Header {
        magic: foveola_core::net::format::MAGIC,
        version: U16::new(foveola_core::net::format::VERSION),
        flags: U16::new(0),
        length: U32::new(length as u32),
        sections: U32::new(section::COUNT as u32),
        digest: [0; 32],
        signature: [0; 64],
        release: U32::new(0),
        reserved: [0; 12],
    }
}
