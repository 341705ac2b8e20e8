//! What relevance takes with its usual rules: products of the layers that share
//! it out, as often as their rule runs them forth and back, and elements.

use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::Op;
use foveola_core::net::session::Session;
use foveola_core::{Error, TensorId};

use super::counts::{Counts, Kernel};
use super::trace::Trace;
use super::work::{Question, arena, forward};

/// Kernels that run forth and back, and weights that are changed for them.
#[derive(Clone, Copy)]
struct Runs {
    kernels: usize,
    changed: usize,
}

/// LRP-0 and epsilon.
const EPSILON: Runs = Runs {
    kernels: 2,
    changed: 0,
};

/// zB: the layer, and with weights of either sign.
const BOX: Runs = Runs {
    kernels: 6,
    changed: 4,
};

/// Gamma on inputs of one sign: the plain layer, and two raised ones.
const GAMMA: Runs = Runs {
    kernels: 5,
    changed: 4,
};

/// Gamma on inputs of both signs.
const GAMMA_OF_BOTH: Runs = Runs {
    kernels: 9,
    changed: 8,
};

const fn has_weights(op: Op) -> bool {
    matches!(op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense)
}

/// Counts all nodes under `name`.
pub fn count(counts: &mut Counts, name: &str, question: &Question<'_>) -> Result<(), Error> {
    let model = question.model;
    let mut arena = arena(model);
    let mut session = Session::new(model, &mut arena, Isa::detect())?;
    let (trace, _) = forward(question, &mut session, None)?;
    let weighted = |i: &usize| model.node(*i).is_some_and(|view| has_weights(view.op));
    let last = (0..model.node_count()).rev().find(weighted);
    let mut k = Kernel::new(counts, name);
    for (index, view) in (0..model.node_count()).filter_map(|i| Some((i, model.node(i)?))) {
        let input = view.input(0).unwrap_or(model.input_id());
        let elements = model.shape(input).len() + model.shape(view.output).len();
        k.n("node", 1);
        if !has_weights(view.op) {
            k.n("other", elements);
            continue;
        }
        let runs = runs(model, &trace, &view, last == Some(index));
        let (word, products, weights) = layer(model, &view, input);
        k.n(word, runs.kernels * products);
        k.n("element", runs.kernels * elements);
        k.n("changed", runs.changed * weights);
        if view.integers.is_some() {
            k.n("stored", runs.kernels * weights);
        }
    }
    Ok(())
}

fn runs(model: &Model<'_>, trace: &Trace, view: &NodeView<'_>, is_last: bool) -> Runs {
    let input = view.input(0).unwrap_or(model.input_id());
    let has_both = || trace.tensor(input).iter().any(|value| *value < 0.0);
    match view.op {
        _ if is_last => EPSILON,
        _ if is_picture(model, input) => BOX,
        Op::Dense => EPSILON,
        _ if has_both() => GAMMA_OF_BOTH,
        _ => GAMMA,
    }
}

/// Whether a tensor is the picture, padded or as integers.
fn is_picture(model: &Model<'_>, id: TensorId) -> bool {
    let mut nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    let made = nodes.find(|view| view.output == id);
    match made {
        None => id == model.input_id(),
        Some(view) => match (view.op, view.input(0)) {
            (Op::Pad { .. } | Op::Quantise { .. } | Op::Dequantise, Some(before)) => {
                is_picture(model, before)
            }
            _ => false,
        },
    }
}

/// A word for a layer, its products, its weights.
fn layer(model: &Model<'_>, view: &NodeView<'_>, input: TensorId) -> (&'static str, usize, usize) {
    let (from, to) = (model.shape(input), model.shape(view.output));
    let taps = |kernel: [u16; 2]| usize::from(kernel[0]) * usize::from(kernel[1]);
    match view.op {
        Op::Conv { geometry, groups } => {
            let each = taps(geometry.kernel) * (from.c / usize::from(groups).max(1));
            ("conv", each * to.len(), each * to.c)
        }
        Op::Depthwise { geometry } => {
            let each = taps(geometry.kernel);
            ("depthwise", each * to.len(), each * to.c)
        }
        _ => ("dense", from.len() * to.len(), from.len() * to.len()),
    }
}
