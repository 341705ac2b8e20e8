//! What each operator computes, forward and backward, in f32.
//!
//! **Strict arithmetic.** Every product is rounded, then added; every output
//! element has one order of summation (bias, kernel row, kernel column, input
//! channel; padded taps are skipped); comparisons are written so that -0 and
//! NaN behave alike everywhere. So the bits are the same on every machine.
//!
//! **NaN.** A kernel reports whether it saw NaN before a ReLU could hide it.

use super::op::{Activation, Op};
use crate::tensor::Shape;

/// One node, decoded: what it computes and on which shapes.
#[derive(Clone, Copy, Debug)]
pub struct Node<'m> {
    /// The operator.
    pub op: Op,
    /// What follows it: `None`, `Relu`, `Clip` or `LeakyRelu` for any operator, everything for `Activate`.
    pub activation: Activation,
    /// Shape of the input that this call is about.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// Packed weights (see [`packing`]); empty if there are none.
    pub weights: &'m [f32],
    /// Bias, one an output channel; empty if there is none.
    pub bias: &'m [f32],
}

/// An input of a node: its shape and its values.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// Shape.
    pub shape: Shape,
    /// `shape.len()` values, HWC.
    pub data: &'a [f32],
}

/// What the backward pass of a node reads besides its gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    /// Bytes that the forward pass writes for it (winners of a pool, gates of a ReLU).
    pub bytes: usize,
    /// Whether it reads the values of the inputs.
    pub inputs: bool,
    /// Whether it reads the value of the output.
    pub output: bool,
}
