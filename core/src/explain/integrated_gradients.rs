//! Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, eq. 1).
//!
//! IG_i = (x_i - b_i) * integral over t from 0 to 1 of df/dx_i at b + t (x - b),
//! b the baseline; of several baselines the mean (expected gradients, Erion et
//! al. 2019, arXiv 1906.10670, with the baselines given). Signed: what the
//! element adds to the score against the baseline; all of them sum to
//! f(x) - f(b). How far they miss it is told as `completeness_error` (sum minus
//! difference, in units of the score), with the number of `steps`.
//!
//! The integral is a weighted sum, Kahan-compensated. Left and right points have
//! an error of O(1/n) of opposite sign, middle and trapezoid of O(1/n^2),
//! Gauss-Legendre falls faster still where the path is smooth; kinks of ReLUs
//! make all of them about O(1/n). With a tolerance the steps double, at most
//! [`MAX_DOUBLINGS`] times, until the error of every target is within it.
//! The points are visited in leaps along the path, so a stopped run has seen all
//! parts of it: its map is the mean of those seen. Stopped after a doubling, it
//! answers with the last round that was finished, that round's steps and error.
//!
//! Default score: logit. Cost: n points a baseline (trapezoid: n + 1), a forward
//! and a backward a target each, and 1 forward for x and each baseline; scratch:
//! one picture, and one map a target, with a tolerance two.

use serde::{Deserialize, Serialize};

use super::pass::{Passes, fronts, prepare, score_of, unless_stopped};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Derivatives, GradientPiece, Layers, Rule, Score};
use crate::error::Error;
use crate::mask::{Fill, Mask, Masked};
use crate::picture::MAX_CHANNELS;
use crate::tensor::Shape;

/// How often the steps may double to reach a tolerance.
pub const MAX_DOUBLINGS: u32 = 5;

/// Where along the path gradients are taken, and how they weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quadrature {
    /// The middle of each step.
    #[default]
    Middle,
    /// The end nearer to the baseline.
    Left,
    /// The end nearer to the picture.
    Right,
    /// Both ends, the outermost at half weight: one point more than steps.
    Trapezoid,
    /// The nodes of Gauss and Legendre.
    GaussLegendre,
}

impl Quadrature {
    const fn points(self, steps: u32) -> u32 {
        match self {
            Self::Trapezoid => steps + 1,
            _ => steps,
        }
    }

    /// Place 0..1 and weight of point `j` of `n` steps; the weights sum to 1.
    fn point(self, j: u32, n: u32) -> (f64, f64) {
        let (at, step) = (f64::from(j), 1.0 / f64::from(n));
        match self {
            Self::Middle => ((at + 0.5) * step, step),
            Self::Left => (at * step, step),
            Self::Right => ((at + 1.0) * step, step),
            Self::Trapezoid if j == 0 || j == n => (at * step, 0.5 * step),
            Self::Trapezoid => (at * step, step),
            Self::GaussLegendre => gauss_legendre(j, n),
        }
    }
}

/// Node `j` of `n` and its weight on 0..1: a root of the Legendre polynomial by
/// Newton's method, from Tricomi's estimate.
fn gauss_legendre(j: u32, n: u32) -> (f64, f64) {
    let degree = f64::from(n);
    let mut x = -libm::cos(core::f64::consts::PI * (f64::from(j) + 0.75) / (degree + 0.5));
    let mut slope = 1.0;
    for _ in 0..10 {
        let (mut before, mut value) = (1.0, x);
        for k in 2..=n {
            let k = f64::from(k);
            let next = ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k;
            (before, value) = (value, next);
        }
        slope = degree * (x * value - before) / (x * x - 1.0);
        let change = value / slope;
        x -= change;
        if libm::fabs(change) < 1e-15 {
            break;
        }
    }
    ((1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
}

/// The place on which the `i`-th visit falls: leaps of about 0.618 of the path.
fn leap(i: u32, points: u32) -> u32 {
    let points = u64::from(points.max(1));
    let mut stride = (points * 618).div_ceil(1000).max(1);
    while common_divisor(stride, points) > 1 {
        stride += 1;
    }
    ((u64::from(i) * stride).checked_rem(points).unwrap_or(0)) as u32
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

/// What each element adds to the score, from a baseline to the picture.
#[derive(Clone, Copy, Debug)]
pub struct IntegratedGradients<'a> {
    /// The quadrature.
    pub quadrature: Quadrature,
    /// Steps along the path, at least 1.
    pub steps: u32,
    /// The baselines, at least one.
    pub baselines: &'a [Fill<'a>],
    /// Greatest error of completeness, in units of the score, that ends the
    /// doubling of the steps; `None` for no doubling.
    pub tolerance: Option<f32>,
}

impl Default for IntegratedGradients<'_> {
    /// 50 steps from 0 in model space.
    fn default() -> Self {
        Self {
            quadrature: Quadrature::Middle,
            steps: 50,
            baselines: &[Fill::Colour([0.0; MAX_CHANNELS])],
            tolerance: None,
        }
    }
}

