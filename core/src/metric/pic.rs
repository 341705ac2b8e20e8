//! PIC, the performance information curve: how soon the class is there when the
//! strongest pixels are brought back to a blurred picture, counted in
//! information instead of pixels (Kapishnikov et al. 2019, arXiv 1906.02825).
//!
//! The paper takes the size of a compressed file for a picture's information.
//! Here it is what such a file comes to without its container: the entropy of
//! the differences of neighbouring values at 8 bits, from 0 for the fill to 1
//! for the picture, never falling. The score is the area under the curve from
//! (0, 0) to (1, 1), by the trapezoid rule; a blurred picture is its fill.

use super::order::{ranks, room};
use super::pass::{Answer, Ask, Passes, bounded, check, cut, unranked};
use super::table::{baseline, parameter};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score, Views};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::{Mask, Masked};
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "pic",
    summary: "area under the score by the information that is brought back, strongest pixels first",
    family: Family::Faithfulness,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Scores,
    per_class: true,
    paper: "Kapishnikov et al. 2019, arXiv 1906.02825",
    parameters: &[
        parameter(
            "measure",
            "softmax",
            "softmax: share of the probability; accuracy: whether the class is the best one",
        ),
        baseline("blur"),
    ],
};

/// Shares of the pixels that are brought back, after none and before all.
const SHARES: [f64; 13] = [
    0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.13, 0.21, 0.34, 0.5, 0.75,
];

/// Points, both ends included.
const POINTS: usize = SHARES.len() + 2;

/// What is counted along the curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// The probability, from 0 for the fill to 1 for the picture.
    #[default]
    Softmax,
    /// Whether the class is the best one.
    Accuracy,
}

/// Area under the performance information curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pic {
    /// What is counted along the curve.
    pub measure: Measure,
}

/// How values become bytes: the least one and the step of one.
#[derive(Clone, Copy)]
struct Bytes {
    least: f64,
    step: f64,
}

impl Bytes {
    /// Of all values that can show.
    fn of(views: [Masked<'_>; 2], row: &mut [f32]) -> Result<Self, Error> {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for view in views {
            for y in 0..view.shape().h {
                view.row(y, row)?;
                for value in row.iter().map(|v| f64::from(*v)) {
                    least = if value < least { value } else { least };
                    most = if value > most { value } else { most };
                }
            }
        }
        let step = (most - least) / 255.0;
        Ok(Self { least, step })
    }

    fn byte(&self, value: f32) -> u8 {
        libm::round((f64::from(value) - self.least) / self.step) as u8
    }

    /// Entropy of the differences of neighbours along the rows, in bits.
    fn entropy(&self, view: &Masked<'_>, row: &mut [f32]) -> Result<f64, Error> {
        let mut counts = [0u32; 256];
        let shape = view.shape();
        for y in 0..shape.h {
            view.row(y, row)?;
            let left = core::iter::repeat_n(0u8, shape.c);
            let left = left.chain(row.iter().map(|value| self.byte(*value)));
            for (left, value) in left.zip(row.iter()) {
                let difference = self.byte(*value).wrapping_sub(left);
                if let Some(count) = counts.get_mut(usize::from(difference)) {
                    *count += 1;
                }
            }
        }
        let all = shape.len() as f64;
        let shares = counts
            .iter()
            .filter(|n| **n > 0)
            .map(|n| f64::from(*n) / all);
        Ok(-shares.map(|share| share * libm::log2(share)).sum::<f64>())
    }
}

/// Pixels that are back at a point.
fn back(point: usize, area: usize) -> u32 {
    match point.checked_sub(1) {
        None => 0,
        Some(i) => match SHARES.get(i) {
            Some(share) => libm::ceil(share * area as f64) as u32,
            None => area as u32,
        },
    }
}

impl Metric for Pic {
    fn cost(&self, input: Shape, classes: usize, _explanation: Cost) -> Cost {
        Cost {
            forward: POINTS as u64,
            backward: 0,
            scratch: room(input.area()) + classes + input.row(),
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
        let input = check(classifier, subject)?;
        let evidence = subject.evidence.get(..input.area()).unwrap_or_default();
        if let Some(reason) = unranked(evidence) {
            return Ok(Scored::Undefined(reason));
        }
        let (scores, scratch) = cut(scratch, classifier.classes())?;
        let (row, scratch) = cut(scratch, input.row())?;
        let ranks = ranks(evidence, scratch)?;
        let view = |i: usize| Masked {
            picture: subject.picture,
            fill: subject.fill,
            mask: Mask::Ranked {
                ranks,
                from: 0,
                to: back(i, input.area()),
                reveal: true,
            },
        };
        let bytes = Bytes::of([view(0), view(POINTS - 1)], row)?;
        if bytes.step <= 0.0 {
            return Ok(Scored::Undefined("the picture is of one colour"));
        }
        let mut information = [0.0; POINTS];
        for (i, bits) in information.iter_mut().enumerate() {
            *bits = bytes.entropy(&view(i), row)?;
        }
        let asked = (subject.target, scores);
        let answers = answers(classifier, &view, asked, witness)?;
        Ok(self.area(&information, &answers, witness))
    }
}

/// Answers to all points.
fn answers(
    classifier: &mut dyn Classifier,
    view: &Views<'_>,
    (target, scores): (usize, &mut [f32]),
    witness: &mut dyn Witness,
) -> Result<[Answer; POINTS], Error> {
    let mut answers = [Answer::default(); POINTS];
    let mut sink = |i: usize, answer: Answer, _: &mut dyn Witness| {
        if let Some(place) = answers.get_mut(i) {
            *place = answer;
        }
    };
    let mut ask = Ask {
        score: Score::Probability,
        target,
        scores,
    };
    let mut passes = Passes::new(witness, POINTS);
    ask.all(classifier, POINTS, view, &mut passes, &mut sink)?;
    Ok(answers)
}

impl Pic {
    /// How well the class does, by the answers at both ends.
    fn performance(&self, [none, all]: [Answer; 2], answer: Answer) -> f64 {
        match self.measure {
            Measure::Softmax => (answer.score - none.score) / (all.score - none.score),
            Measure::Accuracy if answer.above == 0 => 1.0,
            Measure::Accuracy => 0.0,
        }
    }

    fn area(
        &self,
        information: &[f64; POINTS],
        answers: &[Answer; POINTS],
        witness: &mut dyn Witness,
    ) -> Scored {
        let ([least, .., most], [none, .., all]) = (information, answers);
        if most <= least {
            return Scored::Undefined("the fill holds as much information as the picture");
        }
        if all.score <= none.score {
            return Scored::Undefined("the fill scores as high as the picture");
        }
        if self.measure == Measure::Accuracy && all.above > 0 {
            return Scored::Undefined("the class is not the best one");
        }
        let share = |value: f64| match value {
            value if value < 0.0 => 0.0,
            value if value < 1.0 => value,
            _ => 1.0,
        };
        let (mut x, mut y, mut area) = (0.0, 0.0, 0.0);
        witness.point("pic", x, y);
        for (bits, answer) in information.iter().zip(answers).skip(1) {
            let next = share((bits - least) / (most - least));
            let next = if next > x { next } else { x };
            let score = share(self.performance([*none, *all], *answer));
            area += (next - x) * (score + y) / 2.0;
            witness.point("pic", next, score);
            (x, y) = (next, score);
        }
        bounded(area, ROW.range)
    }
}
