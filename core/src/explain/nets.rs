//! Networks with known answers, for the tests of the methods.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic

use super::{Method, Outcome, Progress, Query, Silent};
use crate::classifier::{
    At, BiasPiece, BiasPieces, Classifier, Layers, Pieces, Rule, Score, Sink, Views,
};
use crate::error::Error;
use crate::mask::Masked;
use crate::picture::Picture;
use crate::tensor::{Shape, TensorId, Values};
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

pub(crate) fn read(x: &Masked<'_>) -> Result<Vec<f32>, Error> {
    let shape = x.shape();
    let mut out = vec![0.0; shape.len()];
    for (y, row) in out.chunks_exact_mut(shape.row()).enumerate() {
        x.row(y, row)?;
    }
    Ok(out)
}

type ScoreOf<'f> = Box<dyn Fn(&[f32], usize) -> f64 + 'f>;

/// Scores from a function of the input; both kinds of score are the same.
pub(crate) struct Net<'f> {
    pub(crate) shape: Shape,
    pub(crate) classes: usize,
    pub(crate) score: ScoreOf<'f>,
    pub(crate) passes: usize,
    /// Evaluates batches back to front, as threads might.
    pub(crate) backwards: bool,
}

impl<'f> Net<'f> {
    pub(crate) fn new(
        shape: Shape,
        classes: usize,
        score: impl Fn(&[f32], usize) -> f64 + 'f,
    ) -> Self {
        Self {
            shape,
            classes,
            score: Box::new(score),
            passes: 0,
            backwards: false,
        }
    }

    /// Class k: the sum of weights times input.
    pub(crate) fn linear(shape: Shape, weights: &'f [Vec<f32>]) -> Self {
        Self::new(shape, weights.len(), |x, k| {
            let pairs = weights[k].iter().zip(x);
            pairs.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum()
        })
    }
}

impl Classifier for Net<'_> {
    fn input(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn classify(&mut self, x: &Masked<'_>, _: Score, out: &mut [f32]) -> Result<(), Error> {
        x.check(self.shape)?;
        self.passes += 1;
        let x = read(x)?;
        for (k, out) in out.iter_mut().enumerate() {
            *out = (self.score)(&x, k) as f32;
        }
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
        let scores = &mut scores[..self.classes];
        if !self.backwards {
            for i in 0..count {
                self.classify(&view(i), score, scores)?;
                sink(i, scores)?;
            }
            return Ok(());
        }
        let mut all = vec![0.0; count * self.classes];
        for i in (0..count).rev() {
            let out = &mut all[i * self.classes..][..self.classes];
            self.classify(&view(i), score, out)?;
        }
        for i in 0..count {
            sink(i, &all[i * self.classes..][..self.classes])?;
        }
        Ok(())
    }
}

/// Stops after so many passes.
pub(crate) struct StopAfter(pub(crate) u64);

impl Progress for StopAfter {
    fn step(&mut self, done: u64, _total: u64) -> bool {
        done < self.0
    }
}

/// Keeps the numbers beside the maps.
#[derive(Default)]
pub(crate) struct Figures(pub(crate) Vec<(usize, &'static str, f64)>);

impl Figures {
    pub(crate) fn of(&self, target: usize, name: &str) -> f64 {
        let found = self.0.iter().find(|f| f.0 == target && f.1 == name);
        found.unwrap().2
    }
}

impl Progress for Figures {
    fn step(&mut self, _done: u64, _total: u64) -> bool {
        true
    }

    fn note(&mut self, target: usize, name: &'static str, value: f64) {
        self.0.push((target, name, value));
    }
}

pub(crate) fn tensor(shape: Shape, data: &[f32]) -> Picture<'_> {
    Picture::Tensor { shape, data }
}

/// Maps and outcomes of a method in buffers of exactly the stated size.
pub(crate) fn explain(
    method: &dyn Method,
    classifier: &mut dyn Classifier,
    query: &Query<'_>,
    progress: &mut dyn Progress,
) -> Result<(Vec<Vec<f32>>, Vec<Outcome>), Error> {
    let targets = query.targets.len();
    let len = method.map_shape(classifier)?.len();
    let cost = method.cost(classifier, targets)?;
    let mut maps = vec![9.0; len * targets];
    let mut outcomes = vec![Outcome::Undefined("not judged"); targets];
    let mut scratch = vec![9.0; cost.scratch];
    method.explain(
        classifier,
        query,
        &mut maps,
        &mut outcomes,
        &mut scratch,
        progress,
    )?;
    Ok((
        maps.chunks_exact(len).map(<[f32]>::to_vec).collect(),
        outcomes,
    ))
}

/// As [`explain`], with the logit and without stopping.
pub(crate) fn maps(
    method: &dyn Method,
    classifier: &mut dyn Classifier,
    picture: Picture<'_>,
    targets: &[usize],
) -> Vec<Vec<f32>> {
    let query = Query {
        picture,
        targets,
        score: Some(Score::Logit),
        seed: 1,
    };
    explain(method, classifier, &query, &mut Silent).unwrap().0
}

pub(crate) fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{i}: {a} {b}");
    }
}

