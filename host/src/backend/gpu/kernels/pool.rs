//! Pools over sliding windows.

use foveola_core::Shape;
use foveola_core::net::op::{Geometry, Op};

use super::{GpuError, ShaderKind, Words};
use crate::backend::gpu::steps::{Backward, Forward, Operand, Work};

/// Sizes and window; a mean's numbers after them.
fn words(op: Op, input: Shape, output: Shape) -> Option<Words> {
    let (geometry, mean) = match op {
        Op::MaxPool(geometry) => (geometry, [0; 4]),
        Op::AveragePool {
            geometry,
            count_padding,
            pad_end: [bottom, right],
        } => {
            let end = [input.h + usize::from(bottom), input.w + usize::from(right)];
            (geometry, [1, usize::from(count_padding), end[0], end[1]])
        }
        _ => return None,
    };
    let Geometry {
        kernel,
        stride,
        dilation,
        pad,
    } = geometry;
    let mut words = Words::default().sizes([input.h, input.w, output.h, output.w, output.c]);
    for pair in [kernel, stride, dilation, pad] {
        words = words.sizes(pair.map(usize::from));
    }
    Some(words.sizes(mean))
}

pub fn forward(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    let (input, output) = (at.input(0), at.output());
    let words = words(at.view.op, input, output);
    let words = words.ok_or_else(|| at.unsupported("it is no pool"))?;
    let keep = at.keep && matches!(at.view.op, Op::MaxPool(_));
    let winners = match keep {
        true => Operand::Winners(at.index),
        false => Operand::NothingWritten,
    };
    let operands = [
        Operand::Value(at.id(0)),
        Operand::Value(at.view.output),
        winners,
    ];
    let words = words.flag(keep).activation(at.view.activation);
    at.add(
        ShaderKind::Pool,
        &operands,
        words,
        Work::Elements(output.len()),
    );
    Ok(())
}

pub fn backward(at: &mut Backward<'_, '_>) -> Result<(), GpuError> {
    let (input, output) = (at.input(), at.output());
    let words = words(at.view.op, input, output);
    let words = words.ok_or_else(|| at.unsupported("it is no pool"))?;
    let winners = match at.view.op {
        Op::MaxPool(_) => Operand::Winners(at.index),
        _ => Operand::Nothing,
    };
    let operands = [at.from(), winners, at.to()];
    let words = words.flag(at.accumulate);
    at.add(
        ShaderKind::PoolBack,
        &operands,
        words,
        Work::Elements(input.len()),
    );
    Ok(())
}
