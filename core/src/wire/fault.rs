//! What went wrong, as it travels.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::tensor::Shape;

/// Why a request has no better reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault<'a> {
    /// The network or a method; see [`Fault::error`].
    Core {
        /// Which error, by its row in `host/docs/link.md`.
        number: u8,
        /// Its numbers, the unused ones 0.
        numbers: [u32; 6],
        /// What [`Error::BadParameter`] names.
        text: &'a str,
    },
    /// The device speaks another version.
    Version {
        /// Its version.
        device: u16,
    },
    /// The session is not the device's; it may have been restarted.
    Session,
    /// The request cannot be read.
    Malformed,
    /// Something else is under work.
    Busy,
    /// The board has no such thing: a camera, a log, a clock.
    Unsupported,
    /// More than there is room for.
    TooLarge {
        /// Bytes there.
        room: u32,
    },
    /// A file or picture that was not begun, or not all of it is there.
    Incomplete {
        /// Bytes that are there.
        have: u32,
    },
    /// The model that came is not the one that was announced.
    OtherModel,
    /// No model, or none in that slot.
    NoModel,
    /// No result, or not so many bytes.
    NoResult,
    /// Two runs of the self-test differ.
    SelfTest,
    /// The device refuses, for this reason.
    Denied(&'a str),
}

/// `u32::MAX` stands for what is larger.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn shape_of(h: u32, w: u32, c: u32) -> Shape {
    Shape::new(h as usize, w as usize, c as usize)
}

impl From<Error> for Fault<'static> {
    fn from(error: Error) -> Self {
        let (number, used, text): (u8, [usize; 2], &'static str) = match error {
            Error::Truncated { need, have } => (0, [need, have], ""),
            Error::BadMagic => (1, [0; 2], ""),
            Error::BadVersion { found } => (2, [usize::from(found), 0], ""),
            Error::Misaligned { offset } => (3, [offset, 0], ""),
            Error::BadSection { kind } => (4, [usize::from(kind), 0], ""),
            Error::BadChecksum { kind } => (5, [usize::from(kind), 0], ""),
            Error::BadHash => (6, [0; 2], ""),
            Error::BadTensor { index } => (7, [index, 0], ""),
            Error::BadNode { index } => (8, [index, 0], ""),
            Error::BadWeight { index } => (9, [index, 0], ""),
            Error::BadPlan { plan, buffer } => (10, [plan, buffer], ""),
            Error::BadCard => (11, [0; 2], ""),
            Error::NoPlan => (12, [0; 2], ""),
            Error::ArenaTooSmall { need, have } => (13, [need, have], ""),
            Error::BufferTooSmall { need, have } => (14, [need, have], ""),
            Error::ShapeMismatch { expected, found } => return shapes(expected, found),
            Error::TargetOutOfRange { target, classes } => (16, [target, classes], ""),
            Error::PictureNotFinite => (17, [0; 2], ""),
            Error::NotFinite { node } => (18, [node, 0], ""),
            Error::ScoreNotFinite { class } => (19, [class, 0], ""),
            Error::NotWhiteBox => (20, [0; 2], ""),
            Error::BadParameter(text) => (21, [0; 2], text),
            Error::BadOrder => (22, [0; 2], ""),
            Error::Stopped => (23, [0; 2], ""),
            Error::Backend => (24, [0; 2], ""),
            Error::Internal => (25, [0; 2], ""),
            Error::BadPolicy { part, index } => (26, [part, index], ""),
            Error::BadSignature => (27, [0; 2], ""),
            Error::RevokedKey => (28, [0; 2], ""),
            Error::OldRelease { found, least } => (29, [found as usize, least as usize], ""),
        };
        let [first, second] = used.map(small);
        Self::Core {
            number,
            numbers: [first, second, 0, 0, 0, 0],
            text,
        }
    }
}

fn shapes(expected: Shape, found: Shape) -> Fault<'static> {
    let sides = [
        expected.h, expected.w, expected.c, found.h, found.w, found.c,
    ];
    Fault::Core {
        number: 15,
        numbers: sides.map(small),
        text: "",
    }
}

impl Fault<'_> {
    /// The error of `core` that it stands for, except [`Error::BadParameter`],
    /// whose name only lives as long as the message.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        let Self::Core {
            number, numbers, ..
        } = *self
        else {
            return None;
        };
        let [n0, n1, n2, n3, n4, n5] = numbers;
        let (a, b) = (n0 as usize, n1 as usize);
        let kind = n0 as u16;
        Some(match number {
            0 => Error::Truncated { need: a, have: b },
            1 => Error::BadMagic,
            2 => Error::BadVersion { found: kind },
            3 => Error::Misaligned { offset: a },
            4 => Error::BadSection { kind },
            5 => Error::BadChecksum { kind },
            6 => Error::BadHash,
            7 => Error::BadTensor { index: a },
            8 => Error::BadNode { index: a },
            9 => Error::BadWeight { index: a },
            10 => Error::BadPlan { plan: a, buffer: b },
            11 => Error::BadCard,
            12 => Error::NoPlan,
            13 => Error::ArenaTooSmall { need: a, have: b },
            14 => Error::BufferTooSmall { need: a, have: b },
            15 => Error::ShapeMismatch {
                expected: shape_of(n0, n1, n2),
                found: shape_of(n3, n4, n5),
            },
            16 => Error::TargetOutOfRange {
                target: a,
                classes: b,
            },
            17 => Error::PictureNotFinite,
            18 => Error::NotFinite { node: a },
            19 => Error::ScoreNotFinite { class: a },
            20 => Error::NotWhiteBox,
            22 => Error::BadOrder,
            23 => Error::Stopped,
            24 => Error::Backend,
            25 => Error::Internal,
            26 => Error::BadPolicy { part: a, index: b },
            27 => Error::BadSignature,
            28 => Error::RevokedKey,
            29 => Error::OldRelease {
                found: n0,
                least: n1,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;

    /// Each number is one error's, in the order of `core`'s list.
    #[test]
    fn every_number_is_an_error_of_its_own() {
        for number in (0..30).filter(|n| *n != 21) {
            let numbers = match number {
                0 | 10 | 13 | 14 | 16 | 26 | 29 => [7, 8, 0, 0, 0, 0],
                2..=5 | 7..=9 | 18 | 19 => [7, 0, 0, 0, 0, 0],
                15 => [1, 2, 3, 4, 5, 6],
                _ => [0; 6],
            };
            let text = "";
            let fault = Fault::Core {
                number,
                numbers,
                text,
            };
            assert_eq!(Fault::from(fault.error().unwrap()), fault);
        }
        let fault = Fault::from(Error::BadParameter("window of occlusion"));
        assert_eq!(fault.error(), None);
        let expected = Fault::Core {
            number: 21,
            numbers: [0; 6],
            text: "window of occlusion",
        };
        assert_eq!(fault, expected);
    }
}
