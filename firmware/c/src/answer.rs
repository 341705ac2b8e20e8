//! What became of a call: codes, reasons, outcomes.

use core::ptr;

use foveola_core::Error;
use foveola_core::explain::Outcome;
use foveola_core::wire::fault::Fault;

use crate::abi;

/// `FOVEOLA_NULL`, `FOVEOLA_MISALIGNED`, `FOVEOLA_OVERLAP`; `core`'s numbers are below.
const NULL: i32 = 64;
const MISALIGNED: i32 = 65;
const OVERLAP: i32 = 66;

/// Why there is no answer.
#[derive(Clone, Copy)]
pub enum Refusal {
    /// An error of `core`.
    Core(Error),
    /// This pointer is null.
    Null(&'static str),
    /// This pointer is not aligned to its type.
    Misaligned(&'static str),
    /// The scratch is too small; in bytes.
    Scratch {
        /// Needed.
        need: usize,
        /// There.
        have: usize,
    },
    /// Memory that a call writes overlaps other memory of the call.
    Overlap,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl Refusal {
    /// The code, and what goes with it.
    pub fn told(self, engine: i32) -> (i32, abi::Failure) {
        let (code, numbers, text) = match self {
            Self::Core(error) => numbered(error, named(error)),
            Self::Scratch { need, have } => {
                numbered(Error::BufferTooSmall { need, have }, "scratch")
            }
            Self::Null(name) => (NULL, [0; 6], name),
            Self::Misaligned(name) => (MISALIGNED, [0; 6], name),
            Self::Overlap => (OVERLAP, [0; 6], ""),
        };
        let failure = abi::Failure {
            engine,
            numbers,
            ..failure(text)
        };
        (code, failure)
    }
}

/// The number of [`Error::Internal`].
const INTERNAL: i32 = 25;

/// An error of `core` as it travels.
fn numbered(error: Error, text: &'static str) -> (i32, [u32; 6], &'static str) {
    match Fault::from(error) {
        Fault::Core {
            number, numbers, ..
        } => (number.into(), numbers, text),
        _ => (INTERNAL, [0; 6], text),
    }
}

const fn named(error: Error) -> &'static str {
    match error {
        Error::BadParameter(text) => text,
        _ => "",
    }
}

const fn failure(text: &'static str) -> abi::Failure {
    abi::Failure {
        engine: 0,
        numbers: [0; 6],
        text_length: text.len() as u32,
        text: text.as_ptr().cast(),
    }
}

/// No failure.
pub const fn fine() -> abi::Failure {
    abi::Failure {
        text: ptr::null(),
        ..failure("")
    }
}

/// An outcome as C sees it.
pub const fn outcome(of: Outcome) -> abi::Outcome {
    let (kind, reason, done, total) = match of {
        Outcome::Ok => (0, "", 0, 0),
        Outcome::Flat => (1, "", 0, 0),
        Outcome::Undefined(reason) => (2, reason, 0, 0),
        Outcome::Partial { done, total } => (3, "", done, total),
    };
    abi::Outcome {
        done,
        total,
        kind,
        reason_length: reason.len() as u32,
        reason: reason.as_ptr().cast(),
    }
}
