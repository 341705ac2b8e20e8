//! Frames: where a message begins and ends, and whether it arrived whole.
//!
//! ```text
//! frame   := COBS(length message) tail 0x00
//! length  := bytes of the message, u16 little endian
//! tail    := CRC-32C of the COBS bytes, 7 bits a byte, lowest first, each with bit 7 set; 5 bytes
//! ```
//!
//! No byte of a frame but the last is 0, so a receiver finds the next frame
//! after any damage. The checksum covers the bytes as they travel, not what
//! they mean: a wrong bit of COBS moves many bytes of the message, which no
//! checksum over the message is sure to find. CRC-32C has Hamming distance 6 up
//! to 5243 bits (Koopman 2002), a frame has at most [`MAX_BITS`]: up to five
//! wrong bits are always found while both delimiters stay. A wrong bit that
//! makes or removes a delimiter leaves a piece of another length than it states.

use crate::error::Error;
use crate::net::model::crc32c;

/// Most bytes of a message.
pub const MAX_MESSAGE: usize = 512;
/// Most bytes of COBS: the length, the message, and one byte for each 254.
const MAX_BODY: usize = 2 + MAX_MESSAGE + 3;
/// Bytes of the checksum.
const TAIL: usize = 5;
/// Most bytes of a frame, its delimiter not counted.
pub const MAX_FRAME: usize = MAX_BODY + TAIL;
/// Most bits that the checksum covers, its own included.
pub const MAX_BITS: usize = 8 * MAX_BODY + 32;

const _: () = assert!(MAX_BITS <= 5243);

/// A frame, ready to be sent.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: [u8; MAX_FRAME + 2],
    length: usize,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_FRAME + 2],
            length: 0,
        }
    }
}

impl Frame {
    /// A frame with this message.
    ///
    /// # Errors
    /// As [`Frame::fill`].
    pub fn of(message: &[u8]) -> Result<Self, Error> {
        let mut frame = Self::default();
        frame.fill(message)?;
        Ok(frame)
    }

    /// Makes it a frame with this message. It begins with a delimiter as well,
    /// which ends whatever half frame came before.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] above [`MAX_MESSAGE`] bytes.
    pub fn fill(&mut self, message: &[u8]) -> Result<(), Error> {
        self.length = 0;
        let (need, have) = (message.len(), MAX_MESSAGE);
        if need > have {
            return Err(Error::BufferTooSmall { need, have });
        }
        self.push(0)?;
        let length = (need as u16).to_le_bytes();
        self.stuff(length.iter().chain(message))?;
        let body = self.bytes.get(1..self.length).unwrap_or(&[]);
        for byte in tail(body) {
            self.push(byte)?;
        }
        self.push(0)
    }

    /// The bytes to send; none before the first [`Frame::fill`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    fn push(&mut self, byte: u8) -> Result<(), Error> {
        *self.bytes.get_mut(self.length).ok_or(Error::Internal)? = byte;
        self.length += 1;
        Ok(())
    }

    /// Consistent overhead byte stuffing (Cheshire and Baker 1999): each run of
    /// up to 254 bytes other than 0 comes behind its length plus one.
    fn stuff<'b>(&mut self, bytes: impl Iterator<Item = &'b u8>) -> Result<(), Error> {
        let mut code_at = self.length;
        let mut code = 1;
        self.push(code)?;
        for &byte in bytes {
            if code == 255 {
                code_at = self.close(code_at, code)?;
                code = 1;
            }
            if byte == 0 {
                code_at = self.close(code_at, code)?;
                code = 1;
            } else {
                self.push(byte)?;
                code += 1;
            }
        }
        *self.bytes.get_mut(code_at).ok_or(Error::Internal)? = code;
        Ok(())
    }

    /// Writes the code of a run; answers where the next one's goes.
    fn close(&mut self, code_at: usize, code: u8) -> Result<usize, Error> {
        *self.bytes.get_mut(code_at).ok_or(Error::Internal)? = code;
        let next = self.length;
        self.push(1)?;
        Ok(next)
    }
}

fn tail(body: &[u8]) -> [u8; TAIL] {
    let crc = crc32c(body);
    [0, 7, 14, 21, 28].map(|shift| 0x80 | (crc >> shift & 0x7f) as u8)
}

/// Why bytes between two delimiters are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// More bytes than a frame may have.
    Overlong,
    /// Fewer bytes than any frame has.
    Short,
    /// The checksum is another.
    Checksum,
    /// The length is another, or COBS ends early.
    Length,
}

/// Finds frames in a stream of bytes.
#[derive(Clone, Debug)]
pub struct Decoder {
    bytes: [u8; MAX_FRAME],
    /// One more than there is room for: too many.
    length: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_FRAME],
            length: 0,
        }
    }
}

