//! Records and faults in words.

use foveola_core::audit::judge::split_code;
use foveola_core::audit::record::{Event, Record};
use foveola_core::audit::verify::Fault;
use foveola_core::wire::message::{Call, Explain};
use foveola_core::wire::question::read;

/// A fault, and what it means.
pub fn explain(fault: &Fault) -> String {
    match *fault {
        Fault::Damaged { number, flaw } => {
            format!("where record {number} should be: {}", super::flaw(flaw))
        }
        Fault::Gap { wanted, found } if found > wanted => {
            let missing = found - wanted;
            let last = found - 1;
            match missing {
                1 => format!("gap: record {wanted} is missing"),
                _ => format!("gap: records {wanted} to {last} are missing"),
            }
        }
        Fault::Gap { wanted, found } => {
            format!("record {found} comes again or too late, where {wanted} should be")
        }
        Fault::Chain { number } => {
            format!(
                "record {number} was not written behind the record before it: one of them was changed, or comes from another log"
            )
        }
        Fault::OtherDevice => String::from("the log begins on another device"),
        Fault::Signature { number } => {
            format!(
                "record {number} is not signed by this device's key: the records before it were rewritten, or the key is another device's"
            )
        }
        Fault::Epoch {
            number,
            wanted,
            found,
        } => format!(
            "record {number} is signed with key {found}, and key {wanted} should come: a checkpoint is missing or was made with a key that was learnt later"
        ),
        Fault::Boot { number } => format!("record {number} counts fewer boots than the one before"),
        Fault::Beginning { number } => {
            format!(
                "the log begins at record {number}, and no record says that the older ones were given up"
            )
        }
        Fault::Ending { number, anchor } => {
            format!(
                "the log ends at record {number}, before the anchor at {anchor}: its end was cut off, or the device was set back"
            )
        }
        Fault::Anchor { number } => {
            format!("record {number} is not the one that the anchor remembers")
        }
        _ => format!("{fault:?}"),
    }
}

/// What a record says, in a sentence.
pub fn story(record: &Record<'_>) -> String {
    match record.entry.event {
        Event::Boot { lost: 0 } => String::from("started"),
        Event::Boot { lost } => format!("started; {lost} signed records were gone"),
        Event::Model { version, code: 0 } => format!("model version {version} is sound"),
        Event::Model { version, code } => {
            format!("model version {version} was refused, error {code}")
        }
        Event::SelfTest { cases, failed: 0 } => format!("self-test: all of {cases} passed"),
        Event::SelfTest { cases, failed } => format!("self-test: {failed} of {cases} FAILED"),
        Event::Answer { class, score } => format!("answered class {class}, score {score}"),
        Event::Explanation { class, method } => {
            format!("explained class {class} with {}", question(method))
        }
        Event::Verdict {
            class,
            rule: 0,
            inside,
        } => format!(
            "PASS: class {class}, {:.0} % of the evidence inside",
            100.0 * inside
        ),
        Event::Verdict {
            class,
            rule,
            inside,
        } => format!(
            "{}: class {class}, {:.0} % of the evidence inside",
            verdict(rule),
            100.0 * inside
        ),
        Event::Update { slot, version } => format!("model version {version} runs from slot {slot}"),
        Event::Checkpoint { epoch, .. } => format!("signed with key {epoch}"),
        Event::Cut { first, .. } => format!("records before {first} given up for room"),
        Event::Volatile => {
            String::from("from here on records are in memory only: no key, or the flash failed")
        }
        _ => String::from("something that this version does not know"),
    }
}

/// The method of an explanation, with its parameters; the seed where it draws masks.
fn question(method: &str) -> String {
    match read(method) {
        Some(Explain {
            method:
                call @ (Call::Rise { .. }
                | Call::CentredRise { .. }
                | Call::EvenRise { .. }
                | Call::ActivationMaximisation { .. }
                | Call::Noise { .. }),
            seed,
            ..
        }) => format!("{call}, seed {seed}"),
        Some(explain) => explain.method.to_string(),
        None => method.to_owned(),
    }
}

/// A verdict's number in words.
pub(super) fn verdict(code: u16) -> String {
    match split_code(code) {
        (0, None) => String::from("PASS"),
        (rule, None) => format!("FAIL by rule {rule}"),
        (0, Some(reason)) => format!("FAIL ({reason})"),
        (rule, Some(reason)) => format!("FAIL by rule {rule} ({reason})"),
    }
}
