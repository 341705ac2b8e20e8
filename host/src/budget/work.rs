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
use super::inside::inside;
use super::load::load;
use super::memory::TREE;
use super::own::{self, Extent};
use super::trace::{Back, Trace, quantises, rows};
use super::watch::Watch;
use crate::aligned::AlignedBytes;
use crate::explainer::setting::Setting;
use crate::method_spec::Parameters;

/// Passes up to which a search whose next question depends on the scores is
/// walked through here with the scores that it really gets.
const REAL: u64 = 1000;

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
    /// The name under which the method's own work is priced, if it has one that
    /// is its own: a board without such prices takes more than the counts say.
    pub own: Option<String>,
    /// Whether the passes are the most that there can be: how many there are
    /// depends on the scores.
    pub most: bool,
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
        ..Work::default()
    })
}

/// A method; `shape` is its map's, `cost` what it takes at most.
pub fn method(
    question: &Question<'_>,
    setting: &Setting,
    shape: Shape,
    cost: Cost,
) -> Result<Work, Error> {
    let spec = setting.spec();
    let at = setting.depth();
    let name = own::name(spec, input_word(question.model) == "load8");
    let Some(name) = name else {
        let mut work = match at {
            Some(at) => gradients(question, at, rule(spec.row.name))?,
            None => questions(question, setting, shape, &cost)?,
        };
        shared(&mut work.counts, question, setting, shape);
        work.counts.add("step", work.passes as f64);
        return Ok(work);
    };
    let at = match spec.parameters {
        // Boards give it gradients.
        Parameters::MeaningfulPerturbation { .. } => Some(At::Input),
        _ => at,
    };
    let (mut work, extent) = match at {
        Some(at) => inside(question, (at, &name), &cost, spec)?,
        None => outside(question, setting, shape, &cost)?,
    };
    own::count(&mut work.counts, &name, spec, &extent);
    work.counts.add("step", work.passes as f64);
    work.own = Some(name);
    Ok(work)
}

/// A method beyond the first seven that asks only for scores.
fn outside(
    question: &Question<'_>,
    setting: &Setting,
    shape: Shape,
    cost: &Cost,
) -> Result<(Work, Extent), Error> {
    let work = questions(question, setting, shape, cost)?;
    let extent = Extent {
        passes: work.passes as usize,
        input: question.model.input(),
        layer: Shape::new(0, 0, 0),
        segments: setting.segments(),
    };
    Ok((work, extent))
}

fn rule(name: &str) -> Rule {
    match name {
        "deconvolution" => Rule::Deconvolution,
        "guided-backprop" => Rule::Guided,
        _ => Rule::Gradient,
    }
}

pub fn gradients(question: &Question<'_>, at: At, rule: Rule) -> Result<Work, Error> {
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
        ..Work::default()
    })
}

fn questions(
    question: &Question<'_>,
    setting: &Setting,
    shape: Shape,
    cost: &Cost,
) -> Result<Work, Error> {
    let mut arena = arena(question.model);
    let session = Session::new(question.model, &mut arena, Isa::detect())?;
    let hoc = setting.hoc();
    // What is asked next may depend on the scores.
    let depends = hoc.is_some() || setting.spec().depends_on_scores();
    let real = hoc.is_some() || (depends && cost.forward <= REAL);
    let most = if hoc.is_some() {
        cost.forward.min(256)
    } else {
        cost.forward
    };
    let mut watch = Watch::new(question.model, session, real, most);
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
    let (asked, seen) = watch.counts();
    if real || !depends || asked == 0 {
        return Ok(Work {
            passes: asked,
            counts: seen,
            ..Work::default()
        });
    }
    let mut counts = Counts::default();
    counts.merge(&seen, cost.forward as f64 / asked as f64);
    Ok(Work {
        passes: cost.forward,
        counts,
        most: true,
        ..Work::default()
    })
}

/// What one of the first seven does itself with scores and gradients.
fn shared(counts: &mut Counts, question: &Question<'_>, setting: &Setting, shape: Shape) {
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
