//! `foveola audit` on logs as a device writes them, and on logs that somebody
//! has tampered with.

#[path = "cli/room.rs"]
#[allow(dead_code, reason = "shared with the other tests of the program")]
mod room;

use foveola_core::audit::Hash;
use foveola_core::audit::key::Key;
use foveola_core::audit::record::{Encoded, Entry, Event, origin};
use foveola_core::audit::verify::checkpoint_parts;
use room::{Room, Said};

const DEVICE: &str = "pole camera 7";
const KEY: &str = "2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a\n";

/// Records of a device.
fn log(device: &str) -> Vec<Vec<u8>> {
    let mut key = Key::enrolled([0x2a; 32]);
    let mut previous: Hash = origin(device);
    let mut log = Vec::new();
    for number in 0..30_u64 {
        let event = match number % 10 {
            0 => Event::Boot { lost: 0 },
            9 => {
                let said = number.to_le_bytes();
                let signature = key.sign(&checkpoint_parts(&said, &previous));
                let epoch = key.epoch;
                key = key.next();
                Event::Checkpoint { epoch, signature }
            }
            n => Event::Verdict {
                class: n as u16,
                rule: u16::from(n == 5) * 3,
                inside: 0.58,
            },
        };
        let entry = Entry {
            boot: (number / 10) as u32,
            time: (number != 3).then_some(1_795_312_800_000 + number * 1000),
            model: [1; 32],
            firmware: [2; 32],
            input: [number as u8; 32],
            output: [4; 32],
            event,
        };
        let encoded = Encoded::new(number, &previous, &entry);
        previous = *encoded.hash();
        log.push(encoded.bytes().to_vec());
    }
    log
}

/// Verifies a log with the key, and maybe an anchor.
fn verify(room: &Room, log: &[Vec<u8>], anchor: Option<&str>) -> Said {
    let file = room.put("log.bin", &log.concat());
    let key = room.put("key.txt", KEY.as_bytes());
    let mut args = vec!["audit", "verify", &file, "--device", DEVICE, "--key", &key];
    if let Some(anchor) = anchor {
        args.extend(["--anchor", anchor]);
    }
    room.run(&args)
}

/// The anchor that a run printed.
fn anchor(said: &Said) -> String {
    let line = said.out.lines().find_map(|l| l.strip_prefix("anchor "));
    line.expect("an anchor").to_owned()
}

#[test]
fn a_whole_log_is_told_and_found_sound() {
    let room = Room::new();
    let said = verify(&room, &log(DEVICE), None);
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "30 records, 0 to 29, 3 boots",
        "signed up to record 29",
        "nothing is wrong",
    ] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
    let again = verify(&room, &log(DEVICE), Some(&anchor(&said)));
    assert_eq!(again.code, Some(0), "{again:?}");
    let shown = room.run(&["audit", "show", "log.bin"]);
    assert!(
        shown
            .out
            .contains("FAIL by rule 3: class 5, 58 % of the evidence inside")
    );
    assert!(shown.out.contains("2026-11-22 02:00:01"), "{}", shown.out);
    let one = room.run(&["audit", "show", "log.bin", "3"]);
    assert!(one.out.contains(&"03".repeat(32)), "{}", one.out);
    assert!(one.out.contains("unknown"), "{}", one.out);
}

#[test]
fn tampering_is_named() {
    let room = Room::new();
    let sound = log(DEVICE);
    let found = |log: &[Vec<u8>], what: &str| {
        let said = verify(&room, log, None);
        assert_eq!(said.code, Some(1), "{what}: {said:?}");
        assert!(said.out.contains(what), "{what}: {}", said.out);
    };
    let mut deleted = sound.clone();
    deleted.drain(11..14);
    found(&deleted, "gap: records 11 to 13 are missing");
    let mut changed = sound.clone();
    changed[8][190] ^= 1;
    found(&changed, "where record 8 should be");
    found(&changed, "record 8 is missing");
    let mut swapped = sound.clone();
    swapped.swap(4, 5);
    found(&swapped, "record 4 comes again or too late");
    found(&sound[4..], "the log begins at record 4");
    let other = log("pole camera 8");
    found(&other, "the log begins on another device");
    found(
        &[&sound[..7], &other[7..]].concat(),
        "record 7 was not written behind",
    );
}

#[test]
fn a_missing_end_is_found_with_the_anchor_alone() {
    let room = Room::new();
    let whole = verify(&room, &log(DEVICE), None);
    let short = &log(DEVICE)[..20];
    assert_eq!(verify(&room, short, None).code, Some(0));
    let said = verify(&room, short, Some(&anchor(&whole)));
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("its end was cut off"), "{}", said.out);
}

#[test]
fn what_is_no_log_is_said_to_be_none() {
    let room = Room::new();
    let key = room.put("key.txt", b"not a key");
    let photo = room.put("photo.bin", &[7; 5000]);
    for (args, what) in [
        (
            vec!["audit", "verify", &photo, "--device", "x"],
            "holds no record",
        ),
        (
            vec!["audit", "show", "nothing.bin"],
            "cannot read nothing.bin",
        ),
        (
            vec!["audit", "verify", &photo, "--device", "x", "--anchor", "7"],
            "64 hexadecimal",
        ),
    ] {
        let said = room.run(&args);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains(what), "{}", said.err);
    }
    let log = room.put("log.bin", &log(DEVICE).concat());
    let said = room.run(&["audit", "verify", &log, "--device", DEVICE, "--key", &key]);
    assert_eq!(
        (said.code, said.err.contains("holds no key")),
        (Some(2), true)
    );
    let said = room.run(&["audit", "show", &log, "99"]);
    assert!(said.err.contains("it holds 0 to 29"), "{}", said.err);
}
