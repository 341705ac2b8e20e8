//! What host and device say to each other, in [postcard](https://postcard.jamesmunns.com/wire-format):
//! a message is `session` (u32), `sequence` (u32), then a [`Request`] or a [`Reply`].

use serde::{Deserialize, Serialize};

pub use super::call::{
    Baseline, Call, Hiding, LayerCall, MAX_CALL, MAX_WIDTHS, SegmentCall, Statistic, call_bytes,
};
use super::fault::Fault;
use super::frame::{Frame, MAX_MESSAGE};
use crate::classifier::Score;
use crate::error::Error;
use crate::explain::Outcome;
use crate::tensor::Shape;

/// Height, width, channels.
pub type Sides = [u32; 3];

/// A shape as it travels; sides above `u32::MAX` do not occur in a checked model.
#[must_use]
pub fn sides(shape: Shape) -> Sides {
    [shape.h, shape.w, shape.c].map(|side| u32::try_from(side).unwrap_or(u32::MAX))
}

/// What a host asks. Numbers of the variants are their places in this list.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Begins a session, with the host's version. [`Reply::Hello`].
    Hello(u16),
    /// What the device is. [`Reply::Info`].
    Info,
    /// Announces a model file for the slot that is not active, by its length
    /// and the SHA-256 that it states. The same file again goes on where it
    /// was. [`Reply::Have`].
    BeginModel(u32, [u8; 32]),
    /// Bytes of the model from an offset. [`Reply::Have`]; bytes behind a gap are not kept.
    ModelChunk(u32, &'a [u8]),
    /// The model is complete: it is checked and becomes active. [`Reply::Done`].
    FinishModel,
    /// Makes slot 0 or 1, or 2 for the model in flash, active again. [`Reply::Done`].
    Activate(u8),
    /// Announces a picture. [`Reply::Have`].
    BeginPicture(Format, Sides),
    /// Bytes of the picture from an offset. [`Reply::Have`].
    PictureChunk(u32, &'a [u8]),
    /// Takes a picture with the board's camera. [`Reply::Done`].
    TakeFrame,
    /// Computes the scores of the picture. [`Reply::Started`].
    Classify(Score),
    /// Explains the picture. [`Reply::Started`].
    Explain(Explain),
    /// Computes the output of a node. [`Reply::Started`].
    Tensor(u32),
    /// Checks the model's hashes and whether two runs in an arena with
    /// different garbage agree. [`Reply::Started`].
    SelfTest,
    /// How far the work is. [`Reply::Running`], then [`Reply::Ended`].
    Poll,
    /// Ends the work after the pass that runs. [`Reply::Done`].
    Cancel,
    /// Bytes of something from an offset. [`Reply::Part`].
    Read(Source, u32),
    /// Sets the clock, if seconds since 1970 come. [`Reply::Time`].
    Time(Option<u64>),
    /// Explains the picture by a method that needs only scores, and asks the
    /// host for them: [`Reply::Started`], then [`Reply::Asking`] to polls. A
    /// class that is left open is the best one of the device's own network.
    ExplainAsking(Explain),
    /// Scores for the question of this number, from an offset in bytes:
    /// little-endian f32, one a class. [`Reply::Have`].
    Scores(u32, u32, &'a [u8]),
    /// What the board keeps when it is switched off. [`Reply::Storage`].
    Storage,
    /// Names a device that has no name yet: its name, the secret of its log, and
    /// the Ed25519 key of those who release models for it (zeros: anybody may).
    /// [`Reply::Done`].
    Enrol(&'a str, [u8; 32], [u8; 32]),
    /// Judges the picture by the model's policy; the policy's own pictures come
    /// first, if so. [`Reply::Started`].
    Audit(bool),
    /// Measures how sure the model is of the picture's classes, by so many
    /// passes with dropout under a seed. [`Reply::Started`].
    Uncertainty(u32, u64),
    /// As [`Request::Explain`]; pictures that differ from one in a box are
    /// computed only where the box can reach, if the method asks so and the
    /// memory has room. The map has the same bits. [`Reply::Started`], in the
    /// end [`Reply::Edited`].
    ExplainEdits(Explain),
}

/// What a device replies. Numbers of the variants are their places in this list.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// The session is open; the device's version.
    Hello(u16),
    /// It cannot be.
    #[serde(borrow)]
    Fault(Fault<'a>),
    /// It is done.
    Done,
    /// What the device is.
    Info(Info<'a>),
    /// So many bytes are there, from the first one on.
    Have(u32),
    /// The work has begun.
    Started,
    /// So many passes are done, of so many.
    Running(u64, u64),
    /// The work has ended.
    Ended(Ended<'a>),
    /// Bytes of something, and how many there are in all.
    Part(u32, &'a [u8]),
    /// Seconds since 1970, if the device knows.
    Time(Option<u64>),
    /// The work waits for the host's scores.
    Asking(Question),
    /// What the board keeps.
    Storage(Storage<'a>),
    /// [`Request::ExplainEdits`] has ended, and so many pictures were computed
    /// only where they changed; with 0 all of them were computed in full.
    Edited(Ended<'a>, u32),
}

/// A question of a method to a network that the host runs. Its input is
/// [`Source::Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Counts the questions of a work from 1.
    pub number: u32,
    /// Which scores are asked for.
    pub score: Score,
    /// Passes done.
    pub done: u64,
    /// Passes in all.
    pub total: u64,
}

/// Numbers of a picture, HWC, channels in the model's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Pixels; the model's card normalises them.
    Pixels,
    /// Little-endian f32 in model space.
    Tensor,
}

impl Format {
    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Pixels => 1,
            Self::Tensor => 4,
        }
    }
}

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The result of the last work: little-endian f32, HWC.
    Result,
    /// The picture.
    Picture,
    /// The board's log.
    Log,
    /// The masked picture that the work asks the host about: little-endian
    /// f32 in model space, HWC.
    Question,
}

/// A method, and what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explain {
    /// The method.
    pub method: Call,
    /// The class; `None` for the one with the highest probability.
    pub target: Option<u32>,
    /// The score; `None` for the method's own.
    pub score: Option<Score>,
    /// Key of every random number.
    pub seed: u64,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info<'a> {
    /// The board's name.
    pub board: &'a str,
    /// The firmware's version.
    pub firmware: &'a str,
    /// SHA-256 of the program as it lies in memory.
    pub firmware_sha256: [u8; 32],
    /// Bytes of memory for picture, result, scratch and arena.
    pub ram: u32,
    /// The two slots, then the model in flash.
    pub slots: [Slot; 3],
    /// Which one is active; 3 for none.
    pub active: u8,
    /// Input of the active model.
    pub input: Sides,
    /// Its classes.
    pub classes: u32,
    /// Its nodes.
    pub nodes: u32,
    /// Frames that arrived whole since the start.
    pub frames: u32,
    /// Frames that did not.
    pub damaged: u32,
    /// Bytes that came faster than they were taken, and are lost.
    pub overruns: u32,
}

/// Room for a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Bytes of room.
    pub room: u32,
    /// Bytes of the model.
    pub length: u32,
    /// Bytes of it that are there.
    pub have: u32,
    /// Whether it is complete and was checked.
    pub sound: bool,
    /// SHA-256 as the model states it.
    pub sha256: [u8; 32],
}

/// What a board keeps when it is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage<'a> {
    /// The device's name, empty before its enrolment.
    pub device: &'a str,
    /// Where records go.
    pub keeping: Keeping,
    /// Whether the log was sound when the board started.
    pub sound: bool,
    /// Number and hash of the last record.
    pub last: (u64, [u8; 32]),
    /// The oldest release of a model that may run.
    pub release: u32,
    /// Bytes of each of the two slots for models.
    pub room: u32,
    /// Bytes and SHA-256 of the models there.
    pub slots: [Option<(u32, [u8; 32])>; 2],
    /// The slot whose model runs after a start.
    pub active: Option<u8>,
}

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keeping {
    /// Into flash.
    Flash,
    /// Into memory: the device is not enrolled.
    NotEnrolled,
    /// Into memory: the flash failed.
    FlashFailed,
}

