//! Why A rather than B: a classifier whose score of each class is the score of
//! another one less the score of a class that all are held against. Its
//! gradients are differences of gradients (both seeds in one backward pass), so
//! every method that asks it explains the difference.

use core::cell::RefCell;

use crate::classifier::{
    Activations, At, BiasPieces, Classifier, Derivatives, Dropout, DroppedSink, Edits, Gradients,
    Layers, Pieces, Rule, Score, Sink, Step, Views,
};
use crate::error::Error;
use crate::mask::Masked;
use crate::relevance::{Balance, RelevanceRules};
use crate::tensor::{Shape, Values};

/// Pairs of a seed that can be turned into differences.
const MAX_SEED: usize = 7;

/// A classifier of differences: class c scores f_c - f_against.
pub struct Contrast<'a> {
    /// In a cell, because the shape of a layer is asked for through `&self`.
    inner: RefCell<&'a mut dyn Classifier>,
    against: usize,
    input: Shape,
    /// One a class.
    scores: &'a mut [f32],
}

impl<'a> Contrast<'a> {
    /// Holds every class of `inner` against the class `against`; `scores` is
    /// scratch of one number a class.
    ///
    /// # Errors
    /// [`Error::TargetOutOfRange`], [`Error::BufferTooSmall`].
    pub fn new(
        inner: &'a mut dyn Classifier,
        against: usize,
        scores: &'a mut [f32],
    ) -> Result<Self, Error> {
        let (classes, have) = (inner.classes(), scores.len());
        if against >= classes {
            let target = against;
            return Err(Error::TargetOutOfRange { target, classes });
        }
        let scores = scores.get_mut(..classes).ok_or(Error::BufferTooSmall {
            need: classes,
            have,
        })?;
        Ok(Self {
            input: inner.input(),
            inner: RefCell::new(inner),
            against,
            scores,
        })
    }

    fn inner_layers(&mut self) -> Result<&mut dyn Layers, Error> {
        self.inner.get_mut().layers().ok_or(Error::NotWhiteBox)
    }

    /// A seed of differences, and its length.
    fn seed(&self, seed: &[(usize, f32)]) -> Result<([(usize, f32); MAX_SEED + 1], usize), Error> {
        let classes = self.scores.len();
        let mut pairs = [(self.against, 0.0); MAX_SEED + 1];
        if seed.len() > MAX_SEED {
            return Err(Error::BadParameter("targets of a seed"));
        }
        let mut sum = 0.0;
        for (pair, &(target, weight)) in pairs.iter_mut().zip(seed) {
            if target >= classes {
                return Err(Error::TargetOutOfRange { target, classes });
            }
            *pair = (target, weight);
            sum += weight;
        }
        if let Some(last) = pairs.get_mut(seed.len()) {
            *last = (self.against, -sum);
        }
        Ok((pairs, seed.len() + 1))
    }
}

/// Subtracts the score of `against` from all.
fn subtract(against: usize, scores: &mut [f32]) {
    let level = scores.get(against).copied().unwrap_or(0.0);
    for score in scores {
        *score -= level;
    }
}

/// Hands differences of the scores on, made in `room`.
fn hand(
    against: usize,
    room: &mut [f32],
    scores: &[f32],
    sink: &mut dyn FnMut(&[f32]) -> Result<(), Error>,
) -> Result<(), Error> {
    for (place, score) in room.iter_mut().zip(scores) {
        *place = *score;
    }
    subtract(against, room);
    sink(room)
}

impl Classifier for Contrast<'_> {
    fn input(&self) -> Shape {
        self.input
    }

    fn classes(&self) -> usize {
        self.scores.len()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        self.inner.get_mut().classify(x, score, out)?;
        let classes = self.classes();
        subtract(self.against, out.get_mut(..classes).ok_or(Error::Internal)?);
        Ok(())
    }

    fn classify_batch(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let (against, room) = (self.against, &mut *self.scores);
        let mut each = |i: usize, all: &[f32]| hand(against, room, all, &mut |s| sink(i, s));
        self.inner
            .get_mut()
            .classify_batch(count, view, score, scores, &mut each)
    }

    fn classify_edits(
        &mut self,
        base: &Masked<'_>,
        count: usize,
        edit: &Edits<'_>,
        score: Score,
        scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let (against, room) = (self.against, &mut *self.scores);
        let mut each = |i: usize, all: &[f32]| hand(against, room, all, &mut |s| sink(i, s));
        self.inner
            .get_mut()
            .classify_edits(base, count, edit, score, scores, &mut each)
    }

    fn classify_dropped(
        &mut self,
        x: &Masked<'_>,
        dropout: &Dropout,
        passes: usize,
        score: Score,
        scores: &mut [f32],
        sink: &mut DroppedSink<'_>,
    ) -> Result<(), Error> {
        let (against, room) = (self.against, &mut *self.scores);
        self.inner.get_mut().classify_dropped(
            x,
            dropout,
            passes,
            score,
            scores,
            &mut |i, all, seen| hand(against, room, all, &mut |s| sink(i, s, seen)),
        )
    }

    fn layers(&mut self) -> Option<&mut dyn Layers> {
        match self.inner.get_mut().layers().is_some() {
            true => Some(self),
            false => None,
        }
    }
}

