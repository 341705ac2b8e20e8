//! RISE (Petsiuk et al. 2018, arXiv 1806.07421, eq. 5-6).
//!
//! The picture is shown through N random masks M_i; the map is
//! sum_i f(x behind M_i) M_i / (N * E\[M\]): the mean score of the masks that keep
//! a pixel, over the share that does. All targets share the passes. Default
//! score: probability. Cost: N forward; scratch: classes + one row of a mask + two a
//! target (and one element a pixel with `by_coverage`). If every mask scores
//! alike the outcome is flat, whatever pattern the masks themselves left.
//!
//! With an even `sequence` (quasi-Monte Carlo: Owen-scrambled Sobol points, thresholded
//! at the share of kept cells) the map has the same expectation and a smaller error;
//! the number of masks is best a power of two. The paper's masks are independent.
//!
//! `mindspore` reproduces MindSpore XAI: its geometry of masks, no division by E\[M\].

use super::pass::{NOTHING_YET, Passes, fronts, prepare, unless_stopped};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::{Fill, Grid, Mask, MaskSums, Masked, Sequence};
use crate::picture::MAX_CHANNELS;
use crate::tensor::Shape;

/// Masks that someone made: one after the other, row by row, one weight a pixel.
#[derive(Clone, Copy, Debug)]
pub enum StoredMasks<'a> {
    /// Weights as byte / 255.
    Bytes(&'a [u8]),
    /// Weights in 0..1.
    Floats(&'a [f32]),
}

impl<'a> StoredMasks<'a> {
    const fn len(&self) -> usize {
        match self {
            Self::Bytes(data) => data.len(),
            Self::Floats(data) => data.len(),
        }
    }

    /// Mask `i` of a picture of `area` pixels.
    fn mask(&self, i: usize, area: usize) -> Mask<'a> {
        let range = i * area..(i + 1) * area;
        match self {
            Self::Bytes(data) => Mask::SoftBytes(data.get(range).unwrap_or_default()),
            Self::Floats(data) => Mask::Soft(data.get(range).unwrap_or_default()),
        }
    }
}

/// The mean of random masks, weighted by the score behind them.
#[derive(Clone, Copy, Debug)]
pub struct Rise<'a> {
    /// Number of random masks.
    pub masks: u32,
    /// Cells along each side of a random mask.
    pub grid: u16,
    /// Share of kept cells, above 0; also what the sum is divided by.
    pub keep: f32,
    /// What shows where a mask is 0.
    pub fill: Fill<'a>,
    /// These masks, all of them, instead of random ones.
    pub stored: Option<StoredMasks<'a>>,
    /// MindSpore's numbers; [`Rise::mindspore`] has its parameters too.
    pub mindspore: bool,
    /// Whether each pixel's sum is divided by the sum of its own mask weights
    /// instead of by N * `keep`, which removes the noise of uneven coverage.
    pub by_coverage: bool,
    /// Where the random masks come from.
    pub sequence: Sequence,
}

impl Default for Rise<'_> {
    fn default() -> Self {
        Self {
            masks: 4000,
            grid: 7,
            keep: 0.5,
            fill: Fill::Colour([0.0; MAX_CHANNELS]),
            stored: None,
            mindspore: false,
            by_coverage: false,
            sequence: Sequence::Random,
        }
    }
}

impl Rise<'_> {
    /// MindSpore XAI's parameters: 6000 masks of 10 x 10 cells.
    #[must_use]
    pub fn mindspore() -> Self {
        Self {
            masks: 6000,
            grid: 10,
            mindspore: true,
            ..Self::default()
        }
    }

    /// Number of masks for an input.
    pub(super) fn count(&self, input: Shape) -> Result<usize, Error> {
        if !(self.keep > 0.0 && self.keep <= 1.0) {
            return Err(Error::BadParameter("share of kept cells"));
        }
        let count = match self.stored {
            None => {
                self.grid(0, 0).check()?;
                self.masks as usize
            }
            Some(stored) => {
                let area = input.area().max(1);
                if !stored.len().is_multiple_of(area) {
                    return Err(Error::BadParameter("size of the stored masks"));
                }
                stored.len() / area
            }
        };
        if count == 0 {
            return Err(Error::BadParameter("number of masks"));
        }
        Ok(count)
    }

    /// Elements of scratch for the sum of mask weights of each pixel.
    const fn coverage(&self, input: Shape) -> usize {
        if self.by_coverage { input.area() } else { 0 }
    }

    /// Mask `i` of a picture of `area` pixels.
    pub(super) fn mask(&self, seed: u64, i: usize, area: usize) -> Mask<'_> {
        match self.stored {
            Some(stored) => stored.mask(i, area),
            None => Mask::Grid(self.grid(seed, i as u32)),
        }
    }

    pub(super) const fn grid(&self, seed: u64, sample: u32) -> Grid {
        Grid {
            seed,
            sample,
            cells: self.grid,
            keep: self.keep,
            mindspore: self.mindspore,
            sequence: self.sequence,
        }
    }
}

