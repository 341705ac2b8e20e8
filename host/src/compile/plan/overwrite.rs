//! Which values are written over others, as `foveola_core::net::model` allows.

use foveola_core::net::model::{RowWindow, is_elementwise, stays_ahead};
use foveola_core::{Shape, TensorId};

use super::rings::{self, Rings};
use super::{Buffer, size};
use crate::compile::network::Network;

/// Every pair of tensors of which the first may be written over the second,
/// by the node that makes it.
pub fn pairs(network: &Network, rings: &Rings, buffers: &[Buffer]) -> Vec<(usize, usize)> {
    let nodes = 0..network.graph.nodes.len();
    let pair = nodes.filter_map(|i| pair(network, rings, buffers, i));
    pair.collect()
}

fn pair(network: &Network, rings: &Rings, buffers: &[Buffer], i: usize) -> Option<(usize, usize)> {
    let graph = &network.graph;
    let node = &graph.nodes[i];
    let (start, end) = (rings.start(i), rings.end(i));
    let over = usize::from(node.output.0);
    let shape = |id: TensorId| graph.tensor(id).shape;
    let inputs: Vec<Shape> = node.inputs.iter().map(|id| shape(*id)).collect();
    let output = shape(node.output);
    let whole = |id: TensorId| buffers[usize::from(id.0)].length == size(network, id);
    let is_int8 = |id: TensorId| graph.tensor(id).quant.is_some();
    let fits = |part: usize| {
        let id = node.inputs[part];
        let once = node.inputs.iter().filter(|&&other| other == id).count() == 1;
        let dies = usize::from(buffers[usize::from(id.0)].death) == i;
        once && dies
            && whole(id)
            && graph.tensor(id).constant.is_none()
            && is_int8(id) == is_int8(node.output)
            && is_elementwise(node.op, &inputs, output, part)
            && others_are_ahead(network, start..i + 1, id)
    };
    let born = usize::from(buffers[over].birth) == start;
    if i != end || !born || !whole(node.output) {
        return None;
    }
    let part = (0..node.inputs.len()).find(|&part| fits(part))?;
    Some((over, usize::from(node.inputs[part].0)))
}

/// Whether no node of a group still reads rows over which its last one has written.
fn others_are_ahead(network: &Network, group: std::ops::Range<usize>, under: TensorId) -> bool {
    let graph = &network.graph;
    let height = graph.tensor(under).shape.h;
    let mut readers =
        (group.start..group.end - 1).filter(|&reader| graph.nodes[reader].inputs.contains(&under));
    readers.all(|reader| {
        let nodes = &graph.nodes[reader..group.end];
        let even = nodes
            .iter()
            .all(|n| graph.tensor(n.output).shape.h == height);
        let windows: Option<Vec<RowWindow>> =
            nodes.iter().map(|n| rings::window(network, n)).collect();
        even && windows.is_some_and(stays_ahead)
    })
}
