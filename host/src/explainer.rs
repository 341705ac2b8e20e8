//! A model and a picture in, saliency maps out.
//!
//! ```
//! use foveola::explainer::{Explainer, Question};
//!
//! let explainer = Explainer::open("demo/scene.onnx")?;
//! let photo = explainer.photo("demo/scene.png")?;
//! let question = Question::of(["grad-cam", "occlusion"])?;
//! let explanation = explainer.explain(&photo, &question)?;
//! for map in &explanation.maps {
//!     println!("{}", map.sentence());
//!     map.overlay(&photo).save(std::env::temp_dir().join(map.file_stem()))?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod counting;
mod map;
mod region;
mod setting;
mod target;

use std::path::Path;
use std::time::Instant;

use foveola_core::explain::{Cost, MapKind, Method, Outcome, Progress, Query};
use foveola_core::{Classifier, Error, Masked, Score, Shape};

use crate::method_spec::{MethodSpec, SpecError};
use crate::model::{ModelError, OpenModel, OpenOptions, Running};
use crate::photo::{Photo, PhotoError};

pub use map::{Passes, SaliencyMap};
pub use region::{Layer, Region, Step};
pub use target::{Target, TargetError};

use counting::Counting;
use setting::Setting;

/// Seed of every random number, if none is given.
pub const DEFAULT_SEED: u64 = 20_260_117;

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The picture.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The text of a method.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A class that the model does not have.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A method that cannot run on this model and picture.
    #[error("`{method}` cannot run: {reason}")]
    Method {
        /// The method as it was asked for.
        method: String,
        /// Why not.
        reason: String,
    },
    /// The classifier failed.
    #[error("the model failed on this picture: {0}")]
    Classifier(Error),
}

/// What is asked about a picture.
#[derive(Clone, Debug)]
pub struct Question {
    /// The methods, in order.
    pub methods: Vec<MethodSpec>,
    /// The classes; all methods explain all of them.
    pub targets: Vec<Target>,
    /// Probability above which a class counts as predicted.
    pub threshold: f32,
    /// The score explained; `None` leaves it to the method (logit for gradient
    /// methods, probability for perturbation methods).
    pub score: Option<Score>,
    /// Key of every random number.
    pub seed: u64,
}

impl Question {
    /// Asks these methods about the best class.
    ///
    /// # Errors
    /// A method or parameter that does not exist.
    pub fn of<'a>(methods: impl IntoIterator<Item = &'a str>) -> Result<Self, SpecError> {
        let methods: Result<Vec<MethodSpec>, _> = methods.into_iter().map(str::parse).collect();
        Ok(Self {
            methods: methods?,
            targets: vec![Target::Top],
            threshold: 0.5,
            score: None,
            seed: DEFAULT_SEED,
        })
    }
}

/// The answer to a [`Question`].
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The model's whole output, as the model puts it out.
    pub scores: Vec<f32>,
    /// One probability a class.
    pub probabilities: Vec<f32>,
    /// The classes explained.
    pub targets: Vec<usize>,
    /// One map for each method and class, method by method.
    pub maps: Vec<SaliencyMap>,
    /// Whether it was stopped before the last method was through.
    pub stopped: bool,
}

/// Told what runs and how far it is; may stop it.
pub trait Watch {
    /// A method begins; `cost` is what it takes at most.
    fn begin(&mut self, method: &MethodSpec, cost: &Cost);
    /// `done` of `total` passes are done. `false` stops the method.
    fn step(&mut self, done: u64, total: u64) -> bool;
    /// The method has ended.
    fn end(&mut self);
    /// Whether no further method should begin.
    fn stopped(&self) -> bool;
}

/// Goes on without a word.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn begin(&mut self, _method: &MethodSpec, _cost: &Cost) {}
    fn step(&mut self, _done: u64, _total: u64) -> bool {
        true
    }
    fn end(&mut self) {}
    fn stopped(&self) -> bool {
        false
    }
}

struct Steps<'a>(&'a mut dyn Watch);

impl Progress for Steps<'_> {
    fn step(&mut self, done: u64, total: u64) -> bool {
        self.0.step(done, total)
    }
}

/// Cost of a method and shape of its map, or why it cannot run.
pub type MethodCost = Result<(Cost, Shape), String>;

/// A model that answers questions about pictures.
#[derive(Debug)]
pub struct Explainer {
    model: OpenModel,
    threads: usize,
}

