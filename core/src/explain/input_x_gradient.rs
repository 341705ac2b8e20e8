//! Input times gradient (Shrikumar et al. 2016, arXiv 1605.01713, section 4.2):
//! x_i df/dx_i, in model space.
//!
//! The sign is that of the element's share in the score: for ReLU networks
//! without biases the shares sum to the score. Black in model space, not in
//! pixel space, is what the shares are measured from, as in Captum.
//! Default score: logit. Cost: 1 forward, 1 backward a target, no scratch.

use super::gradient::{backpropagate, cost};
use super::pass::judge;
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{Classifier, Rule};
use crate::error::Error;
use crate::picture::Picture;
use crate::tensor::Shape;

/// Each input element times the derivative of the score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputXGradient;

/// Multiplies a map with the picture.
pub(super) fn times_picture(picture: &Picture<'_>, map: &mut [f32]) -> Result<(), Error> {
    let shape = picture.shape();
    let rows = map.chunks_exact_mut(shape.row().max(1));
    for (y, row) in rows.enumerate() {
        let pixels = row.chunks_exact_mut(shape.c.max(1));
        for (x, pixel) in pixels.enumerate() {
            for (c, value) in pixel.iter_mut().enumerate() {
                *value *= picture.value(y, x, c)?;
            }
        }
    }
    Ok(())
}

impl Method for InputXGradient {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        Ok(classifier.input())
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        cost(classifier, targets)
    }

    fn explain(
        &self,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        maps: &mut [f32],
        outcomes: &mut [Outcome],
        _scratch: &mut [f32],
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let rule = Rule::Gradient;
        backpropagate(rule, classifier, query, maps, outcomes, progress)?;
        let maps = maps.chunks_exact_mut(classifier.input().len().max(1));
        for (map, outcome) in maps.zip(outcomes).take(query.targets.len()) {
            if matches!(outcome, Outcome::Ok | Outcome::Flat) {
                times_picture(&query.picture, map)?;
                *outcome = judge(map);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::gradient::NOT_REACHED;
    use crate::explain::nets::{StopAfter, Tiny, close, explain, maps, tensor};
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(3, 5, 2);

    fn net() -> (Tiny, Vec<f32>) {
        let x = (0..30).map(|i| ((i * 7) % 16) as f32 - 7.5).collect();
        let class = |k: i32| (0..30).map(|i| ((i * 5 + k * 3) % 11 - 5) as f32).collect();
        (Tiny::new(SHAPE, false, (0..3).map(class).collect()), x)
    }

    /// ReLU and a dense layer without bias: w ReLU(x), which sums to the score.
    #[test]
    fn shares_of_the_score() {
        let (mut net, x) = net();
        let weights = net.weights.clone();
        let found = maps(&InputXGradient, &mut net, tensor(SHAPE, &x), &[2, 0]);
        for (map, class) in found.iter().zip([2, 0]) {
            let pairs = weights[class].iter().zip(&x);
            let expected: Vec<f32> = pairs.map(|(w, x)| w * x.max(0.0)).collect();
            close(map, &expected, 0.0);
        }
    }

    #[test]
    fn a_stopped_run_says_so() {
        let (mut net, x) = net();
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0, 1],
            score: None,
            seed: 0,
        };
        let found = explain(&InputXGradient, &mut net, &query, &mut StopAfter(2));
        let (_, outcomes) = found.unwrap();
        assert_eq!(outcomes, [Outcome::Ok, NOT_REACHED]);
    }
}
