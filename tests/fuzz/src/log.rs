//! Breaks logs of a device and reads them: no panic whatever the bytes, and no
//! log that was changed anywhere but at its end is found sound.

use foveola_core::audit::key::Key;
use foveola_core::audit::record::{Encoded, Entry, Event, MAX_RECORD, Record, length, origin};
use foveola_core::audit::verify::{Verifier, checkpoint_parts};

use crate::fuzz::guarded;
use crate::number::Random;
use crate::run::Finding;

const DEVICE: &str = "fuzz";
const SECRET: [u8; 32] = [7; 32];
const RECORDS: u64 = 12;

/// A sound log, record by record.
pub fn sound() -> Vec<Vec<u8>> {
    let (mut key, mut previous) = (Key::enrolled(SECRET), origin(DEVICE));
    let mut log = Vec::new();
    for number in 0..RECORDS {
        let event = match number % 4 {
            0 => Event::Boot { lost: 0 },
            1 => Event::Explanation {
                class: 3,
                method: "rise:masks=64",
            },
            2 => Event::Verdict {
                class: 1,
                rule: 0x0102,
                inside: 0.5,
            },
            _ => {
                let said = number.to_le_bytes();
                let signature = key.sign(&checkpoint_parts(&said, &previous));
                let epoch = key.epoch;
                key = key.next();
                Event::Checkpoint { epoch, signature }
            }
        };
        let entry = Entry {
            boot: (number / 4) as u32,
            time: Some(number),
            model: [1; 32],
            firmware: [2; 32],
            input: [3; 32],
            output: [4; 32],
            event,
        };
        let record = Encoded::new(number, &previous, &entry);
        previous = *record.hash();
        log.push(record.bytes().to_vec());
    }
    log
}

/// What was done to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Nothing but a cut at its end.
    End,
    /// Something that no hash was made right for.
    Noticed,
    /// A record with a hash of its own.
    Resealed,
}

fn change(log: &mut Vec<Vec<u8>>, random: &mut Random) -> Change {
    let at = random.below(log.len().max(1));
    let other = random.below(log.len().max(1));
    match random.below(8) {
        0 => {
            log.truncate(1 + at);
            Change::End
        }
        1 => {
            log.remove(at);
            if at == log.len() {
                Change::End
            } else {
                Change::Noticed
            }
        }
        2 => {
            log.swap(at, other);
            if at == other {
                Change::End
            } else {
                Change::Noticed
            }
        }
        3 => {
            let twice = log[at].clone();
            log.insert(other, twice);
            Change::Noticed
        }
        4 => {
            let end = random.below(log[at].len());
            log[at].truncate(end);
            Change::Noticed
        }
        5 => {
            let bytes = (0..random.below(MAX_RECORD)).map(|_| random.word() as u8);
            log[at] = bytes.collect();
            Change::Noticed
        }
        6 => {
            let place = random.below(log[at].len());
            // A record may be empty by now, which was noticed before.
            if let Some(byte) = log[at].get_mut(place) {
                *byte ^= 1 << random.below(8);
            }
            Change::Noticed
        }
        _ => {
            reseal(&mut log[at], random);
            Change::Resealed
        }
    }
}

/// Changes what a record says and makes its own hash right again.
fn reseal(record: &mut Vec<u8>, random: &mut Random) {
    use sha2::{Digest, Sha256};
    for _ in 0..1 + random.below(4) {
        let any = random.word() as u8;
        let place = 4 + random.below(record.len().saturating_sub(36).max(1));
        if let Some(byte) = record.get_mut(place) {
            *byte = random.pick(&[0, 1, 2, 8, 9, 10, 0x7f, 0xff, any]);
        }
    }
    if let Some(length) = length(record) {
        record.resize(length, 0);
        let (said, hash) = record.split_at_mut(length - 32);
        hash.copy_from_slice(&Sha256::digest(said));
    }
}

/// Breaks and reads log number `index` of a seed; whether it was found sound.
///
/// # Errors
/// What must not happen.
pub fn feed(sound: &[Vec<u8>], seed: u64, index: u64) -> Result<bool, Finding> {
    let mut random = Random::new(seed, index);
    let mut log = sound.to_vec();
    let mut changes = Vec::new();
    for _ in 0..1 + random.below(3) {
        if !log.is_empty() {
            changes.push(change(&mut log, &mut random));
        }
    }
    let resealed = changes.contains(&Change::Resealed);
    // Stepping over millions of keys is slow on purpose; it is not what is looked for.
    let key = (!resealed && random.chance(2)).then(|| Key::enrolled(SECRET));
    let found = guarded(|| {
        let mut verifier = Verifier::new(DEVICE, key.clone(), None);
        let mut faults = 0;
        for entry in &log {
            let _ = Record::read(entry).map(|record| record.entry.event);
            faults += usize::from(verifier.take(entry).is_err());
        }
        Ok(faults + usize::from(verifier.finish().is_err()) == 0)
    })?;
    let prefix = log.iter().zip(sound).all(|(a, b)| a == b) && log.len() <= sound.len();
    match found && !resealed && !prefix {
        true => Err(Finding::Unnoticed),
        false => Ok(found),
    }
}