/// Scores that differ by less than this share of the largest differ by rounding
/// alone: then the map shows where masks happened to lie, not evidence.
const ROUNDING: f32 = 1e-5;

/// Whether the masks made a difference to the score.
pub(super) fn differs(range: &[f32]) -> bool {
    let [least, largest] = range else {
        return false;
    };
    let (a, b) = (libm::fabsf(*least), libm::fabsf(*largest));
    largest - least > ROUNDING * if a > b { a } else { b }
}

/// A pixel that no mask ever shows gets 0.
fn divide_by(map: &mut [f32], coverage: &[f32]) {
    for (value, &sum) in map.iter_mut().zip(coverage) {
        *value = if sum > 0.0 { *value / sum } else { 0.0 };
    }
}

impl Method for Rise<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let input = classifier.input();
        Ok(Cost {
            forward: self.count(input)? as u64,
            backward: 0,
            scratch: classifier.classes() + input.w + self.coverage(input) + 2 * targets,
        })
    }

    fn explain(
        &self,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        maps: &mut [f32],
        outcomes: &mut [Outcome],
        scratch: &mut [f32],
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let (input, classes) = (classifier.input(), classifier.classes());
        let count = self.count(input)?;
        let shape = Shape::new(input.h, input.w, 1);
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let covered = self.coverage(input);
        let ranges = 2 * query.targets.len();
        let (scores, rest) = fronts(scratch, classes, input.w + covered + ranges)?;
        let (row, rest) = fronts(rest, input.w, covered + ranges)?;
        let (coverage, ranges) = fronts(rest, covered, ranges)?;
        let targets = query.targets;
        let mut sums = MaskSums {
            targets,
            maps,
            coverage,
            ranges,
            row,
        };
        sums.clear();
        let view = |i: usize| Masked {
            picture: query.picture,
            fill: self.fill,
            mask: self.mask(query.seed, i, input.area()),
        };
        let mut passes = Passes::new(progress, count as u64);
        let score = query.score.unwrap_or(Score::Probability);
        let mut after = || passes.step();
        let asked = classifier.weigh_masks(count, &view, score, scores, &mut sums, &mut after);
        unless_stopped(asked)?;
        let mean = if self.mindspore { 1.0 } else { self.keep };
        let share = passes.done as f32 * mean;
        let maps = sums.maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        for ((map, outcome), range) in maps.zip(sums.ranges.chunks_exact(2)) {
            if self.by_coverage {
                divide_by(map, sums.coverage);
            } else {
                for value in map.iter_mut().filter(|_| share > 0.0) {
                    *value /= share;
                }
            }
            *outcome = match passes.judge(map) {
                Outcome::Ok if !differs(range) => Outcome::Flat,
                Outcome::Partial { .. } if !differs(range) => nothing_yet(map),
                outcome => outcome,
            };
        }
        Ok(())
    }
}

