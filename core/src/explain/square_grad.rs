//! SquareGrad (Hooker et al. 2019, arXiv 1806.10758, section 3.2, SG-SQ): the
//! mean of (df/dx)^2 at n noisy pictures, made as for SmoothGrad.
//!
//! At least 0. The standard error of every element, sqrt(variance of the
//! squares / n), comes with the map as `standard_error`.
//! Default score: logit. Cost: n forwards, n backwards a target; scratch: one
//! picture and one map a target.

use super::noise::Statistic;
use super::{Cost, Method, Noise, Outcome, Progress, Query};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::tensor::Shape;

/// The mean square of the derivative at noisy pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SquareGrad<'a> {
    /// The noise.
    pub noise: Noise<'a>,
}

impl Method for SquareGrad<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        Ok(classifier.input())
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.noise.cost(Statistic::MeanSquare, classifier, targets)
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
        let kind = Statistic::MeanSquare;
        self.noise
            .explain(kind, classifier, query, out, scratch, progress)
    }
}
