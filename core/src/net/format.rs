//! The `.fov` model file, version 2. This page is its specification.
//!
//! Little endian. The file starts on a multiple of 16 in memory and is read in
//! place. Offsets count from the start of the file unless said otherwise.
//!
//! ```text
//! 0    Header             128 bytes: magic "FVLA", version, length, SHA-256, signature
//! 128  SectionRecord[n]   16 bytes each: kind, offset, length, CRC-32C
//! ..   sections           each on a multiple of 16, in the order of the table, zeros between
//! ```
//!
//! | kind | section | content |
//! |---|---|---|
//! | 1 | network | one [`NetworkRecord`]: input, outputs, card |
//! | 2 | tensors | [`TensorRecord`] each; a tensor's id is its index |
//! | 3 | nodes | [`NodeRecord`] each, in run order |
//! | 4 | edges | u16 tensor ids; a node's inputs are a run of them |
//! | 5 | quantisation | [`QuantRecord`] each; none for f32 networks |
//! | 6 | weights | f32 in the order that the kernels read (`ops::packing`), constants HWC |
//! | 7 | labels | u32 end offsets, one a class, then UTF-8 text; empty if unknown |
//! | 8 | names | UTF-8 text that tensors and nodes point into |
//! | 9 | plans | [`PlanRecord`] each |
//! | 10 | buffers | [`BufferRecord`] each; a plan's buffers are a run of them |
//! | 11 | bytes | int8: weights in the order that the kernels read, shifts, tables, constants |
//! | 12 | words | i32: biases and multipliers of int8 nodes |
//! | 13 | policy | what the device holds itself to, see `audit::policy`; may be absent |
//!
//! **Hash and signature.** The SHA-256 covers the whole file with the fields
//! `digest` and `signature` read as zeros; the Ed25519 signature signs the
//! digest. Bit 0 of the flags says that there is one; without it the field is
//! zeros. The release is a number that grows with each file that is shipped, 0
//! for none: a device refuses one that is lower than the highest it has run.
//!
//! **Steps.** With N nodes, node i runs forward at step i and backward at step
//! 2N - 1 - i. A buffer may be used from its birth to its death, both included;
//! buffers that live at the same step never overlap. A death of
//! [`FOREVER`] lasts until the next run.
//!
//! **Buffers of a plan.** With T tensors, a `Forward` plan has T buffers: the
//! value of each tensor. A `Backward` plan has 2T + N: values, then the
//! gradient of each tensor, then what each node keeps for its backward pass.
//! Length 0 means that there is none. Gradients are f32, also of int8 tensors.
//! A `Relevance` plan has 2T + N as well: values, of which those that relevance
//! reads are whole and last forever, then the relevance of each tensor between
//! the input and the logits, then the scratch of each node's backward step.
//!
//! **Streaming.** The value of the input may be shorter than the input: it is
//! then a ring of rows, and the picture is loaded row by row. So may be the
//! values of the nodes that follow, each the only reader of the one before it:
//! these nodes run together, row by row, and their buffers live as long as all
//! of them do. A ring has at least the rows that its reader's window spans.
//! Gradients alike: one that is shorter than its tensor is a ring between nodes
//! that run backward together, with at least the rows of the output whose
//! windows reach one row of the input of the node that reads it; that of the
//! network's input is handed out row by row.
//!
//! **int8.** A node whose output is int8 is an int8 node, except `Quantise`;
//! its inputs are int8 as well. `net::int8` says what its bytes and words are.

