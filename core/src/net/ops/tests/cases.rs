//! Random nodes of awkward sizes, one family at a time.

use super::{Case, Random};
use crate::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};
use crate::net::ops::check;
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

/// How many families [`proposal`] knows.
pub const FAMILIES: usize = 24;

/// A node of `family` that passes the check.
pub fn case(family: usize, random: &mut Random) -> Case {
    for _ in 0..10_000 {
        if let Some((op, activation, shapes, output)) = proposal(family, random)
            && check(op, activation, &shapes, output)
        {
            return Case::new(op, activation, shapes, output, random);
        }
    }
    panic!("family {family} proposes nothing that passes the check");
}

fn shape(random: &mut Random, most_c: usize) -> Shape {
    let most = if random.below(5) == 0 { 1 } else { 9 };
    Shape::new(
        random.within(1, most),
        random.within(1, most),
        random.within(1, most_c),
    )
}

fn geometry(random: &mut Random) -> Geometry {
    let mut pair = |low, high| {
        [
            random.within(low, high) as u16,
            random.within(low, high) as u16,
        ]
    };
    Geometry {
        kernel: pair(1, 4),
        stride: pair(1, 5),
        dilation: pair(1, 3),
        pad: pair(0, 3),
    }
}

/// Output of a window with some padding behind, rounded up or down.
fn windowed(random: &mut Random, input: Shape, g: Geometry, c: usize) -> Option<(Shape, [u16; 2])> {
    let mut out = [0; 2];
    let mut pad_end = [0; 2];
    for (axis, size) in [input.h, input.w].into_iter().enumerate() {
        let end = random.within(0, 3);
        let window = usize::from(g.dilation[axis]) * (usize::from(g.kernel[axis]) - 1) + 1;
        let room = (size + usize::from(g.pad[axis]) + end).checked_sub(window)?;
        let stride = usize::from(g.stride[axis]);
        out[axis] = if random.below(3) == 0 {
            room.div_ceil(stride)
        } else {
            room / stride
        } + 1;
        pad_end[axis] = end as u16;
    }
    Some((Shape::new(out[0], out[1], c), pad_end))
}

fn fused(random: &mut Random) -> Activation {
    match random.below(5) {
        0 => Activation::Relu,
        1 => Activation::Clip { lo: -0.5, hi: 1.0 },
        2 => Activation::LeakyRelu { slope: 0.25 },
        _ => Activation::None,
    }
}

fn alone(random: &mut Random) -> Activation {
    match random.below(9) {
        0 => Activation::Relu,
        1 => Activation::Clip { lo: 0.0, hi: 1.5 },
        2 => Activation::LeakyRelu { slope: 0.1 },
        3 => Activation::HardSigmoid {
            alpha: 0.4,
            beta: 0.5,
        },
        4 => Activation::HardSwish,
        5 => Activation::Sigmoid,
        6 => Activation::Silu,
        7 => Activation::Tanh,
        _ => Activation::None,
    }
}

/// Two shapes that broadcast to the third.
fn pair(random: &mut Random) -> (Vec<Shape>, Shape) {
    let out = shape(random, 9);
    let mut a = out;
    let mut b = out;
    for axis in 0..3 {
        let one = match random.below(4) {
            0 => &mut a,
            1 => &mut b,
            _ => continue,
        };
        *[&mut one.h, &mut one.w, &mut one.c][axis] = 1;
    }
    (vec![a, b], out)
}

type Proposal = (Op, Activation, Vec<Shape>, Shape);

