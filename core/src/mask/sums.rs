//! Sums of masks, each weighted by the score of the picture behind it.

use super::Mask;
use crate::error::Error;
use crate::tensor::Shape;

/// What RISE makes of its masks: for each target the sum of
/// `score * mask`, the sum of the masks, and how far the scores lie apart.
/// Sums grow in the order of the masks, so that they are the same bits whoever
/// makes them.
#[derive(Debug)]
pub struct MaskSums<'s> {
    /// The classes whose scores are weights.
    pub targets: &'s [usize],
    /// One map a target, row by row, one element a pixel.
    pub maps: &'s mut [f32],
    /// Sum of the masks, one element a pixel; empty if it is not wanted.
    pub coverage: &'s mut [f32],
    /// Least and largest score of each target.
    pub ranges: &'s mut [f32],
    /// Scratch for one row of a mask.
    pub row: &'s mut [f32],
}

impl MaskSums<'_> {
    /// Nothing seen yet.
    pub fn clear(&mut self) {
        self.maps.fill(0.0);
        self.coverage.fill(0.0);
        for range in self.ranges.as_chunks_mut::<2>().0 {
            *range = [f32::INFINITY, f32::NEG_INFINITY];
        }
    }

    /// Adds one mask to coverage and maps, `shape` being the picture's and
    /// `scores` those of all classes.
    ///
    /// # Errors
    /// [`Error::ScoreNotFinite`] for a target, [`Error::Internal`] for a target
    /// without score, and those of [`Mask::row`].
    pub fn add(&mut self, mask: &Mask<'_>, shape: Shape, scores: &[f32]) -> Result<(), Error> {
        for (i, &target) in self.targets.iter().enumerate() {
            self.see(i, *scores.get(target).ok_or(Error::Internal)?)?;
        }
        for y in 0..shape.h {
            mask.row(shape, y, self.row)?;
            let covered = self.coverage.iter_mut().skip(y * shape.w);
            for (sum, weight) in covered.zip(self.row.iter()) {
                *sum += weight;
            }
            let maps = self.maps.chunks_exact_mut(shape.area().max(1));
            for (map, &target) in maps.zip(self.targets) {
                let score = *scores.get(target).ok_or(Error::Internal)?;
                let elements = map.iter_mut().skip(y * shape.w);
                for (out, weight) in elements.zip(self.row.iter()) {
                    *out += score * weight;
                }
            }
        }
        Ok(())
    }

    /// Widens the range of target number `i`.
    ///
    /// # Errors
    /// [`Error::ScoreNotFinite`].
    pub fn see(&mut self, i: usize, score: f32) -> Result<(), Error> {
        if !score.is_finite() {
            let class = self.targets.get(i).copied().unwrap_or(0);
            return Err(Error::ScoreNotFinite { class });
        }
        if let Some([least, largest]) = self.ranges.as_chunks_mut::<2>().0.get_mut(i) {
            *least = if score < *least { score } else { *least };
            *largest = if score > *largest { score } else { *largest };
        }
        Ok(())
    }
}
