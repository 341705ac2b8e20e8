//! Why models do not open or start.

use std::path::PathBuf;

use foveola_core::Error;

use crate::backend::core::StartError;
use crate::backend::tract::TractError;
use crate::card::CardError;
use crate::compile::CompileError;
use crate::import::ImportError;
use crate::link::LinkError;

/// Why a model does not open or start.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file that cannot be read.
    #[error("cannot read the model {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file without content, or larger than any model.
    #[error("{} is not a model: {reason}", path.display())]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The ONNX or TFLite file does not become a network.
    #[error("{}: {source}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ImportError,
    },
    /// tract does not run the model.
    #[error("{}: {source}", path.display())]
    Tract {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: TractError,
    },
    /// Neither engine runs the model.
    #[error("{}: {import}\ntract does not run it either: {tract}", path.display())]
    NoEngine {
        /// The file.
        path: PathBuf,
        /// Why not `core`.
        import: Box<ImportError>,
        /// Why not tract.
        tract: TractError,
    },
    /// A `.fov` file that is wrong.
    #[error("{} is not a valid model file: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Error,
    },
    /// A `.fov` file with a backend that runs only ONNX.
    #[error("the tract backend runs ONNX files; {} is a .fov file", .0.display())]
    NeedsOnnx(PathBuf),
    /// A `.tflite` file with a backend that runs only ONNX.
    #[error(
        "the tract backend runs ONNX files; {} is a TFLite file: the core backend runs it, and tract the same network converted to ONNX (tf2onnx)",
        .0.display()
    )]
    TfliteOnTract(PathBuf),
    /// No card.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The network does not compile.
    #[error("{}: {source}", path.display())]
    Compile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: CompileError,
    },
    /// No layer has this name.
    #[error("there is no layer `{name}`: {hint}")]
    Layer {
        /// What was asked for.
        name: String,
        /// The nearest names.
        hint: String,
    },
    /// A layer of a `.fov` file that it holds no plan for.
    #[error("the file holds no memory plan for layer `{name}`; compile it with `--layer {name}`")]
    NoPlan {
        /// The layer.
        name: String,
    },
    /// The GPU.
    #[error("{0}")]
    Gpu(String),
    /// The device that runs the network, or the line to it.
    #[error(transparent)]
    Link(Box<LinkError>),
    /// A unit that cannot be the target.
    #[error("`{unit}` is no unit to explain: {reason}")]
    Unit {
        /// The unit.
        unit: String,
        /// Why not.
        reason: String,
    },
    /// A `.fov` file that was compiled without relevance.
    #[error("the file holds no memory plan for relevance; compile it with `--relevance`")]
    NoRelevance,
    /// The backend does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system gives no threads.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}
