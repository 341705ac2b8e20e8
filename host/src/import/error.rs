//! What can be wrong with a model file, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use super::tflite::TfliteError;

/// A node that has no equivalent in the portable network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name (or its first output's, where it has none).
    pub name: String,
    /// Its operator, with the domain if that is not the standard one.
    pub op: String,
    /// What about it is not supported.
    pub reason: String,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\": {}", self.op, self.name, self.reason)
    }
}

/// Why a file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error("cannot read the model {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The bytes are not an ONNX protobuf, or end too early.
    #[error(
        "this is not an ONNX model, or it is cut off ({reason}); check that the file was copied completely"
    )]
    Decode {
        /// What the decoder said.
        reason: String,
    },
    /// The protobuf holds no graph.
    #[error("the file decodes but holds no graph; it is not an ONNX model")]
    NoGraph,
    /// The operator set is older than what is understood.
    #[error(
        "the model uses ONNX opset {found}; opset 7 to 21 are understood: convert it with onnx.version_converter"
    )]
    Opset {
        /// Version found.
        found: i64,
    },
    /// The model's input cannot be taken.
    #[error("input \"{name}\": {reason}")]
    Input {
        /// The input.
        name: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Height or width are symbolic.
    #[error("input \"{name}\" leaves its height or width open; give them with --input-size H,W")]
    NeedsSize {
        /// The input.
        name: String,
    },
    /// No output can serve as scores.
    #[error("no output serves as a vector of scores: {reason}")]
    Output {
        /// What the outputs are.
        reason: String,
    },
    /// External data was refused or does not fit.
    #[error("tensor \"{tensor}\" keeps its values in another file: {reason}")]
    External {
        /// The tensor.
        tensor: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A tensor in the file contradicts itself.
    #[error("tensor \"{tensor}\" is malformed: {reason}; export the model again")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A node contradicts the ONNX standard or its inputs.
    #[error("node {op} \"{name}\" is malformed: {reason}; check the model with onnx.checker")]
    Node {
        /// The node.
        name: String,
        /// Its operator.
        op: String,
        /// What is wrong.
        reason: String,
    },
    /// A node reads a tensor that does not exist when it runs.
    #[error(
        "node {op} \"{name}\" reads \"{tensor}\", which {why}; check the model with onnx.checker"
    )]
    Order {
        /// The node.
        name: String,
        /// Its operator.
        op: String,
        /// What it reads.
        tensor: String,
        /// Whether the tensor comes later (or in a circle) or never.
        why: &'static str,
    },
    /// Two makers of one tensor.
    #[error("tensor \"{tensor}\" is made twice; export the model again")]
    Duplicate {
        /// The tensor.
        tensor: String,
    },
    /// The network exceeds what the format can hold.
    #[error("the network is too large: {what}")]
    TooLarge {
        /// Which limit is exceeded.
        what: String,
    },
    /// Operators that the portable network lacks: all of them.
    #[error("{}", unsupported(.nodes))]
    Unsupported {
        /// The nodes in file order.
        nodes: Vec<UnsupportedNode>,
    },
    /// What can be wrong with a TFLite file only.
    #[error(transparent)]
    Tflite(#[from] TfliteError),
}

/// One screen at most: the first nodes, then a count.
fn unsupported(nodes: &[UnsupportedNode]) -> String {
    const SHOWN: usize = 12;
    let mut text = format!(
        "{} of the model's nodes cannot run in the portable network:\n",
        nodes.len()
    );
    for node in nodes.iter().take(SHOWN) {
        text += &format!("  {node}\n");
    }
    if nodes.len() > SHOWN {
        text += &format!("  and {} more\n", nodes.len() - SHOWN);
    }
    text + "The black-box methods (rise, hoc, occlusion) still work on this model with --backend tract"
}

/// Why one node was not lowered.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is valid, but there is no equivalent.
    Unsupported(String),
    /// It is invalid.
    Malformed(String),
    /// Something that ends the import.
    Fatal(ImportError),
}

impl From<ImportError> for Stop {
    fn from(error: ImportError) -> Self {
        Self::Fatal(error)
    }
}

/// Shorthand for a valid node without an equivalent.
pub(super) fn unsupported_because<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Unsupported(reason.into()))
}

/// Shorthand for an invalid node.
pub(super) fn malformed<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Malformed(reason.into()))
}
