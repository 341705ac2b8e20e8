#![allow(clippy::unwrap_used, reason = "tests")]

use foveola_core::audit::record::Record;

use super::*;
use crate::flash::mock::{CUTS, Memory, PAGE, PAGES};

const DEVICE: &str = "pole camera 7";
const RANGE: Range<u32> = 0..(PAGE * PAGES) as u32;
const SECRET: Hash = [42; 32];

const IDENTITY: Identity = Identity {
    model: [1; 32],
    firmware: [2; 32],
};

fn fresh() -> Memory {
    let mut flash = Memory::new();
    Log::format(&mut flash, RANGE, DEVICE, SECRET).unwrap();
    flash.restart();
    flash
}

/// Record `i` of the workload; its input says which one it is.
fn occurrence(i: u32) -> Occurrence<'static> {
    let mut input = [0; 32];
    input[..4].copy_from_slice(&(i + 1).to_le_bytes());
    let event = match i % 3 {
        0 => Event::Answer {
            class: i as u16,
            score: 0.5,
        },
        1 => Event::Explanation {
            class: i as u16,
            method: "grad-cam:layer=/features/12/Relu_output_0",
        },
        _ => Event::Verdict {
            class: i as u16,
            rule: 0,
            inside: 0.6,
        },
    };
    Occurrence {
        time: Some(u64::from(i) * 1000),
        input,
        ..Occurrence::of(event)
    }
}

/// What the offline verifier says, and which parts of the workload are there.
fn verified(log: &mut Log<&mut Memory>) -> Result<Vec<u32>, Fault> {
    let mut verifier = Verifier::new(DEVICE, Some(Key::enrolled(SECRET)), Some(log.last()));
    let (mut fault, mut found) = (None, Vec::new());
    log.read(|bytes| {
        match verifier.take(bytes) {
            Ok(Record { entry, .. }) => {
                let [a, b, c, d, ..] = entry.input;
                let i = u32::from_le_bytes([a, b, c, d]);
                found.extend(i.checked_sub(1));
            }
            Err(other) => fault = fault.or(Some(other)),
        }
        true
    })
    .unwrap();
    match fault {
        Some(fault) => Err(fault),
        None => verifier.finish().map(|_| found),
    }
}

fn open(flash: &mut Memory) -> Log<&mut Memory> {
    Log::open(flash, RANGE, DEVICE, IDENTITY).unwrap()
}

#[test]
fn three_hundred_records_wrap_around_and_stay_sound() {
    let mut flash = fresh();
    let mut log = open(&mut flash);
    for i in 0..300 {
        log.append(&occurrence(i)).unwrap();
        if i % 50 == 0 {
            let found = verified(&mut log).unwrap();
            assert_eq!(found.last(), Some(&i));
        }
    }
    let found = verified(&mut log).unwrap();
    assert_eq!(found.last(), Some(&299));
    assert!(found.len() > 20, "{} records kept", found.len());
    assert!(found.is_sorted_by(|a, b| a + 1 == *b));
    assert_eq!(log.fault(), None);
    log.close();
    for boot in 0..10 {
        let mut log = open(&mut flash);
        assert_eq!(log.fault(), None, "boot {boot}");
        verified(&mut log).unwrap();
    }
}

/// Where a workload of 300 records with a boot now and then stands.
struct Stage {
    flash: Memory,
    /// Records that were acknowledged.
    acknowledged: u32,
}

/// The flash before each step of the workload.
fn stages() -> Vec<Stage> {
    let mut flash = fresh();
    let mut stages = Vec::new();
    for i in 0..300 {
        stages.push(Stage {
            flash: flash.clone(),
            acknowledged: i,
        });
        let mut log = open(&mut flash);
        log.append(&occurrence(i)).unwrap();
        log.close();
        flash.restart();
    }
    stages
}

/// After a cut: the log is sound, no acknowledged record is missing at its
/// end, and at most the one that was being written is there besides.
fn check(flash: &mut Memory, acknowledged: u32, what: &dyn std::fmt::Debug) {
    flash.restart();
    let mut log = open(flash);
    assert_eq!(log.fault(), None, "{what:?}");
    let found = verified(&mut log).unwrap_or_else(|fault| panic!("{what:?}: {fault:?}"));
    let last = found.last().map_or(0, |last| last + 1);
    assert!(
        last == acknowledged || last == acknowledged + 1,
        "{what:?}: {acknowledged} were acknowledged, {last} are there"
    );
    assert!(found.is_sorted_by(|a, b| a + 1 == *b), "{what:?}");
}

/// Runs one step until power is cut.
fn step(flash: &mut Memory, i: u32) {
    if let Ok(mut log) = Log::open(&mut *flash, RANGE, DEVICE, IDENTITY) {
        let _ = log.append(&occurrence(i));
    }
}

/// Operations of one step without a cut.
fn operations(stage: &Stage) -> usize {
    let mut flash = stage.flash.clone();
    flash.restart();
    step(&mut flash, stage.acknowledged);
    flash.done
}

/// Cuts power at every operation of every step, and at one of `share`
/// operations of the start that follows. How many cuts there were.
fn cuts(share: usize) -> usize {
    let stages = stages();
    let (mut count, mut seen) = (0, 0);
    for stage in &stages {
        for at in 0..operations(stage) {
            for how in CUTS {
                let mut flash = stage.flash.clone();
                flash.cut = Some((at, how));
                step(&mut flash, stage.acknowledged);
                count += 1;
                let what = (stage.acknowledged, at, how);
                count += again(&flash, stage.acknowledged, share, &mut seen, &what);
                check(&mut flash, stage.acknowledged, &what);
            }
        }
    }
    count
}

/// Cuts power again while the device starts.
fn again(
    flash: &Memory,
    acknowledged: u32,
    share: usize,
    seen: &mut usize,
    what: &dyn std::fmt::Debug,
) -> usize {
    let mut count = 0;
    let mut whole = flash.clone();
    whole.restart();
    open(&mut whole).close();
    for at in 0..whole.done {
        for how in CUTS {
            *seen += 1;
            if !seen.is_multiple_of(share) {
                continue;
            }
            count += 1;
            let mut flash = flash.clone();
            flash.restart();
            flash.cut = Some((at, how));
            let _ = Log::open(&mut flash, RANGE, DEVICE, IDENTITY).map(Log::close);
            check(&mut flash, acknowledged, &(what, at, how));
        }
    }
    count
}

#[test]
fn no_cut_of_power_loses_a_record() {
    let count = cuts(4);
    println!("{count} cuts of power");
    assert!(count >= 100_000);
}
