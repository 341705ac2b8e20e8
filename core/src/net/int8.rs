//! The operators on int8: TFLite's integer arithmetic forward, the
//! straight-through gradient in f32 backward.
//!
//! Forward, every sum is exact in i32 and then requantised with two roundings
//! (one in a `Dense`; [`fixed`]), so the bytes are the same on every machine and in every order
//! of summation. All factors come from the model file; [`make`] computes them
//! on the host.
//!
//! | operator | `bytes` | `words` |
//! |---|---|---|
//! | `Conv`, `Depthwise`, `Dense` | weights ([`packing`]), shift C | bias C, multiplier C |
//! | `Binary` `Add`, `Sub` | | multiplier and shift of a, of b, of the sum |
//! | `Binary` `Mul` | | multiplier, shift |
//! | `Mean` | | multiplier, shift, the division included |
//! | `AveragePool` | | what is subtracted before the mean is rounded: 0, or -128 if the model is uint8 |
//! | `Concat` | | multiplier and shift of each input, raised by 16 bits |
//! | `Activate` | 256 results, index = stored + 128 | |
//! | `Softmax` | | multiplier, shift, least difference |
//!
//! C counts output channels. The bias is folded: the model's own minus input
//! zero point times the sum of (weight - weight zero point), so kernels add
//! products of stored inputs; a padded tap counts as the zero point. The other
//! operators (`MaxPool`, `GlobalMaxPool`, `Slice`, `Shuffle`, `Pad`) have no
//! numbers; like an `AveragePool`, their input and output share scale and zero point.
//!
//! Backward, each operator has the derivative of its real-valued function at
//! the dequantised inputs, and a gradient passes an element whose stored
//! output lies strictly inside the clip range ([`gate`]).

use super::arch::Isa;
use super::op::{Activation, Arithmetic, Op, PadMode};
use super::ops::layout::{self, Padding};
use super::ops::{self, Operand, Rows};
use super::quant::{Factor, Quantisation};
use crate::error::Error;
use crate::tensor::Shape;

mod backward;
mod binary;
mod channels;
mod check;
mod conv;
mod depthwise;
mod dropout;
#[cfg(foveola_dsp)]
mod dsp;
pub mod fixed;
mod gate;
#[cfg(foveola_helium)]
mod helium;
mod in_place;
pub mod make;
pub mod packing;
mod patches;
mod pool;
#[cfg(target_arch = "x86_64")]
mod quads;
#[cfg(foveola_relevance)]
mod real;
mod reduce;
mod softmax;
#[cfg(test)]
pub(super) mod tests;
mod wide;

pub use backward::{backward, backward_row, portable_scratch_len};
pub use check::check;
pub(super) use dropout::{drop_stored, forward_dropped};
pub(super) use gate::record_inside;
pub use gate::{gate, keeps, record_gate};
pub use in_place::forward_in_place;
#[cfg(foveola_relevance)]
pub(super) use real::RealChannels;

/// One int8 node, decoded.
#[derive(Clone, Copy, Debug)]
pub struct Node8<'m> {
    /// The operator.
    pub op: Op,
    /// What follows it: `None`, `Relu` or `Clip` for any operator, everything for `Activate`.
    pub activation: Activation,
    /// Shape of the input that this call is about.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// Scale and zero point of that input.
    pub input_quant: Quantisation,
    /// Scale and zero point of the output.
    pub output_quant: Quantisation,
    /// Weights and shifts, or a table; see the module.
    pub bytes: &'m [i8],
    /// Biases and multipliers; see the module.
    pub words: &'m [i32],
    /// Least and largest output: the int8 range, narrowed by the activation.
    pub range: [i8; 2],
    /// What a weight of 0 is stored as.
    pub weights_zero_point: i8,
}

/// An input of a node.
#[derive(Clone, Copy, Debug)]
pub struct Operand8<'a> {
    /// Shape.
    pub shape: Shape,
    /// `shape.len()` values, HWC.
    pub data: &'a [i8],
    /// Scale and zero point.
    pub quant: Quantisation,
}

/// Rows of an int8 input; a ring lets the first layer stream it.
pub type Rows8<'a> = Rows<'a, i8>;

