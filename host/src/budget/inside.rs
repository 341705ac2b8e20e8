//! The network's passes of methods that look inside it.

use foveola_core::classifier::Layers as _;
use foveola_core::explain::Cost;
use foveola_core::mask::Enlarged;
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Model;
use foveola_core::net::session::Session;
use foveola_core::{At, Error, Rule, Shape, TensorId};

use super::counts::{Counts, Kernel};
use super::own::Extent;
use super::relevance;
use super::work::{Question, Work, arena, classify, forward, gradients};
use crate::method_spec::{LayerMethod, MethodSpec, Parameters};

/// The passes, and what the method's own work is a multiple of besides them.
pub fn inside(
    question: &Question<'_>,
    (at, name): (At, &str),
    cost: &Cost,
    spec: &MethodSpec,
) -> Result<(Work, Extent), Error> {
    let mut extent = Extent {
        passes: 0,
        input: question.model.input(),
        layer: shape(question.model, at),
        segments: 0,
    };
    let mut work = match &spec.parameters {
        Parameters::OnLayer { kind, .. } => on_layer(question, at, *kind, &mut extent)?,
        Parameters::Relevance(_) => {
            let mut work = classify(question)?;
            relevance::count(&mut work.counts, name, question)?;
            work.passes = cost.forward + cost.backward;
            work
        }
        _ => pairs(question, at, cost)?,
    };
    if spec.row.name == "full-grad" {
        biases(&mut work.counts, name, question)?;
    }
    work.ways = Default::default();
    work.most = spec.depends_on_scores();
    extent.passes = work.passes as usize;
    Ok((work, extent))
}

fn shape(model: &Model<'_>, at: At) -> Shape {
    match at {
        At::Input => model.input(),
        At::Tensor(id) => model.shape(id),
    }
}

/// One class is explained: whoever goes back has gone forth as often.
fn pairs(question: &Question<'_>, at: At, cost: &Cost) -> Result<Work, Error> {
    let one = gradients(question, at, Rule::Gradient)?;
    let both = cost.backward.min(cost.forward);
    let mut counts = Counts::default();
    counts.merge(&one.counts, both as f64);
    counts.merge(&classify(question)?.counts, (cost.forward - both) as f64);
    Ok(Work {
        passes: cost.forward + cost.backward,
        counts,
        ..Work::default()
    })
}

fn on_layer(
    question: &Question<'_>,
    at: At,
    kind: LayerMethod,
    extent: &mut Extent,
) -> Result<Work, Error> {
    let back = |at, rule| gradients(question, at, rule);
    let mut session_arena = arena(question.model);
    let mut session = Session::new(question.model, &mut session_arena, Isa::detect())?;
    let (trace, nodes) = forward(question, &mut session, Some((at, Rule::Gradient)))?;
    let mut down = Counts::default();
    nodes.iter().for_each(|node| down.merge(node, 1.0));
    let mut work = Work {
        passes: 1,
        counts: down,
        ..Work::default()
    };
    let values = trace.tensor(match at {
        At::Input => question.model.input_id(),
        At::Tensor(id) => id,
    });
    let shape = extent.layer;
    let again = |mut work: Work, counts: &Counts, times: usize| {
        work.counts.merge(counts, times as f64);
        work.passes += times as u64;
        work
    };
    Ok(match kind {
        LayerMethod::Guided { .. } => {
            let mut both = back(at, Rule::Gradient)?;
            both.counts
                .merge(&back(At::Input, Rule::Guided)?.counts, 1.0);
            both.passes = 4;
            both
        }
        LayerMethod::Eigen { .. } => work,
        LayerMethod::Score { constant, .. } => {
            let asked = |c: &usize| constant || !Enlarged::is_constant(values, shape, *c);
            let count = (0..shape.c).filter(asked).count();
            again(work, &classify(question)?.counts, count)
        }
        LayerMethod::Ablation { .. } => again(work, &tail(question.model, &nodes, at), shape.c),
        LayerMethod::Recipro => again(work, &tail(question.model, &nodes, at), shape.area()),
        LayerMethod::Cam => {
            work = back(at, Rule::Gradient)?;
            again(work, &tail(question.model, &nodes, at), 1)
        }
        _ => back(at, Rule::Gradient)?,
    })
}

/// What a pass repeats that begins behind a layer: everything, where something
/// behind it reads what is made before it.
fn tail(model: &Model<'_>, nodes: &[Counts], at: At) -> Counts {
    let views = || (0..model.node_count()).filter_map(|i| model.node(i));
    let made = |id: TensorId| views().position(|view| view.output == id);
    let from = match at {
        At::Input => 0,
        At::Tensor(id) => made(id).unwrap_or(0),
    };
    let around = views().skip(from + 1).any(|view| {
        let constant = |id: &TensorId| model.tensor(*id).is_some_and(|t| t.constant.is_some());
        let mut read = view.inputs().filter(|id| !constant(id));
        read.any(|id| made(id).is_none_or(|maker| maker < from))
    });
    let mut counts = Counts::default();
    let skipped = if around { 0 } else { from + 1 };
    let behind = nodes.iter().skip(skipped);
    behind.for_each(|node| counts.merge(node, 1.0));
    counts.add("pass", 1.0);
    counts.add("pass.class", model.classes() as f64);
    counts
}

/// What FullGrad makes of the biases of each node.
fn biases(counts: &mut Counts, name: &str, question: &Question<'_>) -> Result<(), Error> {
    let mut arena = arena(question.model);
    let session = Session::new(question.model, &mut arena, Isa::detect())?;
    let mut k = Kernel::new(counts, name);
    let mut node = 0;
    while let Some(shape) = session.bias_shape(node)? {
        k.n("bias", shape.len());
        k.n("enlarged", question.model.input().area());
        node += 1;
    }
    Ok(())
}
