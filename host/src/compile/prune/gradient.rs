//! Which constant channels stop every gradient, so that nothing below them
//! notices when they go.

use foveola_core::TensorId;
use foveola_core::net::int8::make;
use foveola_core::net::op::{Activation, Arithmetic, Op};

use super::linear::Linear;
use super::{Bounds, Watched};
use crate::graph::{Graph, Node};

/// For each tensor, which channels have one value and let no gradient of the
/// rules Gradient and Guided through to what they are made of, or to the map
/// of a watched layer.
pub fn shut(graph: &Graph, bounds: &Bounds, watched: &Watched) -> Vec<Vec<bool>> {
    let mut shut: Vec<Vec<bool>> = graph
        .tensors
        .iter()
        .map(|t| vec![t.constant.is_some(); t.shape.c])
        .collect();
    for node in &graph.nodes {
        let judge = Judge {
            graph,
            bounds,
            watched,
            shut: &shut,
            node,
        };
        let channels = 0..graph.tensor(node.output).shape.c;
        let found = channels.map(|c| judge.stops(c)).collect();
        shut[usize::from(node.output.0)] = found;
    }
    shut
}

/// Whether a channel is 0 in real numbers.
pub fn is_zero(graph: &Graph, bounds: &Bounds, id: TensorId, c: usize) -> bool {
    let zero = graph.tensor(id).quant.map_or(0.0, |q| q.zero_point.into());
    bounds[usize::from(id.0)][c].fixed() == Some(zero)
}

struct Judge<'a> {
    graph: &'a Graph,
    bounds: &'a Bounds,
    watched: &'a Watched,
    shut: &'a [Vec<bool>],
    node: &'a Node,
}

impl Judge<'_> {
    fn stops(&self, c: usize) -> bool {
        let node = self.node;
        let output = &self.bounds[usize::from(node.output.0)];
        let Some(value) = output[c].fixed() else {
            return false;
        };
        let at_layer = self.watched.cam == Some(node.output);
        if self.watched.whole.contains(&node.output)
            || (at_layer && !is_zero(self.graph, self.bounds, node.output, c))
        {
            return false;
        }
        self.closes(value) || self.passes_nothing(c)
    }

    /// Whether the node's own gate is closed where its output is `value`.
    fn closes(&self, value: f64) -> bool {
        let node = self.node;
        let [low, high] = match self.graph.tensor(node.output).quant {
            Some(_) if matches!(node.op, Op::Quantise { .. }) => [-128.0, 127.0],
            Some(_) if moves(node.op) && !is_relu(node.activation) => return false,
            Some(quant) => make::range(node.activation, quant.quantisation()).map(f64::from),
            None => match node.activation {
                Activation::Relu => [0.0, f64::INFINITY],
                Activation::Clip { lo, hi } => [lo.into(), hi.into()],
                _ => return false,
            },
        };
        value <= low || value >= high
    }

    /// Whether what passes the gate comes to nothing behind it.
    fn passes_nothing(&self, c: usize) -> bool {
        let inputs = self.node.inputs.iter().enumerate();
        match self.node.op {
            Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => {
                let linear = Linear::of(self.graph, self.node);
                linear.is_some_and(|linear| linear.read(c).all(|i| self.is_shut(0, i)))
            }
            Op::Binary(Arithmetic::Mul) => inputs.fold(true, |all, (part, _)| {
                let other = self.node.inputs[1 - part];
                let of_other = c.min(self.graph.tensor(other).shape.c - 1);
                let zero = is_zero(self.graph, self.bounds, other, of_other);
                all && (zero || self.is_shut(part, c))
            }),
            Op::Concat { axis: 2 } => {
                let mut first = 0;
                for (part, &id) in inputs {
                    let channels = self.graph.tensor(id).shape.c;
                    if c < first + channels {
                        return self.is_shut(part, c - first);
                    }
                    first += channels;
                }
                false
            }
            Op::Slice { start, step } => {
                self.is_shut(0, usize::from(start[2]) + c * usize::from(step[2]))
            }
            Op::Shuffle { .. } | Op::Lrn { .. } | Op::Softmax => false,
            Op::Mean { axes } if axes[2] => false,
            Op::Pad { before, .. } if before[2] > 0 => false,
            _ => inputs.fold(true, |all, (part, _)| all && self.is_shut(part, c)),
        }
    }

    /// Whether channel `c` of an input stops gradients; the only one serves all.
    fn is_shut(&self, part: usize, c: usize) -> bool {
        let shut = &self.shut[usize::from(self.node.inputs[part].0)];
        shut[if shut.len() == 1 { 0 } else { c }]
    }
}

const fn is_relu(activation: Activation) -> bool {
    matches!(activation, Activation::Relu | Activation::Clip { .. })
}

/// Operators in int8 that have no gate of their own.
const fn moves(op: Op) -> bool {
    matches!(
        op,
        Op::MaxPool(_)
            | Op::AveragePool { .. }
            | Op::GlobalMaxPool
            | Op::Slice { .. }
            | Op::Shuffle { .. }
            | Op::Pad { .. }
            | Op::Dequantise
    )
}
