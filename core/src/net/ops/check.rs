//! Whether a node makes sense: what the model check asks before any kernel runs.

use super::packing::LANES;
use crate::net::op::{Activation, Geometry, Op, PadMode};
use crate::tensor::Shape;

/// Bytes that one tensor or weight table may take; keeps index arithmetic,
/// also with a stride or padding on top, inside a signed word.
const MOST_BYTES: usize = isize::MAX as usize / 4;

/// Largest position along an axis of a sliding window, padding included.
const MOST_POSITION: usize = 1 << 28;

/// Most taps of a `MaxPool`: winners are two bytes.
const MOST_TAPS: usize = 1 << 16;

/// Whether shapes, arity and attributes fit together, so that nothing can
/// overflow, divide by zero or leave a buffer. `inputs` are all input shapes
/// in order.
pub fn check(op: Op, activation: Activation, inputs: &[Shape], output: Shape) -> bool {
    checked(op, activation, inputs, output).is_some()
}

fn checked(op: Op, activation: Activation, inputs: &[Shape], output: Shape) -> Option<()> {
    for shape in inputs.iter().chain([&output]) {
        sized(shape.h.checked_mul(shape.w)?.checked_mul(shape.c)?)?;
    }
    follows(op, activation)?;
    match (op, inputs) {
        (Op::Concat { axis }, [_, ..]) => concat(axis, inputs, output),
        (Op::Binary(_), [a, b]) => broadcast(*a, *b, output),
        (Op::PRelu, [x, slope]) => {
            require(*x == output)?;
            broadcast(*x, *slope, output)
        }
        (Op::Binary(_) | Op::PRelu | Op::Concat { .. }, _) => None,
        (_, [input]) => unary(op, *input, output),
        _ => None,
    }
}

fn require(holds: bool) -> Option<()> {
    holds.then_some(())
}

/// Of some elements, and not too many.
fn sized(len: usize) -> Option<()> {
    require(len > 0 && len.checked_mul(size_of::<f32>())? <= MOST_BYTES)
}

/// The activation's numbers, and whether it may follow `op`.
fn follows(op: Op, activation: Activation) -> Option<()> {
    let alone = op == Op::Activate;
    require(match activation {
        Activation::None | Activation::Relu => true,
        Activation::Clip { lo, hi } => lo <= hi,
        // The sign of the output tells the gate, so the slope must not turn it.
        Activation::LeakyRelu { slope } => slope >= 0.0 && slope.is_finite(),
        Activation::HardSigmoid { alpha, beta } => alone && alpha.is_finite() && beta.is_finite(),
        Activation::HardSwish | Activation::Sigmoid | Activation::Silu | Activation::Tanh => alone,
    })
}

fn unary(op: Op, input: Shape, output: Shape) -> Option<()> {
    match op {
        Op::Conv { geometry, groups } => conv(geometry, groups.into(), input, output),
        Op::Depthwise { geometry } => {
            require(input.c == output.c)?;
            window(geometry, input, output)?;
            weights(geometry, input.c, 1)
        }
        Op::Dense => {
            require(output.area() == 1)?;
            weights_of(output.len(), input.len())
        }
        Op::Activate | Op::Affine | Op::Softmax | Op::Quantise { .. } | Op::Dequantise => {
            require(input == output)
        }
        Op::Lrn { .. } => lrn(op, input, output),
        Op::Slice { start, step } => slice(start, step, input, output),
        Op::Shuffle { groups } => {
            require(input == output && input.c.checked_rem(groups.into())? == 0)
        }
        Op::Pad { before, mode } => pad(before, mode, input, output),
        Op::MaxPool(geometry) => {
            let taps = geometry.kernel.map(usize::from);
            require(taps[0] * taps[1] <= MOST_TAPS)?;
            pool(geometry, input, output)
        }
        Op::AveragePool { geometry, .. } => pool(geometry, input, output),
        Op::Mean { axes } => {
            let [h, w, c] = axes;
            let size = |marked: bool, size: usize| if marked { 1 } else { size };
            require(output == Shape::new(size(h, input.h), size(w, input.w), size(c, input.c)))
        }
        Op::GlobalMaxPool => {
            require(output == Shape::new(1, 1, input.c) && u32::try_from(input.area()).is_ok())
        }
        Op::Binary(_) | Op::PRelu | Op::Concat { .. } => None,
    }
}

fn lrn(op: Op, input: Shape, output: Shape) -> Option<()> {
    let Op::Lrn {
        size,
        alpha,
        beta,
        bias,
    } = op
    else {
        return None;
    };
    let finite = alpha.is_finite() && beta.is_finite() && bias.is_finite();
    require(input == output && size > 0 && finite)
}

