//! The hall where networks and methods meet: what a method may ask.

mod derivatives;

use crate::error::Error;
use crate::mask::{MaskSums, Masked, Window};
use crate::relevance::{Balance, RelevanceRules};
use crate::tensor::{Shape, TensorId, Values};

pub use derivatives::{Derivatives, GradientPiece, Gradients};

/// Which number of a class is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Score {
    /// The value before the final softmax or sigmoid (the output itself if there is none).
    Logit,
    /// The value after it.
    Probability,
}

/// How a ReLU (also clipped, leaky or parametric) passes a gradient back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The derivative.
    Gradient,
    /// `ReLU(g)`, the forward gate of the ReLU ignored (Zeiler & Fergus 2014, arXiv 1311.2901).
    /// The upper bound of a clipped ReLU keeps its gate.
    Deconvolution,
    /// `ReLU(g)` where the forward gate is open (Springenberg et al. 2015, arXiv 1412.6806).
    Guided,
}

/// Where a gradient or an activation is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// The network's input, in model space.
    Input,
    /// A tensor of the network.
    Tensor(TensorId),
}

/// A change to a base picture: the elements of `window` are taken from the
/// side that the base's mask does not show (revealed or covered).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The box that changes.
    pub window: Window,
}

/// The questions of one batch: `view(i)` makes the `i`-th masked picture.
/// It is pure, so a backend may ask in any order and from any thread.
pub type Views<'a> = dyn Fn(usize) -> Masked<'a> + Sync + 'a;

/// The edits of one batch: `edit(i)` makes the `i`-th. Pure, as [`Views`].
pub type Edits<'a> = dyn Fn(usize) -> Edit + Sync + 'a;

/// Takes the scores of question `i`, all classes, strictly in the order of `i`.
/// An error (also [`Error::Stopped`]) ends the batch and is handed on.
pub type Sink<'a> = dyn FnMut(usize, &[f32]) -> Result<(), Error> + 'a;

/// Called after each pass whose result has been used. An error (also
/// [`Error::Stopped`]) ends the passes and is handed on.
pub type Step<'a> = dyn FnMut() -> Result<(), Error> + 'a;

/// Takes a piece of a gradient: the index of its first element (HWC), its
/// values. Pieces come in order and leave no gap. An error ends the pass and
/// is handed on.
pub type Pieces<'a> = dyn FnMut(usize, &[f32]) -> Result<(), Error> + 'a;

/// Writes the activation of question `i` of a batch, HWC, all of its elements.
/// Pure, as [`Views`].
pub type Activations<'a> = dyn Fn(usize, &mut [f32]) + Sync + 'a;

/// A piece of the gradient at a node that adds a bias, before its activation.
#[derive(Clone, Copy, Debug)]
pub struct BiasPiece<'a> {
    /// Which of the nodes with a bias, in run order.
    pub node: usize,
    /// Shape of its output.
    pub shape: Shape,
    /// Index of its first element (HWC) in the node's output.
    pub first: usize,
    /// The gradient.
    pub gradient: &'a [f32],
    /// The bias, one a channel of the output.
    pub bias: &'a [f32],
}

/// Takes pieces of gradients at nodes with a bias; those of one node come in
/// order. An error ends the pass and is handed on.
pub type BiasPieces<'a> = dyn FnMut(&BiasPiece<'_>) -> Result<(), Error> + 'a;

/// Dropout while a network answers (Monte Carlo dropout: Gal & Ghahramani 2016,
/// arXiv 1506.02142): elements of a layer become 0 at random, those that are
/// kept are divided by the share of kept ones.
///
/// Where the network was trained with dropouts these are on, each with its own
/// share. Elsewhere one stands behind the first layer with weights (batch
/// normalisation that was folded into it included), before its activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Key of every random number.
    pub seed: u64,
    /// Share of kept elements where the network has no dropout of its own:
    /// above 0, at most 1.
    pub keep: f32,
}

