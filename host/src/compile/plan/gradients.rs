//! Which gradients never exist as a whole: on the way back their reader and
//! their maker run together, row by row, and a ring of a few rows lies between.

use foveola_core::net::int8::portable_scratch_len;
use foveola_core::net::model::{MAX_STREAMED, Pass};
use foveola_core::net::op::Op;
use foveola_core::{At, TensorId};

use super::rings::{Rings, window};
use super::{Buffer, arena_with, depends_on, keeps, size_of_gradient, step};
use crate::compile::network::Network;
use crate::graph::Node;

/// Networks of more nodes keep the rings that they begin with; trying each
/// one takes a plan.
const MOST_TRIED: usize = 400;

/// The chosen rings.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Whether the gradient of the picture is handed on row by row.
    input: bool,
    /// Whether the gradient between node i and node i + 1 is a ring.
    links: Vec<bool>,
}

impl Gradients {
    /// Whole gradients only.
    pub fn whole(network: &Network) -> Self {
        Self {
            input: false,
            links: vec![false; network.graph.nodes.len()],
        }
    }

    /// First of the nodes that run backward together with node `i`.
    fn start(&self, i: usize) -> usize {
        i - self.links[..i]
            .iter()
            .rev()
            .take_while(|&&link| link)
            .count()
    }

    /// Last of the nodes that run backward together with node `i`.
    fn end(&self, i: usize) -> usize {
        i + self.links[i..].iter().take_while(|&&link| link).count()
    }

    /// The gradient of a tensor lives from the backward step of its last reader
    /// (for scores from the seed on) to that of its maker, and while those run
    /// that run together with them.
    pub fn buffer(&self, network: &Network, to: TensorId, id: TensorId) -> Buffer {
        let graph = &network.graph;
        let nodes = graph.nodes.len();
        let back = |i: usize| step(2 * nodes - 1 - i);
        let is_score = [network.logits, network.probabilities].contains(&id);
        let birth = match graph.nodes.iter().rposition(|n| n.inputs.contains(&id)) {
            Some(reader) if !is_score => back(self.end(reader)),
            _ => step(nodes),
        };
        let maker = graph.nodes.iter().position(|n| n.output == id);
        let death = match maker {
            Some(maker) if id != to => back(self.start(maker)),
            _ => foveola_core::net::format::FOREVER,
        };
        let whole = size_of_gradient(network, id);
        let shape = graph.tensor(id).shape;
        let rows = match maker {
            Some(maker) if self.links[maker] => reach(network, &graph.nodes[maker]),
            None if self.input => Some(1),
            _ => None,
        };
        Buffer {
            offset: 0,
            length: rows.map_or(whole, |rows| whole / shape.h * rows),
            birth,
            death,
        }
    }

    /// Room for the weights that int8 nodes write out in f32 as they run
    /// backward, `more` bytes each besides.
    pub fn scratch(&self, network: &Network, to: TensorId, more: usize) -> Vec<Buffer> {
        let graph = &network.graph;
        let depends = depends_on(&network.graph, to);
        let need = |node: &Node| {
            let (input, output) = (graph.tensor(node.inputs[0]), graph.tensor(node.output));
            let active = node.inputs.iter().any(|id| depends[usize::from(id.0)]);
            match output.quant.is_some() && active {
                true => portable_scratch_len(node.op, input.shape, output.shape),
                false => 0,
            }
        };
        let mut buffers = Vec::new();
        let mut first = 0;
        while first < graph.nodes.len() {
            let last = self.end(first);
            let most = graph.nodes[first..=last].iter().map(need).max();
            let steps = 2 * graph.nodes.len() - 1;
            if let Some(most) = most.filter(|&most| most > 0) {
                buffers.push(Buffer {
                    offset: 0,
                    length: most + more,
                    birth: step(steps - last),
                    death: step(steps - first),
                });
            }
            first = last + 1;
        }
        buffers
    }
}

/// Chooses rings: networks of integers begin with every ring there may be and
/// give up those that save nothing; gradients of real networks stay whole.
pub fn choose(network: &Network, pass: Pass, rings: &Rings) -> Gradients {
    let Pass::Backward(at) = pass else {
        return Gradients::whole(network);
    };
    let to = match at {
        At::Input => network.graph.input,
        At::Tensor(id) => id,
    };
    let is_int8 = network.graph.tensors.iter().any(|t| t.quant.is_some());
    if !is_int8 || network.graph.nodes.len() > MOST_TRIED {
        return Gradients::whole(network);
    }
    let mut chosen = every(network, to);
    let arena = |gradients: &Gradients| arena_with(network, pass, rings, gradients);
    let mut best = arena(&chosen);
    // What saves nothing may be seen only when others are gone.
    for _ in 0..3 {
        for i in (0..chosen.links.len()).rev() {
            if !std::mem::take(&mut chosen.links[i]) {
                continue;
            }
            let without = arena(&chosen);
            chosen.links[i] = without > best;
            best = best.min(without);
        }
    }
    chosen
}

/// Every ring that may be.
fn every(network: &Network, to: TensorId) -> Gradients {
    let graph = &network.graph;
    let depends = depends_on(&network.graph, to);
    let reader = graph
        .nodes
        .iter()
        .position(|n| n.inputs.contains(&graph.input));
    let alone = graph.readers(graph.input) == 1;
    let last = reader.filter(|&i| to == graph.input && alone && by_rows(network, &graph.nodes[i]));
    let mut links = vec![false; graph.nodes.len()];
    let mut together = 1;
    for (i, pair) in graph.nodes.windows(2).enumerate() {
        let [maker, node] = pair else { continue };
        let id = maker.output;
        let kept = id == to || [network.logits, network.probabilities].contains(&id);
        let short = reach(network, maker).is_some_and(|rows| rows < graph.tensor(id).shape.h);
        let linked = node.inputs.contains(&id)
            && graph.readers(id) == 1
            && depends[usize::from(id.0)]
            && by_rows(network, maker)
            && by_rows(network, node)
            && together < MAX_STREAMED
            // The picture's gradient leaves from the last of those that run together.
            && last != Some(i + 1);
        links[i] = linked && !kept && short;
        together = if links[i] { together + 1 } else { 1 };
    }
    Gradients {
        input: last.is_some() && graph.tensor(graph.input).shape.h > 1,
        links,
    }
}

/// Most rows of the output's gradient that a row of the input's is made of.
fn reach(network: &Network, node: &Node) -> Option<usize> {
    window(network, node).map(|window| window.reach())
}

/// Whether a node can run backward row by row.
fn by_rows(network: &Network, node: &Node) -> bool {
    let keeps = keeps(network, node);
    let pools = matches!(node.op, Op::MaxPool(_) | Op::AveragePool { .. });
    window(network, node).is_some() && !pools && !keeps.inputs && !keeps.output
}
