//! What a question repeats: loads, passes, and the method's own part.

use std::cell::RefCell;

use foveola_core::explain::hoc::{Step, Storage, UNUSED_WINDOW};
use foveola_core::explain::{Cost, HocMethod, Outcome, Query, Silent};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Model;
use foveola_core::net::session::Session;
use foveola_core::rng::DEFAULT_SEED;
use foveola_core::{At, Classifier, Error, Masked, Picture, Rule, Score, Shape};

use super::counts::{Counts, Kernel};
use super::load::load;
use super::memory::TREE;
use super::trace::{Back, Trace, quantises, rows};
use super::watch::Watch;
use crate::aligned::AlignedBytes;
use crate::explainer::setting::Setting;
use crate::method_spec::{MethodSpec, Parameters};

/// What is asked about.
#[derive(Clone, Copy)]
pub struct Question<'q> {
    pub model: &'q Model<'q>,
    pub picture: Picture<'q>,
    pub target: usize,
}

/// What a question repeats, and how many passes it takes.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Forward and backward passes.
    pub passes: u64,
    /// Everything.
    pub counts: Counts,
    /// Whether the method's own arithmetic has no price, so that the counts are
    /// those of the network's passes alone: the least that it takes.
    pub least: bool,
    /// Counts of each node of the pass that keeps what gradients need, and of
    /// the way back; empty for methods without gradients, and where the way back
    /// goes row by row.
    pub ways: [Vec<Counts>; 2],
}

/// An arena with room for every pass.
pub fn arena(model: &Model<'_>) -> AlignedBytes {
    let plans = model.passes().filter_map(|pass| model.plan(pass));
    AlignedBytes::zeros(plans.map(|plan| plan.arena_len()).max().unwrap_or(0))
}

/// A plain forward pass, node by node; the load is the first node's.
pub fn forward(
    question: &Question<'_>,
    session: &mut Session<'_, '_>,
    back: Back,
) -> Result<(Trace, Vec<Counts>), Error> {
    let x = Masked::whole(question.picture);
    let trace = Trace::forward(question.model, session, &x, back)?;
    let mut nodes = trace.nodes.clone();
    if let Some(first) = nodes.first_mut() {
        let rows = rows(question.model, &x, back);
        load(first, input_word(question.model), &x, rows);
    }
    Ok((trace, nodes))
}

