//! What can be wrong with a TFLite file, and what to do about it.

use super::super::error::UnsupportedNode;

/// Why a TFLite file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum TfliteError {
    /// The bytes are not a TFLite flatbuffer, or contradict themselves.
    #[error(
        "this is not a TFLite model, or it is cut off or damaged ({reason}); check that the file was copied completely"
    )]
    Decode {
        /// What the verifier said.
        reason: String,
    },
    /// The schema's version is not the one that is read.
    #[error(
        "the file follows version {found} of the TFLite schema; version 3 is read: convert the model again"
    )]
    Version {
        /// Version found.
        found: u32,
    },
    /// The file holds no network.
    #[error("the file decodes but holds no network: {reason}; convert the model again")]
    NoGraph {
        /// What is missing.
        reason: String,
    },
    /// A tensor contradicts itself.
    #[error("tensor {index} \"{name}\" is malformed: {reason}; convert the model again")]
    Tensor {
        /// Its index in the file.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An operator contradicts the schema or its inputs.
    #[error(
        "operator {index} ({op}), which makes \"{tensor}\", is malformed: {reason}; convert the model again"
    )]
    Operator {
        /// Its index in the file.
        index: usize,
        /// Its name in the schema.
        op: String,
        /// Its first output.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// Operators that the portable network lacks: all of them.
    #[error("{}", unsupported(.nodes))]
    Unsupported {
        /// The operators in file order.
        nodes: Vec<UnsupportedNode>,
    },
}

/// One screen at most: the first operators, then a count.
fn unsupported(nodes: &[UnsupportedNode]) -> String {
    const SHOWN: usize = 12;
    let mut text = format!(
        "{} of the model's operators cannot run in the portable network:\n",
        nodes.len()
    );
    for node in nodes.iter().take(SHOWN) {
        text += &format!("  {node}\n");
    }
    if nodes.len() > SHOWN {
        text += &format!("  and {} more\n", nodes.len() - SHOWN);
    }
    text + "No other engine runs .tflite files here; the black-box methods (rise, hoc, occlusion) \
            work on the same network as ONNX, with --backend tract"
}
