//! Pointing game (Zhang et al. 2018, arXiv 1608.00507): does the strongest
//! pixel lie on the object, or near it?

use super::subject::{Refusal, ranking, region, settle};
use super::table::parameter;
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "pointing-game",
    summary: "whether the strongest pixel lies on the object or near it",
    family: Family::Localization,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Region,
    per_class: true,
    paper: "Zhang et al. 2018, arXiv 1608.00507",
    parameters: &[parameter(
        "tolerance",
        "15",
        "pixels from the object that still count, strictly less",
    )],
};

/// 1 if a pixel of the object lies less than `tolerance` from the strongest
/// pixel, the first among equals, else 0. Distances are those of pixel
/// centres, so that a tolerance of 1 asks for the very pixel. MindSpore XAI 1.5
/// centres its disc at (column, row); this one lies where the pixel is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointingGame {
    /// In pixels, above 0; the distance must be less.
    pub tolerance: f32,
}

impl Default for PointingGame {
    fn default() -> Self {
        Self { tolerance: 15.0 }
    }
}

impl PointingGame {
    fn hit(&self, subject: &Subject<'_>, input: Shape) -> Result<f64, Refusal> {
        if !(self.tolerance > 0.0 && self.tolerance.is_finite()) {
            return Err(Error::BadParameter("tolerance of the pointing game").into());
        }
        let (region, _) = region(subject, input)?;
        let evidence = ranking(subject, input)?;
        let (mut strongest, mut most) = (0, f32::NEG_INFINITY);
        for (place, weight) in evidence.iter().enumerate() {
            if *weight > most {
                (strongest, most) = (place, *weight);
            }
        }
        let columns = input.w.max(1);
        let at = |place: usize| ((place / columns) as f64, (place % columns) as f64);
        let (y, x) = at(strongest);
        let reach = f64::from(self.tolerance) * f64::from(self.tolerance);
        let near = |(place, pixel): (usize, &u8)| {
            let (row, column) = at(place);
            let distance = (row - y) * (row - y) + (column - x) * (column - x);
            *pixel != 0 && distance < reach
        };
        let hit = region.iter().enumerate().any(near);
        Ok(f64::from(u8::from(hit)))
    }
}

impl Metric for PointingGame {
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
        settle(self.hit(subject, classifier.input()))
    }
}
