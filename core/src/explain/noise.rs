//! Gradients at noisy pictures, and what SmoothGrad, VarGrad and SquareGrad
//! make of them in one pass: running moments (Welford 1962; Terriberry 2007
//! for the third and fourth), so that memory does not grow with the samples.

use super::pass::{Passes, front, fronts, prepare};
use super::{Cost, Outcome, Progress, Query};
use crate::classifier::{Classifier, Derivatives, GradientPiece, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::picture::Picture;
use crate::rng::{self, Purpose};
use crate::tensor::Shape;

/// Name of the map that each of the three methods tells beside its own.
const STANDARD_ERROR: &str = "standard_error";

/// Noise that is added to the picture, in model space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise<'a> {
    /// Noisy pictures, at least 1; as many as there are stored, if any are.
    pub samples: u32,
    /// Deviation of the noise, as a share of the picture's greatest minus least
    /// value in model space: at least 0. The paper advises 0.1 to 0.2.
    pub share: f32,
    /// Noise to add instead: pictures of the input's shape, HWC, one after the other.
    pub stored: Option<&'a [f32]>,
}

impl Default for Noise<'_> {
    fn default() -> Self {
        Self {
            samples: 50,
            share: 0.15,
            stored: None,
        }
    }
}

/// What is made of the gradients at one element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Statistic {
    Mean,
    MeanSquare,
    Variance,
}

impl Statistic {
    /// Sums of powers of differences from the mean that are kept.
    const fn sums(self) -> usize {
        match self {
            Self::Mean | Self::MeanSquare => 1,
            Self::Variance => 3,
        }
    }
}

impl Noise<'_> {
    /// Noisy pictures of an input of `length` elements.
    fn count(&self, length: usize) -> Result<u32, Error> {
        let count = match self.stored {
            Some(stored) => u32::try_from(stored.len().checked_div(length).unwrap_or(0)).ok(),
            None => Some(self.samples),
        };
        let share = self.share >= 0.0 && self.share.is_finite();
        match count.filter(|count| *count > 0 && share) {
            Some(count) => Ok(count),
            None => Err(Error::BadParameter("noise")),
        }
    }

    pub(super) fn cost(
        &self,
        statistic: Statistic,
        classifier: &mut dyn Classifier,
        targets: usize,
    ) -> Result<Cost, Error> {
        let length = classifier.input().len();
        let samples = u64::from(self.count(length)?);
        let batch = classifier
            .layers()
            .ok_or(Error::NotWhiteBox)?
            .gradient_batch();
        let pictures = batch.max(1).min(samples as usize);
        Ok(Cost {
            forward: samples,
            backward: samples * targets as u64,
            scratch: length * (pictures + targets * statistic.sums()),
        })
    }

    pub(super) fn explain(
        &self,
        statistic: Statistic,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        (maps, outcomes): (&mut [f32], &mut [Outcome]),
        scratch: &mut [f32],
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let (shape, classes) = (classifier.input(), classifier.classes());
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let (samples, length) = (self.count(shape.len())?, shape.len());
        let sums = maps.len() * statistic.sums();
        let (noisy, sums) = rooms(scratch, length, layers.gradient_batch(), sums)?;
        sums.fill(0.0);
        let each = 1 + query.targets.len() as u64;
        let mut passes = Passes::new(progress, u64::from(samples) * each);
        let deviation = self.share * spread(query, front(noisy, length)?)?;
        let what = Derivatives {
            targets: query.targets,
            against: None,
            score: query.score.unwrap_or(Score::Logit),
            rule: Rule::Gradient,
        };
        let (mut done, mut stopped) = (0, false);
        while done < samples && !stopped {
            let first = done;
            let mut count = 0;
            for picture in noisy.chunks_exact_mut(length.max(1)) {
                if first + count < samples {
                    self.write(query, shape, deviation, first + count, picture)?;
                    count += 1;
                }
            }
            let noisy = &*noisy;
            let view = |i: usize| picture(noisy, shape, i);
            let mut sink = |piece: &GradientPiece<'_>| {
                let at = piece.target * length + piece.first;
                let map = maps.get_mut(at..).ok_or(Error::Internal)?;
                let at = piece.target * length * statistic.sums() + piece.first;
                let sums = sums.get_mut(at..).ok_or(Error::Internal)?;
                let number = first + piece.question as u32 + 1;
                add(statistic, number, piece.gradient, map, sums, length);
                Ok(())
            };
            let mut after = || {
                done += 1;
                let step = passes.steps(each);
                stopped = step.is_err();
                step
            };
            let ended = layers.gradients(count as usize, &view, &what, &mut sink, &mut after);
            if !stopped {
                ended?;
            }
        }
        let length = shape.len().max(1);
        let sums = sums.chunks_exact_mut(length * statistic.sums());
        let all = maps.chunks_exact_mut(length).zip(outcomes).zip(sums);
        for (i, ((map, outcome), sums)) in all.enumerate() {
            finish(statistic, done, map, sums);
            *outcome = passes.judge(map);
            passes.companion(i, STANDARD_ERROR, front(sums, length)?);
        }
        Ok(())
    }

    /// Writes noisy picture number `sample`.
    fn write(
        &self,
        query: &Query<'_>,
        shape: Shape,
        deviation: f32,
        sample: u32,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let whole = Masked::whole(query.picture);
        for (y, row) in out.chunks_exact_mut(shape.row().max(1)).enumerate() {
            whole.row(y, row)?;
        }
        if let Some(stored) = self.stored {
            let first = sample as usize * shape.len();
            let noise = stored.get(first..).ok_or(Error::Internal)?;
            for (value, noise) in out.iter_mut().zip(noise) {
                *value += *noise;
            }
            return Ok(());
        }
        for (block, four) in out.chunks_mut(4).enumerate() {
            let words = rng::words(query.seed, sample, 0, block as u32, Purpose::GradientNoise);
            for (value, normal) in four.iter_mut().zip(rng::four_normals(words)) {
                *value += deviation * normal;
            }
        }
        Ok(())
    }
}

