//! Residual sums: an addition, and the activation behind it, done by the
//! convolution before it as it stores. What the convolution alone makes is not
//! stored then.

use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::{Activation, Arithmetic, Op};
use foveola_core::{Score, TensorId};

use super::first::First;
use super::integers;

/// An addition that a convolution does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Residual {
    /// The convolution.
    pub convolution: usize,
    /// The addition.
    pub addition: usize,
    /// What is added.
    pub other: TensorId,
}

/// The additions of a model that convolutions do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Residuals(Vec<Residual>);

/// The node that makes a tensor; `None` of the input and of constants.
fn maker(model: &Model<'_>, id: TensorId) -> Option<usize> {
    (0..model.node_count()).find(|&i| model.node(i).is_some_and(|view| view.output == id))
}

/// How often nodes read a tensor; the host reads scores too.
fn readers(model: &Model<'_>, id: TensorId) -> usize {
    let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    let reads = |view: NodeView<'_>| view.inputs().filter(|input| *input == id).count();
    let scores = [Score::Logit, Score::Probability].map(|score| model.score_id(score));
    nodes.map(reads).sum::<usize>() + usize::from(scores.contains(&id))
}

/// Whether a tensor lies in memory when a node runs.
fn is_there(model: &Model<'_>, first: &First, id: TensorId, node: usize) -> bool {
    match maker(model, id) {
        Some(maker) => maker < node,
        None => id == model.input_id() && !first.makes(id),
    }
}

impl Residual {
    /// The addition `index`, if the convolution that makes input `part` can do it.
    fn of(model: &Model<'_>, first: &First, index: usize, part: usize) -> Option<Self> {
        let addition = model.node(index)?;
        if addition.op != Op::Binary(Arithmetic::Add) || integers::takes(&addition) {
            return None;
        }
        let (own, other) = (addition.input(part)?, addition.input(1 - part)?);
        let shape = model.shape(addition.output);
        let convolution = maker(model, own)?;
        let view = model.node(convolution)?;
        let does = matches!(view.op, Op::Conv { .. })
            && view.activation == Activation::None
            && !integers::takes(&view)
            && !view.input(0).is_some_and(|id| first.makes(id));
        let fits = model.shape(own) == shape && model.shape(other) == shape;
        let alone = readers(model, own) == 1;
        let ready = is_there(model, first, other, convolution);
        (does && fits && alone && ready).then_some(Self {
            convolution,
            addition: index,
            other,
        })
    }
}

impl Residuals {
    /// None where all tensors are kept, and else those of the model.
    pub fn where_not_kept(model: &Model<'_>, first: &First, keep: bool) -> Self {
        if keep {
            return Self::default();
        }
        let found = (0..model.node_count())
            .filter_map(|index| (0..2).find_map(|part| Residual::of(model, first, index, part)));
        Self(found.collect())
    }

    /// The addition that a convolution does.
    pub fn done_by(&self, convolution: usize) -> Option<Residual> {
        let mut all = self.0.iter().copied();
        all.find(|residual| residual.convolution == convolution)
    }

    /// The convolution that does an addition.
    pub fn doer(&self, addition: usize) -> Option<usize> {
        let found = self.0.iter().find(|residual| residual.addition == addition);
        found.map(|residual| residual.convolution)
    }
}
