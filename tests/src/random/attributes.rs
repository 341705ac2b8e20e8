//! Families of nodes: each proposes an operator with attributes at random. What
//! makes no sense is thrown away by `core`'s own check.

use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};
use foveola_core::{Shape, TensorId};

use super::draft::Draft;
use super::number::Random;

/// A node to be.
pub type Proposal = (Op, Activation, Vec<TensorId>, Shape);

/// All families. Those that have many attributes are there more than once.
pub const FAMILIES: [fn(&mut Draft) -> Option<Proposal>; 40] = [
    conv,
    conv,
    conv,
    conv,
    grouped,
    grouped,
    depthwise,
    depthwise,
    dense,
    activate,
    activate,
    activate,
    prelu,
    prelu,
    binary,
    binary,
    binary,
    binary,
    binary,
    binary,
    binary,
    affine,
    affine,
    affine,
    concat,
    slice,
    slice,
    shuffle,
    shuffle,
    pad,
    pad,
    max_pool,
    max_pool,
    max_pool,
    average_pool,
    average_pool,
    reduce,
    reduce,
    normalise,
    normalise,
];

/// Families of which networks in int8 need more: their constants and their
/// sizes fit less often.
pub const MORE_INTEGERS: [fn(&mut Draft) -> Option<Proposal>; 9] = [
    binary, binary, binary, pad, depthwise, grouped, grouped, shuffle, slice,
];

/// What may follow any operator.
pub fn fused(random: &mut Random) -> Activation {
    match random.below(9) {
        0 | 1 => Activation::Relu,
        2 => clip(random),
        3 => Activation::LeakyRelu {
            slope: random.pick(&[0.25, 0.01, 0.0, 1e-42, 1.5]),
        },
        _ => Activation::None,
    }
}

fn clip(random: &mut Random) -> Activation {
    let (lo, hi) = random.pick(&[
        (0.0, 6.0),
        (0.0, 6.0),
        (-0.5, 0.75),
        (-0.5, 0.75),
        (-0.0, 1.0),
        (-1.0, -0.0),
        (0.25, 0.25),
        (-1e-40, 1e-40),
        (f32::MIN, 0.5),
        (-3e38, f32::MAX),
    ]);
    Activation::Clip { lo, hi }
}

fn geometry(random: &mut Random) -> Geometry {
    let mut pair = |of: &[u16]| [random.pick(of), random.pick(of)];
    Geometry {
        kernel: pair(&[1, 1, 2, 3, 3, 4]),
        stride: pair(&[1, 1, 1, 2, 3, 5]),
        dilation: pair(&[1, 1, 1, 2, 3]),
        pad: pair(&[0, 0, 1, 1, 2, 3]),
    }
}

/// Output of a window with some padding behind, rounded up or down.
fn windowed(random: &mut Random, input: Shape, g: Geometry, c: usize) -> Option<(Shape, [u16; 2])> {
    let (mut out, mut pad_end) = ([0; 2], [0; 2]);
    let up = random.chance(3);
    for (axis, size) in [input.h, input.w].into_iter().enumerate() {
        let end = random.pick(&[0, 0, 1, 2, 3]);
        let window = usize::from(g.dilation[axis]) * (usize::from(g.kernel[axis]) - 1) + 1;
        let room = (size + usize::from(g.pad[axis]) + end).checked_sub(window)?;
        let stride = usize::from(g.stride[axis]);
        let steps = if up {
            room.div_ceil(stride)
        } else {
            room / stride
        };
        (out[axis], pad_end[axis]) = (steps + 1, end as u16);
    }
    Some((Shape::new(out[0], out[1], c), pad_end))
}

fn divisors(n: usize) -> Vec<usize> {
    (1..=n).filter(|d| n.is_multiple_of(*d)).collect()
}

/// Plain and pointwise convolutions.
fn conv(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let mut g = geometry(&mut draft.random);
    if draft.random.chance(4) {
        g = Geometry {
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            pad: [0; 2],
        };
    }
    let channels = draft.random.within(1, 20);
    convolution(draft, x, (g, 1), channels)
}

fn grouped(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let groups = divisors(draft.shape(x).c);
    let random = &mut draft.random;
    let groups = random.pick(groups.get(1..).filter(|g| !g.is_empty())?);
    let (g, channels) = (geometry(random), groups * random.within(1, 6));
    convolution(draft, x, (g, groups), channels)
}

fn convolution(
    draft: &mut Draft,
    x: TensorId,
    (geometry, groups): (Geometry, usize),
    channels: usize,
) -> Option<Proposal> {
    let input = draft.shape(x);
    let random = &mut draft.random;
    let (output, _) = windowed(random, input, geometry, channels)?;
    let op = Op::Conv {
        geometry,
        groups: groups as u16,
    };
    Some((op, fused(random), vec![x], output))
}

