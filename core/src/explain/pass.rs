//! What all methods do alike: check a query, count passes, judge a map.

use super::{Outcome, Progress, Query};
use crate::error::Error;
use crate::tensor::Shape;

/// Checks targets and buffers of a query and clears the maps. Returns exactly
/// one map of `shape` and one outcome a target.
pub(super) fn prepare<'m>(
    query: &Query<'_>,
    classes: usize,
    shape: Shape,
    maps: &'m mut [f32],
    outcomes: &'m mut [Outcome],
) -> Result<(&'m mut [f32], &'m mut [Outcome]), Error> {
    for &target in query.targets {
        if target >= classes {
            return Err(Error::TargetOutOfRange { target, classes });
        }
    }
    let maps = front(maps, shape.len() * query.targets.len())?;
    let outcomes = front(outcomes, query.targets.len())?;
    maps.fill(0.0);
    outcomes.fill(Outcome::Ok);
    Ok((maps, outcomes))
}

/// The first `need` elements of a buffer.
pub(super) fn front<T>(buffer: &mut [T], need: usize) -> Result<&mut [T], Error> {
    let have = buffer.len();
    buffer
        .get_mut(..need)
        .ok_or(Error::BufferTooSmall { need, have })
}

/// The first `a` elements of a buffer and the `b` after them.
pub(super) fn fronts(
    buffer: &mut [f32],
    a: usize,
    b: usize,
) -> Result<(&mut [f32], &mut [f32]), Error> {
    front(buffer, a + b)?
        .split_at_mut_checked(a)
        .ok_or(Error::Internal)
}

/// The score of one class, which must be finite.
pub(super) fn score_of(scores: &[f32], class: usize) -> Result<f32, Error> {
    match scores.get(class) {
        Some(score) if score.is_finite() => Ok(*score),
        Some(_) => Err(Error::ScoreNotFinite { class }),
        None => Err(Error::Internal),
    }
}

/// Counts passes and asks whether to go on.
pub(super) struct Passes<'p> {
    pub(super) done: u64,
    pub(super) total: u64,
    progress: &'p mut dyn Progress,
}

impl<'p> Passes<'p> {
    pub(super) fn new(progress: &'p mut dyn Progress, total: u64) -> Self {
        Self {
            done: 0,
            total,
            progress,
        }
    }

    /// One more pass is done.
    pub(super) fn step(&mut self) -> Result<(), Error> {
        self.done += 1;
        if self.progress.step(self.done, self.total) || self.done >= self.total {
            Ok(())
        } else {
            Err(Error::Stopped)
        }
    }

    /// So many passes more are done, between which nothing can be stopped.
    pub(super) fn steps(&mut self, passes: u64) -> Result<(), Error> {
        self.done += passes.saturating_sub(1);
        self.step()
    }

    /// Tells a number beside a map.
    pub(super) fn note(&mut self, map: usize, name: &'static str, value: f64) {
        self.progress.note(map, name, value);
    }

    /// Tells a map beside a map.
    pub(super) fn companion(&mut self, map: usize, name: &'static str, values: &[f32]) {
        self.progress.companion(map, name, values);
    }

    /// Judges a finished or stopped map.
    pub(super) fn judge(&self, map: &mut [f32]) -> Outcome {
        match judge(map) {
            undefined @ Outcome::Undefined(_) => undefined,
            Outcome::Flat if self.done < self.total => NOTHING_YET,
            _ if self.done < self.total => Outcome::Partial {
                done: self.done,
                total: self.total,
            },
            outcome => outcome,
        }
    }
}

/// Whether being stopped ended a run of passes; other errors are handed on.
pub(super) fn unless_stopped(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Stopped) => Ok(()),
        result => result,
    }
}

/// A run that was stopped before its map showed anything: with more passes it may.
pub(super) const NOTHING_YET: Outcome =
    Outcome::Undefined("it was stopped before there was anything to see");

/// A map with NaN or infinity.
pub(super) const NOT_FINITE: Outcome = Outcome::Undefined("the map is not finite");

/// Whether a map says anything. One with NaN or infinity is cleared.
pub(super) fn judge(map: &mut [f32]) -> Outcome {
    if !map.iter().all(|value| value.is_finite()) {
        map.fill(0.0);
        return NOT_FINITE;
    }
    let mut rest = map.iter();
    let Some(first) = rest.next() else {
        return Outcome::Flat;
    };
    if rest.all(|value| value == first) {
        Outcome::Flat
    } else {
        Outcome::Ok
    }
}
