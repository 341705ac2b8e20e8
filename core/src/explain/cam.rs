//! CAM (Zhou et al. 2016, arXiv 1512.04150, eq. 2): sum over the channels of the
//! last layer of the class's weight times the activation, without bias and sign
//! kept.
//!
//! Defined where global average pooling and one dense layer follow. There the
//! weights are H * W times the gradient, which is the same at every place, and
//! the mean of the map is the score minus the class's bias. Both are checked,
//! the bias by asking the network's head about a layer of zeros; on other heads
//! there is no map, and Grad-CAM, which equals CAM / (H * W) where CAM exists,
//! goes on. The sum is not checked for int8, where heads round.
//! Default score: logit. Cost: 1 forward, 1 backward a target, the head once;
//! scratch: the layer's gradient, and two numbers a channel or one a class.

use super::gradient::NOT_REACHED;
use super::layer::{Layer, derive, weigh};
use super::pass::{Passes, fronts, judge, prepare, score_of};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Layers, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::tensor::{Shape, Values};

/// Relative difference that rounding may make.
const ROUNDING: f32 = 1e-3;

/// A head that has no such map.
const OTHER_HEAD: Outcome =
    Outcome::Undefined("global average pooling and one dense layer do not follow the layer");

/// Where in the last layer the evidence lies, by the weights of the class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cam {
    /// The layer; there is no default.
    pub layer: Option<At>,
}

impl Cam {
    const fn layer(&self) -> Layer {
        Layer {
            at: self.layer,
            relu: false,
        }
    }

    /// One target's map from the last run; `bias` is its score for a layer of zeros.
    fn map(
        &self,
        layers: &mut dyn Layers,
        query: &Query<'_>,
        (target, bias): (usize, f32),
        shape: Shape,
        gradient: &mut [f32],
        map: &mut [f32],
    ) -> Result<Outcome, Error> {
        derive(layers, query, target, gradient)?;
        let score = query.score.unwrap_or(Score::Logit);
        let rise = score_of(layers.scores(score)?, target)? - bias;
        let activation = match self.layer().at()? {
            At::Input => return Ok(OTHER_HEAD),
            At::Tensor(_) => layers.activation()?,
        };
        if !is_even(gradient, shape.c) {
            return Ok(OTHER_HEAD);
        }
        for weight in gradient.iter_mut().take(shape.c) {
            *weight *= shape.area() as f32;
        }
        weigh(
            activation,
            shape,
            gradient.get(..shape.c).unwrap_or(&[]),
            map,
        );
        let mean = map.iter().sum::<f32>() / shape.area() as f32;
        let size = libm::fabsf(rise) + libm::fabsf(bias);
        let misses = libm::fabsf(mean - rise) > ROUNDING * size;
        if misses && matches!(activation, Values::Real(_)) {
            map.fill(0.0);
            return Ok(OTHER_HEAD);
        }
        Ok(judge(map))
    }
}

/// Whether every place has the same gradient, up to rounding.
fn is_even(gradient: &[f32], channels: usize) -> bool {
    let mut places = gradient.chunks_exact(channels.max(1));
    let Some(first) = places.next() else {
        return true;
    };
    let even = |(g, first): (&f32, &f32)| libm::fabsf(g - first) <= ROUNDING * libm::fabsf(*first);
    places.all(|place| place.iter().zip(first).all(even))
}

impl Method for Cam {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        self.layer().map_shape(classifier)
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        Ok(Cost {
            forward: 2,
            backward: targets as u64,
            scratch: self.layer().shape(classifier)?.len() + classifier.classes(),
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
        let (gradient, biases) = fronts(scratch, shape.len(), classes)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let score = query.score.unwrap_or(Score::Logit);
        let x = Masked::whole(query.picture);
        let mut passes = Passes::new(progress, 2 + query.targets.len() as u64);
        gradient.fill(0.0);
        layers.forward_from(&x, at, gradient, score, biases)?;
        layers.run(&x, at, Rule::Gradient)?;
        let mut running = passes.steps(2).is_ok();
        let maps = maps.chunks_exact_mut(map_shape.len().max(1));
        for ((map, outcome), &target) in maps.zip(outcomes).zip(query.targets) {
            if !running {
                *outcome = NOT_REACHED;
                continue;
            }
            let bias = score_of(biases, target)?;
            *outcome = self.map(layers, query, (target, bias), shape, gradient, map)?;
            running = passes.step().is_ok();
        }
        Ok(())
    }
}
