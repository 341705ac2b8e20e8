//! One model file and one picture on the host and on a board: the same bits?
//!
//! The board runs Foveola's firmware in QEMU and is asked through a folder of
//! files (`firmware/src/job.rs` specifies them). Both sides run the same
//! `.fov` file and the same prepared picture.

mod answer;
mod compare;
mod job;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use foveola_core::Score;
use foveola_core::explain::Outcome;
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Model;
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Masked};

use crate::aligned::AlignedBytes;
use crate::backend::core::{CoreBackend, ModelFile, StartError};
use crate::explainer::{ExplainError, Explainer, Question, SaliencyMap, Target};
use crate::method_spec::MethodSpec;
use crate::model::{Engine, ModelError, OpenModel, OpenOptions};
use crate::photo::Photo;

pub use answer::{Answer, AnswerError, Cost};
pub use compare::{Comparison, Verdict};

/// Why two sides cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CrosscheckError {
    /// The name of a device is not understood.
    #[error("`{0}` is no device: it takes qemu:BOARD, e.g. qemu:mps2-an386")]
    Device(String),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The host's side.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The host's network.
    #[error("the host cannot run this model: {0}")]
    Host(#[from] foveola_core::Error),
    /// The host's threads.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file of the job.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The firmware's folder is not there.
    #[error(
        "{0} is not there: run from Foveola's folder, or name the firmware with --firmware DIR"
    )]
    NoFirmware(PathBuf),
    /// The board did not finish.
    #[error("the board ended with code {code}: {reason}")]
    Board {
        /// Exit code.
        code: i32,
        /// What it said.
        reason: String,
    },
    /// The board's answer.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// A board in QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name in QEMU, e.g. `mps2-an386`.
    pub board: String,
}

impl std::str::FromStr for Device {
    type Err = CrosscheckError;

    fn from_str(text: &str) -> Result<Self, CrosscheckError> {
        let sound = |c: char| c.is_ascii_alphanumeric() || c == '-';
        match text.strip_prefix("qemu:") {
            Some(board) if !board.is_empty() && board.chars().all(sound) => Ok(Self {
                board: board.to_owned(),
            }),
            _ => Err(CrosscheckError::Device(text.to_owned())),
        }
    }
}

/// What is asked of both sides.
#[derive(Clone, Debug)]
pub struct Crosscheck<'a> {
    /// The board.
    pub device: &'a Device,
    /// Folder of the firmware's sources.
    pub firmware: &'a Path,
    /// Folder for the files of the job; it must exist.
    pub folder: &'a Path,
    /// The methods.
    pub methods: &'a [MethodSpec],
    /// The class to explain; `None` is the host's best.
    pub target: Option<usize>,
    /// Key of every random number.
    pub seed: u64,
    /// Whether every layer is compared.
    pub layers: bool,
}

/// What both sides said.
#[derive(Debug)]
pub struct Report {
    /// SHA-256 of the model file, as it states it.
    pub model: String,
    /// The class explained.
    pub target: usize,
    /// Logits, probabilities, layers and maps.
    pub comparisons: Vec<Comparison>,
    /// The whole.
    pub verdict: Verdict,
}

/// The bytes of the `.fov` file that both sides run: the file itself, or the
/// compiled ONNX model with folded weights.
///
/// # Errors
/// A model that `core` does not run.
pub fn model_bytes(model: &OpenModel) -> Result<Vec<u8>, ModelError> {
    match &model.engine {
        Engine::File(file) => Ok(file.model().bytes().to_vec()),
        _ => Ok(model.compile(&[], true)?.bytes),
    }
}

/// Runs both sides and compares them.
///
/// # Errors
/// A model, picture or method that does not fit; a board that does not answer.
pub fn run(bytes: &[u8], photo: &Photo, check: &Crosscheck<'_>) -> Result<Report, CrosscheckError> {
    let host = Host::run(bytes, photo, check)?;
    job::write(check, bytes, photo, host.target)?;
    start(check)?;
    let answer = Answer::read(check.folder)?;
    let comparisons = compare::all(&host, &answer, check)?;
    let verdict = Verdict::of(&host, &answer, &comparisons);
    Ok(Report {
        model: host.digest,
        target: host.target,
        comparisons,
        verdict,
    })
}

