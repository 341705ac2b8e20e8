//! A checked model file, read in place.

mod check;
mod check_plan;
mod sections;

use zerocopy::little_endian::U16;

pub use sections::{crc32c, digest};

use super::format::{
    BufferRecord, FOREVER, NetworkRecord, NodeRecord, PlanRecord, TO_INPUT, TensorRecord, op_code,
    pass,
};
use super::op::{Activation, Op};
use crate::classifier::{At, Score};
use crate::error::Error;
use crate::picture::Normalisation;
use crate::tensor::{Shape, TensorId};

/// A model file that passed every check. Accessors return what the file
/// holds; those that take an index answer `None` outside the range.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    bytes: &'m [u8],
    digest: &'m [u8; 32],
    network: &'m NetworkRecord,
    tensors: &'m [TensorRecord],
    nodes: &'m [NodeRecord],
    edges: &'m [U16],
    weights: &'m [f32],
    labels: &'m [u8],
    names: &'m str,
    plans: &'m [PlanRecord],
    buffers: &'m [BufferRecord],
}

/// A tensor of the file.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'m> {
    /// Its shape.
    pub shape: Shape,
    /// Its values in HWC order, if it is a constant.
    pub constant: Option<&'m [f32]>,
    /// Its name.
    pub name: &'m str,
}

/// A node of the file.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'m> {
    /// What it computes.
    pub op: Op,
    /// What follows.
    pub activation: Activation,
    inputs: &'m [U16],
    /// Its output.
    pub output: TensorId,
    /// Weights in packed order.
    pub weights: &'m [f32],
    /// Bias.
    pub bias: &'m [f32],
    /// Its name.
    pub name: &'m str,
    /// Whether a dropout followed it in training.
    pub dropout: bool,
}

impl<'m> NodeView<'m> {
    /// The inputs, in order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = TensorId> + 'm {
        self.inputs.iter().map(|id| TensorId(id.get()))
    }

    /// Input number `part`.
    pub fn input(&self, part: usize) -> Option<TensorId> {
        self.inputs.get(part).map(|id| TensorId(id.get()))
    }
}

/// What a memory plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pass {
    /// Scores only.
    Forward,
    /// Scores, then gradients down to this point.
    Backward(At),
}

impl Pass {
    /// The two numbers that stand for it in a plan record.
    pub const fn code(self) -> (u16, u16) {
        match self {
            Self::Forward => (pass::FORWARD, TO_INPUT),
            Self::Backward(At::Input) => (pass::BACKWARD, TO_INPUT),
            Self::Backward(At::Tensor(id)) => (pass::BACKWARD, id.0),
        }
    }
}

/// One buffer of a plan, in bytes of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// First byte.
    pub offset: usize,
    /// Bytes; 0 for none.
    pub length: usize,
    /// First step at which it holds something.
    pub birth: u16,
    /// Last step at which it is read.
    pub death: u16,
}

impl Buffer {
    /// Where it lies in the arena; `0..0` if it does not exist.
    pub const fn range(&self) -> core::ops::Range<usize> {
        if self.length == 0 {
            return 0..0;
        }
        self.offset..self.offset + self.length
    }

    /// Whether it keeps its content until the next run.
    pub const fn is_kept(&self) -> bool {
        self.length > 0 && self.death == FOREVER
    }
}

/// A memory plan of the file.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'m> {
    buffers: &'m [BufferRecord],
    tensors: usize,
    arena: usize,
    backward: bool,
}

impl Plan<'_> {
    /// Bytes of arena that it needs.
    pub const fn arena_len(&self) -> usize {
        self.arena
    }

    /// Where a tensor's value lies; length 0 if it is not stored.
    pub fn value(&self, id: TensorId) -> Buffer {
        self.buffer(usize::from(id.0))
    }

    /// Where a tensor's gradient lies; length 0 if there is none.
    pub fn gradient(&self, id: TensorId) -> Buffer {
        if !self.backward {
            return Buffer::default();
        }
        self.buffer(self.tensors + usize::from(id.0))
    }

    /// Where a node's kept bytes lie; length 0 if it keeps none.
    pub fn keep(&self, node: usize) -> Buffer {
        if !self.backward {
            return Buffer::default();
        }
        self.buffer(2 * self.tensors + node)
    }

    fn buffer(&self, index: usize) -> Buffer {
        self.buffers
            .get(index)
            .map_or_else(Buffer::default, |b| Buffer {
                offset: b.offset.get() as usize,
                length: b.length.get() as usize,
                birth: b.birth.get(),
                death: b.death.get(),
            })
    }
}