/// What a stopped run has whose masks all scored alike: only their own pattern.
pub(super) fn nothing_yet(map: &mut [f32]) -> Outcome {
    map.fill(0.0);
    NOTHING_YET
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::Silent;
    use crate::explain::nets::{Net, StopAfter, close, explain, maps, tensor};
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(6, 9, 2);

    fn wave(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    /// A score that no mask moves leaves the masks' own pattern, not evidence.
    #[test]
    fn a_constant_score_is_flat() {
        let x = wave(108, 0.7);
        let mut net = Net::new(SHAPE, 2, |x, k| match k {
            0 => 0.7,
            _ => x.iter().map(|x| f64::from(*x)).sum(),
        });
        let rise = Rise {
            masks: 40,
            ..Rise::default()
        };
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0, 1],
            score: None,
            seed: 0,
        };
        let (_, outcomes) = explain(&rise, &mut net, &query, &mut Silent).unwrap();
        assert_eq!(outcomes, [Outcome::Flat, Outcome::Ok]);
    }

    /// sum p m / (N * keep), in f64, from masks that are written out.
    #[test]
    fn stored_masks_in_closed_form() {
        let bytes: Vec<u8> = (0..5 * 54).map(|i| (i * 89 % 256) as u8).collect();
        let floats: Vec<f32> = bytes.iter().map(|b| f32::from(*b) / 255.0).collect();
        let (x, weights) = (wave(108, 0.7), [wave(108, 1.9), wave(108, 0.3)]);
        let fill = [0.25, -0.5, 0.0, 0.0];
        let method = |stored, mindspore| Rise {
            stored: Some(stored),
            keep: 0.4,
            fill: Fill::Colour(fill),
            mindspore,
            ..Rise::default()
        };
        let mut net = Net::linear(SHAPE, &weights);
        for mindspore in [false, true] {
            let mut expected = vec![0.0f64; 54];
            for mask in bytes.chunks_exact(54) {
                let m = |i: usize| f64::from(mask[i / 2]) / 255.0;
                let shown =
                    |i: usize| m(i) * f64::from(x[i]) + (1.0 - m(i)) * f64::from(fill[i % 2]);
                let p: f64 = (0..108).map(|i| f64::from(weights[1][i]) * shown(i)).sum();
                for (out, m) in expected.iter_mut().zip(mask) {
                    *out += p * f64::from(*m) / 255.0 / 5.0 / if mindspore { 1.0 } else { 0.4 };
                }
            }
            let expected: Vec<f32> = expected.iter().map(|v| *v as f32).collect();
            for stored in [StoredMasks::Bytes(&bytes), StoredMasks::Floats(&floats)] {
                let method = method(stored, mindspore);
                let found = maps(&method, &mut net, tensor(SHAPE, &x), &[0, 1]);
                close(&found[1], &expected, 1e-5);
                assert_eq!(method.cost(&mut net, 2).unwrap().forward, 5);
            }
        }
    }

    /// For f = sum over pixels of g x, the expectation of RISE at a pixel is f's
    /// expectation plus g x times var(m) / E[m] of the pixel and its neighbours:
    /// what a score gains from a pixel shows. With cells of one pixel (a grid as
    /// fine as the picture, MindSpore's margin aside) masks are independent enough
    /// that the map must rise with g x; a constant f gives E[m] / keep = 1 times f.
    #[test]
    fn expectation_on_simple_models() {
        let x = vec![1.0; 108];
        let rise = Rise {
            masks: 4000,
            ..Rise::default()
        };
        let mut constant = Net::new(SHAPE, 1, |_, _| 0.75);
        let found = maps(&rise, &mut constant, tensor(SHAPE, &x), &[0]);
        // Standard error of the mean of 4000 masks: at most 0.75 / 0.5 * 0.5 / sqrt(4000).
        close(&found[0], &vec![0.75; 54], 5.0 * 0.75 / 4000f32.sqrt());
        // One pixel decides: E[m_p m_q] / keep is largest at q = p, where it is
        // E[m_p^2] / keep, between keep (a blurred mask) and 1 (a hard one).
        let decides = 2 * (2 * 9 + 6);
        let mut one = Net::new(SHAPE, 1, move |x, _| f64::from(x[decides]));
        let found = &maps(&rise, &mut one, tensor(SHAPE, &x), &[0])[0];
        let best = (0..54)
            .max_by(|a, b| found[*a].total_cmp(&found[*b]))
            .unwrap();
        assert_eq!(best, 2 * 9 + 6);
        assert!(found[best] > 0.6 && found[best] < 1.0, "{}", found[best]);
        // Far away m_p and m_q are independent: E[m_p] E[m_q] / keep = keep.
        assert!((found[5 * 9] - 0.5).abs() < 0.04, "{}", found[5 * 9]);
    }

    /// Weights of the cells along one side in pixel `at` under a shift, as the paper
    /// enlarges them.
    fn cells(at: usize, shift: usize, side: usize, s: usize) -> Vec<f64> {
        let up = ((s + 1) * side.div_ceil(s)) as f64;
        let place = ((at + shift) as f64 + 0.5) * s as f64 / up - 0.5;
        let place = place.clamp(0.0, (s - 1) as f64);
        let near = |cell: usize| (1.0 - (place - cell as f64).abs()).max(0.0);
        (0..s).map(near).collect()
    }

    /// For f = sum_q g_q m_q the expectation at p is sum_q g_q E[m_p m_q] / keep, and
    /// E[m_p m_q] = keep^2 + keep (1 - keep) times the cells that both have, in
    /// the mean over all shifts. Even masks come nearer to it than random ones.
    #[test]
    fn even_masks_have_the_same_expectation_and_less_error() {
        let (shape, s, keep) = (Shape::new(6, 9, 1), 3, 0.4f32);
        let gains: Vec<f64> = wave(54, 1.3).iter().map(|g| f64::from(*g)).collect();
        let both = |a: usize, b: usize, side: usize| -> Vec<f64> {
            let of_shift = |shift| -> f64 {
                let (a, b) = (cells(a, shift, side, s), cells(b, shift, side, s));
                a.iter().zip(b).map(|(a, b)| a * b).sum()
            };
            (0..side.div_ceil(s)).map(of_shift).collect()
        };
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let k = f64::from(keep);
        let expected: Vec<f64> = (0..54)
            .map(|p| {
                let each = (0..54).map(|q| {
                    let rows = mean(both(p / 9, q / 9, 6));
                    let columns = mean(both(p % 9, q % 9, 9));
                    gains[q] * (k + (1.0 - k) * rows * columns)
                });
                each.sum()
            })
            .collect();
        let x = vec![1.0; 54];
        let mut net = Net::new(shape, 1, |x, _| {
            x.iter().zip(&gains).map(|(x, g)| f64::from(*x) * g).sum()
        });
        let mut error = |sequence| {
            let rise = Rise {
                masks: 512,
                grid: s as u16,
                keep,
                sequence,
                ..Rise::default()
            };
            let mut sum = 0.0;
            for seed in 0..6 {
                let query = Query {
                    picture: tensor(shape, &x),
                    targets: &[0],
                    score: None,
                    seed,
                };
                let (found, _) = explain(&rise, &mut net, &query, &mut Silent).unwrap();
                let pairs = found[0].iter().zip(&expected);
                sum += pairs.map(|(f, e)| (f64::from(*f) - e).powi(2)).sum::<f64>();
            }
            (sum / (6.0 * 54.0)).sqrt()
        };
        let random = error(Sequence::Random);
        let even = error(Sequence::Even(crate::quasi::scrambled_sobol));
        // Scores have a size of about 2; the first figure is what 512 masks leave.
        assert!(random < 0.3 && even < 0.5 * random, "{even} {random}");
    }

    #[test]
    fn batches_targets_and_seeds() {
        let (x, weights) = (wave(108, 0.7), [wave(108, 1.9), wave(108, 0.3)]);
        let rise = Rise {
            masks: 50,
            ..Rise::default()
        };
        let mut query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[1, 0],
            score: None,
            seed: 7,
        };
        let mut net = Net::linear(SHAPE, &weights);
        let (both, _) = explain(&rise, &mut net, &query, &mut Silent).unwrap();
        assert_eq!(net.passes, 50);
        net.backwards = true;
        let (again, outcomes) = explain(&rise, &mut net, &query, &mut Silent).unwrap();
        assert_eq!((&again, &*outcomes), (&both, &[Outcome::Ok; 2][..]));
        query.targets = &[0];
        let (alone, _) = explain(&rise, &mut net, &query, &mut Silent).unwrap();
        assert_eq!(alone[0], both[1]);
        query.seed = 8;
        let (other, _) = explain(&rise, &mut net, &query, &mut Silent).unwrap();
        assert_ne!(other[0], both[1]);
    }

    /// Stopped after n masks: the map of n masks.
    #[test]
    fn stopped_in_the_middle() {
        let (x, weights) = (wave(108, 0.7), [wave(108, 1.9)]);
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0],
            score: None,
            seed: 7,
        };
        let rise = |masks| Rise {
            masks,
            ..Rise::default()
        };
        let mut net = Net::linear(SHAPE, &weights);
        let (few, _) = explain(&rise(12), &mut net, &query, &mut Silent).unwrap();
        let (cut, outcomes) = explain(&rise(30), &mut net, &query, &mut StopAfter(12)).unwrap();
        assert_eq!(few, cut);
        let partial = Outcome::Partial {
            done: 12,
            total: 30,
        };
        assert_eq!(outcomes, [partial]);
        // One mask by itself tells nothing but where it lies.
        let (cut, outcomes) = explain(&rise(30), &mut net, &query, &mut StopAfter(1)).unwrap();
        assert_eq!(
            (cut[0].as_slice(), outcomes),
            (&[0.0; 54][..], vec![NOTHING_YET])
        );
    }

    #[test]
    fn bad_parameters() {
        let x = wave(108, 0.7);
        let mut net = Net::new(SHAPE, 1, |_, _| 0.0);
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0],
            score: None,
            seed: 7,
        };
        let mut error = |rise: Rise<'_>| explain(&rise, &mut net, &query, &mut Silent).unwrap_err();
        let rise = Rise::default();
        let none = Error::BadParameter("number of masks");
        assert_eq!(error(Rise { masks: 0, ..rise }), none);
        let stored = Some(StoredMasks::Bytes(&[]));
        assert_eq!(error(Rise { stored, ..rise }), none);
        let stored = Some(StoredMasks::Bytes(&[1; 55]));
        let size = Error::BadParameter("size of the stored masks");
        assert_eq!(error(Rise { stored, ..rise }), size);
        let keep = Error::BadParameter("share of kept cells");
        assert_eq!(error(Rise { keep: 0.0, ..rise }), keep);
        let cells = Error::BadParameter("cells of a RISE mask");
        assert_eq!(error(Rise { grid: 0, ..rise }), cells);
        let stored = Some(StoredMasks::Floats(&[1.5; 54]));
        let weight = Error::BadParameter("weight of a mask");
        assert_eq!(error(Rise { stored, ..rise }), weight);
    }
}
