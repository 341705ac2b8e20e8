//! Energy-based pointing game (Wang et al. 2020, arXiv 1910.01279): which share
//! of the evidence lies on the object?

use super::subject::{Refusal, evidence, region, settle, share_inside};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "energy",
    summary: "share of the evidence that lies on the object",
    family: Family::Localization,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Region,
    per_class: true,
    paper: "Wang et al. 2020, arXiv 1910.01279",
    parameters: &[],
};

/// The sum of the evidence inside by the sum of all. An even map has the
/// object's share of the picture, which the part `area` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Energy;

impl Energy {
    fn share(
        subject: &Subject<'_>,
        input: Shape,
        witness: &mut dyn Witness,
    ) -> Result<f64, Refusal> {
        let (region, inside) = region(subject, input)?;
        let evidence = evidence(subject, input)?;
        witness.part("area", inside as f64 / region.len() as f64);
        Ok(share_inside(evidence, region))
    }
}

impl Metric for Energy {
    fn cost(&self, _input: Shape, _classes: usize, _explanation: Cost) -> Cost {
        super::FREE
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        _scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        settle(Self::share(subject, classifier.input(), witness))
    }
}
