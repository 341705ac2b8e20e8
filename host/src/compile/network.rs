//! A graph that is ready to be written: simplified, its probabilities appended.

use foveola_core::net::op::{Activation, Op};
use foveola_core::{Shape, TensorId};

use crate::card::{Card, OutputActivation};
use crate::graph::{Graph, Node, Tensor};

/// A graph and the tensors that hold its scores.
#[derive(Clone, Debug)]
pub struct Network {
    /// The graph.
    pub graph: Graph,
    /// Scores before the final softmax or sigmoid.
    pub logits: TensorId,
    /// Scores after it; the same tensor where there is neither.
    pub probabilities: TensorId,
}

impl Network {
    /// Appends the card's softmax or sigmoid unless the graph ends in one.
    pub fn new(mut graph: Graph, card: &Card) -> Self {
        let (op, activation) = match card.activation {
            OutputActivation::Softmax => (Op::Softmax, Activation::None),
            OutputActivation::Sigmoid => (Op::Activate, Activation::Sigmoid),
            OutputActivation::None => return Self::as_it_is(graph),
        };
        if graph.logits != graph.output {
            return Self::as_it_is(graph);
        }
        let logits = graph.output;
        let classes = graph.tensor(logits).shape.len();
        let id = u16::try_from(graph.tensors.len()).expect("compile limits the number of tensors");
        let probabilities = TensorId(id);
        let name = "probabilities".to_owned();
        graph.tensors.push(Tensor {
            name: name.clone(),
            shape: Shape::new(1, 1, classes),
            constant: None,
            quant: None,
        });
        graph.nodes.push(Node {
            name,
            op,
            activation,
            inputs: vec![logits],
            output: probabilities,
            weights: Vec::new(),
            bias: Vec::new(),
            quantised: None,
            dropout: None,
        });
        Self {
            graph,
            logits,
            probabilities,
        }
    }

    fn as_it_is(graph: Graph) -> Self {
        let (logits, probabilities) = (graph.logits, graph.output);
        Self {
            graph,
            logits,
            probabilities,
        }
    }
}
