//! One model file and one picture on the host and on a board: the same bits?
//!
//! A board in QEMU runs Foveola's firmware and is asked through a folder of
//! files (`firmware/src/job.rs` specifies them); a board at the other end of a
//! line is asked over it ([`over_line`]). Both sides run the same `.fov` file and
//! the same prepared picture. In QEMU the model lies in the board's RAM,
//! read from a file, or in its flash where the RAM is too small ([`Memory`]).
//!
//! Where something differs, the method is asked on one side and the network on
//! the other ([`Halves`]), so that a fault names its half.

mod agreement;
mod answer;
mod board;
mod compare;
mod drift;
mod flash;
mod folder;
mod halves;
mod host;
mod job;
mod line;
mod memory;
mod program;
mod verdict;

use std::path::{Path, PathBuf};

use foveola_core::explain::Outcome;
use foveola_core::net::model::Pass;
use serde::{Deserialize, Serialize};

use crate::backend::core::StartError;
use crate::compile::CompileOptions;
use crate::explainer::{ExplainError, wanted};
use crate::link::{LinkError, Remote};
use crate::method_spec::MethodSpec;
use crate::model::{Engine, ModelError, OpenModel};
use crate::photo::{Photo, PhotoError};

pub use agreement::{Agreement, spearman};
pub use answer::{Answer, AnswerError, Cost};
pub use board::Device;
pub use compare::{Comparison, Kind, TOLERANCE};
pub use drift::{Drift, Float};
pub use halves::{Half, Halves, Mixed, When};
pub use host::{Host, digest, picture_digest};
pub use job::worded;
pub use line::{Asking, Options, over_line};
pub use memory::{Memory, Place};
pub use program::link;
pub use verdict::Verdict;

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
    /// The board's program takes no other model.
    #[error(
        "{path} was built otherwise than by firmware/build.sh, and takes no model into its flash: {reason}"
    )]
    Program {
        /// The program.
        path: PathBuf,
        /// What is missing in it.
        reason: String,
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
    /// The line to the device, or what the device says.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The picture.
    #[error(transparent)]
    Photo(#[from] PhotoError),
}

impl CrosscheckError {
    /// Which half an answer that did not come points to, in words.
    pub const fn suspect(&self) -> &'static str {
        match self {
            Self::Link(e) if e.is_line() => "the line",
            _ => "the device",
        }
    }
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

/// What a device says of itself, and of the picture that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The board's name.
    pub board: String,
    /// The firmware's version.
    pub firmware: String,
    /// SHA-256 of the program.
    pub firmware_sha256: String,
    /// SHA-256 of the model that it runs, as its file states it.
    pub model: String,
    /// SHA-256 of the picture in its memory, where it says so: pixels, or f32
    /// in model space.
    pub input: Option<String>,
    /// Its class with the largest logit, once it was asked.
    pub best: Option<usize>,
}

impl Identity {
    /// Whether the device has the host's picture, as far as it says.
    pub fn has_input_of(&self, host: &Host) -> bool {
        self.input.as_ref().is_none_or(|input| *input == host.input)
    }
}

/// What both sides said.
#[derive(Clone, Debug)]
pub struct Report {
    /// SHA-256 of the model file, as it states it.
    pub model: String,
    /// SHA-256 of the picture on the host.
    pub input: String,
    /// The class explained.
    pub target: usize,
    /// The host's class with the largest logit.
    pub best: usize,
    /// The device.
    pub device: Identity,
    /// Logits, probabilities, layers and maps.
    pub comparisons: Vec<Comparison>,
    /// The whole.
    pub verdict: Verdict,
    /// The verdict of each method's map and the scores.
    pub methods: Vec<(String, Verdict)>,
    /// Each method with the network on the other side, where that was asked.
    pub halves: Vec<Halves>,
    /// Methods and layers for which the device has too little memory, and what it says.
    pub left_out: Vec<(String, String)>,
}

