//! Which values each channel can have, from the input to the scores.

use foveola_core::net::op::{Op, PadMode};

use super::interval::Interval;
use super::{Bounds, floats, integers};
use crate::graph::{Graph, Node, Tensor};

/// Intervals of every channel. The picture may hold any numbers.
pub fn bounds(graph: &Graph) -> Bounds {
    let mut bounds: Bounds = graph.tensors.iter().map(at_first).collect();
    for node in &graph.nodes {
        let found = of_node(graph, node, &bounds);
        bounds[usize::from(node.output.0)] = found;
    }
    bounds
}

/// The values of a constant, or any.
fn at_first(tensor: &Tensor) -> Vec<Interval> {
    let channels = tensor.shape.c;
    let Some(values) = &tensor.constant else {
        return vec![any(tensor); channels];
    };
    let stored = |v: f32| match tensor.quant {
        Some(quant) => quant.quantisation().stored(v).into(),
        None => f64::from(v),
    };
    let of_channel = |c| values.iter().skip(c).step_by(channels);
    (0..channels)
        .map(|c| Interval::around(of_channel(c).map(|&v| stored(v))))
        .collect()
}

/// Every value that a tensor's type has.
pub fn any(tensor: &Tensor) -> Interval {
    match tensor.quant {
        Some(_) => Interval::STORED,
        None => Interval::ALL,
    }
}

fn of_node(graph: &Graph, node: &Node, bounds: &Bounds) -> Vec<Interval> {
    let output = graph.tensor(node.output);
    if let Some(moved) = moved(graph, node, bounds) {
        return match output.quant {
            Some(_) => integers::limited(graph, node, moved),
            None => floats::limited(node.activation, moved),
        };
    }
    let found = match (output.quant, node.op) {
        (Some(_), Op::Quantise { .. }) => integers::quantised(node, bounds),
        (Some(_), _) => integers::of_node(graph, node, bounds),
        (None, Op::Dequantise) => integers::real(graph, node, bounds),
        (None, _) => floats::of_node(graph, node, bounds),
    };
    found.unwrap_or_else(|| vec![any(output); output.shape.c])
}

/// The intervals of an input that a node reads.
pub fn input<'b>(node: &Node, bounds: &'b Bounds, part: usize) -> &'b [Interval] {
    &bounds[usize::from(node.inputs[part].0)]
}

/// Intervals behind an operator that only moves numbers, before its activation.
fn moved(graph: &Graph, node: &Node, bounds: &Bounds) -> Option<Vec<Interval>> {
    let x = input(node, bounds, 0);
    let output = graph.tensor(node.output);
    let same_channels = graph.tensor(node.inputs[0]).shape.c == output.shape.c;
    match node.op {
        Op::MaxPool(_) | Op::GlobalMaxPool => Some(x.to_vec()),
        Op::Slice { start, step } => {
            let from = x.iter().skip(start[2].into()).step_by(step[2].into());
            Some(from.take(output.shape.c).copied().collect())
        }
        Op::Shuffle { .. } => {
            let all = x.iter().copied().reduce(Interval::with)?;
            Some(vec![all; x.len()])
        }
        Op::Pad { mode, .. } if same_channels => Some(match mode {
            PadMode::Constant(value) => {
                let value = match output.quant {
                    Some(quant) => quant.quantisation().stored(value).into(),
                    None => f64::from(value),
                };
                let value = Interval::one(value);
                x.iter().map(|x| x.with(value)).collect()
            }
            PadMode::Edge | PadMode::Reflect => x.to_vec(),
        }),
        Op::Concat { axis } if axis < 2 && output.quant.is_none() => {
            let parts = node.inputs.iter().enumerate();
            let parts = parts.map(|(part, _)| input(node, bounds, part).to_vec());
            parts.reduce(|a, b| a.iter().zip(b).map(|(a, b)| a.with(b)).collect())
        }
        Op::Concat { axis: 2 } if output.quant.is_none() => {
            let parts = 0..node.inputs.len();
            Some(
                parts
                    .flat_map(|part| input(node, bounds, part).to_vec())
                    .collect(),
            )
        }
        _ => None,
    }
}