type Of<'f, T> = Box<dyn Fn(&[f64]) -> T + 'f>;

/// One class: a smooth function of the input with its gradient, in f64.
pub(crate) struct Curved<'f> {
    shape: Shape,
    value: Of<'f, f64>,
    slope: Of<'f, Vec<f64>>,
    input: Vec<f64>,
    out: Vec<f32>,
}

impl<'f> Curved<'f> {
    pub(crate) fn new(
        shape: Shape,
        value: impl Fn(&[f64]) -> f64 + 'f,
        slope: impl Fn(&[f64]) -> Vec<f64> + 'f,
    ) -> Self {
        Self {
            shape,
            value: Box::new(value),
            slope: Box::new(slope),
            input: vec![],
            out: vec![],
        }
    }
}

impl Classifier for Curved<'_> {
    fn input(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        1
    }

    fn classify(&mut self, x: &Masked<'_>, _: Score, out: &mut [f32]) -> Result<(), Error> {
        self.run(x, At::Input, Rule::Gradient)?;
        out[0] = (self.value)(&self.input) as f32;
        Ok(())
    }

    fn layers(&mut self) -> Option<&mut dyn Layers> {
        Some(self)
    }
}

impl Layers for Curved<'_> {
    fn shape(&self, _: At) -> Result<Shape, Error> {
        Ok(self.shape)
    }

    fn run(&mut self, x: &Masked<'_>, _: At, _: Rule) -> Result<(), Error> {
        x.check(self.shape)?;
        self.input = read(x)?.into_iter().map(f64::from).collect();
        Ok(())
    }

    fn scores(&mut self, _: Score) -> Result<&[f32], Error> {
        self.out = vec![(self.value)(&self.input) as f32];
        Ok(&self.out)
    }

    fn activation(&mut self) -> Result<Values<'_>, Error> {
        Err(Error::BadOrder)
    }

    fn backward(&mut self, seed: &[(usize, f32)], _: Score) -> Result<&[f32], Error> {
        let weight: f64 = seed.iter().map(|(_, w)| f64::from(*w)).sum();
        let slope = (self.slope)(&self.input);
        self.out = slope.into_iter().map(|g| (weight * g) as f32).collect();
        Ok(&self.out)
    }
}

/// ReLU, then a dense layer (`front`: with 2 x 2 average pooling instead of the
/// ReLU), with the gradients written out by hand. Tensor 0 is what the dense
/// layer reads.
pub(crate) struct Tiny {
    pub(crate) shape: Shape,
    pub(crate) pool: bool,
    /// Class by class, in the order of the dense layer's input.
    pub(crate) weights: Vec<Vec<f32>>,
    /// Of every class.
    pub(crate) bias: f32,
    input: Vec<f32>,
    hidden: Vec<f32>,
    out: Vec<f32>,
    run: Option<(At, Rule)>,
}

impl Tiny {
    pub(crate) fn new(shape: Shape, pool: bool, weights: Vec<Vec<f32>>) -> Self {
        Self {
            shape,
            pool,
            weights,
            bias: 0.0,
            input: vec![],
            hidden: vec![],
            out: vec![],
            run: None,
        }
    }

    fn hidden_shape(&self) -> Shape {
        if self.pool {
            Shape::new(self.shape.h / 2, self.shape.w / 2, self.shape.c)
        } else {
            self.shape
        }
    }

    /// Hidden element that input element `i` is pooled into.
    fn pooled(&self, i: usize) -> usize {
        let (s, h) = (self.shape, self.hidden_shape());
        let (y, x, c) = (i / s.row(), i / s.c % s.w, i % s.c);
        ((y / 2) * h.w + x / 2) * s.c + c
    }