impl Report {
    fn new(host: &Host, device: Identity) -> Self {
        Self {
            model: host.digest.clone(),
            input: host.input.clone(),
            target: host.target,
            best: host.best(),
            device,
            comparisons: Vec::new(),
            verdict: Verdict::DeviceError,
            methods: Vec::new(),
            halves: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Judges what was compared; a difference up to `tolerance` of the largest
    /// value is within tolerance.
    pub fn judge(&mut self, host: &Host, tolerance: f64) {
        let all = &self.comparisons;
        self.verdict = Verdict::of(host, &self.device, all.iter(), tolerance);
        let maps = all.iter().filter(|c| c.kind == Kind::Map);
        let one = |map: &Comparison| {
            let about = verdict::about(all, map);
            let verdict = Verdict::of(host, &self.device, about, tolerance);
            (map.name.clone(), verdict)
        };
        self.methods = maps.map(one).collect();
    }

    /// The first layer whose bits differ.
    pub fn first_layer(&self) -> Option<&Comparison> {
        let mut layers = self.comparisons.iter().filter(|c| c.kind == Kind::Layer);
        layers.find(|c| !c.is_exact())
    }

    /// Whether the halves are to be asked apart.
    fn wants_halves(&self, when: When) -> bool {
        let answered = !matches!(self.verdict, Verdict::InputDiffers | Verdict::ModelDiffers);
        answered && (when == When::Always || when == When::Auto && !self.verdict.passes())
    }

    /// Which half differs, in words; `None` where all is well.
    pub fn suspect(&self) -> Option<String> {
        let mut words = match self.verdict {
            Verdict::BitExact | Verdict::WithinTolerance => return None,
            Verdict::InputDiffers => {
                return Some(String::from("the line: another picture is there"));
            }
            Verdict::ModelDiffers => return Some(String::from("the model: another file is there")),
            _ => Vec::new(),
        };
        for halves in self.halves.iter().filter(|h| h.half != Half::None) {
            if !words.contains(&halves.half.words()) {
                words.push(halves.half.words());
            }
        }
        let scores = |c: &&Comparison| c.kind == Kind::Scores && !c.is_exact();
        if words.is_empty() && self.comparisons.iter().any(|c| scores(&c)) {
            words.push(Half::Network.words());
        }
        let mut text = match words.is_empty() {
            true => Half::Unknown.words().to_owned(),
            false => words.join("; "),
        };
        if let Some(first) = self.first_layer() {
            let op = first.op.as_deref().unwrap_or_default();
            text += &format!("; the first layer that differs is {} ({op})", first.name);
        }
        Some(text)
    }
}

/// The bytes of the `.fov` file that both sides run: the file itself, or the
/// compiled ONNX model with folded weights and, if `prune`, without constant
/// channels.
///
/// # Errors
/// A model that `core` does not run.
pub fn model_bytes(model: &OpenModel, prune: bool) -> Result<Vec<u8>, ModelError> {
    model_bytes_for(model, prune, &[])
}

/// As [`model_bytes`], with the plans that these methods need; a file has
/// those that it was compiled with.
///
/// # Errors
/// As [`model_bytes`], a layer that the model does not have, and
/// [`ModelError::NoRelevance`].
pub fn model_bytes_for(
    model: &OpenModel,
    prune: bool,
    methods: &[MethodSpec],
) -> Result<Vec<u8>, ModelError> {
    let wanted = wanted(methods);
    match &model.engine {
        Engine::File(file) => match file.model().plan(Pass::Relevance) {
            None if wanted.relevance => Err(ModelError::NoRelevance),
            _ => Ok(file.model().bytes().to_vec()),
        },
        _ => {
            let options = CompileOptions {
                relevance: wanted.relevance,
                ..CompileOptions::shipped(&wanted.layers, prune).planned(model.goal)
            };
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
    let mut report = Report::new(host, folder::identity(&answer));
    report.comparisons = folder::compare(host, &answer, inquiry)?;
    report.judge(host, TOLERANCE);
    Ok(report)
}

/// Asks a board that was asked through a folder once more, over a line that is
/// only opened for it: the halves apart, where `asking` wants them.
///
/// # Errors
/// [`LinkError::Stopped`]. What else goes wrong is said in the place of an answer.
pub fn tear_apart<'l>(
    report: &mut Report,
    asking: &Asking<'_>,
    line: impl FnOnce() -> Result<&'l mut Remote, LinkError>,
) -> Result<(), CrosscheckError> {
    if !report.wants_halves(asking.options.halves) {
        return Ok(());
    }
    let maps = || report.comparisons.iter().filter(|c| c.kind == Kind::Map);
    let mut scores = report.comparisons.iter().filter(|c| c.kind == Kind::Scores);
    let scores = scores.all(Comparison::is_exact);
    let asked = |spec: &&MethodSpec| {
        let name = spec.to_string();
        !spec.needs_gradients() && maps().any(|map| map.name == name)
    };
    // Gradients do not travel, so that no line is opened for them.
    let answer = match asking.inquiry.methods.iter().any(|spec| asked(&spec)) {
        true => line().map_err(CrosscheckError::from).and_then(|remote| {
            line::prepare(remote, asking)?;
            line::apart(remote, asking, report)
        }),
        false => Ok(maps()
            .map(|map| Halves::of_gradients(map, scores))
            .collect()),
    };
    report.halves = match answer {
        Ok(halves) => halves,
        Err(CrosscheckError::Link(LinkError::Stopped)) => return Err(LinkError::Stopped.into()),
        Err(e) => {
            let reason = e.to_string();
            maps()
                .map(|map| Halves::unknown(map, scores, &reason))
                .collect()
        }
    };
    Ok(())
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
