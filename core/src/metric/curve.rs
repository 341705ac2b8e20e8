//! The curve that deletion and insertion integrate: the score while more and
//! more of the picture is taken away, or shown, strongest evidence first.

use super::order::{ranks, room};
use super::pass::{Answer, Ask, Passes, bounded, check, cut, unranked};
use super::{Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::{Fill, Mask, Masked};
use crate::picture::MAX_CHANNELS;
use crate::tensor::Shape;

/// What is asked along the curve.
#[derive(Clone, Copy)]
pub(super) struct Sweep {
    /// Name of the curve.
    pub(super) name: &'static str,
    /// Whether pixels are shown or taken away.
    pub(super) reveal: bool,
    pub(super) steps: usize,
    pub(super) score: Score,
    pub(super) mindspore: bool,
}

/// How many pixels have changed at each point of a curve.
#[derive(Clone, Copy)]
struct Points {
    /// Points behind the first.
    steps: usize,
    /// Pixels a step; `None` spreads the whole picture over the steps.
    pixels: Option<usize>,
    area: usize,
}

impl Points {
    fn pixels(&self, step: usize) -> usize {
        match self.pixels {
            Some(pixels) => step * pixels,
            None => step * self.area / self.steps.max(1),
        }
    }
}

impl Sweep {
    fn points(&self, area: usize) -> Points {
        if !self.mindspore {
            let steps = self.steps.min(area);
            return Points {
                steps,
                pixels: None,
                area,
            };
        }
        let steps = area.isqrt();
        Points {
            steps,
            pixels: Some(area / 2 / steps.max(1)),
            area,
        }
    }

    pub(super) fn cost(&self, input: Shape, classes: usize) -> Cost {
        Cost {
            forward: self.points(input.area()).steps as u64 + 1,
            backward: 0,
            scratch: room(input.area()) + classes,
        }
    }

    /// The area under the curve, by the trapezoid rule, both ends included.
    pub(super) fn run(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        if self.steps == 0 {
            return Err(Error::BadParameter("steps of a curve"));
        }
        let input = check(classifier, subject)?;
        let evidence = subject.evidence.get(..input.area()).unwrap_or_default();
        if let Some(reason) = unranked(evidence) {
            return Ok(Scored::Undefined(reason));
        }
        let points = self.points(input.area());
        if points.pixels == Some(0) {
            return Ok(Scored::Undefined("the picture has too few pixels"));
        }
        let (scores, scratch) = cut(scratch, classifier.classes())?;
        let ranks = ranks(evidence, scratch)?;
        let sum = self.walk(classifier, subject, (ranks, points), scores, witness)?;
        Ok(match self.score {
            _ if self.mindspore => Scored::finite(self.mindspore(&sum, points.steps)),
            Score::Probability => bounded(sum.area, [0.0, 1.0]),
            Score::Logit => Scored::finite(sum.area),
        })
    }

    /// Asks all points of the curve.
    fn walk(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        (ranks, points): (&[u32], Points),
        scores: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Sum, Error> {
        let area = classifier.input().area();
        let fill = if self.mindspore {
            Fill::Colour([0.0; MAX_CHANNELS])
        } else {
            subject.fill
        };
        let view = |i: usize| Masked {
            picture: subject.picture,
            fill,
            mask: Mask::Ranked {
                ranks,
                from: 0,
                to: points.pixels(i) as u32,
                reveal: self.reveal,
            },
        };
        let mut passes = Passes::new(witness, points.steps + 1);
        let mut ask = Ask {
            score: self.score,
            target: subject.target,
            scores,
        };
        let mut sum = Sum::default();
        let mut sink = |i: usize, answer: Answer, witness: &mut dyn Witness| {
            let share = points.pixels(i) as f64 / area as f64;
            witness.point(self.name, share, answer.score);
            sum.add(share, answer.score);
        };
        ask.all(classifier, points.steps + 1, &view, &mut passes, &mut sink)?;
        Ok(sum)
    }

    /// MindSpore's number: of the changes against the first point, those of the
    /// second and the last point are left out of the sum, which is divided by
    /// the number of steps; deletion counts from 1; all is mapped from -1..1 to 0..1.
    fn mindspore(&self, sum: &Sum, steps: usize) -> f64 {
        let start = sum.first;
        let changes = sum.total - start * (steps as f64 + 1.0);
        let ends = (sum.second - start) + (sum.last.1 - start);
        let area = (changes - ends) / steps as f64;
        let value = if self.reveal { area } else { 1.0 + area };
        (1.0 + value) / 2.0
    }
}

/// What is kept of a curve.
#[derive(Default)]
struct Sum {
    points: usize,
    first: f64,
    second: f64,
    last: (f64, f64),
    total: f64,
    area: f64,
}

impl Sum {
    fn add(&mut self, share: f64, score: f64) {
        match self.points {
            0 => self.first = score,
            1 => self.second = score,
            _ => {}
        }
        if self.points > 0 {
            self.area += (share - self.last.0) * (score + self.last.1) / 2.0;
        }
        self.last = (share, score);
        self.total += score;
        self.points += 1;
    }
}
