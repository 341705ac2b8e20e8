//! What was compared, as JSON Lines: a run that was stopped goes on where it was.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::CliError;
use crate::crosscheck::{
    Comparison, CrosscheckError, Drift, Halves, Identity, Inquiry, Kind, Report, Verdict,
};

/// What was asked: the same question has the same answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    pub board: String,
    /// SHA-256 of the picture's prepared pixels.
    pub pixels: String,
    /// SHA-256 of the model, as its file states it.
    pub model: String,
    pub methods: Vec<String>,
    /// The class that was asked for; null for the best.
    pub asked: Option<usize>,
    pub seed: u64,
    pub layers: bool,
    /// What was set besides.
    #[serde(default)]
    pub setting: Vec<String>,
}

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub question: Question,
    /// The picture's file.
    pub picture: String,
    pub verdict: String,
    pub passes: bool,
    /// Why there is no answer.
    pub error: Option<String>,
    /// Which half differs, in words.
    #[serde(default)]
    pub suspect: Option<String>,
    /// The class explained.
    pub target: Option<usize>,
    /// The host's class with the largest logit.
    #[serde(default)]
    pub best: Option<usize>,
    #[serde(default)]
    pub device: Option<Identity>,
    /// Methods for which the board has too little RAM, and what they take.
    pub left_out: BTreeMap<String, String>,
    pub seconds: f64,
    pub tensors: Vec<Tensor>,
    #[serde(default)]
    pub first_layer: Option<Tensor>,
    #[serde(default)]
    pub halves: Vec<Halves>,
    /// Most that the ranking of a map lacks to the host's: 1 - Spearman.
    #[serde(default)]
    pub device_drift: Option<f64>,
    #[serde(default)]
    pub float: Option<Float>,
}

/// What quantisation changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Float {
    /// The float network's class with the largest score.
    pub best: usize,
    pub same_label: bool,
    /// The most of all methods: 1 - Spearman.
    pub drift: f64,
    pub methods: BTreeMap<String, f64>,
}

/// One comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tensor {
    pub name: String,
    #[serde(default)]
    pub kind: Kind,
    /// The operator, of a layer.
    #[serde(default)]
    pub op: Option<String>,
    pub values: usize,
    /// Values with other bits.
    pub different: usize,
    /// Largest difference; null where the sizes differ.
    pub largest: Option<f64>,
    /// The same in steps of the integers behind the values.
    #[serde(default)]
    pub steps: Option<f64>,
    #[serde(default)]
    pub spearman: Option<f64>,
    /// Share of the strongest tenth that both have.
    #[serde(default)]
    pub top_tenth: Option<f64>,
    /// Of a map, with the scores.
    #[serde(default)]
    pub verdict: Option<String>,
    pub remark: Option<String>,
    pub instructions: Option<u64>,
    pub stack: Option<u64>,
    pub arena: Option<u64>,
}

/// The verdict of a board that did not answer.
pub const DEVICE_ERROR: &str = Verdict::DeviceError.word();

/// What passes besides BIT-EXACT and WITHIN-TOLERANCE.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    /// The same class passes while no map drifts further; with a float
    /// network, it must not drift further from it either.
    pub max_drift: Option<f64>,
}

impl Question {
    pub fn new(
        board: &str,
        pixels: &str,
        model: &str,
        inquiry: &Inquiry<'_>,
        setting: &[String],
    ) -> Self {
        Self {
            board: board.to_owned(),
            pixels: pixels.to_owned(),
            model: model.to_owned(),
            methods: inquiry.methods.iter().map(ToString::to_string).collect(),
            asked: inquiry.target,
            seed: inquiry.seed,
            layers: inquiry.layers,
            setting: setting.to_vec(),
        }
    }
}

impl Float {
    /// Against the best class of the other network.
    pub fn new(drift: &Drift, best: usize) -> Self {
        Self {
            best: drift.best,
            same_label: drift.best == best,
            drift: drift.methods.iter().map(|(_, d)| *d).fold(0.0, f64::max),
            methods: drift.methods.iter().cloned().collect(),
        }
    }
}

impl Gate {
    fn passes(self, report: &Report, drift: Option<f64>, float: Option<&Float>) -> bool {
        let within = |drift: f64| self.max_drift.is_some_and(|most| drift <= most);
        let same = report.verdict == Verdict::LabelSameEvidenceDiffers;
        let device = report.verdict.passes() || same && drift.is_some_and(within);
        let quantised = |float: &Float| float.same_label && within(float.drift);
        device && (self.max_drift.is_none() || float.is_none_or(quantised))
    }
}

