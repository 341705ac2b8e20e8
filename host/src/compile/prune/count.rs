//! What removal takes away.

use foveola_core::net::op::Op;
use serde::Serialize;

use crate::graph::{Graph, Node};

/// A count before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Before.
    pub before: usize,
    /// After.
    pub after: usize,
}

/// What changed in a layer with weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerChange {
    /// The node's name.
    pub name: String,
    /// Output channels.
    pub channels: Change,
    /// Products of a forward pass, padded taps included.
    pub macs: Change,
    /// Weights, biases not counted.
    pub weights: Change,
}

/// What removal did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Output channels of all layers with weights.
    pub channels: Change,
    /// Products of a forward pass, padded taps included.
    pub macs: Change,
    /// Weights, biases not counted.
    pub weights: Change,
    /// The layers that lost something.
    pub layers: Vec<LayerChange>,
    /// Which channels of each tensor stayed, by id; empty if nobody asked.
    #[serde(skip)]
    pub kept: Vec<Vec<bool>>,
}

impl Report {
    /// Whether nothing was removed.
    pub const fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }
}

/// Channels, products and weights of each layer.
pub struct Count(Vec<[usize; 3]>);

impl Count {
    pub fn of(graph: &Graph) -> Self {
        Self(graph.nodes.iter().map(|node| layer(graph, node)).collect())
    }

    /// What became of it. The graph has the same nodes.
    pub fn against(&self, graph: &Graph) -> Report {
        let mut report = Report::default();
        for (before, node) in self.0.iter().zip(&graph.nodes) {
            let now = layer(graph, node);
            let change = |i: usize| Change {
                before: before[i],
                after: now[i],
            };
            let add = |sum: &mut Change, i: usize| {
                sum.before += before[i];
                sum.after += now[i];
            };
            add(&mut report.channels, 0);
            add(&mut report.macs, 1);
            add(&mut report.weights, 2);
            if *before != now {
                report.layers.push(LayerChange {
                    name: node.name.clone(),
                    channels: change(0),
                    macs: change(1),
                    weights: change(2),
                });
            }
        }
        report
    }
}

fn layer(graph: &Graph, node: &Node) -> [usize; 3] {
    let output = graph.tensor(node.output).shape;
    let weights = match &node.quantised {
        Some(quantised) => quantised.weights.len(),
        None => node.weights.len(),
    };
    match node.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => {
            [output.c, weights * output.area(), weights]
        }
        _ => [0; 3],
    }
}
