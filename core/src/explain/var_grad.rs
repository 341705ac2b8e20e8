//! VarGrad (Adebayo et al. 2018, arXiv 1810.03307): the variance of df/dx at n
//! noisy pictures, made as for SmoothGrad.
//!
//! The variance divides by n, as Captum's does, so that the mean square is
//! variance + mean squared. At least 0. Its standard error,
//! sqrt((fourth central moment - variance^2) / n), comes as `standard_error`.
//! Default score: logit. Cost: n forwards, n backwards a target; scratch: one
//! picture and three maps a target.

use super::noise::Statistic;
use super::{Cost, Method, Noise, Outcome, Progress, Query};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::tensor::Shape;

/// The variance of the derivative at noisy pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VarGrad<'a> {
    /// The noise.
    pub noise: Noise<'a>,
}

impl Method for VarGrad<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        Ok(classifier.input())
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.noise.cost(Statistic::Variance, classifier, targets)
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
        let kind = Statistic::Variance;
        self.noise
            .explain(kind, classifier, query, out, scratch, progress)
    }
}
