//! What the methods that weigh the channels of a layer do alike: run down to
//! the layer, fetch its activation and the gradient, sum, keep what is positive.

use super::gradient::NOT_REACHED;
use super::pass::{Passes, fronts, judge, prepare, score_of};
use super::{Cost, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Layers, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::tensor::{Shape, Values};

/// A layer as a method was given it.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    pub at: Option<At>,
    pub relu: bool,
}

/// What one map is made of.
pub(super) struct Parts<'a> {
    pub activation: Values<'a>,
    /// Derivative of the score with respect to each element of the activation.
    pub gradient: &'a [f32],
    pub shape: Shape,
}

/// Makes a map (one value a place) of the parts; the scratch holds two numbers
/// a channel.
pub(super) type Combine<'f> = dyn Fn(&Parts<'_>, &mut [f32], &mut [f32]) + 'f;

impl Parts<'_> {
    /// Activation and gradient, place by place: channel, activation, gradient.
    pub fn places(&self) -> impl Iterator<Item = impl Iterator<Item = (f32, f32)>> {
        let channels = self.shape.c.max(1);
        let rows = self.gradient.chunks_exact(channels).enumerate();
        rows.map(move |(place, gradient)| {
            let first = place * channels;
            let pairs = gradient.iter().enumerate();
            pairs.map(move |(c, g)| (self.activation.get(first + c).unwrap_or(0.0), *g))
        })
    }

    /// The map of channels that weigh `weights`.
    pub fn weigh(&self, weights: &[f32], map: &mut [f32]) {
        weigh(self.activation, self.shape, weights, map);
    }
}

/// Sum over the channels, each times its weight.
pub(super) fn weigh(activation: Values<'_>, shape: Shape, weights: &[f32], map: &mut [f32]) {
    let mut values = activation.iter();
    for out in map.iter_mut().take(shape.area()) {
        let pairs = weights.iter().zip(&mut values).take(shape.c);
        *out = pairs.map(|(weight, value)| weight * value).sum();
    }
}

/// Keeps what is positive.
pub(super) fn rectify(map: &mut [f32]) {
    for value in map {
        *value = if *value > 0.0 { *value } else { 0.0 };
    }
}

/// Copies the activation of the last run, or the picture if the layer is the input.
pub(super) fn fetch(
    layers: &mut dyn Layers,
    at: At,
    query: &Query<'_>,
    out: &mut [f32],
) -> Result<(), Error> {
    match at {
        At::Input => {
            let whole = Masked::whole(query.picture);
            let row = query.picture.shape().row().max(1);
            for (y, row) in out.chunks_exact_mut(row).enumerate() {
                whole.row(y, row)?;
            }
        }
        At::Tensor(_) => {
            for (out, value) in out.iter_mut().zip(layers.activation()?.iter()) {
                *out = value;
            }
        }
    }
    Ok(())
}

impl Layer {
    /// Where it is.
    pub fn at(&self) -> Result<At, Error> {
        self.at.ok_or(Error::BadParameter("layer"))
    }

    /// Its shape.
    pub fn shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        layers.shape(self.at()?)
    }

    /// Shape of a map at its resolution.
    pub fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let shape = self.shape(classifier)?;
        Ok(Shape::new(shape.h, shape.w, 1))
    }

    /// Cost of one forward and a backward pass a target.
    pub fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let shape = self.shape(classifier)?;
        let picture = match self.at()? {
            At::Input => shape.len(),
            At::Tensor(_) => 0,
        };
        Ok(Cost {
            forward: 1,
            backward: targets as u64,
            scratch: shape.len() + picture + 2 * shape.c,
        })
    }

    /// Makes one map a target.
    pub fn explain(
        &self,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        (maps, outcomes): (&mut [f32], &mut [Outcome]),
        scratch: &mut [f32],
        progress: &mut dyn Progress,
        combine: &Combine<'_>,
    ) -> Result<(), Error> {
        let (at, shape) = (self.at()?, self.shape(classifier)?);
        let map_shape = Shape::new(shape.h, shape.w, 1);
        let (maps, outcomes) = prepare(query, classifier.classes(), map_shape, maps, outcomes)?;
        let (weights, rest) = fronts(scratch, 2 * shape.c, self.values(shape)?)?;
        let (gradient, picture) = rest
            .split_at_mut_checked(shape.len())
            .ok_or(Error::Internal)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let mut passes = Passes::new(progress, 1 + query.targets.len() as u64);
        layers.run(&Masked::whole(query.picture), at, Rule::Gradient)?;
        fetch(layers, At::Input, query, picture)?;
        let mut running = passes.step().is_ok();
        let maps = maps.chunks_exact_mut(map_shape.len().max(1));
        for ((map, outcome), &target) in maps.zip(outcomes).zip(query.targets) {
            if !running {
                *outcome = NOT_REACHED;
                continue;
            }
            derive(layers, query, target, gradient)?;
            let activation = match at {
                At::Input => Values::Real(picture),
                At::Tensor(_) => layers.activation()?,
            };
            let parts = Parts {
                activation,
                gradient,
                shape,
            };
            combine(&parts, weights, map);
            if self.relu {
                rectify(map);
            }
            *outcome = judge(map);
            running = passes.step().is_ok();
        }
        Ok(())
    }

    /// Gradient, and the picture where it is the layer.
    fn values(&self, shape: Shape) -> Result<usize, Error> {
        Ok(match self.at()? {
            At::Input => 2 * shape.len(),
            At::Tensor(_) => shape.len(),
        })
    }
}

/// Writes the gradient of one target from the last run.
pub(super) fn derive(
    layers: &mut dyn Layers,
    query: &Query<'_>,
    target: usize,
    gradient: &mut [f32],
) -> Result<(), Error> {
    let score = query.score.unwrap_or(Score::Logit);
    score_of(layers.scores(score)?, target)?;
    layers.backward_pieces(&[(target, 1.0)], score, &mut |first, piece| {
        let part = gradient.get_mut(first..);
        let part = part.and_then(|part| part.get_mut(..piece.len()));
        part.ok_or(Error::Internal)?.copy_from_slice(piece);
        Ok(())
    })
}

/// A [`Method`](super::Method) of one forward and a backward pass a target.
macro_rules! layer_method {
    ($method:ty) => {
        impl crate::explain::Method for $method {
            fn map_shape(
                &self,
                classifier: &mut dyn crate::classifier::Classifier,
            ) -> Result<crate::tensor::Shape, crate::error::Error> {
                self.layer().map_shape(classifier)
            }

            fn cost(
                &self,
                classifier: &mut dyn crate::classifier::Classifier,
                targets: usize,
            ) -> Result<crate::explain::Cost, crate::error::Error> {
                self.layer().cost(classifier, targets)
            }

            fn explain(
                &self,
                classifier: &mut dyn crate::classifier::Classifier,
                query: &crate::explain::Query<'_>,
                maps: &mut [f32],
                outcomes: &mut [crate::explain::Outcome],
                scratch: &mut [f32],
                progress: &mut dyn crate::explain::Progress,
            ) -> Result<(), crate::error::Error> {
                let combine = |parts: &Parts<'_>, weights: &mut [f32], map: &mut [f32]| {
                    self.combine(parts, weights, map);
                };
                let (layer, out) = (self.layer(), (maps, outcomes));
                layer.explain(classifier, query, out, scratch, progress, &combine)
            }
        }
    };
}

pub(super) use layer_method;

#[cfg(test)]
mod tests;
