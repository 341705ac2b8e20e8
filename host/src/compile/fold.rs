//! Simplification of a graph before it is written.

use std::collections::BTreeMap;

use foveola_core::TensorId;

use crate::graph::Graph;

/// What simplification did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// ONNX names whose value is gone, and why.
    pub vanished: BTreeMap<String, String>,
}

/// Simplifies a graph; what `taps` names stays as it is.
pub fn optimise(_graph: &mut Graph, _taps: &[String]) -> Report {
    Report::default()
}

/// The last tensor with height and width above 1.
pub fn default_cam_layer(graph: &Graph) -> Option<TensorId> {
    let spatial = |id: TensorId| {
        let shape = graph.tensor(id).shape;
        shape.h > 1 && shape.w > 1
    };
    graph
        .nodes
        .iter()
        .rev()
        .map(|n| n.output)
        .find(|&id| spatial(id))
}
