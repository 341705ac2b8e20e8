//! Where the numbers of a node lie.
//!
//! Weights lie in plain order, so that each filter is one run: `Conv` OHWI
//! with I = channels of one group, `Depthwise` HWC, `Dense` OI. A filter is
//! one dot product with a patch of the input.

use crate::net::op::{Geometry, Op};
use crate::net::ops::packing::{bias_len, plain_len};
use crate::tensor::Shape;

/// Bytes of the packed weights; 0 if the operator has none.
pub fn packed_len(op: Op, input: Shape, output: Shape) -> usize {
    match op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => plain_len(op, input, output),
        _ => 0,
    }
}

/// Where element `plain` of the plain order lies.
pub const fn packed_index(_op: Op, _input: Shape, _output: Shape, plain: usize) -> usize {
    plain
}

/// Output channels with a bias, a multiplier and a shift of their own; 0 if
/// the operator has no weights.
pub(super) fn channels(op: Op, output: Shape) -> usize {
    match op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => bias_len(op, output),
        _ => 0,
    }
}

/// Sizes of a convolution as far as its filters go.
#[derive(Clone, Copy)]
pub(super) struct Filters {
    /// Output channels of one group.
    pub outputs: usize,
    /// Input channels of one group (1 for `Depthwise`).
    pub inputs: usize,
    /// Taps of the kernel.
    pub taps: usize,
}

impl Filters {
    pub fn of(op: Op, input: Shape, output: Shape) -> Option<Self> {
        let taps = |g: Geometry| usize::from(g.kernel[0]) * usize::from(g.kernel[1]);
        match op {
            Op::Conv { geometry, groups } => {
                let groups = usize::from(groups).max(1);
                Some(Self {
                    outputs: output.c / groups,
                    inputs: input.c / groups,
                    taps: taps(geometry),
                })
            }
            Op::Depthwise { geometry } => Some(Self {
                outputs: output.c,
                inputs: 1,
                taps: taps(geometry),
            }),
            Op::Dense => Some(Self {
                outputs: output.len(),
                inputs: input.len(),
                taps: 1,
            }),
            _ => None,
        }
    }

    /// Weights of one filter.
    pub const fn len(&self) -> usize {
        self.taps * self.inputs
    }
}
