#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::vec::Vec;

use super::*;
use crate::audit::record::{Encoded, Entry};

const DEVICE: &str = "pole camera 7";

fn secret() -> Key {
    Key::enrolled([42; 32])
}

/// Writes a log as a device does.
struct Device {
    key: Key,
    last: Link,
    next: u64,
    log: Vec<Vec<u8>>,
}

impl Device {
    fn new(name: &str, key: Key) -> Self {
        let hash = origin(name);
        let last = Link { number: 0, hash };
        Self {
            key,
            last,
            next: 0,
            log: Vec::new(),
        }
    }

    fn push(&mut self, event: Event<'_>) {
        let entry = Entry {
            boot: self.next as u32 / 20,
            time: None,
            model: [1; 32],
            firmware: [2; 32],
            input: [3; 32],
            output: [4; 32],
            event,
        };
        let encoded = Encoded::new(self.next, &self.last.hash, &entry);
        self.last = Link {
            number: self.next,
            hash: *encoded.hash(),
        };
        self.log.push(encoded.bytes().to_vec());
        self.next += 1;
    }

    fn checkpoint(&mut self) {
        let number = self.next.to_le_bytes();
        let signature = self.key.sign(&checkpoint_parts(&number, &self.last.hash));
        self.push(Event::Checkpoint {
            epoch: self.key.epoch,
            signature,
        });
        self.key = self.key.next();
    }

    /// Gives up everything before record `first`.
    fn cut(&mut self, first: u64, oldest: u64) {
        let place = (first - oldest) as usize;
        let previous = Record::read(&self.log[place]).unwrap().previous;
        let (number, from) = (self.next.to_le_bytes(), first.to_le_bytes());
        let signature = self.key.sign(&cut_parts(&number, &from, &previous));
        self.push(Event::Cut {
            first,
            previous,
            epoch: self.key.epoch,
            signature,
        });
        self.log.drain(..place);
    }

    /// So many answers, a checkpoint behind every fifth.
    fn work(&mut self, answers: u16) {
        for i in 0..answers {
            self.push(Event::Answer {
                class: i,
                score: 0.5,
            });
            if i % 5 == 4 {
                self.checkpoint();
            }
        }
    }
}

fn log() -> Device {
    let mut device = Device::new(DEVICE, secret());
    device.work(40);
    device
}

/// The first fault of a log.
fn fault(log: &[Vec<u8>], anchor: Option<Link>) -> Option<Fault> {
    let mut verifier = Verifier::new(DEVICE, Some(secret()), anchor);
    for bytes in log {
        if let Err(fault) = verifier.take(bytes) {
            return Some(fault);
        }
    }
    verifier.finish().err()
}

#[test]
fn a_whole_log_is_sound() {
    let device = log();
    assert_eq!(fault(&device.log, Some(device.last)), None);
    let mut verifier = Verifier::new(DEVICE, Some(secret()), None);
    for bytes in &device.log {
        verifier.take(bytes).unwrap();
    }
    let summary = verifier.finish().unwrap();
    assert_eq!(summary.last, Some(device.last));
    assert_eq!(
        (summary.signed, summary.checkpoint),
        (Some(device.last), Some(7))
    );
}

#[test]
fn a_log_whose_beginning_was_given_up_is_sound() {
    let mut device = log();
    device.cut(23, 0);
    device.work(30);
    device.cut(31, 23);
    assert_eq!(fault(&device.log, Some(device.last)), None);
    // More may not be given up than the record says.
    device.log.remove(0);
    assert_eq!(
        fault(&device.log, None),
        Some(Fault::Beginning { number: 32 })
    );
}

#[test]
fn every_deletion_change_swap_and_doubling_is_found() {
    let device = log();
    let all = device.log.len();
    for i in 0..all {
        let mut log = device.log.clone();
        log.remove(i);
        let found = fault(&log, Some(device.last));
        assert!(found.is_some(), "record {i} deleted");
        for j in i + 1..all {
            let mut log = device.log.clone();
            log.swap(i, j);
            assert!(fault(&log, None).is_some(), "{i} and {j} swapped");
        }
        let mut log = device.log.clone();
        log.insert(i, device.log[i].clone());
        assert!(fault(&log, None).is_some(), "record {i} doubled");
        let mut log = device.log.clone();
        log[i][100] ^= 1;
        let damaged = Fault::Damaged {
            number: i as u64,
            flaw: Flaw::Hash,
        };
        assert_eq!(fault(&log, None), Some(damaged));
    }
}

/// Who rewrites the chain with right hashes cannot sign it.
#[test]
fn a_rewritten_chain_is_not_signed() {
    let mut forger = Device::new(DEVICE, Key::enrolled([43; 32]));
    forger.work(40);
    assert_eq!(
        fault(&forger.log, None),
        Some(Fault::Signature { number: 5 })
    );
    // Nor with a key that was learnt later.
    let mut forger = Device::new(DEVICE, secret().next().next());
    forger.work(40);
    assert!(matches!(
        fault(&forger.log, None),
        Some(Fault::Epoch { number: 5, .. })
    ));
}

#[test]
fn spliced_logs_do_not_join() {
    let device = log();
    let mut other = Device::new("pole camera 8", secret());
    other.work(40);
    assert_eq!(fault(&other.log, None), Some(Fault::OtherDevice));
    for i in 1..device.log.len() {
        let spliced = [&device.log[..i], &other.log[i..]].concat();
        let number = i as u64;
        assert_eq!(fault(&spliced, None), Some(Fault::Chain { number }));
    }
}

/// A shorter log is a sound log; only who remembers its end can tell.
#[test]
fn a_missing_end_is_found_with_the_anchor() {
    let device = log();
    for end in 1..device.log.len() {
        assert_eq!(fault(&device.log[..end], None), None);
        let number = end as u64 - 1;
        let anchor = device.last.number;
        assert_eq!(
            fault(&device.log[..end], Some(device.last)),
            Some(Fault::Ending { number, anchor })
        );
    }
    let mut other = device.last;
    other.hash[0] ^= 1;
    assert_eq!(
        fault(&device.log, Some(other)),
        Some(Fault::Anchor { number: 47 })
    );
}

/// One damaged record does not hide what comes behind it.
#[test]
fn reading_goes_on_behind_a_fault() {
    let device = log();
    let mut verifier = Verifier::new(DEVICE, Some(secret()), None);
    let mut faults = Vec::new();
    for (i, bytes) in device.log.iter().enumerate() {
        if i == 7 || i == 30 {
            continue;
        }
        faults.extend(verifier.take(bytes).err());
    }
    let gap = |wanted| Fault::Gap {
        wanted,
        found: wanted + 1,
    };
    assert_eq!(faults, [gap(7), gap(30)]);
    assert_eq!(verifier.finish().unwrap().signed, Some(device.last));
}
