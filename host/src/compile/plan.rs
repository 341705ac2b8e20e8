//! Memory plans: which tensor lies where in the arena, and when.
//!
//! Buffers are placed by size, largest first, each at the lowest offset at
//! which nothing lies that lives at the same time.

use foveola_core::net::format::{ALIGNMENT, FOREVER};
use foveola_core::net::model::Pass;
use foveola_core::net::op::Op;
use foveola_core::net::ops;
use foveola_core::{At, TensorId};

use super::network::Network;

/// A buffer of a plan; length 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// First byte in the arena.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
    /// First step of its life.
    pub birth: u16,
    /// Last step of its life.
    pub death: u16,
}

/// A memory plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is for.
    pub pass: Pass,
    /// Bytes of arena.
    pub arena: usize,
    /// Buffers in the order of the model file.
    pub buffers: Vec<Buffer>,
}

/// Makes the plan of a pass.
pub fn plan(network: &Network, pass: Pass) -> Plan {
    let mut buffers = values(network);
    if let Pass::Backward(at) = pass {
        let to = match at {
            At::Input => network.graph.input,
            At::Tensor(id) => id,
        };
        add_backward(network, to, &mut buffers);
    }
    let arena = place(&mut buffers);
    Plan {
        pass,
        arena,
        buffers,
    }
}

fn step(n: usize) -> u16 {
    u16::try_from(n).expect("the model check limits nodes to 16,000")
}

/// The value of each tensor in a forward pass.
fn values(network: &Network) -> Vec<Buffer> {
    let graph = &network.graph;
    let mut buffers = vec![Buffer::default(); graph.tensors.len()];
    let mut set = |id: TensorId, buffer| buffers[usize::from(id.0)] = buffer;
    let last_read = |id: TensorId| graph.nodes.iter().rposition(|n| n.inputs.contains(&id));
    let first_read = graph
        .nodes
        .iter()
        .position(|n| n.inputs.contains(&graph.input));
    let (length, streamed) = input_bytes(network);
    let birth = if streamed { first_read.unwrap_or(0) } else { 0 };
    set(
        graph.input,
        Buffer {
            offset: 0,
            length,
            birth: step(birth),
            death: step(last_read(graph.input).unwrap_or(0)),
        },
    );
    for (i, node) in graph.nodes.iter().enumerate() {
        let is_score = [network.logits, network.probabilities].contains(&node.output);
        let death = if is_score {
            FOREVER
        } else {
            step(last_read(node.output).unwrap_or(i))
        };
        let length = graph.tensor(node.output).shape.len() * 4;
        set(
            node.output,
            Buffer {
                offset: 0,
                length,
                birth: step(i),
                death,
            },
        );
    }
    buffers
}

/// Bytes for the input, and whether it is a ring of rows: it is where its only
/// reader is a convolution that is not as tall as the picture.
fn input_bytes(network: &Network) -> (usize, bool) {
    let graph = &network.graph;
    let shape = graph.tensor(graph.input).shape;
    let full = shape.len() * 4;
    let mut readers = graph
        .nodes
        .iter()
        .filter(|n| n.inputs.contains(&graph.input));
    let geometry = match (readers.next().map(|n| n.op), readers.next()) {
        (Some(Op::Conv { geometry, .. } | Op::Depthwise { geometry }), None) => geometry,
        _ => return (full, false),
    };
    let span = (usize::from(geometry.kernel[0]) - 1) * usize::from(geometry.dilation[0]) + 1;
    if span >= shape.h {
        return (full, false);
    }
    (span * shape.row() * 4, true)
}

/// Adds gradients and kept bytes, and keeps alive the values that backward reads.
fn add_backward(network: &Network, to: TensorId, buffers: &mut Vec<Buffer>) {
    let graph = &network.graph;
    let (tensors, nodes) = (graph.tensors.len(), graph.nodes.len());
    buffers.resize(2 * tensors + nodes, Buffer::default());
    let depends = depends_on(network, to);
    if to != graph.input {
        buffers[usize::from(to.0)].death = FOREVER;
    }
    for id in (0..tensors).filter(|&t| depends[t]) {
        buffers[tensors + id] = gradient(network, to, TensorId(step(id)));
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        let active = node.inputs.iter().any(|id| depends[usize::from(id.0)]);
        if !active {
            continue;
        }
        let input = graph.tensor(node.inputs[0]).shape;
        let keeps = ops::keeps(
            node.op,
            node.activation,
            input,
            graph.tensor(node.output).shape,
        );
        buffers[2 * tensors + i] = Buffer {
            offset: 0,
            length: keeps.bytes,
            birth: step(i),
            death: FOREVER,
        };
        let read = node
            .inputs
            .iter()
            .filter(|_| keeps.inputs)
            .chain(Some(&node.output).filter(|_| keeps.output));
        for id in read {
            let value = &mut buffers[usize::from(id.0)];
            if value.length > 0 {
                value.death = FOREVER;
            }
        }
    }
}

/// Which tensors change when `to` changes.
fn depends_on(network: &Network, to: TensorId) -> Vec<bool> {
    let graph = &network.graph;
    let mut depends = vec![false; graph.tensors.len()];
    depends[usize::from(to.0)] = true;
    for node in &graph.nodes {
        if node.inputs.iter().any(|id| depends[usize::from(id.0)]) {
            depends[usize::from(node.output.0)] = true;
        }
    }
    depends
}

/// The gradient of a tensor lives from its last reader's backward step (for
/// scores from the seed on) to its maker's.
fn gradient(network: &Network, to: TensorId, id: TensorId) -> Buffer {
    let graph = &network.graph;
    let nodes = graph.nodes.len();
    let back = |i: usize| 2 * nodes - 1 - i;
    let is_score = [network.logits, network.probabilities].contains(&id);
    let birth = match graph.nodes.iter().rposition(|n| n.inputs.contains(&id)) {
        Some(reader) if !is_score => back(reader),
        _ => nodes,
    };
    let maker = graph.nodes.iter().position(|n| n.output == id);
    let death = match maker {
        Some(maker) if id != to => step(back(maker)),
        _ => FOREVER,
    };
    let length = graph.tensor(id).shape.len() * 4;
    Buffer {
        offset: 0,
        length,
        birth: step(birth),
        death,
    }
}

/// Gives each buffer its offset; returns the bytes of the arena.
fn place(buffers: &mut [Buffer]) -> usize {
    let mut order: Vec<usize> = (0..buffers.len())
        .filter(|&i| buffers[i].length > 0)
        .collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].length), i));
    let mut placed: Vec<Buffer> = Vec::new();
    let mut arena = 0;
    for i in order {
        let buffer = &mut buffers[i];
        buffer.offset = lowest_gap(&placed, buffer);
        arena = arena.max(buffer.offset + buffer.length);
        let at = placed.partition_point(|p| p.offset <= buffer.offset);
        placed.insert(at, *buffer);
    }
    arena.next_multiple_of(ALIGNMENT)
}

/// `placed` is sorted by offset.
fn lowest_gap(placed: &[Buffer], buffer: &Buffer) -> usize {
    let mut offset = 0;
    for other in placed {
        let together = buffer.birth <= other.death && other.birth <= buffer.death;
        if together && other.offset < offset + buffer.length {
            offset = offset.max((other.offset + other.length).next_multiple_of(ALIGNMENT));
        }
    }
    offset
}