impl Decoder {
    /// Takes the next byte; a delimiter behind other bytes gives a message or
    /// says why there is none.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], Damage>> {
        if byte != 0 {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
            }
            self.length = (self.length + 1).min(MAX_FRAME + 1);
            return None;
        }
        let length = core::mem::take(&mut self.length);
        match self.bytes.get_mut(..length) {
            Some([]) => None,
            Some(frame) => Some(message(frame)),
            None => Some(Err(Damage::Overlong)),
        }
    }
}

/// The message of a frame, decoded in place.
fn message(frame: &mut [u8]) -> Result<&[u8], Damage> {
    let (body, found) = frame.split_last_chunk_mut().ok_or(Damage::Short)?;
    if *found != tail(body) {
        return Err(Damage::Checksum);
    }
    let length = unstuff(body).ok_or(Damage::Length)?;
    let plain = body.get(..length).ok_or(Damage::Length)?;
    let (stated, message) = plain.split_first_chunk().ok_or(Damage::Length)?;
    match usize::from(u16::from_le_bytes(*stated)) == message.len() {
        true if message.len() <= MAX_MESSAGE => Ok(message),
        _ => Err(Damage::Length),
    }
}

/// Undoes COBS in place; answers the number of bytes.
fn unstuff(bytes: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while let Some(&code) = bytes.get(from) {
        let run = usize::from(code).checked_sub(1)?;
        from += 1;
        for _ in 0..run {
            let byte = *bytes.get(from)?;
            *bytes.get_mut(to)? = byte;
            from += 1;
            to += 1;
        }
        if code < 255 && from < bytes.len() {
            *bytes.get_mut(to)? = 0;
            to += 1;
        }
    }
    Some(to)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests may panic
mod tests {
    use super::*;
    use std::vec::Vec;

    fn decode(bytes: &[u8]) -> Vec<Result<Vec<u8>, Damage>> {
        let mut decoder = Decoder::default();
        let mut found = Vec::new();
        for byte in bytes {
            found.extend(decoder.push(*byte).map(|r| r.map(<[u8]>::to_vec)));
        }
        found
    }

    /// CRC-32C of "123456789" is E3069283 (RFC 3720 and others).
    #[test]
    fn tail_of_known_checksum() {
        let expected = [0, 7, 14, 21, 28].map(|s| 0x80 | (0xE306_9283u32 >> s & 0x7f) as u8);
        assert_eq!(tail(b"123456789"), expected);
    }

    /// Runs around the 254 bytes of a COBS block, zeros at every edge.
    #[test]
    fn there_and_back() {
        for length in (0..20).chain(250..258).chain(505..=MAX_MESSAGE) {
            for zero in [None, Some(0), Some(1), Some(length / 2), Some(length)] {
                let mut message: Vec<u8> = (0..length).map(|i| (i % 255 + 1) as u8).collect();
                if let Some(byte) = zero.and_then(|at| message.get_mut(at)) {
                    *byte = 0;
                }
                let frame = Frame::of(&message).unwrap();
                let bytes = frame.bytes();
                assert!(bytes.len() <= MAX_FRAME + 2);
                assert_eq!(bytes.iter().filter(|b| **b == 0).count(), 2);
                assert_eq!(decode(bytes), [Ok(message)]);
            }
        }
        let long = [0; MAX_MESSAGE + 1];
        let error = Error::BufferTooSmall {
            need: MAX_MESSAGE + 1,
            have: MAX_MESSAGE,
        };
        assert_eq!(Frame::of(&long).unwrap_err(), error);
    }

    #[test]
    fn damage_by_name() {
        let frame = Frame::of(b"abc").unwrap();
        let mut bytes = frame.bytes().to_vec();
        bytes[2] ^= 1;
        assert_eq!(decode(&bytes), [Err(Damage::Checksum)]);
        assert_eq!(decode(&[1, 2, 0]), [Err(Damage::Short)]);
        assert_eq!(decode(&[0, 0, 0]), []);
        let noise = [7; MAX_FRAME + 9];
        let all: Vec<u8> = noise.iter().chain(frame.bytes()).copied().collect();
        let found = decode(&all);
        assert_eq!(found, [Err(Damage::Overlong), Ok(b"abc".to_vec())]);
        // A sound checksum over a wrong length, and over COBS that ends early.
        for body in [&[1u8, 2, 9, 2, b'a'][..], &[9, 1, 1]] {
            let bytes: Vec<u8> = body.iter().copied().chain(tail(body)).chain([0]).collect();
            assert_eq!(decode(&bytes), [Err(Damage::Length)]);
        }
    }
}
