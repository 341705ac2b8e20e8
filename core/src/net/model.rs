//! A checked model file, read in place.

mod check;
mod check_gradients;
mod check_plan;
mod check_relevance;
mod overwrite;
mod pour;
mod sections;
mod stream;

use zerocopy::little_endian::U16;

pub use overwrite::{is_elementwise, stays_ahead};
pub(super) use pour::Pour;
pub use sections::{crc32c, digest};
pub use stream::{MAX_STREAMED, RowWindow};

use super::format::{
    BufferRecord, FOREVER, NetworkRecord, NodeRecord, PlanRecord, QuantRecord, TO_INPUT,
    TensorRecord, op_code, pass,
};
use super::int8::Node8;
use super::op::{Activation, Op};
use super::ops::Keeps;
use super::quant::Quantisation;
use crate::classifier::{At, Score};
use crate::error::Error;
use crate::picture::Normalisation;
use crate::tensor::{Shape, TensorId, Values};

/// A model file that passed every check. Accessors return what the file
/// holds; those that take an index answer `None` outside the range.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    bytes: &'m [u8],
    digest: &'m [u8; 32],
    signature: Option<&'m [u8; 64]>,
    release: u32,
    hashed: bool,
    policy: Option<&'m [u8]>,
    network: &'m NetworkRecord,
    tensors: &'m [TensorRecord],
    nodes: &'m [NodeRecord],
    edges: &'m [U16],
    quants: &'m [QuantRecord],
    weights: &'m [f32],
    bytes8: &'m [i8],
    words: &'m [i32],
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
    pub constant: Option<Values<'m>>,
    /// How it is stored, if not as f32.
    pub quant: Option<Quantisation>,
    /// Whether its stored numbers stand for the model's own uint8, which are 128 more.
    pub unsigned: bool,
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
    /// Weights in packed order; empty for int8 nodes.
    pub weights: &'m [f32],
    /// Bias; empty for int8 nodes.
    pub bias: &'m [f32],
    /// What an int8 node reads instead.
    pub integers: Option<Integers<'m>>,
    /// Its name.
    pub name: &'m str,
    /// Share of elements that a dropout behind it dropped in training, above 0
    /// and below 1; `None` where none followed.
    pub dropout: Option<f32>,
}

type Parameters<'m> = (&'m [f32], &'m [f32], Option<Integers<'m>>);

/// Parameters of an int8 node, see [`crate::net::int8`].
#[derive(Clone, Copy, Debug)]
pub struct Integers<'m> {
    /// Weights and shifts, or a table.
    pub bytes: &'m [i8],
    /// Biases and multipliers.
    pub words: &'m [i32],
    /// Least and greatest stored output.
    pub range: [i8; 2],
    /// The stored weight that means 0.
    pub weights_zero_point: i8,
}

impl TensorView<'_> {
    /// Bytes of one element.
    pub const fn element(&self) -> usize {
        if self.quant.is_some() { 1 } else { 4 }
    }

    /// Bytes of the whole value.
    pub const fn size(&self) -> usize {
        self.shape.len() * self.element()
    }
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
    /// Scores, then relevance down to the input: all values are kept.
    Relevance,
}

