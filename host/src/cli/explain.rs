//! `foveola explain`: overlays, arrays and sentences for one picture.

use std::path::{Path, PathBuf};

use clap::Args;
use foveola_core::Score;
use foveola_core::metric::Better;

use super::board_args::BoardArgs;
use super::limit_args::LimitArgs;
use super::model_args::{ModelArgs, failed};
use super::progress::{Terminal, catch_interrupts};
use super::table::lay_out;
use super::uncertainty::{UncertaintyArgs, words};
use super::unit_args::UnitArgs;
use super::{CliError, Ending, note, print};
use crate::backend::core::Arithmetic;
use crate::card::Card;
use crate::explainer::{
    Consensus, DEFAULT_SEED, Explainer, Explanation, MapScore, Question, Removal, SaliencyMap,
    Stability, Target, Watch, consensus,
};
use crate::method_spec::MethodSpec;
use crate::metric_spec::MetricSpec;
use crate::model::{BackendKind, OpenModel, sha256};
use crate::photo::{Photo, read};
use crate::report::files::{FileRecord, Run, write};
use crate::report::folder::OutputFolder;
use crate::uncertainty::{Setting, Uncertainty};

/// Methods without `--method`; the second needs scores only.
const DEFAULT_METHODS: [&str; 2] = ["grad-cam", "occlusion"];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foveola explain model.onnx photo.jpg
  foveola explain model.onnx photo.jpg --method rise:masks=2000 --target predicted
  foveola explain model.onnx photo.jpg --method occlusion:window=8,stride=4 --target \"tabby cat\"

  foveola explain model.onnx photo.jpg --metric insertion --metric deletion:steps=20

  foveola explain model.onnx photo.jpg --method lime:segments=mine.npy --device qemu:mps2-an386

`foveola methods` lists the methods with their parameters, `foveola metrics` the metrics.")]
pub struct ExplainArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Picture: PNG, JPEG, BMP, or a .npy tensor in the model's own input space
    pub picture: PathBuf,

    /// Method, NAME[:key=value,...]; repeats [default: grad-cam and occlusion]
    #[arg(short, long = "method", value_name = "METHOD")]
    pub methods: Vec<MethodSpec>,

    /// Metric that judges every map, NAME[:key=value,...]; repeats
    #[arg(long = "metric", value_name = "METRIC")]
    pub metrics: Vec<MetricSpec>,

    /// Also show what the methods agree on, class by class, and where they do not
    #[arg(long)]
    pub consensus: bool,

    /// Also take away the segments that speak against the class and classify again
    #[arg(long)]
    pub remove_opposing: bool,

    /// Also ask every method that samples with nine seeds: how much of a map is chance
    #[arg(long)]
    pub stability: bool,

    /// Class: top, predicted (all above the threshold), an index or a label; repeats [default: top]
    #[arg(
        short,
        long = "target",
        value_name = "CLASS",
        allow_negative_numbers = true,
        conflicts_with = "unit"
    )]
    pub targets: Vec<Target>,

    #[command(flatten)]
    pub unit: UnitArgs,

    #[command(flatten)]
    pub board: BoardArgs,

    /// Explain why each class rather than this one: the difference of their scores
    #[arg(long, value_name = "CLASS", allow_negative_numbers = true)]
    pub against: Option<Target>,

    /// Probability above which a class counts as predicted
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = share)]
    pub threshold: f32,

    /// ONNX node or tensor that Grad-CAM and its kin read [default: the last with rows and columns]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,

    /// Score explained [default: logit for gradient methods, probability for the others]
    #[arg(long, value_enum)]
    pub score: Option<ScoreKind>,

    /// Key of every random number
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    pub seed: u64,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub uncertainty: UncertaintyArgs,

    /// How `core` adds products: strict is the same bits on every machine, fused is faster
    #[arg(long, value_enum, default_value_t)]
    pub arithmetic: Arithmetic,

    /// Write arrays as the method makes them: C,H,W for attributions to input
    /// elements, the method's own resolution for others
    #[arg(long)]
    pub raw: bool,

    /// Folder for the files [default: foveola-out/PICTURE]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A score by name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum ScoreKind {
    /// Before the final softmax or sigmoid
    Logit,
    /// After it
    Probability,
}

