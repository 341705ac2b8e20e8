//! Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391, eq. 1-2).
//!
//! Each channel k of a layer weighs alpha_k = mean over rows and columns of
//! df/dA^k; the map is sum_k alpha_k A^k, by default its positive part, at the
//! layer's own resolution. With alpha_k = minus the mean (section 3.3, eq. 3) the
//! map shows what speaks against the class. Default score: logit.
//! Cost: 1 forward, 1 backward a target, scratch: the layer's channels.

use super::gradient::NOT_REACHED;
use super::layer::rectify;
use super::pass::{Passes, front, judge, prepare, score_of};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Layers, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::picture::Picture;
use crate::tensor::{Shape, Values};

/// Where in a layer the evidence lies, by the mean gradient of its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GradCam {
    /// The layer. There is no default: whoever knows the network names the last
    /// tensor with rows and columns.
    pub layer: Option<At>,
    /// Whether only the positive part counts.
    pub relu: bool,
}

impl Default for GradCam {
    fn default() -> Self {
        Self {
            layer: None,
            relu: true,
        }
    }
}

impl GradCam {
    fn layer(&self) -> Result<At, Error> {
        self.layer.ok_or(Error::BadParameter("layer of Grad-CAM"))
    }

    /// Shape of the layer.
    fn shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        layers.shape(self.layer()?)
    }

    /// One target's map from the last run.
    fn map(
        &self,
        layers: &mut dyn Layers,
        query: &Query<'_>,
        target: usize,
        shape: Shape,
        weights: &mut [f32],
        map: &mut [f32],
    ) -> Result<(), Error> {
        let score = query.score.unwrap_or(Score::Logit);
        score_of(layers.scores(score)?, target)?;
        weights.fill(0.0);
        layers.backward_pieces(&[(target, 1.0)], score, &mut |_, piece| {
            add_pixels(piece, weights);
            Ok(())
        })?;
        for weight in &mut *weights {
            *weight /= shape.area() as f32;
        }
        match self.layer()? {
            At::Input => weigh_picture(&query.picture, shape, weights, map)?,
            At::Tensor(_) => weigh(layers.activation()?, shape, weights, map),
        }
        if self.relu {
            rectify(map);
        }
        Ok(())
    }
}

/// Adds pixels, as many channels as there are weights, to the sum of each channel.
fn add_pixels(gradient: &[f32], sums: &mut [f32]) {
    for pixel in gradient.chunks_exact(sums.len().max(1)) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += *value;
        }
    }
}

/// Weighted sum over the channels.
fn weigh(activation: Values<'_>, shape: Shape, weights: &[f32], map: &mut [f32]) {
    let channels = shape.c.max(1);
    match activation {
        Values::Real(data) => {
            for (out, pixel) in map.iter_mut().zip(data.chunks_exact(channels)) {
                *out = dot(weights, pixel.iter().copied());
            }
        }
        Values::Stored {
            data,
            scale,
            zero_point,
        } => {
            let real = |&q: &i8| (i16::from(q) - i16::from(zero_point)) as f32 * scale;
            for (out, pixel) in map.iter_mut().zip(data.chunks_exact(channels)) {
                *out = dot(weights, pixel.iter().map(real));
            }
        }
    }
}

fn dot(weights: &[f32], pixel: impl Iterator<Item = f32>) -> f32 {
    let products = weights.iter().zip(pixel).map(|(weight, x)| weight * x);
    products.sum()
}

/// As [`weigh`], for the network's input, which the caller has.
fn weigh_picture(
    picture: &Picture<'_>,
    shape: Shape,
    weights: &[f32],
    map: &mut [f32],
) -> Result<(), Error> {
    for (y, row) in map.chunks_exact_mut(shape.w.max(1)).enumerate() {
        for (x, out) in row.iter_mut().enumerate() {
            *out = 0.0;
            for (c, weight) in weights.iter().enumerate() {
                *out += weight * picture.value(y, x, c)?;
            }
        }
    }
    Ok(())
}