/// The memory of a run.
struct Room<'s> {
    /// Picture minus baseline.
    difference: &'s mut [f32],
    /// What rounding took from the sums, map by map.
    lost: &'s mut [f32],
    /// f(x) - f(b) of each target, the mean over the baselines.
    rise: &'s mut [f32],
    /// The maps of the last finished round; empty without a tolerance.
    finished: &'s mut [f32],
}

impl IntegratedGradients<'_> {
    fn check(&self) -> Result<(), Error> {
        let tolerance = self.tolerance.unwrap_or(1.0);
        let sane = tolerance > 0.0 && self.steps >= 1 && self.steps <= 1 << 20;
        match sane && !self.baselines.is_empty() {
            true => Ok(()),
            false => Err(Error::BadParameter("steps of integrated gradients")),
        }
    }

    /// Numbers in which maps of so many wait for the next round.
    const fn kept(&self, maps: usize) -> usize {
        match self.tolerance {
            Some(_) => maps,
            None => 0,
        }
    }

    /// Forward passes of one round.
    const fn round(&self, steps: u32) -> u64 {
        self.quadrature.points(steps) as u64 * self.baselines.len() as u64
    }

    const fn scratch(&self, picture: usize, targets: usize) -> usize {
        let maps = picture * targets;
        picture + maps + targets + self.kept(maps)
    }

    /// The maps, by rounds until they are close; steps and weights of points of the
    /// round that they are of, 0 for those of a stopped run's last finished one.
    fn rounds(
        &self,
        layers: &mut dyn Layers,
        query: &Query<'_>,
        maps: &mut [f32],
        room: &mut Room<'_>,
        passes: &mut Passes<'_>,
    ) -> Result<(u32, f64), Error> {
        let mut steps = self.steps;
        for doubled in 0..=MAX_DOUBLINGS {
            let mut seen = 0.0;
            let out = (&mut *maps, &mut seen);
            let state = self.integrate(layers, query, steps, out, room, passes);
            let stopped = state.is_err();
            unless_stopped(state)?;
            if stopped && doubled > 0 {
                copy(room.finished, maps);
                return Ok((steps / 2, 0.0));
            }
            if stopped || doubled == MAX_DOUBLINGS || self.is_close(maps, room) {
                return Ok((steps, seen));
            }
            copy(maps, room.finished);
            steps *= 2;
            passes.total += self.round(steps) * (1 + query.targets.len() as u64);
        }
        Err(Error::Internal)
    }

    /// f(x) minus the mean of f(b), and f(x) minus f(b) of each.
    fn rise(
        &self,
        layers: &mut dyn Layers,
        query: &Query<'_>,
        rise: &mut [f32],
    ) -> Result<(), Error> {
        let score = query.score.unwrap_or(Score::Logit);
        rise.fill(0.0);
        let share = -1.0 / self.baselines.len() as f32;
        let ends = self.baselines.iter().map(|fill| (*fill, 0.0, share));
        let whole = (Fill::Colour([0.0; MAX_CHANNELS]), 1.0, 1.0);
        for (fill, weight, factor) in ends.chain([whole]) {
            layers.run(&between(query, fill, weight), At::Input, Rule::Gradient)?;
            let scores = layers.scores(score)?;
            for (rise, target) in rise.iter_mut().zip(query.targets) {
                *rise += factor * score_of(scores, *target)?;
            }
        }
        Ok(())
    }

    /// One round of `steps` into the maps; counts the weights of the points seen.
    fn integrate(
        &self,
        layers: &mut dyn Layers,
        query: &Query<'_>,
        steps: u32,
        (maps, seen): (&mut [f32], &mut f64),
        room: &mut Room<'_>,
        passes: &mut Passes<'_>,
    ) -> Result<(), Error> {
        maps.fill(0.0);
        room.lost.fill(0.0);
        let points = self.quadrature.points(steps);
        let share = 1.0 / self.baselines.len() as f64;
        let what = Derivatives {
            targets: query.targets,
            against: None,
            score: query.score.unwrap_or(Score::Logit),
            rule: Rule::Gradient,
        };
        let point = |i: usize| self.quadrature.point(leap(i as u32, points), steps);
        for fill in self.baselines {
            subtract(query, *fill, room.difference)?;
            let view = |i: usize| between(query, *fill, point(i).0 as f32);
            let mut sink = |piece: &GradientPiece<'_>| {
                let weight = point(piece.question).1 * share;
                add(piece, weight as f32, maps, room)
            };
            let mut done = 0;
            let mut after = || {
                *seen += point(done).1 * share;
                done += 1;
                passes.steps(1 + query.targets.len() as u64)
            };
            layers.gradients(points as usize, &view, &what, &mut sink, &mut after)?;
        }
        Ok(())
    }

    /// Whether there is no tolerance or every map is within it.
    fn is_close(&self, maps: &[f32], room: &Room<'_>) -> bool {
        let Some(tolerance) = self.tolerance else {
            return true;
        };
        let maps = maps.chunks_exact(room.difference.len().max(1));
        let mut errors = maps.zip(&*room.rise).map(|(map, rise)| error(map, *rise));
        errors.all(|error| libm::fabs(error) <= f64::from(tolerance))
    }
}

