//! The kernels: a shader each, and for every operator the steps that it takes.

mod convolution;
mod elementwise;
mod layout;
mod pool;
mod rows;

use foveola_core::Shape;
use foveola_core::mask::MAX_CELLS;
use foveola_core::net::model::Model;
use foveola_core::net::op::{Activation, Op};

use super::steps::{Backward, Forward, Operand, Step, Work};
use super::{GpuError, integers};

pub(super) use convolution::{Sample, weights as convolution_weights};

/// What a shader does with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads only.
    Read,
    /// Reads and writes.
    Write,
}

/// How tensors are stored; sums are f32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// 4 bytes an element.
    #[default]
    Full,
    /// 2 bytes an element, where the adapter has it.
    Half,
}

impl Storage {
    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::Full => 4,
            Self::Half => 2,
        }
    }
}

/// A shader of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    /// Which.
    pub kind: ShaderKind,
    /// How its tensors are stored.
    pub storage: Storage,
}

macro_rules! shaders {
    ($($name:ident: $($file:literal),+ => [$($access:ident),*];)+) => {
        /// The shaders, by what they do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each file says what it does in its first line")]
        pub enum ShaderKind { $($name),+ }

        impl ShaderKind {
            /// Every shader.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            const fn files(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$(include_str!(concat!("wgsl/", $file))),+]),+ }
            }

            /// The buffers that it binds, from binding 2 on.
            pub const fn buffers(self) -> &'static [Access] {
                match self { $(Self::$name => &[$(Access::$access),*]),+ }
            }
        }
    };
}

shaders! {
    ConvScalar: "conv_params.wgsl", "conv_tiles.wgsl", "conv.wgsl", "conv_scalar.wgsl", "conv_alone.wgsl" => [Read, Read, Read, Write];
    ConvVector: "conv_params.wgsl", "conv_tiles.wgsl", "conv.wgsl", "conv_vector.wgsl", "conv_alone.wgsl" => [Read, Read, Read, Write];
    ConvScalarAdd: "conv_params.wgsl", "conv_tiles.wgsl", "conv.wgsl", "conv_scalar.wgsl", "conv_add.wgsl" => [Read, Read, Read, Write, Read];
    ConvVectorAdd: "conv_params.wgsl", "conv_tiles.wgsl", "conv.wgsl", "conv_vector.wgsl", "conv_add.wgsl" => [Read, Read, Read, Write, Read];
    ConvMatrixAdd: "conv_params.wgsl", "conv_tiles.wgsl", "conv_matrix.wgsl", "conv_vector.wgsl", "conv_add.wgsl" => [Read, Read, Read, Write, Read];
    ConvFirst: "conv_params.wgsl", "question.wgsl", "rise.wgsl", "first.wgsl", "conv.wgsl", "conv_first.wgsl", "conv_alone.wgsl" => [Read, Read, Read, Write, Read, Read];
    DepthwiseFirst: "conv_params.wgsl", "question.wgsl", "rise.wgsl", "first.wgsl", "depthwise_first.wgsl" => [Read, Read, Read, Write, Read, Read];
    ConvMatrix: "conv_params.wgsl", "conv_tiles.wgsl", "conv_matrix.wgsl", "conv_vector.wgsl", "conv_alone.wgsl" => [Read, Read, Read, Write];
    Depthwise: "depthwise.wgsl" => [Read, Read, Read, Write];
    DepthwiseVector: "depthwise_vector.wgsl" => [Read, Read, Read, Write];
    Pool: "pool.wgsl" => [Read, Write, Write];
    PoolBack: "pool_back.wgsl" => [Read, Read, Write];
    Binary: "binary.wgsl" => [Read, Read, Write];
    BinaryBack: "binary_back.wgsl" => [Read, Read, Read, Write];
    Pointwise: "pointwise.wgsl" => [Read, Read, Read, Write];
    PointwiseBack: "pointwise_back.wgsl" => [Read, Read, Read, Write];
    Gate: "gate.wgsl" => [Read, Write];
    Move: "move.wgsl" => [Read, Write];
    PadBack: "pad_back.wgsl" => [Read, Write];
    Reduce: "reduce.wgsl" => [Read, Write, Write];
    LargestBack: "largest_back.wgsl" => [Read, Read, Write];
    Lrn: "lrn.wgsl" => [Read, Read, Write];
    Softmax: "softmax.wgsl" => [Read, Read, Write];
    RiseCells: "philox.wgsl", "rise_cells.wgsl" => [Read, Write];
    MaskSums: "rise.wgsl", "mask_sums.wgsl" => [Read, Read, Read, Read, Write];
    Int8Conv: "int8.wgsl", "int8_conv_tiles.wgsl", "int8_conv.wgsl" => [Read, Read, Read, Write];
    Int8ConvFirst: "int8.wgsl", "int8_questions.wgsl", "question.wgsl", "rise.wgsl", "stored_as.wgsl", "int8_conv_first.wgsl", "int8_conv.wgsl" => [Read, Read, Read, Write, Read, Read, Read];
    Int8ConvGroups: "int8.wgsl", "int8_conv_groups.wgsl" => [Read, Read, Read, Write];
    Int8Depthwise: "int8.wgsl", "int8_depthwise.wgsl" => [Read, Read, Read, Write];
    Int8Activate: "int8.wgsl", "int8_activate.wgsl" => [Read, Read, Read, Write];
    Int8Binary: "int8.wgsl", "int8_binary.wgsl" => [Read, Read, Read, Write];
    Int8Concat: "int8.wgsl", "int8_concat.wgsl" => [Read, Read, Read, Write];
    Int8Move: "int8.wgsl", "int8_move.wgsl" => [Read, Read, Read, Write];
    Int8Largest: "int8.wgsl", "int8_largest.wgsl" => [Read, Read, Read, Write];
    Int8Average: "int8.wgsl", "int8_average.wgsl" => [Read, Read, Read, Write];
    Int8Mean: "int8.wgsl", "int8_mean.wgsl" => [Read, Read, Read, Write];
    Int8Softmax: "int8.wgsl", "int8_softmax.wgsl" => [Read, Read, Read, Write];
    Int8Quantise: "int8.wgsl", "stored_as.wgsl", "int8_quantise.wgsl" => [Read, Read, Read, Write];
    Int8QuantiseFirst: "int8.wgsl", "int8_questions.wgsl", "question.wgsl", "rise.wgsl", "stored_as.wgsl", "int8_quantise_first.wgsl" => [Read, Read, Read, Write, Read, Read, Read];
    Int8Dequantise: "int8.wgsl", "int8_dequantise.wgsl" => [Read, Read, Read, Write];
    Patch: "patch.wgsl" => [Read, Read, Read, Write];
    Input: "question.wgsl", "rise.wgsl", "input.wgsl" => [Read, Read, Read, Write];
}

