//! How an operator and its attributes lie in a node record.
//!
//! | op | code | ints | floats |
//! |---|---|---|---|
//! | Conv | 1 | geometry 0..8, groups 8 | |
//! | Depthwise | 2 | geometry 0..8 | |
//! | Dense | 3 | | |
//! | Activate | 4 | | |
//! | PRelu | 5 | | |
//! | Add, Sub, Mul, Div | 6, 7, 8, 9 | | |
//! | Affine | 10 | | |
//! | Concat | 11 | axis | |
//! | Slice | 12 | start 0..3, step 3..6 | |
//! | Shuffle | 13 | groups | |
//! | Pad | 14 | before 0..3, mode 3 (0 constant, 1 edge, 2 reflect) | constant |
//! | MaxPool | 15 | geometry 0..8 | |
//! | AveragePool | 16 | geometry 0..8, count_padding 8, pad_end 9..11 | |
//! | Mean | 17 | axes 0..3 | |
//! | GlobalMaxPool | 18 | | |
//! | Lrn | 19 | size | alpha, beta, bias |
//! | Softmax | 20 | | |
//! | Quantise | 21 | zero point + 128 | scale |
//! | Dequantise | 22 | | |
//!
//! Geometry is kernel, stride, dilation, pad; rows before columns.
//! Activations: 0 none, 1 ReLU, 2 clip (lo, hi), 3 leaky ReLU (slope),
//! 4 hard sigmoid (alpha, beta), 5 hard swish, 6 sigmoid, 7 SiLU, 8 tanh.

use zerocopy::little_endian::{F32, U16};

use super::NodeRecord;
use crate::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};

/// Writes an operator and its activation into a record.
pub fn encode(op: &Op, activation: &Activation, record: &mut NodeRecord) {
    let (code, ints, floats) = fields(op);
    record.op = U16::new(code);
    record.ints = ints.map(U16::new);
    record.floats = floats.map(F32::new);
    let (code, a, b) = match *activation {
        Activation::None => (0, 0.0, 0.0),
        Activation::Relu => (1, 0.0, 0.0),
        Activation::Clip { lo, hi } => (2, lo, hi),
        Activation::LeakyRelu { slope } => (3, slope, 0.0),
        Activation::HardSigmoid { alpha, beta } => (4, alpha, beta),
        Activation::HardSwish => (5, 0.0, 0.0),
        Activation::Sigmoid => (6, 0.0, 0.0),
        Activation::Silu => (7, 0.0, 0.0),
        Activation::Tanh => (8, 0.0, 0.0),
    };
    record.activation = U16::new(code);
    record.activation_a = F32::new(a);
    record.activation_b = F32::new(b);
}

/// Whether a record's operator is `Quantise`, the one that makes int8 out of f32.
pub fn is_quantise(record: &NodeRecord) -> bool {
    record.op.get() == 21
}

/// Reads the operator of a record; `None` for unknown codes and values.
pub fn decode_op(record: &NodeRecord) -> Option<Op> {
    let i = record.ints.map(U16::get);
    let f = record.floats.map(F32::get);
    let [i0, i1, i2, i3, i4, i5, _, _, i8, i9, i10, _] = i;
    let geometry = geometry(&i);
    Some(match record.op.get() {
        1 => Op::Conv {
            geometry,
            groups: i8,
        },
        2 => Op::Depthwise { geometry },
        3 => Op::Dense,
        4 => Op::Activate,
        5 => Op::PRelu,
        6 => Op::Binary(Arithmetic::Add),
        7 => Op::Binary(Arithmetic::Sub),
        8 => Op::Binary(Arithmetic::Mul),
        9 => Op::Binary(Arithmetic::Div),
        10 => Op::Affine,
        11 => Op::Concat {
            axis: u8::try_from(i0).ok().filter(|&a| a < 3)?,
        },
        12 => Op::Slice {
            start: [i0, i1, i2],
            step: [i3, i4, i5],
        },
        13 => Op::Shuffle { groups: i0 },
        14 => Op::Pad {
            before: [i0, i1, i2],
            mode: pad_mode(i3, f)?,
        },
        15 => Op::MaxPool(geometry),
        16 => Op::AveragePool {
            geometry,
            count_padding: flag(i8)?,
            pad_end: [i9, i10],
        },
        17 => Op::Mean {
            axes: [flag(i0)?, flag(i1)?, flag(i2)?],
        },
        18 => Op::GlobalMaxPool,
        19 => {
            let [alpha, beta, bias, _] = f;
            Op::Lrn {
                size: i0,
                alpha,
                beta,
                bias,
            }
        }
        20 => Op::Softmax,
        21 => Op::Quantise {
            scale: step(f)?,
            zero_point: i8::try_from(i32::from(i0) - 128).ok()?,
        },
        22 => Op::Dequantise,
        _ => return None,
    })
}