fn depthwise(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let input = draft.shape(x);
    let geometry = geometry(&mut draft.random);
    let (output, _) = windowed(&mut draft.random, input, geometry, input.c)?;
    let op = Op::Depthwise { geometry };
    Some((op, fused(&mut draft.random), vec![x], output))
}

fn dense(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let output = Shape::new(1, 1, draft.random.within(1, 18));
    Some((Op::Dense, fused(&mut draft.random), vec![x], output))
}

fn activate(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let random = &mut draft.random;
    let activation = match random.below(10) {
        0 | 1 => Activation::Relu,
        2 => clip(random),
        3 => Activation::LeakyRelu { slope: 0.1 },
        4 => Activation::HardSigmoid {
            alpha: random.pick(&[0.2, 1.0 / 6.0, -0.4, 1e-42]),
            beta: random.pick(&[0.5, -0.0, 3.0]),
        },
        5 => Activation::HardSwish,
        6 => Activation::Sigmoid,
        7 => Activation::Silu,
        8 => Activation::Tanh,
        _ => Activation::None,
    };
    let output = draft.shape(x);
    Some((Op::Activate, activation, vec![x], output))
}

/// The shape with some of its sides 1.
fn narrowed(random: &mut Random, shape: Shape) -> Shape {
    match random.below(5) {
        0 => Shape::new(1, 1, 1),
        1 => Shape::new(1, 1, shape.c),
        2 => shape,
        _ => {
            let mut side = |size| if random.chance(2) { 1 } else { size };
            Shape::new(side(shape.h), side(shape.w), side(shape.c))
        }
    }
}

/// The shape that two operands broadcast to, if they do.
fn broadcast(a: Shape, b: Shape) -> Option<Shape> {
    let side = |a: usize, b: usize| match (a, b) {
        (a, b) if a == b => Some(a),
        (1, n) | (n, 1) => Some(n),
        _ => None,
    };
    Some(Shape::new(
        side(a.h, b.h)?,
        side(a.w, b.w)?,
        side(a.c, b.c)?,
    ))
}

/// A second operand: the same tensor, a constant, another tensor.
fn second(draft: &mut Draft, x: TensorId, usual: bool) -> TensorId {
    let shape = draft.shape(x);
    match draft.random.below(8) {
        0 => x,
        1 => {
            let random = &mut draft.random;
            let mut side = |size| match size {
                1 => random.within(1, 4),
                _ if random.chance(2) => 1,
                size => size,
            };
            let other = Shape::new(side(shape.h), side(shape.w), side(shape.c));
            draft.constant(other, usual)
        }
        2..=4 => {
            let narrow = narrowed(&mut draft.random, shape);
            draft.constant(narrow, usual)
        }
        _ => {
            let all = draft.computed();
            let fits = |id: &TensorId| *id != x && broadcast(shape, draft.shape(*id)).is_some();
            let others: Vec<TensorId> = all.into_iter().filter(fits).collect();
            if others.is_empty() {
                x
            } else {
                draft.random.pick(&others)
            }
        }
    }
}

fn prelu(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let slope = second(draft, x, false);
    let output = draft.shape(x);
    Some((Op::PRelu, fused(&mut draft.random), vec![x, slope], output))
}

fn binary(draft: &mut Draft) -> Option<Proposal> {
    let all = [
        Arithmetic::Add,
        Arithmetic::Sub,
        Arithmetic::Mul,
        Arithmetic::Div,
    ];
    let arithmetic = draft.random.pick(&all);
    let x = draft.operand();
    // 0 / 0 ends most networks that divide by anything.
    let usual = arithmetic == Arithmetic::Div && !draft.random.chance(4);
    let y = second(draft, x, usual);
    let output = broadcast(draft.shape(x), draft.shape(y))?;
    let mut inputs = vec![x, y];
    if arithmetic != Arithmetic::Div && draft.random.chance(2) || draft.random.chance(4) {
        inputs.reverse();
    }
    let activation = fused(&mut draft.random);
    Some((Op::Binary(arithmetic), activation, inputs, output))
}

fn affine(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let output = draft.shape(x);
    Some((Op::Affine, fused(&mut draft.random), vec![x], output))
}

fn side(shape: &mut Shape, axis: usize) -> &mut usize {
    [&mut shape.h, &mut shape.w, &mut shape.c]
        .into_iter()
        .nth(axis)
        .expect("an axis")
}