/// What int8 could not hold of the elements that a dropout kept. An element is
/// saturated if dividing it by the share of kept ones puts it beyond the range
/// of int8 and it was inside before; what an activation limits anyway is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saturation {
    /// Saturated elements.
    pub saturated: u64,
    /// Kept elements that are stored as int8; 0 for a network in f32.
    pub of: u64,
}

impl Saturation {
    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            saturated: self.saturated + other.saturated,
            of: self.of + other.of,
        }
    }

    /// Share of saturated elements, 0 to 1; 0 where nothing is stored as int8.
    #[must_use]
    pub const fn share(self) -> f64 {
        if self.of == 0 {
            return 0.0;
        }
        self.saturated as f64 / self.of as f64
    }
}

/// Takes the scores of dropout pass `i`, all classes, strictly in the order of
/// `i`, and what saturated. An error ends the passes and is handed on.
pub type DroppedSink<'a> = dyn FnMut(usize, &[f32], Saturation) -> Result<(), Error> + 'a;

/// A black box: a masked picture in, one score a class out. This is all that
/// RISE, HOC and Occlusion need; any engine can implement it.
pub trait Classifier {
    /// Shape of the input picture.
    fn input(&self) -> Shape;

    /// Number of classes.
    fn classes(&self) -> usize;

    /// Writes one score a class for the picture `x` into `out` (at least
    /// [`Classifier::classes`] long).
    ///
    /// # Errors
    /// A shape that does not fit, a short buffer, NaN, or the backend's own failure.
    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error>;

    /// Classifies `view(0)`, `view(1)`, .. `view(count - 1)` and hands each
    /// result to `sink` in this order. `scores` is scratch of at least
    /// [`Classifier::classes`] elements. The default is a loop; backends with
    /// threads or batches override it and still deliver in order.
    ///
    /// # Errors
    /// Those of [`Classifier::classify`] and of `sink`.
    fn classify_batch(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let classes = self.classes();
        let have = scores.len();
        let scores = scores.get_mut(..classes).ok_or(Error::BufferTooSmall {
            need: classes,
            have,
        })?;
        for i in 0..count {
            self.classify(&view(i), score, scores)?;
            sink(i, scores)?;
        }
        Ok(())
    }

    /// Classifies `view(0)` .. `view(count - 1)` and adds each one's mask,
    /// weighted by its scores, to `sums` (which the caller has cleared), in this
    /// order; `after` is called when one has been added. If an error ends it,
    /// `sums` holds the masks before it, and that of the call of `after` that
    /// failed. The default adds on the processor; a backend that makes masks
    /// itself adds where they are.
    ///
    /// # Errors
    /// Those of [`Classifier::classify_batch`], [`MaskSums::add`] and `after`.
    fn weigh_masks(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        scores: &mut [f32],
        sums: &mut MaskSums<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        let shape = self.input();
        let mut sink = |i: usize, scores: &[f32]| {
            sums.add(&view(i).mask, shape, scores)?;
            after()
        };
        self.classify_batch(count, view, score, scores, &mut sink)
    }

    /// As [`Classifier::classify_batch`], for pictures that differ from `base`
    /// in one box each. A backend that keeps the base's activations recomputes
    /// only what the box can reach; the default evaluates in full.
    ///
    /// # Errors
    /// As [`Classifier::classify_batch`]; [`Error::BadParameter`] if the base's
    /// mask cannot be edited (it must be `Keep` or `Windows` without an extra).
    fn classify_edits(
        &mut self,
        base: &Masked<'_>,
        count: usize,
        edit: &Edits<'_>,
        score: Score,
        scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        base.editable()?;
        let base = *base;
        self.classify_batch(count, &|i| base.edited(edit(i).window), score, scores, sink)
    }

