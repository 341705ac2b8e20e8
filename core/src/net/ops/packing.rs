//! The order in which kernels read weights.
//!
//! `Conv` and `Dense`: for each group, for each block of [`LANES`] output
//! channels of that group, `[ky][kx][ci][lane]`; lanes past the group's last
//! channel are zero. `Dense` is a 1x1 convolution of a 1x1 picture with
//! `input.len()` channels. `Depthwise`: HWC. `Affine`: C.

use crate::net::op::{Geometry, Op};
use crate::tensor::Shape;

/// Output channels of one block.
pub const LANES: usize = 8;

/// A convolution's sizes as far as its weights go.
#[derive(Clone, Copy)]
struct Sizes {
    groups: usize,
    outputs: usize,
    taps: usize,
    inputs: usize,
}

fn taps(geometry: Geometry) -> usize {
    usize::from(geometry.kernel[0]) * usize::from(geometry.kernel[1])
}

/// Sizes of an operator whose weights are blocked.
fn blocked(op: Op, input: Shape, output: Shape) -> Option<Sizes> {
    match op {
        Op::Conv { geometry, groups } => {
            let groups = usize::from(groups).max(1);
            Some(Sizes {
                groups,
                outputs: output.c / groups,
                taps: taps(geometry),
                inputs: input.c / groups,
            })
        }
        Op::Dense => Some(Sizes {
            groups: 1,
            outputs: output.len(),
            taps: 1,
            inputs: input.len(),
        }),
        _ => None,
    }
}

/// Elements of the packed weights; 0 if the operator has none. The shapes must
/// have passed [`super::check`].
pub fn packed_len(op: Op, input: Shape, output: Shape) -> usize {
    match blocked(op, input, output) {
        Some(s) => s.groups * s.outputs.next_multiple_of(LANES) * s.taps * s.inputs,
        None => plain_len(op, input, output),
    }
}

/// Elements of the weights in plain order: OHWI, HWC, OI or C; 0 if the
/// operator has none.
pub fn plain_len(op: Op, input: Shape, output: Shape) -> usize {
    match (blocked(op, input, output), op) {
        (Some(s), _) => s.groups * s.outputs * s.taps * s.inputs,
        (None, Op::Depthwise { geometry }) => taps(geometry) * input.c,
        (None, Op::Affine) => input.c,
        _ => 0,
    }
}

/// Elements of the bias, if there is one: one an output channel.
pub fn bias_len(op: Op, output: Shape) -> usize {
    match op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Affine => output.c,
        Op::Dense => output.len(),
        _ => 0,
    }
}

/// Where element `plain` of the plain order (below [`plain_len`]) lies in the packed order.
pub fn packed_index(op: Op, input: Shape, output: Shape, plain: usize) -> usize {
    let Some(s) = blocked(op, input, output) else {
        return plain;
    };
    let filter = (s.taps * s.inputs).max(1);
    let outputs = s.outputs.max(1);
    let (channel, within) = (plain / filter, plain % filter);
    let (group, lane) = (channel / outputs, channel % outputs);
    let first = group * s.outputs.next_multiple_of(LANES) + lane / LANES * LANES;
    first * filter + within * LANES + lane % LANES
}