use zerocopy::little_endian::{F32, I32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub mod op_code;

/// First bytes of a model file.
pub const MAGIC: [u8; 4] = *b"FVLA";
/// Version of the format.
pub const VERSION: u16 = 2;
/// In [`Header::flags`]: the file is signed.
pub const SIGNED: u16 = 1;
/// Alignment of the file, of its sections and of buffers in the arena, in bytes.
pub const ALIGNMENT: usize = 16;
/// Death of a buffer that lasts until the next run.
pub const FOREVER: u16 = u16::MAX;
/// In [`PlanRecord::to`]: the input.
pub const TO_INPUT: u16 = u16::MAX;
/// Most nodes of a network: steps fit a u16.
pub const MAX_NODES: usize = 16_000;
/// Most tensors of a network.
pub const MAX_TENSORS: usize = 32_000;
/// Most elements of one tensor.
pub const MAX_ELEMENTS: usize = 1 << 26;

/// Kinds of sections, in the order in which they lie in the file.
pub mod section {
    /// One network record.
    pub const NETWORK: u16 = 1;
    /// Tensor records.
    pub const TENSORS: u16 = 2;
    /// Node records.
    pub const NODES: u16 = 3;
    /// Inputs of nodes.
    pub const EDGES: u16 = 4;
    /// Quantisation records.
    pub const QUANTISATION: u16 = 5;
    /// Weights and constants.
    pub const WEIGHTS: u16 = 6;
    /// Class labels.
    pub const LABELS: u16 = 7;
    /// Names.
    pub const NAMES: u16 = 8;
    /// Plan records.
    pub const PLANS: u16 = 9;
    /// Buffer records.
    pub const BUFFERS: u16 = 10;
    /// Weights, shifts, tables and constants of one byte.
    pub const BYTES: u16 = 11;
    /// Biases and multipliers.
    pub const WORDS: u16 = 12;
    /// What the device holds itself to; the only section that may be absent.
    pub const POLICY: u16 = 13;
    /// Number of sections that every file has.
    pub const COUNT: usize = 12;
}

/// Start of the file.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// [`VERSION`].
    pub version: U16,
    /// 0, or [`SIGNED`].
    pub flags: U16,
    /// Length of the file in bytes.
    pub length: U32,
    /// [`section::COUNT`], or one more with a policy.
    pub sections: U32,
    /// SHA-256 (see the module).
    pub digest: [u8; 32],
    /// Ed25519 signature of the digest, or zeros.
    pub signature: [u8; 64],
    /// Release, 0 for none.
    pub release: U32,
    /// Zeros.
    pub reserved: [u8; 12],
}

/// One section.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SectionRecord {
    /// Kind, see [`section`].
    pub kind: U16,
    /// Zero.
    pub reserved: U16,
    /// First byte.
    pub offset: U32,
    /// Bytes.
    pub length: U32,
    /// CRC-32C (Castagnoli) of these bytes.
    pub crc: U32,
}

/// The network as a whole, with its preprocessing card.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct NetworkRecord {
    /// Tensor id of the input.
    pub input: U16,
    /// Tensor id of the model's own output.
    pub output: U16,
    /// Tensor id of the scores before the final softmax or sigmoid.
    pub logits: U16,
    /// Tensor id of the scores after it.
    pub probabilities: U16,
    /// Resize rule: 0 squash, 1 crop, 2 letterbox.
    pub resize: u8,
    /// Channels: 0 grey, 1 RGB, 2 BGR, 3 RGBA, 4 BGRA, 5 no picture.
    pub channels: u8,
    /// Layout of the original model's input: 0 NCHW, 1 NHWC, 2 flat.
    pub layout: u8,
    /// Number type of the original model's input: 0 f32, 1 f16, 2 u8, 3 i8.
    pub input_type: u8,
    /// Subtracted from a pixel (0..255), channel by channel in the model's order.
    pub mean: [F32; 4],
    /// Multiplied afterwards.
    pub scale: [F32; 4],
    /// Zeros.
    pub reserved: [u8; 20],
}

/// One tensor.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TensorRecord {
    /// Height, width, channels.
    pub shape: [U32; 3],
    /// 0 value, 1 constant.
    pub kind: u8,
    /// 0 f32; 1 int8; 2 int8 that stands for the model's own uint8, which is 128 more.
    pub data_type: u8,
    /// Index of its quantisation record; 0xFFFF for none.
    pub quant: U16,
    /// Of a constant: index of its first f32 in the weights, or of its first byte in the bytes.
    pub data: U32,
    /// First byte of its name in the names.
    pub name: U32,
    /// Bytes of its name.
    pub name_length: U16,
    /// Zeros.
    pub reserved: [u8; 6],
}

