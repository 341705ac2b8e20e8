//! Gradient, deconvolution and guided backpropagation: one forward pass, one
//! backward pass a target, every input element gets its signed derivative.
//!
//! * Gradient (Simonyan et al. 2013, arXiv 1312.6034, eq. 3-4): df/dx.
//! * Deconvolution (Zeiler and Fergus 2014, arXiv 1311.2901, section 2.1): every
//!   ReLU passes back ReLU(g).
//! * Guided backpropagation (Springenberg et al. 2015, arXiv 1412.6806, fig. 1):
//!   every ReLU passes back ReLU(g) where its input was positive.
//!
//! MindSpore takes magnitudes and the maximum over channels; these maps are raw.
//! Default score: logit. Cost: 1 forward, 1 backward a target, no scratch.

use super::pass::{Passes, judge, prepare, score_of};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::tensor::Shape;

/// The derivative of the score with respect to every input element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gradient;

/// As [`Gradient`], but ReLUs ignore their forward gate and drop negative gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deconvolution;

/// As [`Gradient`], but ReLUs drop negative gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuidedBackprop;

/// Target of a run that was stopped before it.
pub(super) const NOT_REACHED: Outcome = Outcome::Undefined("stopped before this target");

pub(super) fn backpropagate(
    rule: Rule,
    classifier: &mut dyn Classifier,
    query: &Query<'_>,
    maps: &mut [f32],
    outcomes: &mut [Outcome],
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let (shape, classes) = (classifier.input(), classifier.classes());
    let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
    let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
    let score = query.score.unwrap_or(Score::Logit);
    let mut passes = Passes::new(progress, 1 + query.targets.len() as u64);
    layers.run(&Masked::whole(query.picture), At::Input, rule)?;
    let mut running = passes.step().is_ok();
    let maps = maps.chunks_exact_mut(shape.len().max(1));
    for ((map, outcome), &target) in maps.zip(outcomes).zip(query.targets) {
        if !running {
            *outcome = NOT_REACHED;
            continue;
        }
        score_of(layers.scores(score)?, target)?;
        layers.backward_pieces(&[(target, 1.0)], score, &mut |first, piece| {
            let part = map
                .get_mut(first..)
                .and_then(|map| map.get_mut(..piece.len()));
            part.ok_or(Error::Internal)?.copy_from_slice(piece);
            Ok(())
        })?;
        *outcome = judge(map);
        running = passes.step().is_ok();
    }
    Ok(())
}

pub(super) fn cost(classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
    classifier.layers().ok_or(Error::NotWhiteBox)?;
    Ok(Cost {
        forward: 1,
        backward: targets as u64,
        scratch: 0,
    })
}

macro_rules! backpropagation {
    ($method:ty, $rule:expr) => {
        impl Method for $method {
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
                backpropagate($rule, classifier, query, maps, outcomes, progress)
            }
        }
    };
}

backpropagation!(Gradient, Rule::Gradient);
backpropagation!(Deconvolution, Rule::Deconvolution);
backpropagation!(GuidedBackprop, Rule::Guided);

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::Silent;
    use crate::explain::nets::{Net, StopAfter, Tiny, close, explain, maps, tensor};
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(4, 4, 1);

    fn net() -> (Tiny, Vec<f32>) {
        let x = (0..16).map(|i| ((i * 7) % 16) as f32 - 7.5).collect();
        let class = |k: i32| (0..16).map(|i| ((i * 5 + k * 3) % 11 - 5) as f32).collect();
        (Tiny::new(SHAPE, false, (0..3).map(class).collect()), x)
    }

    /// ReLU, then a dense layer: W [x > 0], ReLU(W), ReLU(W [x > 0]), with signs.
    #[test]
    fn relu_and_dense() {
        let (mut net, x) = net();
        let gate: Vec<f32> = x.iter().map(|x| f32::from(u8::from(*x > 0.0))).collect();
        let weights = net.weights.clone();
        let expected = |k: usize, f: &dyn Fn(f32, f32) -> f32| -> Vec<f32> {
            weights[k]
                .iter()
                .zip(&gate)
                .map(|(w, g)| f(*w, *g))
                .collect()
        };
        let picture = tensor(SHAPE, &x);
        let found = maps(&Gradient, &mut net, picture, &[2, 0]);
        close(&found[0], &expected(2, &|w, g| w * g), 0.0);
        close(&found[1], &expected(0, &|w, g| w * g), 0.0);
        assert!(found[0].iter().any(|v| *v < 0.0));
        let found = maps(&Deconvolution, &mut net, picture, &[1]);
        close(&found[0], &expected(1, &|w, _| w.max(0.0)), 0.0);
        let found = maps(&GuidedBackprop, &mut net, picture, &[1]);
        close(&found[0], &expected(1, &|w, g| w.max(0.0) * g), 0.0);
    }

    #[test]
    fn logit_by_default_and_probability_on_request() {
        let (mut net, x) = net();
        let mut query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[1],
            score: None,
            seed: 0,
        };
        let (logit, _) = explain(&Gradient, &mut net, &query, &mut Silent).unwrap();
        assert_eq!(logit, maps(&Gradient, &mut net, query.picture, &[1]));
        query.score = Some(Score::Probability);
        let (probability, _) = explain(&Gradient, &mut net, &query, &mut Silent).unwrap();
        let tenth: Vec<f32> = logit[0].iter().map(|v| 0.1 * v).collect();
        close(&probability[0], &tenth, 0.0);
    }

    #[test]
    fn flat_stopped_and_bad_queries() {
        let (mut net, x) = net();
        net.weights[1] = vec![0.0; 16];
        let mut query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0, 1, 2],
            score: None,
            seed: 0,
        };
        let (_, outcomes) = explain(&Gradient, &mut net, &query, &mut Silent).unwrap();
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Flat, Outcome::Ok]);
        let (found, outcomes) = explain(&Gradient, &mut net, &query, &mut StopAfter(2)).unwrap();
        assert_eq!(outcomes, [Outcome::Ok, NOT_REACHED, NOT_REACHED]);
        assert!(found[2].iter().all(|v| *v == 0.0));
        query.targets = &[0, 3];
        let range = Err(Error::TargetOutOfRange {
            target: 3,
            classes: 3,
        });
        assert_eq!(explain(&Gradient, &mut net, &query, &mut Silent), range);
        query.targets = &[0];
        let mut black = Net::new(SHAPE, 1, |_, _| 0.0);
        let black = explain(&Gradient, &mut black, &query, &mut Silent);
        assert_eq!(black, Err(Error::NotWhiteBox));
        let short = Gradient.explain(
            &mut net,
            &query,
            &mut [0.0; 15],
            &mut [],
            &mut [],
            &mut Silent,
        );
        assert_eq!(short, Err(Error::BufferTooSmall { need: 16, have: 15 }));
    }
}
