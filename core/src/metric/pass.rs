//! What all metrics do alike: check a subject, cut scratch, count passes.

use super::{Scored, Subject, Witness};
use crate::classifier::{Classifier, Score, Views};
use crate::error::Error;
use crate::mask::Masked;
use crate::tensor::Shape;

/// Checks everything about a subject that a metric relies on.
pub(super) fn check(classifier: &dyn Classifier, subject: &Subject<'_>) -> Result<Shape, Error> {
    let (input, classes) = (classifier.input(), classifier.classes());
    let target = subject.target;
    if target >= classes {
        return Err(Error::TargetOutOfRange { target, classes });
    }
    subject.picture.check(input)?;
    enough(input.area(), subject.evidence.len())?;
    Ok(input)
}

/// Why nothing can be ranked, if so.
pub(super) fn unranked(evidence: &[f32]) -> Option<&'static str> {
    let (first, rest) = evidence.split_first()?;
    if !evidence.iter().all(|value| value.is_finite()) {
        Some("the evidence is not finite")
    } else if rest.is_empty() {
        Some("the picture has one pixel")
    } else if rest.iter().all(|value| value == first) {
        Some("the evidence is flat")
    } else {
        None
    }
}

/// `need` elements off the front of a buffer, and the rest.
pub(super) fn cut(buffer: &mut [f32], need: usize) -> Result<(&mut [f32], &mut [f32]), Error> {
    let have = buffer.len();
    buffer
        .split_at_mut_checked(need)
        .ok_or(Error::BufferTooSmall { need, have })
}

pub(super) const fn enough(need: usize, have: usize) -> Result<(), Error> {
    if have < need {
        Err(Error::BufferTooSmall { need, have })
    } else {
        Ok(())
    }
}

/// The score of one class, which must be finite.
pub(super) fn score_of(scores: &[f32], class: usize) -> Result<f64, Error> {
    match scores.get(class) {
        Some(score) if score.is_finite() => Ok(f64::from(*score)),
        Some(_) => Err(Error::ScoreNotFinite { class }),
        None => Err(Error::Internal),
    }
}

/// How many pixels are a share of the picture: at least one, and never all.
///
/// # Errors
/// [`Error::BadParameter`] unless the share lies between 0 and 1.
pub(super) fn pixels(share: f32, area: usize) -> Result<u32, Error> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::BadParameter("share of the strongest pixels"));
    }
    let count = libm::round(f64::from(share) * area as f64) as usize;
    Ok(count.min(area.saturating_sub(1)).max(1) as u32)
}

/// What one picture is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// The target's score.
    pub(super) score: f64,
    /// Classes with a higher one.
    pub(super) above: usize,
}

impl Answer {
    fn of(scores: &[f32], classes: usize, target: usize) -> Result<Self, Error> {
        let score = score_of(scores, target)?;
        let higher = |other: &&f32| f64::from(**other) > score;
        Ok(Self {
            score,
            above: scores.iter().take(classes).filter(higher).count(),
        })
    }
}

/// A score that rounding may have led out of its range.
pub(super) fn bounded(value: f64, [least, most]: [f64; 2]) -> Scored {
    Scored::finite(if value < least {
        least
    } else if value > most {
        most
    } else {
        value
    })
}

/// Counts passes, tells the witness, and stops when it says so.
pub(super) struct Passes<'w> {
    done: u64,
    total: u64,
    pub(super) witness: &'w mut dyn Witness,
}

impl<'w> Passes<'w> {
    pub(super) fn new(witness: &'w mut dyn Witness, total: usize) -> Self {
        Self {
            done: 0,
            total: total as u64,
            witness,
        }
    }

    /// One more pass is done.
    pub(super) fn step(&mut self) -> Result<(), Error> {
        self.done += 1;
        if self.witness.step(self.done, self.total) || self.done >= self.total {
            Ok(())
        } else {
            Err(Error::Stopped)
        }
    }
}

/// Which number is asked for, and where its scores are put.
pub(super) struct Ask<'s> {
    pub(super) score: Score,
    pub(super) target: usize,
    /// One element a class.
    pub(super) scores: &'s mut [f32],
}

impl Ask<'_> {
    /// The target's scores of `count` pictures, in order, handed to `sink`.
    pub(super) fn all(
        &mut self,
        classifier: &mut dyn Classifier,
        count: usize,
        view: &Views<'_>,
        passes: &mut Passes<'_>,
        sink: &mut dyn FnMut(usize, Answer, &mut dyn Witness),
    ) -> Result<(), Error> {
        let (target, classes) = (self.target, classifier.classes());
        let mut each = |i: usize, scores: &[f32]| {
            sink(i, Answer::of(scores, classes, target)?, passes.witness);
            passes.step()
        };
        classifier.classify_batch(count, view, self.score, self.scores, &mut each)
    }

    /// The target's score of one picture.
    pub(super) fn one(
        &mut self,
        classifier: &mut dyn Classifier,
        x: &Masked<'_>,
        passes: &mut Passes<'_>,
    ) -> Result<f64, Error> {
        classifier.classify(x, self.score, self.scores)?;
        passes.step()?;
        score_of(self.scores, self.target)
    }
}
