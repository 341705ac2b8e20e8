//! Maximum sensitivity (Yeh et al. 2019, arXiv 1901.09392): how far does the map
//! move at worst where the picture hardly changes?

use super::perturb::{Change, Noise, parameters, plain};
use super::subject::{Refusal, settle};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "max-sensitivity",
    summary: "how far the map moves at worst where the picture hardly changes",
    family: Family::Robustness,
    range: [0.0, f64::INFINITY],
    better: Better::Lower,
    needs: Needs::Maps,
    per_class: true,
    paper: "Yeh et al. 2019, arXiv 1901.09392",
    parameters: &parameters("0.02"),
};

/// The greatest |S(x') - S(x)| / |S(x)| over pictures x' near x, S being the
/// evidence: a lower bound of the true maximum. 0 for a map that never moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxSensitivity<'a> {
    /// What changes the picture.
    pub noise: Noise<'a>,
}

impl Default for MaxSensitivity<'_> {
    fn default() -> Self {
        Self {
            noise: Noise::random(0.02, 10),
        }
    }
}

impl MaxSensitivity<'_> {
    fn measure(
        &self,
        asked: (&mut dyn Classifier, &mut dyn Explain),
        subject: &Subject<'_>,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<f64, Refusal> {
        let mut most = 0.0;
        let mut sink = |change: Change| {
            let moved = change.map / change.length;
            most = if moved > most { moved } else { most };
        };
        plain(&self.noise, asked, subject, scratch, witness, &mut sink)?;
        Ok(most)
    }
}

impl Metric for MaxSensitivity<'_> {
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
