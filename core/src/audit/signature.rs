//! Whose model file it is, and that none older comes back.
//!
//! The signature is Ed25519 over the 32 bytes of the file's digest, which
//! covers everything else, the release included. Encodings must be canonical
//! and points must not be of small order (RFC 8032, section 5.1.7; of what it
//! leaves open the stricter reading): a signature cannot be turned into another
//! that holds as well, except by who has the private key.

use super::Hash;
use crate::error::Error;
use crate::net::model::{Model, digest};

/// An Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(
    /// As RFC 8032 encodes it.
    pub Hash,
);

/// What a device knows since its enrolment, and what it has run since.
#[derive(Clone, Copy, Debug)]
pub struct Enrolled<'e> {
    /// Keys that sign model files.
    pub keys: &'e [PublicKey],
    /// Keys that do so no more.
    pub revoked: &'e [PublicKey],
    /// The highest release that it has accepted; 0 for none.
    pub release: u32,
}

impl PublicKey {
    /// Whether this key signed a message.
    pub fn signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let key = ed25519_compact::PublicKey::new(self.0);
        let signature = ed25519_compact::Signature::new(*signature);
        key.verify(message, &signature).is_ok()
    }
}

/// Whether a key signed a model. The digest is computed anew where the model
/// was read without its hashes.
///
/// # Errors
/// [`Error::BadSignature`], also for a file that is not signed; [`Error::BadHash`].
pub fn verify(model: &Model<'_>, key: &PublicKey) -> Result<(), Error> {
    let signature = model.signature().ok_or(Error::BadSignature)?;
    if !model.is_hashed() && digest(model.bytes()) != *model.digest() {
        return Err(Error::BadHash);
    }
    match key.signed(model.digest(), signature) {
        true => Ok(()),
        false => Err(Error::BadSignature),
    }
}

impl Enrolled<'_> {
    /// Whether the device may run a model. Answers the release to keep as the
    /// highest from now on.
    ///
    /// # Errors
    /// [`Error::BadSignature`] for a model that none of the keys signed,
    /// [`Error::RevokedKey`] for one that a revoked key signed,
    /// [`Error::OldRelease`] for one that is older than what ran before, and
    /// [`Error::BadHash`].
    pub fn admit(&self, model: &Model<'_>) -> Result<u32, Error> {
        // A key on both lists is revoked.
        for key in self.revoked {
            match verify(model, key) {
                Ok(()) => return Err(Error::RevokedKey),
                Err(Error::BadSignature) => {}
                Err(other) => return Err(other),
            }
        }
        let mut signed = Err(Error::BadSignature);
        for key in self.keys {
            signed = signed.or_else(|_| verify(model, key));
        }
        signed?;
        let (found, least) = (model.release(), self.release);
        match found < least {
            true => Err(Error::OldRelease { found, least }),
            false => Ok(found),
        }
    }
}
