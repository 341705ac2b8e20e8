//! What all three functions do alike: check a call, run it, tell what became of it.
#![allow(
    unsafe_code,
    reason = "takes what a caller in C hands over; the header says what it must be"
)]

use core::ffi::c_void;

use foveola_core::explain::{Outcome, Query};
use foveola_core::{Error, Fill, Normalisation, Picture, Score};

use crate::abi;
use crate::answer::{Refusal, fine, outcome};
use crate::engine::{Checked, Engine, Told, check};
use crate::memory::{Scratch, Span, apart, copied, put, read};

/// `FOVEOLA_MAX_TARGETS`.
pub const MAX_TARGETS: usize = 16;

/// A call that has been checked, and the memory that it may use.
pub struct Call<'c> {
    /// The caller's engine.
    pub engine: Engine<'c>,
    /// What is asked, of which `normalisation` is a part.
    pub targets: &'c [usize],
    /// Its picture.
    pub picture: Picture<'c>,
    /// What hides the picture.
    pub fill: Fill<'c>,
    /// Which score; probability unless it says logit.
    pub score: Score,
    /// Key of every random number.
    pub seed: u64,
    /// Told how far the method is.
    pub told: Told,
    /// All maps.
    pub maps: &'c mut [f32],
    /// What is left of the scratch.
    pub scratch: Scratch,
    /// One outcome a target.
    pub outcomes: [Outcome; MAX_TARGETS],
}

impl<'c> Call<'c> {
    /// The query of a method.
    pub const fn query(&self) -> Query<'c> {
        Query {
            picture: self.picture,
            targets: self.targets,
            score: Some(self.score),
            seed: self.seed,
        }
    }
}

/// A picture of the engine's shape.
///
/// # Safety
/// As [`read`] for as many elements as the shape has.
unsafe fn picture<'c>(
    data: *const c_void,
    element: u32,
    engine: &Checked,
    normalisation: &'c Normalisation,
    name: &'static str,
) -> Result<(Picture<'c>, Span), Refusal> {
    let shape = engine.shape;
    match element {
        0 => {
            // SAFETY: the contract above.
            let (data, span) = unsafe { read(data.cast::<f32>(), shape.len(), name) }?;
            Ok((Picture::Tensor { shape, data }, span))
        }
        2 => {
            // All channels black, whatever the pixels: a forgotten field.
            if normalisation.scale.iter().take(shape.c).any(|s| *s == 0.0) {
                return Err(Error::BadParameter("scale of the picture").into());
            }
            // SAFETY: the contract above.
            let (data, span) = unsafe { read(data.cast::<u8>(), shape.len(), name) }?;
            let picture = Picture::Pixels {
                shape,
                data,
                normalisation,
            };
            Ok((picture, span))
        }
        _ => Err(Error::BadParameter("element of the picture").into()),
    }
}

/// The three structures of a call.
#[derive(Clone, Copy)]
pub struct Pointers {
    /// Who answers.
    pub engine: *const abi::Engine,
    /// What is asked.
    pub question: *const abi::Question,
    /// Where the answer goes.
    pub answer: *mut abi::Answer,
}