impl ShaderKind {
    /// Whether it multiplies cooperative matrices.
    pub const fn has_matrices(self) -> bool {
        matches!(self, Self::ConvMatrix | Self::ConvMatrixAdd)
    }

    /// Whether there is a shader for tensors that are stored so.
    pub fn takes(self, storage: Storage) -> bool {
        !self.has_matrices() || storage == Storage::Half
    }

    /// Whether the driver need not check it: its loops end and each index is
    /// within its buffer for every number that the host gives, which
    /// [`super::device`] proves. The others are checked.
    pub(super) const fn is_proven(self) -> bool {
        matches!(
            self,
            Self::ConvScalar
                | Self::ConvVector
                | Self::ConvMatrix
                | Self::ConvScalarAdd
                | Self::ConvVectorAdd
                | Self::ConvMatrixAdd
                | Self::Depthwise
                | Self::DepthwiseVector
                | Self::Int8Conv
                | Self::Int8Depthwise
        )
    }
}

impl Shader {
    /// A name that tells it from all others.
    pub fn name(&self) -> String {
        format!("{:?} {:?}", self.kind, self.storage)
    }

    /// Its whole text.
    pub fn source(&self) -> String {
        let matrices = match self.kind.has_matrices() {
            true => "enable wgpu_cooperative_matrix;\n",
            false => "",
        };
        let stored = match self.storage {
            Storage::Full => "alias Stored = f32;\n",
            Storage::Half => "enable f16;\nalias Stored = f16;\n",
        };
        let files = self.kind.files().iter();
        let common = [matrices, stored, include_str!("wgsl/common.wgsl")];
        common.into_iter().chain(files.copied()).collect()
    }

    /// The buffers that it binds, from binding 2 on.
    pub const fn buffers(&self) -> &'static [Access] {
        self.kind.buffers()
    }
}

/// Numbers of a kernel, in the order of its `Params`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words(Vec<u32>);

impl Words {
    /// Sizes; the plan of memory keeps them below 2^32.
    pub fn sizes<const N: usize>(mut self, sizes: [usize; N]) -> Self {
        self.0.extend(sizes.map(|n| n as u32));
        self
    }

    pub fn signed<const N: usize>(mut self, numbers: [i32; N]) -> Self {
        self.0.extend(numbers.map(|n| n as u32));
        self
    }

    pub fn reals<const N: usize>(mut self, numbers: [f32; N]) -> Self {
        self.0.extend(numbers.map(f32::to_bits));
        self
    }

    pub fn words(mut self, words: &[u32]) -> Self {
        self.0.extend(words);
        self
    }