/// The picture at a share of the way from the baseline.
const fn between<'q>(query: &Query<'q>, fill: Fill<'q>, share: f32) -> Masked<'q> {
    Masked {
        picture: query.picture,
        fill,
        mask: Mask::Even(share),
    }
}

/// Writes picture minus baseline.
pub(super) fn subtract(query: &Query<'_>, fill: Fill<'_>, out: &mut [f32]) -> Result<(), Error> {
    let fill = Masked {
        picture: query.picture,
        fill,
        mask: Mask::Even(0.0),
    };
    let shape = query.picture.shape();
    for (y, row) in out.chunks_exact_mut(shape.row().max(1)).enumerate() {
        fill.row(y, row)?;
        for (x, pixel) in row.chunks_exact_mut(shape.c.max(1)).enumerate() {
            for (c, value) in pixel.iter_mut().enumerate() {
                *value = query.picture.value(y, x, c)? - *value;
            }
        }
    }
    Ok(())
}

/// Adds weight * difference * gradient to the map of the gradient's target.
fn add(
    piece: &GradientPiece<'_>,
    weight: f32,
    maps: &mut [f32],
    room: &mut Room<'_>,
) -> Result<(), Error> {
    let length = room.difference.len().max(1);
    let map = maps.chunks_exact_mut(length).nth(piece.target);
    let lost = room.lost.chunks_exact_mut(length).nth(piece.target);
    let (map, lost) = map.zip(lost).ok_or(Error::Internal)?;
    let difference = room.difference.iter().skip(piece.first);
    let sums = map.iter_mut().zip(lost).skip(piece.first);
    for ((g, d), (sum, lost)) in piece.gradient.iter().zip(difference).zip(sums) {
        let term = weight * *d * *g - *lost;
        let next = *sum + term;
        *lost = (next - *sum) - term;
        *sum = next;
    }
    Ok(())
}

/// Copies maps of equal length.
fn copy(from: &[f32], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Sum of a map minus what it should be.
fn error(map: &[f32], rise: f32) -> f64 {
    map.iter().map(|v| f64::from(*v)).sum::<f64>() - f64::from(rise)
}

impl Method for IntegratedGradients<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        Ok(classifier.input())
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.check()?;
        classifier.layers().ok_or(Error::NotWhiteBox)?;
        let doublings = self.tolerance.map_or(0, |_| MAX_DOUBLINGS);
        let points: u64 = (0..=doublings).map(|i| self.round(self.steps << i)).sum();
        Ok(Cost {
            forward: points + 1 + self.baselines.len() as u64,
            backward: points * targets as u64,
            scratch: self.scratch(classifier.input().len(), targets),
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
        self.check()?;
        let (shape, classes) = (classifier.input(), classifier.classes());
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let need = self.scratch(shape.len(), query.targets.len());
        let (difference, rest) = fronts(scratch, shape.len(), need - shape.len())?;
        let (lost, rest) = fronts(rest, maps.len(), need - shape.len() - maps.len())?;
        let (rise, rest) = fronts(rest, query.targets.len(), self.kept(maps.len()))?;
        let mut room = Room {
            difference,
            lost,
            rise,
            finished: rest,
        };
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let each = 1 + query.targets.len() as u64;
        let ends = 1 + self.baselines.len() as u64;
        let mut passes = Passes::new(progress, ends + self.round(self.steps) * each);
        self.rise(layers, query, room.rise)?;
        let begun = passes.steps(ends);
        let found = match begun {
            Ok(()) => self.rounds(layers, query, maps, &mut room, &mut passes)?,
            Err(_) => (self.steps, 0.0),
        };
        unless_stopped(begun)?;
        tell(maps, outcomes, &room, found, &mut passes);
        Ok(())
    }
}

/// Brings maps of a run stopped in its first round to the whole path, judges all
/// of them and tells their errors.
fn tell(
    maps: &mut [f32],
    outcomes: &mut [Outcome],
    room: &Room<'_>,
    (steps, seen): (u32, f64),
    passes: &mut Passes<'_>,
) {
    let maps = maps.chunks_exact_mut(room.difference.len().max(1));
    for (i, ((map, outcome), rise)) in maps.zip(outcomes).zip(&*room.rise).enumerate() {
        if passes.done < passes.total && seen > 0.0 {
            for value in &mut *map {
                *value = (f64::from(*value) / seen) as f32;
            }
        }
        *outcome = passes.judge(map);
        passes.note(i, "completeness_error", error(map, *rise));
        passes.note(i, "steps", f64::from(steps));
    }
}

#[cfg(test)]
mod tests;