/// Greatest minus least value of the picture; `row` is scratch.
fn spread(query: &Query<'_>, rows: &mut [f32]) -> Result<f32, Error> {
    let shape = query.picture.shape();
    let whole = Masked::whole(query.picture);
    let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
    for (y, row) in rows.chunks_exact_mut(shape.row().max(1)).enumerate() {
        whole.row(y, row)?;
        for value in row {
            least = if *value < least { *value } else { least };
            greatest = if *value > greatest { *value } else { greatest };
        }
    }
    Ok(greatest - least)
}

/// Room for as many noisy pictures as there is, at most `batch`, and for `sums`.
fn rooms(
    scratch: &mut [f32],
    length: usize,
    batch: usize,
    sums: usize,
) -> Result<(&mut [f32], &mut [f32]), Error> {
    let room = scratch.len().saturating_sub(sums);
    let fit = room.checked_div(length).unwrap_or(0);
    let pictures = fit.min(batch).max(1);
    fronts(scratch, length * pictures, sums)
}

/// Noisy picture number `i`.
fn picture(noisy: &[f32], shape: Shape, i: usize) -> Masked<'_> {
    let data = noisy.get(i * shape.len()..).unwrap_or_default();
    Masked::whole(Picture::Tensor { shape, data })
}

/// Adds gradient number `n` (from 1) to the means and to the sums of powers of
/// differences from them, which lie `length` apart.
fn add(
    statistic: Statistic,
    n: u32,
    gradient: &[f32],
    means: &mut [f32],
    sums: &mut [f32],
    length: usize,
) {
    let n = n as f32;
    if statistic != Statistic::Variance {
        for ((mean, sum), g) in means.iter_mut().zip(sums).zip(gradient) {
            let x = match statistic {
                Statistic::MeanSquare => g * g,
                _ => *g,
            };
            let difference = x - *mean;
            *mean += difference / n;
            *sum += difference * (x - *mean);
        }
        return;
    }
    let (second, rest) = sums.split_at_mut(length.min(sums.len()));
    let (third, fourth) = rest.split_at_mut(length.min(rest.len()));
    let sums = second.iter_mut().zip(third).zip(fourth);
    for ((mean, ((second, third), fourth)), g) in means.iter_mut().zip(sums).zip(gradient) {
        let difference = g - *mean;
        let share = difference / n;
        let term = difference * share * (n - 1.0);
        *mean += share;
        *fourth += term * share * share * (n * n - 3.0 * n + 3.0) + 6.0 * share * share * *second
            - 4.0 * share * *third;
        *third += term * share * (n - 2.0) - 3.0 * share * *second;
        *second += term;
    }
}

/// Makes the statistic of the means, and its standard error of the first sums.
fn finish(statistic: Statistic, samples: u32, means: &mut [f32], sums: &mut [f32]) {
    let n = samples as f32;
    let one_less = if samples > 1 { n - 1.0 } else { 1.0 };
    if statistic != Statistic::Variance {
        for sum in sums {
            *sum = libm::sqrtf(*sum / (n * one_less));
        }
        return;
    }
    let length = means.len();
    let (second, rest) = sums.split_at_mut(length.min(sums.len()));
    let fourth = rest.iter().skip(length);
    for ((mean, second), fourth) in means.iter_mut().zip(second).zip(fourth) {
        let variance = *second / n;
        let square = (fourth / n - variance * variance) / n;
        *mean = variance;
        *second = libm::sqrtf(if square > 0.0 { square } else { 0.0 });
    }
}

#[cfg(test)]
mod tests;
