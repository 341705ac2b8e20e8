//! Remove only: does the class go when nothing but the explained region is gone?
//!
//! The score is the share of the probability that is left, at most all of it;
//! its parts are the plain `ratio`, and whether the class `goes`: another class
//! passes it that did not before.

use super::portion::{SHARE, USUAL_SHARE, answers, cost, left};
use super::table::baseline;
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "remove-only",
    summary: "share of the probability that stays when the explained region is gone",
    family: Family::Faithfulness,
    range: [0.0, 1.0],
    better: Better::Lower,
    needs: Needs::Scores,
    per_class: true,
    paper: "comprehensiveness, DeYoung et al. 2020, arXiv 1911.03429",
    parameters: &[SHARE, baseline("blur")],
};

/// What is left of the class when the explained region is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RemoveOnly {
    /// Share of the pixels that is the explained region, between 0 and 1.
    pub share: f32,
}

impl Default for RemoveOnly {
    fn default() -> Self {
        Self { share: USUAL_SHARE }
    }
}

impl Metric for RemoveOnly {
    fn cost(&self, input: Shape, classes: usize, _explanation: Cost) -> Cost {
        cost(input, classes)
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        let portion = (self.share, false);
        Ok(
            match answers(classifier, subject, portion, scratch, witness)? {
                Err(reason) => Scored::Undefined(reason),
                Ok(found) => left(found, ("goes", false), classifier.classes(), witness),
            },
        )
    }
}
