//! The network without the channels that do not stay.

use foveola_core::TensorId;
use foveola_core::net::op::Op;

use super::Bounds;
use super::keep::Kept;
use super::linear::Linear;
use crate::graph::{Graph, Node, QuantisedWeights};

/// A smaller network with the same numbers. `None` where a bias would not fit
/// 32 bits.
pub fn without(graph: &Graph, bounds: &Bounds, kept: &Kept) -> Option<Graph> {
    let mut smaller = graph.clone();
    for (node, to) in graph.nodes.iter().zip(&mut smaller.nodes) {
        shrink(graph, node, bounds, kept, to)?;
    }
    for (tensor, kept) in smaller.tensors.iter_mut().zip(kept) {
        if let Some(values) = &mut tensor.constant {
            *values = each_channel(values, kept);
        }
        tensor.shape.c = kept.iter().filter(|&&kept| kept).count();
    }
    Some(smaller)
}

/// The kept ones of values whose channels lie innermost.
fn each_channel<T: Copy>(values: &[T], kept: &[bool]) -> Vec<T> {
    let stays = kept.iter().cycle();
    let stays = values.iter().zip(stays).filter(|(_, kept)| **kept);
    stays.map(|(value, _)| *value).collect()
}

fn of(kept: &Kept, id: TensorId) -> &[bool] {
    &kept[usize::from(id.0)]
}

fn shrink(graph: &Graph, node: &Node, bounds: &Bounds, kept: &Kept, to: &mut Node) -> Option<()> {
    let outputs = of(kept, node.output);
    match node.op {
        Op::Conv { groups: 1, .. } | Op::Dense => {
            let linear = Linear::of(graph, node)?;
            let inputs = of(kept, node.inputs[0]);
            match &node.quantised {
                Some(weights) => {
                    let bias = biases(graph, node, &linear, bounds, kept)?;
                    let weights = QuantisedWeights {
                        weights: filters(&weights.weights, &linear, inputs, outputs),
                        bias: each_channel(&bias, outputs),
                        ..scaled(weights, outputs)
                    };
                    to.quantised = Some(weights);
                }
                None => to.weights = filters(&node.weights, &linear, inputs, outputs),
            }
            to.bias = each_channel(&node.bias, outputs);
        }
        Op::Depthwise { .. } | Op::Affine => {
            to.weights = each_channel(&node.weights, outputs);
            to.bias = each_channel(&node.bias, outputs);
            to.quantised = node.quantised.as_ref().map(|weights| QuantisedWeights {
                weights: each_channel(&weights.weights, outputs),
                bias: each_channel(&weights.bias, outputs),
                ..scaled(weights, outputs)
            });
        }
        _ => {}
    }
    Some(())
}

/// The same weights with the scales of kept filters.
fn scaled(weights: &QuantisedWeights, outputs: &[bool]) -> QuantisedWeights {
    let mut weights = weights.clone();
    if weights.scales.len() > 1 {
        weights.scales = each_channel(&weights.scales, outputs);
    }
    weights
}

/// Kept filters, of kept input channels.
fn filters<T: Copy>(
    weights: &[T],
    linear: &Linear<'_>,
    inputs: &[bool],
    outputs: &[bool],
) -> Vec<T> {
    let filter = (linear.taps * linear.inputs).max(1);
    let filters = weights.chunks_exact(filter).zip(outputs);
    let filters = filters.filter(|(_, kept)| **kept);
    filters
        .flat_map(|(filter, _)| each_channel(filter, inputs))
        .collect()
}

/// Biases with what the channels that go add to each sum.
fn biases(
    graph: &Graph,
    node: &Node,
    linear: &Linear<'_>,
    bounds: &Bounds,
    kept: &Kept,
) -> Option<Vec<i32>> {
    let input = node.inputs[0];
    let zero = f64::from(graph.tensor(input).quant?.zero_point);
    let old = &node.quantised.as_ref()?.bias;
    // A channel of several values goes only where all its weights are 0.
    let gone: Vec<(usize, f64)> = of(kept, input)
        .iter()
        .zip(&bounds[usize::from(input.0)])
        .enumerate()
        .filter(|(_, (kept, _))| !**kept)
        .filter_map(|(i, (_, x))| Some((i, x.fixed()? - zero)))
        .collect();
    let share = |o: usize| -> f64 {
        let of = |&(i, x): &(usize, f64)| -> f64 {
            (0..linear.taps)
                .map(|tap| x * linear.weight(o, tap, i))
                .sum()
        };
        gone.iter().map(of).sum()
    };
    let shares: Vec<f64> = (0..linear.outputs).map(share).collect();
    if old.is_empty() && shares.iter().all(|&share| share == 0.0) {
        return Some(Vec::new());
    }
    let whole = |(o, share): (usize, f64)| {
        let sum = linear.bias(o) + share;
        (sum.abs() < f64::from(i32::MAX)).then_some(sum as i32)
    };
    shares.into_iter().enumerate().map(whole).collect()
}
