//! Average gain: how much of what is missing to certainty is won when every pixel
//! shows only as far as its evidence is strong (Zhang et al. 2024, Opti-CAM, arXiv
//! 2301.07002): `max(0, p' - p) / (1 - p)`, the counterpart of average drop.

use super::table::baseline;
use super::weighted::{cost, probabilities};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "average-gain",
    summary: "share of the missing probability that is won behind the map",
    family: Family::Faithfulness,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Scores,
    per_class: true,
    paper: "Zhang et al. 2024, arXiv 2301.07002",
    parameters: &[baseline("black")],
};

/// Share of the missing probability that is won behind the map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AverageGain;

impl Metric for AverageGain {
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
        let found = probabilities(classifier, subject, scratch, witness)?;
        Ok(match found {
            Err(reason) => Scored::Undefined(reason),
            Ok([before, _]) if before >= 1.0 => Scored::Undefined("the probability is 1"),
            Ok([before, after]) if after > before => {
                Scored::finite((after - before) / (1.0 - before))
            }
            Ok(_) => Scored::Value(0.0),
        })
    }
}
