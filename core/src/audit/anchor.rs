//! What a device keeps outside its log, twice, so that a cut of power while
//! one copy is written leaves the other: the key, and how far the log went.
//!
//! | byte | |
//! |---|---|
//! | 0 | `FVA1` |
//! | 4 | generation: the larger one holds |
//! | 8 | epoch of the key |
//! | 12 | secret of the key |
//! | 44 | number of the last record that was signed |
//! | 52 | its hash |
//! | 84 | number of the oldest record that is kept |
//! | 92 | hash of the record before it |
//! | 124 | CRC-32C of everything before |
//!
//! Numbers are little endian. Before anything is signed, number and hash at 44
//! and 52 are 0 and the device's name hashed.

use super::Hash;
use super::key::Key;

const MAGIC: [u8; 4] = *b"FVA1";

const CRC: crc::Crc<u32, crc::NoTable> = crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISCSI);

/// Bytes of an anchor.
pub const LENGTH: usize = 128;

/// A place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Number of a record.
    pub number: u64,
    /// The hash that goes with it.
    pub hash: Hash,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Grows by one each time.
    pub generation: u32,
    /// The key that signs next.
    pub key: Key,
    /// The last signed record.
    pub head: Link,
    /// The oldest record that is kept, and the hash of the one before.
    pub first: Link,
}

impl Anchor {
    /// As bytes.
    pub fn write(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let generation = self.generation.to_le_bytes();
        let epoch = self.key.epoch.to_le_bytes();
        let (head, first) = (
            self.head.number.to_le_bytes(),
            self.first.number.to_le_bytes(),
        );
        let fields: [&[u8]; 8] = [
            &MAGIC,
            &generation,
            &epoch,
            self.key.secret(),
            &head,
            &self.head.hash,
            &first,
            &self.first.hash,
        ];
        let all = fields.into_iter().flatten();
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        if let Some((said, crc)) = bytes.split_last_chunk_mut() {
            *crc = CRC.checksum(said).to_le_bytes();
        }
        bytes
    }

    /// From bytes; `None` if they are none.
    pub fn read(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (said, crc) = bytes.split_last_chunk()?;
        if CRC.checksum(said).to_le_bytes() != *crc || !said.starts_with(&MAGIC) {
            return None;
        }
        let number = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(*said.get(at..)?.first_chunk()?))
        };
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(*said.get(at..)?.first_chunk()?))
        };
        let hash = |at: usize| -> Option<Hash> { said.get(at..)?.first_chunk().copied() };
        Some(Self {
            generation: word(4)?,
            key: Key::stored(word(8)?, hash(12)?),
            head: Link {
                number: number(44)?,
                hash: hash(52)?,
            },
            first: Link {
                number: number(84)?,
                hash: hash(92)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_and_every_flipped_bit_is_noticed() {
        let anchor = Anchor {
            generation: 3,
            key: Key::stored(9, [1; 32]),
            head: Link {
                number: 77,
                hash: [2; 32],
            },
            first: Link {
                number: 12,
                hash: [3; 32],
            },
        };
        let bytes = anchor.write();
        assert_eq!(Anchor::read(&bytes), Some(anchor));
        for bit in 0..8 * LENGTH {
            let mut flipped = bytes;
            if let Some(byte) = flipped.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert_eq!(Anchor::read(&flipped), None, "bit {bit}");
        }
        assert_eq!(Anchor::read(&[0xff; LENGTH]), None);
    }
}
