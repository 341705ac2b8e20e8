//! Memory for one work, lent from the front.

use zerocopy::FromBytes;

use crate::ask::Lend;
use crate::error::Error;
use crate::net::format::ALIGNMENT;

/// The next multiple of the alignment, as far as there is one.
pub const fn up(bytes: usize) -> usize {
    match bytes.checked_next_multiple_of(ALIGNMENT) {
        Some(whole) => whole,
        None => bytes,
    }
}

/// Memory that still can be lent. It starts on a multiple of 16, and so does
/// each piece of it.
#[derive(Debug)]
pub struct Room<'r> {
    left: &'r mut [u8],
    used: usize,
}

impl<'r> Room<'r> {
    pub const fn new(bytes: &'r mut [u8]) -> Self {
        Self {
            left: bytes,
            used: 0,
        }
    }

    /// Bytes lent so far: where the next piece begins.
    pub const fn used(&self) -> usize {
        self.used
    }

    /// All that is left.
    pub const fn rest(self) -> &'r mut [u8] {
        self.left
    }
}

impl<'r> Lend<'r> for Room<'r> {
    type Scope<'a>
        = Room<'a>
    where
        Self: 'a;

    fn scope(&mut self) -> Room<'_> {
        Room {
            left: self.left,
            used: self.used,
        }
    }

    fn bytes(&mut self, length: usize) -> Result<&'r mut [u8], Error> {
        let short = Error::BufferTooSmall {
            need: length,
            have: self.left.len(),
        };
        let all = core::mem::take(&mut self.left);
        let (mine, rest) = all.split_at_mut_checked(up(length)).ok_or(short)?;
        self.left = rest;
        self.used += up(length);
        mine.get_mut(..length).ok_or(short)
    }

    fn floats(&mut self, count: usize) -> Result<&'r mut [f32], Error> {
        let have = self.left.len() / 4;
        let short = Error::BufferTooSmall { need: count, have };
        let bytes = self.bytes(count.checked_mul(4).ok_or(short)?)?;
        let floats = <[f32]>::mut_from_bytes(bytes).map_err(|_| Error::Internal)?;
        floats.fill(0.0);
        Ok(floats)
    }
}
