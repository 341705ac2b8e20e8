//! The log's key: it signs, then moves on.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::Hash;

/// Said before a key is hashed into the next one.
const NEXT: &[u8] = b"foveola log key, next";

/// The key of an epoch. An epoch ends with each checkpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// 0 for the key of the enrolment.
    pub epoch: u32,
    secret: Hash,
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Key(epoch {})", self.epoch)
    }
}

impl Key {
    /// The key that device and verifier share from the enrolment on.
    pub const fn enrolled(secret: Hash) -> Self {
        Self { epoch: 0, secret }
    }

    /// A key as it was stored.
    pub const fn stored(epoch: u32, secret: Hash) -> Self {
        Self { epoch, secret }
    }

    /// The secret, to be stored.
    pub const fn secret(&self) -> &Hash {
        &self.secret
    }

    /// The next epoch's key; there is no way back.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut hash = Sha256::new();
        hash.update(NEXT);
        hash.update(self.secret);
        Self {
            epoch: self.epoch.wrapping_add(1),
            secret: hash.finalize().into(),
        }
    }

    /// HMAC-SHA-256 of a statement in parts, each of which has a fixed length.
    pub fn sign(&self, parts: &[&[u8]]) -> Hash {
        // HMAC takes keys of any length, so there is always a value.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else {
            return [0; 32];
        };
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether this key signed the statement. The time it takes does not
    /// depend on where signatures differ.
    pub fn signed(&self, parts: &[&[u8]], signature: &Hash) -> bool {
        let own = self.sign(parts);
        let mut differences = 0;
        for (a, b) in own.iter().zip(signature) {
            differences |= a ^ b;
        }
        differences == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2, is shorter than a key here; case 1 padded with
    /// zeros is the same key to HMAC.
    #[test]
    fn signs_as_rfc_4231_says() {
        let mut secret = [0; 32];
        secret.iter_mut().take(20).for_each(|byte| *byte = 0x0b);
        let key = Key::enrolled(secret);
        let wanted = [
            0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b,
            0xf1, 0x2b, 0x88, 0x1d, 0xc2, 0x00, 0xc9, 0x83, 0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c,
            0x2e, 0x32, 0xcf, 0xf7,
        ];
        assert_eq!(key.sign(&[b"Hi ", b"There"]), wanted);
        assert!(key.signed(&[b"Hi There"], &wanted));
        assert!(!key.signed(&[b"Hi there"], &wanted));
    }

    #[test]
    fn epochs_follow_each_other() {
        let first = Key::enrolled([7; 32]);
        let second = first.next();
        assert_eq!(second.epoch, 1);
        assert_ne!(first.secret(), second.secret());
        assert_eq!(second, Key::stored(1, *second.secret()));
    }
}
