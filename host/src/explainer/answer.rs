//! From a question to its answer, on any classifier.

use std::time::Instant;

use foveola_core::explain::{Contrast, Cost, MapKind, Method, Outcome, Query};
use foveola_core::{Classifier, Error, Masked, Score, Shape};

use super::counting::Counting;
use super::setting::Setting;
use super::{
    Companions, ExplainError, Explanation, Figures, LayerBalance, Passes, Question, Region,
    SaliencyMap, Steps, StoppedBy, Watch, region, target,
};
use crate::card::label;
use crate::method_spec::MethodSpec;
use crate::model::Running;
use crate::photo::Photo;

/// Answers a question with a model that runs, also one of your own
/// ([`Running::new`]): the photo, the labels (empty if there are none), and
/// which kind of score the model itself puts out.
///
/// # Errors
/// Everything that can be wrong is found before the first method runs, unless
/// the model itself fails.
pub fn explain_running(
    running: &mut Running,
    (photo, labels, own): (&Photo, &[String], Score),
    question: &Question,
    watch: &mut dyn Watch,
) -> Result<Explanation, ExplainError> {
    let (scores, probabilities) = both_scores(&mut *running.classifier, photo, own)?;
    let targets = target::choose(question, &probabilities, labels)?;
    let rival = target::rival(question, &targets, &probabilities, labels)?;
    let known = (probabilities.len(), labels);
    let settings = question.methods.iter().map(|spec| {
        let spec = target::with_rival(spec, &targets, rival, known)?;
        Setting::new(&spec, photo, running)
    });
    let settings = settings.collect::<Result<Vec<_>, ExplainError>>()?;
    let classifier = &mut *running.classifier;
    let mut explanation = Explanation {
        scores,
        probabilities,
        targets,
        maps: Vec::new(),
        stopped: false,
    };
    for setting in &settings {
        if watch.stopped() {
            break;
        }
        let maps = run(
            setting,
            (photo, labels),
            (question, rival),
            &explanation,
            classifier,
            watch,
        )?;
        explanation.maps.extend(maps);
    }
    explanation.stopped = watch.stopped();
    number_repeats(&mut explanation.maps);
    Ok(explanation)
}

/// Runs one method for all targets.
fn run(
    setting: &Setting,
    (photo, labels): (&Photo, &[String]),
    (question, rival): (&Question, Option<usize>),
    known: &Explanation,
    classifier: &mut dyn Classifier,
    watch: &mut dyn Watch,
) -> Result<Vec<SaliencyMap>, ExplainError> {
    let query = Query {
        picture: photo.picture(),
        targets: &known.targets,
        score: question.score,
        seed: question.seed,
    };
    let (answer, seconds) = held(setting, classifier, &query, (rival, watch))?;
    let own = setting
        .spec()
        .against()
        .and_then(|class| class.parse().ok());
    let rival = own.or(rival);
    let balances = setting.balances(known.targets.len());
    let parameters = setting.parameters(classifier);
    let kind = setting.spec().row.map;
    let named = |((raw, balance), &target): ((Raw, Vec<LayerBalance>), &usize)| {
        let map = SaliencyMap {
            spec: setting.spec().clone(),
            parameters: parameters.clone(),
            score: setting.score(question.score),
            target,
            label: match rival {
                None => label(labels, target),
                Some(rival) => {
                    format!(
                        "{} rather than {}",
                        label(labels, target),
                        label(labels, rival)
                    )
                }
            },
            against: rival,
            probability: known.probabilities[target],
            unit: question.units,
            repeat: 1,
            shape: answer.shape,
            values: raw.values,
            size: [0, 0],
            pixels: Vec::new(),
            outcome: raw.outcome,
            stopped: raw.stopped,
            passes: raw.passes.unwrap_or(answer.passes),
            seconds,
            region: raw.region,
            figures: raw.figures,
            companions: raw.companions,
            balance,
        };
        map.shown_at(photo.shape(), kind)
    };
    let maps = answer.maps.into_iter().zip(balances);
    Ok(maps.zip(&known.targets).map(named).collect())
}

/// The maps of one method for classes whose probabilities are known.
///
/// # Errors
/// As [`explain_running`].
pub(crate) fn explain_known(
    running: &mut Running,
    (photo, labels): (&Photo, &[String]),
    spec: &MethodSpec,
    (targets, probabilities): (&[usize], &[f32]),
    seed: u64,
    watch: &mut dyn Watch,
) -> Result<Vec<SaliencyMap>, ExplainError> {
    let known = (probabilities.len(), labels);
    let spec = target::with_rival(spec, targets, None, known)?;
    let setting = Setting::new(&spec, photo, running)?;
    let question = Question {
        methods: Vec::new(),
        targets: Vec::new(),
        threshold: 0.0,
        against: None,
        score: None,
        seed,
        units: false,
    };
    let known = Explanation {
        scores: Vec::new(),
        probabilities: probabilities.to_vec(),
        targets: targets.to_vec(),
        maps: Vec::new(),
        stopped: false,
    };
    let classifier = &mut *running.classifier;
    run(
        &setting,
        (photo, labels),
        (&question, None),
        &known,
        classifier,
        watch,
    )
}

/// The map of one method for one class, and what became of it, with another
/// classifier in the place of the model that runs, which only names layers.
///
/// # Errors
/// As [`explain_running`].
pub(crate) fn explain_other(
    running: &mut Running,
    other: &mut dyn Classifier,
    (photo, spec): (&Photo, &MethodSpec),
    (target, seed): (usize, u64),
    watch: &mut dyn Watch,
) -> Result<(Vec<f32>, Outcome), ExplainError> {
    let setting = Setting::new(spec, photo, running)?;
    let query = Query {
        picture: photo.picture(),
        targets: &[target],
        score: None,
        seed,
    };
    let (answer, _) = timed(&setting, other, &query, watch)?;
    let raw = answer.maps.into_iter().next();
    let none = ExplainError::Classifier(Error::Internal);
    raw.map(|raw| (raw.values, raw.outcome)).ok_or(none)
}

