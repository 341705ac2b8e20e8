//! Simplification of a graph before it is written: per-channel arithmetic
//! folds into the linear node before it, activations merge into the node
//! before them, what nothing reads goes. What is tapped stays as it is.

use std::collections::{BTreeMap, HashMap, HashSet};

use foveola_core::TensorId;
use foveola_core::net::op::{Activation, Op};

use super::affine::{PerChannel, fold_into};
use crate::graph::{Graph, Node};

/// What simplification did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Nodes (batch normalisations, biases, scales) folded into a linear node.
    pub folded: usize,
    /// Activations merged into the node before them.
    pub merged: usize,
    /// Nodes removed because nothing that leads to the scores reads them.
    pub removed: usize,
    /// ONNX names whose value is gone, and why.
    pub vanished: BTreeMap<String, String>,
}

/// Simplifies a graph. Tensors that `taps` names, the input, the logits and
/// the output keep their values; names that the graph does not know are
/// ignored. Per-channel arithmetic folds only if `folding`: it saves a pass
/// over the tensor, but rounds the weights anew (in f64, once), which moves
/// scores by about 1e-6 and can flip a ReLU whose input is as near to zero.
pub fn optimise(graph: &mut Graph, taps: &[String], folding: bool) -> Report {
    let mut kept: HashSet<TensorId> = taps
        .iter()
        .filter_map(|name| graph.names.get(name).copied())
        .collect();
    kept.extend([graph.input, graph.output, graph.logits]);
    let mut work = Work::new(graph, kept);
    if folding {
        work.each_pair(fold);
    }
    work.each_pair(merge);
    work.remove_dead();
    let (nodes, gone, mut report) = work.finish();
    graph.nodes = nodes;
    compact(graph, &gone, &mut report);
    report
}

/// The last tensor with height and width above 1 on the way to the scores:
/// what CAM methods look at by default.
pub fn default_cam_layer(graph: &Graph) -> Option<TensorId> {
    let mut needed = HashSet::from([graph.output]);
    for node in graph.nodes.iter().rev() {
        if !needed.contains(&node.output) {
            continue;
        }
        let shape = graph.tensor(node.output).shape;
        if shape.h > 1 && shape.w > 1 {
            return Some(node.output);
        }
        needed.extend(&node.inputs);
    }
    None
}

/// What became of a pair of neighbours.
enum Joined {
    Folded,
    Merged,
}

/// Tries to join a node into the one before it.
type Join = fn(&Graph, first: &Node, second: &Node) -> Option<(Node, Joined)>;

struct Work<'g> {
    graph: &'g Graph,
    nodes: Vec<Option<Node>>,
    /// Which node makes a tensor.
    makers: HashMap<TensorId, usize>,
    readers: HashMap<TensorId, usize>,
    kept: HashSet<TensorId>,
    gone: HashMap<TensorId, String>,
    report: Report,
}

impl<'g> Work<'g> {
    fn new(graph: &'g Graph, kept: HashSet<TensorId>) -> Self {
        let mut readers = HashMap::new();
        for &input in graph.nodes.iter().flat_map(|n| &n.inputs) {
            *readers.entry(input).or_insert(0) += 1;
        }
        let makers = graph.nodes.iter().enumerate();
        Self {
            makers: makers.map(|(i, n)| (n.output, i)).collect(),
            nodes: graph.nodes.iter().cloned().map(Some).collect(),
            graph,
            readers,
            kept,
            gone: HashMap::new(),
            report: Report::default(),
        }
    }

    /// Joins nodes with the one before them, in run order, so that a chain
    /// ends up in its first node.
    fn each_pair(&mut self, join: Join) {
        for i in 0..self.nodes.len() {
            let Some((first, between)) = self.only_feeder(i) else {
                continue;
            };
            let (Some(a), Some(b)) = (&self.nodes[first], &self.nodes[i]) else {
                continue;
            };
            let Some((node, joined)) = join(self.graph, a, b) else {
                continue;
            };
            let why = match joined {
                Joined::Folded => {
                    self.report.folded += 1;
                    format!("{} is folded into {}", b.name, node.name)
                }
                Joined::Merged => {
                    self.report.merged += 1;
                    format!("{} is merged into {}", b.name, node.name)
                }
            };
            self.gone.insert(between, why);
            self.makers.insert(node.output, first);
            self.nodes[first] = Some(node);
            self.nodes[i] = None;
        }
    }