impl<'m> Model<'m> {
    /// Reads a model file and checks all of it once: hashes, bounds,
    /// alignment, arity, shapes, ranges, finite weights, and that buffers of a
    /// plan which live at the same time never overlap.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_bytes(bytes: &'m [u8]) -> Result<Self, Error> {
        let model = sections::read(bytes, true)?;
        model.check()?;
        Ok(model)
    }

    /// As [`Model::from_bytes`] without CRC-32C and SHA-256, for files whose
    /// storage is trusted. Everything else is checked all the same.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_bytes_unhashed(bytes: &'m [u8]) -> Result<Self, Error> {
        let model = sections::read(bytes, false)?;
        model.check()?;
        Ok(model)
    }

    /// The whole file.
    pub const fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    /// SHA-256 as stored in the file.
    pub const fn digest(&self) -> &'m [u8; 32] {
        self.digest
    }

    /// Bytes of weights and constants.
    pub const fn weight_bytes(&self) -> usize {
        self.weights.len() * 4
    }

    /// Tensor id of the input.
    pub fn input_id(&self) -> TensorId {
        TensorId(self.network.input.get())
    }

    /// Shape of the input.
    pub fn input(&self) -> Shape {
        self.shape(self.input_id())
    }

    /// Tensor id of the model's own output.
    pub fn output_id(&self) -> TensorId {
        TensorId(self.network.output.get())
    }

    /// Tensor that holds a kind of score, one a class.
    pub fn score_id(&self, score: Score) -> TensorId {
        TensorId(match score {
            Score::Logit => self.network.logits.get(),
            Score::Probability => self.network.probabilities.get(),
        })
    }

    /// Which score the model's own output is.
    pub fn output_score(&self) -> Score {
        if self.network.output == self.network.probabilities {
            Score::Probability
        } else {
            Score::Logit
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.shape(self.output_id()).len()
    }

    /// Shape of a tensor; empty if there is no such tensor.
    pub fn shape(&self, id: TensorId) -> Shape {
        self.tensor(id).map_or(Shape::new(0, 0, 0), |t| t.shape)
    }

    /// Number of tensors.
    pub const fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// A tensor.
    pub fn tensor(&self, id: TensorId) -> Option<TensorView<'m>> {
        let record = self.tensors.get(usize::from(id.0))?;
        let [h, w, c] = record.shape.map(|n| n.get() as usize);
        let shape = Shape::new(h, w, c);
        let constant = if record.kind == 0 {
            None
        } else {
            let start = record.data.get() as usize;
            Some(self.weights.get(start..start.checked_add(shape.len())?)?)
        };
        let name = self.name(record.name.get() as usize, record.name_length.get());
        Some(TensorView {
            shape,
            constant,
            name,
        })
    }

    /// Number of nodes.
    pub const fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// A node, by its place in the run order.
    pub fn node(&self, index: usize) -> Option<NodeView<'m>> {
        let record = self.nodes.get(index)?;
        let first = record.first_input.get() as usize;
        Some(NodeView {
            op: op_code::decode_op(record)?,
            activation: op_code::decode_activation(record)?,
            inputs: slice(self.edges, first, usize::from(record.inputs.get()))?,
            output: TensorId(record.output.get()),
            weights: slice(
                self.weights,
                record.weights.get() as usize,
                record.weights_length.get() as usize,
            )?,
            bias: slice(
                self.weights,
                record.bias.get() as usize,
                record.bias_length.get() as usize,
            )?,
            name: self.name(record.name.get() as usize, record.name_length.get()),
            dropout: record.flags.get() & 1 != 0,
        })
    }

    /// The passes that the file holds plans for.
    pub fn passes(&self) -> impl Iterator<Item = Pass> + 'm {
        self.plans
            .iter()
            .map(|record| match (record.pass.get(), record.to.get()) {
                (pass::FORWARD, _) => Pass::Forward,
                (_, TO_INPUT) => Pass::Backward(At::Input),
                (_, id) => Pass::Backward(At::Tensor(TensorId(id))),
            })
    }

    /// The memory plan of a pass.
    pub fn plan(&self, pass: Pass) -> Option<Plan<'m>> {
        let (code, to) = pass.code();
        self.plans
            .iter()
            .find(|p| p.pass.get() == code && p.to.get() == to)
            .and_then(|p| self.plan_of(p))
    }

    fn plan_of(&self, record: &PlanRecord) -> Option<Plan<'m>> {
        Some(Plan {
            buffers: slice(
                self.buffers,
                record.first_buffer.get() as usize,
                record.buffers.get() as usize,
            )?,
            tensors: self.tensors.len(),
            arena: record.arena.get() as usize,
            backward: record.pass.get() == pass::BACKWARD,
        })
    }

    /// How a pixel becomes a number of the model.
    pub fn normalisation(&self) -> Normalisation {
        Normalisation {
            mean: self.network.mean.map(|v| v.get()),
            scale: self.network.scale.map(|v| v.get()),
        }
    }

    /// The rest of the preprocessing card, as the format codes it.
    pub const fn network(&self) -> &'m NetworkRecord {
        self.network
    }

    /// Label of a class, if the file has labels.
    pub fn label(&self, class: usize) -> Option<&'m str> {
        let classes = self.classes();
        let end_of = |i: usize| -> Option<usize> {
            let bytes = self.labels.get(4 * i..4 * i + 4)?.first_chunk::<4>()?;
            Some(u32::from_le_bytes(*bytes) as usize)
        };
        if class >= classes {
            return None;
        }
        let start = if class == 0 { 0 } else { end_of(class - 1)? };
        let text = self.labels.get(4 * classes..)?;
        core::str::from_utf8(text.get(start..end_of(class)?)?).ok()
    }

    fn name(&self, start: usize, length: u16) -> &'m str {
        self.names
            .get(start..start.saturating_add(usize::from(length)))
            .unwrap_or("")
    }
}

fn slice<T>(all: &[T], start: usize, length: usize) -> Option<&[T]> {
    all.get(start..start.checked_add(length)?)
}
