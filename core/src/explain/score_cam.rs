//! Score-CAM (Wang et al. 2020, arXiv 1910.01279, eq. 5-8).
//!
//! Each channel A_k of a layer, enlarged bilinearly and brought to 0..1 by its own
//! least and greatest value, masks the picture; channels weigh softmax over
//! k of the scores behind these masks. (The score of the baseline, which the
//! paper subtracts, is the same for all k and drops out.) The map is the
//! weighted sum of the channels, by default its positive part.
//!
//! Constant channels have no mask: they are left out. grad-cam shows their
//! score behind an all-hiding mask to the softmax (`constant`) and enlarges so
//! that corners fall on corners (`corners`); here the edges fall together.
//! Default score: logit. Cost: 1 forward, and 1 for each channel, for all
//! classes together; scratch: the layer, and a number a channel and target.

use super::layer::{Layer, fetch, rectify, weigh};
use super::pass::{Passes, fronts, prepare, score_of, unless_stopped};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Rule, Score};
use crate::error::Error;
use crate::mask::{Enlarged, Fill, Mask, Masked};
use crate::picture::MAX_CHANNELS;
use crate::tensor::{Shape, Values};

/// Where in a layer the evidence lies, by what each channel lets through.
#[derive(Clone, Copy, Debug)]
pub struct ScoreCam<'a> {
    /// The layer; there is no default.
    pub layer: Option<At>,
    /// Whether only the positive part counts.
    pub relu: bool,
    /// What shows where a channel hides.
    pub fill: Fill<'a>,
    /// Whether channels are enlarged corner on corner.
    pub corners: bool,
    /// Whether constant channels take part, as masks that hide everything.
    pub constant: bool,
}

impl Default for ScoreCam<'_> {
    fn default() -> Self {
        Self {
            layer: None,
            relu: true,
            fill: Fill::Colour([0.0; MAX_CHANNELS]),
            corners: false,
            constant: false,
        }
    }
}

impl ScoreCam<'_> {
    const fn layer(&self) -> Layer {
        Layer {
            at: self.layer,
            relu: self.relu,
        }
    }

    /// Channels that have a mask, in order.
    fn channels(&self, values: &[f32], shape: Shape) -> impl Iterator<Item = usize> {
        let constant = self.constant;
        (0..shape.c).filter(move |c| constant || !Enlarged::is_constant(values, shape, *c))
    }

    /// Writes the score of each target behind each channel, target by target.
    fn ask(
        &self,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        (values, shape): (&[f32], Shape),
        (weights, scores): (&mut [f32], &mut [f32]),
        passes: &mut Passes<'_>,
    ) -> Result<(), Error> {
        let view = |i: usize| Masked {
            picture: query.picture,
            fill: self.fill,
            mask: match self.channels(values, shape).nth(i) {
                Some(channel) => {
                    let to = (query.picture.shape(), self.corners);
                    Mask::Enlarged(Enlarged::new(values, shape, channel, to))
                }
                None => Mask::Keep,
            },
        };
        let count = self.channels(values, shape).count();
        let score = query.score.unwrap_or(Score::Logit);
        let mut keep = |i: usize, scores: &[f32]| {
            let channels = weights.chunks_exact_mut(shape.c.max(1));
            for (channels, &target) in channels.zip(query.targets) {
                *channels.get_mut(i).ok_or(Error::Internal)? = score_of(scores, target)?;
            }
            passes.step()
        };
        classifier.classify_batch(count, &view, score, scores, &mut keep)
    }

    /// Makes weights of the scores of the channels asked: softmax, each at its
    /// channel's place.
    fn spread(&self, values: &[f32], shape: Shape, asked: usize, weights: &mut [f32]) {
        let scores = weights.get_mut(..asked).unwrap_or(&mut []);
        let greatest = scores
            .iter()
            .fold(f32::NEG_INFINITY, |m, s| if *s > m { *s } else { m });
        let mut sum = 0.0;
        for score in &mut *scores {
            *score = libm::exp(f64::from(*score - greatest)) as f32;
            sum += f64::from(*score);
        }
        for score in scores {
            *score = (f64::from(*score) / sum) as f32;
        }
        let mut left = self.channels(values, shape).count();
        for c in (0..shape.c).rev() {
            let takes = self.constant || !Enlarged::is_constant(values, shape, c);
            let value = match takes && left > 0 {
                true => {
                    left -= 1;
                    weights.get(left).filter(|_| left < asked).copied()
                }
                false => None,
            };
            if let Some(weight) = weights.get_mut(c) {
                *weight = value.unwrap_or(0.0);
            }
        }
    }
}

impl Method for ScoreCam<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        self.layer().map_shape(classifier)
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let shape = self.layer().shape(classifier)?;
        Ok(Cost {
            forward: 1 + shape.c as u64,
            backward: 0,
            scratch: shape.len() + targets * shape.c + classifier.classes(),
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
        let numbers = query.targets.len() * shape.c;
        let (values, rest) = fronts(scratch, shape.len(), numbers + classes)?;
        let (weights, scores) = rest.split_at_mut_checked(numbers).ok_or(Error::Internal)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        layers.run(&Masked::whole(query.picture), at, Rule::Gradient)?;
        fetch(layers, at, query, values)?;
        let masks = self.channels(values, shape).count();
        let mut passes = Passes::new(progress, 1 + masks as u64);
        let mut state = passes.step();
        if state.is_ok() {
            let room = (&mut *weights, scores);
            state = self.ask(classifier, query, (values, shape), room, &mut passes);
        }
        unless_stopped(state)?;
        let asked = passes.done.saturating_sub(1) as usize;
        let weights = weights.chunks_exact_mut(shape.c.max(1));
        let maps = maps.chunks_exact_mut(map_shape.len().max(1));
        for ((map, outcome), weights) in maps.zip(outcomes).zip(weights) {
            self.spread(values, shape, asked, weights);
            weigh(Values::Real(values), shape, weights, map);
            if self.relu {
                rectify(map);
            }
            *outcome = passes.judge(map);
        }
        Ok(())
    }
}
