//! What a run asks, as flags.

use std::path::PathBuf;

use clap::Args;

use crate::backend::core::Arithmetic;
use crate::cli::limit_args::LimitArgs;
use crate::cli::model_args::ModelArgs;
use crate::cli::uncertainty::UncertaintyArgs;
use crate::cli::{CliError, note};
use crate::explainer::DEFAULT_SEED;
use crate::method_spec::MethodSpec;
use crate::metric_spec::MetricSpec;
use crate::model::{BackendKind, OpenModel, Unit};
use crate::run::data::{DataOptions, DataSet};
use crate::run::{Part, Runner};

/// Methods without `--method`.
const WHITE_BOX: [&str; 2] = ["grad-cam", "guided-backprop"];
const BLACK_BOX: [&str; 1] = ["occlusion"];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foveola run model.onnx pictures/ -o RUN --method grad-cam --method rise:masks=1000 --metric deletion
  foveola run model.onnx pictures/ -o RUN --truth labels.csv --boxes boxes.json --uncertainty --hoc
  foveola plan model.onnx pictures/ -o RUN; foveola run RUN --shard 1/4

DATA is a folder with a folder a class, a folder of Pascal VOC, or a CSV, COCO or JSON file.
Killed at any time and run again, it goes on where it was, and the bytes are the same;
`host/docs/run.md` describes them. RUN.log beside the folder holds times.

Exit code 0 if all is done; 130 if it was stopped, and finished shards are kept; 2 for an error.")]
pub struct RunArgs {
    #[command(flatten)]
    pub question: Question,

    /// Pictures computed at the same time, one thread each; results do not depend on it [default: all processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,

    /// Compute only the shards of part I of N
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Part>,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub question: Question,
}

#[derive(Debug, Args)]
pub struct Question {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Pictures: a folder or a file; without it MODEL is the folder of a planned run
    pub data: Option<PathBuf>,

    /// Folder of the run
    #[arg(short, long, value_name = "RUN")]
    pub out: Option<PathBuf>,

    /// Method, NAME[:key=value,...]; repeats [default: grad-cam and guided-backprop, or occlusion]
    #[arg(short, long = "method", value_name = "METHOD")]
    pub methods: Vec<MethodSpec>,

    /// Metric, NAME[:key=value,...]; repeats
    #[arg(long = "metric", value_name = "METRIC")]
    pub metrics: Vec<MetricSpec>,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub uncertainty: UncertaintyArgs,

    /// Search the smallest region that is enough for each predicted class
    #[arg(long, value_name = "HOC", num_args = 0..=1, default_missing_value = "hoc")]
    pub hoc: Option<MethodSpec>,

    /// Explain a unit of the network in every picture instead of classes: the mean of
    /// a tensor's channel, or its value in one place
    #[arg(
        long,
        value_name = "TENSOR:CHANNEL[,ROW,COLUMN]",
        conflicts_with_all = ["truth", "boxes", "threshold", "first_class", "column"]
    )]
    pub unit: Option<Unit>,

    /// Probability above which a class counts as predicted
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    pub threshold: f32,

    /// Key of every random number
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    pub seed: u64,

    /// How `core` adds products: strict is the same bits on every machine, fused is faster
    #[arg(long, value_enum, default_value_t)]
    pub arithmetic: Arithmetic,

    /// File with the labels of the pictures in a folder: CSV, COCO or JSON
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,

    /// File, or folder of VOC files, with boxes
    #[arg(long, value_name = "FILE")]
    pub boxes: Option<PathBuf>,

    /// Folder that the names in a file start from [default: the file's own]
    #[arg(long, value_name = "DIR")]
    pub pictures_in: Option<PathBuf>,

    /// Column of the labels in a table
    #[arg(long, value_name = "NAME")]
    pub column: Option<String>,

    /// Added to class numbers of files: 1 for a network with a background class that they do not count
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub first_class: usize,

    /// Training pictures: the five nearest are named beside each doubtful answer
    #[arg(long, value_name = "DIR")]
    pub train: Option<PathBuf>,

    /// Score no random map and no map of the middle beside the methods
    #[arg(long)]
    pub no_baselines: bool,

    /// Do not keep what the network saw
    #[arg(long)]
    pub no_pictures: bool,

    /// Pictures of a shard: what a killed run loses at most [default: 4 to 64, fewer where they take longer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub shard_size: Option<u64>,
}

impl Question {
    /// Where the run goes.
    pub fn folder(&self) -> Result<PathBuf, CliError> {
        let none = || CliError::Usage(String::from("give the folder of the run: -o RUN"));
        self.out.clone().ok_or_else(none)
    }