impl From<ScoreKind> for Score {
    fn from(kind: ScoreKind) -> Self {
        match kind {
            ScoreKind::Logit => Self::Logit,
            ScoreKind::Probability => Self::Probability,
        }
    }
}

fn share(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|v| (0.0..=1.0).contains(v));
    value.ok_or_else(|| String::from("it takes a probability from 0 to 1"))
}

/// All that was found out about the picture.
struct Answered {
    explanation: Explanation,
    measured: Option<(Setting, Uncertainty)>,
    scores: Vec<Vec<MapScore>>,
    consensus: Vec<Consensus>,
    stability: Vec<Stability>,
    removals: Vec<Removal>,
}

/// Runs the command.
pub fn run(args: &ExplainArgs) -> Result<Ending, CliError> {
    let model = opened(args)?;
    let question = question(args, &model)?;
    let setting = args.uncertainty.setting(args.seed, &model)?;
    let bytes = read(&args.picture)?;
    let photo = Photo::from_bytes(&bytes, &args.picture, &model.intake())?;
    let picture = FileRecord {
        path: args.picture.display().to_string(),
        sha256: sha256(&bytes),
    };
    let stem = args.picture.file_stem().unwrap_or_default();
    let default = || PathBuf::from("foveola-out").join(stem);
    let folder = OutputFolder::open(&args.out.clone().unwrap_or_else(default))?;
    let place = folder.path().to_path_buf();
    let mut explainer = Explainer::new(model, args.model.threads());
    let answered = answer(args, &mut explainer, (&photo, &question), setting);
    let answered = answered.map_err(|error| failed(error, explainer.model()))?;
    // Metrics that a lost device failed on only say that they have no value.
    explainer.model().sound()?;
    let command: Vec<String> = std::env::args().skip(1).collect();
    write(
        &Run {
            command: &command,
            model: explainer.model(),
            picture: &picture,
            photo: &photo,
            question: &question,
            explanation: &answered.explanation,
            scores: &answered.scores,
            consensus: &answered.consensus,
            stability: &answered.stability,
            removals: &answered.removals,
            raw: args.raw,
            uncertainty: answered.measured.as_ref(),
        },
        folder,
    )?;
    tell(args, &explainer.model().card, &answered, &place);
    let lines = [
        explainer.model().device_line(),
        explainer.model().board_line(),
    ];
    lines.iter().flatten().for_each(|line| note(line));
    match answered.explanation.stopped {
        true => Ok(Ending::Stopped),
        false => Ok(Ending::Done),
    }
}

fn answer(
    args: &ExplainArgs,
    explainer: &mut Explainer,
    (photo, question): (&Photo, &Question),
    setting: Option<Setting>,
) -> Result<Answered, CliError> {
    catch_interrupts();
    let mut terminal = Terminal::new();
    let explanation = explainer.explain_watched(photo, question, &mut terminal)?;
    let measured = match setting {
        Some(setting) => Some((setting, explainer.uncertainty(photo, &setting)?)),
        None => None,
    };
    let asked = (args.seed, &mut terminal as &mut dyn Watch);
    let scores = explainer.score(photo, &explanation.maps, &args.metrics, asked)?;
    let consensus = match args.consensus {
        true => consensus(&explanation.maps),
        false => Vec::new(),
    };
    let stability = match args.stability {
        true => explainer.stability(photo, &explanation.maps, &mut terminal)?,
        false => Vec::new(),
    };
    let removals = match args.remove_opposing {
        true => explainer.without_opposing(photo, &explanation.maps)?,
        false => Vec::new(),
    };
    Ok(Answered {
        explanation,
        measured,
        scores,
        consensus,
        stability: stability.into_iter().flatten().collect(),
        removals: removals.into_iter().flatten().collect(),
    })
}

fn tell(args: &ExplainArgs, card: &Card, answered: &Answered, place: &Path) {
    let explanation = &answered.explanation;
    if let Some((setting, found)) = &answered.measured {
        print(&words(card, setting, found, &explanation.targets));
    }
    print(&sentences(explanation, &answered.consensus, place));
    for found in &answered.stability {
        print(&(found.sentence() + "\n"));
    }
    for removal in &answered.removals {
        print(&(removal.sentence(|class| card.label(class)) + "\n"));
    }
    if args.remove_opposing && answered.removals.is_empty() {
        note("nothing to remove: no segment of a signed map speaks against its class");
    }
    if args.stability && answered.stability.is_empty() {
        note("no stability: none of the methods samples, or fewer than two seeds give a map");
    }
    if args.consensus && answered.consensus.is_empty() {
        note("no consensus: fewer than two maps of a class have evidence");
    }
    if !args.metrics.is_empty() {
        print(&judged(explanation, &args.metrics, &answered.scores));
    }
    if explanation.stopped {
        note("stopped; what was finished is kept");
    }
}

