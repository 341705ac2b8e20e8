//! What a node is to its network.

use super::Range;
use crate::net::model::{Model, NodeView, Plan};
use crate::net::op::{Activation, Arithmetic, Op};
use crate::picture::Normalisation;
use crate::relevance::{LayerRule, NormRule, RelevanceRules};
use crate::tensor::TensorId;

/// In [`crate::net::format::NetworkRecord::channels`]: the input is no picture.
const NO_PICTURE: u8 = 5;
/// Steps that a gate's maker is looked for.
const MOST_STEPS: usize = 8;

const fn has_weights(op: Op) -> bool {
    matches!(op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense)
}

impl<'m> Model<'m> {
    /// The node that makes a tensor.
    pub(in crate::net) fn maker(&self, id: TensorId) -> Option<(usize, NodeView<'m>)> {
        let mut nodes = (0..self.node_count()).filter_map(|i| Some((i, self.node(i)?)));
        nodes.find(|(_, node)| node.output == id)
    }

    fn is_constant(&self, id: TensorId) -> bool {
        self.tensor(id).is_some_and(|t| t.constant.is_some())
    }

    /// The last layer with weights that relevance reaches.
    pub(in crate::net) fn last_weighted(&self, plan: &Plan<'_>) -> Option<usize> {
        (0..self.node_count()).rev().find(|&i| {
            self.node(i)
                .is_some_and(|n| has_weights(n.op) && plan.gradient(n.output).length > 0)
        })
    }

    /// Whether a tensor holds the picture, padded or as integers.
    fn is_picture(&self, mut id: TensorId) -> bool {
        for _ in 0..MOST_STEPS {
            if id == self.input_id() {
                return true;
            }
            let made = self.maker(id).filter(|(_, node)| {
                matches!(
                    node.op,
                    Op::Pad { .. } | Op::Quantise { .. } | Op::Dequantise
                )
            });
            match made.and_then(|(_, node)| node.input(0)) {
                Some(before) => id = before,
                None => return false,
            }
        }
        false
    }

    /// Least and greatest pixel, if the input is a picture of at most 4 channels.
    pub(in crate::net) fn pixel_range(&self) -> Option<Range> {
        let channels = self.input().c;
        if channels > 4 || self.network().channels == NO_PICTURE {
            return None;
        }
        let Normalisation { mean, scale } = self.normalisation();
        let mut range = Range::default();
        let [low, high] = &mut range;
        let ends = low.iter_mut().zip(high).zip(mean.iter().zip(scale));
        for ((low, high), (mean, scale)) in ends {
            let ends = [(0.0 - mean) * scale, (255.0 - mean) * scale];
            let [a, b] = ends;
            [*low, *high] = if a < b { [a, b] } else { [b, a] };
        }
        Some(range)
    }

    /// The rule of a node that is linear in its input, and its epsilon.
    pub(in crate::net) fn layer_rule(
        &self,
        (index, view): (usize, &NodeView<'_>),
        last: Option<usize>,
        rules: &RelevanceRules,
    ) -> (LayerRule, f32) {
        if !has_weights(view.op) {
            return (LayerRule::Epsilon, rules.epsilon);
        }
        if rules.last_exact && last == Some(index) {
            return (LayerRule::Epsilon, 0.0);
        }
        let rule = match view.op {
            _ if view.input(0).is_some_and(|id| self.is_picture(id)) => rules.first,
            Op::Dense => rules.dense,
            _ => rules.convolution,
        };
        (rule, rules.epsilon)
    }

    /// Whether node `index` is a batch normalisation that counts as a part of
    /// the layer before it.
    pub(in crate::net) fn is_folded(&self, index: usize, rules: &RelevanceRules) -> bool {
        let Some(view) = self.node(index).filter(|n| n.op == Op::Affine) else {
            return false;
        };
        let Some(id) = view.input(0) else {
            return false;
        };
        let nodes = (0..self.node_count()).filter_map(|i| self.node(i));
        let reads = nodes.map(|n| n.inputs().filter(|&input| input == id).count());
        let plain = |n: &NodeView<'_>| {
            has_weights(n.op) && n.activation == Activation::None && n.integers.is_none()
        };
        rules.norm == NormRule::Fold
            && view.integers.is_none()
            && reads.sum::<usize>() == 1
            && self.maker(id).is_some_and(|(_, n)| plain(&n))
    }

    /// The batch normalisation behind a layer that is a part of it.
    pub(in crate::net) fn norm_behind(
        &self,
        view: &NodeView<'_>,
        rules: &RelevanceRules,
    ) -> Option<NodeView<'m>> {
        if !has_weights(view.op) {
            return None;
        }
        let mut readers = (0..self.node_count()).filter_map(|i| Some((i, self.node(i)?)));
        let (index, norm) = readers.find(|(_, n)| n.input(0) == Some(view.output))?;
        self.is_folded(index, rules).then_some(norm)
    }

    /// Whether a tensor only scales another: the output of a sigmoid or the like.
    fn is_gate(&self, mut id: TensorId) -> bool {
        for _ in 0..MOST_STEPS {
            let Some((_, node)) = self.maker(id) else {
                return false;
            };
            match node.activation {
                Activation::Sigmoid | Activation::HardSigmoid { .. } | Activation::Tanh => {
                    return true;
                }
                // The middle of a hard sigmoid.
                Activation::Clip { lo: 0.0, .. } => return true,
                _ if node.op == Op::Softmax => return true,
                _ => {}
            }
            let by_constant = node.inputs().any(|id| self.is_constant(id));
            let varying = node.inputs().find(|&id| !self.is_constant(id));
            match (node.op, varying) {
                (Op::Binary(_), Some(before)) if by_constant => id = before,
                (Op::Quantise { .. } | Op::Dequantise, Some(before)) => id = before,
                _ => return false,
            }
        }
        false
    }

    /// How much of a product's relevance operand `part` carries: the signal all
    /// of it, a gate nothing, two alike one half each.
    pub(in crate::net) fn signal(&self, view: &NodeView<'_>, part: usize) -> Option<f32> {
        let [own, other] = [view.input(part)?, view.input(1 - part.min(1))?];
        let carries = |yes: bool| Some(if yes { 1.0 } else { 0.0 });
        if self.is_constant(own) || self.is_constant(other) {
            return carries(!self.is_constant(own));
        }
        if view.op == Op::Binary(Arithmetic::Div) {
            return carries(part == 0);
        }
        let [a, b] = [own, other].map(|id| self.shape(id).len());
        if a != b {
            return carries(a > b);
        }
        match [own, other].map(|id| self.is_gate(id)) {
            [true, false] => Some(0.0),
            [false, true] => Some(1.0),
            _ => Some(0.5),
        }
    }
}
