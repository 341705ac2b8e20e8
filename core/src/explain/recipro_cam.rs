//! Recipro-CAM (Byun and Lee 2022, arXiv 2209.14074, eq. 3): the score of the
//! network from a layer on, with every place but one set to 0, is that place's
//! value in the map.
//!
//! No gradient is needed. Where global average pooling and one dense layer
//! follow, the map is CAM / (H * W) plus the bias, so its level is arbitrary:
//! what counts is what lies above its least value. The paper's variant with a
//! 3 x 3 Gaussian around the place is left out.
//! Default score: logit. Cost: 1 forward, and the network from the layer on for
//! each place, for all classes together; scratch: the layer twice, and one
//! number a class.

use super::layer::{Layer, fetch};
use super::pass::{Passes, fronts, prepare, score_of, unless_stopped};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::tensor::Shape;

/// What each place of a layer gives by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReciproCam {
    /// The layer; there is no default.
    pub layer: Option<At>,
}

impl ReciproCam {
    const fn layer(&self) -> Layer {
        Layer {
            at: self.layer,
            relu: false,
        }
    }
}

impl Method for ReciproCam {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        self.layer().map_shape(classifier)
    }

    fn cost(&self, classifier: &mut dyn Classifier, _targets: usize) -> Result<Cost, Error> {
        let shape = self.layer().shape(classifier)?;
        Ok(Cost {
            forward: 1 + shape.area() as u64,
            backward: 0,
            scratch: 2 * shape.len() + classifier.classes(),
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
        let (area, classes) = (Shape::new(shape.h, shape.w, 1), classifier.classes());
        let (maps, outcomes) = prepare(query, classes, area, maps, outcomes)?;
        let (values, scratch) = fronts(scratch, shape.len(), shape.len() + classes)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let x = Masked::whole(query.picture);
        layers.run(&x, at, Rule::Gradient)?;
        fetch(layers, at, query, values)?;
        let write = |i: usize, out: &mut [f32]| {
            out.fill(0.0);
            let places = out.chunks_exact_mut(shape.c.max(1));
            let places = places.zip(values.chunks_exact(shape.c.max(1)));
            for (out, place) in places.skip(i).take(1) {
                for (out, value) in out.iter_mut().zip(place) {
                    *out = *value;
                }
            }
        };
        let mut passes = Passes::new(progress, 1 + shape.area() as u64);
        let mut state = passes.step();
        if state.is_ok() {
            let mut keep = |i: usize, scores: &[f32]| {
                let maps = maps.chunks_exact_mut(area.len().max(1));
                for (map, &target) in maps.zip(query.targets) {
                    *map.get_mut(i).ok_or(Error::Internal)? = score_of(scores, target)?;
                }
                passes.step()
            };
            let score = query.score.unwrap_or(Score::Logit);
            let questions = (shape.area(), &write as _);
            state = layers.forward_from_batch(&x, at, questions, score, scratch, &mut keep);
        }
        unless_stopped(state)?;
        for (map, outcome) in maps.chunks_exact_mut(area.len().max(1)).zip(outcomes) {
            *outcome = passes.judge(map);
        }
        Ok(())
    }
}
