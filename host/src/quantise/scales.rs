//! Which nodes compute with integers, and how every tensor is stored.

use std::collections::HashMap;

use foveola_core::TensorId;
use foveola_core::net::op::{Activation, Arithmetic, Op};

use super::prepare::is_linear;
use super::range::quant;
use crate::graph::{Graph, Node, Quant};

/// Most channels that the int8 softmax sums.
const SOFTMAX_CHANNELS: usize = 1 << 11;

/// How every tensor is stored where it is stored as int8.
pub struct Scales<'g> {
    graph: &'g Graph,
    ranges: &'g [[f32; 2]],
    /// The node that makes the scores from the logits; it stays f32.
    last: Option<TensorId>,
    /// The only reader of a tensor, if there is one only.
    readers: HashMap<TensorId, Option<usize>>,
    stored: Vec<Quant>,
}

impl<'g> Scales<'g> {
    /// Scales of a prepared graph from the ranges of its tensors.
    pub fn new(graph: &'g Graph, ranges: &'g [[f32; 2]]) -> Self {
        let mut readers = HashMap::new();
        for (i, node) in graph.nodes.iter().enumerate() {
            for &input in &node.inputs {
                let reader = readers.entry(input).or_insert(Some(i));
                *reader = reader.filter(|&first| first == i);
            }
        }
        let mut scales = Self {
            graph,
            ranges,
            last: (graph.output != graph.logits).then_some(graph.output),
            readers,
            stored: ranges.iter().map(|&r| quant(r)).collect(),
        };
        for node in &graph.nodes {
            scales.stored[usize::from(node.output.0)] = scales.of_output(node);
        }
        for node in &graph.nodes {
            scales.store_constants_of(node);
        }
        scales
    }

    /// How a tensor is stored.
    pub fn of(&self, id: TensorId) -> Quant {
        self.stored[usize::from(id.0)]
    }

    /// Whether a node has an int8 kernel.
    pub fn is_integer(&self, node: &Node) -> bool {
        let channels = self.graph.tensor(node.output).shape.c;
        match node.op {
            _ if self.is_last(node) => false,
            op if is_linear(op) => true,
            Op::Binary(operation) => operation != Arithmetic::Div,
            Op::AveragePool {
                geometry,
                count_padding,
                pad_end,
            } => !count_padding || (geometry.pad == [0, 0] && pad_end == [0, 0]),
            Op::Softmax => channels <= SOFTMAX_CHANNELS,
            Op::Activate
            | Op::Mean { .. }
            | Op::Concat { .. }
            | Op::MaxPool(_)
            | Op::GlobalMaxPool
            | Op::Slice { .. }
            | Op::Shuffle { .. }
            | Op::Pad { .. } => true,
            _ => false,
        }
    }

    /// Whether a node makes the scores from the logits.
    pub fn is_last(&self, node: &Node) -> bool {
        self.last == Some(node.output)
    }

    fn of_output(&self, node: &Node) -> Quant {
        if keeps_scale(node.op) && self.is_integer(node) {
            return self.of(node.inputs[0]);
        }
        fixed(node).unwrap_or_else(|| quant(self.ranges[usize::from(self.concat(node).0)]))
    }

    /// The concatenation that alone reads a node's output, or the last of a
    /// chain of them: a part that is stored as the whole is only copied, and
    /// what its own scale would resolve better is lost there anyway.
    fn concat(&self, node: &Node) -> TensorId {
        let mut id = node.output;
        while id != self.graph.logits
            && let Some(&Some(reader)) = self.readers.get(&id)
            && let reader = &self.graph.nodes[reader]
            && matches!(reader.op, Op::Concat { .. })
        {
            id = reader.output;
        }
        id
    }

    /// Constants of a concatenation are stored as their whole.
    fn store_constants_of(&mut self, node: &Node) {
        if !matches!(node.op, Op::Concat { .. }) {
            return;
        }
        for &input in &node.inputs {
            let alone = matches!(self.readers.get(&input), Some(Some(_)));
            if alone && self.graph.tensor(input).constant.is_some() {
                self.stored[usize::from(input.0)] = self.of(node.output);
            }
        }
    }
}

/// Operators that only move numbers, or whose kernel does not rescale.
const fn keeps_scale(op: Op) -> bool {
    matches!(
        op,
        Op::MaxPool(_)
            | Op::GlobalMaxPool
            | Op::Slice { .. }
            | Op::Shuffle { .. }
            | Op::Pad { .. }
            | Op::AveragePool { .. }
    )
}

/// Outputs whose range is known beforehand.
const fn fixed(node: &Node) -> Option<Quant> {
    let (scale, zero_point) = match (node.op, node.activation) {
        (Op::Softmax, _) | (Op::Activate, Activation::Sigmoid | Activation::HardSigmoid { .. }) => {
            (1.0 / 256.0, -128)
        }
        (Op::Activate, Activation::Tanh) => (1.0 / 128.0, 0),
        _ => return None,
    };
    Some(Quant {
        scale,
        zero_point,
        unsigned: false,
    })
}
