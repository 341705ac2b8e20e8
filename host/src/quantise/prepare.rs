//! Rewrites of the float network that change no value and give int8 kernels
//! what they know: only ranges fused, batch normalisations as depthwise
//! convolutions, means of the whole picture with a scale of their own.

use foveola_core::TensorId;
use foveola_core::net::format::{MAX_NODES, MAX_TENSORS};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op};

use super::QuantiseError;
use crate::graph::{Graph, Node, Tensor};

/// Whether an operator has weights.
pub const fn is_linear(op: Op) -> bool {
    matches!(op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense)
}

/// Rewrites a simplified graph.
pub fn prepare(graph: &mut Graph) -> Result<(), QuantiseError> {
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        node.op = rewritten(graph, &node);
        let after = node.activation;
        if after == Activation::None || node.op == Op::Activate || fuses(node.op, after) {
            nodes.push(node);
            continue;
        }
        let name = format!("{}/before", graph.tensor(node.output).name);
        let before = add_tensor(graph, name, node.output)?;
        let activate = plain(&node.name, Op::Activate, before, node.output);
        nodes.push(Node {
            activation: after,
            dropout: node.dropout,
            ..activate
        });
        let last = nodes.len() - 1;
        nodes.insert(
            last,
            Node {
                activation: Activation::None,
                output: before,
                dropout: None,
                ..node
            },
        );
    }
    graph.nodes = nodes;
    // Quantising at most doubles nodes and triples tensors.
    match graph.nodes.len() * 2 < MAX_NODES && graph.tensors.len() * 3 < MAX_TENSORS {
        true => Ok(()),
        false => Err(QuantiseError::TooLarge),
    }
}

/// A node without weights that reads one tensor.
pub fn plain(name: &str, op: Op, input: TensorId, output: TensorId) -> Node {
    Node {
        name: name.to_owned(),
        op,
        activation: Activation::None,
        inputs: vec![input],
        output,
        weights: Vec::new(),
        bias: Vec::new(),
        quantised: None,
        dropout: None,
    }
}

/// A new f32 tensor of the shape of another.
pub fn add_tensor(
    graph: &mut Graph,
    name: String,
    like: TensorId,
) -> Result<TensorId, QuantiseError> {
    let id = u16::try_from(graph.tensors.len()).map_err(|_| QuantiseError::TooLarge)?;
    let shape = graph.tensor(like).shape;
    graph.tensors.push(Tensor {
        name,
        shape,
        constant: None,
        quant: None,
    });
    Ok(TensorId(id))
}

/// Whether the int8 kernel of an operator limits its output itself.
const fn fuses(op: Op, activation: Activation) -> bool {
    let range = matches!(activation, Activation::Relu | Activation::Clip { .. });
    let limits = matches!(
        op,
        Op::Binary(Arithmetic::Add | Arithmetic::Sub | Arithmetic::Mul)
    );
    range && (limits || is_linear(op))
}

fn rewritten(graph: &Graph, node: &Node) -> Op {
    let shape = |id: TensorId| graph.tensor(id).shape;
    match node.op {
        Op::Affine => Op::Depthwise {
            geometry: Geometry {
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                pad: [0, 0],
            },
        },
        Op::AveragePool {
            geometry, pad_end, ..
        } => {
            let input = shape(node.inputs[0]);
            let whole = geometry.kernel.map(usize::from) == [input.h, input.w]
                && geometry.dilation == [1, 1]
                && geometry.pad == [0, 0]
                && pad_end == [0, 0]
                && shape(node.output).area() == 1;
            let mean = Op::Mean {
                axes: [true, true, false],
            };
            if whole { mean } else { node.op }
        }
        op => op,
    }
}