/// Tensors that agree in the other axes, and a constant.
fn concat(draft: &mut Draft) -> Option<Proposal> {
    let axis = draft.random.below(3);
    let x = draft.operand();
    let mut output = draft.shape(x);
    let agrees = |a: Shape, mut b: Shape| {
        let mut a = a;
        (*side(&mut a, axis), *side(&mut b, axis)) = (1, 1);
        a == b
    };
    let fits = |id: &TensorId| agrees(output, draft.shape(*id));
    let others: Vec<TensorId> = draft.computed().into_iter().filter(fits).collect();
    let mut parts = vec![x];
    for _ in 0..draft.random.below(4) {
        let constant = draft.random.chance(4);
        let part = if constant {
            let mut shape = output;
            *side(&mut shape, axis) = draft.random.within(1, 3);
            draft.constant(shape, false)
        } else {
            draft.random.pick(&others)
        };
        let place = draft.random.below(parts.len() + 1);
        parts.insert(place, part);
    }
    let sizes = parts.iter().map(|&id| *side(&mut draft.shape(id), axis));
    let whole = sizes.sum();
    *side(&mut output, axis) = whole;
    let op = Op::Concat { axis: axis as u8 };
    Some((op, fused(&mut draft.random), parts, output))
}

fn slice(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let mut output = draft.shape(x);
    let random = &mut draft.random;
    let (mut start, mut step) = ([0; 3], [1; 3]);
    for axis in 0..3 {
        let size = side(&mut output, axis);
        let first = random.below(*size);
        step[axis] = random.within(1, 3) as u16;
        let most = (*size - first).div_ceil(step[axis].into());
        (*size, start[axis]) = (random.within(1, most), first as u16);
    }
    let op = Op::Slice { start, step };
    Some((op, fused(random), vec![x], output))
}

fn shuffle(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let output = draft.shape(x);
    let divisors = divisors(output.c);
    let groups = draft.random.pick(&divisors) as u16;
    let op = Op::Shuffle { groups };
    Some((op, fused(&mut draft.random), vec![x], output))
}

fn pad(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let mut output = draft.shape(x);
    let random = &mut draft.random;
    let mode = match random.below(3) {
        0 => PadMode::Constant(random.pick(&[0.0, -0.0, 0.75, 1e-41, -3e38, f32::MAX])),
        1 => PadMode::Edge,
        _ => PadMode::Reflect,
    };
    let mut before = [0; 3];
    for (axis, before) in before.iter_mut().enumerate() {
        *before = random.pick(&[0, 0, 1, 2]);
        *side(&mut output, axis) += usize::from(*before) + random.pick(&[0, 0, 1, 2]);
    }
    let op = Op::Pad { before, mode };
    Some((op, fused(random), vec![x], output))
}

fn max_pool(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let input = draft.shape(x);
    let random = &mut draft.random;
    let mut g = geometry(random);
    if random.chance(6) {
        g.kernel = [1; 2];
    }
    if random.chance(8) {
        // More than 256 taps: a winner takes two bytes.
        g = Geometry {
            kernel: [17, 16],
            stride: [1; 2],
            dilation: [1; 2],
            pad: [8; 2],
        };
    }
    let (output, _) = windowed(random, input, g, input.c)?;
    Some((Op::MaxPool(g), fused(random), vec![x], output))
}

fn average_pool(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let input = draft.shape(x);
    let random = &mut draft.random;
    let geometry = geometry(random);
    let (output, pad_end) = windowed(random, input, geometry, input.c)?;
    let op = Op::AveragePool {
        geometry,
        count_padding: random.chance(2),
        pad_end,
    };
    Some((op, fused(random), vec![x], output))
}

fn reduce(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    if draft.random.chance(4) {
        let output = Shape::new(1, 1, draft.shape(x).c);
        let activation = fused(&mut draft.random);
        return Some((Op::GlobalMaxPool, activation, vec![x], output));
    }
    let axes = [0; 3].map(|_| draft.random.chance(2));
    let mut output = draft.shape(x);
    for (axis, _) in axes.iter().enumerate().filter(|(_, marked)| **marked) {
        *side(&mut output, axis) = 1;
    }
    Some((Op::Mean { axes }, fused(&mut draft.random), vec![x], output))
}

/// Local response normalisation and softmax.
fn normalise(draft: &mut Draft) -> Option<Proposal> {
    let x = draft.operand();
    let output = draft.shape(x);
    let random = &mut draft.random;
    let op = if random.chance(2) {
        Op::Softmax
    } else {
        Op::Lrn {
            size: random.within(1, 6) as u16,
            alpha: random.pick(&[0.3, 1e-4, 2.0]),
            beta: random.pick(&[0.75, 0.6, 0.5]),
            bias: random.pick(&[1.0, 1.25, 2.0]),
        }
    };
    Some((op, fused(random), vec![x], output))
}
