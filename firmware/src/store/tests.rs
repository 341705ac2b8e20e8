#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::flash::mock::{CUTS, Memory, PAGE};

/// Two pages for the choice, two slots of four.
const PAGES: usize = 10;

/// Models whose lengths are no multiple of anything.
fn model(seed: u8, length: usize) -> Vec<u8> {
    let byte = |i: usize| (i as u8).wrapping_mul(seed).wrapping_add(seed) ^ (i >> 8) as u8;
    (0..length).map(byte).collect()
}

fn old() -> Vec<u8> {
    model(3, 5001)
}

fn new() -> Vec<u8> {
    model(7, 7430)
}

/// What a device runs when power comes.
fn running(flash: &mut Memory) -> Option<Vec<u8>> {
    let mut store = Store::open(flash).unwrap();
    let slot = store.active()?;
    let mut out = vec![0; 4 * PAGE];
    let length = store.load(slot, &mut out).unwrap();
    out.truncate(length);
    Some(out)
}

fn with_old() -> Memory {
    let mut flash = Memory::of(PAGES);
    assert_eq!(running(&mut flash), None);
    let mut store = Store::open(&mut flash).unwrap();
    assert_eq!(store.put(&old(), 4).unwrap(), 0);
    store.tell().unwrap();
    flash.restart();
    flash
}

/// The update: written, chosen, told.
fn update(flash: &mut Memory) {
    let Ok(mut store) = Store::open(flash) else {
        return;
    };
    if store.put(&new(), 5).is_ok() {
        let _ = store.tell();
    }
}

/// What a device does about an update when power comes.
fn recover(flash: &mut Memory) -> bool {
    let Ok(mut store) = Store::open(flash) else {
        return false;
    };
    let untold = store.is_told() == Ok(false);
    if untold {
        let _ = store.tell();
    }
    untold
}

#[test]
fn the_new_model_runs_and_the_old_one_can_be_chosen_again() {
    let mut flash = with_old();
    let mut store = Store::open(&mut flash).unwrap();
    assert_eq!(store.put(&new(), 5).unwrap(), 1);
    assert_eq!((store.active(), store.release()), (Some(1), 5));
    assert_eq!(store.is_told(), Ok(false));
    store.tell().unwrap();
    assert_eq!(store.is_told(), Ok(true));
    assert_eq!(running(&mut flash), Some(new()));
    let mut store = Store::open(&mut flash).unwrap();
    store.activate(0, 0).unwrap();
    assert_eq!(store.release(), 5, "it never goes down");
    assert_eq!(running(&mut flash), Some(old()));
    let erased = flash.erased.clone();
    assert_eq!(Store::open(&mut flash).unwrap().put(&new(), 5), Ok(1));
    assert_eq!(running(&mut flash), Some(new()));
    assert_eq!(flash.erased[2..], erased[2..], "it was there already");
    Store::open(&mut flash).unwrap().deactivate().unwrap();
    assert_eq!(running(&mut flash), None);
}

#[test]
fn a_changed_bit_is_noticed_wherever_it_is() {
    let flash = with_old();
    for bit in (0..8 * old().len()).step_by(97) {
        let mut flash = flash.clone();
        flash.bytes[2 * PAGE + bit / 8] ^= 1 << (bit % 8);
        let mut store = Store::open(&mut flash).unwrap();
        let mut out = vec![0; 4 * PAGE];
        assert_eq!(store.load(0, &mut out), Err(StoreError::NoModel));
        assert_eq!(store.activate(0, 9), Err(StoreError::NoModel));
        assert_eq!(store.release(), 4);
    }
    for bit in 0..8 * LENGTH {
        let mut flash = flash.clone();
        flash.bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Store::open(&mut flash).unwrap().active(), None, "bit {bit}");
    }
}

#[test]
fn what_is_too_large_changes_nothing() {
    let mut flash = with_old();
    let before = flash.bytes.clone();
    let mut store = Store::open(&mut flash).unwrap();
    assert_eq!(store.room() as usize, 4 * PAGE);
    assert_eq!(
        store.put(&vec![1; 4 * PAGE + 1], 9),
        Err(StoreError::TooLarge)
    );
    assert_eq!(store.load(0, &mut [0; 5000]), Err(StoreError::TooLarge));
    assert_eq!(flash.bytes, before);
    let few = Store::open(&mut Memory::of(3)).map(drop);
    assert_eq!(few, Err(StoreError::Place));
}

/// Power is cut at every operation of an update, and again at every operation
/// of the start behind it and of the second attempt.
#[test]
fn no_cut_of_power_mixes_two_models() {
    let start = with_old();
    let mut whole = start.clone();
    update(&mut whole);
    let operations = whole.done;
    assert!(operations > 30, "{operations} operations");
    let (mut cuts, mut kept_old, mut untold) = (0, 0, 0);
    let mut check = |flash: &Memory, what: &dyn std::fmt::Debug| {
        let mut flash = flash.clone();
        flash.restart();
        let found = running(&mut flash);
        assert!(
            found == Some(old()) || found == Some(new()),
            "{what:?}: a mixture"
        );
        cuts += 1;
        kept_old += usize::from(found == Some(old()));
        found == Some(new())
    };
    for at in 0..operations {
        for how in CUTS {
            let mut flash = start.clone();
            flash.cut = Some((at, how));
            update(&mut flash);
            let chosen = check(&flash, &(at, how));
            flash.restart();
            for attempt in [
                |flash: &mut Memory| {
                    recover(flash);
                },
                update,
            ] {
                let mut whole = flash.clone();
                attempt(&mut whole);
                for again in 0..whole.done {
                    for how_again in CUTS {
                        let mut flash = flash.clone();
                        flash.cut = Some((again, how_again));
                        attempt(&mut flash);
                        let after = check(&flash, &(at, how, again, how_again));
                        assert!(after || !chosen, "what was chosen stays");
                        // Whatever happened, the next attempt works.
                        flash.restart();
                        update(&mut flash);
                        assert_eq!(running(&mut flash), Some(new()));
                    }
                }
            }
            let told = recover(&mut flash.clone());
            untold += usize::from(told);
            assert!(!told || chosen, "only a choice is told");
            recover(&mut flash);
            assert!(!recover(&mut flash), "it is told once");
        }
    }
    println!("{cuts} cuts of power, {kept_old} left the old model, {untold} updates told late");
    assert!(cuts > 10_000 && kept_old > 0 && kept_old < cuts && untold > 0);
}
