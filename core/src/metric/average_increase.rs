//! Average increase: whether the probability is higher when every pixel shows only
//! as far as its evidence is strong (Chattopadhay et al. 2018, arXiv 1710.11063):
//! 1 if `p' > p`, else 0. The mean over many pictures gives the metric its name.

use super::table::baseline;
use super::weighted::{cost, probabilities};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "average-increase",
    summary: "whether the probability is higher behind the map",
    family: Family::Faithfulness,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Scores,
    per_class: true,
    paper: "Chattopadhay et al. 2018, arXiv 1710.11063",
    parameters: &[baseline("black")],
};

/// Whether the probability is higher behind the map: 1 or 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AverageIncrease;

impl Metric for AverageIncrease {
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
            Ok([before, after]) if after > before => Scored::Value(1.0),
            Ok(_) => Scored::Value(0.0),
        })
    }
}
