//! A model file, opened: what it takes, what it says about itself, and the
//! engines that can run it.

mod board;
mod error;
mod gpu;
mod random;
mod running;
mod unit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foveola_core::net::format::MAGIC;
use foveola_core::net::model::Model;
use foveola_core::net::op::Op;
use foveola_core::{Score, TensorId};
use sha2::{Digest, Sha256};

use crate::backend::core::{Arithmetic, Editing, ModelFile};
use crate::backend::tract::TractModel;
use crate::card::{Card, Channels, NetworkFacts, PartialCard, Resize};
use crate::compile::Goal;
use crate::graph::{Graph, InputType, Layout, Quant};
use crate::import::{self, ImportError, Imported};
use crate::photo::Intake;

pub use board::Board;
pub use error::ModelError;
pub use gpu::Device;
pub use random::randomise;
pub use running::{Running, Wanted};
pub use unit::Unit;

/// Largest model file, in bytes.
const MAX_FILE: u64 = 1 << 31;

/// What runs a network.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// Foveola's own network code: scores, activations, gradients.
    Core,
    /// tract: scores only, of any model that it runs.
    Tract,
    /// Any GPU within reach: many pictures at once, f32 within rounding of core's.
    Gpu,
    /// A device at the other end of a line: scores only, core's bits.
    Device,
}

/// How the backend `gpu` stores the numbers between layers; sums are f32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    /// f32.
    #[default]
    Full,
    /// f16, where the adapter has it: half the memory and its traffic, 11 bits a number.
    Half,
}

/// How to open a model.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The engine; `None` is `core`, or tract where `core` lacks an operator.
    pub backend: Option<BackendKind>,
    /// A card to use instead of one beside the model.
    pub card_file: Option<PathBuf>,
    /// Values that go before those of any card.
    pub card: PartialCard,
    /// Whether ONNX values may be read from other files in the model's folder.
    pub allow_external: bool,
    /// Height and width, for a model that leaves them open.
    pub input_size: Option<[usize; 2]>,
    /// The adapter of the backend `gpu`: its number or a part of its name;
    /// `None` is the best one.
    pub adapter: Option<String>,
    /// How the backend `gpu` stores numbers.
    pub precision: Precision,
}

impl OpenOptions {
    /// A card as text.
    ///
    /// # Errors
    /// Text that is no card.
    pub fn with_card(text: &str) -> Result<Self, ModelError> {
        Ok(Self {
            card: PartialCard::from_toml(text, Path::new("the card"))?,
            ..Self::default()
        })
    }
}

/// What the model becomes when it runs.
#[derive(Debug)]
pub enum Engine {
    /// An imported ONNX or TFLite file; it is compiled for what is asked.
    Graph(Box<Imported>),
    /// A `.fov` file.
    File(Arc<ModelFile>),
    /// An ONNX file that tract runs.
    Tract(Arc<TractModel>),
}

/// An opened model.
#[derive(Debug)]
pub struct OpenModel {
    /// Where it came from.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Bytes of the file.
    pub bytes: usize,
    /// What it says about its input and output.
    pub facts: NetworkFacts,
    /// Number type of its input.
    pub input_type: InputType,
    /// How photos are prepared.
    pub card: Card,
    /// Where the card came from, in words.
    pub card_source: String,
    /// What had to be assumed for the card.
    pub assumed: Vec<String>,
    /// What a person should know about how it was opened.
    pub notes: Vec<String>,
    /// What runs it.
    pub engine: Engine,
    /// How `core` multiplies and adds f32; Strict unless set.
    pub arithmetic: Arithmetic,
    /// How `core` evaluates edits of a picture; only what they reach unless set.
    pub editing: Editing,
    /// What the memory plan of its forward pass is to be where it is compiled.
    pub goal: Goal,
    /// The device of the backend `gpu`, which then runs the network instead of `core`.
    pub gpu: Option<Device>,
    /// How that device stores numbers.
    pub precision: Precision,
    /// The board that runs the network instead of `core`, where methods ask for
    /// scores only.
    pub board: Option<Board>,
}

