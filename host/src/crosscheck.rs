//! One model file and one picture on the host and on a board: the same bits?
//!
//! The board runs Foveola's firmware in QEMU and is asked through a folder of
//! files (`firmware/src/job.rs` specifies them). Both sides run the same
//! `.fov` file and the same prepared picture. The model lies in the board's RAM,
//! read from a file, or in its flash where the RAM is too small ([`Memory`]).

mod answer;
mod board;
mod compare;
mod host;
mod job;
mod memory;
mod program;

use std::path::{Path, PathBuf};

use foveola_core::explain::Outcome;

use crate::backend::core::StartError;
use crate::compile::CompileOptions;
use crate::explainer::ExplainError;
use crate::method_spec::MethodSpec;
use crate::model::{Engine, ModelError, OpenModel};
use crate::photo::Photo;

pub use answer::{Answer, AnswerError, Cost};
pub use board::Device;
pub use compare::{Comparison, Verdict};
pub use host::{Host, digest};
pub use memory::{Memory, Place};
pub use program::link;

/// Why two sides cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CrosscheckError {
    /// A device that is not known.
    #[error("there is no device `{name}`: {hint}")]
    Device {
        /// What was asked for.
        name: String,
        /// What there is.
        hint: String,
    },
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
    /// A method that this model cannot be asked.
    #[error("{method}: {reason}")]
    Method {
        /// The method.
        method: String,
        /// Why not.
        reason: String,
    },
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
    /// The board's RAM is too small for a question.
    #[error("{what} takes {need} bytes of RAM on {board}, which has {have} for it")]
    Ram {
        /// The board.
        board: &'static str,
        /// The scores or a method.
        what: String,
        /// Bytes, the picture included, the model not.
        need: usize,
        /// Bytes.
        have: usize,
    },
    /// The board's flash is too small for the model.
    #[error(
        "the model has {model} bytes; beside the program, the {flash} bytes of flash of {board} hold {room}. \
         A smaller model fits, or this one on {others}"
    )]
    Flash {
        /// The board.
        board: &'static str,
        /// Bytes of the model.
        model: usize,
        /// Bytes of flash.
        flash: usize,
        /// Bytes of flash that the program leaves.
        room: usize,
        /// Boards that hold the model.
        others: String,
    },
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

/// What both sides are asked about a picture.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry<'a> {
    /// The methods.
    pub methods: &'a [MethodSpec],
    /// The class to explain; `None` is the host's best.
    pub target: Option<usize>,
    /// Key of every random number.
    pub seed: u64,
    /// Whether every layer is compared.
    pub layers: bool,
}

/// Who is asked, and where the files are.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The board.
    pub device: &'a Device,
    /// Folder of the firmware's sources.
    pub firmware: &'a Path,
    /// Folder for the files of the job; it must exist.
    pub folder: &'a Path,
    /// A program with the model in its flash ([`link()`]); the usual one
    /// without, which reads the model from a file.
    pub elf: Option<&'a Path>,
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
/// compiled ONNX model with folded weights and, if `prune`, without constant
/// channels.
///
/// # Errors
/// A model that `core` does not run.
pub fn model_bytes(model: &OpenModel, prune: bool) -> Result<Vec<u8>, ModelError> {
    match &model.engine {
        Engine::File(file) => Ok(file.model().bytes().to_vec()),
        _ => {
            let options = CompileOptions::shipped(&[], prune).planned(model.goal);
            Ok(model.compile(&options)?.bytes)
        }
    }
}

/// Asks a board and compares it with the host, which may have been asked more
/// methods.
///
/// # Errors
/// A board that does not answer.
pub fn run(
    bytes: &[u8],
    photo: &Photo,
    host: &Host,
    inquiry: &Inquiry<'_>,
    asked: &Asked<'_>,
) -> Result<Report, CrosscheckError> {
    job::write(inquiry, asked, bytes, photo, host.target)?;
    program::start(asked.firmware, asked.device, asked.folder, asked.elf)?;
    let answer = Answer::read(asked.folder)?;
    let comparisons = compare::all(host, &answer, inquiry)?;
    let verdict = Verdict::of(host, &answer, &comparisons);
    Ok(Report {
        model: host.digest.clone(),
        target: host.target,
        comparisons,
        verdict,
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
