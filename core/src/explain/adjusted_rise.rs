//! RISE by regression: the map of [`CentredRise`](super::CentredRise) from fewer masks.
//!
//! RISE's map is Cov(f, M(x)) / E\[M\] but for a constant. The covariance's noise is that
//! of the whole score, most of which other parts of the mask have caused; regression on
//! means of the mask removes it, as control variates do (Lavenberg and Welch 1981,
//! Management Science 27; Glasserman 2003, Monte Carlo Methods in Financial
//! Engineering, 4.1.2; RISE: Petsiuk et al. 2018, arXiv 1806.07421).
//!
//! z is the mask's mean in each of s x s blocks of the picture, s the cells of a mask
//! along a side. b minimises sum_i (f_i - b_0 - b z_i)^2 + alpha |b|^2, alpha the one of
//! ten with the least generalised cross-validation (Golub, Heath and Wahba 1979,
//! Technometrics 21). The covariance of masks is known: along an axis K(y, j), pixel with
//! block, per variance p (1 - p) of a cell that is kept with probability p, and the map is
//!
//!   (1 - p) sum_jk K(y, j) K(x, k) b_jk.
//!
//! Bias: the ridge draws the map towards 0, by less the more masks there are; of the
//! score, only what is linear in z reaches the map, which for f linear in z is all.
//! Masks that are not means of blocks leave a rest that no number of masks removes: on
//! two photos the map of 6,000 masks correlated 0.996 with the centred one of the same masks.
//!
//! Beside the map, with V = s^2 (Z'Z + alpha I)^-1 the variance of b (the posterior one of
//! a prior with variance s^2 / alpha, so that the ridge's bias is in it) and
//! s^2 the variance that is left: `standard_error`, a map; `agreement`, the correlation
//! that is to be expected with a map of as many other masks, v / (v + e), v the variance
//! of the map over pixels and e that of its error; `r2`, the share of the score's variance
//! that b explains; `masks`. With a `tolerance` the method ends once the agreement is
//! within it of 1 for every target; it looks every 128 masks.
//!
//! All targets share the passes. Default score: probability. Cost: N forward at most;
//! scratch: classes, one row of a mask, the blocks, two a target and a map; f64 storage
//! of [`AdjustedRise::storage`], which does not grow with N.

mod surface;

use core::cell::RefCell;

use self::surface::Surface;
use super::pass::{Passes, front, fronts, prepare, score_of, unless_stopped};
use super::regression::Sums;
use super::rise::{differs, nothing_yet};
use super::{Cost, Method, Outcome, Progress, Query, Rise};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::{Mask, MaskSums, Masked, block};
use crate::tensor::Shape;

/// Most cells along each side of a mask: an inverse has their fourth power of numbers.
const MOST_CELLS: usize = 12;

/// Masks from one look at the agreement to the next.
const TURN: usize = 128;

/// The ridge's alpha, in means of the diagonal of Z'Z.
const ALPHAS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Why there is no map.
const TOO_FEW: Outcome = Outcome::Undefined("too few masks for a regression");

/// What keeping a pixel adds to the mean score, by regression.
#[derive(Debug)]
pub struct AdjustedRise<'a, 's> {
    /// The masks, none of them stored; at most 12 cells a side. The divisor does
    /// not matter.
    pub rise: Rise<'a>,
    /// How far from 1 the agreement may be that ends the masks, above 0, below 1;
    /// `None` asks all masks.
    pub tolerance: Option<f32>,
    /// [`AdjustedRise::storage`] numbers.
    pub storage: RefCell<&'s mut [f64]>,
}

/// The ridge of one target.
#[derive(Clone, Copy)]
struct Ridge {
    alpha: f64,
    /// Variance of the score that is left.
    noise: f64,
    r2: f64,
}

/// The regression of all targets, and what makes maps of it.
struct Regression<'s> {
    sums: Sums<'s>,
    /// The inverse of Z'Z + alpha I.
    inverse: &'s mut [f64],
    weights: &'s mut [f64],
    surface: Surface<'s>,
    samples: u64,
}

impl<'s> Regression<'s> {
    /// Numbers of storage.
    const fn storage(cells: usize, input: Shape, targets: usize) -> usize {
        let blocks = cells * cells;
        let sums = Sums::storage(blocks, targets);
        sums + blocks * (blocks + 1) + Surface::storage(cells, input)
    }