/// Reads the activation of a record; `None` for unknown codes and values that are not finite.
pub fn decode_activation(record: &NodeRecord) -> Option<Activation> {
    let (a, b) = (record.activation_a.get(), record.activation_b.get());
    if !a.is_finite() || !b.is_finite() {
        return None;
    }
    Some(match record.activation.get() {
        0 => Activation::None,
        1 => Activation::Relu,
        2 if a <= b => Activation::Clip { lo: a, hi: b },
        3 => Activation::LeakyRelu { slope: a },
        4 => Activation::HardSigmoid { alpha: a, beta: b },
        5 => Activation::HardSwish,
        6 => Activation::Sigmoid,
        7 => Activation::Silu,
        8 => Activation::Tanh,
        _ => return None,
    })
}

type Fields = (u16, [u16; 12], [f32; 4]);

fn fields(op: &Op) -> Fields {
    let none = [0.0; 4];
    match *op {
        Op::Conv { geometry, groups } => (1, with_geometry(&geometry, [groups, 0, 0]), none),
        Op::Depthwise { geometry } => (2, with_geometry(&geometry, [0; 3]), none),
        Op::Dense => (3, [0; 12], none),
        Op::Activate => (4, [0; 12], none),
        Op::PRelu => (5, [0; 12], none),
        Op::Binary(Arithmetic::Add) => (6, [0; 12], none),
        Op::Binary(Arithmetic::Sub) => (7, [0; 12], none),
        Op::Binary(Arithmetic::Mul) => (8, [0; 12], none),
        Op::Binary(Arithmetic::Div) => (9, [0; 12], none),
        Op::Affine => (10, [0; 12], none),
        Op::Concat { axis } => (11, leading([u16::from(axis), 0, 0, 0, 0, 0]), none),
        Op::Slice {
            start: [a, b, c],
            step: [d, e, f],
        } => (12, leading([a, b, c, d, e, f]), none),
        Op::Shuffle { groups } => (13, leading([groups, 0, 0, 0, 0, 0]), none),
        Op::Pad {
            before: [a, b, c],
            mode,
        } => {
            let (mode, value) = match mode {
                PadMode::Constant(value) => (0, value),
                PadMode::Edge => (1, 0.0),
                PadMode::Reflect => (2, 0.0),
            };
            (14, leading([a, b, c, mode, 0, 0]), [value, 0.0, 0.0, 0.0])
        }
        Op::MaxPool(geometry) => (15, with_geometry(&geometry, [0; 3]), none),
        Op::AveragePool {
            geometry,
            count_padding,
            pad_end: [bottom, right],
        } => (
            16,
            with_geometry(&geometry, [u16::from(count_padding), bottom, right]),
            none,
        ),
        Op::Mean { axes } => {
            let [a, b, c] = axes.map(u16::from);
            (17, leading([a, b, c, 0, 0, 0]), none)
        }
        Op::GlobalMaxPool => (18, [0; 12], none),
        Op::Lrn {
            size,
            alpha,
            beta,
            bias,
        } => (19, leading([size, 0, 0, 0, 0, 0]), [alpha, beta, bias, 0.0]),
        Op::Softmax => (20, [0; 12], none),
        Op::Quantise { scale, zero_point } => {
            let zero_point = i16::from(zero_point).wrapping_add(128).unsigned_abs();
            (
                21,
                leading([zero_point, 0, 0, 0, 0, 0]),
                [scale, 0.0, 0.0, 0.0],
            )
        }
        Op::Dequantise => (22, [0; 12], none),
    }
}

fn leading([a, b, c, d, e, f]: [u16; 6]) -> [u16; 12] {
    [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0]
}

fn with_geometry(g: &Geometry, [a, b, c]: [u16; 3]) -> [u16; 12] {
    let ([kh, kw], [sh, sw]) = (g.kernel, g.stride);
    let ([dh, dw], [ph, pw]) = (g.dilation, g.pad);
    [kh, kw, sh, sw, dh, dw, ph, pw, a, b, c, 0]
}

fn geometry(ints: &[u16; 12]) -> Geometry {
    let [kh, kw, sh, sw, dh, dw, ph, pw, ..] = *ints;
    Geometry {
        kernel: [kh, kw],
        stride: [sh, sw],
        dilation: [dh, dw],
        pad: [ph, pw],
    }
}

fn step([scale, ..]: [f32; 4]) -> Option<f32> {
    (scale.is_finite() && scale > 0.0).then_some(scale)
}

fn flag(value: u16) -> Option<bool> {
    match value {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn pad_mode(mode: u16, [value, ..]: [f32; 4]) -> Option<PadMode> {
    match mode {
        0 => value.is_finite().then_some(PadMode::Constant(value)),
        1 => Some(PadMode::Edge),
        2 => Some(PadMode::Reflect),
        _ => None,
    }
}
