//! SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825, section 3): the mean of
//! df/dx at n noisy pictures x + e, e normal with deviation sigma.
//!
//! sigma = share * (max x - min x), in model space. Signed: the mean of the
//! derivatives, not of their magnitudes, as in the paper's equation (its own
//! code squares them: that is SquareGrad). The standard error of every element,
//! sqrt(variance / n), comes with the map as `standard_error`.
//! Default score: logit. Cost: n forwards, n backwards a target; scratch: one
//! picture and one map a target.

use super::noise::Statistic;
use super::{Cost, Method, Noise, Outcome, Progress, Query};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::tensor::Shape;

/// The mean of the derivative at noisy pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SmoothGrad<'a> {
    /// The noise.
    pub noise: Noise<'a>,
}

impl Method for SmoothGrad<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        Ok(classifier.input())
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.noise.cost(Statistic::Mean, classifier, targets)
    }

    fn explain(
        &self,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        maps: &mut [f32],
        outcomes: &mut [Outcome],
        scratch: &mut [f32],
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let out = (maps, outcomes);
        let kind = Statistic::Mean;
        self.noise
            .explain(kind, classifier, query, out, scratch, progress)
    }
}
