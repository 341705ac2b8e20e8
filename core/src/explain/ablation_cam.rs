//! Ablation-CAM (Desai and Ramaswamy 2020, WACV, eq. 2-3): each channel k of a
//! layer weighs (f - f_k) / f, f_k the score with the channel set to 0; the map
//! is the weighted sum of the channels, by default its positive part.
//!
//! No gradient is needed. Where the score is 0 there are no weights, so no map.
//! A stopped run weighs the channels that it did not reach 0.
//! Default score: logit. Cost: 1 forward, and the network from the layer on for
//! each channel, for all classes together; scratch: the layer twice, a number a
//! channel and target, and one a class.

use super::layer::{Layer, fetch, rectify, weigh};
use super::pass::{Passes, fronts, prepare, score_of, unless_stopped};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Layers, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::tensor::{Shape, Values};

/// Where in a layer the evidence lies, by what the score loses without each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AblationCam {
    /// The layer; there is no default.
    pub layer: Option<At>,
    /// Whether only the positive part counts.
    pub relu: bool,
}

impl Default for AblationCam {
    fn default() -> Self {
        Self {
            layer: None,
            relu: true,
        }
    }
}

/// Scores of the targets.
fn scores_of(scores: &[f32], targets: &[usize], out: &mut [f32]) -> Result<(), Error> {
    for (out, target) in out.iter_mut().zip(targets) {
        *out = score_of(scores, *target)?;
    }
    Ok(())
}

impl AblationCam {
    const fn layer(&self) -> Layer {
        Layer {
            at: self.layer,
            relu: self.relu,
        }
    }

    /// Writes the weights of the channels, target by target.
    fn ask(
        &self,
        layers: &mut dyn Layers,
        query: &Query<'_>,
        (values, shape): (&[f32], Shape),
        (weights, scores, scratch): (&mut [f32], &[f32], &mut [f32]),
        passes: &mut Passes<'_>,
    ) -> Result<(), Error> {
        let write = |i: usize, out: &mut [f32]| {
            for (out, value) in out.iter_mut().zip(values) {
                *out = *value;
            }
            for value in out.iter_mut().skip(i).step_by(shape.c.max(1)) {
                *value = 0.0;
            }
        };
        let mut keep = |i: usize, without: &[f32]| {
            let channels = weights.chunks_exact_mut(shape.c.max(1));
            for ((channels, &target), score) in channels.zip(query.targets).zip(scores) {
                let weight = channels.get_mut(i).ok_or(Error::Internal)?;
                *weight = (score - score_of(without, target)?) / score;
            }
            passes.step()
        };
        let score = query.score.unwrap_or(Score::Logit);
        let (x, at) = (Masked::whole(query.picture), self.layer().at()?);
        layers.forward_from_batch(&x, at, (shape.c, &write), score, scratch, &mut keep)
    }
}

impl Method for AblationCam {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        self.layer().map_shape(classifier)
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let shape = self.layer().shape(classifier)?;
        Ok(Cost {
            forward: 1 + shape.c as u64,
            backward: 0,
            scratch: 2 * shape.len() + classifier.classes() + targets * (shape.c + 1),
        })
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
        let (at, shape) = (self.layer().at()?, self.layer().shape(classifier)?);
        let (map_shape, classes) = (Shape::new(shape.h, shape.w, 1), classifier.classes());
        let (maps, outcomes) = prepare(query, classes, map_shape, maps, outcomes)?;
        let targets = query.targets.len();
        let numbers = targets * (shape.c + 1);
        let (values, rest) = fronts(scratch, shape.len(), numbers + shape.len() + classes)?;
        let (numbers, scratch) = rest.split_at_mut_checked(numbers).ok_or(Error::Internal)?;
        let (scores, weights) = numbers
            .split_at_mut_checked(targets)
            .ok_or(Error::Internal)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        layers.run(&Masked::whole(query.picture), at, Rule::Gradient)?;
        let own = layers.scores(query.score.unwrap_or(Score::Logit))?;
        scores_of(own, query.targets, scores)?;
        fetch(layers, at, query, values)?;
        weights.fill(0.0);
        let mut passes = Passes::new(progress, 1 + shape.c as u64);
        let mut state = passes.step();
        if state.is_ok() {
            let room = (&mut *weights, &*scores, scratch);
            state = self.ask(layers, query, (values, shape), room, &mut passes);
        }
        unless_stopped(state)?;
        let maps = maps.chunks_exact_mut(map_shape.len().max(1));
        let weights = weights.chunks_exact_mut(shape.c.max(1));
        for (((map, outcome), weights), score) in maps.zip(outcomes).zip(weights).zip(&*scores) {
            if *score == 0.0 {
                *outcome = Outcome::Undefined("the score is 0");
                continue;
            }
            weigh(Values::Real(values), shape, weights, map);
            if self.relu {
                rectify(map);
            }
            *outcome = passes.judge(map);
        }
        Ok(())
    }
}
