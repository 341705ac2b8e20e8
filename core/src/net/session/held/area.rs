//! Which part of an output a part of an input reaches, and which part of an
//! input a part of an output reads.
//!
//! A part of an output is computed as if it were an output of its own, from
//! the part of the input that it reads: what lies outside the input is padding
//! there as it is here, so every kernel does it, in its usual order of
//! summation. Only where the padding, a slice or a concatenation begins moves.

use crate::net::op::{Geometry, Op, PadMode};
use crate::tensor::Shape;

/// Positions `from..to` of one axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub from: usize,
    pub to: usize,
}

impl Run {
    const fn all(size: usize) -> Self {
        Self { from: 0, to: size }
    }

    pub const fn len(self) -> usize {
        self.to.saturating_sub(self.from)
    }

    /// Positions of both.
    pub fn within(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        }
    }

    fn around(self, other: Self) -> Self {
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }
}

/// Rows and columns of a tensor, with all channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Area {
    pub y: Run,
    pub x: Run,
}

/// Share of an output, in percent, from which on all of it is computed: what
/// is left saves no more than cutting it out costs. (MobileNetV2 and
/// SqueezeNet, boxes of 32 pixels: 60 is slower by up to 8 %, 100 no faster.)
const DENSE: usize = 80;

impl Area {
    pub const fn whole(shape: Shape) -> Self {
        Self {
            y: Run::all(shape.h),
            x: Run::all(shape.w),
        }
    }

    pub const fn pixels(self) -> usize {
        self.y.len() * self.x.len()
    }

    pub const fn is_empty(self) -> bool {
        self.pixels() == 0
    }

    /// The least area that holds both.
    pub fn around(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        Self {
            y: self.y.around(other.y),
            x: self.x.around(other.x),
        }
    }

    /// All of the tensor where this is most of it.
    pub const fn or_all(self, shape: Shape) -> Self {
        if self.pixels() * 100 >= shape.area() * DENSE {
            return Self::whole(shape);
        }
        self
    }

    /// The area as a tensor.
    pub const fn shape(self, c: usize) -> Shape {
        Shape::new(self.y.len(), self.x.len(), c)
    }
}

/// How positions of an input and of an output belong together along one axis.
#[derive(Clone, Copy, Debug)]
enum Along {
    /// Each reads its own.
    Same,
    /// Each reads the window that begins `pad` before `stride` times its place.
    Window {
        reach: usize,
        stride: usize,
        pad: usize,
    },
    /// Each reads the one at `start` plus `step` times its place.
    Step { start: usize, step: usize },
    /// Each reads the one so many positions before it.
    Shift(usize),
    /// Each reads all.
    All,
}

impl Along {
    fn window(g: Geometry, axis: usize) -> Self {
        let of = |pair: [u16; 2]| pair.get(axis).map_or(0, |&v| usize::from(v));
        Self::Window {
            reach: of(g.kernel).saturating_sub(1) * of(g.dilation) + 1,
            stride: of(g.stride).max(1),
            pad: of(g.pad),
        }
    }

    /// Along axis 0 (rows) or 1 (columns) of an operand that has `input`
    /// positions there, `offset` of them behind the first input of a `Concat`.
    fn of(op: Op, axis: usize, (input, output): (usize, usize), offset: usize) -> Self {
        let of = |three: [u16; 3]| three.get(axis).map_or(0, |&v| usize::from(v));
        match op {
            Op::Conv { geometry, .. }
            | Op::Depthwise { geometry }
            | Op::MaxPool(geometry)
            | Op::AveragePool { geometry, .. } => Self::window(geometry, axis),
            Op::Slice { start, step } => Self::Step {
                start: of(start),
                step: of(step).max(1),
            },
            Op::Pad {
                before,
                mode: PadMode::Constant(_),
            } => Self::Shift(of(before)),
            Op::Concat { axis: along } if usize::from(along) == axis => Self::Shift(offset),
            Op::Dense => Self::All,
            // Means and broadcast operands; edges that are repeated.
            _ if input != output => Self::All,
            _ => Self::Same,
        }
    }