    /// Classifies `x` `passes` times with dropout and hands each result to
    /// `sink` in order. Which elements pass `i` drops follows from `dropout`
    /// and `i` alone, so the scores are the same on host and device. `scores`
    /// is scratch as in [`Classifier::classify_batch`].
    ///
    /// # Errors
    /// Those of [`Classifier::classify`] and of `sink`;
    /// [`Error::NotWhiteBox`] for a classifier that cannot drop anything (also
    /// in programs for Armv6-M, where the code for it is left out),
    /// [`Error::BadParameter`] for a share that is out of its range.
    fn classify_dropped(
        &mut self,
        _x: &Masked<'_>,
        _dropout: &Dropout,
        _passes: usize,
        _score: Score,
        _scores: &mut [f32],
        _sink: &mut DroppedSink<'_>,
    ) -> Result<(), Error> {
        Err(Error::NotWhiteBox)
    }

    /// The white box, if this classifier is one.
    fn layers(&mut self) -> Option<&mut dyn Layers> {
        None
    }
}

/// A white box: activations and gradients of one picture.
///
/// [`Layers::run`] comes first; then any number of [`Layers::backward`],
/// [`Layers::activation`] and [`Layers::scores`] read from that run.
pub trait Layers {
    /// Shape of the tensor at `at`.
    ///
    /// # Errors
    /// A tensor that does not exist.
    fn shape(&self, at: At) -> Result<Shape, Error>;

