//! Per-channel arithmetic x * scale + shift, and how a linear node absorbs it.

use foveola_core::net::op::{Arithmetic, Op};
use foveola_core::{Shape, TensorId};

use crate::graph::{Graph, Node};

/// x * scale\[c\] + shift\[c\].
pub(super) struct PerChannel {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl PerChannel {
    /// What `node` does to tensor `x`, if that is per-channel arithmetic.
    pub fn of(graph: &Graph, node: &Node, x: TensorId) -> Option<Self> {
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect();
        match node.op {
            Op::Affine => Some(Self {
                scale: wide(&node.weights),
                shift: wide(&node.bias),
            }),
            Op::Binary(operation) => Self::of_constant(graph, node, operation, x),
            _ => None,
        }
    }

    fn of_constant(graph: &Graph, node: &Node, operation: Arithmetic, x: TensorId) -> Option<Self> {
        let shape = graph.tensor(x).shape;
        let &[a, b] = &node.inputs[..] else {
            return None;
        };
        let first = a == x;
        let other = graph.tensor(if first { b } else { a });
        let values = other.constant.as_ref()?;
        let even = other.shape == Shape::new(1, 1, other.shape.c);
        if !even || graph.tensor(node.output).shape != shape {
            return None;
        }
        let of = |k: f64| match (operation, first) {
            (Arithmetic::Add, _) => Some((1.0, k)),
            (Arithmetic::Sub, true) => Some((1.0, -k)),
            (Arithmetic::Sub, false) => Some((-1.0, k)),
            (Arithmetic::Mul, _) => Some((k, 0.0)),
            (Arithmetic::Div, true) => Some((1.0 / k, 0.0)),
            (Arithmetic::Div, false) => None,
        };
        let constants = values.iter().cycle().take(shape.c);
        let pairs: Option<Vec<(f64, f64)>> = constants.map(|&k| of(f64::from(k))).collect();
        let (scale, shift) = pairs?.into_iter().unzip();
        Some(Self { scale, shift })
    }
}

/// Weights and bias of a linear node that does the change as well. `None` if
/// the node is not linear or a result is not finite.
pub(super) fn fold_into(node: &Node, change: &PerChannel) -> Option<(Vec<f32>, Vec<f32>)> {
    let outputs = change.scale.len();
    let run = match node.op {
        Op::Conv { .. } | Op::Dense => node.weights.len() / outputs,
        // Channels lie innermost.
        Op::Depthwise { .. } => 1,
        _ => return None,
    };
    let scaled = |(i, &w): (usize, &f32)| (f64::from(w) * change.scale[i / run % outputs]) as f32;
    let weights: Vec<f32> = node.weights.iter().enumerate().map(scaled).collect();
    let old = |c: usize| node.bias.get(c).map_or(0.0, |&b| f64::from(b));
    let bias: Vec<f32> = (0..outputs)
        .map(|c| (old(c) * change.scale[c] + change.shift[c]) as f32)
        .collect();
    let finite = weights.iter().chain(&bias).all(|v| v.is_finite());
    finite.then_some((weights, bias))
}
