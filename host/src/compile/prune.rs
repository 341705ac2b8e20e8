//! Removes channels whose value can only be constant, and channels that
//! nothing reads, so that no kept number changes.
//!
//! Forward, every channel of every tensor gets an interval that holds all its
//! values whatever the picture is (`bounds`). A channel with one value is
//! taken out of the convolutions and dense layers that read it: an int8 layer
//! adds its share to the bias, exactly; an f32 layer can do without it only if
//! it is 0, as another order of summation would round differently. A padded
//! tap counts as 0 in both, so a constant other than 0 stays where a layer
//! pads it. Backward, a channel that no kept channel reads goes too (`keep`).
//!
//! Scores keep their bits, and so do the gradients of the rules Gradient and
//! Guided and Grad-CAM's default map: a channel goes only if its gradient is
//! stopped at once, by a gate that its constant closes or by weights of 0
//! (`gradient`). The rule of Deconvolution passes closed gates, so
//! what it finds in a network with such channels changes with them; so do views
//! of layers and methods that put other weights in.

mod bounds;
mod count;
mod floats;
mod gradient;
mod integers;
mod interval;
mod keep;
mod linear;
mod remove;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use foveola_core::TensorId;

pub use self::count::{Change, LayerChange, Report};
use self::interval::Interval;
use crate::graph::Graph;

/// Intervals of the channels of each tensor, by id.
type Bounds = Vec<Vec<Interval>>;

/// Tensors that somebody looks at.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Those that keep every channel and every gradient.
    pub whole: HashSet<TensorId>,
    /// The layer of CAM methods: it may lose channels that add nothing to
    /// Grad-CAM's sum over channels.
    pub cam: Option<TensorId>,
}

/// Removes what it may. The input, the logits and the output keep all channels.
/// Ids of tensors and nodes stay; the network stays whole where a bias would
/// not fit 32 bits.
pub fn prune(graph: &mut Graph, mut watched: Watched) -> Report {
    watched
        .whole
        .extend([graph.input, graph.output, graph.logits]);
    let bounds = bounds::bounds(graph);
    let kept = keep::kept(graph, &bounds, &watched);
    let before = count::Count::of(graph);
    let kept = match remove::without(graph, &bounds, &kept) {
        Some(pruned) => {
            *graph = pruned;
            kept
        }
        None => graph
            .tensors
            .iter()
            .map(|t| vec![true; t.shape.c])
            .collect(),
    };
    let mut report = before.against(graph);
    report.kept = kept;
    report
}