/// One node. `ints` and `floats` are read as its operator says ([`op_code`]).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct NodeRecord {
    /// Operator.
    pub op: U16,
    /// Activation.
    pub activation: U16,
    /// First parameter of the activation.
    pub activation_a: F32,
    /// Second parameter of the activation.
    pub activation_b: F32,
    /// Index of its first input in the edges.
    pub first_input: U32,
    /// Number of inputs.
    pub inputs: U16,
    /// Tensor id of its output.
    pub output: U16,
    /// Index of its first weight, in the weights or for an int8 node in the bytes.
    pub weights: U32,
    /// Number of weights, or of the int8 node's bytes.
    pub weights_length: U32,
    /// Index of its first bias, in the weights or for an int8 node in the words.
    pub bias: U32,
    /// Number of biases, or of the int8 node's words.
    pub bias_length: U32,
    /// Whole-number attributes.
    pub ints: [U16; 12],
    /// Real attributes.
    pub floats: [F32; 4],
    /// Bit 0: a dropout followed in training, behind the activation.
    pub flags: U16,
    /// Bytes of its name.
    pub name_length: U16,
    /// First byte of its name.
    pub name: U32,
    /// Of an int8 node: least and greatest stored output, the range of its activation.
    pub range: [i8; 2],
    /// Of an int8 node: the stored weight that means 0.
    pub weights_zero_point: i8,
    /// Share of elements that the dropout dropped, 0 up to 1 (excluded); 0 in a
    /// file that does not say, and means one half.
    pub dropped: F32,
    /// Zeros.
    pub reserved: [u8; 5],
}

/// Scale and zero point of a quantised tensor: real = (stored - zero_point) * scale.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct QuantRecord {
    /// Scale, finite and above 0.
    pub scale: F32,
    /// Zero point, -128 to 127.
    pub zero_point: I32,
}

/// Passes that a plan can be made for.
pub mod pass {
    /// Scores only.
    pub const FORWARD: u16 = 0;
    /// Base activations kept, for edits (reserved).
    pub const HELD: u16 = 1;
    /// Scores, then gradients down to a tensor.
    pub const BACKWARD: u16 = 2;
    /// Inputs of all operators kept, for LRP.
    pub const RELEVANCE: u16 = 3;
}

/// One memory plan.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PlanRecord {
    /// See [`pass`].
    pub pass: U16,
    /// For `BACKWARD`: tensor id at which gradients end, or [`TO_INPUT`]; else [`TO_INPUT`].
    pub to: U16,
    /// Bytes of arena.
    pub arena: U32,
    /// Index of its first buffer.
    pub first_buffer: U32,
    /// Number of buffers.
    pub buffers: U32,
}

/// One buffer of a plan.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BufferRecord {
    /// First byte in the arena, a multiple of [`ALIGNMENT`].
    pub offset: U32,
    /// Bytes.
    pub length: U32,
    /// First step at which it holds something.
    pub birth: U16,
    /// Last step at which it is read.
    pub death: U16,
}

/// Bytes at an alignment that the model file needs, for `include_bytes!`:
/// `static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!("net.fov"));`
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(
    /// The bytes.
    pub T,
);

/// Exact bytes of arena that a pass needs, as a constant: the file's own figure.
/// `to` is a tensor id for [`pass::BACKWARD`], or [`TO_INPUT`]. `None` if the
/// file is too short or has no such plan. It checks nothing else; that is the
/// work of `Model::from_bytes`.
#[allow(
    clippy::indexing_slicing,
    reason = "iterators and get are not const; every index is checked against the length first"
)]
pub const fn arena_len(file: &[u8], pass: u16, to: u16) -> Option<usize> {
    let table = size_of::<Header>();
    let mut at = table;
    while at + 16 <= table + section::COUNT * 16 && at + 16 <= file.len() {
        if u16_at(file, at) == section::PLANS {
            let mut plan = u32_at(file, at + 4);
            let end = plan.saturating_add(u32_at(file, at + 8));
            while plan < end && plan.saturating_add(16) <= file.len() {
                if u16_at(file, plan) == pass && u16_at(file, plan + 2) == to {
                    return Some(u32_at(file, plan + 4));
                }
                plan += 16;
            }
        }
        at += 16;
    }
    None
}

#[allow(clippy::indexing_slicing, reason = "the callers check the length")]
const fn u16_at(file: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([file[at], file[at + 1]])
}

const fn u32_at(file: &[u8], at: usize) -> usize {
    u16_at(file, at) as usize | (u16_at(file, at + 2) as usize) << 16
}

const _: () = assert!(size_of::<Header>() == 128 && size_of::<SectionRecord>() == 16);
const _: () = assert!(size_of::<NetworkRecord>() == 64 && size_of::<TensorRecord>() == 32);
const _: () = assert!(size_of::<NodeRecord>() == 96 && size_of::<PlanRecord>() == 16);
const _: () = assert!(size_of::<BufferRecord>() == 12);
