//! Which channels stay: those that lead to a watched tensor through a weight
//! whose product is not constant, and those that an operator ties to them.

use foveola_core::TensorId;
use foveola_core::net::op::Op;

use super::gradient::{is_zero, shut};
use super::linear::Linear;
use super::{Bounds, Watched};
use crate::graph::{Graph, Node};

/// For each tensor, whether a channel stays.
pub type Kept = Vec<Vec<bool>>;

/// The smallest sets of channels that leave all kept numbers as they are: at
/// least one channel of each tensor.
pub fn kept(graph: &Graph, bounds: &Bounds, watched: &Watched) -> Kept {
    let whole = |i| watched.whole.contains(&TensorId(i as u16));
    let tensors = graph.tensors.iter().enumerate();
    let mut kept: Kept = tensors.map(|(i, t)| vec![whole(i); t.shape.c]).collect();
    let shut = shut(graph, bounds, watched);
    let relations: Vec<Relation> = graph
        .nodes
        .iter()
        .map(|node| Relation::of(graph, node, bounds, &shut))
        .collect();
    loop {
        let mut changed = false;
        for (node, relation) in graph.nodes.iter().zip(&relations).rev() {
            changed |= relation.spread(node, &mut kept);
        }
        changed |= none_empty(&mut kept);
        if !changed {
            return kept;
        }
    }
}

fn none_empty(kept: &mut Kept) -> bool {
    let mut changed = false;
    for channels in kept.iter_mut().filter(|c| !c.contains(&true)) {
        if let Some(first) = channels.first_mut() {
            (*first, changed) = (true, true);
        }
    }
    changed
}

/// How the channels of a node's inputs and output hang together.
enum Relation {
    /// Each output channel reads some input channels: `links[o * inputs + i]`.
    Links { inputs: usize, links: Vec<bool> },
    /// Channel `c` of each input from its offset on is channel `c` of the output.
    Tied(Vec<usize>),
    /// Not known: all stay.
    Whole,
}

impl Relation {
    fn of(graph: &Graph, node: &Node, bounds: &Bounds, shut: &[Vec<bool>]) -> Self {
        let output = graph.tensor(node.output).shape.c;
        let input = graph.tensor(node.inputs[0]).shape.c;
        match node.op {
            Op::Conv { groups: 1, .. } | Op::Dense => {
                links(graph, node, bounds, shut).unwrap_or(Self::Whole)
            }
            Op::Concat { axis: 2 } => {
                let sizes = node.inputs.iter().map(|&id| graph.tensor(id).shape.c);
                Self::Tied(
                    sizes
                        .scan(0, |sum, c| Some(std::mem::replace(sum, *sum + c)))
                        .collect(),
                )
            }
            Op::Conv { .. } | Op::Shuffle { .. } | Op::Lrn { .. } | Op::Softmax => Self::Whole,
            Op::Slice { start, step } if start[2] > 0 || step[2] > 1 => Self::Whole,
            Op::Slice { .. } | Op::Pad { .. } | Op::Mean { .. } if input != output => Self::Whole,
            _ => Self::Tied(vec![0; node.inputs.len()]),
        }
    }

    /// Keeps what hangs on kept channels; whether that was news.
    fn spread(&self, node: &Node, kept: &mut Kept) -> bool {
        let output = usize::from(node.output.0);
        let mut news = vec![];
        match self {
            Self::Links { inputs, links } => {
                let input = usize::from(node.inputs[0].0);
                let filters = links.chunks_exact(*inputs).zip(&kept[output]);
                for (links, _) in filters.filter(|(_, kept)| **kept) {
                    let linked = links.iter().enumerate().filter(|(_, linked)| **linked);
                    news.extend(linked.map(|(i, _)| (input, i)));
                }
            }
            Self::Tied(offsets) => {
                for (id, offset) in node.inputs.iter().zip(offsets) {
                    news.extend(tied(usize::from(id.0), *offset, output, node.op, kept));
                }
            }
            Self::Whole => {
                let tensors = node.inputs.iter().chain([&node.output]);
                for tensor in tensors.map(|id| usize::from(id.0)) {
                    news.extend((0..kept[tensor].len()).map(|c| (tensor, c)));
                }
            }
        }
        let mut changed = false;
        for (tensor, c) in news {
            changed |= !std::mem::replace(&mut kept[tensor][c], true);
        }
        changed
    }
}

/// What stays of an input and an output if a channel of one needs the same of
/// the other; a channel that serves all stays.
fn tied(input: usize, offset: usize, output: usize, op: Op, kept: &Kept) -> Vec<(usize, usize)> {
    let serves_all = kept[input].len() == 1 && kept[output].len() > 1;
    if serves_all && !matches!(op, Op::Concat { .. }) {
        return vec![(input, 0)];
    }
    let pairs = kept[input].iter().zip(&kept[output][offset..]);
    let either = pairs.enumerate().filter(|(_, (a, b))| **a || **b);
    either
        .flat_map(|(c, _)| [(input, c), (output, offset + c)])
        .collect()
}

/// Which products are neither 0 nor a constant that the bias can take.
fn links(graph: &Graph, node: &Node, bounds: &Bounds, shut: &[Vec<bool>]) -> Option<Relation> {
    let linear = Linear::of(graph, node)?;
    let id = node.inputs[0];
    let integer = node.quantised.is_some();
    let mut links = Vec::with_capacity(linear.outputs * linear.inputs);
    for o in 0..linear.outputs {
        // A sum that starts from -0 and adds 0 becomes +0.
        let negative_zero = !integer && linear.bias(o) == 0.0 && linear.bias(o).is_sign_negative();
        for (i, &shut) in shut[usize::from(id.0)].iter().enumerate() {
            let mut taps = (0..linear.taps).filter(|&tap| linear.weight(o, tap, i) != 0.0);
            let padded = || taps.clone().any(|tap| linear.is_padded(tap));
            let absorbed = shut && (is_zero(graph, bounds, id, i) || integer && !padded());
            links.push(negative_zero || (!absorbed && taps.next().is_some()));
        }
    }
    Some(Relation::Links {
        inputs: linear.inputs,
        links,
    })
}