    /// The positions of the output, of `size`, that read `changed`.
    fn reached(self, changed: Run, size: usize) -> Run {
        if changed.len() == 0 {
            return Run::default();
        }
        let Run { from, to } = changed;
        let run = match self {
            Self::Same => changed,
            Self::Window { reach, stride, pad } => Run {
                from: (from + pad + 1)
                    .saturating_sub(reach)
                    .div_ceil(stride.max(1)),
                to: (to + pad).div_ceil(stride.max(1)),
            },
            Self::Step { start, step } => Run {
                from: from.saturating_sub(start).div_ceil(step.max(1)),
                to: to.saturating_sub(start).div_ceil(step.max(1)),
            },
            Self::Shift(by) => Run {
                from: from + by,
                to: to + by,
            },
            Self::All => Run::all(size),
        };
        run.within(Run::all(size))
    }

    /// The positions of the input that `wanted` reads; sizes of input and output.
    fn read(self, wanted: Run, (input, output): (usize, usize)) -> Run {
        let Run { from, to } = wanted;
        let run = match self {
            Self::Same => wanted,
            // What no window reads may come along: then nothing is cut out.
            Self::Window { .. } | Self::All if wanted == Run::all(output) => Run::all(input),
            Self::All => Run::all(input),
            Self::Window { reach, stride, pad } => Run {
                from: (from * stride).saturating_sub(pad),
                to: (to.saturating_sub(1) * stride + reach).saturating_sub(pad),
            },
            Self::Step { start, step } => Run {
                from: start + from * step,
                to: start + to.saturating_sub(1) * step + 1,
            },
            Self::Shift(by) => Run {
                from: from.saturating_sub(by),
                to: to.saturating_sub(by),
            },
        };
        run.within(Run::all(input))
    }
}

/// One operand of a node: the operator, shapes of operand and output, and
/// elements along the axis of a `Concat` before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub op: Op,
    pub input: Shape,
    pub output: Shape,
    pub offset: usize,
}

impl Link {
    fn along(&self) -> [(Along, (usize, usize)); 2] {
        let rows = (self.input.h, self.output.h);
        let cols = (self.input.w, self.output.w);
        [
            (Along::of(self.op, 0, rows, self.offset), rows),
            (Along::of(self.op, 1, cols, self.offset), cols),
        ]
    }

    /// The part of the output that reads `changed`.
    pub fn reached(&self, changed: Area) -> Area {
        let [(rows, (_, h)), (cols, (_, w))] = self.along();
        Area {
            y: rows.reached(changed.y, h),
            x: cols.reached(changed.x, w),
        }
    }

    /// The part of the operand that `wanted` reads.
    pub fn read(&self, wanted: Area) -> Area {
        let [(rows, h), (cols, w)] = self.along();
        Area {
            y: rows.read(wanted.y, h),
            x: cols.read(wanted.x, w),
        }
    }

    /// The operator and the offset for the part `wanted` of the output.
    pub fn at(&self, wanted: Area) -> (Op, usize) {
        let begin = [wanted.y.from, wanted.x.from];
        let [y, x] = begin;
        let mut op = self.op;
        match &mut op {
            Op::Conv { geometry, .. }
            | Op::Depthwise { geometry }
            | Op::MaxPool(geometry)
            | Op::AveragePool { geometry, .. } => {
                let [top, left] = &mut geometry.pad;
                let [down, right] = geometry.stride.map(usize::from);
                *top = less(*top, y * down);
                *left = less(*left, x * right);
            }
            Op::Slice { start, .. } => [start[0], start[1]] = [0; 2],
            Op::Pad { before, .. } => {
                let [top, left, _] = before;
                (*top, *left) = (less(*top, y), less(*left, x));
            }
            _ => {}
        }
        let offset = match self.op {
            Op::Concat { axis } => {
                let before = begin.get(usize::from(axis)).copied().unwrap_or(0);
                self.offset.saturating_sub(before)
            }
            _ => self.offset,
        };
        (op, offset)
    }
}

/// `a - b`, at least 0.
fn less(a: u16, b: usize) -> u16 {
    usize::from(a).saturating_sub(b) as u16
}
