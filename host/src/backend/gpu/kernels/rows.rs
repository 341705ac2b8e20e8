//! Reductions over whole axes, and operators within one pixel.

use foveola_core::net::op::{Activation, Op};

use super::{GpuError, ShaderKind, Words};
use crate::backend::gpu::steps::{Backward, Forward, Operand, Work};

pub fn reduce(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    let (input, output) = (at.input(0), at.output());
    let largest = at.view.op == Op::GlobalMaxPool;
    let keep = at.keep && largest;
    let winners = match keep {
        true => Operand::Winners(at.index),
        false => Operand::NothingWritten,
    };
    let words = Words::default()
        .sizes([input.h, input.w, input.c, output.h, output.w, output.c])
        .flag(largest)
        .flag(keep)
        .activation(at.view.activation);
    let operands = [
        Operand::Value(at.id(0)),
        Operand::Value(at.view.output),
        winners,
    ];
    at.add(
        ShaderKind::Reduce,
        &operands,
        words,
        Work::Elements(output.len()),
    );
    Ok(())
}

pub fn largest_back(at: &mut Backward<'_, '_>) -> Result<(), GpuError> {
    let input = at.input();
    let words = Words::default()
        .sizes([input.area(), input.c])
        .flag(at.accumulate);
    let operands = [at.from(), Operand::Winners(at.index), at.to()];
    at.add(
        ShaderKind::LargestBack,
        &operands,
        words,
        Work::Elements(input.len()),
    );
    Ok(())
}

/// The numbers of a local response normalisation.
fn lrn_words(op: Op, elements: usize, channels: usize) -> Option<Words> {
    let Op::Lrn {
        size,
        alpha,
        beta,
        bias,
    } = op
    else {
        return None;
    };
    let around = usize::from(size).saturating_sub(1);
    let words = Words::default()
        .sizes([elements, channels, around / 2, around - around / 2])
        .reals([alpha / f32::from(size), beta, bias]);
    Some(words)
}

pub fn lrn(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    let output = at.output();
    let words = lrn_words(at.view.op, output.len(), output.c);
    let words = words.ok_or_else(|| at.unsupported("it is no LRN"))?;
    let words = words.flag(false).flag(false).activation(at.view.activation);
    let operands = [
        Operand::Value(at.id(0)),
        Operand::Nothing,
        Operand::Value(at.view.output),
    ];
    at.add(
        ShaderKind::Lrn,
        &operands,
        words,
        Work::Elements(output.len()),
    );
    Ok(())
}

pub fn lrn_back(at: &mut Backward<'_, '_>) -> Result<(), GpuError> {
    let input = at.input();
    let words = lrn_words(at.view.op, input.len(), input.c);
    let words = words.ok_or_else(|| at.unsupported("it is no LRN"))?;
    let words = words
        .flag(true)
        .flag(at.accumulate)
        .activation(Activation::None);
    let operands = [Operand::Value(at.id(0)), at.from(), at.to()];
    at.add(
        ShaderKind::Lrn,
        &operands,
        words,
        Work::Elements(input.len()),
    );
    Ok(())
}

pub fn softmax(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    let output = at.output();
    let words = Words::default()
        .sizes([output.area(), output.c])
        .flag(false)
        .flag(false)
        .activation(at.view.activation);
    let operands = [
        Operand::Value(at.id(0)),
        Operand::Nothing,
        Operand::Value(at.view.output),
    ];
    at.add(
        ShaderKind::Softmax,
        &operands,
        words,
        Work::Rows(output.area()),
    );
    Ok(())
}

pub fn softmax_back(at: &mut Backward<'_, '_>) -> Result<(), GpuError> {
    let input = at.input();
    let words = Words::default()
        .sizes([input.area(), input.c])
        .flag(true)
        .flag(at.accumulate)
        .activation(Activation::None);
    let operands = [Operand::Value(at.view.output), at.from(), at.to()];
    at.add(
        ShaderKind::Softmax,
        &operands,
        words,
        Work::Rows(input.area()),
    );
    Ok(())
}
