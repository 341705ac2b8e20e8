//! The network between import and compilation: tensors, nodes, names.

use std::collections::BTreeMap;

use foveola_core::net::op::{Activation, Op};
use foveola_core::net::quant::Quantisation;
use foveola_core::{Shape, TensorId};

/// A tensor: a value that a node makes, the input, or a constant.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Name, for messages.
    pub name: String,
    /// Height, width, channels.
    pub shape: Shape,
    /// Values in HWC order, if it is a constant; the real numbers, also where
    /// it is stored as int8.
    pub constant: Option<Vec<f32>>,
    /// How it is stored, if not as f32.
    pub quant: Option<Quant>,
}

impl Tensor {
    /// Bytes of its value.
    pub fn size(&self) -> usize {
        self.shape.len() * if self.quant.is_some() { 1 } else { 4 }
    }
}

/// How a tensor is stored as int8: real = (stored - zero_point) * scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quant {
    /// Finite and above 0.
    pub scale: f32,
    /// The stored number that means 0.
    pub zero_point: i8,
    /// Whether the model's own integers are uint8, which is the stored number + 128.
    pub unsigned: bool,
}

impl Quant {
    /// Scale and zero point.
    pub const fn quantisation(&self) -> Quantisation {
        Quantisation {
            scale: self.scale,
            zero_point: self.zero_point,
        }
    }

    /// The model's own integer, -128 to 127 or 0 to 255, for the real number
    /// that one means.
    pub fn integer(self, real: f32) -> i32 {
        let steps = (real / self.scale).round() as i32;
        let lower = if self.unsigned { 128 } else { 0 };
        steps + i32::from(self.zero_point) + lower
    }
}

/// Weights of an int8 `Conv`, `Depthwise` or `Dense`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantisedWeights {
    /// In plain order, as f32 weights: OHWI, HWC, OI. A uint8 model's weights
    /// less 128.
    pub weights: Vec<i8>,
    /// The stored weight that means 0.
    pub zero_point: i8,
    /// One, or one an output channel.
    pub scales: Vec<f32>,
    /// One an output channel, in units of input scale * weight scale; empty for none.
    pub bias: Vec<i32>,
}

/// A node in run order.
#[derive(Clone, Debug)]
pub struct Node {
    /// The ONNX node's name (or its first output's, where it has none).
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What follows it (see [`Op`]; anything but `None`, `Relu`, `Clip`, `LeakyRelu` only for `Op::Activate`).
    pub activation: Activation,
    /// Inputs.
    pub inputs: Vec<TensorId>,
    /// Output.
    pub output: TensorId,
    /// Weights in plain order: OHWI for Conv, HWC for Depthwise, OI for Dense, C for Affine.
    pub weights: Vec<f32>,
    /// Bias (for Affine the shifts), one an output channel; empty for none.
    pub bias: Vec<f32>,
    /// Weights and bias of an int8 node, instead of `weights` and `bias`.
    pub quantised: Option<QuantisedWeights>,
    /// Share of elements that a Dropout behind it (and its activation) drops
    /// in training, above 0 and below 1; `None` where none follows. What reads
    /// the output past the Dropout counts as behind it.
    pub dropout: Option<f32>,
}

/// Share of elements that two dropouts in a row drop: kept is what both keep.
pub fn dropped_by(first: Option<f32>, second: Option<f32>) -> Option<f32> {
    match (first, second) {
        (Some(a), Some(b)) => Some(1.0 - (1.0 - a) * (1.0 - b)).filter(|&share| share < 1.0),
        (one, other) => one.or(other),
    }
}

/// Where the ONNX model expects the axes of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// N, C, H, W.
    Nchw,
    /// N, H, W, C.
    Nhwc,
    /// N, features.
    Flat,
}

/// The type of the numbers that the model takes. Model space is always what
/// the file takes: for a model that takes integers the input tensor holds these
/// integers as f32, cards turn pixels into them, and the first node is a
/// `Quantise` of step 1 (see [`Op::Quantise`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// 8-bit unsigned.
    U8,
    /// 8-bit signed.
    I8,
}

/// A whole network.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Tensors; a [`TensorId`] is an index here.
    pub tensors: Vec<Tensor>,
    /// Nodes in run order.
    pub nodes: Vec<Node>,
    /// The input picture.
    pub input: TensorId,
    /// Its layout in the ONNX file.
    pub layout: Layout,
    /// Its number type in the ONNX file.
    pub input_type: InputType,
    /// Name of the ONNX input.
    pub input_name: String,
    /// The model's output: a vector of scores.
    pub output: TensorId,
    /// Name of the ONNX output that `output` stands for.
    pub output_name: String,
    /// The scores before the final softmax or sigmoid (the output itself where there is none).
    pub logits: TensorId,
    /// Every ONNX tensor and node name whose value some tensor holds. Where a
    /// tensor and a node share a name, the tensor wins. In a quantised network
    /// the name of a float tensor before a quantiser stands for the stored
    /// tensor behind it.
    pub names: BTreeMap<String, TensorId>,
    /// Class labels found in the file (a ZipMap's), or empty.
    pub labels: Vec<String>,
    /// The file's metadata properties.
    pub metadata: BTreeMap<String, String>,
}

impl Graph {
    /// A tensor. The id must come from this graph.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[usize::from(id.0)]
    }

    /// The node that makes a tensor; `None` for the input and constants.
    pub fn producer(&self, id: TensorId) -> Option<&Node> {
        self.nodes.iter().find(|n| n.output == id)
    }

    /// How the scores are stored, if they are dequantised integers.
    pub fn output_quant(&self) -> Option<Quant> {
        let node = self.producer(self.output)?;
        let stored = *node.inputs.first()?;
        let quantised = node.op == Op::Dequantise;
        quantised.then_some(self.tensor(stored).quant).flatten()
    }

    /// How many inputs of nodes read a tensor.
    pub fn readers(&self, id: TensorId) -> usize {
        self.nodes
            .iter()
            .flat_map(|n| &n.inputs)
            .filter(|&&i| i == id)
            .count()
    }
}