fn conv(geometry: Geometry, groups: usize, input: Shape, output: Shape) -> Option<()> {
    let inputs = input.c.checked_div(groups)?;
    let outputs = output.c.checked_div(groups)?;
    require(inputs * groups == input.c && outputs * groups == output.c)?;
    window(geometry, input, output)?;
    // Both orders of the weights are padded to whole blocks.
    let (padded_in, padded_out) = (padded(inputs)?, padded(outputs)?);
    weights(geometry, groups.checked_mul(padded_in)?, padded_out)
}

fn padded(channels: usize) -> Option<usize> {
    channels.checked_next_multiple_of(LANES)
}

fn weights(geometry: Geometry, inputs: usize, outputs: usize) -> Option<()> {
    let [h, w] = geometry.kernel.map(usize::from);
    sized(
        h.checked_mul(w)?
            .checked_mul(inputs)?
            .checked_mul(outputs)?,
    )
}

fn weights_of(outputs: usize, inputs: usize) -> Option<()> {
    sized(padded(outputs)?.checked_mul(padded(inputs)?)?)
}

/// Numbers of a sliding window that are not 0, and positions that stay small.
fn window(geometry: Geometry, input: Shape, output: Shape) -> Option<()> {
    for ([source, target], axis) in [[input.h, output.h], [input.w, output.w]]
        .into_iter()
        .zip(0..)
    {
        let of = |pair: [u16; 2]| pair.get(axis).map(|&v| usize::from(v));
        let (kernel, stride) = (of(geometry.kernel)?, of(geometry.stride)?);
        let dilation = of(geometry.dilation)?;
        require(kernel > 0 && stride > 0 && dilation > 0)?;
        let last = (target - 1).checked_mul(stride)?;
        let reach = (kernel - 1).checked_mul(dilation)?;
        require(last.checked_add(reach)? <= MOST_POSITION && source <= MOST_POSITION)?;
    }
    Some(())
}

/// A pool's window also holds at least one input pixel everywhere.
fn pool(geometry: Geometry, input: Shape, output: Shape) -> Option<()> {
    require(input.c == output.c)?;
    window(geometry, input, output)?;
    let rows = super::spans::Axis::forward(geometry, 0, input.h, 0, output.h);
    let cols = super::spans::Axis::forward(geometry, 1, input.w, 0, output.w);
    require(rows.spans().chain(cols.spans()).all(|span| span.taps > 0))
}

/// Each axis of an operand has the output's size or 1, and one of them has it.
fn broadcast(a: Shape, b: Shape, output: Shape) -> Option<()> {
    let axes = [
        [a.h, b.h, output.h],
        [a.w, b.w, output.w],
        [a.c, b.c, output.c],
    ];
    require(
        axes.into_iter()
            .all(|[a, b, out]| (a == out && (b == out || b == 1)) || (a == 1 && b == out)),
    )
}

fn concat(axis: u8, inputs: &[Shape], output: Shape) -> Option<()> {
    let mut sum = 0_usize;
    for shape in inputs {
        let mut rest = *shape;
        let (size, of) = match axis {
            0 => (&mut rest.h, output.h),
            1 => (&mut rest.w, output.w),
            2 => (&mut rest.c, output.c),
            _ => return None,
        };
        sum = sum.checked_add(core::mem::replace(size, of))?;
        require(rest == output)?;
    }
    let of = match axis {
        0 => output.h,
        1 => output.w,
        _ => output.c,
    };
    require(sum == of)
}

fn axes(shape: Shape) -> [usize; 3] {
    [shape.h, shape.w, shape.c]
}

fn slice(start: [u16; 3], step: [u16; 3], input: Shape, output: Shape) -> Option<()> {
    let sizes = axes(input).into_iter().zip(axes(output));
    for ((input, output), (start, step)) in sizes.zip(start.into_iter().zip(step)) {
        require(step > 0)?;
        let last = (output - 1)
            .checked_mul(step.into())?
            .checked_add(start.into())?;
        require(last < input)?;
    }
    Some(())
}

fn pad(before: [u16; 3], mode: PadMode, input: Shape, output: Shape) -> Option<()> {
    if let PadMode::Constant(value) = mode {
        require(!value.is_nan())?;
    }
    let sizes = axes(input).into_iter().zip(axes(output));
    for ((input, output), before) in sizes.zip(before) {
        let before = usize::from(before);
        let after = output.checked_sub(input.checked_add(before)?)?;
        require(mode != PadMode::Reflect || (before < input && after < input))?;
    }
    Some(())
}
