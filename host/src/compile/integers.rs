//! What an int8 node reads: packed weights, factors, tables.

use foveola_core::Shape;
use foveola_core::net::int8::make::{Spec, Weights, node as fill};
use foveola_core::net::int8::{bytes_len, words_len};
use foveola_core::net::op::Op;
use foveola_core::net::quant::Quantisation;

use crate::graph::{Graph, Node};

/// The numbers of one node, as `foveola_core::net::int8` specifies them.
pub struct Integers {
    pub bytes: Vec<i8>,
    pub words: Vec<i32>,
    pub range: [i8; 2],
    pub weights_zero_point: i8,
}

/// Whether a node computes with integers.
pub fn is_integer(graph: &Graph, node: &Node) -> bool {
    graph.tensor(node.output).quant.is_some() && !matches!(node.op, Op::Quantise { .. })
}

/// The numbers of an int8 node. `None` if its scales do not fit the operator.
pub fn integers(graph: &Graph, node: &Node) -> Option<Integers> {
    let port = |id| -> Option<(Shape, Quantisation)> {
        let tensor = graph.tensor(id);
        Some((tensor.shape, tensor.quant?.quantisation()))
    };
    let inputs: Vec<_> = node
        .inputs
        .iter()
        .map(|&id| port(id))
        .collect::<Option<_>>()?;
    let output = port(node.output)?;
    let spec = Spec {
        op: node.op,
        activation: node.activation,
        inputs: &inputs,
        output,
        unsigned: graph.tensor(node.output).quant?.unsigned,
        weights: node.quantised.as_ref().map(|w| Weights {
            values: &w.weights,
            zero_point: w.zero_point,
            scales: &w.scales,
            bias: &w.bias,
        }),
    };
    let (first, _) = *inputs.first()?;
    let mut bytes = vec![0; bytes_len(node.op, first, output.0)];
    let mut words = vec![0; words_len(node.op, inputs.len(), output.0)];
    let range = fill(&spec, &mut bytes, &mut words)?;
    Some(Integers {
        bytes,
        words,
        range,
        weights_zero_point: node.quantised.as_ref().map_or(0, |w| w.zero_point),
    })
}
