//! From a graph to a model file: simplify, append the probabilities, plan the
//! memory, order the weights, write.

use std::collections::BTreeMap;

use foveola_core::net::format::{MAX_ELEMENTS, MAX_NODES, MAX_TENSORS};
use foveola_core::net::int8;
use foveola_core::net::model::Pass;
use foveola_core::net::ops::packing;
use foveola_core::{At, TensorId};

use crate::card::Card;
use crate::graph::{Graph, Node, Tensor};

pub use plan::Goal;

mod affine;
pub mod fold;
mod integers;
pub mod network;
mod plan;
pub mod prune;
mod write;

/// Most bytes of weights, constants and names: beside the other sections they
/// stay below the 4 GiB that a file's offsets reach.
const MOST_BYTES: usize = 3 << 30;

/// Why a graph cannot become a model file.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No tensor has this name.
    #[error("no layer is called {name:?}{}", vanished.as_ref().map(|why| format!(" ({why})")).unwrap_or_default())]
    UnknownLayer {
        /// The name.
        name: String,
        /// Why it is gone, if it was there before simplification.
        vanished: Option<String>,
    },
    /// The network is larger than the format allows.
    #[error("the network is too large for a model file: {what} ({have}, at most {most})")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        have: usize,
        /// How much there may be.
        most: usize,
    },
    /// Scales that no factor of the integer arithmetic can express.
    #[error(
        "the scales of layer {name:?} ({op}) do not fit int8 arithmetic: the ratio of its scales must be finite and below 2^30, and operators that only move numbers must keep their scale"
    )]
    Scales {
        /// The layer.
        name: String,
        /// Its operator.
        op: String,
    },
    /// A layer that the scores do not depend on.
    #[error(
        "no gradient reaches layer {name:?}: the scores before the last softmax or sigmoid ({logits:?}) do not depend on it; choose a layer before them"
    )]
    NoGradient {
        /// The layer.
        name: String,
        /// Tensor of these scores.
        logits: String,
    },
    /// No plan of the forward pass fits the arena that was asked for.
    #[error(
        "the smallest arena found for the forward pass has {least} bytes; {most} were asked for"
    )]
    Arena {
        /// Bytes of the smallest.
        least: usize,
        /// Bytes that were asked for.
        most: usize,
    },
    /// The written file does not pass the check of its reader.
    #[error("the compiled model does not pass its own check: {0}; please report this model")]
    Check(foveola_core::Error),
}

/// What to put into a model file.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// ONNX tensors or nodes that must stay readable: nothing folds over them.
    pub taps: Vec<String>,
    /// ONNX tensors or nodes down to which gradients are wanted, besides the
    /// input and the default layer of CAM methods.
    pub layers: Vec<String>,
    /// Whether relevance down to the input is wanted (LRP).
    pub relevance: bool,
    /// Whether batch normalisations and other per-channel arithmetic fold into
    /// the weights before them: right for a device, where a pass over a tensor
    /// costs; without it the network is computed as it was trained.
    pub fold: bool,
    /// Whether channels that can only be constant are removed ([`prune`]): no
    /// kept number changes, but layers have fewer channels than the model's.
    pub prune: bool,
    /// What the forward plan is to be.
    pub goal: Goal,
}

impl CompileOptions {
    /// What boards run: arithmetic folded into weights, and constant channels
    /// removed if `prune`.
    pub fn shipped(layers: &[String], prune: bool) -> Self {
        Self {
            layers: layers.to_vec(),
            fold: true,
            prune,
            ..Self::default()
        }
    }

    /// The same with another plan of the forward pass.
    pub fn planned(self, goal: Goal) -> Self {
        Self { goal, ..self }
    }
}

/// A compiled network.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The model file.
    pub bytes: Vec<u8>,
    /// The tensor that holds the value of each ONNX tensor or node that is left.
    pub names: BTreeMap<String, TensorId>,
    /// The layer that CAM methods use by default: the last tensor with height and width above 1.
    pub cam_layer: Option<TensorId>,
    /// What simplification did.
    pub report: fold::Report,
    /// What the removal of constant channels did.
    pub pruned: prune::Report,
}

/// Compiles a graph. The card goes into the file; its activation is appended
/// to networks that end in logits.
///
/// # Errors
/// An unknown layer or a network that is too large.
pub fn compile(
    mut graph: Graph,
    card: &Card,
    options: &CompileOptions,
) -> Result<Compiled, CompileError> {
    let mut taps = options.taps.clone();
    taps.extend(options.layers.iter().cloned());
    let report = fold::optimise(&mut graph, &taps, options.fold);
    let watched = watched(&graph, &taps);
    let pruned = match options.prune {
        true => prune::prune(&mut graph, watched),
        false => prune::Report::default(),
    };
    let mut passes = Vec::new();
    if options.relevance && plan::depends_on(&graph, graph.input)[usize::from(graph.logits.0)] {
        passes.push(Pass::Relevance);
    }
    let wanted = (&options.layers[..], passes);
    let compiled = with_passes(graph, report, card, wanted, options.goal)?;
    Ok(Compiled { pruned, ..compiled })
}

/// What keeps its channels when others lose theirs.
fn watched(graph: &Graph, taps: &[String]) -> prune::Watched {
    let named = taps.iter().filter_map(|name| graph.names.get(name));
    prune::Watched {
        whole: named.copied().collect(),
        cam: fold::default_cam_layer(graph),
    }
}

