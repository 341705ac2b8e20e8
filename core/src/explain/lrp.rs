//! Layer-wise relevance propagation: the logit of a class is shared out among
//! the inputs, layer by layer, so that (bar biases and stabilisers) nothing is
//! lost on the way.
//!
//! * Bach et al. 2015, PLoS ONE 10(7) e0130140, eq. 56-60 (epsilon,
//!   alpha-beta); Montavon et al. 2017, arXiv 1512.02479, section 4 (z+, w²,
//!   zB); Montavon et al. 2019, doi 10.1007/978-3-030-28954-6_10 (gamma, the
//!   composite). [`LayerRule`](crate::relevance::LayerRule) has the formulas.
//! * Default: zB on the picture with the card's range of pixels, gamma 0.25 on
//!   other convolutions, epsilon 1e-6 on dense layers, LRP-0 on the last layer;
//!   batch normalisation folded into the convolution before it.
//! * Activations pass relevance on; the winner of a maximum takes it; means,
//!   sums and concatenations share it by contribution. In a product one
//!   operand is the signal and carries it, the gate is a constant
//!   (squeeze-and-excitation): the smaller operand, or what a sigmoid, a
//!   softmax or the like made; two alike share it half and half. Softmax and
//!   local response normalisation within a network pass it on.
//! * Sign: positive speaks for the class. The sum of the map is the logit less
//!   what biases and stabilisers took, which is told beside it;
//!   [`Lrp::told`] hears of each layer.
//! * Cost: one forward, one backward a target, the latter 2 to 5 times a
//!   gradient (gamma: three terms forward, two back). RAM: a plan
//!   `Pass::Relevance` with all activations, and for the layer under work
//!   changed weights and five tensors of its size.
//! * int8: the activations are those of the int8 network; every layer shares
//!   relevance as the real-valued layer that it stands for, before it rounds.
//!
//! Differences from peers, of which each is a parameter. Zennit: biases count
//! in z+ and alpha-beta, a skip connection copies relevance. Captum: maxima are
//! stabilised too, batch normalisation is a layer of its own. Captum treats
//! dense layers as convolutions; here they have a rule of their own.

use core::cell::RefCell;

use super::gradient::NOT_REACHED;
use super::pass::{Passes, judge, prepare};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::relevance::{LayerRelevance, RelevanceRules};
use crate::tensor::Shape;

/// Hears the balance of a layer: the number of the target, and the layer.
pub type Told<'a> = dyn FnMut(usize, &LayerRelevance) + 'a;

/// Layer-wise relevance propagation.
#[derive(Default)]
pub struct Lrp<'a> {
    /// Which layers have which rules.
    pub rules: RelevanceRules,
    /// Hears what each layer did, last layer first.
    pub told: Option<RefCell<&'a mut Told<'a>>>,
}

impl core::fmt::Debug for Lrp<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lrp").field("rules", &self.rules).finish()
    }
}

impl Method for Lrp<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        Ok(classifier.input())
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.rules.check()?;
        classifier.layers().ok_or(Error::NotWhiteBox)?;
        Ok(Cost {
            forward: 1,
            backward: targets as u64,
            scratch: 0,
        })
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
        let (shape, classes) = (classifier.input(), classifier.classes());
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        if query.score == Some(Score::Probability) {
            return Err(Error::BadParameter("score"));
        }
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let mut passes = Passes::new(progress, 1 + query.targets.len() as u64);
        layers.run_relevance(&Masked::whole(query.picture))?;
        let mut running = passes.step().is_ok();
        let maps = maps.chunks_exact_mut(shape.len().max(1));
        for (i, ((map, outcome), &target)) in maps.zip(outcomes).zip(query.targets).enumerate() {
            if !running {
                *outcome = NOT_REACHED;
                continue;
            }
            let (mut bias, mut epsilon) = (0.0, 0.0);
            let mut tell = |layer: &LayerRelevance| {
                bias += layer.bias;
                epsilon += layer.epsilon;
                if let Some(mut told) = self.told.as_ref().and_then(|t| t.try_borrow_mut().ok()) {
                    told(i, layer);
                }
                Ok(())
            };
            let found = layers.relevance(&[(target, 1.0)], &self.rules, &mut tell)?;
            for (map, r) in map.iter_mut().zip(found) {
                *map = *r;
            }
            *outcome = judge(map);
            passes.note(i, "taken_by_bias", bias);
            passes.note(i, "taken_by_stabiliser", epsilon);
            running = passes.step().is_ok();
        }
        Ok(())
    }
}
