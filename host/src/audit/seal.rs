//! Adds to a compiled model what a device holds it to: a policy, a release, a
//! signature. And the keys that sign.

use std::path::Path;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use foveola_core::audit::signature::PublicKey;
use foveola_core::net::format::{ALIGNMENT, Header, SIGNED, SectionRecord, section};
use foveola_core::net::model::{Model, crc32c, digest};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::{AuditError, hash, hex};

/// What is added.
#[derive(Clone, Debug, Default)]
pub struct Seal {
    /// The policy; `None` leaves the file's own.
    pub policy: Option<Vec<u8>>,
    /// The release; `None` leaves the file's own.
    pub release: Option<u32>,
    /// Who signs.
    pub key: Option<SigningKey>,
}

/// Makes a sealed copy of a checked model file. A file that is sealed anew
/// loses the signature that it had.
pub fn seal(model: &Model<'_>, seal: &Seal) -> Vec<u8> {
    let bytes = model.bytes();
    let (mut header, table) =
        Header::read_from_prefix(bytes).expect("a checked model has a header");
    let count = header.sections.get() as usize;
    let (records, _) = <[SectionRecord]>::ref_from_prefix_with_elems(table, count)
        .expect("a checked model has its sections");
    let old = |record: &SectionRecord| {
        let start = record.offset.get() as usize;
        &bytes[start..start + record.length.get() as usize]
    };
    let mut sections: Vec<&[u8]> = records.iter().take(section::COUNT).map(old).collect();
    sections.extend(seal.policy.as_deref().or(model.policy()));
    let mut out = lay_out(&sections);
    header.length = U32::new(out.len() as u32);
    header.sections = U32::new(sections.len() as u32);
    header.release = U32::new(seal.release.unwrap_or(model.release()));
    header.flags = U16::new(if seal.key.is_some() { SIGNED } else { 0 });
    header.signature = [0; 64];
    out[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    header.digest = digest(&out);
    if let Some(key) = &seal.key {
        header.signature = key.sign(&header.digest).to_bytes();
    }
    out[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    out
}

/// Room for the header, the table, and the sections.
fn lay_out(sections: &[&[u8]]) -> Vec<u8> {
    let head = size_of::<Header>();
    let mut out = vec![0; head + sections.len() * size_of::<SectionRecord>()];
    for (i, content) in sections.iter().enumerate() {
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        let record = SectionRecord {
            kind: U16::new(i as u16 + 1),
            reserved: U16::new(0),
            offset: U32::new(out.len() as u32),
            length: U32::new(content.len() as u32),
            crc: U32::new(crc32c(content)),
        };
        let at = head + i * size_of::<SectionRecord>();
        out[at..at + size_of::<SectionRecord>()].copy_from_slice(record.as_bytes());
        out.extend_from_slice(content);
    }
    out
}

/// Makes a key, writes it into a file that must not be there yet, and its
/// public half beside it with the ending `.pub`. Answers the public half.
///
/// # Errors
/// A file that is there already or cannot be written.
pub fn keygen(path: &Path) -> Result<PublicKey, AuditError> {
    let seed = ed25519_compact::Seed::generate();
    let key = SigningKey::from_bytes(&seed);
    let public = key.verifying_key().to_bytes();
    write_new(path, &format!("{}\n", hex(seed.as_ref())), true)?;
    let beside = path.with_added_extension("pub");
    write_new(&beside, &format!("{}\n", hex(&public)), false)?;
    Ok(PublicKey(public))
}

fn write_new(path: &Path, text: &str, is_secret: bool) -> Result<(), AuditError> {
    use std::io::Write;
    let failed = |source| AuditError::Write {
        path: path.to_path_buf(),
        source,
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_secret {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn digits(path: &Path) -> Result<[u8; 32], AuditError> {
    let text = std::fs::read_to_string(path).map_err(|source| AuditError::File {
        path: path.to_path_buf(),
        source,
    })?;
    hash(&text).ok_or_else(|| AuditError::Key(path.to_path_buf()))
}

/// The private key in a file.
///
/// # Errors
/// A file that cannot be read or holds no key.
pub fn signing_key(path: &Path) -> Result<SigningKey, AuditError> {
    Ok(SigningKey::from_bytes(&digits(path)?))
}

/// The public key in a file.
///
/// # Errors
/// A file that cannot be read or holds no key.
pub fn public_key(path: &Path) -> Result<PublicKey, AuditError> {
    Ok(PublicKey(digits(path)?))
}

/// Whether a key signed a message, as both implementations see it: what one of
/// them rejects is rejected.
pub fn signed(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
    let second = VerifyingKey::from_bytes(&key.0).is_ok_and(|known| {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        known.verify_strict(message, &signature).is_ok()
    });
    second && key.signed(message, signature)
}
