//! What was compared, as JSON Lines: a run that was stopped goes on where it was.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::CliError;
use crate::crosscheck::{Comparison, Inquiry, Report};

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
    /// The class explained.
    pub target: Option<usize>,
    /// Methods for which the board has too little RAM, and what they take.
    pub left_out: BTreeMap<String, String>,
    pub seconds: f64,
    pub tensors: Vec<Tensor>,
}

/// One comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tensor {
    pub name: String,
    pub values: usize,
    /// Values with other bits.
    pub different: usize,
    /// Largest difference; null where the sizes differ.
    pub largest: Option<f64>,
    pub remark: Option<String>,
    pub instructions: Option<u64>,
    pub stack: Option<u64>,
    pub arena: Option<u64>,
}

/// The verdict of a board that did not answer.
pub const DEVICE_ERROR: &str = "DEVICE-ERROR";

impl Question {
    pub fn new(board: &str, pixels: &str, model: &str, inquiry: &Inquiry<'_>) -> Self {
        Self {
            board: board.to_owned(),
            pixels: pixels.to_owned(),
            model: model.to_owned(),
            methods: inquiry.methods.iter().map(ToString::to_string).collect(),
            asked: inquiry.target,
            seed: inquiry.seed,
            layers: inquiry.layers,
        }
    }
}

impl Entry {
    /// An answer, or why there is none.
    pub fn new(
        question: Question,
        picture: &Path,
        seconds: f64,
        report: Result<&Report, String>,
    ) -> Self {
        let tensors = |report: &Report| report.comparisons.iter().map(Tensor::of).collect();
        Self {
            question,
            picture: picture.display().to_string(),
            verdict: report
                .as_ref()
                .map_or(DEVICE_ERROR, |r| r.verdict.word())
                .to_owned(),
            passes: report.as_ref().is_ok_and(|r| r.verdict.passes()),
            target: report.as_ref().ok().map(|r| r.target),
            tensors: report.as_ref().map_or_else(|_| Vec::new(), |r| tensors(r)),
            error: report.err(),
            left_out: BTreeMap::new(),
            seconds,
        }
    }

    /// Instructions of everything that was measured.
    pub fn instructions(&self) -> u64 {
        self.tensors.iter().filter_map(|t| t.instructions).sum()
    }

    /// What is to be said of a verdict that is no pass.
    pub fn reason(&self) -> String {
        let wrong = |t: &&Tensor| t.different > 0 || t.remark.is_some();
        match (&self.error, self.tensors.iter().find(wrong)) {
            (Some(error), _) => error.clone(),
            (None, Some(t)) => format!("{}: {} of {} differ", t.name, t.different, t.values),
            (None, None) => String::new(),
        }
    }
}

impl Tensor {
    fn of(c: &Comparison) -> Self {
        Self {
            name: c.name.clone(),
            values: c.values,
            different: c.different,
            largest: c.largest.is_finite().then_some(c.largest),
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
