//! The plan of a relevance pass: values whole, the relevance of each tensor
//! between the input and the logits, the scratch of each node on the way back.

use foveola_core::TensorId;
use foveola_core::net::format::FOREVER;
use foveola_core::net::model::Pass;
use foveola_core::net::relevance::scratch_bytes;

use super::rings::Rings;
use super::{Buffer, Plan, depends_on, place, size_of_gradient, step, values};
use crate::compile::network::Network;
use crate::graph::{Graph, Node};
use foveola_core::Shape;

/// Makes the plan.
pub fn plan(network: &Network) -> Plan {
    let graph = &network.graph;
    let (tensors, nodes) = (graph.tensors.len(), graph.nodes.len());
    let mut buffers = values(network, &Rings::none(network));
    buffers.resize(2 * tensors + nodes, Buffer::default());
    let active = active(graph);
    let back = |i: usize| step(2 * nodes - 1 - i);
    for (i, node) in graph.nodes.iter().enumerate() {
        if !active[usize::from(node.output.0)] {
            continue;
        }
        let scratch = scratch(graph, node);
        if scratch > 0 {
            for id in &node.inputs {
                let value = &mut buffers[usize::from(id.0)];
                if value.length > 0 {
                    value.death = FOREVER;
                }
            }
        }
        buffers[2 * tensors + i] = Buffer {
            offset: 0,
            length: scratch,
            birth: back(i),
            death: back(i),
        };
    }
    for id in (0..tensors).filter(|&id| active[id]) {
        let reads = |n: &Node| {
            active[usize::from(n.output.0)] && n.inputs.iter().any(|i| usize::from(i.0) == id)
        };
        let reader = graph.nodes.iter().rposition(reads);
        let maker = |n: &Node| usize::from(n.output.0) == id;
        let maker = graph.nodes.iter().position(maker);
        buffers[tensors + id] = Buffer {
            offset: 0,
            length: size_of_gradient(network, TensorId(step(id))),
            birth: reader.map_or(step(nodes), back),
            death: maker.map_or(FOREVER, back),
        };
    }
    let arena = place::place(&mut buffers, &[], false);
    Plan {
        pass: Pass::Relevance,
        arena,
        buffers,
    }
}

/// Tensors that depend on the input and that the logits depend on.
fn active(graph: &Graph) -> Vec<bool> {
    let mut leads = vec![false; graph.tensors.len()];
    leads[usize::from(graph.logits.0)] = true;
    for node in graph.nodes.iter().rev() {
        if leads[usize::from(node.output.0)] {
            for id in &node.inputs {
                leads[usize::from(id.0)] = true;
            }
        }
    }
    let depends = depends_on(graph, graph.input);
    leads.iter().zip(depends).map(|(a, b)| *a && b).collect()
}

fn scratch(graph: &Graph, node: &Node) -> usize {
    let shape = |part: usize| {
        let id = node.inputs.get(part);
        id.map_or(Shape::new(0, 0, 0), |&id| graph.tensor(id).shape)
    };
    let output = graph.tensor(node.output).shape;
    scratch_bytes(node.op, [shape(0), shape(1)], output)
}
