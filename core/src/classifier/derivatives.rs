//! Gradients of many pictures: which, and how they are handed on.

use super::{Rule, Score};
use crate::error::Error;

/// Which gradients at the input a batch of pictures asks for.
#[derive(Clone, Copy, Debug)]
pub struct Derivatives<'a> {
    /// The classes; a gradient each.
    pub targets: &'a [usize],
    /// A class whose score is subtracted from that of each target.
    pub against: Option<usize>,
    /// Which scores.
    pub score: Score,
    /// How ReLUs pass gradients back.
    pub rule: Rule,
}

impl Derivatives<'_> {
    /// What the gradient of a target begins with, and how many of its pairs count.
    #[must_use]
    pub fn seed(&self, target: usize) -> ([(usize, f32); 2], usize) {
        let against = self.against.unwrap_or(target);
        let pairs = 1 + usize::from(self.against.is_some());
        ([(target, 1.0), (against, -1.0)], pairs)
    }

    /// Whether the scores of a target, and of what is subtracted, are finite.
    ///
    /// # Errors
    /// [`Error::ScoreNotFinite`]; [`Error::TargetOutOfRange`].
    pub fn check(&self, scores: &[f32], target: usize) -> Result<(), Error> {
        let classes = scores.len();
        for class in core::iter::once(target).chain(self.against) {
            match scores.get(class) {
                Some(score) if score.is_finite() => {}
                Some(_) => return Err(Error::ScoreNotFinite { class }),
                None => {
                    return Err(Error::TargetOutOfRange {
                        target: class,
                        classes,
                    });
                }
            }
        }
        Ok(())
    }
}

/// A piece of a gradient of a batch.
#[derive(Clone, Copy, Debug)]
pub struct GradientPiece<'a> {
    /// Which picture of the batch.
    pub question: usize,
    /// Which of the targets, by its place among them.
    pub target: usize,
    /// Index of the first element (HWC).
    pub first: usize,
    /// The gradient.
    pub gradient: &'a [f32],
}

/// Takes the gradients of a batch: picture by picture, target by target, piece
/// by piece, each in order. An error ends the batch and is handed on.
pub type Gradients<'a> = dyn FnMut(&GradientPiece<'_>) -> Result<(), Error> + 'a;
