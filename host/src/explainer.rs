//! A model and a picture in, saliency maps out. The crate's page shows how.

mod again;
mod answer;
mod balance;
mod consensus;
mod counting;
mod figures;
mod map;
mod pace;
mod region;
mod removal;
mod score;
mod segmented;
pub(crate) mod setting;
mod stability;
mod target;

use std::path::Path;

use foveola_core::explain::{Cost, Progress};
use foveola_core::{Error, Score, Shape};

use crate::method_spec::{Limits, MethodSpec, SpecError};
use crate::model::{ModelError, OpenModel, OpenOptions, Running, Wanted};
use crate::photo::{Photo, PhotoError};
use crate::uncertainty::{self, Uncertainty};

pub use again::Again;
pub use answer::explain_running;
pub(crate) use answer::{explain_known, explain_other};
pub use balance::LayerBalance;
pub use consensus::{Consensus, consensus};
pub use figures::{Companions, Figures};
pub use map::{Passes, SaliencyMap, evidence_of, score_name};
pub use pace::StoppedBy;
pub use region::{Layer, Region, Step};
pub use removal::Removal;
pub use score::MapScore;
pub use stability::{SEEDS, Stability, is_sampled};
pub(crate) use target::best;
pub use target::{Target, TargetError};

use answer::both_scores;
use pace::Pace;
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
    /// The class that all are held against: maps explain differences of scores.
    pub against: Option<Target>,
    /// Probability above which a class counts as predicted.
    pub threshold: f32,
    /// The score explained; `None` leaves it to the method (logit for gradient
    /// methods, probability for perturbation methods).
    pub score: Option<Score>,
    /// Key of every random number.
    pub seed: u64,
    /// Whether the classes are units of a layer ([`OpenModel::of_unit`]): then
    /// scores are values, not probabilities.
    pub units: bool,
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
            against: None,
            threshold: 0.5,
            score: None,
            seed: DEFAULT_SEED,
            units: false,
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

/// Watched and limited steps, and the numbers beside the maps, target by target.
struct Steps<'a> {
    watch: &'a mut dyn Watch,
    pace: Pace,
    figures: Vec<Figures>,
    companions: Vec<Companions>,
}

impl<'a> Steps<'a> {
    fn new(watch: &'a mut dyn Watch, limits: Limits, targets: usize) -> Self {
        let figures = vec![Figures::new(); targets];
        let companions = vec![Companions::new(); targets];
        Self {
            watch,
            pace: Pace::new(limits),
            figures,
            companions,
        }
    }
}

impl Progress for Steps<'_> {
    fn step(&mut self, done: u64, total: u64) -> bool {
        let wants = self.watch.step(done, total);
        self.pace.goes_on(done, wants)
    }

    fn note(&mut self, target: usize, name: &'static str, value: f64) {
        if let Some(figures) = self.figures.get_mut(target) {
            figures.insert(name, value);
        }
    }

    fn companion(&mut self, target: usize, name: &'static str, values: &[f32]) {
        if let Some(companions) = self.companions.get_mut(target) {
            companions.insert(name, values.to_vec());
        }
    }
}

/// Cost of a method and shape of its map, or why it cannot run.
pub type MethodCost = Result<(Cost, Shape), String>;

/// A model that answers questions about pictures.
#[derive(Debug)]
pub struct Explainer {
    model: OpenModel,
    threads: usize,
    /// What the model was last started for, and the model running.
    running: Option<(Wanted, Running)>,
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
        Self {
            model,
            threads,
            running: None,
        }
    }

    /// The model, running, for what is wanted.
    fn start(&mut self, wanted: &Wanted) -> Result<&mut Running, ModelError> {
        let serves = |(have, _): &(Wanted, Running)| have.serves(wanted);
        let running = match self.running.take().filter(serves) {
            Some(running) => running,
            None => (wanted.clone(), self.model.start_for(wanted, self.threads)?),
        };
        Ok(&mut self.running.insert(running).1)
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
    pub fn classify(&mut self, photo: &Photo) -> Result<(Vec<f32>, Vec<f32>), ExplainError> {
        let own = self.model.output_score();
        both_scores(&mut *self.start(&Wanted::default())?.classifier, photo, own)
    }

    /// How sure the model is about a picture.
    ///
    /// # Errors
    /// A model that does not start, fails on this picture, or has no dropout.
    pub fn uncertainty(
        &mut self,
        photo: &Photo,
        setting: &uncertainty::Setting,
    ) -> Result<Uncertainty, ExplainError> {
        let classifier = &mut *self.start(&Wanted::default())?.classifier;
        uncertainty::of(classifier, photo, setting).map_err(ExplainError::Classifier)
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
        let priced = priced(&self.model, methods, targets)?;
        let costs = priced.into_iter().map(|p| p.map_err(|e| e.to_string()));
        Ok(costs.map(|p| p.map(|p| (p.cost, p.shape))).collect())
    }

    /// Answers a question.
    ///
    /// # Errors
    /// Everything that can be wrong is found before the first method runs,
    /// unless the model itself fails.
    pub fn explain(
        &mut self,
        photo: &Photo,
        question: &Question,
    ) -> Result<Explanation, ExplainError> {
        self.explain_watched(photo, question, &mut Unwatched)
    }

    /// As [`Explainer::explain`], watched.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn explain_watched(
        &mut self,
        photo: &Photo,
        question: &Question,
        watch: &mut dyn Watch,
    ) -> Result<Explanation, ExplainError> {
        let own = self.model.output_score();
        let labels = self.model.card.labels.clone();
        let running = self.start(&wanted(&question.methods))?;
        explain_running(running, (photo, &labels, own), question, watch)
    }
}

/// A method with its layer named, and what it takes.
pub(crate) struct Priced {
    pub spec: MethodSpec,
    pub cost: Cost,
    pub shape: Shape,
}

/// What each method takes for `targets` classes, or why it cannot run on any
/// picture of the model.
///
/// # Errors
/// A model that does not start.
pub(crate) fn priced(
    model: &OpenModel,
    methods: &[MethodSpec],
    targets: usize,
) -> Result<Vec<Result<Priced, ExplainError>>, ExplainError> {
    let mut running = model.start_for(&wanted(methods), 1)?;
    let intake = model.intake();
    let photo = Photo::from_tensor(vec![0.0; intake.shape.len()], &intake);
    let price = |spec: &MethodSpec| {
        let setting = Setting::new(spec, &photo, &mut running)?;
        let cost = setting.check(&mut *running.classifier, targets)?;
        let shape = setting.with_method(|m| m.map_shape(&mut *running.classifier));
        Ok(Priced {
            spec: setting.spec().clone(),
            cost,
            shape: shape.map_err(ExplainError::Classifier)?,
        })
    };
    Ok(methods.iter().map(price).collect())
}

/// What methods want of a model.
pub fn wanted(methods: &[MethodSpec]) -> Wanted {
    let named = methods.iter().filter_map(MethodSpec::layer);
    Wanted {
        layers: named.map(String::from).collect(),
        relevance: methods.iter().any(MethodSpec::needs_relevance),
    }
}
