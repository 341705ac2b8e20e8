//! Which tensors never exist as a whole: their maker and their only reader run
//! together, row by row, and a ring of a few rows lies between them.

use foveola_core::net::model::{MAX_STREAMED, Pass, RowWindow};
use foveola_core::net::op::Op;
use foveola_core::{At, Shape, TensorId};

use super::gradients::{self, Gradients};
use super::{Plan, keeps, plan_with};
use crate::compile::network::Network;
use crate::graph::Node;

/// Networks of more nodes keep the rings that they begin with; trying each
/// one takes a plan.
const MOST_TRIED: usize = 400;

/// The chosen rings.
#[derive(Clone, Debug)]
pub struct Rings {
    /// Whether the picture is one.
    input: Option<TensorId>,
    /// Whether the tensor between node i and node i + 1 is one.
    links: Vec<Option<TensorId>>,
}

impl Rings {
    /// Whether a tensor is a ring.
    pub fn contains(&self, id: TensorId) -> bool {
        self.input == Some(id) || self.links.contains(&Some(id))
    }

    /// First of the nodes that run together with node `i`.
    pub fn start(&self, i: usize) -> usize {
        let linked = self.links[..i].iter().rev();
        i - linked.take_while(|link| link.is_some()).count()
    }

    /// Last of the nodes that run together with node `i`.
    pub fn end(&self, i: usize) -> usize {
        let linked = self.links[i..].iter();
        i + linked.take_while(|link| link.is_some()).count()
    }
}

/// Bytes of the ring that node `reader` reads: as many rows as its window spans.
pub fn length(network: &Network, reader: usize, id: TensorId) -> usize {
    let node = &network.graph.nodes[reader];
    let tensor = network.graph.tensor(id);
    let rows = window(network, node).map_or(tensor.shape.h, |window| window.span);
    tensor.size() / tensor.shape.h * rows
}

/// Chooses rings. Networks of f32 stream the picture alone; integers begin
/// with every ring there may be and give up those that save nothing.
pub fn choose(network: &Network, pass: Pass) -> (Rings, Gradients) {
    let mut all = every(network);
    if pass != Pass::Forward {
        leave_whole(network, pass, &mut all);
    }
    let first = all.input.and_then(|input| {
        let reads = |node: &Node| node.inputs.contains(&input);
        network.graph.nodes.iter().position(reads)
    });
    let is_int8 = network.graph.tensors.iter().any(|t| t.quant.is_some());
    if is_int8 && all.links.len() <= MOST_TRIED {
        let gradients = gradients::choose(network, pass, &all);
        return (thin(network, pass, all, &gradients), gradients);
    }
    let mut least = all;
    for (i, link) in least.links.iter_mut().enumerate() {
        let is_quantise = matches!(network.graph.nodes[i].op, Op::Quantise { .. });
        if !(is_quantise && Some(i) == first) {
            *link = None;
        }
    }
    (least, Gradients::whole(network))
}

/// Takes away what is read on the way back: it is read whole.
fn leave_whole(network: &Network, pass: Pass, rings: &mut Rings) {
    let nodes = &network.graph.nodes;
    let reads_back = |node: &Node| keeps(network, node).inputs;
    let of_picture = |node: &&Node| node.inputs.contains(&network.graph.input);
    if nodes.iter().find(of_picture).is_some_and(reads_back) {
        rings.input = None;
    }
    for (i, link) in rings.links.iter_mut().enumerate() {
        let read = keeps(network, &nodes[i]).output || nodes.get(i + 1).is_some_and(reads_back);
        let asked = link.is_some_and(|id| pass == Pass::Backward(At::Tensor(id)));
        if read || asked {
            *link = None;
        }
    }
}

/// Takes away, last one first, what does not make the arena smaller.
fn thin(network: &Network, pass: Pass, mut rings: Rings, gradients: &Gradients) -> Rings {
    let arena = |rings: &Rings| -> usize {
        let plan: Plan = plan_with(network, pass, rings, gradients);
        plan.arena
    };
    let mut best = arena(&rings);
    for i in (0..rings.links.len()).rev() {
        let Some(link) = rings.links[i].take() else {
            continue;
        };
        let without = arena(&rings);
        if without > best {
            rings.links[i] = Some(link);
        } else {
            best = without;
        }
    }
    rings
}

/// Every ring that may be.
fn every(network: &Network) -> Rings {
    let graph = &network.graph;
    let reads = |node: &Node| node.inputs.contains(&graph.input);
    let reader = graph.nodes.iter().position(reads);
    let input = reader.filter(|&i| may_be_ring(network, &graph.nodes[i], graph.input));
    let mut links = vec![None; graph.nodes.len()];
    let mut together = 1;
    for (i, pair) in graph.nodes.windows(2).enumerate() {
        let [maker, node] = pair else { continue };
        let by_rows = window(network, maker).is_some();
        // A node reads one ring at most.
        let one = input.is_none() || !reads(node);
        let linked =
            by_rows && one && together < MAX_STREAMED && may_be_ring(network, node, maker.output);
        together = if linked { together + 1 } else { 1 };
        links[i] = linked.then_some(maker.output);
    }
    Rings {
        input: input.map(|_| graph.input),
        links,
    }
}

/// Whether `node` is the only reader of a tensor that it can read row by row
/// and that is not needed as a whole.
fn may_be_ring(network: &Network, node: &Node, id: TensorId) -> bool {
    let kept = [network.logits, network.probabilities].contains(&id);
    let height = network.graph.tensor(id).shape.h;
    let short = window(network, node).is_some_and(|window| window.span < height);
    node.inputs.contains(&id) && network.graph.readers(id) == 1 && !kept && short
}

pub fn window(network: &Network, node: &Node) -> Option<RowWindow> {
    let shape = |id: &TensorId| network.graph.tensor(*id).shape;
    let inputs: Vec<Shape> = node.inputs.iter().map(shape).collect();
    if inputs.len() > 2 {
        return None;
    }
    RowWindow::of(node.op, &inputs, shape(&node.output))
}