impl Explainer {
    /// Opens a model with its card; as many threads as the machine has.
    ///
    /// # Errors
    /// What [`OpenModel::open`] reports.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ExplainError> {
        let model = OpenModel::open(path.as_ref(), &OpenOptions::default())?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self::new(model, threads))
    }

    /// An opened model and a number of threads; results do not depend on it.
    pub const fn new(model: OpenModel, threads: usize) -> Self {
        Self { model, threads }
    }

    /// The model.
    pub const fn model(&self) -> &OpenModel {
        &self.model
    }

    /// Reads a picture for this model.
    ///
    /// # Errors
    /// What [`Photo::open`] reports.
    pub fn photo(&self, path: impl AsRef<Path>) -> Result<Photo, ExplainError> {
        Ok(Photo::open(path.as_ref(), &self.model.intake())?)
    }

    /// The model's whole output, and one probability a class.
    ///
    /// # Errors
    /// A model that does not start, or fails on this picture.
    pub fn classify(&self, photo: &Photo) -> Result<(Vec<f32>, Vec<f32>), ExplainError> {
        let mut running = self.model.start(&[], self.threads)?;
        both_scores(&mut *running.classifier, photo, self.model.output_score())
    }

    /// Cost and map shape of each method for `targets` classes, or why it
    /// cannot run on any picture of this model.
    ///
    /// # Errors
    /// A model that does not start.
    pub fn costs(
        &self,
        methods: &[MethodSpec],
        targets: usize,
    ) -> Result<Vec<MethodCost>, ExplainError> {
        let layers = layers(methods);
        let mut running = self.model.start(&layers, 1)?;
        let intake = self.model.intake();
        let photo = Photo::from_tensor(vec![0.0; intake.shape.len()], &intake);
        let cost = |spec: &MethodSpec| {
            let setting = Setting::new(spec, &photo, &mut running)?;
            let cost = setting.check(&mut *running.classifier, targets)?;
            let shape = setting.with_method(|m| m.map_shape(&mut *running.classifier));
            Ok((cost, shape.map_err(ExplainError::Classifier)?))
        };
        let costs = methods.iter().map(cost);
        Ok(costs
            .map(|c| c.map_err(|e: ExplainError| e.to_string()))
            .collect())
    }

    /// Answers a question.
    ///
    /// # Errors
    /// Everything that can be wrong is found before the first method runs,
    /// unless the model itself fails.
    pub fn explain(&self, photo: &Photo, question: &Question) -> Result<Explanation, ExplainError> {
        self.explain_watched(photo, question, &mut Unwatched)
    }

    /// As [`Explainer::explain`], watched.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn explain_watched(
        &self,
        photo: &Photo,
        question: &Question,
        watch: &mut dyn Watch,
    ) -> Result<Explanation, ExplainError> {
        let mut running = self.model.start(&layers(&question.methods), self.threads)?;
        let settings = question
            .methods
            .iter()
            .map(|spec| Setting::new(spec, photo, &mut running))
            .collect::<Result<Vec<_>, _>>()?;
        let Running { classifier, .. } = &mut running;
        let (scores, probabilities) =
            both_scores(&mut **classifier, photo, self.model.output_score())?;
        let targets = target::choose(question, &probabilities, &self.model.card.labels)?;
        let mut explanation = Explanation {
            scores,
            probabilities,
            targets,
            maps: Vec::new(),
            stopped: false,
        };
        for setting in &settings {
            if watch.stopped() {
                explanation.stopped = true;
                break;
            }
            let found = self.run(
                setting,
                photo,
                question,
                &explanation,
                &mut **classifier,
                watch,
            )?;
            explanation.maps.extend(found);
        }
        explanation.stopped |= watch.stopped();
        number_repeats(&mut explanation.maps);
        Ok(explanation)
    }

    /// Runs one method for all targets.
    fn run(
        &self,
        setting: &Setting,
        photo: &Photo,
        question: &Question,
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
        let failed = |e| ExplainError::Classifier(e);
        let cost = setting.check(classifier, query.targets.len())?;
        watch.begin(setting.spec(), &cost);
        let begun = Instant::now();
        let answer = answer(setting, classifier, &query, &cost, watch);
        watch.end();
        let answer = answer.map_err(failed)?;
        let seconds = begun.elapsed().as_secs_f64();
        let named = |(i, raw): (usize, Raw)| {
            let target = known.targets[i];
            let map = SaliencyMap {
                spec: setting.spec().clone(),
                parameters: setting.parameters(classifier),
                target,
                label: self.model.card.label(target),
                probability: known.probabilities[target],
                repeat: 1,
                shape: answer.shape,
                values: raw.values,
                size: [0, 0],
                pixels: Vec::new(),
                outcome: raw.outcome,
                passes: raw.passes.unwrap_or(answer.passes),
                seconds,
                region: raw.region,
            };
            map.shown_at(photo.shape(), setting.spec().row.map)
        };
        Ok(answer.maps.into_iter().enumerate().map(named).collect())
    }
}

/// The layers that methods name.
fn layers(methods: &[MethodSpec]) -> Vec<String> {
    let named = methods.iter().filter_map(MethodSpec::layer);
    named.map(String::from).collect()
}

/// What a method gives, before it has names.
struct Answer {
    shape: Shape,
    passes: Passes,
    maps: Vec<Raw>,
}

struct Raw {
    values: Vec<f32>,
    outcome: Outcome,
    region: Option<Region>,
    passes: Option<Passes>,
}

fn answer(
    setting: &Setting,
    classifier: &mut dyn Classifier,
    query: &Query<'_>,
    cost: &Cost,
    watch: &mut dyn Watch,
) -> Result<Answer, Error> {
    let mut counting = Counting::new(classifier);
    if let Some(hoc) = setting.hoc() {
        return region::search(hoc, &mut counting, query, &mut Steps(watch));
    }
    setting.with_method(|method| ask(method, &mut counting, query, cost, watch))
}

fn ask(
    method: &dyn Method,
    classifier: &mut Counting<'_>,
    query: &Query<'_>,
    cost: &Cost,
    watch: &mut dyn Watch,
) -> Result<Answer, Error> {
    let shape = method.map_shape(classifier)?;
    let mut maps = vec![0.0; shape.len() * query.targets.len()];
    let mut outcomes = vec![Outcome::Flat; query.targets.len()];
    let mut scratch = vec![0.0; cost.scratch];
    let mut steps = Steps(watch);
    method.explain(
        classifier,
        query,
        &mut maps,
        &mut outcomes,
        &mut scratch,
        &mut steps,
    )?;
    let maps = maps.chunks_exact(shape.len().max(1));
    let raw = |(values, outcome): (&[f32], Outcome)| Raw {
        values: values.to_vec(),
        outcome,
        region: None,
        passes: None,
    };
    Ok(Answer {
        shape,
        passes: classifier.passes(),
        maps: maps.zip(outcomes).map(raw).collect(),
    })
}

/// The model's own output, and probabilities.
fn both_scores(
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
const fn is_elements(kind: MapKind) -> bool {
    matches!(kind, MapKind::Elements)
}
