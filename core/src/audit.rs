//! What a device did and saw, written down so that nobody can change it
//! afterwards unnoticed.
//!
//! A [`record`] carries the SHA-256 of the record before it, so the log is a
//! chain; now and then a [`record::Event::Checkpoint`] signs the chain so far
//! with a [`key`] that moves on and cannot be turned back: who takes the
//! device learns today's key and still cannot rewrite yesterday. [`verify`]
//! reads a log record by record and names the first thing that is wrong; the
//! device does so when it starts, the host offline, with the key of the
//! device's enrolment.
//!
//! What a device holds itself to is its [`policy`]: [`judge`] holds a map to a
//! rule of it, [`self_test`] the device to pictures whose answers are known.
//! [`signature`] says whose model file it is, and that none older comes back.
//!
//! Source of the moving key: M. Bellare, B. Yee, "Forward-Security in
//! Private-Key Cryptography", CT-RSA 2003.

use sha2::{Digest, Sha256};

use crate::picture::Picture;

pub mod anchor;
pub mod judge;
pub mod key;
pub mod policy;
pub mod record;
pub mod self_test;
pub mod signature;
pub mod verify;

/// Bytes of a SHA-256 hash.
pub const HASH: usize = 32;

/// A SHA-256 hash.
pub type Hash = [u8; HASH];

/// SHA-256 of an input, as records carry it: the bytes of pixels as they came,
/// or the values of a tensor, little endian.
pub fn input_hash(picture: &Picture<'_>) -> Hash {
    match *picture {
        Picture::Pixels { data, .. } => Sha256::digest(data).into(),
        Picture::Tensor { data, .. } => output_hash(data),
    }
}

/// SHA-256 of an output, as records carry it: scores or a map (HWC, as the
/// method made it), f32 little endian.
pub fn output_hash(values: &[f32]) -> Hash {
    let mut hash = OutputHash::default();
    hash.take(values);
    hash.finish()
}

/// An output hashed piece by piece, in order.
#[derive(Clone, Default)]
pub struct OutputHash(Sha256);

impl OutputHash {
    /// The next values.
    pub fn take(&mut self, values: &[f32]) {
        for value in values {
            self.0.update(value.to_le_bytes());
        }
    }

    /// The hash.
    pub fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}
