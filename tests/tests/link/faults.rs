//! One fault at any byte of a session: it ends right, or with a clean error in time.

use std::time::Duration;

use foveola::link::LinkError;
use foveola_tests::root;

use super::script::{Script, WORKS};
use super::world::{End, Fault, KINDS, Kind, Ram, Way, World};

fn small() -> Vec<u8> {
    std::fs::read(root().join("core/fixtures/small.fov")).expect("the fixture")
}

/// Runs the script under a fault and judges how it went.
fn check(model: &[u8], expected: &[String], fault: Fault) {
    let (mut first, mut second) = (Ram::new(), Ram::new());
    let world = World::new(vec![&mut second, &mut first], None, Some(fault));
    let run = |number| Script::run(&world, number, model).map(|script| script.said);
    match (run(5), fault.kind) {
        (Ok(said), kind) => {
            assert_eq!(said, expected, "{fault:?}");
            // Only a device that was restarted may have forgotten what it did.
            let once = world.begun() == WORKS || kind == Kind::Device;
            assert!(once, "{fault:?}: {} works", world.begun());
        }
        // The host's program ended; the next one finds a device that answers.
        (Err(LinkError::Line(_)), Kind::Host) => {
            assert_eq!(run(6).expect("a second session"), expected, "{fault:?}");
        }
        (Err(LinkError::Restarted), Kind::Device) => {
            assert_eq!(run(6).expect("a second session"), expected, "{fault:?}");
        }
        (Err(error), _) => panic!("{fault:?}: {error}"),
    }
    // Fifty messages at 2 ms each, one silence, one wait for a repeat.
    let limit = Duration::from_secs(2);
    assert!(world.now() < limit, "{fault:?}: {:?}", world.now());
}

fn transcript(model: &[u8]) -> (Vec<String>, [usize; 2]) {
    let mut ram = Ram::new();
    let world = World::new(vec![&mut ram], None, None);
    let script = Script::run(&world, 5, model).expect("a line without faults");
    assert!(script.messages >= 50, "{} messages", script.messages);
    assert_eq!(world.begun(), WORKS);
    println!(
        "{} messages, bytes both ways: {:?}",
        script.messages,
        world.sent()
    );
    (script.said, world.sent())
}

fn faults(step: usize) -> usize {
    let model = small();
    let (expected, sent) = transcript(&model);
    let mut count = 0;
    for (way, bytes) in [(Way::ToDevice, sent[0]), (Way::ToHost, sent[1])] {
        for (i, at) in (0..bytes).step_by(step).enumerate() {
            for kind in KINDS {
                if (way, kind) == (Way::ToHost, Kind::Host) {
                    continue;
                }
                // Another byte for each kind, so that few steps see many places.
                let at = (at + (i + kind as usize) % step).min(bytes - 1);
                check(&model, &expected, Fault { way, at, kind });
                count += 1;
            }
        }
    }
    count
}

#[test]
fn at_every_twentieth_byte() {
    println!("{} sessions", faults(20));
}

/// `cargo test --release --test link -- --ignored`
#[test]
#[ignore = "minutes"]
fn at_every_byte() {
    println!("{} sessions", faults(1));
}

/// Nobody at the other end: an error after two seconds.
#[test]
fn a_dead_device() {
    let mut ram = Ram::new();
    let world = World::new(vec![&mut ram], None, None);
    world.hush();
    let error = foveola::link::Session::open(End(&world), 1).expect_err("silence");
    assert!(matches!(error, LinkError::Silent { .. }), "{error}");
    assert_eq!(world.now(), Duration::from_secs(2));
}
