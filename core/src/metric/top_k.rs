//! Top-k intersection (Theiner et al. 2021, arXiv 2104.14995): how many of the
//! strongest pixels lie on the object?

use super::agreement::strongest;
use super::subject::{Refusal, ranking, region, settle, strongest_inside};
use super::table::parameter;
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "top-k",
    summary: "share of the strongest pixels that lies on the object",
    family: Family::Localization,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Region,
    per_class: true,
    paper: "Theiner et al. 2021, arXiv 2104.14995",
    parameters: &[parameter(
        "share",
        "0.1",
        "share of the pixels that count as strongest, above 0, up to 1",
    )],
};

/// Of the strongest pixels, `share` of all, rounded up, the share that lies on
/// the object. An object smaller than that cannot reach 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopK {
    /// Share of the pixels, above 0, up to 1.
    pub share: f64,
}

impl Default for TopK {
    fn default() -> Self {
        Self { share: 0.1 }
    }
}

impl TopK {
    fn inside(
        &self,
        subject: &Subject<'_>,
        input: Shape,
        scratch: &mut [f32],
    ) -> Result<f64, Refusal> {
        let count = strongest(input.area(), self.share)?;
        let (region, _) = region(subject, input)?;
        let evidence = ranking(subject, input)?;
        Ok(strongest_inside(evidence, region, count, scratch)?)
    }
}

impl Metric for TopK {
    fn cost(&self, input: Shape, _classes: usize, _explanation: Cost) -> Cost {
        Cost {
            scratch: input.area(),
            ..super::FREE
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        _witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        settle(self.inside(subject, classifier.input(), scratch))
    }
}
