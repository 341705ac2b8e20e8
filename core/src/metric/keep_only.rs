//! Keep only: does the class stay when nothing but the explained region shows?
//!
//! The score is the share of the probability that is left, at most all of it;
//! its parts are the plain `ratio`, and whether the class `stays`: no class passes
//! it that did not before.

use super::portion::{SHARE, USUAL_SHARE, answers, cost, left};
use super::table::baseline;
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "keep-only",
    summary: "share of the probability that stays when only the explained region shows",
    family: Family::Faithfulness,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Scores,
    per_class: true,
    paper: "sufficiency, DeYoung et al. 2020, arXiv 1911.03429",
    parameters: &[SHARE, baseline("blur")],
};

/// What is left of the class when only the explained region shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeepOnly {
    /// Share of the pixels that is the explained region, between 0 and 1.
    pub share: f32,
}

impl Default for KeepOnly {
    fn default() -> Self {
        Self { share: USUAL_SHARE }
    }
}

impl Metric for KeepOnly {
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
        let portion = (self.share, true);
        Ok(
            match answers(classifier, subject, portion, scratch, witness)? {
                Err(reason) => Scored::Undefined(reason),
                Ok(found) => left(found, ("stays", true), classifier.classes(), witness),
            },
        )
    }
}
