//! Where another engine first goes another way: from the picture's bytes to the
//! last layer, and why.
//!
//! The other side ([`Witness`]) is a device on the link, or the arrays that
//! somebody's own engine wrote. Every stage is compared twice: with what the
//! host has there, and with what the host makes of the other side's own
//! previous stages. So one fault names its stage, and later ones do not hide
//! behind it. For a stage that differs by itself, [`cause`] computes what it
//! would hold under each hypothesis.

pub mod cause;
mod device;
mod difference;
mod dump;
mod fit;
pub(crate) mod network;
mod walk;
mod witness;

use std::path::PathBuf;

use cause::Cause;

use crate::link::LinkError;
use crate::model::ModelError;
use crate::photo::PhotoError;

pub use device::Board;
pub use difference::{Difference, TOLERANCE};
pub use dump::Dump;
pub use network::{Data, run};
pub use walk::{Subject, walk};
pub use witness::{Layer, Witness};

/// Why two sides cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum BisectError {
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// An array that is malformed or of another shape or type.
    #[error("{}: {reason}", path.display())]
    Array {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Several inputs in one array, and none was chosen.
    #[error("{} holds {items} inputs; choose one with --item 0 to {}", path.display(), items - 1)]
    Items {
        /// Its file.
        path: PathBuf,
        /// How many.
        items: usize,
    },
    /// A dump without any array of the model.
    #[error("nothing in {} belongs to the model: it has {names}; files are called as tensors, as INDEX.OPERATOR.TENSOR, or input, decoded, input_bytes", path.display())]
    NothingKnown {
        /// The dump.
        path: PathBuf,
        /// What it has.
        names: String,
    },
    /// A device without a model.
    #[error("the device has no model; bring one there with `foveola device DEVICE put-model`")]
    NoModel,
    /// A device with a network that cannot be compared layer by layer.
    #[error("the device runs another network: {reason}")]
    OtherNetwork {
        /// What is different.
        reason: String,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The picture.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The device.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The host's network.
    #[error("the host cannot run this model: {0}")]
    Host(#[from] foveola_core::Error),
}

/// A stage from the picture to the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The model file.
    Model,
    /// Bytes of the picture's file.
    Bytes,
    /// The decoded photo.
    Decoding,
    /// The input tensor.
    Preprocessing,
    /// The output of a node.
    Layer(usize),
}

/// How a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// As on the host.
    Equal,
    /// As the host makes it of what came before, which differs.
    Follows,
    /// Not as the host makes it of what came before.
    Differs,
    /// The other side does not show it.
    Skipped,
}

/// A stage on both sides.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Rung {
    /// Which.
    pub stage: Stage,
    /// Name of the tensor.
    pub name: String,
    /// What computes it.
    pub op: String,
    /// Height, width, channels.
    pub shape: [usize; 3],
    /// Scale of an int8 tensor.
    pub scale: Option<f32>,
    /// Zero point of an int8 tensor, in the model's own integers.
    pub zero_point: Option<i32>,
    /// How it stands.
    pub standing: Standing,
    /// Against the host's own value.
    pub end_to_end: Option<Difference>,
    /// Against what the host makes of the other side's previous stages.
    pub alone: Option<Difference>,
    /// What else there is to say.
    pub note: Option<String>,
}

/// A stage that differs by itself.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Fault {
    /// Index of the rung.
    pub rung: usize,
    /// What explains it, the likeliest first; never empty.
    pub causes: Vec<Cause>,
}

/// What both sides have, stage by stage.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Report {
    /// The stages.
    pub rungs: Vec<Rung>,
    /// Stages that differ by themselves, in order.
    pub faults: Vec<Fault>,
    /// What else a person should know.
    pub remarks: Vec<String>,
    /// The whole.
    pub verdict: Verdict,
}

/// What it comes to: the first stage that differs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Verdict {
    /// Nothing that was compared differs (f32: beyond the tolerance).
    Equal,
    /// The other side runs another model file.
    ModelDiffers,
    /// Other bytes of the picture's file.
    InputDiffers,
    /// The photo is decoded to something else.
    DecodingDiffers,
    /// The photo becomes another input tensor.
    PreprocessingDiffers,
    /// A layer computes something else.
    LayerDiffers,
}

impl Verdict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Equal => "EQUAL",
            Self::ModelDiffers => "MODEL-DIFFERS",
            Self::InputDiffers => "INPUT-DIFFERS",
            Self::DecodingDiffers => "DECODING-DIFFERS",
            Self::PreprocessingDiffers => "PREPROCESSING-DIFFERS",
            Self::LayerDiffers => "LAYER-DIFFERS",
        }
    }

    const fn of(stage: Stage) -> Self {
        match stage {
            Stage::Model => Self::ModelDiffers,
            Stage::Bytes => Self::InputDiffers,
            Stage::Decoding => Self::DecodingDiffers,
            Stage::Preprocessing => Self::PreprocessingDiffers,
            Stage::Layer(_) => Self::LayerDiffers,
        }
    }
}