    /// A flag that changes what is asked, if one was given.
    pub fn asks(&self) -> Option<&'static str> {
        let given = [
            ("--out", self.out.is_some()),
            ("--method", !self.methods.is_empty()),
            ("--metric", !self.metrics.is_empty()),
            ("--uncertainty", self.uncertainty.uncertainty),
            ("--max-passes", self.limits.max_passes.is_some()),
            ("--deadline", self.limits.deadline.is_some()),
            ("--hoc", self.hoc.is_some()),
            ("--unit", self.unit.is_some()),
            ("--threshold", self.threshold != 0.5),
            ("--seed", self.seed != DEFAULT_SEED),
            ("--arithmetic", self.arithmetic != Arithmetic::Strict),
            ("--truth", self.truth.is_some()),
            ("--boxes", self.boxes.is_some()),
            ("--pictures-in", self.pictures_in.is_some()),
            ("--train", self.train.is_some()),
            ("--column", self.column.is_some()),
            ("--first-class", self.first_class != 0),
            ("--no-baselines", self.no_baselines),
            ("--no-pictures", self.no_pictures),
            ("--shard-size", self.shard_size.is_some()),
            ("--backend", self.model.backend.is_some()),
            ("--precision", self.model.precision.is_some()),
        ];
        given
            .into_iter()
            .find(|(_, given)| *given)
            .map(|(flag, _)| flag)
    }

    /// Opens model and data, and asks.
    pub fn runner(&self) -> Result<Runner, CliError> {
        let mut model = self.model.open()?;
        if self.arithmetic != Arithmetic::Strict && model.backend() != BackendKind::Core {
            let reason =
                "--arithmetic is for the backend core; tract has its own, and so has a GPU";
            return Err(CliError::Usage(String::from(reason)));
        }
        model.arithmetic = self.arithmetic;
        let Some(path) = &self.data else {
            return Err(CliError::Usage(String::from("give a data set: MODEL DATA")));
        };
        let options = DataOptions {
            labels_file: self.truth.clone(),
            boxes_file: self.boxes.clone(),
            column: self.column.clone(),
            pictures: self.pictures_in.clone(),
            first_class: self.first_class,
        };
        let data = DataSet::open(path, &options, &model.card.labels, model.facts.classes)?;
        note(&format!("{} pictures, {}", data.items.len(), data.source));
        data.notes.iter().for_each(|text| note(text));
        let (labels, classes) = (&model.card.labels, model.facts.classes);
        let open = |path: &PathBuf| DataSet::open(path, &DataOptions::default(), labels, classes);
        let train = self.train.as_ref().map(open).transpose()?;
        let methods = self.methods(&model)?;
        let uncertainty = self.uncertainty.setting(self.seed, &model)?;
        let mut runner = Runner::new(model, data)
            .threshold(self.threshold)
            .seed(self.seed);
        if let Some(unit) = &self.unit {
            runner = runner.unit(unit.clone())?;
        }
        runner.data_options = options;
        runner.shard_size = self.shard_size;
        runner.allow_external = self.model.allow_external;
        runner.input_size = self.model.input_size;
        runner = methods.into_iter().fold(runner, Runner::method);
        runner = self.metrics.iter().cloned().fold(runner, Runner::metric);
        if let Some(setting) = uncertainty {
            runner = runner.uncertainty(setting.passes);
        }
        if let Some(train) = train {
            runner = runner.train(train);
        }
        if let Some(hoc) = &self.hoc {
            runner = runner.hoc(hoc.clone().within(self.limits.limits()));
        }
        if self.no_baselines {
            runner = runner.without_baselines();
        }
        Ok(match self.no_pictures {
            true => runner.without_pictures(),
            false => runner,
        })
    }

    fn methods(&self, model: &OpenModel) -> Result<Vec<MethodSpec>, CliError> {
        let within = |spec: MethodSpec| spec.within(self.limits.limits());
        let methods = self.named(model)?.into_iter();
        Ok(methods.map(within).collect())
    }

    /// The methods that were named, or the usual ones.
    fn named(&self, model: &OpenModel) -> Result<Vec<MethodSpec>, CliError> {
        if !self.methods.is_empty() {
            return Ok(self.methods.clone());
        }
        let usual: &[&str] = match model.backend() {
            BackendKind::Core | BackendKind::Gpu => &WHITE_BOX,
            BackendKind::Tract | BackendKind::Device => &BLACK_BOX,
        };
        let specs = usual.iter().map(|name| name.parse());
        let wrong = |e: crate::method_spec::SpecError| CliError::Usage(e.to_string());
        specs.collect::<Result<_, _>>().map_err(wrong)
    }
}