/// The host's side.
struct Host {
    digest: String,
    target: usize,
    logits: Vec<f32>,
    probabilities: Vec<f32>,
    layers: Vec<(String, Vec<f32>)>,
    maps: Vec<SaliencyMap>,
}

impl Host {
    fn run(bytes: &[u8], photo: &Photo, check: &Crosscheck<'_>) -> Result<Self, CrosscheckError> {
        let file = ModelFile::new(bytes)?;
        let model = file.model();
        let layers = if check.layers {
            layers(model, photo)?
        } else {
            Vec::new()
        };
        let digest = model.digest().iter().map(|b| format!("{b:02x}")).collect();
        let mut backend = CoreBackend::new(Arc::new(ModelFile::new(bytes)?), 1)?;
        let x = Masked::whole(photo.picture());
        let mut scores = |score| -> Result<Vec<f32>, CrosscheckError> {
            let mut out = vec![0.0; backend.classes()];
            backend.classify(&x, score, &mut out)?;
            Ok(out)
        };
        let (logits, probabilities) = (scores(Score::Logit)?, scores(Score::Probability)?);
        let target = check.target.unwrap_or_else(|| first_best(&logits));
        let maps = maps(bytes, photo, check, target)?;
        Ok(Self {
            digest,
            target,
            logits,
            probabilities,
            layers,
            maps,
        })
    }
}

/// The first of the largest values.
fn first_best(values: &[f32]) -> usize {
    (0..values.len())
        .rev()
        .max_by(|&a, &b| values[a].total_cmp(&values[b]))
        .unwrap_or(0)
}

fn layers(model: &Model<'_>, photo: &Photo) -> Result<Vec<(String, Vec<f32>)>, CrosscheckError> {
    let pass = foveola_core::net::model::Pass::Forward;
    let length = model.plan(pass).map_or(0, |plan| plan.arena_len());
    let mut arena = AlignedBytes::zeros(length);
    let mut session = Session::new(model, &mut arena, Isa::detect())?;
    let mut layers = Vec::new();
    session.forward_tapped(&Masked::whole(photo.picture()), &mut |index, values| {
        let name = model.node(index).map_or("", |node| node.name);
        layers.push((name.to_owned(), values.to_vec()));
        Ok(())
    })?;
    Ok(layers)
}

fn maps(
    bytes: &[u8],
    photo: &Photo,
    check: &Crosscheck<'_>,
    target: usize,
) -> Result<Vec<SaliencyMap>, CrosscheckError> {
    let model = OpenModel::from_bytes(bytes, Path::new("model.fov"), &OpenOptions::default())?;
    let question = Question {
        methods: check.methods.to_vec(),
        targets: vec![Target::Named(target.to_string())],
        threshold: 0.5,
        score: None,
        seed: check.seed,
    };
    Ok(Explainer::new(model, 1).explain(photo, &question)?.maps)
}

/// Builds and runs the firmware on the job.
fn start(check: &Crosscheck<'_>) -> Result<(), CrosscheckError> {
    let script = check.firmware.join("run.sh");
    if !script.is_file() {
        return Err(CrosscheckError::NoFirmware(script));
    }
    let output = Command::new("sh")
        .arg(&script)
        .arg(&check.device.board)
        .arg(check.folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CrosscheckError::File {
            path: script,
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = Answer::read(check.folder)
        .ok()
        .and_then(|answer| answer.error);
    let log = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = log.lines().rev().take(3).collect();
    Err(CrosscheckError::Board {
        code: output.status.code().unwrap_or(-1),
        reason: said.unwrap_or_else(|| last.into_iter().rev().collect::<Vec<_>>().join("; ")),
    })
}

/// An outcome in the words of the firmware's answer.
fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok => "ok".to_owned(),
        Outcome::Flat => "flat".to_owned(),
        Outcome::Undefined(reason) => format!("undefined {reason}"),
        Outcome::Partial { done, total } => format!("partial {done} {total}"),
    }
}