fn proposal(family: usize, random: &mut Random) -> Option<Proposal> {
    let x = shape(random, 19);
    let g = geometry(random);
    let activation = fused(random);
    let (op, shapes, output) = match family {
        0..=2 => return conv(family, g, activation, random),
        3 => {
            let (out, _) = windowed(random, x, g, x.c)?;
            (Op::Depthwise { geometry: g }, vec![x], out)
        }
        4 => (Op::Dense, vec![x], Shape::new(1, 1, random.within(1, 40))),
        5..=7 => return Some((Op::Activate, alone(random), vec![x], x)),
        8 => {
            let (mut shapes, out) = pair(random);
            shapes[0] = out;
            (Op::PRelu, shapes, out)
        }
        9..=12 => {
            let of = [
                Arithmetic::Add,
                Arithmetic::Sub,
                Arithmetic::Mul,
                Arithmetic::Div,
            ];
            let (shapes, out) = pair(random);
            (Op::Binary(of[family - 9]), shapes, out)
        }
        13 => (Op::Affine, vec![x], x),
        14 => return Some(concat(x, activation, random)),
        15 => return slice(x, activation, random),
        16 => {
            let groups = random.within(1, 4);
            let x = Shape::new(x.h, x.w, groups * random.within(1, 5));
            (
                Op::Shuffle {
                    groups: groups as u16,
                },
                vec![x],
                x,
            )
        }
        17 => return Some(pad(x, activation, random)),
        18 => {
            let (out, _) = windowed(random, x, g, x.c)?;
            (Op::MaxPool(g), vec![x], out)
        }
        19 => {
            let (out, pad_end) = windowed(random, x, g, x.c)?;
            let count_padding = random.below(2) == 0;
            (
                Op::AveragePool {
                    geometry: g,
                    count_padding,
                    pad_end,
                },
                vec![x],
                out,
            )
        }
        20 => {
            let axes = [0; 3].map(|_| random.below(2) == 0);
            let size = |marked: bool, size: usize| if marked { 1 } else { size };
            let out = Shape::new(size(axes[0], x.h), size(axes[1], x.w), size(axes[2], x.c));
            (Op::Mean { axes }, vec![x], out)
        }
        21 => (Op::GlobalMaxPool, vec![x], Shape::new(1, 1, x.c)),
        22 => {
            let size = random.within(1, 6) as u16;
            (
                Op::Lrn {
                    size,
                    alpha: 0.3,
                    beta: [0.75, 0.6][random.below(2)],
                    bias: 1.25,
                },
                vec![x],
                x,
            )
        }
        _ => (Op::Softmax, vec![x], x),
    };
    Some((op, activation, shapes, output))
}

/// Grouped, plain, and pointwise convolutions.
fn conv(
    family: usize,
    mut g: Geometry,
    activation: Activation,
    random: &mut Random,
) -> Option<Proposal> {
    let groups = if family == 0 { random.within(1, 4) } else { 1 };
    if family == 2 {
        g = Geometry {
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0, 0],
        };
    }
    let x = shape(random, 9);
    let x = Shape::new(x.h, x.w, groups * x.c);
    let channels = groups * random.within(1, if family == 0 { 9 } else { 41 });
    let out = if family == 2 {
        Shape::new(x.h, x.w, channels)
    } else {
        windowed(random, x, g, channels)?.0
    };
    let op = Op::Conv {
        geometry: g,
        groups: groups as u16,
    };
    Some((op, activation, vec![x], out))
}

fn concat(x: Shape, activation: Activation, random: &mut Random) -> Proposal {
    let axis = random.below(3);
    let mut out = x;
    *[&mut out.h, &mut out.w, &mut out.c][axis] = 0;
    let mut shapes = Vec::new();
    for _ in 0..random.within(1, 4) {
        let size = random.within(1, 5);
        let mut part = x;
        *[&mut part.h, &mut part.w, &mut part.c][axis] = size;
        *[&mut out.h, &mut out.w, &mut out.c][axis] += size;
        shapes.push(part);
    }
    (Op::Concat { axis: axis as u8 }, activation, shapes, out)
}

fn slice(x: Shape, activation: Activation, random: &mut Random) -> Option<Proposal> {
    let mut start = [0; 3];
    let mut step = [0; 3];
    let mut out = [0; 3];
    for (axis, size) in [x.h, x.w, x.c].into_iter().enumerate() {
        start[axis] = random.below(size) as u16;
        step[axis] = random.within(1, 3) as u16;
        let most = (size - usize::from(start[axis])).div_ceil(step[axis].into());
        out[axis] = random.within(1, most);
    }
    let out = Shape::new(out[0], out[1], out[2]);
    Some((Op::Slice { start, step }, activation, vec![x], out))
}

fn pad(x: Shape, activation: Activation, random: &mut Random) -> Proposal {
    let before = [0; 3].map(|_| random.below(4) as u16);
    let mode = match random.below(3) {
        0 => PadMode::Constant(0.75),
        1 => PadMode::Edge,
        _ => PadMode::Reflect,
    };
    let mut size = [x.h, x.w, x.c];
    for (size, before) in size.iter_mut().zip(before) {
        *size += usize::from(before) + random.below(4);
    }
    let out = Shape::new(size[0], size[1], size[2]);
    (Op::Pad { before, mode }, activation, vec![x], out)
}
