//! The runner: what is asked of a data set, planned, computed and written.

use std::io::ErrorKind;
use std::path::Path;

use super::RunError;
use super::data::{DataOptions, DataSet};
use super::inquiry::{AskedUnit, Inquiry, Train};
use super::manifest::{HALF, MANIFEST, Manifest};
use super::nearest::{Features, NearestError, Neighbours};
use super::pool;
use super::shard::{UNFINISHED, in_folder, is_done, tidy};
use crate::backend::core::Arithmetic;
use crate::card::{Card, Labels, PartialCard};
use crate::explainer::DEFAULT_SEED;
use crate::method_spec::MethodSpec;
use crate::metric_spec::MetricSpec;
use crate::model::{OpenModel, OpenOptions, Precision, Unit};
use crate::uncertainty::Setting;

/// Explains and scores a whole data set.
///
/// ```no_run
/// use foveola::model::{OpenModel, OpenOptions};
/// use foveola::run::data::{DataOptions, DataSet};
/// use foveola::run::{Part, Quiet, Runner};
///
/// let model = OpenModel::open("model.onnx".as_ref(), &OpenOptions::default())?;
/// let labels = model.card.labels.clone();
/// let data = DataSet::open("pictures".as_ref(), &DataOptions::default(), &labels, model.facts.classes)?;
/// let mut runner = Runner::new(model, data)
///     .method("grad-cam".parse()?)
///     .method("rise:masks=1000".parse()?)
///     .metric("deletion".parse()?)
///     .uncertainty(10);
/// runner.workers = 4;
/// let ended = runner.run("RUN".as_ref(), Part::WHOLE, &Quiet)?;
/// assert!(ended.complete);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Runner {
    pub(super) inquiry: Inquiry,
    pub(super) train: Option<DataSet>,
    /// How the data set was opened.
    pub data_options: DataOptions,
    /// Pictures that are computed at the same time; results do not depend on it.
    pub workers: usize,
    /// Pictures of a shard; by default as many as take a while.
    pub shard_size: Option<u64>,
    /// Whether the model's files were allowed to name others.
    pub allow_external: bool,
    /// Height and width that were chosen for a model that leaves them open.
    pub input_size: Option<[usize; 2]>,
}

/// Which shards are computed: those whose number leaves `index` when divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub index: u64,
    /// Number of parts.
    pub of: u64,
}

impl Part {
    /// All shards.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Whether a shard belongs to this part.
    pub const fn has(self, shard: u64) -> bool {
        let of = if self.of == 0 { 1 } else { self.of };
        shard % of == self.index
    }
}

impl std::str::FromStr for Part {
    type Err = String;

    /// `1/4` to `4/4`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || String::from("it takes a part and how many there are, 1/4 to 4/4");
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        match (index.parse::<u64>(), of.parse::<u64>()) {
            (Ok(index), Ok(of)) if (1..=of).contains(&index) => Ok(Self {
                index: index - 1,
                of,
            }),
            _ => Err(wrong()),
        }
    }
}

/// Told how far a run is; may stop it. Called from several threads.
pub trait Observe: Sync {
    /// So many pictures are to be computed; so many were there already.
    fn begin(&self, todo: u64, there: u64);
    /// One picture is done; `failure` says why it could not be read or classified.
    fn picture(&self, file: &str, failure: Option<&str>);
    /// A shard is in its place.
    fn shard(&self, seal: &super::shard::Seal);
    /// Whether the run should end now.
    fn stopped(&self) -> bool;
}

/// Goes on without a word.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Observe for Quiet {
    fn begin(&self, _todo: u64, _there: u64) {}
    fn picture(&self, _file: &str, _failure: Option<&str>) {}
    fn shard(&self, _seal: &super::shard::Seal) {}
    fn stopped(&self) -> bool {
        false
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Pictures computed now.
    pub pictures: u64,
    /// Those of them that could not be read or classified.
    pub failures: u64,
    /// Shards left to other processes that compute them now.
    pub elsewhere: u64,
    /// Whether it was stopped.
    pub stopped: bool,
    /// Whether every shard of the run is in its place.
    pub complete: bool,
}

impl Runner {
    /// Asks nothing yet.
    pub fn new(model: OpenModel, data: DataSet) -> Self {
        Self {
            inquiry: Inquiry {
                model,
                data,
                methods: Vec::new(),
                baselines: true,
                metrics: Vec::new(),
                uncertainty: None,
                hoc: None,
                threshold: 0.5,
                seed: DEFAULT_SEED,
                pictures: true,
                train: None,
                unit: None,
            },
            train: None,
            data_options: DataOptions::default(),
            workers: 1,
            shard_size: None,
            allow_external: false,
            input_size: None,
        }
    }

    /// Explains with this method.
    #[must_use]
    pub fn method(mut self, method: MethodSpec) -> Self {
        self.inquiry.methods.push(method);
        self
    }

