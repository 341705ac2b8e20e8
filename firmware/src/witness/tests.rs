#![allow(clippy::unwrap_used, reason = "tests")]

use foveola_core::audit::key::Key;
use foveola_core::audit::record::{Record, length};
use foveola_core::audit::verify::{Fault, Summary, Verifier};

use super::*;
use crate::flash::mock::{CUTS, Cut, Memory, PAGE};

const PAGES: usize = 24;
const DEVICE: &str = "pole camera 7";
const SECRET: Hash = [42; 32];
const SIGNER: Hash = [6; 32];

fn model(seed: u8) -> Vec<u8> {
    (0..3000)
        .map(|i| (i as u8).wrapping_mul(seed) ^ seed)
        .collect()
}

fn answer(class: u16) -> Occurrence<'static> {
    Occurrence::of(Event::Answer { class, score: 0.5 })
}

/// Switches a device on, has `then` done, and switches it off.
fn boot<R>(flash: &RefCell<Memory>, then: impl FnOnce(&mut Witness<'_, Memory>) -> R) -> R {
    let mut ring = vec![0; 1500];
    let mut witness = Witness::new(Some(flash), &mut ring, [2; 32]);
    let mut out = vec![0; 8 * PAGE];
    let hash = match witness.load(&mut out) {
        Ok(Some(_)) => [out[1]; 32],
        _ => [0; 32],
    };
    witness.begin(hash);
    then(&mut witness)
}

/// The whole log, read in pieces of odd length.
fn export(witness: &mut Witness<'_, Memory>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut piece = [0; 97];
        let total = witness.export(all.len() as u32, &mut piece) as usize;
        let left = total - all.len();
        all.extend_from_slice(&piece[..left.min(97)]);
        if all.len() == total {
            return all;
        }
    }
}

fn verified(mut log: &[u8], key: Option<Key>) -> Result<(Summary, Vec<Event<'_>>), Fault> {
    let mut verifier = Verifier::new(DEVICE, key, None);
    let mut events = Vec::new();
    while let Some(end) = length(log) {
        let (record, rest) = log.split_at(end);
        events.push(verifier.take(record)?.entry.event);
        log = rest;
    }
    assert!(log.is_empty());
    Ok((verifier.finish()?, events))
}

fn enrolled() -> RefCell<Memory> {
    let flash = RefCell::new(Memory::of(PAGES));
    boot(&flash, |witness| {
        assert_eq!(witness.storage().keeping, Keeping::NotEnrolled);
        let error = witness.enrol("", SECRET, SIGNER);
        assert_eq!(error, Err(EnrolError::Name));
        witness.enrol(DEVICE, SECRET, SIGNER).unwrap();
        let again = witness.enrol(DEVICE, [1; 32], SIGNER);
        assert_eq!(again, Err(EnrolError::Already));
    });
    flash.borrow_mut().restart();
    flash
}

#[test]
fn the_log_goes_on_from_boot_to_boot_and_names_the_update() {
    let flash = enrolled();
    boot(&flash, |witness| {
        assert_eq!(
            (witness.storage().device, witness.signer()),
            (DEVICE, &SIGNER)
        );
        witness.note(&answer(1));
        witness.keep(&model(3), [3; 32], 4).unwrap();
        witness.note(&answer(2));
    });
    let log = boot(&flash, |witness| {
        assert_eq!((witness.storage().active, witness.release()), (Some(0), 4));
        export(witness)
    });
    let (summary, events) = verified(&log, Some(Key::enrolled(SECRET))).unwrap();
    // The start at the enrolment, one with work, one to read.
    assert_eq!(summary.boot, 2);
    assert_eq!(summary.signed, summary.last, "signed for the export");
    let slot = 0;
    let wanted = [
        Event::Boot { lost: 0 },
        Event::Answer {
            class: 1,
            score: 0.5,
        },
        Event::Update { slot, version: 4 },
        Event::Answer {
            class: 2,
            score: 0.5,
        },
        Event::Boot { lost: 0 },
    ];
    let told = events.into_iter().skip(1);
    let told: Vec<_> = told
        .filter(|e| !matches!(e, Event::Checkpoint { .. }))
        .collect();
    assert_eq!(told, wanted);
    let last = boot(&flash, |witness| witness.storage().last);
    let models = records_of(&log, |record| record.entry.model);
    assert!(models.contains(&[0; 32]) && models.contains(&[3; 32]));
    assert!(last.0 > summary.last.unwrap().number);
}

