//! Everything that can go wrong in `core`, with numbers instead of words.

use crate::tensor::Shape;

/// Why a call failed. Messages for people are made where people read them;
/// [`core::fmt::Display`] gives one plain sentence.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// The model file ends early.
    Truncated {
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// Not a model file.
    BadMagic,
    /// A version of the format that this build does not read.
    BadVersion {
        /// Version in the file.
        found: u16,
    },
    /// The bytes of the model or the arena do not start on a multiple of 16.
    Misaligned {
        /// Address modulo 16.
        offset: usize,
    },
    /// A section is missing, twice there, outside the file or of odd length.
    BadSection {
        /// Kind of the section.
        kind: u16,
    },
    /// CRC-32C of a section does not match.
    BadChecksum {
        /// Kind of the section.
        kind: u16,
    },
    /// SHA-256 of the file does not match.
    BadHash,
    /// A tensor record is wrong.
    BadTensor {
        /// Its index.
        index: usize,
    },
    /// A node record is wrong: operator, arity, shapes, weights or attributes.
    BadNode {
        /// Its index in run order.
        index: usize,
    },
    /// A weight, bias or constant is NaN or infinite.
    BadWeight {
        /// Index of the node or tensor that owns it.
        index: usize,
    },
    /// A memory plan is wrong: it overlaps, ends outside its arena or misses a buffer.
    BadPlan {
        /// Index of the plan.
        plan: usize,
        /// Index of the buffer.
        buffer: usize,
    },
    /// The preprocessing card or the labels are wrong.
    BadCard,
    /// The file holds no plan for the pass that was asked for.
    NoPlan,
    /// The arena is smaller than the plan needs.
    ArenaTooSmall {
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// A buffer of the caller is too small.
    BufferTooSmall {
        /// Elements needed.
        need: usize,
        /// Elements there.
        have: usize,
    },
    /// A picture, mask or map has another shape than the network's input.
    ShapeMismatch {
        /// What the network takes.
        expected: Shape,
        /// What came.
        found: Shape,
    },
    /// A target is not one of the network's classes.
    TargetOutOfRange {
        /// The target.
        target: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A picture holds NaN or infinity.
    PictureNotFinite,
    /// A layer produced NaN.
    NotFinite {
        /// Index of the node in run order.
        node: usize,
    },
    /// A score of the classifier is NaN or infinite.
    ScoreNotFinite {
        /// Class of the score.
        class: usize,
    },
    /// Gradients, activations or dropout were asked for, and this classifier has none.
    NotWhiteBox,
    /// A parameter of a method is out of its range.
    BadParameter(&'static str),
    /// A seed, layer or backward call that does not fit the run before it.
    BadOrder,
    /// The caller asked to stop.
    Stopped,
    /// The backend failed for a reason of its own.
    Backend,
    /// An invariant that the model check guarantees does not hold.
    Internal,
    /// A policy is wrong.
    BadPolicy {
        /// 0 its head, 1 a rule, 2 a box, 3 a class, 4 a case.
        part: usize,
        /// Which one.
        index: usize,
    },
    /// The model file is not signed, or not by this key.
    BadSignature,
    /// The model file is signed by a key that was revoked.
    RevokedKey,
    /// The release is lower than one that ran before.
    OldRelease {
        /// Of the file.
        found: u32,
        /// The lowest that is taken.
        least: u32,
    },
}

impl core::error::Error for Error {}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Truncated { need, have } => {
                write!(
                    f,
                    "the model file ends early: {need} bytes needed, {have} there"
                )
            }
            Self::BadMagic => write!(f, "not a Foveola model file"),
            Self::BadVersion { found } => {
                write!(f, "model format version {found} is not supported")
            }
            Self::Misaligned { offset } => {
                write!(
                    f,
                    "bytes start {offset} past a multiple of 16; align them to 16"
                )
            }
            Self::BadSection { kind } => write!(f, "section {kind} of the model file is malformed"),
            Self::BadChecksum { kind } => write!(f, "section {kind} of the model file is corrupt"),
            Self::BadHash => write!(f, "the model file's SHA-256 does not match"),
            Self::BadTensor { index } => write!(f, "tensor {index} of the model file is malformed"),
            Self::BadNode { index } => write!(f, "node {index} of the model file is malformed"),
            Self::BadWeight { index } => write!(f, "weights of node {index} are not finite"),
            Self::BadPlan { plan, buffer } => {
                write!(f, "buffer {buffer} of memory plan {plan} is malformed")
            }
            Self::BadCard => write!(f, "the preprocessing card in the model file is malformed"),
            Self::NoPlan => write!(f, "the model file holds no memory plan for this pass"),
            Self::ArenaTooSmall { need, have } => {
                write!(
                    f,
                    "the arena is too small: {need} bytes needed, {have} there"
                )
            }
            Self::BufferTooSmall { need, have } => {
                write!(
                    f,
                    "a buffer is too small: {need} elements needed, {have} there"
                )
            }
            Self::ShapeMismatch { expected, found } => write!(
                f,
                "shape {}x{}x{} (height, width, channels) expected, {}x{}x{} found",
                expected.h, expected.w, expected.c, found.h, found.w, found.c
            ),
            Self::TargetOutOfRange { target, classes } => {
                write!(
                    f,
                    "target {target} is out of range: the network has {classes} classes"
                )
            }
            Self::PictureNotFinite => write!(f, "the picture holds NaN or infinity"),
            Self::NotFinite { node } => write!(f, "node {node} produced NaN"),
            Self::ScoreNotFinite { class } => write!(f, "the score of class {class} is not finite"),
            Self::NotWhiteBox => write!(f, "this backend offers no gradients"),
            Self::BadParameter(what) => write!(f, "parameter out of range: {what}"),
            Self::BadOrder => write!(
                f,
                "a backward pass was asked for without the forward pass it needs"
            ),
            Self::Stopped => write!(f, "stopped"),
            Self::Backend => write!(f, "the backend failed"),
            Self::Internal => write!(f, "internal error: a checked invariant does not hold"),
            Self::BadPolicy { part, index } => {
                let parts = ["head", "rule", "box", "class", "case"];
                let part = parts.get(part).unwrap_or(&"part");
                write!(f, "the policy is malformed: {part} {index}")
            }
            Self::BadSignature => write!(f, "the model file is not signed by this key"),
            Self::RevokedKey => write!(f, "the model file is signed by a revoked key"),
            Self::OldRelease { found, least } => {
                write!(f, "release {found} is too old: {least} or later is taken")
            }
        }
    }
}
