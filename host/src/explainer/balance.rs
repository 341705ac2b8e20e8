//! What every layer did with relevance: the books of LRP.

use std::cell::RefCell;

use foveola_core::relevance::LayerRelevance;
use serde::Serialize;

use crate::model::Running;

/// What one layer did: `out = into + bias + epsilon`, up to rounding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerBalance {
    /// The name of what the layer makes.
    pub layer: String,
    /// Relevance of its output.
    pub out: f64,
    /// What its inputs got.
    pub into: f64,
    /// What biases and constants took.
    pub bias: f64,
    /// What stabilisers took, and what nobody could be given.
    pub epsilon: f64,
}

/// Books of one run, target by target, last layer first.
#[derive(Default)]
pub(super) struct Books(RefCell<Vec<(usize, LayerRelevance)>>);

impl Books {
    /// Takes what a layer did for a target.
    pub(super) fn enter(&self, target: usize, layer: &LayerRelevance) {
        self.0.borrow_mut().push((target, *layer));
    }

    /// Hands out all entries; the books are empty after it.
    pub(super) fn close(&self) -> Vec<(usize, LayerRelevance)> {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}

/// A target's entries with the names of the layers.
pub(super) fn named(
    entries: &[(usize, LayerRelevance)],
    target: usize,
    names: &[String],
) -> Vec<LayerBalance> {
    let own = entries.iter().filter(|(of, _)| *of == target);
    let balance = |(_, layer): &(usize, LayerRelevance)| LayerBalance {
        layer: names.get(layer.node).cloned().unwrap_or_default(),
        out: layer.out,
        into: layer.into,
        bias: layer.bias,
        epsilon: layer.epsilon,
    };
    own.map(balance).collect()
}

/// The names of all nodes.
pub(super) fn names(running: &Running) -> Vec<String> {
    running.node_names().map(String::from).collect()
}
