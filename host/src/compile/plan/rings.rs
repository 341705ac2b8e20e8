//! Which tensors never exist as a whole: their maker and their only reader run
//! together, row by row, and a ring of a few rows lies between them; or the
//! reader is a `Concat`, and each row goes to its place there when it is made.

use foveola_core::net::model::{MAX_STREAMED, Pass, RowWindow};
use foveola_core::net::op::Op;
use foveola_core::{At, Shape, TensorId};

use super::gradients::{self, Gradients};
use super::{Goal, arena_with, keeps};
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
    /// Whether the rows of node i's output go into a `Concat`.
    pours: Vec<Option<TensorId>>,
}

impl Rings {
    /// No ring at all: every tensor lies whole.
    pub fn none(network: &Network) -> Self {
        let nodes = network.graph.nodes.len();
        Self {
            input: None,
            links: vec![None; nodes],
            pours: vec![None; nodes],
        }
    }

    /// Whether a tensor is a ring.
    pub fn contains(&self, id: TensorId) -> bool {
        self.input == Some(id) || self.links.contains(&Some(id))
    }

    /// Whether the rows of a tensor go into a `Concat`.
    pub fn is_poured(&self, id: TensorId) -> bool {
        self.pours.contains(&Some(id))
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
    row(network, id) * rows
}

/// Bytes of a row.
pub fn row(network: &Network, id: TensorId) -> usize {
    let tensor = network.graph.tensor(id);
    tensor.size() / tensor.shape.h
}

/// Chooses rings. The picture is one wherever it can be, and what it becomes
/// in a step into int8: that costs nothing. Further ones, which cost time, are
/// chosen for forward passes as the goal wants, and for the way back through
/// integers: begin with every ring there may be and give up those that save
/// nothing, or that need not be saved because forward passes take as much.
pub fn choose(network: &Network, pass: Pass, goal: Goal) -> (Rings, Gradients) {
    let mut all = every(network);
    let whole = Gradients::whole(network);
    let few = all.links.len() <= MOST_TRIED;
    if pass == Pass::Forward {
        return (forward(network, all, goal, few), whole);
    }
    let enough = enough(network, &all, goal);
    leave_whole(network, pass, &mut all);
    let is_int8 = network.graph.tensors.iter().any(|t| t.quant.is_some());
    if is_int8 && few {
        let gradients = gradients::choose(network, pass, &all);
        let arena = |rings: &Rings| arena_with(network, pass, rings, &gradients);
        let fitting = thin(all.clone(), &costliest_first(network, &all), enough, &arena);
        if arena(&fitting) <= enough {
            return (fitting, gradients);
        }
        let last_first: Vec<usize> = (0..all.links.len()).rev().collect();
        return (thin(all, &last_first, 0, &arena), gradients);
    }
    (free(network, &all), whole)
}

/// Bytes that a plan of the way back may take without any gain from fewer.
fn enough(network: &Network, all: &Rings, goal: Goal) -> usize {
    match goal {
        Goal::Fast => {
            let whole = Gradients::whole(network);
            arena_with(network, Pass::Forward, &free(network, all), &whole)
        }
        Goal::Small => 0,
        Goal::Arena(bytes) => bytes,
    }
}

/// Makers of rings, those whose rows cost most before others, else the last first.
fn costliest_first(network: &Network, rings: &Rings) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rings.links.len()).rev().collect();
    order.sort_by_key(|&i| std::cmp::Reverse(cost(network, i)));
    order
}

fn forward(network: &Network, all: Rings, goal: Goal, few: bool) -> Rings {
    let whole = Gradients::whole(network);
    let arena = |rings: &Rings| arena_with(network, Pass::Forward, rings, &whole);
    let free = free(network, &all);
    let enough = match goal {
        Goal::Fast => return free,
        Goal::Small => 0,
        Goal::Arena(bytes) => bytes,
    };
    if arena(&free) <= enough {
        return free;
    }
    if !few {
        return all;
    }
    let last_first = (0..all.links.len()).rev().collect::<Vec<_>>();
    let costliest_first = costliest_first(network, &all);
    let thin = |order: &[usize], enough| thin(all.clone(), order, enough, &arena);
    let fitting = thin(&costliest_first, enough);
    if enough > 0 && arena(&fitting) <= enough {
        return fitting;
    }
    let small = [&last_first, &costliest_first].map(|order| thin(order, 0));
    let least = small.into_iter().min_by_key(arena);
    least.unwrap_or(fitting)
}

