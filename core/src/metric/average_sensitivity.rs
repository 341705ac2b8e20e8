//! Average sensitivity (Bhatt et al. 2020, arXiv 2005.00631): how far does the map
//! move on average where the picture hardly changes?

use super::perturb::{Change, Noise, parameters, plain};
use super::subject::{Refusal, settle};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "average-sensitivity",
    summary: "how far the map moves on average where the picture hardly changes",
    family: Family::Robustness,
    range: [0.0, f64::INFINITY],
    better: Better::Lower,
    needs: Needs::Maps,
    per_class: true,
    paper: "Bhatt et al. 2020, arXiv 2005.00631",
    parameters: &parameters("0.02"),
};

/// The mean of |S(x') - S(x)| / |S(x)| over pictures x' near x, S being the
/// evidence. 0 for a map that never moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AverageSensitivity<'a> {
    /// What changes the picture.
    pub noise: Noise<'a>,
}

impl Default for AverageSensitivity<'_> {
    fn default() -> Self {
        Self {
            noise: Noise::random(0.02, 10),
        }
    }
}

impl AverageSensitivity<'_> {
    fn measure(
        &self,
        asked: (&mut dyn Classifier, &mut dyn Explain),
        subject: &Subject<'_>,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<f64, Refusal> {
        let mut sum = 0.0;
        let mut sink = |change: Change| sum += change.map / change.length;
        plain(&self.noise, asked, subject, scratch, witness, &mut sink)?;
        Ok(sum / f64::from(self.noise.samples))
    }
}

impl Metric for AverageSensitivity<'_> {
    fn cost(&self, input: Shape, _classes: usize, explanation: Cost) -> Cost {
        self.noise.cost(input, explanation)
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        settle(self.measure((classifier, explain), subject, scratch, witness))
    }
}
