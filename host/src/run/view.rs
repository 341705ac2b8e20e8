//! A run as it is read back: all that pages, scores and comparisons need.
//!
//! Plain data, in the order of the run. What takes much room, maps and
//! pictures, is fetched one by one through [`Pictures`].

use foveola_core::explain::Outcome;
use foveola_core::metric::MetricRow;

use crate::explainer::Region;

/// A run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// How it came about.
    pub provenance: Provenance,
    /// The model's labels, one a class.
    pub labels: Vec<String>,
    /// Probability above which a class counts as predicted.
    pub threshold: f32,
    /// The methods, in the order of the command line.
    pub methods: Vec<MethodInfo>,
    /// The metrics, in the order of the command line.
    pub metrics: Vec<MetricInfo>,
    /// The pictures, in the order of the data set.
    pub samples: Vec<Sample>,
}

/// How a run came about; hashes are SHA-256 in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Provenance {
    /// Version of Foveola.
    pub tool: String,
    /// The model's file name.
    pub model: String,
    /// Hash of the model file.
    pub model_hash: String,
    /// The data set as it was named.
    pub data: String,
    /// Hash of the list of pictures, labels and boxes.
    pub data_hash: String,
    /// Hash of everything that decides the numbers.
    pub config_hash: String,
    /// Key of every random number.
    pub seed: u64,
    /// The backend that ran the model.
    pub backend: String,
    /// The command line that makes the same bytes again.
    pub command: String,
    /// The unit of the network that was asked about instead of classes.
    pub unit: Option<String>,
}

/// A method of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodInfo {
    /// As it was asked for, layer and parameters named: unique in a run.
    pub spec: String,
    /// For people.
    pub title: String,
    /// Passes for one picture and class.
    pub passes: u64,
    /// Whether negative values say something: then 0 is the middle of its colours.
    pub signed: bool,
    /// Whether it only stands beside the others to be beaten, as a random map
    /// does: then its maps are not kept.
    pub baseline: bool,
}

/// A metric of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricInfo {
    /// As it was asked for: unique in a run.
    pub spec: String,
    /// What it is.
    pub row: &'static MetricRow,
}

/// One picture.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Number in the data set, from 0.
    pub id: u64,
    /// Path as the data set names it.
    pub file: String,
    /// Width and height of the file in pixels.
    pub size: [u32; 2],
    /// Why there is nothing else about it; `None` for a picture that could be read.
    pub failure: Option<String>,
    /// Classes that it shows, as the data set says.
    pub truth: Vec<usize>,
    /// Where they are.
    pub boxes: Vec<LabelledBox>,
    /// One probability a class.
    pub probabilities: Vec<f32>,
    /// Entropy of the probabilities in nats.
    pub entropy: Option<f64>,
    /// Difference of the two highest probabilities.
    pub margin: Option<f64>,
    /// What was explained: true labels, then predicted ones, by class.
    pub answers: Vec<Answer>,
}

/// A box of the network's input: x, y, width, height in pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledBox {
    /// Class of what is inside.
    pub label: usize,
    /// x, y, width, height, as shares of the picture that the network sees.
    pub area: [f32; 4],
}

/// Prediction against truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// True and predicted.
    TruePositive,
    /// Predicted, but not true.
    FalsePositive,
    /// True, but not predicted.
    FalseNegative,
    /// Predicted, and nobody said what is true.
    Unknown,
}

/// Prediction and evidence in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The label is right, and no evidence speaks against it.
    Right,
    /// The label is right, the evidence lies elsewhere.
    RightWrongReason,
    /// The label is wrong or missing.
    Wrong,
}

/// One class of one picture.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The class.
    pub label: usize,
    /// Prediction against truth, at the run's threshold.
    pub flag: Flag,
    /// Prediction and evidence; `None` where nobody said what is true.
    pub verdict: Option<Verdict>,
    /// The label whose box holds most of the evidence, and its share; `None`
    /// without boxes, and where the evidence is on the background: see
    /// [`place`](super::verdict::place).
    pub looked_at: Option<(usize, f64)>,
    /// How sure the network is.
    pub uncertainty: Option<Uncertainty>,
    /// One a method.
    pub maps: Vec<MapInfo>,
    /// One a pair of methods that both have evidence.
    pub agreement: Vec<Agreement>,
    /// What HOC found, and why not.
    pub region: Option<Result<Region, String>>,
    /// The nearest training pictures, nearest first: path and distance.
    pub nearest: Vec<(String, f64)>,
}

/// Epistemic uncertainty of one probability, by dropout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uncertainty {
    /// Standard deviation.
    pub deviation: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

/// One map and its scores.
#[derive(Clone, Debug)]
pub struct MapInfo {
    /// Rows and columns of the map.
    pub grid: [usize; 2],
    /// What became of it.
    pub outcome: Outcome,
    /// One a metric: the score, or why there is none.
    pub scores: Vec<Result<f64, String>>,
    /// What metrics saw on the way: `insertion` (probability when only the
    /// strongest share shows) and `deletion` (when it is taken away), among others.
    pub curves: Vec<Curve>,
}

/// Scores of a picture that is changed further and further.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Metric, and which of its curves.
    pub name: String,
    /// Which share of the picture was changed, 0 to 1, ascending; the score then.
    pub points: Vec<[f64; 2]>,
}

/// How far two methods agree on one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Numbers of the two methods.
    pub methods: [usize; 2],
    /// Spearman's rank correlation of the evidence; `None` where it is undefined.
    pub spearman: Option<f64>,
    /// Intersection over union of the strongest tenths.
    pub overlap: f64,
}

/// One channel of a map at the method's own resolution, raw and signed.
#[derive(Clone, Debug, PartialEq)]
pub struct MapValues {
    /// Rows and columns.
    pub grid: [usize; 2],
    /// One value a place, row by row.
    pub values: Vec<f32>,
}

/// Why a part of a run cannot be fetched.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct FetchError {
    /// File, or place in it.
    pub what: String,
    /// Why not.
    pub reason: String,
}

/// Gives maps and pictures of a run, one by one.
pub trait Pictures {
    /// Map of method number `method` for answer number `answer` of sample number `sample`.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    fn map(&self, sample: usize, answer: usize, method: usize) -> Result<MapValues, FetchError>;

    /// What the network saw of sample number `sample`, as RGB of its input's size.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    fn picture(&self, sample: usize) -> Result<image::RgbImage, FetchError>;

    /// A training picture, by the name that [`Answer::nearest`] gives.
    ///
    /// # Errors
    /// A picture that is gone, or never was among the training pictures.
    fn training(&self, name: &str) -> Result<image::RgbImage, FetchError>;
}