/// As [`timed`], every class held against a rival if there is one and the
/// method does not do so itself.
pub(super) fn held(
    setting: &Setting,
    classifier: &mut dyn Classifier,
    query: &Query<'_>,
    (rival, watch): (Option<usize>, &mut dyn Watch),
) -> Result<(Answer, f64), ExplainError> {
    let Some(rival) = rival.filter(|_| !setting.is_held()) else {
        return timed(setting, classifier, query, watch);
    };
    let mut scores = vec![0.0; classifier.classes()];
    let contrast = Contrast::new(classifier, rival, &mut scores);
    let mut contrast = contrast.map_err(ExplainError::Classifier)?;
    timed(setting, &mut contrast, query, watch)
}

/// The answer of one method, and the seconds that it took.
pub(super) fn timed(
    setting: &Setting,
    classifier: &mut dyn Classifier,
    query: &Query<'_>,
    watch: &mut dyn Watch,
) -> Result<(Answer, f64), ExplainError> {
    let cost = setting.check(classifier, query.targets.len())?;
    watch.begin(setting.spec(), &cost);
    let begun = Instant::now();
    let answer = answer(setting, classifier, query, &cost, watch);
    watch.end();
    let answer = answer.map_err(ExplainError::Classifier)?;
    Ok((answer, begun.elapsed().as_secs_f64()))
}

/// What a method gives, before it has names.
pub(super) struct Answer {
    pub(super) shape: Shape,
    pub(super) passes: Passes,
    pub(super) maps: Vec<Raw>,
}

pub(super) struct Raw {
    pub(super) values: Vec<f32>,
    pub(super) outcome: Outcome,
    pub(super) stopped: Option<StoppedBy>,
    pub(super) region: Option<Region>,
    pub(super) figures: Figures,
    pub(super) passes: Option<Passes>,
    pub(super) companions: Companions,
}

pub(super) fn answer(
    setting: &Setting,
    classifier: &mut dyn Classifier,
    query: &Query<'_>,
    cost: &Cost,
    watch: &mut dyn Watch,
) -> Result<Answer, Error> {
    let mut counting = Counting::new(classifier);
    if let Some(hoc) = setting.hoc() {
        let mut steps = Steps::new(watch, setting.spec().limits, 0);
        let mut answer = region::search(hoc, &mut counting, query, &mut steps)?;
        for raw in &mut answer.maps {
            raw.stopped = steps
                .pace
                .stopped(setting.spec(), &raw.outcome, &raw.figures);
        }
        return Ok(answer);
    }
    setting.with_method(|method| ask((setting.spec(), method), &mut counting, query, cost, watch))
}

fn ask(
    (spec, method): (&MethodSpec, &dyn Method),
    classifier: &mut Counting<'_>,
    query: &Query<'_>,
    cost: &Cost,
    watch: &mut dyn Watch,
) -> Result<Answer, Error> {
    let shape = method.map_shape(classifier)?;
    let mut maps = vec![0.0; shape.len() * query.targets.len()];
    let mut outcomes = vec![Outcome::Flat; query.targets.len()];
    let mut scratch = vec![0.0; cost.scratch];
    let mut steps = Steps::new(watch, spec.limits, query.targets.len());
    method.explain(
        classifier,
        query,
        &mut maps,
        &mut outcomes,
        &mut scratch,
        &mut steps,
    )?;
    let maps = maps.chunks_exact(shape.len().max(1)).zip(outcomes);
    let told = steps.figures.into_iter().zip(steps.companions);
    let pace = steps.pace;
    let raw =
        |((values, outcome), (figures, companions)): ((&[f32], Outcome), (Figures, Companions))| {
            Raw {
                values: values.to_vec(),
                stopped: pace.stopped(spec, &outcome, &figures),
                outcome,
                region: None,
                figures,
                passes: None,
                companions,
            }
        };
    Ok(Answer {
        shape,
        passes: classifier.passes(),
        maps: maps.zip(told).map(raw).collect(),
    })
}

/// The model's own output, and probabilities.
pub(super) fn both_scores(
    classifier: &mut dyn Classifier,
    photo: &Photo,
    own: Score,
) -> Result<(Vec<f32>, Vec<f32>), ExplainError> {
    let whole = Masked::whole(photo.picture());
    let mut ask = |score| {
        let mut out = vec![0.0; classifier.classes()];
        let answered = classifier.classify(&whole, score, &mut out);
        answered.map(|()| out).map_err(ExplainError::Classifier)
    };
    let probabilities = ask(Score::Probability)?;
    let scores = match own {
        Score::Probability => probabilities.clone(),
        Score::Logit => ask(Score::Logit)?,
    };
    Ok((scores, probabilities))
}

/// A method asked for twice is told apart by a number.
fn number_repeats(maps: &mut [SaliencyMap]) {
    for i in 0..maps.len() {
        let (before, rest) = maps.split_at_mut(i);
        let same = |m: &&SaliencyMap| {
            m.spec.row.name == rest[0].spec.row.name && m.target == rest[0].target
        };
        rest[0].repeat = 1 + before.iter().filter(same).count();
    }
}

/// Whether a map stands for input elements that all change with their pixel.
pub(super) const fn is_elements(kind: MapKind) -> bool {
    matches!(kind, MapKind::Elements)
}
