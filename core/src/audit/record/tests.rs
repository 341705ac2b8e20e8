#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::vec::Vec;

use super::*;

fn entry(event: Event<'_>) -> Entry<'_> {
    Entry {
        boot: 5,
        time: Some(1_763_856_000_123),
        model: [1; 32],
        firmware: [2; 32],
        input: [3; 32],
        output: [4; 32],
        event,
    }
}

fn events() -> Vec<Event<'static>> {
    std::vec![
        Event::Boot { lost: 2 },
        Event::Model {
            version: 7,
            code: 3
        },
        Event::SelfTest {
            cases: 8,
            failed: 1
        },
        Event::Answer {
            class: 281,
            score: 0.75
        },
        Event::Explanation {
            class: 281,
            method: "rise:masks=64"
        },
        Event::Verdict {
            class: 1,
            rule: 0,
            inside: 0.58
        },
        Event::Update {
            slot: 1,
            version: 8
        },
        Event::Checkpoint {
            epoch: 9,
            signature: [8; 32]
        },
        Event::Cut {
            first: 1 << 40,
            previous: [9; 32],
            epoch: 2,
            signature: [7; 32]
        },
    ]
}

#[test]
fn every_event_comes_back() {
    for event in events() {
        let encoded = Encoded::new(u64::MAX - 1, &[6; 32], &entry(event));
        let record = Record::read(encoded.bytes()).unwrap();
        assert_eq!(record.number, u64::MAX - 1);
        assert_eq!(record.previous, [6; 32]);
        assert_eq!(record.entry, entry(event));
        assert_eq!(&record.hash, encoded.hash());
        assert_eq!(length(encoded.bytes()), Some(encoded.bytes().len()));
    }
}

#[test]
fn time_may_be_unknown() {
    let entry = Entry {
        time: None,
        ..entry(Event::Boot { lost: 0 })
    };
    let encoded = Encoded::new(0, &[0; 32], &entry);
    assert_eq!(Record::read(encoded.bytes()).unwrap().entry.time, None);
}

/// The bytes that the module's table states, and a hash by `sha256sum`.
#[test]
fn the_bytes_are_those_of_the_page() {
    let encoded = Encoded::new(3, &[6; 32], &entry(Event::Boot { lost: 0 }));
    let bytes = encoded.bytes();
    assert_eq!(bytes.len(), 188 + 8 + 32);
    let mut wanted = b"FVL1\x01\x08\0\0\x03\0\0\0\0\0\0\0\x05\0\0\0".to_vec();
    wanted.extend(1_763_856_000_123_u64.to_le_bytes());
    for byte in [6, 1, 2, 3, 4] {
        wanted.extend([byte; 32]);
    }
    wanted.extend([0; 8]);
    assert_eq!(bytes.split_last_chunk::<32>().unwrap().0, wanted);
}

#[test]
fn every_flipped_bit_and_every_length_is_noticed() {
    for event in events() {
        let encoded = Encoded::new(12, &[6; 32], &entry(event));
        let bytes = encoded.bytes();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.to_vec();
            *flipped.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            assert!(Record::read(&flipped).is_err(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            let short = bytes.get(..end).unwrap();
            assert_eq!(Record::read(short), Err(Flaw::NotARecord));
        }
        let long = [bytes, &[0]].concat();
        assert_eq!(Record::read(&long), Err(Flaw::NotARecord));
    }
}

#[test]
fn long_methods_are_cut_at_a_character() {
    let method = "ä".repeat(100);
    let event = Event::Explanation {
        class: 0,
        method: &method,
    };
    let encoded = Encoded::new(0, &[0; 32], &entry(event));
    let record = Record::read(encoded.bytes()).unwrap();
    let Event::Explanation { method: kept, .. } = record.entry.event else {
        panic!("another event");
    };
    assert_eq!(kept, "ä".repeat(64));
}
