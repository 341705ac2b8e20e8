//! A TFLite network for an Arm Ethos-U: Arm's compiler `vela` makes its command
//! stream, and what the firmware needs of that goes into a `.fvu` file
//! ([`foveola_core::accelerator::program`]).

mod vela;

use std::path::{Path, PathBuf};

use foveola_core::accelerator::program::{ALIGNMENT, Facts, HEADER, MAGIC, Scores, VERSION};
use foveola_core::net::model::crc32c;
use foveola_core::net::quant::Quantisation;
use foveola_core::picture::{MAX_CHANNELS, Normalisation};

use crate::card::OutputActivation;
use crate::graph::InputType;
use crate::model::OpenModel;

pub use vela::{Counts, Made};

/// The Python package whose program is called.
pub const PACKAGE: &str = "ethos-u-vela==5.2.0";

/// The NPUs that the driver knows: product and multipliers.
pub const NPUS: [&str; 6] = [
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
];

/// Why a network is not compiled for an NPU.
#[derive(Debug, thiserror::Error)]
pub enum AccelerateError {
    /// Not a TFLite file.
    #[error("{0}: the compiler of the Ethos-U reads int8 .tflite files alone")]
    NotTflite(PathBuf),
    /// The input is not int8.
    #[error("{0}: its input is not int8; quantise the whole model, input and output included")]
    NotInt8(PathBuf),
    /// There is no compiler.
    #[error(
        "{program} is not there: install Arm's compiler with `pip install {PACKAGE}`, or say where it is with --vela"
    )]
    NoVela {
        /// What was called.
        program: String,
    },
    /// The compiler failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// What was called.
        program: String,
        /// The end of what it said.
        said: String,
    },
    /// A file or folder of the compiler's.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The compiler left work to the processor.
    #[error("vela left {} to the processor: {}; a program for the firmware must lie on the NPU as a whole", count(.0.len()), .0.join(", "))]
    Processor(Vec<String>),
    /// The compiler's file is not what it should be.
    #[error("the file that vela wrote is not understood: {0}; this reads what {PACKAGE} writes")]
    Output(String),
}

fn count(operators: usize) -> String {
    match operators {
        1 => String::from("1 operator"),
        n => format!("{n} operators"),
    }
}

/// A network on an NPU.
#[derive(Debug)]
pub struct Accelerated {
    /// The `.fvu` file.
    pub file: Vec<u8>,
    /// Its numbers.
    pub facts: Facts,
    /// What the compiler made.
    pub made: Made,
}

/// Compiles a model for one of [`NPUS`] with `program` (usually `vela`) and
/// further arguments for it.
///
/// # Errors
/// See [`AccelerateError`].
pub fn accelerate(
    model: &OpenModel,
    npu: &str,
    program: &str,
    arguments: &[String],
) -> Result<Accelerated, AccelerateError> {
    if model.path.extension().is_none_or(|e| e != "tflite") {
        return Err(AccelerateError::NotTflite(model.path.clone()));
    }
    if model.input_type != InputType::I8 {
        return Err(AccelerateError::NotInt8(model.path.clone()));
    }
    let made = vela::run(&model.path, npu, program, arguments)?;
    let facts = facts(model, &made)?;
    Ok(Accelerated {
        file: file(&facts, &made.commands, &made.weights),
        facts,
        made,
    })
}

/// What the model and the compiler say together. In a model of integers the
/// model's numbers are these integers.
fn facts(model: &OpenModel, made: &Made) -> Result<Facts, AccelerateError> {
    let input = model.facts.input;
    if made.input.elements != input.len() {
        let (found, expected) = (made.input.elements, input.len());
        return Err(AccelerateError::Output(format!(
            "its input has {found} elements, the model's {expected}"
        )));
    }
    let card = &model.card;
    let channels = |values: &[f32], other: f32| {
        let mut all = [other; MAX_CHANNELS];
        for (to, value) in all.iter_mut().zip(values) {
            *to = *value;
        }
        all
    };
    Ok(Facts {
        config: made.config,
        id: made.id,
        scratch: made.scratch,
        fast: made.fast,
        input_at: made.input.at,
        output_at: made.output.at,
        input,
        classes: made.output.elements,
        input_as: Quantisation {
            scale: 1.0,
            zero_point: 0,
        },
        output_as: made.output.stored,
        normalisation: Normalisation {
            mean: channels(&card.mean, 0.0),
            scale: channels(&card.scale, 1.0),
        },
        scores: match card.activation {
            OutputActivation::Softmax => Scores::Softmax,
            OutputActivation::Sigmoid => Scores::Sigmoid,
            OutputActivation::None if model.facts.normalised => Scores::Probabilities,
            OutputActivation::None => Scores::Plain,
        },
    })
}

/// The `.fvu` file of a command stream and weights.
#[must_use]
pub fn file(facts: &Facts, commands: &[u8], weights: &[u8]) -> Vec<u8> {
    let aligned = |at: usize| at.next_multiple_of(ALIGNMENT);
    let weights_at = aligned(HEADER + commands.len());
    let length = weights_at + weights.len();
    let word = |number: usize| (number as u32).to_le_bytes();
    let mut file = Vec::with_capacity(length);
    file.extend(MAGIC);
    file.extend(VERSION.to_le_bytes());
    file.extend((HEADER as u16).to_le_bytes());
    file.extend(word(length));
    file.extend(word(0));
    file.extend(facts.config.to_le_bytes());
    file.extend(facts.id.to_le_bytes());
    let shape = facts.input;
    for number in [HEADER, commands.len(), weights_at, weights.len()]
        .into_iter()
        .chain([facts.scratch, facts.fast, facts.input_at, facts.output_at])
        .chain([shape.h, shape.w, shape.c, facts.classes])
    {
        file.extend(word(number));
    }
    for by in [facts.input_as, facts.output_as] {
        file.extend(by.scale.to_le_bytes());
        file.extend(i32::from(by.zero_point).to_le_bytes());
    }
    let Normalisation { mean, scale } = facts.normalisation;
    file.extend(mean.iter().chain(&scale).flat_map(|v| v.to_le_bytes()));
    file.extend((facts.scores as u32).to_le_bytes());
    file.extend(word(0));
    file.extend(commands);
    file.resize(weights_at, 0);
    file.extend(weights);
    let crc = crc32c(&file[16..]);
    file[12..16].copy_from_slice(&crc.to_le_bytes());
    file
}

/// The file to write where nobody named one.
#[must_use]
pub fn default_name(model: &Path) -> PathBuf {
    PathBuf::from(model.file_stem().unwrap_or_default()).with_extension("fvu")
}
