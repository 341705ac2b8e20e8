//! A classifier that counts what it is asked.

use std::cell::RefCell;

use foveola_core::classifier::{
    Activations, BiasPieces, Derivatives, Edits, Gradients, Pieces, Sink, Step, Views,
};
use foveola_core::mask::MaskSums;
use foveola_core::relevance::{Balance, RelevanceRules};
use foveola_core::{At, Classifier, Error, Layers, Masked, Rule, Score, Shape, Values};

use super::Passes;

/// Hands every question on and counts the passes.
pub struct Counting<'a> {
    /// In a cell, because the shape of a layer is asked for through `&self`.
    inner: RefCell<&'a mut dyn Classifier>,
    passes: Passes,
}

impl<'a> Counting<'a> {
    pub fn new(inner: &'a mut dyn Classifier) -> Self {
        Self {
            inner: RefCell::new(inner),
            passes: Passes::default(),
        }
    }

    /// What was asked so far.
    pub const fn passes(&self) -> Passes {
        self.passes
    }

    fn inner_layers(&mut self) -> Result<&mut dyn Layers, Error> {
        self.inner.get_mut().layers().ok_or(Error::NotWhiteBox)
    }
}

impl Classifier for Counting<'_> {
    fn input(&self) -> Shape {
        self.inner.borrow().input()
    }

    fn classes(&self) -> usize {
        self.inner.borrow().classes()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        self.passes.forward += 1;
        self.inner.get_mut().classify(x, score, out)
    }

    fn classify_batch(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let forward = &mut self.passes.forward;
        let mut counted = |i: usize, answer: &[f32]| {
            *forward += 1;
            sink(i, answer)
        };
        self.inner
            .get_mut()
            .classify_batch(count, view, score, scores, &mut counted)
    }

    fn weigh_masks(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        scores: &mut [f32],
        sums: &mut MaskSums<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        let forward = &mut self.passes.forward;
        let mut counted = || {
            *forward += 1;
            after()
        };
        self.inner
            .get_mut()
            .weigh_masks(count, view, score, scores, sums, &mut counted)
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
        let forward = &mut self.passes.forward;
        let mut counted = |i: usize, answer: &[f32]| {
            *forward += 1;
            sink(i, answer)
        };
        self.inner
            .get_mut()
            .classify_edits(base, count, edit, score, scores, &mut counted)
    }

    fn layers(&mut self) -> Option<&mut dyn Layers> {
        match self.inner.get_mut().layers().is_some() {
            true => Some(self),
            false => None,
        }
    }
}

impl Layers for Counting<'_> {
    fn shape(&self, at: At) -> Result<Shape, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.layers().ok_or(Error::NotWhiteBox)?.shape(at)
    }

    fn run(&mut self, x: &Masked<'_>, at: At, rule: Rule) -> Result<(), Error> {
        self.passes.forward += 1;
        self.inner_layers()?.run(x, at, rule)
    }

    fn scores(&mut self, score: Score) -> Result<&[f32], Error> {
        self.inner_layers()?.scores(score)
    }

    fn activation(&mut self) -> Result<Values<'_>, Error> {
        self.inner_layers()?.activation()
    }

    fn backward(&mut self, seed: &[(usize, f32)], score: Score) -> Result<&[f32], Error> {
        self.passes.backward += 1;
        self.inner_layers()?.backward(seed, score)
    }

    fn run_relevance(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        self.passes.forward += 1;
        self.inner_layers()?.run_relevance(x)
    }

    fn relevance(
        &mut self,
        seed: &[(usize, f32)],
        rules: &RelevanceRules,
        balance: &mut Balance<'_>,
    ) -> Result<&[f32], Error> {
        self.passes.backward += 1;
        self.inner_layers()?.relevance(seed, rules, balance)
    }

    fn backward_pieces(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
    ) -> Result<(), Error> {
        self.passes.backward += 1;
        self.inner_layers()?.backward_pieces(seed, score, sink)
    }

    fn gradient_batch(&self) -> usize {
        let mut inner = self.inner.borrow_mut();
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
        let passes = &mut self.passes;
        let mut counted = || {
            passes.forward += 1;
            passes.backward += what.targets.len() as u64;
            after()
        };
        let inner = self.inner.get_mut().layers().ok_or(Error::NotWhiteBox)?;
        inner.gradients(count, view, what, sink, &mut counted)
    }

    fn bias_shape(&self, node: usize) -> Result<Option<Shape>, Error> {
        let mut inner = self.inner.borrow_mut();
        inner.layers().ok_or(Error::NotWhiteBox)?.bias_shape(node)
    }

    fn backward_biases(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
        biases: &mut BiasPieces<'_>,
    ) -> Result<(), Error> {
        self.passes.backward += 1;
        self.inner_layers()?
            .backward_biases(seed, score, sink, biases)
    }

    fn forward_from(
        &mut self,
        x: &Masked<'_>,
        at: At,
        activation: &[f32],
        score: Score,
        out: &mut [f32],
    ) -> Result<(), Error> {
        self.passes.forward += 1;
        self.inner_layers()?
            .forward_from(x, at, activation, score, out)
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
        let forward = &mut self.passes.forward;
        let mut counted = |i: usize, answer: &[f32]| {
            *forward += 1;
            sink(i, answer)
        };
        let inner = self.inner.get_mut().layers().ok_or(Error::NotWhiteBox)?;
        inner.forward_from_batch(x, at, questions, score, scratch, &mut counted)
    }
}
