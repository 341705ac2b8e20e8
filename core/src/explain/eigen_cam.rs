//! Eigen-CAM (Muhammad and Yeasin 2020, arXiv 2008.00299, eq. 3): the layer as a
//! matrix of places by channels, projected on its first right singular vector.
//!
//! The vector v comes from a power iteration on the channels' Gram matrix, from
//! a random start; it ends when v no longer moves. A singular vector has no sign
//! of its own: `sign` fixes it, by default so that the map correlates with the
//! sum of the channels. The paper leaves the matrix as it is; `centred` subtracts
//! each channel's mean first, as grad-cam does. No class is looked at: every
//! target gets the same map. Cost: 1 forward, no backward; scratch: the matrix
//! and three numbers a channel.

use serde::{Deserialize, Serialize};

use super::layer::{Layer, fetch};
use super::pass::{Passes, fronts, judge, prepare};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Rule};
use crate::error::Error;
use crate::mask::Masked;
use crate::rng::{self, Purpose};
use crate::tensor::Shape;

/// Rounds after which the iteration ends in any case.
const ROUNDS: u32 = 2000;

/// Movement of a unit vector below which it stands still.
const STILL: f32 = 1e-7;

/// What fixes the sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sign {
    /// The map correlates with the sum of the channels.
    #[default]
    Activation,
    /// The channels' weights sum to 0 or more.
    Weights,
}

/// The strongest common pattern of a layer's channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EigenCam {
    /// The layer; there is no default.
    pub layer: Option<At>,
    /// Whether each channel's mean is subtracted first.
    pub centred: bool,
    /// What fixes the sign.
    pub sign: Sign,
}

impl EigenCam {
    const fn layer(&self) -> Layer {
        Layer {
            at: self.layer,
            relu: false,
        }
    }
}

/// Subtracts each channel's mean.
fn centre(matrix: &mut [f32], means: &mut [f32]) {
    let channels = means.len().max(1);
    let places = (matrix.len() / channels) as f32;
    means.fill(0.0);
    for place in matrix.chunks_exact(channels) {
        for (mean, value) in means.iter_mut().zip(place) {
            *mean += *value / places;
        }
    }
    for place in matrix.chunks_exact_mut(channels) {
        for (value, mean) in place.iter_mut().zip(&*means) {
            *value -= *mean;
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
    products.sum()
}

/// Writes the product of the Gram matrix and `v`, brought to length 1, into
/// `next`; answers whether there is any.
fn multiply(matrix: &[f32], v: &[f32], next: &mut [f32]) -> bool {
    next.fill(0.0);
    for place in matrix.chunks_exact(v.len().max(1)) {
        let projection = dot(place, v) as f32;
        for (next, value) in next.iter_mut().zip(place) {
            *next += projection * value;
        }
    }
    let length = libm::sqrt(dot(next, next)) as f32;
    for value in &mut *next {
        *value /= length;
    }
    length > 0.0 && length.is_finite()
}

/// The first right singular vector of `matrix` into `v`, or 0 where there is none.
fn power(matrix: &[f32], seed: u64, v: &mut [f32], next: &mut [f32]) {
    for (block, four) in v.chunks_mut(4).enumerate() {
        let words = rng::words(seed, 0, 0, block as u32, Purpose::PowerStart);
        for (value, normal) in four.iter_mut().zip(rng::four_normals(words)) {
            *value = normal;
        }
    }
    for _ in 0..ROUNDS {
        if !multiply(matrix, v, next) {
            return v.fill(0.0);
        }
        let mut moved = 0.0;
        for (value, next) in v.iter_mut().zip(&*next) {
            let step = libm::fabsf(next - *value);
            moved = if step > moved { step } else { moved };
            *value = *next;
        }
        if moved < STILL {
            return;
        }
    }
}

/// Turns the map where its sign is the wrong one.
fn turn(sign: Sign, v: &[f32], matrix: &[f32], map: &mut [f32]) {
    let channels = v.len().max(1);
    let along: f64 = match sign {
        Sign::Weights => v.iter().map(|v| f64::from(*v)).sum(),
        Sign::Activation => {
            let mean = map.iter().map(|v| f64::from(*v)).sum::<f64>() / map.len().max(1) as f64;
            let sums = matrix.chunks_exact(channels);
            let sums = sums.map(|place| place.iter().map(|v| f64::from(*v)).sum::<f64>());
            let products = sums.zip(&*map).map(|(sum, m)| sum * (f64::from(*m) - mean));
            products.sum()
        }
    };
    if along < 0.0 {
        for value in map {
            *value = -*value;
        }
    }
}

impl Method for EigenCam {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        self.layer().map_shape(classifier)
    }

    fn cost(&self, classifier: &mut dyn Classifier, _targets: usize) -> Result<Cost, Error> {
        let shape = self.layer().shape(classifier)?;
        Ok(Cost {
            forward: 1,
            backward: 0,
            scratch: shape.len() + 3 * shape.c,
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
        let map_shape = Shape::new(shape.h, shape.w, 1);
        let (maps, outcomes) = prepare(query, classifier.classes(), map_shape, maps, outcomes)?;
        let (matrix, rest) = fronts(scratch, shape.len(), 3 * shape.c)?;
        let (v, rest) = rest.split_at_mut_checked(shape.c).ok_or(Error::Internal)?;
        let (next, means) = rest.split_at_mut_checked(shape.c).ok_or(Error::Internal)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let mut passes = Passes::new(progress, 1);
        layers.run(&Masked::whole(query.picture), at, Rule::Gradient)?;
        fetch(layers, at, query, matrix)?;
        if self.centred {
            centre(matrix, means);
        }
        power(matrix, query.seed, v, next);
        let area = map_shape.len();
        let (first, others) = maps.split_at_mut(area.min(maps.len()));
        for (out, place) in first.iter_mut().zip(matrix.chunks_exact(shape.c.max(1))) {
            *out = dot(place, v) as f32;
        }
        turn(self.sign, v, matrix, first);
        for other in others.chunks_exact_mut(area.max(1)) {
            for (other, value) in other.iter_mut().zip(&*first) {
                *other = *value;
            }
        }
        for (map, outcome) in maps.chunks_exact_mut(area.max(1)).zip(outcomes) {
            *outcome = judge(map);
        }
        // All is done; there is nothing left to stop.
        let _ = passes.step();
        Ok(())
    }
}
