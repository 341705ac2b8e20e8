//! From bytes to tables: bounds, alignment, hashes.

use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::Model;
use crate::error::Error;
use crate::net::format::{ALIGNMENT, Header, MAGIC, SIGNED, SectionRecord, VERSION, section};

const CRC: crc::Crc<u32, crc::NoTable> = crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISCSI);

/// CRC-32C (Castagnoli) of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// SHA-256 of a model file, its digest and signature fields read as zeros.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let (header, rest) = bytes
        .split_at_checked(size_of::<Header>())
        .unwrap_or((bytes, &[]));
    let fields = header.get(..16).unwrap_or(header);
    hash.update(fields);
    hash.update([0; 96]);
    hash.update(header.get(112..).unwrap_or(&[]));
    hash.update(rest);
    hash.finalize().into()
}

/// Reads header and section table and makes the tables of the sections.
pub fn read(bytes: &[u8], hashed: bool) -> Result<Model<'_>, Error> {
    let offset = bytes.as_ptr().addr() % ALIGNMENT;
    if offset != 0 {
        return Err(Error::Misaligned { offset });
    }
    let header = header(bytes)?;
    if hashed && digest(bytes) != header.digest {
        return Err(Error::BadHash);
    }
    let (table, policy) = table(bytes, header.sections.get() as usize, hashed)?;
    let [
        network,
        tensors,
        nodes,
        edges,
        quant,
        weights,
        labels,
        names,
        plans,
        buffers,
        bytes8,
        words,
    ] = table;
    let release = header.release.get();
    let is_signed = header.flags.get() == SIGNED;
    let [network] = records(network, section::NETWORK)? else {
        return Err(Error::BadSection {
            kind: section::NETWORK,
        });
    };
    Ok(Model {
        bytes,
        digest: &header.digest,
        signature: is_signed.then_some(&header.signature),
        release,
        hashed,
        policy,
        network,
        tensors: records(tensors, section::TENSORS)?,
        nodes: records(nodes, section::NODES)?,
        edges: records(edges, section::EDGES)?,
        quants: records(quant, section::QUANTISATION)?,
        weights: records(weights, section::WEIGHTS)?,
        bytes8: records(bytes8, section::BYTES)?,
        words: records(words, section::WORDS)?,
        labels,
        names: core::str::from_utf8(names).map_err(|_| Error::BadSection {
            kind: section::NAMES,
        })?,
        plans: records(plans, section::PLANS)?,
        buffers: records(buffers, section::BUFFERS)?,
    })
}

fn header(bytes: &[u8]) -> Result<&Header, Error> {
    let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| Error::Truncated {
        need: size_of::<Header>(),
        have: bytes.len(),
    })?;
    if header.magic != MAGIC {
        return Err(Error::BadMagic);
    }
    if header.version.get() != VERSION {
        return Err(Error::BadVersion {
            found: header.version.get(),
        });
    }
    let need = header.length.get() as usize;
    if bytes.len() != need {
        return Err(Error::Truncated {
            need,
            have: bytes.len(),
        });
    }
    // Whether it is right is asked with a key, by `audit::signature`.
    let signature = match header.flags.get() {
        0 => header.signature == [0; 64],
        flags => flags == SIGNED,
    };
    let sections = header.sections.get() as usize;
    let counted = sections == section::COUNT || sections == section::COUNT + 1;
    if !counted || !signature || header.reserved != [0; 12] {
        return Err(Error::BadSection { kind: 0 });
    }
    Ok(header)
}

/// The sections that every file has.
type Sections<'m> = [&'m [u8]; section::COUNT];

/// The sections in the order of their kinds, and the policy if there is one.
/// They follow each other in the file, so none can overlap another or the header.
fn table(bytes: &[u8], count: usize, hashed: bool) -> Result<(Sections<'_>, Option<&[u8]>), Error> {
    let start = size_of::<Header>();
    let end = start.saturating_add(count.saturating_mul(size_of::<SectionRecord>()));
    let table: &[SectionRecord] = bytes
        .get(start..end)
        .and_then(|b| <[SectionRecord]>::ref_from_bytes(b).ok())
        .ok_or(Error::Truncated {
            need: end,
            have: bytes.len(),
        })?;
    let mut sections: Sections<'_> = [&[]; section::COUNT];
    let mut policy = None;
    let mut free = end;
    for (kind, record) in (1..).zip(table) {
        let (content, behind) = content(bytes, (kind, record), free, hashed)?;
        free = behind;
        match sections.get_mut(usize::from(kind) - 1) {
            Some(place) => *place = content,
            None => policy = Some(content),
        }
    }
    if free != bytes.len() {
        return Err(Error::BadSection { kind: 0 });
    }
    Ok((sections, policy))
}

/// The section that begins at or behind byte `free`, and where it ends.
fn content<'m>(
    bytes: &'m [u8],
    (kind, record): (u16, &SectionRecord),
    free: usize,
    hashed: bool,
) -> Result<(&'m [u8], usize), Error> {
    let wrong = Error::BadSection { kind };
    let (offset, length) = (record.offset.get() as usize, record.length.get() as usize);
    let aligned = free.next_multiple_of(ALIGNMENT);
    if record.kind.get() != kind || record.reserved.get() != 0 || offset != aligned {
        return Err(wrong);
    }
    let content = offset
        .checked_add(length)
        .and_then(|e| bytes.get(offset..e))
        .ok_or(wrong)?;
    if hashed && crc32c(content) != record.crc.get() {
        return Err(Error::BadChecksum { kind });
    }
    Ok((content, offset + length))
}

fn records<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8], kind: u16) -> Result<&[T], Error> {
    <[T]>::ref_from_bytes(bytes).map_err(|_| Error::BadSection { kind })
}