/// Runs `method` on a call and tells what became of it.
///
/// # Safety
/// Pointers that are neither null nor misaligned lead to what the header says.
pub unsafe fn answered(
    pointers: Pointers,
    written: Result<&[Span], Refusal>,
    method: impl FnOnce(&mut Call<'_>) -> Result<(), Refusal>,
) -> i32 {
    // SAFETY: the contract above.
    let mut answer = match unsafe { copied(pointers.answer, "answer") } {
        Ok(answer) => answer,
        Err(refusal) => return refusal.told(0).0,
    };
    let mut engine = 0;
    // SAFETY: the contract above.
    let result = unsafe { run(&pointers, &answer, written, method, &mut engine) };
    let (code, failure) = match result {
        Ok(()) => (0, fine()),
        Err(refusal) => refusal.told(engine),
    };
    answer.failure = failure;
    // SAFETY: `answer` has been read from there.
    unsafe { put(pointers.answer, 0, answer) };
    code
}

/// # Safety
/// As [`answered`].
unsafe fn run(
    pointers: &Pointers,
    answer: &abi::Answer,
    written: Result<&[Span], Refusal>,
    method: impl FnOnce(&mut Call<'_>) -> Result<(), Refusal>,
    code: &mut i32,
) -> Result<(), Refusal> {
    // SAFETY: the contract above.
    let engine = check(&unsafe { copied(pointers.engine, "engine") }?)?;
    // SAFETY: the contract above.
    let question = unsafe { copied(pointers.question, "question") }?;
    let normalisation = Normalisation {
        mean: question.mean,
        scale: question.scale,
    };
    // SAFETY: the contract above.
    let mut call = unsafe { checked(engine, &question, answer, &normalisation, written?) }?;
    let result = method(&mut call);
    *code = call.engine.answered;
    result?;
    for (i, what) in call.outcomes.iter().take(call.targets.len()).enumerate() {
        // SAFETY: there are as many outcomes as targets, checked below.
        unsafe { put(answer.outcomes, i, outcome(*what)) };
    }
    Ok(())
}

/// Checks all of a call and takes its memory.
///
/// # Safety
/// As [`answered`].
unsafe fn checked<'c>(
    engine: Checked,
    question: &abi::Question,
    answer: &abi::Answer,
    normalisation: &'c Normalisation,
    more: &[Span],
) -> Result<Call<'c>, Refusal> {
    let count = question.target_count;
    if count == 0 || count > MAX_TARGETS {
        return Err(Error::BadParameter("number of targets").into());
    }
    let element = question.picture_element;
    // SAFETY: the header asks for as many targets as it says.
    let (targets, targets_at) = unsafe { read(question.targets, count, "targets") }?;
    // SAFETY: the header asks for pictures of the engine's shape.
    let (picture, picture_at) = unsafe {
        let data = question.picture;
        self::picture(data, element, &engine, normalisation, "picture")
    }?;
    let (fill, fill_at) = if question.fill_picture.is_null() {
        (Fill::Colour(question.fill), picture_at)
    } else {
        // SAFETY: as above.
        let (fill, at) = unsafe {
            let data = question.fill_picture;
            self::picture(data, element, &engine, normalisation, "fill picture")
        }?;
        (Fill::Picture(fill), at)
    };
    let (need, have) = (count, answer.outcome_count);
    if have < need {
        return Err(Error::BufferTooSmall { need, have }.into());
    }
    let scratch = answer.scratch.cast::<u32>();
    let maps_at = Span::of(answer.maps, answer.map_elements, "maps")?;
    let outcomes_at = Span::of(answer.outcomes, have, "outcomes")?;
    let scratch_at = Span::of(scratch, answer.scratch_bytes / 4, "scratch")?;
    let written = [engine.span, maps_at, outcomes_at, scratch_at];
    apart(&written, more, &[targets_at, picture_at, fill_at])?;
    // SAFETY: not null, aligned, apart from all else; the header gives it to the call.
    let mut scratch = unsafe { Scratch::new(scratch, answer.scratch_bytes) };
    let row = scratch.take(engine.shape.row(), 0.0)?;
    Ok(Call {
        // SAFETY: the header says so of the engine's input and function.
        engine: unsafe { Engine::new(engine, row) },
        targets,
        picture,
        fill,
        score: match question.score {
            0 => Score::Logit,
            1 => Score::Probability,
            _ => return Err(Error::BadParameter("kind of score").into()),
        },
        seed: question.seed,
        // SAFETY: the header says so of the function.
        told: unsafe { Told::new(question.progress, question.user) },
        // SAFETY: as of the scratch.
        maps: unsafe { crate::memory::own(answer.maps, answer.map_elements, 0.0, "maps") }?,
        scratch,
        outcomes: [Outcome::Flat; MAX_TARGETS],
    })
}