/// What the forward pass left for the backward pass of one node, as [`keeps`] says.
#[derive(Clone, Copy, Debug)]
pub struct Saved8<'a> {
    /// Values of the inputs.
    pub inputs: [Option<Operand8<'a>>; 2],
    /// Winners and gates.
    pub keep: &'a [u8],
}

impl<'a> Operand8<'a> {
    fn values(&self) -> Operand<'a, i8> {
        Operand {
            shape: self.shape,
            data: self.data,
        }
    }
}

impl Node8<'_> {
    /// Pair `i` of a multiplier and a shift among the words.
    fn factor(&self, i: usize) -> Option<Factor> {
        let &[multiplier, shift] = self.words.get(i * 2..)?.first_chunk()?;
        let shift = i8::try_from(shift).ok()?;
        Some(Factor { multiplier, shift })
    }

    /// `x + zero point` of the output, limited to the node's range.
    #[inline(always)]
    fn store(&self, x: i32) -> i8 {
        let [low, high] = self.range;
        clip(
            x.wrapping_add(self.output_quant.zero_point.into()),
            low,
            high,
        )
    }
}

/// `x` limited to `low..=high`.
#[inline(always)]
fn clip(x: i32, low: i8, high: i8) -> i8 {
    let (low, high) = (i32::from(low), i32::from(high));
    let x = if x > low { x } else { low };
    (if x < high { x } else { high }) as i8
}

/// Runs one node forward, activation included.
///
/// `inputs` are the operands: two for `Binary`, else one. A `Concat` is called
/// once an input, `part`, with `offset` = elements along the axis before it
/// (both 0 for other operators). `keep` takes the bytes that [`keeps`] states,
/// or is empty when no backward pass follows; gates are written by
/// [`record_gate`]. `scratch` may have any length; the fastest variant needs
/// [`scratch_len`].
///
/// # Errors
/// [`Error::Internal`] if a buffer does not fit the shapes.
#[expect(clippy::too_many_arguments, reason = "the one door to every kernel")]
pub fn forward(
    node: &Node8<'_>,
    inputs: &[Operand8<'_>],
    part: usize,
    offset: usize,
    out: &mut [i8],
    keep: &mut [u8],
    scratch: &mut [u8],
    isa: Isa,
) -> Result<(), Error> {
    let x = inputs.first().ok_or(Error::Internal)?.data;
    let x = x.get(..node.input.len()).ok_or(Error::Internal)?;
    let out = out.get_mut(..node.output.len()).ok_or(Error::Internal)?;
    let kept = ops::own_bytes(node.op, node.output).min(keep.len());
    let keep = keep.get_mut(..kept).unwrap_or_default();
    match node.op {
        Op::Conv { .. } | Op::Dense => conv::forward(node, x, out, scratch, isa),
        Op::Depthwise { geometry } => {
            let rows = Rows::whole(x, node.input);
            depthwise::forward_rows(node, geometry, rows, 0, out, isa)
        }
        Op::Concat { axis } => concat(node, axis, (part, offset), x, out),
        Op::Binary(_) => binary::forward(node, inputs, out, isa),
        _ => plain(node, x, out, keep),
    }
    .ok_or(Error::Internal)
}

/// Operators of one input that need no instruction set.
fn plain(node: &Node8<'_>, x: &[i8], out: &mut [i8], keep: &mut [u8]) -> Option<()> {
    let (input, output) = (node.input, node.output);
    match node.op {
        Op::Activate => return look_up(node.bytes, x, out),
        Op::AveragePool { .. } => return pool::average(node, Rows::whole(x, input), 0, out),
        Op::Mean { axes } => return reduce::mean(node, axes, x, out),
        Op::Softmax => return softmax::forward(node, x, out),
        Op::Slice { start, step } => layout::slice(start, step, (input, output), x, out)?,
        Op::Shuffle { groups } => layout::shuffle(groups, input.c, x, out),
        Op::Pad { before, mode } => {
            let constant = match mode {
                PadMode::Constant(real) => node.output_quant.stored(real),
                PadMode::Edge | PadMode::Reflect => 0,
            };
            let padding = Padding {
                before,
                mode,
                input,
                output,
            };
            padding.fill(constant, x, out)?;
        }
        Op::MaxPool(geometry) => {
            let rows = Rows::whole(x, input);
            ops::pool::max_forward(geometry, (input, output), rows, 0, out, keep)?;
        }
        Op::GlobalMaxPool => ops::reduce::max_forward(input, x, out, keep),
        _ => return None,
    }
    limit(node.range, out);
    Some(())
}

/// Limits moved values to the node's range.
fn limit([low, high]: [i8; 2], values: &mut [i8]) {
    if [low, high] == [i8::MIN, i8::MAX] {
        return;
    }
    for v in values {
        *v = clip((*v).into(), low, high);
    }
}

/// `Activate`: one look into the table an element.
fn look_up(table: &[i8], x: &[i8], out: &mut [i8]) -> Option<()> {
    let table: &[i8; 256] = table.first_chunk()?;
    for (out, &x) in out.iter_mut().zip(x) {
        // Flipping the sign bit of a stored number adds 128.
        let index = usize::from((x as u8) ^ 0x80);
        *out = *table.get(index)?;
    }
    Some(())
}

/// Bits by which the inputs of a `Concat` are raised before they are scaled, so
/// that the first of the two roundings does not show: TFLite rounds once.
const CONCAT_SHIFT: u32 = 16;

/// Rescales one input to the output's scale, to its place.
fn concat(
    node: &Node8<'_>,
    axis: u8,
    (part, offset): (usize, usize),
    x: &[i8],
    out: &mut [i8],
) -> Option<()> {
    let (run, period, before) = layout::runs(axis, offset, node.input, node.output);
    let factor = node.factor(part)?;
    let from = i32::from(node.input_quant.zero_point);
    let same = node.input_quant == node.output_quant;
    for (out, x) in out
        .chunks_exact_mut(period.max(1))
        .zip(super::ops::one_by_one(x.chunks_exact(run.max(1))))
    {
        let out = out.get_mut(before..)?.get_mut(..run)?;
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x;
        }
        if same {
            limit(node.range, out);
            continue;
        }
        for out in out {
            *out = node.store(factor.apply((i32::from(*out) - from) << CONCAT_SHIFT));
        }
    }
    Some(())
}

