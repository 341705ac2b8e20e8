//! Post-training quantisation: a float network becomes int8 after it has been
//! watched on pictures of its kind, and is compared with what it was.
//!
//! Activations: int8, one scale and zero point a tensor, zero exactly
//! representable. Weights: int8, symmetric, one scale an output channel.
//! Biases: int32. Source: B. Jacob et al., "Quantization and Training of Neural
//! Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018; the
//! rules are TFLite's (its "8-bit quantization specification"), except that the
//! last softmax or sigmoid stays f32: in steps of 1/256 the probability of a
//! sure answer would not move, and there would be no evidence left to show.

mod calibrate;
pub mod compare;
pub mod histogram;
mod lower;
pub mod pictures;
mod prepare;
pub mod range;
pub mod rank;
mod scales;
mod weights;

use std::path::PathBuf;

use foveola_core::Error;

use crate::compile::{CompileError, Compiled, compile, fold};
use crate::explainer::ExplainError;
use crate::graph::Graph;
use crate::model::{Engine, ModelError, OpenModel};

pub use calibrate::Calibration;
pub use pictures::{Album, Skipped};
pub(crate) use pictures::{plain_label, spread};
pub use range::RangeRule;

/// Why a network is not quantised.
#[derive(Debug, thiserror::Error)]
pub enum QuantiseError {
    /// A folder that cannot be read.
    #[error("cannot read the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No picture.
    #[error(
        "there is no picture in {} (PNG, JPEG, BMP or .npy files, also in its folders)",
        .0.display()
    )]
    NoPictures(PathBuf),
    /// Pictures that cannot be read, and no other.
    #[error("none of the {count} pictures in {} can be read; the first: {first}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        first: String,
    },
    /// The network has integers already.
    #[error("the network is quantised already: compile it without --int8")]
    AlreadyQuantised,
    /// Not an imported network.
    #[error("only an ONNX or .tflite file that the core backend runs can be quantised: {0}")]
    NotImported(String),
    /// Nothing that int8 would make smaller or faster.
    #[error("the network has no convolution and no dense layer, so there is nothing to quantise")]
    NothingToQuantise,
    /// A value that no scale can express.
    #[error("tensor {0:?} has values that are not finite on the calibration pictures")]
    NotFinite(String),
    /// More tensors than a file holds.
    #[error("the quantised network has too many tensors")]
    TooLarge,
    /// It was asked to stop.
    #[error("stopped before the network was quantised; nothing is written")]
    Stopped,
    /// The network does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The network failed on a picture.
    #[error("the network failed on a calibration picture: {0}")]
    Run(#[from] Error),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The comparison.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The system gives no threads.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// A float network, ready to be watched: simplified, with the operators that
/// int8 knows in place of those that it does not.
#[derive(Clone, Debug)]
pub struct FloatNetwork {
    graph: Graph,
    report: fold::Report,
}

impl FloatNetwork {
    /// The network of a model.
    ///
    /// # Errors
    /// A model that is quantised already, is not an imported network, or has
    /// nothing to quantise.
    pub fn of(model: &OpenModel, layers: &[String]) -> Result<Self, QuantiseError> {
        let refusal = |what: &str| QuantiseError::NotImported(String::from(what));
        let graph = match &model.engine {
            Engine::Graph(imported) => &imported.graph,
            Engine::File(_) => return Err(refusal("this is a .fov file, which is compiled")),
            Engine::Tract(_) => return Err(refusal("tract runs this model")),
        };
        Self::of_graph(graph.clone(), layers)
    }

    /// An imported graph; `layers` keep their values.
    ///
    /// # Errors
    /// As [`FloatNetwork::of`].
    pub fn of_graph(mut graph: Graph, layers: &[String]) -> Result<Self, QuantiseError> {
        if graph.tensors.iter().any(|t| t.quant.is_some()) {
            return Err(QuantiseError::AlreadyQuantised);
        }
        let mut report = fold::optimise(&mut graph, layers, true);
        // A reader that was removed may let its neighbours join.
        loop {
            let more = fold::optimise(&mut graph, layers, true);
            let changed = more.folded + more.merged + more.removed;
            report.folded += more.folded;
            report.merged += more.merged;
            report.removed += more.removed;
            report.vanished.extend(more.vanished);
            if changed == 0 {
                break;
            }
        }
        if !graph.nodes.iter().any(|n| prepare::is_linear(n.op)) {
            return Err(QuantiseError::NothingToQuantise);
        }
        prepare::prepare(&mut graph)?;
        Ok(Self { graph, report })
    }

    /// The graph.
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Quantises the network by what was seen of it, and removes constant
    /// channels if `prune`.
    ///
    /// # Errors
    /// A tensor that is not finite; scales that int8 arithmetic cannot express.
    pub fn quantise(
        &self,
        calibration: &Calibration,
        rule: RangeRule,
        model: &OpenModel,
        layers: &[String],
        prune: bool,
    ) -> Result<Quantised, QuantiseError> {
        let input = range::of_pixels(&model.card);
        let ranges = calibration.ranges(&self.graph, rule, input)?;
        let lowered = lower::lower(&self.graph, &scales::Scales::new(&self.graph, &ranges))?;
        let options = crate::compile::CompileOptions {
            layers: layers.to_vec(),
            prune,
            goal: model.goal,
            ..Default::default()
        };
        let mut compiled = compile(lowered.graph, &model.card, &options)?;
        compiled.report.folded += self.report.folded;
        compiled.report.merged += self.report.merged;
        compiled.report.removed = self.report.removed;
        Ok(Quantised {
            compiled,
            integer_nodes: lowered.integer_nodes,
            float_nodes: lowered.float_nodes,
        })
    }
}

/// A quantised network.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// The model file.
    pub compiled: Compiled,
    /// Nodes that compute with integers.
    pub integer_nodes: usize,
    /// Names of the nodes that stay f32, as there is no int8 kernel for them
    /// (the last softmax or sigmoid is none of them).
    pub float_nodes: Vec<String>,
}