/// Work that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended<'a> {
    /// Sequence number of the request that started it.
    pub work: u32,
    /// What became of it.
    #[serde(borrow)]
    pub end: End<'a>,
    /// The class explained; the best one of a classification.
    pub target: u32,
    /// Shape of the result.
    pub shape: Sides,
    /// Executed instructions, or clock ticks where a board cannot count them.
    pub instructions: u64,
    /// Deepest stack, in bytes.
    pub stack: u32,
    /// Bytes of arena.
    pub arena: u32,
    /// Passes done.
    pub passes: u64,
}

/// What became of a work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum End<'a> {
    /// A result with differences to see.
    Ok,
    /// No evidence.
    Flat,
    /// There is no map, for this reason.
    Undefined(&'a str),
    /// Cancelled; the result is what so many passes of so many give.
    Partial(u64, u64),
    /// It failed.
    #[serde(borrow)]
    Failed(Fault<'a>),
    /// Judged: 0 for a pass, else rule and reason
    /// ([`split_code`](crate::audit::judge::split_code)); share of the evidence
    /// inside the region. The result is the map that decided.
    Judged(u16, f32),
    /// Uncertainty: the result is a row of means and a row of variances (ddof 0),
    /// one a class; so many elements saturated, of so many that were kept and
    /// are stored as int8.
    Measured(u64, u64),
}

impl From<Outcome> for End<'static> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::Flat => Self::Flat,
            Outcome::Undefined(why) => Self::Undefined(why),
            Outcome::Partial { done, total } => Self::Partial(done, total),
        }
    }
}

/// Session and sequence of a message, and the rest of it.
#[must_use]
pub fn split(message: &[u8]) -> Option<(u32, u32, &[u8])> {
    let ((session, sequence), rest) = postcard::take_from_bytes(message).ok()?;
    Some((session, sequence, rest))
}

/// Reads the rest of a message, all of it.
#[must_use]
pub fn read<'m, T: Deserialize<'m>>(rest: &'m [u8]) -> Option<T> {
    match postcard::take_from_bytes(rest) {
        Ok((body, [])) => Some(body),
        _ => None,
    }
}

/// Makes a frame of a message.
///
/// # Errors
/// [`Error::BufferTooSmall`] for one that is too long.
pub fn frame<T: Serialize>(
    session: u32,
    sequence: u32,
    body: &T,
    into: &mut Frame,
) -> Result<(), Error> {
    let mut bytes = [0; MAX_MESSAGE];
    let long = Error::BufferTooSmall {
        need: MAX_MESSAGE + 1,
        have: MAX_MESSAGE,
    };
    let message = postcard::to_slice(&(session, sequence, body), &mut bytes);
    into.fill(message.map_err(|_| long)?)
}
