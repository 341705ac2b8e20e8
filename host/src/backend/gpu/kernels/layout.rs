//! Operators that move elements.

use foveola_core::Shape;
use foveola_core::net::op::{Activation, Op, PadMode};

use super::{GpuError, ShaderKind, Words};
use crate::backend::gpu::steps::{Backward, Forward, Operand, Work};

/// What the kernel `move` does; see its file.
struct Move {
    region: Shape,
    to: [usize; 3],
    target: Shape,
    source: Shape,
    step: [i32; 3],
    start: [i32; 3],
    part: [i32; 3],
    shuffle: usize,
    outside: usize,
    constant: f32,
    factor: f32,
    accumulate: bool,
    source_picture: usize,
    activation: Activation,
}

impl Move {
    /// All of `source` to the same places.
    fn plain(source: Shape, target: Shape) -> Self {
        Self {
            region: target,
            to: [0; 3],
            target,
            source,
            step: [1; 3],
            start: [0; 3],
            part: [1; 3],
            shuffle: 1,
            outside: 0,
            constant: 0.0,
            factor: 1.0,
            accumulate: false,
            source_picture: source.len(),
            activation: Activation::None,
        }
    }

    fn words(&self) -> Words {
        let axes = |shape: Shape| [shape.h, shape.w, shape.c];
        Words::default()
            .sizes(axes(self.region))
            .sizes(self.to)
            .sizes(axes(self.target))
            .sizes(axes(self.source))
            .signed(self.step)
            .signed(self.start)
            .signed(self.part)
            .sizes([self.shuffle, self.outside])
            .reals([self.constant, self.factor])
            .flag(self.accumulate)
            .sizes([self.source_picture])
            .activation(self.activation)
    }

    fn work(&self) -> Work {
        Work::Elements(self.region.len())
    }
}

fn along(axis: u8, offset: usize) -> [usize; 3] {
    let mut at = [0; 3];
    at[usize::from(axis.min(2))] = offset;
    at
}

pub fn concat(at: &mut Forward<'_, '_>, axis: u8) -> Result<(), GpuError> {
    let mut offset = 0;
    for part in 0..at.view.inputs().len() {
        let (id, shape) = (at.id(part), at.input(part));
        let moved = Move {
            to: along(axis, offset),
            target: at.output(),
            source_picture: at.picture(id),
            activation: at.view.activation,
            ..Move::plain(shape, shape)
        };
        let operands = [Operand::Value(id), Operand::Value(at.view.output)];
        at.add(ShaderKind::Move, &operands, moved.words(), moved.work());
        offset += [shape.h, shape.w, shape.c][usize::from(axis.min(2))];
    }
    Ok(())
}

pub fn concat_back(at: &mut Backward<'_, '_>, axis: u8) -> Result<(), GpuError> {
    let moved = Move {
        start: along(axis, at.offset).map(|n| n as i32),
        accumulate: at.accumulate,
        ..Move::plain(at.output(), at.input())
    };
    let operands = [at.from(), at.to()];
    at.add(ShaderKind::Move, &operands, moved.words(), moved.work());
    Ok(())
}

pub fn moved(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    let plain = Move {
        activation: at.view.activation,
        source_picture: at.picture(at.id(0)),
        ..Move::plain(at.input(0), at.output())
    };
    let moved = match at.view.op {
        Op::Slice { start, step } => Move {
            start: start.map(i32::from),
            step: step.map(i32::from),
            ..plain
        },
        Op::Shuffle { groups } => Move {
            shuffle: usize::from(groups).max(1),
            ..plain
        },
        Op::Pad { before, mode } => Move {
            start: before.map(|n| -i32::from(n)),
            outside: outside(mode),
            constant: match mode {
                PadMode::Constant(value) => value,
                PadMode::Edge | PadMode::Reflect => 0.0,
            },
            ..plain
        },
        _ => return Err(at.unsupported("it moves nothing")),
    };
    let operands = [Operand::Value(at.id(0)), Operand::Value(at.view.output)];
    at.add(ShaderKind::Move, &operands, moved.words(), moved.work());
    Ok(())
}

const fn outside(mode: PadMode) -> usize {
    match mode {
        PadMode::Constant(_) => 0,
        PadMode::Edge => 1,
        PadMode::Reflect => 2,
    }
}

pub fn moved_back(at: &mut Backward<'_, '_>) -> Result<(), GpuError> {
    let plain = Move {
        accumulate: at.accumulate,
        ..Move::plain(at.output(), at.input())
    };
    let moved = match at.view.op {
        Op::Slice { start, step } => Move {
            start: start.map(|n| -i32::from(n)),
            part: step.map(i32::from),
            ..plain
        },
        Op::Shuffle { groups } => Move {
            shuffle: at.input().c / usize::from(groups).max(1),
            ..plain
        },
        Op::Pad {
            before,
            mode: PadMode::Constant(_),
        } => Move {
            start: before.map(i32::from),
            ..plain
        },
        Op::Pad { before, mode } => return pad_back(at, before, mode),
        _ => return Err(at.unsupported("it moves nothing")),
    };
    let operands = [at.from(), at.to()];
    at.add(ShaderKind::Move, &operands, moved.words(), moved.work());
    Ok(())
}

fn pad_back(at: &mut Backward<'_, '_>, before: [u16; 3], mode: PadMode) -> Result<(), GpuError> {
    let (input, output) = (at.input(), at.output());
    let words = Words::default()
        .sizes([input.h, input.w, input.c, output.h, output.w, output.c])
        .sizes(before.map(usize::from))
        .sizes([outside(mode)])
        .flag(at.accumulate);
    let operands = [at.from(), at.to()];
    at.add(
        ShaderKind::PadBack,
        &operands,
        words,
        Work::Elements(input.len()),
    );
    Ok(())
}

/// A mean shares its gradient among its elements.
pub fn mean_back(at: &mut Backward<'_, '_>, axes: [bool; 3]) -> Result<(), GpuError> {
    let (input, output) = (at.input(), at.output());
    let moved = Move {
        step: axes.map(|marked| i32::from(!marked)),
        factor: output.len() as f32 / input.len() as f32,
        accumulate: at.accumulate,
        ..Move::plain(output, input)
    };
    let operands = [at.from(), at.to()];
    at.add(ShaderKind::Move, &operands, moved.words(), moved.work());
    Ok(())
}