    /// Runs forward, keeping what a backward pass with `rule` down to `at` needs.
    ///
    /// # Errors
    /// No memory plan for `at`, an arena that is too small, a wrong picture, NaN.
    fn run(&mut self, x: &Masked<'_>, at: At, rule: Rule) -> Result<(), Error>;

    /// Scores of the last run, one a class.
    ///
    /// # Errors
    /// [`Error::BadOrder`] without a run.
    fn scores(&mut self, score: Score) -> Result<&[f32], Error>;

    /// The tensor at the last run's `at`, HWC, in model space.
    ///
    /// # Errors
    /// [`Error::BadOrder`] without a run or for [`At::Input`], whose values the caller has.
    fn activation(&mut self) -> Result<Values<'_>, Error>;

    /// Gradient of `sum weight * score(class)` over the pairs of `seed` with
    /// respect to the last run's `at`, HWC.
    ///
    /// # Errors
    /// [`Error::BadOrder`] without a run, a target out of range,
    /// [`Error::NoPlan`] if this gradient never exists as a whole: then
    /// [`Layers::backward_pieces`] hands it out.
    fn backward(&mut self, seed: &[(usize, f32)], score: Score) -> Result<&[f32], Error>;

    /// As [`Layers::backward`], handed to `sink` as it is made: row by row, or
    /// all of it at once.
    ///
    /// # Errors
    /// As [`Layers::backward`], and what `sink` reports.
    fn backward_pieces(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
    ) -> Result<(), Error> {
        sink(0, self.backward(seed, score)?)
    }

    /// Pictures whose gradients are best asked for at once: as many as are
    /// computed side by side.
    fn gradient_batch(&self) -> usize {
        1
    }

    /// Gradients at the input for `view(0)` .. `view(count - 1)`, one a target
    /// each, handed to `sink`; `after` is called when all of a picture's have
    /// been. What the last run left is gone afterwards. The default is a loop;
    /// backends with threads or batches override it and still deliver in order.
    ///
    /// # Errors
    /// Those of [`Layers::run`] and [`Layers::backward_pieces`],
    /// [`Derivatives::check`], and what `sink` and `after` report.
    fn gradients(
        &mut self,
        count: usize,
        view: &Views<'_>,
        what: &Derivatives<'_>,
        sink: &mut Gradients<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        for question in 0..count {
            self.run(&view(question), At::Input, what.rule)?;
            for (number, &target) in what.targets.iter().enumerate() {
                what.check(self.scores(what.score)?, target)?;
                let (pairs, used) = what.seed(target);
                let seed = pairs.get(..used).ok_or(Error::Internal)?;
                self.backward_pieces(seed, what.score, &mut |first, gradient| {
                    sink(&GradientPiece {
                        question,
                        target: number,
                        first,
                        gradient,
                    })
                })?;
            }
            after()?;
        }
        Ok(())
    }

    /// Shape of the output of node number `node` of those that add a bias, in
    /// run order; `None` behind the last.
    ///
    /// # Errors
    /// [`Error::NotWhiteBox`] for a white box that does not show its biases, as
    /// int8 networks do not: their biases are merged with zero points.
    fn bias_shape(&self, _node: usize) -> Result<Option<Shape>, Error> {
        Err(Error::NotWhiteBox)
    }

    /// As [`Layers::backward_pieces`] of a run down to the input; also hands
    /// `biases` the gradient at each node that adds a bias, unless none passes it.
    ///
    /// # Errors
    /// As [`Layers::backward_pieces`] and [`Layers::bias_shape`].
    fn backward_biases(
        &mut self,
        _seed: &[(usize, f32)],
        _score: Score,
        _sink: &mut Pieces<'_>,
        _biases: &mut BiasPieces<'_>,
    ) -> Result<(), Error> {
        Err(Error::NotWhiteBox)
    }

    /// Writes the scores of `x` into `out` (at least one a class) as they are
    /// with the tensor at `at` replaced by `activation` (HWC, model space; int8
    /// tensors round it). What does not go through this tensor, such as a
    /// residual path around it, is as `x` makes it. What the last run left is
    /// gone afterwards.
    ///
    /// # Errors
    /// [`Error::NotWhiteBox`] for a white box that cannot begin in the middle,
    /// no memory plan for `at`, a buffer that is too short, NaN.
    fn forward_from(
        &mut self,
        _x: &Masked<'_>,
        _at: At,
        _activation: &[f32],
        _score: Score,
        _out: &mut [f32],
    ) -> Result<(), Error> {
        Err(Error::NotWhiteBox)
    }

    /// [`Layers::forward_from`] for `count` activations that `write` makes; the
    /// scores of each go to `sink`, in order. `scratch` holds one activation and
    /// one score a class. The default is a loop; backends with threads override it.
    ///
    /// # Errors
    /// Those of [`Layers::forward_from`] and of `sink`.
    fn forward_from_batch(
        &mut self,
        x: &Masked<'_>,
        at: At,
        (count, write): (usize, &Activations<'_>),
        score: Score,
        scratch: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let have = scratch.len();
        let need = self.shape(at)?.len();
        let halves = scratch.split_at_mut_checked(need);
        let (activation, scores) = halves.ok_or(Error::BufferTooSmall { need, have })?;
        for i in 0..count {
            write(i, activation);
            self.forward_from(x, at, activation, score, scores)?;
            sink(i, scores)?;
        }
        Ok(())
    }

    /// Runs forward, keeping what [`Layers::relevance`] reads.
    ///
    /// # Errors
    /// As [`Layers::run`]; [`Error::NotWhiteBox`] for a classifier without
    /// relevance (also in programs for the smallest processors, where the code
    /// for it is left out).
    fn run_relevance(&mut self, _x: &Masked<'_>) -> Result<(), Error> {
        Err(Error::NotWhiteBox)
    }

    /// Relevance of every input element, HWC, for `sum weight * logit(class)`
    /// over the pairs of `seed`, in the last run of [`Layers::run_relevance`].
    /// `balance` is told what each layer did with it.
    ///
    /// # Errors
    /// [`Error::BadOrder`] without that run, [`Error::BadParameter`] for rules
    /// out of their range, a target out of range, and what `balance` reports.
    fn relevance(
        &mut self,
        _seed: &[(usize, f32)],
        _rules: &RelevanceRules,
        _balance: &mut Balance<'_>,
    ) -> Result<&[f32], Error> {
        Err(Error::NotWhiteBox)
    }
}
