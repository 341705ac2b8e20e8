//! Deletion: the score falls fast if what goes first matters (Petsiuk et al.
//! 2018, arXiv 1806.07421).
//!
//! The strongest pixels are taken away step by step, from the whole picture to
//! none of it; the score is the area under the curve, by the trapezoid rule,
//! both ends included.

use super::curve::Sweep;
use super::table::{SCORE, baseline, parameter};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::{Cost, Parameter};
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "deletion",
    summary: "area under the score while the strongest pixels are taken away",
    family: Family::Faithfulness,
    range: [0.0, 1.0],
    better: Better::Lower,
    needs: Needs::Scores,
    per_class: true,
    paper: "Petsiuk et al. 2018, arXiv 1806.07421",
    parameters: &[STEPS, SCORE, baseline("black"), COMPAT],
};

/// Under [`Deletion::mindspore`].
pub(super) const MINDSPORE: MetricRow = MetricRow {
    range: [0.5, 1.5],
    ..ROW
};

pub(super) const STEPS: Parameter =
    parameter("steps", "32", "points of the curve behind the first");

pub(super) const COMPAT: Parameter = parameter(
    "compat",
    "none",
    "mindspore: MindSpore XAI's numbers, on half of the pixels and 0 in model space, \
     0.5 to 1.5 for deletion, 0 to 1 for insertion",
);

/// The area under the deletion curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deletion {
    /// Points of the curve behind the first; no more than there are pixels.
    pub steps: usize,
    /// Score along the curve.
    pub score: Score,
    /// MindSpore XAI's numbers; `steps` and the subject's fill then do not count.
    pub mindspore: bool,
}

impl Default for Deletion {
    fn default() -> Self {
        Self {
            steps: 32,
            score: Score::Probability,
            mindspore: false,
        }
    }
}

impl Deletion {
    const fn sweep(&self) -> Sweep {
        Sweep {
            name: "deletion",
            reveal: false,
            steps: self.steps,
            score: self.score,
            mindspore: self.mindspore,
        }
    }
}

impl Metric for Deletion {
    fn cost(&self, input: Shape, classes: usize, _explanation: Cost) -> Cost {
        self.sweep().cost(input, classes)
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        self.sweep().run(classifier, subject, scratch, witness)
    }
}