    /// The node that makes the one varying input of node `i`, if nobody else
    /// reads that and it need not be kept; and the tensor between them.
    fn only_feeder(&self, i: usize) -> Option<(usize, TensorId)> {
        let node = self.nodes[i].as_ref()?;
        let mut made = node.inputs.iter().filter(|id| self.makers.contains_key(id));
        let (&between, None) = (made.next()?, made.next()) else {
            return None;
        };
        let free = self.readers.get(&between) == Some(&1) && !self.kept.contains(&between);
        free.then(|| (self.makers[&between], between))
    }

    fn remove_dead(&mut self) {
        let mut needed = self.kept.clone();
        for slot in self.nodes.iter_mut().rev() {
            let Some(node) = slot else { continue };
            if needed.contains(&node.output) {
                needed.extend(&node.inputs);
                continue;
            }
            self.report.removed += 1;
            self.gone
                .insert(node.output, "the scores do not depend on it".into());
            *slot = None;
        }
    }

    fn finish(self) -> (Vec<Node>, HashMap<TensorId, String>, Report) {
        (
            self.nodes.into_iter().flatten().collect(),
            self.gone,
            self.report,
        )
    }
}

/// Folds per-channel arithmetic into the convolution or dense layer before it.
fn fold(graph: &Graph, first: &Node, second: &Node) -> Option<(Node, Joined)> {
    // What is dropped is not shifted, so a dropout keeps the two apart.
    if first.activation != Activation::None || first.dropout.is_some() || rounds(graph, first) {
        return None;
    }
    let change = PerChannel::of(graph, second, first.output)?;
    let (weights, bias) = fold_into(first, &change)?;
    let node = Node {
        name: first.name.clone(),
        op: first.op,
        activation: second.activation,
        inputs: first.inputs.clone(),
        output: second.output,
        weights,
        bias,
        quantised: None,
        dropout: second.dropout,
    };
    Some((node, Joined::Folded))
}

/// Whether a node rounds its output to int8, or reads int8: what follows cannot
/// be joined with it without another result.
fn rounds(graph: &Graph, node: &Node) -> bool {
    graph.tensor(node.output).quant.is_some() || node.op == Op::Dequantise
}

/// Whether a dropout between the two may as well stand behind the second: it
/// scales what the second limits at 0 only, and is the only one.
fn changes_places(first: &Node, second: &Node) -> bool {
    let at_zero = !matches!(second.activation, Activation::Clip { .. });
    first.dropout.is_none() || (at_zero && second.dropout.is_none())
}

/// Merges an activation into the node before it.
fn merge(graph: &Graph, first: &Node, second: &Node) -> Option<(Node, Joined)> {
    let mergeable = matches!(
        second.activation,
        Activation::Relu | Activation::Clip { .. } | Activation::LeakyRelu { .. }
    );
    let fits = second.op == Op::Activate
        && mergeable
        && first.op != Op::Activate
        && first.activation == Activation::None
        && changes_places(first, second)
        && !rounds(graph, first);
    fits.then(|| {
        let node = Node {
            activation: second.activation,
            output: second.output,
            dropout: first.dropout.or(second.dropout),
            ..first.clone()
        };
        (node, Joined::Merged)
    })
}

/// Drops tensors that are not used any more and numbers the rest anew.
fn compact(graph: &mut Graph, gone: &HashMap<TensorId, String>, report: &mut Report) {
    let mut used: HashSet<TensorId> = HashSet::from([graph.input, graph.output, graph.logits]);
    for node in &graph.nodes {
        used.extend(&node.inputs);
        used.insert(node.output);
    }
    let mut new_ids = HashMap::new();
    let mut tensors = vec![];
    for (old, tensor) in std::mem::take(&mut graph.tensors).into_iter().enumerate() {
        let old = TensorId(old as u16);
        if used.contains(&old) {
            new_ids.insert(old, TensorId(tensors.len() as u16));
            tensors.push(tensor);
        }
    }
    graph.tensors = tensors;
    for (name, old) in std::mem::take(&mut graph.names) {
        if let Some(&new) = new_ids.get(&old) {
            graph.names.insert(name, new);
            continue;
        }
        let why = gone.get(&old).cloned();
        let why = why.unwrap_or_else(|| "the scores do not depend on it".into());
        report.vanished.insert(name, why);
    }
    let ids = [&mut graph.input, &mut graph.output, &mut graph.logits];
    let of_nodes = graph
        .nodes
        .iter_mut()
        .flat_map(|n| n.inputs.iter_mut().chain([&mut n.output]));
    for id in ids.into_iter().chain(of_nodes) {
        *id = new_ids[id];
    }
}