impl Method for GradCam {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let shape = self.shape(classifier)?;
        Ok(Shape::new(shape.h, shape.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        Ok(Cost {
            forward: 1,
            backward: targets as u64,
            scratch: self.shape(classifier)?.c,
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
        let (layer, shape) = (self.layer()?, self.shape(classifier)?);
        let map_shape = Shape::new(shape.h, shape.w, 1);
        let classes = classifier.classes();
        let (maps, outcomes) = prepare(query, classes, map_shape, maps, outcomes)?;
        let weights = front(scratch, shape.c)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let mut passes = Passes::new(progress, 1 + query.targets.len() as u64);
        layers.run(&Masked::whole(query.picture), layer, Rule::Gradient)?;
        let mut running = passes.step().is_ok();
        let maps = maps.chunks_exact_mut(map_shape.len().max(1));
        for ((map, outcome), &target) in maps.zip(outcomes).zip(query.targets) {
            if !running {
                *outcome = NOT_REACHED;
                continue;
            }
            self.map(layers, query, target, shape, weights, map)?;
            *outcome = judge(map);
            running = passes.step().is_ok();
        }
        Ok(())
    }
}

/// Grad-CAM of what speaks against the class (section 3.3, eq. 3): the mean
/// gradients with their sign turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterfactualGradCam(pub GradCam);

impl Method for CounterfactualGradCam {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        self.0.map_shape(classifier)
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.0.cost(classifier, targets)
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
        let signed = GradCam {
            relu: false,
            ..self.0
        };
        let area = signed.map_shape(classifier)?.len().max(1);
        signed.explain(classifier, query, maps, outcomes, scratch, progress)?;
        for (map, outcome) in maps.chunks_exact_mut(area).zip(outcomes) {
            for value in &mut *map {
                *value = -*value;
            }
            if self.0.relu {
                rectify(map);
            }
            if matches!(outcome, Outcome::Ok) {
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
    use crate::explain::Silent;
    use crate::explain::nets::{Tiny, close, explain, maps, tensor};
    use crate::tensor::TensorId;
    use std::vec;
    use std::vec::Vec;

    const LAYER: Option<At> = Some(At::Tensor(TensorId(0)));

    /// Channels first to channels last, 2 x 2 x 2.
    fn interleave(a: [f32; 4], b: [f32; 4]) -> Vec<f32> {
        a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect()
    }

    fn cam(activation: &[f32], gradient: Vec<f32>, relu: bool) -> (Vec<f32>, Outcome) {
        let shape = Shape::new(2, 2, 2);
        let mut net = Tiny::new(shape, false, vec![gradient]);
        let query = Query {
            picture: tensor(shape, activation),
            targets: &[0],
            score: None,
            seed: 0,
        };
        let method = GradCam { layer: LAYER, relu };
        let (maps, outcomes) = explain(&method, &mut net, &query, &mut Silent).unwrap();
        (maps[0].clone(), outcomes[0])
    }

    #[test]
    fn positive_part_of_the_weighted_channels() {
        let activation = interleave([0.0, 0.25, 0.5, 0.75], [1.0, 1.25, 1.5, 1.75]);
        let gradient = interleave([1.0, -1.0, 2.0, 0.0], [-0.5, -0.5, 0.0, -1.0]);
        let (map, outcome) = cam(&activation, gradient.clone(), false);
        assert_eq!((&*map, outcome), (&[-0.5; 4][..], Outcome::Flat));
        let (map, outcome) = cam(&activation, gradient, true);
        assert_eq!((&*map, outcome), (&[0.0; 4][..], Outcome::Flat));
        let activation = interleave([1.0, 0.0, 2.0, 1.0], [0.0, 3.0, 1.0, 0.0]);
        let gradient = interleave([0.5, -0.25, 0.25, 0.5], [-0.5, 1.0, 0.0, 0.5]);
        let (map, outcome) = cam(&activation, gradient, true);
        assert_eq!(
            (&*map, outcome),
            (&[0.25, 0.75, 0.75, 0.25][..], Outcome::Ok)
        );
    }

    /// Average pooling, then a dense layer: ReLU(mean(W_k) * pooled), native size.
    #[test]
    fn average_pool_and_dense() {
        let shape = Shape::new(4, 6, 1);
        let x: Vec<f32> = (0..24).map(|i| ((i * 7) % 24) as f32 - 9.0).collect();
        let weights: Vec<Vec<f32>> = vec![
            vec![1.0, -2.0, 0.5, 4.0, 3.0, 1.0],
            vec![-1.0, -2.0, -0.5, -4.0, -3.0, 1.0],
        ];
        let pooled: Vec<f32> = (0..6)
            .map(|i| {
                let at = i / 3 * 12 + i % 3 * 2;
                (x[at] + x[at + 1] + x[at + 6] + x[at + 7]) / 4.0
            })
            .collect();
        let mut net = Tiny::new(shape, true, weights.clone());
        for relu in [true, false] {
            let method = GradCam { layer: LAYER, relu };
            let found = maps(&method, &mut net, tensor(shape, &x), &[0, 1]);
            for (k, map) in found.iter().enumerate() {
                let mean = weights[k].iter().sum::<f32>() / 6.0;
                let expected = pooled.iter().map(|p| mean * p);
                let expected: Vec<f32> = if relu {
                    expected.map(|v| v.max(0.0)).collect()
                } else {
                    expected.collect()
                };
                close(map, &expected, 1e-6);
            }
        }
        // The input as the layer: mean gradient (W spread over 4 pixels each) times x.
        let method = GradCam {
            layer: Some(At::Input),
            relu: false,
        };
        let found = maps(&method, &mut net, tensor(shape, &x), &[0]);
        let mean = weights[0].iter().sum::<f32>() / 24.0;
        let expected: Vec<f32> = x.iter().map(|x| mean * x).collect();
        close(&found[0], &expected, 1e-6);
    }

    /// What speaks against the class: the negative part, turned.
    #[test]
    fn counterfactual() {
        let shape = Shape::new(1, 3, 2);
        let x = [1.0, 0.0, 0.5, 2.0, 0.0, 3.0];
        let weights = vec![vec![1.0, -2.0, 4.0, -1.0, 1.0, 0.0]];
        let mut net = Tiny::new(shape, false, weights);
        for (relu, expected) in [(true, [0.0, 1.0, 3.0]), (false, [-2.0, 1.0, 3.0])] {
            let method = CounterfactualGradCam(GradCam { layer: LAYER, relu });
            // Mean gradients 2 and -1.
            let found = maps(&method, &mut net, tensor(shape, &x), &[0]);
            close(&found[0], &expected, 1e-6);
        }
    }

    #[test]
    fn a_layer_must_be_named() {
        let shape = Shape::new(2, 2, 1);
        let mut net = Tiny::new(shape, false, vec![vec![1.0; 4]]);
        let layer = Err(Error::BadParameter("layer of Grad-CAM"));
        assert_eq!(GradCam::default().map_shape(&mut net), layer);
        let method = GradCam {
            layer: Some(At::Tensor(TensorId(7))),
            relu: true,
        };
        assert_eq!(
            method.map_shape(&mut net),
            Err(Error::BadTensor { index: 7 })
        );
    }
}