/// A word for loading the picture: what turns it into integers is another loop
/// around it.
pub fn input_word(model: &Model<'_>) -> &'static str {
    match quantises(model) {
        true => "load8",
        false => "load",
    }
}

/// A plain classification.
pub fn classify(question: &Question<'_>) -> Result<Work, Error> {
    let mut arena = arena(question.model);
    let mut session = Session::new(question.model, &mut arena, Isa::detect())?;
    let (_, nodes) = forward(question, &mut session, None)?;
    let mut counts = Counts::default();
    nodes.iter().for_each(|node| counts.merge(node, 1.0));
    counts.add("pass", 1.0);
    counts.add("pass.class", question.model.classes() as f64);
    Ok(Work {
        passes: 1,
        counts,
        ways: [nodes, Vec::new()],
        least: false,
    })
}

/// A method; `shape` is its map's, `cost` what it takes at most.
pub fn method(
    question: &Question<'_>,
    setting: &Setting,
    shape: Shape,
    cost: Cost,
) -> Result<Work, Error> {
    let all = cost.forward + cost.backward;
    let spec = setting.spec();
    let mut work = match (setting.depth(), &spec.parameters) {
        (Some(at), _) if spec.runs_on_every_board() => {
            gradients(question, at, rule(spec.row.name))?
        }
        (None, Parameters::Segmented(_)) => questions(question, setting, shape, all)?,
        (None, _) if spec.runs_on_every_board() => questions(question, setting, shape, all)?,
        (at, _) => inside(question, at.unwrap_or(At::Input), &cost, spec)?,
    };
    work.least = !spec.runs_on_every_board();
    own(&mut work.counts, question, setting, shape);
    work.counts.add("step", work.passes as f64);
    Ok(work)
}

fn rule(name: &str) -> Rule {
    match name {
        "deconvolution" => Rule::Deconvolution,
        "guided-backprop" => Rule::Guided,
        _ => Rule::Gradient,
    }
}

fn gradients(question: &Question<'_>, at: At, rule: Rule) -> Result<Work, Error> {
    let mut arena = arena(question.model);
    let mut session = Session::new(question.model, &mut arena, Isa::detect())?;
    let way = (at, rule);
    let (trace, forth) = forward(question, &mut session, Some(way))?;
    let goal = (question.target, Score::Logit);
    let back = trace.backward(question.model, &mut session, way, goal)?;
    let mut counts = Counts::default();
    forth.iter().for_each(|node| counts.merge(node, 1.0));
    counts.merge(&back.counts, 1.0);
    counts.add("gradient", 1.0);
    Ok(Work {
        passes: 2,
        counts,
        ways: [forth, back.nodes],
        least: false,
    })
}

/// The passes of a method that looks inside: as many forward as it asks for, and
/// back. What begins in the middle of the network, and masks that may be left
/// out, count nothing.
fn inside(question: &Question<'_>, at: At, cost: &Cost, spec: &MethodSpec) -> Result<Work, Error> {
    let one = gradients(question, at, Rule::Gradient)?;
    let forward = match spec.parameters {
        Parameters::OnLayer { .. } if cost.backward == 0 => 1,
        _ => cost.forward,
    };
    // One class is explained: whoever goes back has gone forth as often.
    let both = cost.backward.min(forward);
    let mut counts = Counts::default();
    counts.merge(&one.counts, both as f64);
    counts.merge(&classify(question)?.counts, (forward - both) as f64);
    Ok(Work {
        passes: forward + cost.backward,
        counts,
        ..Work::default()
    })
}

fn questions(
    question: &Question<'_>,
    setting: &Setting,
    shape: Shape,
    passes: u64,
) -> Result<Work, Error> {
    let mut arena = arena(question.model);
    let session = Session::new(question.model, &mut arena, Isa::detect())?;
    let hoc = setting.hoc();
    // What HOC asks next depends on the scores.
    let most = if hoc.is_some() {
        passes.min(256)
    } else {
        passes
    };
    let mut watch = Watch::new(question.model, session, hoc.is_some(), most);
    let query = Query {
        picture: question.picture,
        targets: &[question.target],
        score: None,
        seed: DEFAULT_SEED,
    };
    let (mut map, mut outcome) = (vec![0.0; shape.len()], [Outcome::Flat]);
    let mut steps = vec![Step::UNUSED; TREE];
    let mut boxes = vec![UNUSED_WINDOW; TREE];
    let mut run = |method: &dyn foveola_core::explain::Method| {
        let cost = method.cost(&mut watch, 1)?;
        let mut scratch = vec![0.0; cost.scratch];
        method.explain(
            &mut watch,
            &query,
            &mut map,
            &mut outcome,
            &mut scratch,
            &mut Silent,
        )
    };
    match hoc {
        None => setting.with_method(run)?,
        Some(hoc) => {
            let storage = RefCell::new(Storage {
                steps: &mut steps,
                boxes: &mut boxes,
            });
            run(&HocMethod { hoc, storage })?;
        }
    }
    let (passes, counts) = watch.counts();
    Ok(Work {
        passes,
        counts,
        ways: Default::default(),
        least: false,
    })
}

/// What the method itself does with scores and gradients.
fn own(counts: &mut Counts, question: &Question<'_>, setting: &Setting, shape: Shape) {
    let mut k = Kernel::new(counts, "map");
    k.each("clear", 1, shape.len());
    k.each("judge", 1, shape.len());
    let name = setting.spec().row.name;
    k.n(name, 1);
    match &setting.spec().parameters {
        Parameters::GradCam { relu, .. } => {
            let at = setting.depth().unwrap_or(At::Input);
            let channels = match at {
                At::Input => question.model.input().c,
                At::Tensor(id) => question.model.shape(id).c,
            };
            k.each("mean", shape.area(), channels);
            k.each("weigh", shape.area(), channels);
            k.n("channel", channels);
            if *relu {
                k.each("relu", 1, shape.len());
            }
        }
        Parameters::Occlusion { .. } => k.n("covering", shape.len()),
        Parameters::Rise { .. } => k.each("divide", 1, shape.len()),
        Parameters::Hoc { .. } => k.each("layers", 1, shape.len()),
        Parameters::MeaningfulPerturbation { .. } => k.each("enlarge", 1, shape.len()),
        Parameters::Segmented(_) => k.each("paint", 1, shape.len()),
        _ => k.each("copy", 1, shape.len()),
    }
}

/// The class that the network finds first among the most probable.
pub fn top_class(model: &Model<'_>, picture: Picture<'_>) -> Result<usize, Error> {
    let mut arena = arena(model);
    let mut session = Session::new(model, &mut arena, Isa::detect())?;
    let mut scores = vec![0.0; model.classes()];
    session.classify(&Masked::whole(picture), Score::Probability, &mut scores)?;
    let best = (0..scores.len())
        .rev()
        .max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    Ok(best.unwrap_or(0))
}