impl Entry {
    /// A device that gave no answer.
    pub fn failed(
        question: Question,
        picture: &Path,
        seconds: f64,
        error: &CrosscheckError,
    ) -> Self {
        Self {
            question,
            picture: picture.display().to_string(),
            verdict: DEVICE_ERROR.to_owned(),
            passes: false,
            error: Some(error.to_string()),
            suspect: Some(error.suspect().to_owned()),
            target: None,
            best: None,
            device: None,
            left_out: BTreeMap::new(),
            seconds,
            tensors: Vec::new(),
            first_layer: None,
            halves: Vec::new(),
            device_drift: None,
            float: None,
        }
    }

    /// An answer.
    pub fn new(
        question: Question,
        picture: &Path,
        seconds: f64,
        report: &Report,
        (gate, float): (Gate, Option<Float>),
    ) -> Self {
        let drifts = report.comparisons.iter().filter_map(Comparison::drift);
        let device_drift = drifts.reduce(f64::max);
        Self {
            question,
            picture: picture.display().to_string(),
            verdict: report.verdict.word().to_owned(),
            passes: gate.passes(report, device_drift, float.as_ref()),
            error: None,
            suspect: report.suspect(),
            target: Some(report.target),
            best: Some(report.best),
            device: Some(report.device.clone()),
            left_out: report.left_out.iter().cloned().collect(),
            seconds,
            tensors: report
                .comparisons
                .iter()
                .map(|c| Tensor::of(c, report))
                .collect(),
            first_layer: report.first_layer().map(|c| Tensor::of(c, report)),
            halves: report.halves.clone(),
            device_drift,
            float,
        }
    }

    /// Instructions of everything that was measured.
    pub fn instructions(&self) -> u64 {
        self.tensors.iter().filter_map(|t| t.instructions).sum()
    }

    /// What is to be said of a verdict that is no pass.
    pub fn reason(&self) -> String {
        let wrong = |t: &&Tensor| !t.is_exact();
        let said = match (&self.error, self.tensors.iter().find(wrong)) {
            (Some(error), _) => error.clone(),
            (None, Some(t)) => format!("{}: {} of {} differ", t.name, t.different, t.values),
            (None, None) => String::new(),
        };
        let suspect = self.suspect.as_deref().unwrap_or_default();
        match (said.is_empty(), suspect.is_empty()) {
            (_, true) => said,
            (true, false) => format!("suspect: {suspect}"),
            (false, false) => format!("{said}; suspect: {suspect}"),
        }
    }
}

impl Tensor {
    /// Whether every bit is the same.
    pub const fn is_exact(&self) -> bool {
        self.different == 0 && self.remark.is_none()
    }

    fn of(c: &Comparison, report: &Report) -> Self {
        let verdict = report.methods.iter().find(|(name, _)| *name == c.name);
        let finite = |value: f64| value.is_finite().then_some(value);
        Self {
            name: c.name.clone(),
            kind: c.kind,
            op: c.op.clone(),
            values: c.values,
            different: c.different,
            largest: finite(c.largest),
            steps: c.steps.and_then(finite),
            spearman: c.agreement.and_then(|a| a.spearman),
            top_tenth: c.agreement.map(|a| a.top_tenth),
            verdict: verdict.map(|(_, verdict)| verdict.word().to_owned()),
            remark: c.remark.clone(),
            instructions: c.cost.map(|cost| cost.instructions),
            stack: c.cost.map(|cost| cost.stack),
            arena: c.cost.map(|cost| cost.arena),
        }
    }
}

/// The file, or nothing where none was asked for.
pub struct Record {
    known: BTreeMap<Question, Entry>,
    file: Option<File>,
}

impl Record {
    /// Reads what is there and goes on behind it. A line that was cut off is
    /// passed over, and a board that did not answer is asked again.
    pub fn open(path: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = path else {
            return Ok(Self {
                known: BTreeMap::new(),
                file: None,
            });
        };
        let failed = |e| CliError::Usage(format!("{}: {e}", path.display()));
        let text = match path.exists() {
            true => std::fs::read_to_string(path).map_err(failed)?,
            false => String::new(),
        };
        let entries = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let answered = entries.filter(|entry: &Entry| entry.verdict != DEVICE_ERROR);
        let known = answered
            .map(|entry| (entry.question.clone(), entry))
            .collect();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok(Self {
            known,
            file: Some(file),
        })
    }

    /// The answer to a question that was asked before.
    pub fn find(&self, question: &Question) -> Option<&Entry> {
        self.known.get(question)
    }

    /// Adds a line.
    pub fn add(&mut self, entry: &Entry) -> Result<(), CliError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let line = serde_json::to_string(entry).map_err(std::io::Error::from);
        line.and_then(|line| writeln!(file, "{line}"))
            .map_err(|e| CliError::Usage(format!("the record cannot be written: {e}")))
    }
}
