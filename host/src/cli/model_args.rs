//! The flags that say which model runs, on what, and how pictures get in.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, note};
use crate::backend::core::Editing;
use crate::card::{Channels, Labels, OutputActivation, PartialCard, Resize};
use crate::explainer::ExplainError;
use crate::model::{BackendKind, OpenModel, OpenOptions, Precision};

#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// Model: an ONNX or .tflite file, or a .fov file that `foveola compile` made
    pub model: PathBuf,

    /// Engine [default: core, or tract where core lacks an operator]
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,

    /// GPU for --backend gpu or auto: number or part of the name, see `foveola gpus`
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,

    /// How --backend gpu or auto stores numbers between layers [default: full]
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,

    /// Threads; results do not depend on it [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// How a picture of which one box changed is evaluated; results do not depend on it
    /// [default: incremental; on a device full]
    #[arg(long, value_enum)]
    pub edits: Option<Editing>,

    /// Read ONNX values from other files in the model's folder
    #[arg(long)]
    pub allow_external: bool,

    /// Height and width, for a model that leaves them open
    #[arg(long, value_name = "H,W", value_parser = size)]
    pub input_size: Option<[usize; 2]>,

    #[command(
        flatten,
        next_help_heading = "Preprocessing (before the card's values)"
    )]
    pub card: CardArgs,
}

/// The engines that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// A GPU if there is one that is no software and that takes the network, else as without the flag
    Auto,
    /// Foveola's own network code on the processor: the same bits on every machine
    Core,
    /// A GPU: many pictures at once, within rounding of core
    Gpu,
    /// tract: scores only, of any model that it runs
    Tract,
}

impl Backend {
    const fn kind(self) -> Option<BackendKind> {
        match self {
            Self::Auto => None,
            Self::Core => Some(BackendKind::Core),
            Self::Gpu => Some(BackendKind::Gpu),
            Self::Tract => Some(BackendKind::Tract),
        }
    }
}

/// Heading of the flags that go before a card's values.
const PREPROCESSING: &str = "Preprocessing (goes before the card's values)";

#[derive(Clone, Debug, Default, Args)]
pub struct CardArgs {
    /// Preprocessing card [default: MODEL.card.toml, the model's metadata, or assumptions]
    #[arg(help_heading = PREPROCESSING, long, value_name = "FILE")]
    pub card: Option<PathBuf>,

    /// How photos get the network's size
    #[arg(help_heading = PREPROCESSING, long, value_enum, ignore_case = true)]
    pub resize: Option<Resize>,

    /// Channels and their order
    #[arg(help_heading = PREPROCESSING, long, value_enum, ignore_case = true)]
    pub channels: Option<Channels>,

    /// Subtracted from each channel, in pixel units: one number or one a channel
    #[arg(help_heading = PREPROCESSING,
        long,
        value_name = "M,..",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    pub mean: Option<Vec<f32>>,

    /// Multiplied afterwards: one number or one a channel
    #[arg(help_heading = PREPROCESSING,
        long,
        value_name = "S,..",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    pub scale: Option<Vec<f32>>,

    /// What turns the output into probabilities
    #[arg(help_heading = PREPROCESSING, long, value_enum, ignore_case = true)]
    pub activation: Option<OutputActivation>,

    /// Labels, one a line
    #[arg(help_heading = PREPROCESSING, long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let sides: Result<Vec<usize>, _> = text.split([',', 'x', '/']).map(str::parse).collect();
    match sides.as_deref() {
        Ok(&[h, w]) if h > 0 && w > 0 => Ok([h, w]),
        _ => Err(String::from("it takes height and width, as 224,224")),
    }
}

/// Why a model failed; the reason of a GPU where that is what failed.
pub fn failed(error: impl Into<CliError>, model: &OpenModel) -> CliError {
    let error = error.into();
    match &error {
        CliError::Explain(ExplainError::Classifier(foveola_core::Error::Backend)) => {
            let failure = model.line_failure().or_else(|| model.failure());
            failure.map_or(error, CliError::Model)
        }
        _ => error,
    }
}

impl ModelArgs {
    /// Opens the model and says what was assumed.
    pub fn open(&self) -> Result<OpenModel, CliError> {
        let card = &self.card;
        let of_gpu = [
            ("--adapter", self.adapter.is_some()),
            ("--precision", self.precision.is_some()),
        ];
        if let Some((flag, _)) = of_gpu.into_iter().find(|(_, given)| *given)
            && !matches!(self.backend, Some(Backend::Gpu | Backend::Auto))
        {
            let reason = format!("{flag} is for --backend gpu and --backend auto");
            return Err(CliError::Usage(reason));
        }
        let mut model = OpenModel::open(
            &self.model,
            &OpenOptions {
                backend: self.backend.and_then(Backend::kind),
                adapter: self.adapter.clone(),
                precision: self.precision.unwrap_or_default(),
                card_file: card.card.clone(),
                card: PartialCard {
                    size: None,
                    resize: card.resize,
                    channels: card.channels,
                    mean: card.mean.clone(),
                    scale: card.scale.clone(),
                    activation: card.activation,
                    labels: card.labels.clone().map(Labels::File),
                },
                allow_external: self.allow_external,
                input_size: self.input_size,
            },
        )?;
        if self.backend == Some(Backend::Auto) {
            model.prefer_gpu(self.adapter.as_deref());
        }
        model.editing = self.edits.unwrap_or_default();
        for text in &model.notes {
            note(text);
        }
        if !model.assumed.is_empty() {
            note(&format!(
                "not told by the model or a card, so assumed: {}",
                model.assumed.join("; ")
            ));
        }
        Ok(model)
    }

    /// Threads to run.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }
}