impl OpenModel {
    /// Opens an ONNX, TFLite or `.fov` file (told by its first bytes) and finds its card.
    ///
    /// # Errors
    /// A file that cannot be read, is no model, or that no engine runs; a card
    /// that does not fit.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, ModelError> {
        Self::from_bytes(&read(path)?, path, options)
    }

    /// As [`OpenModel::open`], from the file's bytes.
    ///
    /// # Errors
    /// As [`OpenModel::open`].
    pub fn from_bytes(
        bytes: &[u8],
        path: &Path,
        options: &OpenOptions,
    ) -> Result<Self, ModelError> {
        let mut notes = Vec::new();
        let engine = match bytes.starts_with(&MAGIC) {
            true => open_file(path, bytes, options)?,
            false => open_network(path, bytes, options, &mut notes)?,
        };
        let (facts, input_type) = facts(&engine);
        let own = own_card(&engine);
        let (partial, card_source) = find_card(path, options, &facts, own)?;
        let (partial, integers) = pixels_as_integers(partial, input_type);
        let mut completed = partial.complete(&facts)?;
        completed.assumed.extend(integers.map(String::from));
        let precision = precision(options.precision, &engine, &mut notes);
        Ok(Self {
            path: path.to_path_buf(),
            sha256: sha256(bytes),
            bytes: bytes.len(),
            facts,
            input_type,
            card: completed.card,
            card_source,
            assumed: completed.assumed,
            notes,
            engine,
            arithmetic: Arithmetic::Strict,
            editing: Editing::default(),
            goal: Goal::default(),
            gpu: match options.backend {
                Some(BackendKind::Gpu) => Some(gpu::open(options.adapter.as_deref())?),
                _ => None,
            },
            precision,
            board: None,
        })
    }

    /// Which backend runs it.
    pub const fn backend(&self) -> BackendKind {
        match self.engine {
            Engine::Tract(_) => BackendKind::Tract,
            _ if self.board.is_some() => BackendKind::Device,
            _ if self.gpu.is_some() => BackendKind::Gpu,
            Engine::Graph(_) | Engine::File(_) => BackendKind::Core,
        }
    }

    /// Which kind of score the model's own output is.
    pub fn output_score(&self) -> Score {
        match &self.engine {
            Engine::File(file) => file.model().output_score(),
            _ if self.facts.normalised => Score::Probability,
            _ => Score::Logit,
        }
    }

    /// How the model stores its output, if as integers.
    pub fn output_quant(&self) -> Option<Quant> {
        match &self.engine {
            Engine::Graph(imported) => imported.graph.output_quant(),
            Engine::File(file) => file_output_quant(file.model()),
            Engine::Tract(_) => None,
        }
    }

    /// What pictures are prepared for.
    pub const fn intake(&self) -> Intake<'_> {
        Intake {
            shape: self.facts.input,
            layout: self.facts.layout,
            input_type: self.input_type,
            card: &self.card,
        }
    }
}

/// What was asked for, or f32 for a network that computes with integers, whose
/// tensors are bytes already.
fn precision(asked: Precision, engine: &Engine, notes: &mut Vec<String>) -> Precision {
    let integers = match engine {
        Engine::Graph(imported) => imported.graph.tensors.iter().any(|t| t.quant.is_some()),
        Engine::File(file) => {
            let model = file.model();
            let tensors = (0..model.tensor_count() as u16).map(TensorId);
            tensors
                .into_iter()
                .any(|id| model.tensor(id).is_some_and(|t| t.quant.is_some()))
        }
        Engine::Tract(_) => false,
    };
    if asked == Precision::Half && integers {
        notes.push(String::from(
            "the network computes with integers, which stay exact: half precision changes nothing in it",
        ));
        return Precision::Full;
    }
    asked
}

