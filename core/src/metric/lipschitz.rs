//! Local Lipschitz estimate (Alvarez-Melis and Jaakkola 2018, arXiv 1806.08049):
//! how fast does the map move with the picture?

use super::perturb::{Change, Noise, parameters, plain};
use super::subject::{Refusal, settle};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "lipschitz",
    summary: "how fast the map moves with the picture, at worst",
    family: Family::Robustness,
    range: [0.0, f64::INFINITY],
    better: Better::Lower,
    needs: Needs::Maps,
    per_class: true,
    paper: "Alvarez-Melis and Jaakkola 2018, arXiv 1806.08049",
    parameters: &parameters("0.1"),
};

/// The greatest |S(x') - S(x)| / (|S(x)| |x' - x|) over pictures x' near x, S
/// being the evidence and x the picture in model space. The paper does not
/// divide by |S(x)|; with it, methods whose maps have other units compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lipschitz<'a> {
    /// What changes the picture.
    pub noise: Noise<'a>,
}

impl Default for Lipschitz<'_> {
    fn default() -> Self {
        Self {
            noise: Noise::random(0.1, 10),
        }
    }
}

impl Lipschitz<'_> {
    fn measure(
        &self,
        asked: (&mut dyn Classifier, &mut dyn Explain),
        subject: &Subject<'_>,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<f64, Refusal> {
        let mut most = 0.0;
        let mut sink = |change: Change| {
            // Noise that rounds away moves nothing, and no map with it.
            if change.picture > 0.0 {
                let speed = change.map / (change.length * change.picture);
                most = if speed > most { speed } else { most };
            }
        };
        plain(&self.noise, asked, subject, scratch, witness, &mut sink)?;
        Ok(most)
    }
}

impl Metric for Lipschitz<'_> {
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
