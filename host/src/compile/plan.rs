//! Memory plans: which tensor lies where in the arena, and when.

use foveola_core::net::format::FOREVER;
use foveola_core::net::model::Pass;
use foveola_core::net::ops::Keeps;
use foveola_core::net::session::gap_part;
use foveola_core::{At, TensorId};

use self::gradients::Gradients;
use self::rings::Rings;
use super::network::Network;
use crate::graph::{Graph, Node};

mod gradients;
mod overwrite;
mod place;
mod relevance;
mod rings;

/// What a forward plan is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// Fast: tensors lie whole in the arena where running them row by row costs time.
    #[default]
    Fast,
    /// Small: rings of rows wherever they make the arena smaller.
    Small,
    /// As fast as an arena of so many bytes allows, or small if that is too few.
    Arena(usize),
}

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
pub fn plan(network: &Network, pass: Pass, goal: Goal) -> Plan {
    if pass == Pass::Relevance {
        return relevance::plan(network);
    }
    let (rings, gradients) = rings::choose(network, pass, goal);
    let mut buffers = live(network, pass, &rings, &gradients);
    let over = overwrite::pairs(network, &rings, &buffers);
    let mut arena_of = |over: &[(usize, usize)]| {
        let thorough = true;
        let how = How { over, thorough };
        settle(network, pass, &gradients, &mut buffers, &how)
    };
    let mut arena = arena_of(&over);
    // Values are written over others only where that saves memory.
    let mut needed = over.clone();
    for pair in &over {
        let without: Vec<_> = needed.iter().copied().filter(|p| p != pair).collect();
        let least = arena_of(&without);
        if least <= arena {
            (arena, needed) = (least, without);
        }
    }
    let arena = arena_of(&needed);
    Plan {
        pass,
        arena,
        buffers,
    }
}

/// How buffers are placed.
struct How<'o> {
    /// Pairs of buffers, the first of them written over the second.
    over: &'o [(usize, usize)],
    /// Whether several orders are tried.
    thorough: bool,
}

impl How<'_> {
    fn place(&self, buffers: &mut [Buffer]) -> usize {
        place::place(buffers, self.over, self.thorough)
    }
}

/// Bytes of the arena in which these values and gradients are rings of rows,
/// or a few more.
fn arena_with(network: &Network, pass: Pass, rings: &Rings, gradients: &Gradients) -> usize {
    let mut buffers = live(network, pass, rings, gradients);
    let how = How {
        over: &overwrite::pairs(network, rings, &buffers),
        thorough: pass == Pass::Forward,
    };
    settle(network, pass, gradients, &mut buffers, &how)
}

/// The buffers of a pass, not yet placed.
fn live(network: &Network, pass: Pass, rings: &Rings, gradients: &Gradients) -> Vec<Buffer> {
    let mut buffers = values(network, rings);
    if let Pass::Backward(at) = pass {
        add_backward(network, (rings, gradients), end(network, at), &mut buffers);
    }
    buffers
}

/// The tensor at which gradients end.
fn end(network: &Network, at: At) -> TensorId {
    match at {
        At::Input => network.graph.input,
        At::Tensor(id) => id,
    }
}

/// Gives each buffer its offset; returns the bytes of the arena.
fn settle(
    network: &Network,
    pass: Pass,
    gradients: &Gradients,
    buffers: &mut Vec<Buffer>,
    how: &How<'_>,
) -> usize {
    match pass {
        Pass::Backward(at) => {
            place_with_scratch(network, gradients, end(network, at), buffers, how)
        }
        _ => how.place(buffers),
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
        if let Some(maker) = maker.filter(|_| rings.is_poured(id)) {
            buffer.length = rings::row(network, id);
            buffer.death = step(rings.end(maker));
        }
        buffers[usize::from(id.0)] = buffer;
    }
    receive_rows(network, rings, &mut buffers);
    buffers
}

/// The output of a `Concat` is there when the first row goes into it.
fn receive_rows(network: &Network, rings: &Rings, buffers: &mut [Buffer]) {
    for node in &network.graph.nodes {
        let poured = node.inputs.iter().filter(|&&id| rings.is_poured(id));
        let first = poured.map(|id| buffers[usize::from(id.0)].birth).min();
        let output = &mut buffers[usize::from(node.output.0)];
        output.birth = output.birth.min(first.unwrap_or(output.birth));
    }
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

/// As [`place::place`], with room for what int8 nodes write as they run backward.
fn place_with_scratch(
    network: &Network,
    gradients: &Gradients,
    to: TensorId,
    buffers: &mut Vec<Buffer>,
    how: &How<'_>,
) -> usize {
    let count = buffers.len();
    let mut arena = how.place(buffers);
    // What is found free begins and ends with a part of the arena.
    for _ in 0..3 {
        let more = 2 * gap_part(arena);
        buffers.truncate(count);
        buffers.extend(gradients.scratch(network, to, more));
        arena = how.place(buffers);
        if more >= 2 * gap_part(arena) {
            break;
        }
    }
    buffers.truncate(count);
    arena
}