fn file_output_quant(model: &Model<'_>) -> Option<Quant> {
    let output = model.score_id(model.output_score());
    let mut nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    let node = nodes.find(|n| n.output == output)?;
    let stored = model.tensor(node.input(0)?)?;
    let quant = stored.quant.filter(|_| node.op == Op::Dequantise)?;
    Some(Quant {
        scale: quant.scale,
        zero_point: quant.zero_point,
        unsigned: stored.unsigned,
    })
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let failed = |source| ModelError::Read {
        path: path.to_path_buf(),
        source,
    };
    let wrong = |reason: String| ModelError::NotAModel {
        path: path.to_path_buf(),
        reason,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(wrong(format!(
            "{size} bytes are more than the {MAX_FILE} that are read"
        )));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    match bytes.is_empty() {
        true => Err(wrong(String::from("the file is empty"))),
        false => Ok(bytes),
    }
}

fn open_file(path: &Path, bytes: &[u8], options: &OpenOptions) -> Result<Engine, ModelError> {
    if options.backend == Some(BackendKind::Tract) {
        return Err(ModelError::NeedsOnnx(path.to_path_buf()));
    }
    let file = ModelFile::new(bytes).map_err(|source| ModelError::File {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(Engine::File(Arc::new(file)))
}

fn open_network(
    path: &Path,
    bytes: &[u8],
    options: &OpenOptions,
    notes: &mut Vec<String>,
) -> Result<Engine, ModelError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let how = import::Options {
        allow_external: options.allow_external,
        input_size: options.input_size,
    };
    let tract = || TractModel::open(bytes, Some(folder), &how).map(|m| Engine::Tract(Arc::new(m)));
    if options.backend == Some(BackendKind::Tract) {
        return match import::tflite::is_tflite(bytes) {
            true => Err(ModelError::TfliteOnTract(path.to_path_buf())),
            false => tract().map_err(|source| ModelError::Tract {
                path: path.to_path_buf(),
                source,
            }),
        };
    }
    match import::from_bytes(bytes, Some(folder), &how) {
        Ok(imported) => {
            notes.extend(imported.warnings.iter().cloned());
            Ok(Engine::Graph(Box::new(imported)))
        }
        Err(import @ ImportError::Unsupported { .. }) if options.backend.is_none() => {
            let engine = match tract() {
                Ok(engine) => engine,
                Err(tract) => {
                    let path = path.to_path_buf();
                    return Err(ModelError::NoEngine {
                        path,
                        import: Box::new(import),
                        tract,
                    });
                }
            };
            notes.push(format!("{import}, which is used now"));
            Ok(engine)
        }
        Err(source) => Err(ModelError::Import {
            path: path.to_path_buf(),
            source,
        }),
    }
}

fn facts(engine: &Engine) -> (NetworkFacts, InputType) {
    match engine {
        Engine::Graph(imported) => (graph_facts(&imported.graph), imported.graph.input_type),
        Engine::Tract(model) => (model.facts().into(), model.facts().input_type),
        Engine::File(file) => {
            let model = file.model();
            let record = model.network();
            let labels = (0..model.classes()).map_while(|i| model.label(i));
            let facts = NetworkFacts {
                input: model.input(),
                layout: match record.layout {
                    0 => Layout::Nchw,
                    1 => Layout::Nhwc,
                    _ => Layout::Flat,
                },
                classes: model.classes(),
                normalised: true,
                labels: labels.map(String::from).collect(),
                metadata: Default::default(),
            };
            let input_type = match record.input_type {
                1 => InputType::F16,
                2 => InputType::U8,
                3 => InputType::I8,
                _ => InputType::F32,
            };
            (facts, input_type)
        }
    }
}

fn graph_facts(graph: &Graph) -> NetworkFacts {
    NetworkFacts {
        input: graph.tensor(graph.input).shape,
        layout: graph.layout,
        classes: graph.tensor(graph.output).shape.len(),
        normalised: graph.output != graph.logits,
        labels: graph.labels.clone(),
        metadata: graph.metadata.clone(),
    }
}

/// What a model of integers takes for a pixel where no card says so, and that
/// in words.
fn pixels_as_integers(
    mut card: PartialCard,
    input_type: InputType,
) -> (PartialCard, Option<&'static str>) {
    let (mean, words) = match input_type {
        InputType::U8 => (0.0, "pixels as they are, as the network takes uint8"),
        InputType::I8 => (128.0, "pixels less 128, as the network takes int8"),
        InputType::F32 | InputType::F16 => return (card, None),
    };
    if card.mean.is_some() || card.scale.is_some() {
        return (card, None);
    }
    (card.mean, card.scale) = (Some(vec![mean]), Some(vec![1.0]));
    (card, Some(words))
}

/// The card that a `.fov` file carries.
fn own_card(engine: &Engine) -> Option<PartialCard> {
    let Engine::File(file) = engine else {
        return None;
    };
    let record = file.model().network();
    let channels = match record.channels {
        0 => Channels::Gray,
        1 => Channels::Rgb,
        2 => Channels::Bgr,
        3 => Channels::Rgba,
        4 => Channels::Bgra,
        _ => return None,
    };
    let first = |values: [f32; 4]| values[..channels.count()].to_vec();
    Some(PartialCard {
        resize: Some(match record.resize {
            1 => Resize::Crop,
            2 => Resize::Letterbox,
            _ => Resize::Squash,
        }),
        channels: Some(channels),
        mean: Some(first(record.mean.map(|v| v.get()))),
        scale: Some(first(record.scale.map(|v| v.get()))),
        ..PartialCard::default()
    })
}

/// Flags go first, then the card that is named, the one beside the model, the
/// model's own, and Custom Vision's metadata.
fn find_card(
    path: &Path,
    options: &OpenOptions,
    facts: &NetworkFacts,
    own: Option<PartialCard>,
) -> Result<(PartialCard, String), ModelError> {
    let flags = options.card.clone();
    let file = options
        .card_file
        .clone()
        .or_else(|| PartialCard::beside(path));
    if let Some(file) = file {
        let card = PartialCard::from_toml_file(&file)?;
        return Ok((flags.or(card), file.display().to_string()));
    }
    if let Some(own) = own {
        return Ok((flags.or(own), String::from("the model file")));
    }
    let metadata = PartialCard::from_metadata(&facts.metadata, path);
    let source = match (
        metadata == PartialCard::default(),
        flags == PartialCard::default(),
    ) {
        (false, _) => "the model's metadata",
        (true, false) => "flags",
        (true, true) => "none",
    };
    Ok((flags.or(metadata), String::from(source)))
}
