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
//! Source of the moving key: M. Bellare, B. Yee, "Forward-Security in
//! Private-Key Cryptography", CT-RSA 2003.

pub mod anchor;
pub mod key;
pub mod record;
pub mod verify;

/// Bytes of a SHA-256 hash.
pub const HASH: usize = 32;

/// A SHA-256 hash.
pub type Hash = [u8; HASH];