/// Output row `y` of an operator with a sliding window whose input comes as rows,
/// activation included, into `out_row` (one row of the output). `keep` and
/// `scratch` as in [`forward`].
///
/// # Errors
/// [`Error::Internal`] for another operator or a buffer that does not fit.
pub fn forward_row(
    node: &Node8<'_>,
    input: Rows8<'_>,
    y: usize,
    out_row: &mut [i8],
    keep: &mut [u8],
    scratch: &mut [u8],
    isa: Isa,
) -> Result<(), Error> {
    let out = out_row
        .get_mut(..node.output.row())
        .ok_or(Error::Internal)?;
    match node.op {
        Op::Conv { geometry, .. } => {
            conv::forward_rows(node, geometry, input, y, out, scratch, isa)
        }
        Op::Depthwise { geometry } => depthwise::forward_rows(node, geometry, input, y, out, isa),
        Op::AveragePool { .. } => pool::average(node, input, y, out),
        Op::MaxPool(geometry) => {
            let shapes = (node.input, node.output);
            let done = ops::pool::max_forward(geometry, shapes, input, y, out, keep);
            limit(node.range, out);
            done
        }
        _ => None,
    }
    .ok_or(Error::Internal)
}

/// Bytes of scratch with which the fastest variants of the node's forward and
/// backward pass run (0 if none needs any), aligned to 4.
pub fn scratch_len(node: &Node8<'_>, isa: Isa) -> usize {
    let there = conv::scratch_len(node, isa);
    let back = backward::scratch_len(node, isa);
    if there > back { there } else { back }
}

/// Elements of [`Node8::bytes`]. The shapes must have passed [`ops::check`].
pub fn bytes_len(op: Op, input: Shape, output: Shape) -> usize {
    match op {
        Op::Activate => 256,
        _ => packing::packed_len(op, input, output) + packing::channels(op, output),
    }
}

/// Elements of [`Node8::words`] of a node with so many inputs.
pub fn words_len(op: Op, inputs: usize, output: Shape) -> usize {
    match op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => 2 * packing::channels(op, output),
        Op::Binary(Arithmetic::Add | Arithmetic::Sub) => 6,
        Op::Binary(Arithmetic::Mul) | Op::Mean { .. } => 2,
        Op::Concat { .. } => 2 * inputs,
        Op::AveragePool { .. } => 1,
        Op::Softmax => 3,
        _ => 0,
    }
}