/// The model, with the arithmetic that was asked for.
fn opened(args: &ExplainArgs) -> Result<OpenModel, CliError> {
    let mut model = args.model.open()?;
    if args.arithmetic != Arithmetic::Strict && model.backend() != BackendKind::Core {
        let reason = "--arithmetic is for the backend core; tract has its own, and so has a GPU";
        return Err(CliError::Usage(String::from(reason)));
    }
    model.arithmetic = args.arithmetic;
    args.board.of(args.unit.of(model)?)
}

/// One sentence a map, and where the files are.
fn sentences(explanation: &Explanation, agreed: &[Consensus], place: &Path) -> String {
    let lines = explanation.maps.iter().map(|map| map.sentence() + "\n");
    let lines = lines.chain(agreed.iter().map(|found| found.sentence() + "\n"));
    let overlays = match explanation.maps.len() + 2 * agreed.len() {
        1 => String::from("The overlay"),
        n => format!("{n} overlays"),
    };
    let end = format!("{overlays} and explain.json are in {}\n", place.display());
    lines.chain([end]).collect()
}

/// The scores in a table, and why some are missing.
fn judged(explanation: &Explanation, metrics: &[MetricSpec], scores: &[Vec<MapScore>]) -> String {
    let first = ["metric", "better"].map(String::from);
    let maps = || explanation.maps.iter().map(SaliencyMap::stem);
    let mut rows: Vec<Vec<String>> = vec![first.into_iter().chain(maps()).collect()];
    let mut missing = String::new();
    for (i, metric) in metrics.iter().enumerate() {
        let better = match metric.row.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        };
        let mut row = vec![metric.to_string(), String::from(better)];
        for (map, scores) in maps().zip(scores) {
            row.push(match &scores[i].score {
                Ok(value) => format!("{value:.4}"),
                Err(reason) => {
                    missing += &format!("no {metric} of {map}: {reason}\n");
                    String::from("-")
                }
            });
        }
        rows.push(row);
    }
    let right: Vec<usize> = (2..2 + explanation.maps.len()).collect();
    format!("\n{}{missing}", lay_out(&rows, &right))
}

fn question(args: &ExplainArgs, model: &OpenModel) -> Result<Question, CliError> {
    let mut question = Question::of(usual_methods(model).iter().copied())
        .map_err(|e| CliError::Usage(e.to_string()))?;
    if !args.methods.is_empty() {
        question.methods = args.methods.clone();
    }
    if let Some(layer) = &args.layer {
        if !question.methods.iter().any(MethodSpec::takes_layer) {
            let reason = "--layer is for grad-cam and its kin; no method here looks at a layer";
            return Err(CliError::Usage(String::from(reason)));
        }
        let named = question.methods.into_iter().map(|m| m.with_layer(layer));
        question.methods = named.collect();
    }
    let within = |spec: MethodSpec| spec.within(args.limits.limits());
    question.methods = question.methods.into_iter().map(within).collect();
    if !args.targets.is_empty() {
        question.targets = args.targets.clone();
    }
    if let Some(channel) = args.unit.channel() {
        question.targets = vec![Target::Named(channel.to_string())];
        question.units = true;
    }
    question.against = args.against.clone();
    question.threshold = args.threshold;
    question.score = args.score.map(Score::from);
    question.seed = args.seed;
    Ok(question)
}

/// The default methods that the backend can run.
fn usual_methods(model: &OpenModel) -> &'static [&'static str] {
    match model.backend() {
        BackendKind::Core | BackendKind::Gpu => &DEFAULT_METHODS,
        BackendKind::Tract => {
            note("tract gives scores only, so grad-cam is left out");
            &DEFAULT_METHODS[1..]
        }
        BackendKind::Device => {
            note(
                "the device gives scores only, so grad-cam is left out: `foveola device` has it run there",
            );
            &DEFAULT_METHODS[1..]
        }
    }
}
