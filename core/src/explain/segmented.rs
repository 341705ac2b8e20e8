//! What methods over segments do alike: show a picture with each segment
//! weighted, batch by batch, and paint one number a segment.

use super::pass::front;
use super::{Cost, Query};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::{Fill, Mask, Masked};
use crate::picture::Picture;
use crate::rng::{self, Purpose};
use crate::segment::Segments;

/// Masks that wait for their scores at once.
pub(super) const BATCH: usize = 32;

/// A picture cut into segments.
#[derive(Clone, Copy)]
pub(super) struct Cut<'a> {
    pub(super) picture: Picture<'a>,
    pub(super) fill: Fill<'a>,
    pub(super) segments: Segments<'a>,
    pub(super) score: Score,
}

/// Writes mask `i`'s weights, one a segment.
pub(super) type Rows<'r> = dyn FnMut(usize, &mut [f32]) -> Result<(), Error> + 'r;

/// Takes mask `i`'s weights, one a segment, and its scores.
pub(super) type RowSink<'s> = dyn FnMut(usize, &[f32], &[f32]) -> Result<(), Error> + 's;

impl<'a> Cut<'a> {
    pub(super) fn new(query: &Query<'a>, fill: Fill<'a>, segments: Segments<'a>) -> Self {
        Self {
            picture: query.picture,
            fill,
            segments,
            score: query.score.unwrap_or(Score::Probability),
        }
    }

    /// Shows masks `from..to`, whose weights `row` writes, and hands on what
    /// the classifier says, in order. `scratch` as [`Cut::scratch`] says.
    pub(super) fn ask(
        &self,
        classifier: &mut dyn Classifier,
        (from, to): (usize, usize),
        row: &mut Rows<'_>,
        scratch: &mut [f32],
        sink: &mut RowSink<'_>,
    ) -> Result<(), Error> {
        let width = self.segments.count().max(1);
        let scratch = front(scratch, Self::scratch(classifier.classes(), width))?;
        let (rows, scores) = scratch
            .split_at_mut_checked(BATCH * width)
            .ok_or(Error::Internal)?;
        let mut begin = from;
        while begin < to {
            let count = BATCH.min(to - begin);
            let filled = front(rows, count * width)?;
            for (i, weights) in filled.chunks_exact_mut(width.max(1)).enumerate() {
                row(begin + i, weights)?;
            }
            let filled: &[f32] = filled;
            let weights = |i: usize| filled.get(i * width..(i + 1) * width).unwrap_or_default();
            let view = |i: usize| Masked {
                picture: self.picture,
                fill: self.fill,
                mask: Mask::Segments {
                    labels: self.segments.labels(),
                    weights: weights(i),
                },
            };
            let mut hand_on = |i: usize, found: &[f32]| sink(begin + i, weights(i), found);
            classifier.classify_batch(count, &view, self.score, scores, &mut hand_on)?;
            begin += count;
        }
        Ok(())
    }

    /// Elements of scratch of [`Cut::ask`].
    pub(super) const fn scratch(classes: usize, segments: usize) -> usize {
        let width = if segments == 0 { 1 } else { segments };
        BATCH * width + classes
    }

    /// What so many masks cost.
    pub(super) fn cost(classifier: &dyn Classifier, segments: usize, masks: u64) -> Cost {
        Cost {
            forward: masks,
            backward: 0,
            scratch: Self::scratch(classifier.classes(), segments),
        }
    }
}

/// A fair coin a segment: 1 keeps it, 0 hides it.
pub(super) fn coins(seed: u64, sample: u32, weights: &mut [f32]) {
    for (block, weights) in (0..).zip(weights.chunks_mut(128)) {
        let words = rng::words(seed, sample, 0, block, Purpose::SegmentCoins);
        for (word, weights) in words.into_iter().zip(weights.chunks_mut(32)) {
            for (bit, weight) in weights.iter_mut().enumerate() {
                *weight = (word >> bit & 1) as f32;
            }
        }
    }
}

/// A design that someone made: one byte a segment, 0 or 1, mask by mask.
pub(super) fn given(design: &[u8], i: usize, weights: &mut [f32]) -> Result<(), Error> {
    let width = weights.len();
    let row = design.get(i * width..(i + 1) * width).unwrap_or_default();
    if row.len() < width || row.iter().any(|kept| *kept > 1) {
        return Err(Error::BadParameter("design of segments"));
    }
    for (weight, kept) in weights.iter_mut().zip(row) {
        *weight = f32::from(*kept);
    }
    Ok(())
}

/// Number of masks of a design.
pub(super) fn rows_of(design: &[u8], segments: usize) -> Result<usize, Error> {
    let segments = segments.max(1);
    if design.is_empty() || !design.len().is_multiple_of(segments) {
        return Err(Error::BadParameter("design of segments"));
    }
    Ok(design.len() / segments)
}