    /// Scores every map with this metric.
    #[must_use]
    pub fn metric(mut self, metric: MetricSpec) -> Self {
        self.inquiry.metrics.push(metric);
        self
    }

    /// Measures uncertainty with so many passes with dropout.
    #[must_use]
    pub fn uncertainty(mut self, passes: usize) -> Self {
        let mut setting = Setting {
            passes,
            ..Setting::default()
        };
        setting.dropout.seed = self.inquiry.seed;
        self.inquiry.uncertainty = Some(setting);
        self
    }

    /// Searches the smallest sufficient region of each predicted class with
    /// this setting of the method `hoc`.
    #[must_use]
    pub fn hoc(mut self, hoc: MethodSpec) -> Self {
        self.inquiry.hoc = Some(hoc);
        self
    }

    /// Sets the probability above which a class counts as predicted; 0.5 unless set.
    #[must_use]
    pub const fn threshold(mut self, threshold: f32) -> Self {
        self.inquiry.threshold = threshold;
        self
    }

    /// Sets the key of every random number.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.inquiry.seed = seed;
        if let Some(setting) = &mut self.inquiry.uncertainty {
            setting.dropout.seed = seed;
        }
        self
    }

    /// Leaves out the random map and the one of the middle, which are scored
    /// beside the methods otherwise.
    #[must_use]
    pub const fn without_baselines(mut self) -> Self {
        self.inquiry.baselines = false;
        self
    }

    /// Does not keep what the network saw.
    #[must_use]
    pub const fn without_pictures(mut self) -> Self {
        self.inquiry.pictures = false;
        self
    }

    /// Finds the nearest of these pictures beside doubtful ones.
    #[must_use]
    pub fn train(mut self, train: DataSet) -> Self {
        self.train = Some(train);
        self
    }

    /// Asks about a unit of the network instead of classes: one answer a picture,
    /// whatever it shows, so labels and boxes are left out.
    ///
    /// # Errors
    /// A unit that the model has not.
    pub fn unit(mut self, unit: Unit) -> Result<Self, RunError> {
        let card = self.inquiry.model.card.clone();
        self.inquiry.model = self.inquiry.model.of_unit(&unit)?;
        self.inquiry.data = self.inquiry.data.unlabelled();
        self.inquiry.unit = Some(AskedUnit { unit, card });
        Ok(self)
    }

    /// The data set.
    pub const fn data(&self) -> &DataSet {
        &self.inquiry.data
    }

    /// The model.
    pub const fn model(&self) -> &OpenModel {
        &self.inquiry.model
    }

    /// Opens model and data set as a manifest names them.
    ///
    /// # Errors
    /// Files that are not there; what differs from the manifest is found when
    /// the run begins.
    pub fn of_manifest(manifest: &Manifest) -> Result<Self, RunError> {
        let Manifest {
            model,
            data,
            config,
            ..
        } = manifest;
        let options = OpenOptions {
            backend: Some(config.backend),
            card_file: None,
            card: partial(config.unit.as_ref().map_or(&model.card, |unit| &unit.card)),
            allow_external: config.allow_external,
            input_size: config.input_size,
            adapter: None,
            precision: match config.arithmetic == HALF {
                true => Precision::Half,
                false => Precision::Full,
            },
        };
        let mut open = OpenModel::open(&model.path, &options)?;
        if config.arithmetic != "strict" {
            open.arithmetic = Arithmetic::Fused;
        }
        let options = DataOptions {
            labels_file: data.labels.clone(),
            boxes_file: data.boxes.clone(),
            column: data.column.clone(),
            pictures: data.pictures_in.clone(),
            first_class: data.first_class,
        };
        let (labels, classes) = (&open.card.labels, open.facts.classes);
        let set = DataSet::open(&data.path, &options, labels, classes);
        let train = match &config.train {
            Some(train) => Some(DataSet::open(
                &train.path,
                &DataOptions::default(),
                labels,
                classes,
            )?),
            None => None,
        };
        let mut runner = Self::new(open, set?);
        runner.train = train;
        runner.data_options = options;
        if let Some(unit) = &config.unit {
            runner = runner.unit(unit.name.parse().map_err(RunError::Question)?)?;
        }
        runner.ask(manifest)?;
        Ok(runner)
    }

    /// Asks what a manifest asks.
    fn ask(&mut self, manifest: &Manifest) -> Result<(), RunError> {
        let config = &manifest.config;
        let question = |e: crate::method_spec::SpecError| RunError::Question(e.to_string());
        let method = |text: &str| text.parse::<MethodSpec>().map_err(question);
        let asked = config.methods.iter().filter(|m| !m.baseline);
        let inquiry = &mut self.inquiry;
        inquiry.methods = asked.map(|m| method(&m.spec)).collect::<Result<_, _>>()?;
        inquiry.baselines = config.methods.iter().any(|m| m.baseline);
        let metrics = config.metrics.iter().map(|m| m.parse().map_err(question));
        inquiry.metrics = metrics.collect::<Result<_, _>>()?;
        inquiry.hoc = config.hoc.as_deref().map(method).transpose()?;
        inquiry.threshold = config.threshold;
        inquiry.seed = config.seed;
        inquiry.pictures = config.pictures;
        if let Some(passes) = config.uncertainty {
            let mut setting = Setting {
                passes,
                ..Setting::default()
            };
            setting.dropout.seed = config.seed;
            inquiry.uncertainty = Some(setting);
        }
        self.shard_size = Some(manifest.shards.size);
        self.allow_external = config.allow_external;
        self.input_size = config.input_size;
        Ok(())
    }

    /// Writes the manifest, or finds that the folder holds the same run.
    ///
    /// # Errors
    /// [`RunError::Other`], and what [`Runner::plan`] reports.
    pub fn prepare(&mut self, folder: &Path) -> Result<Manifest, RunError> {
        let manifest = self.plan()?;
        if !folder.join(MANIFEST).exists() {
            put_manifest(folder, &manifest)?;
        }
        // Of two processes that begin at once one was first.
        let there = Manifest::open(folder)?;
        match there.difference(&manifest) {
            None => Ok(there),
            Some(difference) => Err(RunError::Other {
                path: folder.to_path_buf(),
                difference,
            }),
        }
    }

    /// Computes the shards of `part` that are not there yet, and puts each in
    /// its place in `folder` as soon as it is finished.
    ///
    /// # Errors
    /// As [`Runner::prepare`]; a disk that is full, a model that does not start.
    pub fn run(
        &mut self,
        folder: &Path,
        part: Part,
        observe: &dyn Observe,
    ) -> Result<Ended, RunError> {
        let manifest = self.prepare(folder)?;
        let own = (0..manifest.shards.count).filter(|&shard| part.has(shard));
        let todo: Vec<u64> = own.filter(|&shard| !is_done(folder, shard)).collect();
        let pictures = |shard: u64| {
            let range = manifest.shards.pictures(shard, manifest.data.pictures);
            range.end - range.start
        };
        let missing: u64 = todo.iter().map(|&shard| pictures(shard)).sum();
        let all = (0..manifest.shards.count).filter(|&shard| part.has(shard));
        observe.begin(missing, all.map(pictures).sum::<u64>() - missing);
        if missing > 0 && !self.learn(observe)? {
            return Ok(Ended {
                stopped: true,
                ..Ended::default()
            });
        }
        let ended = pool::compute(
            &self.inquiry,
            &manifest,
            folder,
            todo,
            self.workers,
            observe,
        );
        tidy(folder, false);
        let mut ended = ended?;
        ended.complete = (0..manifest.shards.count).all(|shard| is_done(folder, shard));
        tidy(folder, ended.complete);
        Ok(ended)
    }
}

