//! What each operator means, in f64, element by element, as its definition says.

use super::Case;
use crate::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

pub fn index(s: Shape, y: usize, x: usize, c: usize) -> usize {
    (y * s.w + x) * s.c + c
}

/// Index of a tap's position, if it lies inside.
pub fn inside(o: usize, k: usize, g: Geometry, axis: usize, size: usize) -> Option<usize> {
    let at = o as i64 * i64::from(g.stride[axis]) - i64::from(g.pad[axis])
        + k as i64 * i64::from(g.dilation[axis]);
    (0..size as i64).contains(&at).then_some(at as usize)
}

/// The node's output for the inputs `x`.
pub fn evaluate(case: &Case, x: &[Vec<f64>]) -> Vec<f64> {
    let out = case.output;
    let mut result = vec![0.0; out.len()];
    for y in 0..out.h {
        for col in 0..out.w {
            for c in 0..out.c {
                let z = element(case, x, y, col, c);
                result[index(out, y, col, c)] = activate(case.activation, z);
            }
        }
    }
    result
}

pub fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Clip { lo, hi } => x.clamp(lo.into(), hi.into()),
        Activation::LeakyRelu { slope } => {
            if x > 0.0 {
                x
            } else {
                f64::from(slope) * x
            }
        }
        Activation::HardSigmoid { alpha, beta } => {
            (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0)
        }
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    }
}

fn element(case: &Case, x: &[Vec<f64>], y: usize, col: usize, c: usize) -> f64 {
    let input = case.shapes[0];
    let at = |y, x_, c| x[0][index(input, y, x_, c)];
    let bias = case.bias.get(c).map_or(0.0, |&b| f64::from(b));
    let weight = |i: usize| f64::from(case.weights[i]);
    match case.op {
        Op::Conv {
            geometry: g,
            groups,
        } => {
            let groups = usize::from(groups);
            let (inputs, outputs) = (input.c / groups, case.output.c / groups);
            let mut sum = bias;
            window(g, input, y, col, |ky, kx, iy, ix| {
                for i in 0..inputs {
                    let tap = ky * usize::from(g.kernel[1]) + kx;
                    let taps = usize::from(g.kernel[0]) * usize::from(g.kernel[1]);
                    sum += at(iy, ix, c / outputs * inputs + i)
                        * weight((c * taps + tap) * inputs + i);
                }
            });
            sum
        }
        Op::Depthwise { geometry: g } => {
            let mut sum = bias;
            window(g, input, y, col, |ky, kx, iy, ix| {
                sum += at(iy, ix, c) * weight((ky * usize::from(g.kernel[1]) + kx) * input.c + c);
            });
            sum
        }
        Op::Dense => (0..input.len()).fold(bias, |s, i| s + x[0][i] * weight(c * input.len() + i)),
        Op::Activate => at(y, col, c),
        Op::PRelu | Op::Binary(_) => binary(case, x, y, col, c),
        Op::Affine => at(y, col, c) * weight(c) + bias,
        Op::Concat { axis } => concat(case, x, axis.into(), [y, col, c]),
        Op::Slice { start, step } => {
            let from =
                |axis: usize, i: usize| usize::from(start[axis]) + i * usize::from(step[axis]);
            at(from(0, y), from(1, col), from(2, c))
        }
        Op::Shuffle { groups } => {
            let groups = usize::from(groups);
            at(y, col, c % groups * (input.c / groups) + c / groups)
        }
        Op::Pad { before, mode } => pad(case, &x[0], before, mode, [y, col, c]),
        Op::MaxPool(g) => {
            let mut best = f64::NEG_INFINITY;
            window(g, input, y, col, |_, _, iy, ix| {
                best = best.max(at(iy, ix, c))
            });
            best
        }
        Op::AveragePool {
            geometry,
            count_padding,
            pad_end,
        } => average(
            &x[0],
            input,
            geometry,
            count_padding.then_some(pad_end),
            [y, col, c],
        ),
        Op::Mean { axes } => mean(&x[0], input, axes, [y, col, c]),
        Op::GlobalMaxPool => (0..input.area())
            .map(|p| x[0][p * input.c + c])
            .fold(f64::MIN, f64::max),
        Op::Lrn {
            size,
            alpha,
            beta,
            bias,
        } => {
            let size = i64::from(size);
            let (low, high) = (
                c as i64 - (size - 1) / 2,
                c as i64 + (size - 1) - (size - 1) / 2,
            );
            let squares: f64 = (low.max(0)..=high.min(input.c as i64 - 1))
                .map(|i| at(y, col, i as usize).powi(2))
                .sum();
            let base = f64::from(bias) + f64::from(alpha) / size as f64 * squares;
            at(y, col, c) / base.powf(beta.into())
        }
        Op::Softmax => {
            let sum: f64 = (0..input.c).map(|i| at(y, col, i).exp()).sum();
            at(y, col, c).exp() / sum
        }
        Op::Quantise { .. } | Op::Dequantise => panic!("no operator on f32 alone"),
    }
}