    fn forward(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        x.check(self.shape)?;
        self.input = read(x)?;
        self.hidden = self.input.iter().map(|v| v.max(0.0)).collect();
        if self.pool {
            let mut hidden = vec![0.0; self.hidden_shape().len()];
            for (i, value) in self.input.iter().enumerate() {
                hidden[self.pooled(i)] += value / 4.0;
            }
            self.hidden = hidden;
        }
        Ok(())
    }

    fn logits(&self) -> Vec<f32> {
        let dot = |w: &Vec<f32>| w.iter().zip(&self.hidden).map(|(w, h)| w * h).sum::<f32>();
        self.weights.iter().map(|w| dot(w) + self.bias).collect()
    }
}

impl Classifier for Tiny {
    fn input(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.weights.len()
    }

    fn classify(&mut self, x: &Masked<'_>, _: Score, out: &mut [f32]) -> Result<(), Error> {
        self.forward(x)?;
        out.copy_from_slice(&self.logits());
        Ok(())
    }

    fn layers(&mut self) -> Option<&mut dyn Layers> {
        Some(self)
    }
}

impl Layers for Tiny {
    fn shape(&self, at: At) -> Result<Shape, Error> {
        match at {
            At::Input => Ok(self.shape),
            At::Tensor(TensorId(0)) => Ok(self.hidden_shape()),
            At::Tensor(TensorId(index)) => Err(Error::BadTensor {
                index: usize::from(index),
            }),
        }
    }

    fn run(&mut self, x: &Masked<'_>, at: At, rule: Rule) -> Result<(), Error> {
        self.run = Some((at, rule));
        self.forward(x)
    }

    fn scores(&mut self, _: Score) -> Result<&[f32], Error> {
        self.out = self.logits();
        Ok(&self.out)
    }

    fn activation(&mut self) -> Result<Values<'_>, Error> {
        match self.run {
            Some((At::Tensor(_), _)) => Ok(Values::Real(&self.hidden)),
            _ => Err(Error::BadOrder),
        }
    }

    /// The dense layer has a bias; it has one place and as many channels as classes.
    fn bias_shape(&self, node: usize) -> Result<Option<Shape>, Error> {
        Ok((node == 0).then(|| Shape::new(1, 1, self.weights.len())))
    }

    fn backward_biases(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
        biases: &mut BiasPieces<'_>,
    ) -> Result<(), Error> {
        let mut gradient = vec![0.0; self.weights.len()];
        for (class, weight) in seed {
            gradient[*class] += weight;
        }
        biases(&BiasPiece {
            node: 0,
            shape: Shape::new(1, 1, self.weights.len()),
            first: 0,
            gradient: &gradient,
            bias: &vec![self.bias; self.weights.len()],
        })?;
        sink(0, self.backward(seed, score)?)
    }

    fn forward_from(
        &mut self,
        x: &Masked<'_>,
        at: At,
        activation: &[f32],
        _: Score,
        out: &mut [f32],
    ) -> Result<(), Error> {
        x.check(self.shape)?;
        assert!(matches!(at, At::Tensor(TensorId(0))));
        self.hidden = activation.to_vec();
        self.run = None;
        out.copy_from_slice(&self.logits());
        Ok(())
    }

    fn backward(&mut self, seed: &[(usize, f32)], score: Score) -> Result<&[f32], Error> {
        let (at, rule) = self.run.ok_or(Error::BadOrder)?;
        let mut gradient = vec![0.0; self.hidden.len()];
        // A probability that is a tenth of the logit, to tell the two apart.
        let share = if score == Score::Logit { 1.0 } else { 0.1 };
        for (class, weight) in seed {
            for (g, w) in gradient.iter_mut().zip(&self.weights[*class]) {
                *g += share * weight * w;
            }
        }
        self.out = match (at, self.pool) {
            (At::Tensor(_), _) => gradient,
            (At::Input, true) => (0..self.input.len())
                .map(|i| gradient[self.pooled(i)] / 4.0)
                .collect(),
            (At::Input, false) => gradient
                .iter()
                .zip(&self.input)
                .map(|(g, x)| match rule {
                    Rule::Gradient => g * f32::from(u8::from(*x > 0.0)),
                    Rule::Deconvolution => g.max(0.0),
                    Rule::Guided => g.max(0.0) * f32::from(u8::from(*x > 0.0)),
                })
                .collect(),
        };
        Ok(&self.out)
    }
}