    fn new(
        rise: &Rise<'_>,
        input: Shape,
        targets: usize,
        storage: &'s mut [f64],
    ) -> Result<Self, Error> {
        let cells = usize::from(rise.grid);
        let blocks = cells * cells;
        let storage = front(storage, Self::storage(cells, input, targets))?;
        let split =
            |from: &'s mut [f64], n: usize| from.split_at_mut_checked(n).ok_or(Error::Internal);
        let (inverse, rest) = split(storage, blocks * blocks)?;
        let (weights, rest) = split(rest, blocks)?;
        let (surface, sums) = split(rest, Surface::storage(cells, input))?;
        Ok(Self {
            sums: Sums::new(blocks, targets, sums)?,
            inverse,
            weights,
            surface: Surface::new(rise, input, surface)?,
            samples: 0,
        })
    }

    /// The ridge of least generalised cross-validation, with its coefficients in
    /// `weights` and the inverse that goes with them.
    fn fit(&mut self, target: usize) -> Result<Option<Ridge>, Error> {
        let scale = self.sums.diagonal();
        let mut best: Option<(f64, Ridge)> = None;
        for share in ALPHAS {
            let alpha = share * scale;
            if let Some((loss, ridge)) = self.with(alpha, target)?
                && best.is_none_or(|(least, _)| loss < least)
            {
                best = Some((loss, ridge));
            }
        }
        let Some((_, ridge)) = best else {
            return Ok(None);
        };
        self.with(ridge.alpha, target)?;
        Ok(Some(ridge))
    }

    /// Generalised cross-validation of one alpha, and its ridge.
    fn with(&mut self, alpha: f64, target: usize) -> Result<Option<(f64, Ridge)>, Error> {
        if !self.sums.factor_ridge(alpha) {
            return Ok(None);
        }
        let trace = self.sums.inverse(self.inverse);
        let used = self.weights.len() as f64 - alpha * trace;
        let free = self.samples as f64 - 1.0 - used;
        let variation = self.sums.variation(target);
        let (found, fit) = self.sums.ridge(target)?;
        for (to, from) in self.weights.iter_mut().zip(found) {
            *to = *from;
        }
        let error = (1.0 - fit.r2) * variation;
        let ridge = Ridge {
            alpha,
            noise: error / free,
            r2: fit.r2,
        };
        Ok((free > 0.0).then_some((error / (free * free), ridge)))
    }

    /// What correlation the map of [`Regression::fit`] has with one of as many
    /// other masks.
    fn agreement(&self, ridge: &Ridge) -> f64 {
        let blocks = self.weights.len();
        let weight = |i: usize| self.weights.get(i).copied().unwrap_or(0.0);
        let inverse = |i: usize, j: usize| self.inverse.get(i * blocks + j).copied();
        let map = self.surface.variance(&|i, j| weight(i) * weight(j));
        let error = self.surface.variance(&|i, j| inverse(i, j).unwrap_or(0.0)) * ridge.noise;
        if map > 0.0 { map / (map + error) } else { 0.0 }
    }
}

/// Means of a mask's weights in its blocks.
fn means(
    mask: &Mask<'_>,
    input: Shape,
    cells: usize,
    row: &mut [f32],
    out: &mut [f32],
) -> Result<(), Error> {
    out.fill(0.0);
    for y in 0..input.h {
        mask.row(input, y, row)?;
        let (down, part) = block(y, input.h, cells);
        let Some(out) = out.get_mut(down * cells..) else {
            continue;
        };
        for (x, weight) in row.iter().enumerate() {
            let (across, share) = block(x, input.w, cells);
            if let Some(mean) = out.get_mut(across) {
                *mean += weight * (part * share);
            }
        }
    }
    Ok(())
}

impl AdjustedRise<'_, '_> {
    /// Numbers of storage for an input, for so many cells along a side of a mask and
    /// targets.
    #[must_use]
    pub const fn storage(cells: u16, input: Shape, targets: usize) -> usize {
        Regression::storage(cells as usize, input, targets)
    }

    fn check(&self, input: Shape) -> Result<usize, Error> {
        if self.rise.stored.is_some() {
            return Err(Error::BadParameter("stored masks of adjusted RISE"));
        }
        if usize::from(self.rise.grid) > MOST_CELLS {
            return Err(Error::BadParameter("cells of adjusted RISE"));
        }
        let tolerance = self.tolerance.unwrap_or(0.5);
        if tolerance > 0.0 && tolerance < 1.0 {
            self.rise.count(input)
        } else {
            Err(Error::BadParameter("tolerance of RISE"))
        }
    }

    const fn blocks(&self) -> usize {
        self.rise.grid as usize * self.rise.grid as usize
    }

