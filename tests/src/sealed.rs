//! Model files with a policy, a release and a signature, written by hand from
//! the pages of `net::format` and `audit::policy`.

use ed25519_dalek::{Signer, SigningKey};
use foveola_core::wire::message::Call;
use sha2::{Digest, Sha256};

/// Bytes of the header, and of an entry of the section table.
const HEADER: usize = 128;
const ENTRY: usize = 16;

/// A rule with a region in pixels.
pub struct Rule {
    /// The method.
    pub call: Call,
    /// x, y, width and height of a box.
    pub region: [f32; 4],
    /// Least share of the evidence there.
    pub least: f32,
}

/// A picture whose answer is known.
pub struct Case {
    /// Height, width, channels.
    pub shape: [u32; 3],
    /// Pixels.
    pub picture: Vec<u8>,
    /// Probabilities.
    pub scores: Vec<f32>,
    /// The class that the map of the first rule explains, and its hash.
    pub map: (u16, [u8; 32]),
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ ((crc & 1) * 0x82F6_3B78)
        })
    })
}

fn floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// The bytes of a policy of one rule and one case.
pub fn policy(rule: &Rule, case: &Case, on_failure: u8) -> Vec<u8> {
    let data_at = 64 + 64 + 16 + 80;
    let mut room = [0; 128];
    let call = postcard::to_slice(&rule.call, &mut room).expect("it is small");
    let mut data = call.to_vec();
    let call_length = data.len();
    let picture_at = data_at + data.len();
    data.extend(&case.picture);
    while !(data_at + data.len()).is_multiple_of(4) {
        data.push(0);
    }
    let scores_at = data_at + data.len();
    data.extend(floats(&case.scores));
    let mut all = b"FVP1".to_vec();
    all.extend(((data_at + data.len()) as u32).to_le_bytes());
    for count in [1u16, 1, 0, 1] {
        all.extend(count.to_le_bytes());
    }
    all.push(on_failure);
    all.resize(64, 0);
    all.extend((data_at as u32).to_le_bytes());
    all.extend((call_length as u16).to_le_bytes());
    all.extend([0; 6]); // the best class, the method's own score, no list
    all.extend([0, 0, 1, 0]); // one box, from the first on
    all.extend([0; 4]); // pixels, no stored map
    all.extend(floats(&[0.0, 1.0, rule.least, 0.0]));
    all.resize(128, 0);
    all.extend(floats(&rule.region));
    for word in [picture_at as u32, case.picture.len() as u32] {
        all.extend(word.to_le_bytes());
    }
    for side in case.shape {
        all.extend(side.to_le_bytes());
    }
    all.extend([0, 1, 0, 0]); // pixels, probabilities, the first rule
    all.extend((scores_at as u32).to_le_bytes());
    all.extend((case.scores.len() as u16).to_le_bytes());
    all.extend(case.map.0.to_le_bytes());
    all.extend(case.map.1);
    all.resize(data_at, 0);
    all.extend(data);
    all
}

/// A model file with a policy, a release and a signature.
pub fn seal(file: &[u8], policy: &[u8], release: u32, key: &SigningKey) -> Vec<u8> {
    let count = u32::from_le_bytes(file[12..16].try_into().expect("a word"));
    let table = HEADER..HEADER + ENTRY * count as usize;
    let mut sealed = file[..HEADER].to_vec();
    for entry in file[table.clone()].chunks_exact(ENTRY) {
        let offset = u32::from_le_bytes(entry[4..8].try_into().expect("a word"));
        sealed.extend(&entry[..4]);
        sealed.extend((offset + ENTRY as u32).to_le_bytes());
        sealed.extend(&entry[8..]);
    }
    let body = &file[table.end..];
    let policy_at = (table.end + ENTRY + body.len()).next_multiple_of(16);
    sealed.extend([13, 0, 0, 0]);
    for word in [policy_at as u32, policy.len() as u32, crc32c(policy)] {
        sealed.extend(word.to_le_bytes());
    }
    sealed.extend(body);
    sealed.resize(policy_at, 0);
    sealed.extend(policy);
    sealed[6..8].copy_from_slice(&1u16.to_le_bytes());
    let length = sealed.len() as u32;
    sealed[8..12].copy_from_slice(&length.to_le_bytes());
    sealed[12..16].copy_from_slice(&(count + 1).to_le_bytes());
    sealed[16..112].fill(0);
    sealed[112..116].copy_from_slice(&release.to_le_bytes());
    let digest = Sha256::digest(&sealed);
    let signature = key.sign(&digest).to_bytes();
    sealed[16..48].copy_from_slice(&digest);
    sealed[48..112].copy_from_slice(&signature);
    sealed
}