/// The rings that cost nothing.
fn free(network: &Network, all: &Rings) -> Rings {
    let first = all.input.and_then(|input| {
        let reads = |node: &Node| node.inputs.contains(&input);
        network.graph.nodes.iter().position(reads)
    });
    let mut least = all.clone();
    least.pours.fill(None);
    for (i, link) in least.links.iter_mut().enumerate() {
        let is_quantise = matches!(network.graph.nodes[i].op, Op::Quantise { .. });
        if !(is_quantise && Some(i) == first) {
            *link = None;
        }
    }
    least
}

/// Takes away what is read on the way back: it is read whole.
fn leave_whole(network: &Network, pass: Pass, rings: &mut Rings) {
    let nodes = &network.graph.nodes;
    let reads_back = |node: &Node| keeps(network, node).inputs;
    let of_picture = |node: &&Node| node.inputs.contains(&network.graph.input);
    if nodes.iter().find(of_picture).is_some_and(reads_back) {
        rings.input = None;
    }
    // Rows are put into a `Concat` in forward passes only.
    rings.pours.fill(None);
    for (i, link) in rings.links.iter_mut().enumerate() {
        let read = keeps(network, &nodes[i]).output || nodes.get(i + 1).is_some_and(reads_back);
        let asked = link.is_some_and(|id| pass == Pass::Backward(At::Tensor(id)));
        if read || asked {
            *link = None;
        }
    }
}

/// Gives up, in this order of their makers, the rings that do not make the
/// arena smaller or without which it stays within `enough`.
fn thin(
    mut rings: Rings,
    order: &[usize],
    enough: usize,
    arena: &dyn Fn(&Rings) -> usize,
) -> Rings {
    let mut best = arena(&rings).max(enough);
    for &i in order {
        let (link, pour) = (rings.links[i].take(), rings.pours[i].take());
        if link.is_none() && pour.is_none() {
            continue;
        }
        let without = arena(&rings);
        if without > best {
            (rings.links[i], rings.pours[i]) = (link, pour);
        } else {
            best = without.max(enough);
        }
    }
    rings
}

/// What running node `i` and the one behind it row by row costs: each row
/// reads all weights.
fn cost(network: &Network, i: usize) -> usize {
    /// A row by itself, in weights.
    const ROW: usize = 64;
    let nodes = network.graph.nodes.iter().skip(i).take(2);
    let each = nodes.map(|node| {
        let rows = network.graph.tensor(node.output).shape.h;
        rows * (node.weights.len() + ROW)
    });
    each.sum()
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
    let pours = graph.nodes.iter().map(|node| pours(network, node));
    Rings {
        input: input.map(|_| graph.input),
        pours: pours.collect(),
        links,
    }
}

/// Whether `node` is the only reader of a tensor that it can read row by row
/// and that is not needed as a whole.
fn may_be_ring(network: &Network, node: &Node, id: TensorId) -> bool {
    let height = network.graph.tensor(id).shape.h;
    let short = window(network, node).is_some_and(|window| window.span < height);
    node.inputs.contains(&id) && is_between(network, id) && short
}

/// Whether a tensor has one reader and is no score.
fn is_between(network: &Network, id: TensorId) -> bool {
    let kept = [network.logits, network.probabilities].contains(&id);
    network.graph.readers(id) == 1 && !kept
}

/// The output of a node that makes rows for a `Concat` alone.
fn pours(network: &Network, node: &Node) -> Option<TensorId> {
    let graph = &network.graph;
    let id = node.output;
    let reader = graph.nodes.iter().find(|n| n.inputs.contains(&id))?;
    let by_rows = window(network, node).is_some() && graph.tensor(id).shape.h > 1;
    let takes = matches!(reader.op, Op::Concat { .. }) && is_between(network, id);
    (by_rows && takes).then_some(id)
}

pub fn window(network: &Network, node: &Node) -> Option<RowWindow> {
    let shape = |id: &TensorId| network.graph.tensor(*id).shape;
    let inputs: Vec<Shape> = node.inputs.iter().map(shape).collect();
    if inputs.len() > 2 {
        return None;
    }
    RowWindow::of(node.op, &inputs, shape(&node.output))
}
