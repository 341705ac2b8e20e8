//! Memory plans: which tensor lies where in the arena, and when.
//!
//! Buffers are placed by size, largest first, each at the lowest offset at
//! which nothing lies that lives at the same time.

use foveola_core::net::format::{ALIGNMENT, FOREVER};
use foveola_core::net::model::Pass;
use foveola_core::net::ops::Keeps;
use foveola_core::net::session::gap_part;
use foveola_core::{At, TensorId};

use self::gradients::Gradients;
use self::rings::Rings;
use super::network::Network;
use crate::graph::{Graph, Node};

mod gradients;
mod rings;

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
    let (rings, gradients) = rings::choose(network, pass);
    plan_with(network, pass, &rings, &gradients)
}

/// Makes the plan in which these values and gradients are rings of rows.
fn plan_with(network: &Network, pass: Pass, rings: &Rings, gradients: &Gradients) -> Plan {
    let mut buffers = values(network, rings);
    let arena = if let Pass::Backward(at) = pass {
        let to = match at {
            At::Input => network.graph.input,
            At::Tensor(id) => id,
        };
        add_backward(network, (rings, gradients), to, &mut buffers);
        place_with_scratch(network, gradients, to, &mut buffers)
    } else {
        place(&mut buffers)
    };
    Plan {
        pass,
        arena,
        buffers,
    }
}

/// Bytes of a tensor's value.
fn size(network: &Network, id: TensorId) -> usize {
    network.graph.tensor(id).size()
}

fn step(n: usize) -> u16 {
    u16::try_from(n).expect("the model check limits nodes to 16,000")
}

/// The value of each tensor in a forward pass.
fn values(network: &Network, rings: &Rings) -> Vec<Buffer> {
    let graph = &network.graph;
    let mut buffers = vec![Buffer::default(); graph.tensors.len()];
    let last_read = |id: TensorId| graph.nodes.iter().rposition(|n| n.inputs.contains(&id));
    let made = graph.nodes.iter().enumerate();
    let made = made.map(|(i, node)| (Some(i), node.output));
    for (maker, id) in made.chain([(None, graph.input)]) {
        let is_score = [network.logits, network.probabilities].contains(&id);
        let death = match last_read(id) {
            _ if is_score => FOREVER,
            Some(reader) => step(rings.end(reader)),
            None => step(maker.unwrap_or(0)),
        };
        let mut buffer = Buffer {
            offset: 0,
            length: size(network, id),
            birth: maker.map_or(0, |maker| step(rings.start(maker))),
            death,
        };
        if let Some(reader) = last_read(id).filter(|_| rings.contains(id)) {
            buffer.length = rings::length(network, reader, id);
            buffer.birth = step(rings.start(reader));
        }
        buffers[usize::from(id.0)] = buffer;
    }
    buffers
}

/// Adds gradients and kept bytes, and keeps alive the values that backward reads.
fn add_backward(
    network: &Network,
    (rings, gradients): (&Rings, &Gradients),
    to: TensorId,
    buffers: &mut Vec<Buffer>,
) {
    let graph = &network.graph;
    let (tensors, nodes) = (graph.tensors.len(), graph.nodes.len());
    buffers.resize(2 * tensors + nodes, Buffer::default());
    let depends = depends_on(graph, to);
    if to != graph.input {
        buffers[usize::from(to.0)].death = FOREVER;
    }
    for id in (0..tensors).filter(|&t| depends[t]) {
        buffers[tensors + id] = gradients.buffer(network, to, TensorId(step(id)));
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        let active = node.inputs.iter().any(|id| depends[usize::from(id.0)]);
        if !active {
            continue;
        }
        let keeps = keeps(network, node);
        let birth = rings.start(i);
        buffers[2 * tensors + i] = Buffer {
            offset: 0,
            length: keeps.bytes,
            birth: step(birth),
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

fn keeps(network: &Network, node: &Node) -> Keeps {
    let graph = &network.graph;
    let (input, output) = (graph.tensor(node.inputs[0]), graph.tensor(node.output));
    let is_int8 = output.quant.is_some();
    Keeps::of(node.op, node.activation, is_int8, input.shape, output.shape)
}

/// Which tensors change when `to` changes.
pub fn depends_on(graph: &Graph, to: TensorId) -> Vec<bool> {
    let mut depends = vec![false; graph.tensors.len()];
    depends[usize::from(to.0)] = true;
    for node in &graph.nodes {
        if node.inputs.iter().any(|id| depends[usize::from(id.0)]) {
            depends[usize::from(node.output.0)] = true;
        }
    }
    depends
}

/// Bytes of a whole gradient.
fn size_of_gradient(network: &Network, id: TensorId) -> usize {
    network.graph.tensor(id).shape.len() * size_of::<f32>()
}

/// As [`place`], with room for what int8 nodes write as they run backward.
fn place_with_scratch(
    network: &Network,
    gradients: &Gradients,
    to: TensorId,
    buffers: &mut Vec<Buffer>,
) -> usize {
    let count = buffers.len();
    let mut arena = place(buffers);
    // What is found free begins and ends with a part of the arena.
    for _ in 0..3 {
        let more = 2 * gap_part(arena);
        buffers.truncate(count);
        buffers.extend(gradients.scratch(network, to, more));
        arena = place(buffers);
        if more >= 2 * gap_part(arena) {
            break;
        }
    }
    buffers.truncate(count);
    arena
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