    /// Asks masks until there are enough.
    fn ask(
        &self,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        (scores, blocks): (&mut [f32], &mut [f32]),
        (seen, all): (&mut MaskSums<'_>, &mut Regression<'_>),
        passes: &mut Passes<'_>,
    ) -> Result<(), Error> {
        let (input, rise) = (classifier.input(), self.rise);
        let cells = usize::from(rise.grid);
        let count = passes.total as usize;
        let score = query.score.unwrap_or(Score::Probability);
        let mask = |i: usize| rise.mask(query.seed, i, input.area());
        let mut begin = 0;
        while begin < count && passes.done == begin as u64 {
            let more = TURN.min(count - begin);
            let view = |i: usize| Masked {
                picture: query.picture,
                fill: rise.fill,
                mask: mask(begin + i),
            };
            let mut sink = |i: usize, scores: &[f32]| {
                for (at, &target) in query.targets.iter().enumerate() {
                    seen.see(at, score_of(scores, target)?)?;
                }
                means(&mask(begin + i), input, cells, seen.row, blocks)?;
                let targets = query.targets.iter();
                let each = targets.map(|t| score_of(scores, *t).map(f64::from));
                all.sums.add(blocks, 1.0, each)?;
                all.samples += 1;
                passes.step()
            };
            unless_stopped(classifier.classify_batch(more, &view, score, scores, &mut sink))?;
            begin += more;
            if passes.done == begin as u64 && self.reached(all, seen.ranges)? {
                passes.total = passes.done;
                break;
            }
        }
        Ok(())
    }

    /// Whether all targets agree within the tolerance.
    fn reached(&self, all: &mut Regression<'_>, ranges: &[f32]) -> Result<bool, Error> {
        let Some(tolerance) = self.tolerance else {
            return Ok(false);
        };
        for (t, range) in ranges.as_chunks::<2>().0.iter().enumerate() {
            if !differs(range) {
                continue;
            }
            let agreement = all.fit(t)?.map_or(0.0, |ridge| all.agreement(&ridge));
            if agreement < 1.0 - f64::from(tolerance) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Method for AdjustedRise<'_, '_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        self.rise.map_shape(classifier)
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let input = classifier.input();
        let count = self.check(input)?;
        let once = classifier.classes() + input.w + self.blocks() + input.area();
        Ok(Cost {
            forward: count as u64,
            backward: 0,
            scratch: once + 2 * targets,
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
        let count = self.check(input)?;
        let shape = Shape::new(input.h, input.w, 1);
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let (targets, blocks) = (query.targets, self.blocks());
        let after_scores = input.w + blocks + 2 * targets.len() + shape.len();
        let (scores, rest) = fronts(scratch, classes, after_scores)?;
        let (row, rest) = fronts(rest, input.w, after_scores - input.w)?;
        let (blocks, rest) = fronts(rest, blocks, after_scores - input.w - blocks)?;
        let (ranges, error) = fronts(rest, 2 * targets.len(), shape.len())?;
        let mut storage = self.storage.try_borrow_mut().map_err(|_| Error::BadOrder)?;
        let mut all = Regression::new(&self.rise, input, targets.len(), &mut storage)?;
        let mut seen = MaskSums {
            targets,
            maps: &mut [],
            coverage: &mut [],
            ranges,
            row,
        };
        seen.clear();
        let mut passes = Passes::new(progress, count as u64);
        self.ask(
            classifier,
            query,
            (scores, blocks),
            (&mut seen, &mut all),
            &mut passes,
        )?;
        let maps = maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        for (t, ((map, outcome), range)) in maps.zip(seen.ranges.chunks_exact(2)).enumerate() {
            *outcome = all.finish((t, range), map, error, &mut passes)?;
        }
        Ok(())
    }
}

impl Regression<'_> {
    /// Makes the map of a target, and tells what goes beside it.
    fn finish(
        &mut self,
        (target, range): (usize, &[f32]),
        map: &mut [f32],
        error: &mut [f32],
        passes: &mut Passes<'_>,
    ) -> Result<Outcome, Error> {
        passes.note(target, "masks", passes.done as f64);
        let stopped = passes.done < passes.total;
        if !differs(range) {
            return Ok(if stopped {
                nothing_yet(map)
            } else {
                Outcome::Flat
            });
        }
        let Some(ridge) = self.fit(target)? else {
            return Ok(TOO_FEW);
        };
        self.surface.paint(self.weights, map);
        self.surface.deviation(self.inverse, ridge.noise, error);
        passes.note(target, "agreement", self.agreement(&ridge));
        passes.note(target, "r2", ridge.r2);
        passes.companion(target, "standard_error", error);
        Ok(passes.judge(map))
    }
}

#[cfg(test)]
mod tests;
