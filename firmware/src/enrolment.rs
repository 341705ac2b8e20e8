//! Who a device is: its name, and whose models it takes.
//!
//! | byte | |
//! |---|---|
//! | 0 | `FVE1` |
//! | 4 | bytes of the name, then 0, 0, 0 |
//! | 8 | name, zeros behind it |
//! | 72 | Ed25519 key of those who release models, zeros if anybody may |
//! | 104 | 0 |
//! | 124 | CRC-32C of everything before |
//!
//! It is written once, behind the log's first page, so that a device whose
//! enrolment power cut short is not enrolled.

use embedded_storage_async::nor_flash::NorFlash;
use foveola_core::net::model::crc32c;
use heapless::String;

use crate::flash::wait;

/// Most bytes of a name.
pub const MAX_NAME: usize = 64;

const LENGTH: usize = 128;
const MAGIC: [u8; 4] = *b"FVE1";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrolment {
    /// The device's name.
    pub name: String<MAX_NAME>,
    /// Ed25519 key of those who release models; zeros if anybody may.
    pub signer: [u8; 32],
}

impl Enrolment {
    /// Of a device; `None` for a name that is empty or too long.
    pub fn new(name: &str, signer: [u8; 32]) -> Option<Self> {
        let name = String::try_from(name)
            .ok()
            .filter(|name| !name.is_empty())?;
        Some(Self { name, signer })
    }

    fn write(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let mut name = [0; MAX_NAME];
        let letters = name.iter_mut().zip(self.name.as_bytes());
        letters.for_each(|(to, from)| *to = *from);
        let length = [self.name.len() as u8, 0, 0, 0];
        let fields: [&[u8]; 4] = [&MAGIC, &length, &name, &self.signer];
        let all = fields.into_iter().flatten();
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        if let Some((said, crc)) = bytes.split_last_chunk_mut() {
            *crc = crc32c(said).to_le_bytes();
        }
        bytes
    }

    fn read(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (said, crc) = bytes.split_last_chunk()?;
        if crc32c(said).to_le_bytes() != *crc || !said.starts_with(&MAGIC) {
            return None;
        }
        let name = said.get(8..)?.get(..usize::from(*said.get(4)?))?;
        let signer = *said.get(8 + MAX_NAME..)?.first_chunk()?;
        Self::new(str::from_utf8(name).ok()?, signer)
    }

    /// The one in flash, if there is one.
    ///
    /// # Errors
    /// The flash's own.
    pub fn load<F: NorFlash>(flash: &mut F) -> Result<Option<Self>, F::Error> {
        let mut bytes = [0; LENGTH];
        wait(flash.read(0, &mut bytes))?;
        Ok(Self::read(&bytes))
    }

    /// Writes it to an erased page.
    ///
    /// # Errors
    /// The flash's own.
    pub fn save<F: NorFlash>(&self, flash: &mut F) -> Result<(), F::Error> {
        wait(flash.erase(0, F::ERASE_SIZE as u32))?;
        wait(flash.write(0, &self.write()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::mock::Memory;

    #[test]
    fn comes_back_and_every_flipped_bit_is_noticed() {
        let mut flash = Memory::new();
        assert_eq!(Enrolment::load(&mut flash), Ok(None));
        let all = "n".repeat(MAX_NAME);
        for name in ["pole camera 7", &all] {
            let enrolment = Enrolment::new(name, [5; 32]).expect("a name");
            enrolment.save(&mut flash).expect("it is written");
            assert_eq!(Enrolment::load(&mut flash), Ok(Some(enrolment)));
        }
        for bit in 0..8 * LENGTH {
            let mut flipped = flash.clone();
            flipped.bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Enrolment::load(&mut flipped), Ok(None), "bit {bit}");
        }
        assert_eq!(Enrolment::new("", [0; 32]), None);
        assert_eq!(Enrolment::new(&"n".repeat(65), [0; 32]), None);
    }
}