impl Layers for Contrast<'_> {
    fn shape(&self, at: At) -> Result<Shape, Error> {
        let mut inner = self.inner.try_borrow_mut().map_err(|_| Error::Internal)?;
        inner.layers().ok_or(Error::NotWhiteBox)?.shape(at)
    }

    fn run(&mut self, x: &Masked<'_>, at: At, rule: Rule) -> Result<(), Error> {
        self.inner_layers()?.run(x, at, rule)
    }

    fn scores(&mut self, score: Score) -> Result<&[f32], Error> {
        let layers = self.inner.get_mut().layers().ok_or(Error::NotWhiteBox)?;
        for (place, score) in self.scores.iter_mut().zip(layers.scores(score)?) {
            *place = *score;
        }
        subtract(self.against, self.scores);
        Ok(self.scores)
    }

    fn activation(&mut self) -> Result<Values<'_>, Error> {
        self.inner_layers()?.activation()
    }

    fn backward(&mut self, seed: &[(usize, f32)], score: Score) -> Result<&[f32], Error> {
        let (pairs, count) = self.seed(seed)?;
        let pairs = pairs.get(..count).ok_or(Error::Internal)?;
        self.inner_layers()?.backward(pairs, score)
    }

    fn backward_pieces(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
    ) -> Result<(), Error> {
        let (pairs, count) = self.seed(seed)?;
        let pairs = pairs.get(..count).ok_or(Error::Internal)?;
        self.inner_layers()?.backward_pieces(pairs, score, sink)
    }

    fn gradient_batch(&self) -> usize {
        let Ok(mut inner) = self.inner.try_borrow_mut() else {
            return 1;
        };
        inner.layers().map_or(1, |layers| layers.gradient_batch())
    }

    fn gradients(
        &mut self,
        count: usize,
        view: &Views<'_>,
        what: &Derivatives<'_>,
        sink: &mut Gradients<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        let what = Derivatives {
            against: what.against.or(Some(self.against)),
            ..*what
        };
        self.inner_layers()?
            .gradients(count, view, &what, sink, after)
    }

    fn run_relevance(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        self.inner_layers()?.run_relevance(x)
    }

    fn relevance(
        &mut self,
        seed: &[(usize, f32)],
        rules: &RelevanceRules,
        balance: &mut Balance<'_>,
    ) -> Result<&[f32], Error> {
        let (pairs, count) = self.seed(seed)?;
        let pairs = pairs.get(..count).ok_or(Error::Internal)?;
        self.inner_layers()?.relevance(pairs, rules, balance)
    }

    fn bias_shape(&self, node: usize) -> Result<Option<Shape>, Error> {
        let mut inner = self.inner.try_borrow_mut().map_err(|_| Error::Internal)?;
        inner.layers().ok_or(Error::NotWhiteBox)?.bias_shape(node)
    }

    fn backward_biases(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
        biases: &mut BiasPieces<'_>,
    ) -> Result<(), Error> {
        let (pairs, count) = self.seed(seed)?;
        let pairs = pairs.get(..count).ok_or(Error::Internal)?;
        self.inner_layers()?
            .backward_biases(pairs, score, sink, biases)
    }

    fn forward_from(
        &mut self,
        x: &Masked<'_>,
        at: At,
        activation: &[f32],
        score: Score,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let classes = self.classes();
        let layers = self.inner_layers()?;
        layers.forward_from(x, at, activation, score, out)?;
        subtract(self.against, out.get_mut(..classes).ok_or(Error::Internal)?);
        Ok(())
    }

    fn forward_from_batch(
        &mut self,
        x: &Masked<'_>,
        at: At,
        questions: (usize, &Activations<'_>),
        score: Score,
        scratch: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let (against, room) = (self.against, &mut *self.scores);
        let mut each = |i: usize, all: &[f32]| hand(against, room, all, &mut |s| sink(i, s));
        let layers = self.inner.get_mut().layers().ok_or(Error::NotWhiteBox)?;
        layers.forward_from_batch(x, at, questions, score, scratch, &mut each)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::nets::{Tiny, close, maps, tensor};
    use crate::explain::{AblationCam, Gradient, HiResCam, Occlusion};
    use crate::tensor::TensorId;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(2, 3, 1);

    /// A network whose one class is the difference answers the same.
    #[test]
    fn every_method_explains_the_difference() {
        let x: Vec<f32> = (0..6).map(|i| 0.5 + (i * 5 % 6) as f32).collect();
        let class = |k: usize| -> Vec<f32> { (0..6).map(|i| ((i * k) % 5) as f32 - 1.5).collect() };
        let mut net = Tiny::new(SHAPE, false, [1, 2, 3].map(class).to_vec());
        let minus = |a: Vec<f32>, b: Vec<f32>| a.into_iter().zip(b).map(|(a, b)| a - b);
        let difference: Vec<f32> = minus(class(3), class(1)).collect();
        let mut single = Tiny::new(SHAPE, false, [difference].to_vec());
        let layer = Some(At::Tensor(TensorId(0)));
        let (relu, window, stride) = (false, Some([1, 1, 1]), Some([1, 1, 1]));
        let methods: [&dyn crate::explain::Method; 4] = [
            &Gradient,
            &HiResCam { layer, relu },
            &AblationCam { layer, relu },
            &Occlusion {
                window,
                stride,
                ..Occlusion::default()
            },
        ];
        for method in methods {
            let mut room = [0.0; 3];
            let mut contrast = Contrast::new(&mut net, 0, &mut room).unwrap();
            let found = maps(method, &mut contrast, tensor(SHAPE, &x), &[2]);
            let expected = maps(method, &mut single, tensor(SHAPE, &x), &[0]);
            close(&found[0], &expected[0], 1e-5);
        }
        let range = Error::TargetOutOfRange {
            target: 3,
            classes: 3,
        };
        assert_eq!(Contrast::new(&mut net, 3, &mut [0.0; 3]).err(), Some(range));
        let short = Error::BufferTooSmall { need: 3, have: 2 };
        assert_eq!(Contrast::new(&mut net, 0, &mut [0.0; 2]).err(), Some(short));
    }
}
