//! Insertion: the score rises fast if what comes first is enough (Petsiuk et
//! al. 2018, arXiv 1806.07421).
//!
//! The strongest pixels are shown step by step, from none of the picture to the
//! whole; the score is the area under the curve, by the trapezoid rule, both
//! ends included.

use super::curve::Sweep;
use super::deletion::{COMPAT, STEPS};
use super::table::{SCORE, baseline};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "insertion",
    summary: "area under the score while the strongest pixels are shown",
    family: Family::Faithfulness,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Scores,
    per_class: true,
    paper: "Petsiuk et al. 2018, arXiv 1806.07421",
    parameters: &[STEPS, SCORE, baseline("blur"), COMPAT],
};

/// The area under the insertion curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Insertion {
    /// Points of the curve behind the first; no more than there are pixels.
    pub steps: usize,
    /// Score along the curve.
    pub score: Score,
    /// MindSpore XAI's numbers; `steps` and the subject's fill then do not count.
    pub mindspore: bool,
}

impl Default for Insertion {
    fn default() -> Self {
        Self {
            steps: 32,
            score: Score::Probability,
            mindspore: false,
        }
    }
}

impl Insertion {
    const fn sweep(&self) -> Sweep {
        Sweep {
            name: "insertion",
            reveal: true,
            steps: self.steps,
            score: self.score,
            mindspore: self.mindspore,
        }
    }
}

impl Metric for Insertion {
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