/// Calls `visit(ky, kx, y, x)` for the taps that lie inside.
fn window(
    g: Geometry,
    input: Shape,
    y: usize,
    x: usize,
    mut visit: impl FnMut(usize, usize, usize, usize),
) {
    for ky in 0..g.kernel[0].into() {
        for kx in 0..g.kernel[1].into() {
            if let (Some(iy), Some(ix)) =
                (inside(y, ky, g, 0, input.h), inside(x, kx, g, 1, input.w))
            {
                visit(ky, kx, iy, ix);
            }
        }
    }
}

fn binary(case: &Case, x: &[Vec<f64>], y: usize, col: usize, c: usize) -> f64 {
    let of = |i: usize| {
        let s = case.shapes[i];
        x[i][index(s, y % s.h, col % s.w, c % s.c)]
    };
    let (a, b) = (of(0), of(1));
    match case.op {
        Op::Binary(Arithmetic::Add) => a + b,
        Op::Binary(Arithmetic::Sub) => a - b,
        Op::Binary(Arithmetic::Mul) => a * b,
        Op::Binary(Arithmetic::Div) => a / b,
        _ => {
            if a > 0.0 {
                a
            } else {
                a * b
            }
        }
    }
}

fn concat(case: &Case, x: &[Vec<f64>], axis: usize, mut at: [usize; 3]) -> f64 {
    for (s, x) in case.shapes.iter().zip(x) {
        let size = [s.h, s.w, s.c][axis];
        if at[axis] < size {
            return x[index(*s, at[0], at[1], at[2])];
        }
        at[axis] -= size;
    }
    panic!("behind the last input");
}

fn pad(case: &Case, x: &[f64], before: [u16; 3], mode: PadMode, at: [usize; 3]) -> f64 {
    let s = case.shapes[0];
    let mut from = [0; 3];
    for (axis, size) in [s.h, s.w, s.c].into_iter().enumerate() {
        let size = size as i64;
        let i = at[axis] as i64 - i64::from(before[axis]);
        from[axis] = match mode {
            PadMode::Constant(value) if !(0..size).contains(&i) => return value.into(),
            PadMode::Reflect if i < 0 => -i,
            PadMode::Reflect if i >= size => 2 * (size - 1) - i,
            _ => i.clamp(0, size - 1),
        } as usize;
    }
    x[index(s, from[0], from[1], from[2])]
}

fn average(
    x: &[f64],
    s: Shape,
    g: Geometry,
    counted: Option<[u16; 2]>,
    [y, col, c]: [usize; 3],
) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for ky in 0..usize::from(g.kernel[0]) {
        for kx in 0..usize::from(g.kernel[1]) {
            let within = inside(y, ky, g, 0, s.h).zip(inside(col, kx, g, 1, s.w));
            if let Some((iy, ix)) = within {
                sum += x[index(s, iy, ix, c)];
                count += 1;
            } else if let Some([bottom, right]) = counted {
                let row = y * usize::from(g.stride[0]) + ky * usize::from(g.dilation[0]);
                let column = col * usize::from(g.stride[1]) + kx * usize::from(g.dilation[1]);
                let declared = row < usize::from(g.pad[0]) + s.h + usize::from(bottom)
                    && column < usize::from(g.pad[1]) + s.w + usize::from(right);
                count += usize::from(declared);
            }
        }
    }
    sum / f64::from(count as u32)
}

fn mean(x: &[f64], s: Shape, axes: [bool; 3], at: [usize; 3]) -> f64 {
    let range = |axis: usize, size: usize| {
        if axes[axis] {
            0..size
        } else {
            at[axis]..at[axis] + 1
        }
    };
    let (mut sum, mut count) = (0.0, 0.0);
    for y in range(0, s.h) {
        for col in range(1, s.w) {
            for c in range(2, s.c) {
                sum += x[index(s, y, col, c)];
                count += 1.0;
            }
        }
    }
    sum / count
}