    /// Puts another size in place of number `at`.
    pub fn set(&mut self, at: usize, size: usize) {
        if let Some(word) = self.0.get_mut(at) {
            *word = size as u32;
        }
    }

    pub fn flag(self, flag: bool) -> Self {
        self.sizes([usize::from(flag)])
    }

    /// Kind and numbers of an activation.
    pub fn activation(self, activation: Activation) -> Self {
        let (kind, a, b) = match activation {
            Activation::None => (0, 0.0, 0.0),
            Activation::Relu => (1, 0.0, 0.0),
            Activation::Clip { lo, hi } => (2, lo, hi),
            Activation::LeakyRelu { slope } => (3, slope, 0.0),
            Activation::HardSigmoid { alpha, beta } => (4, alpha, beta),
            Activation::HardSwish => (5, 0.0, 0.0),
            Activation::Sigmoid => (6, 0.0, 0.0),
            Activation::Silu => (7, 0.0, 0.0),
            Activation::Tanh => (8, 0.0, 0.0),
        };
        self.sizes([kind]).reals([a, b])
    }

    /// As bytes, to a multiple of 16.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        bytes
    }
}

/// The step that draws the round's RISE masks.
pub(super) fn drawn(storage: Storage) -> Step {
    Step {
        shader: Shader {
            kind: ShaderKind::RiseCells,
            storage,
        },
        operands: vec![Operand::Questions, Operand::Masks],
        words: Words::default().sizes([0]),
        // A thread for each row of cells that there may be.
        work: Work::Elements(usize::from(MAX_CELLS)),
    }
}

/// The step that makes the network's input from the round's questions.
pub(super) fn input(model: &Model<'_>, storage: Storage) -> Step {
    let Shape { h, w, c } = model.input();
    Step {
        shader: Shader {
            kind: ShaderKind::Input,
            storage,
        },
        operands: vec![
            Operand::Questions,
            Operand::Pictures,
            Operand::Masks,
            Operand::Value(model.input_id()),
        ],
        words: Words::default().sizes([h, w, c]),
        work: Work::Elements(h * w * c),
    }
}

/// Adds the steps of a node.
pub(super) fn forward(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    if at.residuals.doer(at.index).is_some() {
        return Ok(());
    }
    if integers::takes(&at.view) {
        return integers::forward(at);
    }
    match at.view.op {
        Op::Conv { .. } | Op::Dense => convolution::forward(at),
        Op::Depthwise { geometry } => convolution::depthwise(at, geometry),
        Op::Activate | Op::Affine => elementwise::pointwise(at),
        Op::PRelu | Op::Binary(_) => elementwise::binary(at),
        Op::Concat { axis } => layout::concat(at, axis),
        Op::Slice { .. } | Op::Shuffle { .. } | Op::Pad { .. } => layout::moved(at),
        Op::MaxPool(_) | Op::AveragePool { .. } => pool::forward(at),
        Op::Mean { .. } | Op::GlobalMaxPool => rows::reduce(at),
        Op::Lrn { .. } => rows::lrn(at),
        Op::Softmax => rows::softmax(at),
        Op::Quantise { .. } | Op::Dequantise => Err(at.unsupported("it computes with integers")),
    }
}

/// Adds the steps of the gradient of input `part` of a node; the gradient of
/// the node's output has gone through its gate.
pub(super) fn backward(at: &mut Backward<'_, '_>) -> Result<(), GpuError> {
    match at.view.op {
        Op::Conv { .. } | Op::Dense => convolution::backward(at),
        Op::Depthwise { geometry } => convolution::depthwise_back(at, geometry),
        Op::Activate | Op::Affine => elementwise::pointwise_back(at),
        Op::PRelu | Op::Binary(_) => elementwise::binary_back(at),
        Op::Concat { axis } => layout::concat_back(at, axis),
        Op::Slice { .. } | Op::Shuffle { .. } | Op::Pad { .. } => layout::moved_back(at),
        Op::MaxPool(_) | Op::AveragePool { .. } => pool::backward(at),
        Op::Mean { axes } => layout::mean_back(at, axes),
        Op::GlobalMaxPool => rows::largest_back(at),
        Op::Lrn { .. } => rows::lrn_back(at),
        Op::Softmax => rows::softmax_back(at),
        Op::Quantise { .. } | Op::Dequantise => Err(at.unsupported("it computes with integers")),
    }
}

/// A rule as shaders know it.
pub(super) const fn rule_number(rule: foveola_core::Rule) -> usize {
    match rule {
        foveola_core::Rule::Gradient => 0,
        foveola_core::Rule::Deconvolution => 1,
        foveola_core::Rule::Guided => 2,
    }
}