impl Pass {
    /// The two numbers that stand for it in a plan record.
    pub const fn code(self) -> (u16, u16) {
        match self {
            Self::Forward => (pass::FORWARD, TO_INPUT),
            Self::Backward(At::Input) => (pass::BACKWARD, TO_INPUT),
            Self::Backward(At::Tensor(id)) => (pass::BACKWARD, id.0),
            Self::Relevance => (pass::RELEVANCE, TO_INPUT),
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
    relevance: bool,
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

    /// Where a tensor's gradient or relevance lies; length 0 if there is none.
    pub fn gradient(&self, id: TensorId) -> Buffer {
        if !self.backward && !self.relevance {
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

    /// Where the scratch of a node's relevance lies; length 0 if it takes none.
    #[cfg(foveola_relevance)]
    pub(super) fn scratch(&self, node: usize) -> Buffer {
        if !self.relevance {
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
    #[inline(never)]
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

    /// Whether the digest was held to the bytes when the file was read.
    pub const fn is_hashed(&self) -> bool {
        self.hashed
    }

    /// The Ed25519 signature of the digest, unchecked: `audit::signature` does
    /// that. `None` for a file that is not signed.
    pub const fn signature(&self) -> Option<&'m [u8; 64]> {
        self.signature
    }

    /// The release, 0 for none.
    pub const fn release(&self) -> u32 {
        self.release
    }

    /// The bytes of the policy, unchecked: `audit::policy` reads them.
    pub const fn policy(&self) -> Option<&'m [u8]> {
        self.policy
    }

    /// Bytes of weights and constants.
    pub const fn weight_bytes(&self) -> usize {
        (self.weights.len() + self.words.len()) * 4 + self.bytes8.len()
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
        let record = self.tensors.get(usize::from(id.0));
        let [h, w, c] = record.map_or([0; 3], |r| r.shape.map(|n| n.get() as usize));
        Shape::new(h, w, c)
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
        let quant = match record.data_type {
            0 => None,
            _ => Some(self.quantisation(record.quant.get())?),
        };
        let constant = if record.kind == 0 {
            None
        } else {
            let start = record.data.get() as usize;
            Some(match quant {
                None => Values::Real(slice(self.weights, start, shape.len())?),
                Some(Quantisation { scale, zero_point }) => Values::Stored {
                    data: slice(self.bytes8, start, shape.len())?,
                    scale,
                    zero_point,
                },
            })
        };
        let name = self.name(record.name.get() as usize, record.name_length.get());
        Some(TensorView {
            shape,
            constant,
            quant,
            unsigned: record.data_type == 2,
            name,
        })
    }

    fn quantisation(&self, index: u16) -> Option<Quantisation> {
        let record = self.quants.get(usize::from(index))?;
        Some(Quantisation {
            scale: record.scale.get(),
            zero_point: i8::try_from(record.zero_point.get()).ok()?,
        })
    }

    /// Whether node `index` computes with integers.
    fn is_int8(&self, record: &NodeRecord) -> bool {
        let output = self.tensors.get(usize::from(record.output.get()));
        let quantise = op_code::is_quantise(record);
        output.is_some_and(|t| t.data_type != 0) && !quantise
    }

    /// Number of nodes.
    pub const fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// A node, by its place in the run order.
    pub fn node(&self, index: usize) -> Option<NodeView<'m>> {
        let record = self.nodes.get(index)?;
        let first = record.first_input.get() as usize;
        let (weights, bias, integers) = self.parameters(record)?;
        Some(NodeView {
            op: op_code::decode_op(record)?,
            activation: op_code::decode_activation(record)?,
            inputs: slice(self.edges, first, usize::from(record.inputs.get()))?,
            output: TensorId(record.output.get()),
            weights,
            bias,
            integers,
            name: self.name(record.name.get() as usize, record.name_length.get()),
            dropout: dropout(record),
        })
    }

    /// Weights and bias of an f32 node, or what an int8 node has instead.
    fn parameters(&self, record: &NodeRecord) -> Option<Parameters<'m>> {
        let [weights, weights_length, bias, bias_length] = [
            record.weights,
            record.weights_length,
            record.bias,
            record.bias_length,
        ]
        .map(|n| n.get() as usize);
        if !self.is_int8(record) {
            let weights = slice(self.weights, weights, weights_length)?;
            return Some((weights, slice(self.weights, bias, bias_length)?, None));
        }
        let integers = Integers {
            bytes: slice(self.bytes8, weights, weights_length)?,
            words: slice(self.words, bias, bias_length)?,
            range: record.range,
            weights_zero_point: record.weights_zero_point,
        };
        Some((&[], &[], Some(integers)))
    }

    /// An int8 node as its kernels see it, for input number `part`.
    pub(super) fn integer_node(&self, view: &NodeView<'m>, part: usize) -> Option<Node8<'m>> {
        let Integers {
            bytes,
            words,
            range,
            weights_zero_point,
        } = view.integers?;
        let (input, output) = (self.tensor(view.input(part)?)?, self.tensor(view.output)?);
        Some(Node8 {
            op: view.op,
            activation: view.activation,
            input: input.shape,
            output: output.shape,
            input_quant: input.quant?,
            output_quant: output.quant?,
            bytes,
            words,
            range,
            weights_zero_point,
        })
    }

    /// What a node reads on the way back; `input` is the shape of its first input.
    pub(super) fn keeps(&self, view: &NodeView<'_>, input: Shape) -> Keeps {
        let is_int8 = self.tensor(view.output).is_some_and(|t| t.quant.is_some());
        let output = self.shape(view.output);
        Keeps::of(view.op, view.activation, is_int8, input, output)
    }

    /// The passes that the file holds plans for.
    pub fn passes(&self) -> impl Iterator<Item = Pass> + 'm {
        self.plans
            .iter()
            .map(|record| match (record.pass.get(), record.to.get()) {
                (pass::FORWARD, _) => Pass::Forward,
                (pass::RELEVANCE, _) => Pass::Relevance,
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
            relevance: record.pass.get() == pass::RELEVANCE,
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

/// Share of elements that the dropout behind a node drops.
fn dropout(record: &NodeRecord) -> Option<f32> {
    let dropped = record.dropped.get();
    let dropped = if dropped == 0.0 { 0.5 } else { dropped };
    (record.flags.get() & 1 != 0).then_some(dropped)
}

fn slice<T>(all: &[T], start: usize, length: usize) -> Option<&[T]> {
    all.get(start..start.checked_add(length)?)
}
