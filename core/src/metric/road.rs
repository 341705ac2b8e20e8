//! ROAD: remove and debias (Rong et al. 2022, arXiv 2202.00449).
//!
//! Removed pixels become what their neighbours tell, with a little noise, so
//! that the shape of what was removed gives nothing away. The most relevant
//! pixels first should cost the score (`morf`), the least relevant first should
//! not (`lerf`); the score is half the difference of the two means. The noise
//! is added to the solution; its deviation is a share of the picture's range.

use super::imputation::{self, Fill};
use super::order::{ranks, room};
use super::pass::{Ask, Passes, bounded, check, cut, pixels, unranked};
use super::table::{SCORE, parameter};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::Masked;
use crate::picture::Picture;
use crate::rng::{self, Purpose};
use crate::tensor::Shape;
use core::ops::Range;

pub(super) const ROW: MetricRow = MetricRow {
    name: "road",
    summary: "score without the least relevant pixels against without the most relevant ones",
    family: Family::Faithfulness,
    range: [-0.5, 0.5],
    better: Better::Higher,
    needs: Needs::Scores,
    per_class: true,
    paper: "Rong et al. 2022, arXiv 2202.00449",
    parameters: &[
        parameter(
            "steps",
            "9",
            "removed shares, from 1 / (steps + 1) to steps / (steps + 1)",
        ),
        parameter(
            "noise",
            "0.01",
            "deviation of the noise, as a share of the picture's range",
        ),
        SCORE,
    ],
};

/// Remove and debias, both ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Road {
    /// Removed shares: `1 / (steps + 1)` to `steps / (steps + 1)`.
    pub steps: usize,
    /// Deviation of the noise, as a share of the picture's range.
    pub noise: f32,
    /// Score that is compared.
    pub score: Score,
}

impl Default for Road {
    fn default() -> Self {
        Self {
            steps: 9,
            noise: 0.01,
            score: Score::Probability,
        }
    }
}

impl Road {
    fn share(&self, step: usize) -> f32 {
        (step + 1) as f32 / (self.steps + 1) as f32
    }
}

impl Metric for Road {
    fn cost(&self, input: Shape, classes: usize, _explanation: Cost) -> Cost {
        Cost {
            forward: 2 * self.steps as u64,
            backward: 0,
            scratch: room(input.area()) + classes + input.len() + imputation::room(input),
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        let noisy = self.noise >= 0.0 && self.noise.is_finite();
        if self.steps == 0 || !noisy {
            return Err(Error::BadParameter("steps or noise of ROAD"));
        }
        let input = check(classifier, subject)?;
        let evidence = subject.evidence.get(..input.area()).unwrap_or_default();
        if let Some(reason) = unranked(evidence) {
            return Ok(Scored::Undefined(reason));
        }
        let (scores, scratch) = cut(scratch, classifier.classes())?;
        let (picture, scratch) = cut(scratch, input.len())?;
        let (vectors, scratch) = cut(scratch, imputation::room(input))?;
        let ranks = ranks(evidence, scratch)?;
        let mut desk = Desk {
            input,
            subject,
            ranks,
            fill: Fill::new(input, vectors)?,
            ask: Ask {
                score: self.score,
                target: subject.target,
                scores,
            },
            picture,
        };
        let mut passes = Passes::new(witness, 2 * self.steps);
        let mut means = [0.0; 2];
        for (order, mean) in [Order::Most, Order::Least].into_iter().zip(&mut means) {
            match desk.walk(self, order, classifier, &mut passes)? {
                Err(reason) => return Ok(Scored::Undefined(reason)),
                Ok(found) => *mean = found,
            }
            passes.witness.part(order.name(), *mean);
        }
        let [morf, lerf] = means;
        let score = (lerf - morf) / 2.0;
        Ok(match self.score {
            Score::Probability => bounded(score, ROW.range),
            Score::Logit => Scored::finite(score),
        })
    }
}

/// Which pixels go first.
#[derive(Clone, Copy)]
enum Order {
    Most,
    Least,
}

impl Order {
    const fn name(self) -> &'static str {
        match self {
            Self::Most => "morf",
            Self::Least => "lerf",
        }
    }

    /// The ranks of the first `count` pixels of `all`.
    const fn first(self, count: u32, all: u32) -> Range<u32> {
        match self {
            Self::Most => 0..count,
            Self::Least => all.saturating_sub(count)..all,
        }
    }
}

/// One picture, more and more of it filled.
struct Desk<'d> {
    input: Shape,
    subject: &'d Subject<'d>,
    ranks: &'d [u32],
    fill: Fill<'d>,
    ask: Ask<'d>,
    /// The picture at work, HWC.
    picture: &'d mut [f32],
}

impl Desk<'_> {
    /// The mean score, one order through; or why there is none.
    fn walk(
        &mut self,
        road: &Road,
        order: Order,
        classifier: &mut dyn Classifier,
        passes: &mut Passes<'_>,
    ) -> Result<Result<f64, &'static str>, Error> {
        let area = self.input.area();
        let range = read(self.subject.picture, self.input, self.picture)?;
        if range <= 0.0 {
            return Ok(Err("the picture is of one colour"));
        }
        let mut mean = 0.0;
        for step in 0..road.steps {
            let count = pixels(road.share(step), area)?;
            let gone = order.first(count, area as u32);
            if !self.fill.solve(self.picture, self.ranks, &gone, range) {
                return Ok(Err("removed pixels could not be filled"));
            }
            let (key, deviation) = ((self.subject.seed, step as u32), road.noise * range as f32);
            roughen(self.picture, self.input, key, deviation, |pixel| {
                self.ranks
                    .get(pixel)
                    .is_some_and(|rank| gone.contains(rank))
            });
            let view = Masked::whole(Picture::Tensor {
                shape: self.input,
                data: self.picture,
            });
            let score = self.ask.one(classifier, &view, passes)?;
            let share = f64::from(count) / area as f64;
            passes.witness.point(order.name(), share, score);
            mean += score / road.steps as f64;
        }
        Ok(Ok(mean))
    }
}

/// Writes the picture in model space into `out`; the range of its values.
fn read(picture: Picture<'_>, input: Shape, out: &mut [f32]) -> Result<f64, Error> {
    let whole = Masked::whole(picture);
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for (y, row) in out.chunks_exact_mut(input.row().max(1)).enumerate() {
        whole.row(y, row)?;
        for value in row.iter().map(|v| f64::from(*v)) {
            least = if value < least { value } else { least };
            most = if value > most { value } else { most };
        }
    }
    Ok(most - least)
}

/// Adds noise to the chosen pixels.
fn roughen(
    picture: &mut [f32],
    input: Shape,
    (seed, step): (u64, u32),
    deviation: f32,
    chosen: impl Fn(usize) -> bool,
) {
    let pixels = picture.chunks_exact_mut(input.c.max(1)).enumerate();
    for (i, pixel) in pixels.filter(|(i, _)| chosen(*i)) {
        for (block, values) in (0u32..).zip(pixel.chunks_mut(4)) {
            let words = rng::words(seed, step, i as u32, block, Purpose::FillNoise);
            for (value, normal) in values.iter_mut().zip(rng::four_normals(words)) {
                *value += deviation * normal;
            }
        }
    }
}
