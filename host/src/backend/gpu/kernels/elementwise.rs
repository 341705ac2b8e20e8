//! Arithmetic, activations, scale and shift.

use foveola_core::Shape;
use foveola_core::net::op::{Activation, Arithmetic, Op};

use super::{GpuError, ShaderKind, Words, rule_number};
use crate::backend::gpu::steps::{Backward, Forward, Operand, Work};

pub fn pointwise(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    let output = at.output();
    let words = Words::default()
        .sizes([output.len(), output.c])
        .flag(at.view.op == Op::Affine)
        .flag(!at.view.bias.is_empty())
        .activation(at.view.activation);
    let operands = [
        Operand::Value(at.id(0)),
        Operand::Weights(at.index),
        Operand::Bias(at.index),
        Operand::Value(at.view.output),
    ];
    at.add(
        ShaderKind::Pointwise,
        &operands,
        words,
        Work::Elements(output.len()),
    );
    Ok(())
}

pub fn pointwise_back(at: &mut Backward<'_, '_>) -> Result<(), GpuError> {
    let input = at.input();
    // A ReLU behind a scale has gone through the gate.
    let own = match at.view.op {
        Op::Activate => at.view.activation,
        _ => Activation::None,
    };
    let value = match own {
        Activation::Sigmoid | Activation::Tanh => at.view.output,
        _ => at.id(0),
    };
    let words = Words::default()
        .sizes([input.len(), input.c])
        .flag(at.view.op == Op::Affine)
        .flag(at.accumulate)
        .activation(own);
    let operands = [
        at.from(),
        Operand::Value(value),
        Operand::Weights(at.index),
        at.to(),
    ];
    at.add(
        ShaderKind::PointwiseBack,
        &operands,
        words,
        Work::Elements(input.len()),
    );
    Ok(())
}

/// Elements from one picture, row, column and channel of an operand to the
/// next; 0 where it repeats.
fn steps(picture: usize, shape: Shape) -> [usize; 4] {
    let of = |size: usize, step: usize| if size == 1 { 0 } else { step };
    let (y, x) = (of(shape.h, shape.row()), of(shape.w, shape.c));
    [picture, y, x, of(shape.c, 1)]
}

const fn number(op: Op) -> usize {
    match op {
        Op::Binary(Arithmetic::Add) => 0,
        Op::Binary(Arithmetic::Sub) => 1,
        Op::Binary(Arithmetic::Mul) => 2,
        Op::Binary(Arithmetic::Div) => 3,
        _ => 4,
    }
}

pub fn binary(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    let output = at.output();
    let [a, b] = [0, 1].map(|part| at.id(part));
    let words = Words::default()
        .sizes([output.h, output.w, output.c, number(at.view.op)])
        .sizes(steps(at.picture(a), at.input(0)))
        .sizes(steps(at.picture(b), at.input(1)))
        .activation(at.view.activation);
    let operands = [
        Operand::Value(a),
        Operand::Value(b),
        Operand::Value(at.view.output),
    ];
    at.add(
        ShaderKind::Binary,
        &operands,
        words,
        Work::Elements(output.len()),
    );
    Ok(())
}

pub fn binary_back(at: &mut Backward<'_, '_>) -> Result<(), GpuError> {
    let (output, own) = (at.output(), at.input());
    let [a, b] = [0, 1].map(|part| at.id(part));
    let words = Words::default()
        .sizes([output.h, output.w, output.c, own.h, own.w, own.c])
        .sizes([number(at.view.op), at.part, rule_number(at.rule)])
        .flag(at.accumulate)
        .sizes(steps(at.picture(a), at.model.shape(a)))
        .sizes(steps(at.picture(b), at.model.shape(b)));
    let operands = [at.from(), Operand::Value(a), Operand::Value(b), at.to()];
    at.add(
        ShaderKind::BinaryBack,
        &operands,
        words,
        Work::Elements(own.len()),
    );
    Ok(())
}