/// Compiles a graph without simplifying it further; its tensors keep their ids.
///
/// # Errors
/// As [`compile`].
pub fn as_it_is(
    graph: Graph,
    report: fold::Report,
    card: &Card,
    layers: &[String],
    goal: Goal,
) -> Result<Compiled, CompileError> {
    with_passes(graph, report, card, (layers, Vec::new()), goal)
}

/// As [`as_it_is`], with plans for more passes.
fn with_passes(
    graph: Graph,
    report: fold::Report,
    card: &Card,
    (layers, more): (&[String], Vec<Pass>),
    goal: Goal,
) -> Result<Compiled, CompileError> {
    check_size(&graph)?;
    let cam_layer = fold::default_cam_layer(&graph);
    let mut passes = vec![Pass::Forward, Pass::Backward(At::Input)];
    let layers = layers
        .iter()
        .map(|name| gradient_layer(&graph, &report, name));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    for id in cam_layer.into_iter().chain(layers) {
        let at = if id == graph.input {
            At::Input
        } else {
            At::Tensor(id)
        };
        if !passes.contains(&Pass::Backward(at)) {
            passes.push(Pass::Backward(at));
        }
    }
    passes.extend(more);
    check_scales(&graph)?;
    let names = graph.names.clone();
    let network = network::Network::new(graph, card);
    let plans: Vec<_> = passes
        .into_iter()
        .map(|pass| plan::plan(&network, pass, goal))
        .collect();
    check_arenas(&plans)?;
    check_arena(&plans, goal)?;
    let bytes = write::write(&network, Some(card), &plans);
    Ok(Compiled {
        bytes,
        names,
        cam_layer,
        report,
        pruned: prune::Report::default(),
    })
}

fn layer(graph: &Graph, report: &fold::Report, name: &str) -> Result<TensorId, CompileError> {
    graph
        .names
        .get(name)
        .copied()
        .ok_or_else(|| CompileError::UnknownLayer {
            name: name.to_owned(),
            vanished: report.vanished.get(name).cloned(),
        })
}

/// A layer at which gradients may end.
fn gradient_layer(
    graph: &Graph,
    report: &fold::Report,
    name: &str,
) -> Result<TensorId, CompileError> {
    let id = layer(graph, report, name)?;
    let depends = plan::depends_on(graph, id);
    if depends[usize::from(graph.logits.0)] {
        return Ok(id);
    }
    Err(CompileError::NoGradient {
        name: name.to_owned(),
        logits: graph.tensor(graph.logits).name.clone(),
    })
}

/// Whether the forward plan is as small as it was asked to be.
fn check_arena(plans: &[plan::Plan], goal: Goal) -> Result<(), CompileError> {
    let forward = plans.iter().find(|plan| plan.pass == Pass::Forward);
    match (goal, forward) {
        (Goal::Arena(most), Some(plan)) if plan.arena > most => Err(CompileError::Arena {
            least: plan.arena,
            most,
        }),
        _ => Ok(()),
    }
}

fn check_scales(graph: &Graph) -> Result<(), CompileError> {
    let mut nodes = graph.nodes.iter();
    let unfit = |node: &&Node| {
        integers::is_integer(graph, node) && integers::integers(graph, node).is_none()
    };
    match nodes.find(unfit) {
        None => Ok(()),
        Some(node) => Err(CompileError::Scales {
            name: node.name.clone(),
            op: format!("{:?}", node.op),
        }),
    }
}

fn limit(what: &'static str, have: usize, most: usize) -> Result<(), CompileError> {
    if have > most {
        return Err(CompileError::TooLarge { what, have, most });
    }
    Ok(())
}

fn check_size(graph: &Graph) -> Result<(), CompileError> {
    limit("nodes", graph.nodes.len(), MAX_NODES - 1)?;
    limit("tensors", graph.tensors.len(), MAX_TENSORS - 1)?;
    let weights: usize = graph
        .nodes
        .iter()
        .map(|n| n.weights.len() + n.bias.len())
        .sum();
    limit("weights", weights, 1 << 27)?;
    let shapes = graph.tensors.iter().map(|t| t.shape.len());
    limit(
        "elements of a tensor",
        shapes.max().unwrap_or(0),
        MAX_ELEMENTS,
    )?;
    let bytes = graph.tensors.iter().map(tensor_bytes).sum::<usize>()
        + graph
            .nodes
            .iter()
            .map(|n| node_bytes(graph, n))
            .sum::<usize>();
    limit("bytes of weights and constants", bytes, MOST_BYTES)
}

/// Bytes of a constant and of a name in the model file.
fn tensor_bytes(tensor: &Tensor) -> usize {
    let constant = tensor.constant.as_ref().map_or(0, |_| tensor.size());
    tensor.name.len() + constant
}

/// Bytes of a node's weights, in the order that kernels read, and of its name.
fn node_bytes(graph: &Graph, node: &Node) -> usize {
    let shape = |id| graph.tensor(id).shape;
    let output = shape(node.output);
    let first = node.inputs.first().map_or(output, |&id| shape(id));
    let numbers = match integers::is_integer(graph, node) {
        true => {
            int8::bytes_len(node.op, first, output)
                + 4 * int8::words_len(node.op, node.inputs.len(), output)
        }
        false => 4 * (packing::packed_len(node.op, first, output) + node.bias.len()),
    };
    node.name.len() + numbers
}

/// Offsets are of 32 bits.
fn check_arenas(plans: &[plan::Plan]) -> Result<(), CompileError> {
    let arena = plans.iter().map(|plan| plan.arena).max().unwrap_or(0);
    limit("bytes of memory in a pass", arena, u32::MAX as usize)
}