impl Runner {
    /// Reads the training pictures; `Ok(false)` if it was stopped.
    fn learn(&mut self, observe: &dyn Observe) -> Result<bool, RunError> {
        let Some(train) = &self.train else {
            return Ok(true);
        };
        let model = &self.inquiry.model;
        let mut features = Features::new(model)?;
        let mut watch = |_: usize, _: usize| !observe.stopped();
        let neighbours = match Neighbours::of(model, &mut features, train, &mut watch) {
            Err(NearestError::Stopped) => return Ok(false),
            neighbours => neighbours?,
        };
        self.inquiry.train = Some(Train {
            features,
            neighbours,
        });
        Ok(true)
    }
}

/// Puts a manifest in its place, whole, unless there is one.
pub(super) fn put_manifest(folder: &Path, manifest: &Manifest) -> Result<(), RunError> {
    let unfinished = folder.join(UNFINISHED);
    let write = |path: &Path, e: &dyn std::fmt::Display| RunError::write(path, e);
    let path = folder.join(MANIFEST);
    let bytes = manifest.to_bytes().map_err(|e| write(&path, &e))?;
    let aside = unfinished.join(format!("{MANIFEST}.{}", std::process::id()));
    in_folder(&unfinished, || std::fs::write(&aside, &bytes))?;
    // A rename would replace what another process has put there.
    let placed = match std::fs::hard_link(&aside, &path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has links.
        Err(_) => std::fs::rename(&aside, &path),
        Ok(()) => Ok(()),
    };
    // After a rename it is gone.
    let _ = std::fs::remove_file(&aside);
    tidy(folder, false);
    placed.map_err(|e| write(&path, &e))
}

/// The card of a manifest, before every other.
fn partial(card: &Card) -> PartialCard {
    PartialCard {
        size: Some(card.size),
        resize: Some(card.resize),
        channels: Some(card.channels),
        mean: Some(card.mean.clone()),
        scale: Some(card.scale.clone()),
        activation: Some(card.activation),
        labels: Some(Labels::List(card.labels.clone())),
    }
}
