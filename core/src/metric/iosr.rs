//! Intersection over salient region (MindSpore XAI 1.5): how much of the
//! salient region lies on the object?

use super::subject::{NO_EVIDENCE, Refusal, evidence, region, settle};
use super::table::{COMPAT, parameter};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "iosr",
    summary: "share of the salient region that lies on the object",
    family: Family::Localization,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Region,
    per_class: true,
    paper: "intersection over salient region, MindSpore XAI 1.5",
    parameters: &[
        parameter(
            "threshold",
            "0.5",
            "share of the greatest evidence above which a pixel is salient",
        ),
        COMPAT,
    ],
};

/// Of the pixels whose evidence is above `threshold` times the greatest, the
/// share that lies on the object. Without evidence there is no salient region;
/// MindSpore XAI says 0 then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iosr {
    /// From 0 to below 1; evidence must be above this share of the greatest.
    pub threshold: f32,
    /// MindSpore XAI's number where there is no evidence.
    pub mindspore: bool,
}

impl Default for Iosr {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            mindspore: false,
        }
    }
}

impl Iosr {
    fn share(&self, subject: &Subject<'_>, input: Shape) -> Result<f64, Refusal> {
        if !(self.threshold >= 0.0 && self.threshold < 1.0) {
            return Err(Error::BadParameter("threshold of IoSR").into());
        }
        let (region, _) = region(subject, input)?;
        let evidence = match evidence(subject, input) {
            Err(Refusal::Undefined(NO_EVIDENCE)) if self.mindspore => return Ok(0.0),
            found => found?,
        };
        let greatest = |most: f32, &w: &f32| if w > most { w } else { most };
        let least = self.threshold * evidence.iter().fold(0.0, greatest);
        let (mut salient, mut inside) = (0_u32, 0_u32);
        for (_, pixel) in evidence.iter().zip(region).filter(|(w, _)| **w > least) {
            salient += 1;
            inside += u32::from(*pixel != 0);
        }
        Ok(f64::from(inside) / f64::from(salient))
    }
}

impl Metric for Iosr {
    fn cost(&self, _input: Shape, _classes: usize, _explanation: Cost) -> Cost {
        super::FREE
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        _scratch: &mut [f32],
        _witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        settle(self.share(subject, classifier.input()))
    }
}