fn records_of<R>(mut log: &[u8], take: impl Fn(&Record<'_>) -> R) -> Vec<R> {
    let mut all = Vec::new();
    while let Some(end) = length(log) {
        let (record, rest) = log.split_at(end);
        all.push(take(&Record::read(record).unwrap()));
        log = rest;
    }
    all
}

/// The flash stops at an operation and never works again: what was there can be
/// read, what comes is in memory, says so, and is chained to it.
#[test]
fn a_failing_flash_does_not_stop_the_device() {
    let whole = enrolled();
    for at in 0..40 {
        let flash = RefCell::new(whole.borrow().clone());
        flash.borrow_mut().cut = Some((at, Cut::Before));
        boot(&flash, |witness| {
            for class in 0..30 {
                witness.note(&answer(class));
            }
            let failed = witness.storage().keeping == Keeping::FlashFailed;
            assert!(failed, "{at}");
            let _ = witness
                .keep(&model(3), [3; 32], 4)
                .expect_err("it cannot be kept");
            let log = export(witness);
            let events = records_of(&log, |record| format!("{:?}", record.entry.event));
            let last = events.last().unwrap();
            assert!(last.contains("class: 29"), "{last}");
            let numbers = records_of(&log, |record| record.number);
            let hashes = records_of(&log, |record| (record.previous, record.hash));
            let chained = hashes.is_sorted_by(|a, b| b.0 == a.1);
            assert!(chained && numbers.is_sorted_by(|a, b| a + 1 == *b));
        });
    }
    // None at all.
    let mut ring = vec![0; 5000];
    let mut none = Witness::<Memory>::new(None, &mut ring, [2; 32]);
    none.begin([1; 32]);
    none.note(&answer(7));
    assert_eq!(none.enrol(DEVICE, SECRET, SIGNER), Err(EnrolError::Flash));
    let log = export(&mut none);
    let said = records_of(&log, |record| record.entry.event == Event::Volatile);
    assert_eq!(said, [false, true, false]);
}

/// Power goes at every operation of an update with its record, and at every
/// operation of the start behind it: one of the two models runs, the log is
/// sound, and it tells of the update if and only if the new model runs.
#[test]
fn an_update_and_its_record_outlast_every_cut() {
    let flash = enrolled();
    boot(&flash, |witness| witness.keep(&model(3), [3; 32], 4)).unwrap();
    flash.borrow_mut().restart();
    let update = |flash: &RefCell<Memory>| {
        boot(flash, |witness| witness.keep(&model(5), [5; 32], 5).is_ok());
    };
    let operations = |flash: &RefCell<Memory>, step: &dyn Fn(&RefCell<Memory>)| {
        let whole = RefCell::new(flash.borrow().clone());
        step(&whole);
        whole.borrow().done
    };
    let start = |flash: &RefCell<Memory>| boot(flash, |_| ());
    let mut seen = [0; 2];
    let mut check = |flash: &RefCell<Memory>, what: &dyn std::fmt::Debug| {
        let flash = RefCell::new(flash.borrow().clone());
        flash.borrow_mut().restart();
        boot(&flash, |witness| {
            let mut out = vec![0; 8 * PAGE];
            let length = witness.load(&mut out).unwrap().unwrap();
            let new = out[..length] == model(5);
            assert!(new || out[..length] == model(3), "{what:?}: a mixture");
            let log = export(witness);
            let (_, events) = verified(&log, Some(Key::enrolled(SECRET))).expect("a sound log");
            let told = |event: &Event<'_>| matches!(event, Event::Update { version: 5, .. });
            assert_eq!(events.iter().any(told), new, "{what:?}");
            seen[usize::from(new)] += 1;
        });
    };
    for at in 0..operations(&flash, &update) {
        for how in CUTS {
            let cut = RefCell::new(flash.borrow().clone());
            cut.borrow_mut().cut = Some((at, how));
            update(&cut);
            check(&cut, &(at, how));
            cut.borrow_mut().restart();
            for again in 0..operations(&cut, &start) {
                for how_again in CUTS {
                    let twice = RefCell::new(cut.borrow().clone());
                    twice.borrow_mut().cut = Some((again, how_again));
                    start(&twice);
                    check(&twice, &(at, how, again, how_again));
                }
            }
        }
    }
    println!(
        "{} cuts left the old model, {} the new one",
        seen[0], seen[1]
    );
    assert!(seen[0] > 500 && seen[1] > 100);
}
