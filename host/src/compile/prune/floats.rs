//! Intervals behind f32 nodes, rounded outwards by more than all roundings of
//! a sum can add up to, except where a sum has no term but zeros.

use foveola_core::net::op::{Activation, Arithmetic, Op};

use super::Bounds;
use super::bounds::input;
use super::interval::Interval;
use super::linear::Linear;
use crate::graph::{Graph, Node};

/// Half the distance of neighbouring f32, relative.
const ROUNDING: f64 = 1.0 / (1_u32 << 24) as f64;
/// Smallest f32 above 0.
const LEAST: f64 = 1.5e-45;

/// Intervals behind a node; `None` where nothing is known.
pub fn of_node(graph: &Graph, node: &Node, bounds: &Bounds) -> Option<Vec<Interval>> {
    let x = input(node, bounds, 0);
    let before = match node.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => linear(graph, node, x)?,
        Op::Activate => {
            return Some(x.iter().map(|&x| activated(node.activation, x)).collect());
        }
        Op::Affine => {
            let numbers = node.weights.iter().zip(&node.bias);
            let of = |(x, (&scale, &shift)): (&Interval, (&f32, &f32))| {
                let product = x.times(scale.into());
                let size = product.magnitude() + f64::from(shift).abs();
                rounded(product.map(|v| v + f64::from(shift)), 3, size)
            };
            x.iter().zip(numbers).map(of).collect()
        }
        Op::Binary(arithmetic) => binary(graph, node, arithmetic, bounds),
        Op::Mean { axes } if !axes[2] => {
            let shape = graph.tensor(node.inputs[0]).shape;
            let area = shape.area();
            x.iter()
                .map(|&x| rounded(x, area, area as f64 * x.magnitude()))
                .collect()
        }
        Op::AveragePool { geometry, .. } => {
            let taps = usize::from(geometry.kernel[0]) * usize::from(geometry.kernel[1]);
            let zero = Interval::one(0.0);
            let of = |x: &Interval| rounded(x.with(zero), taps, taps as f64 * x.magnitude());
            x.iter().map(of).collect()
        }
        _ => return None,
    };
    Some(limited(node.activation, before))
}

/// Behind an activation that is merged into a node.
pub fn limited(activation: Activation, before: Vec<Interval>) -> Vec<Interval> {
    before
        .into_iter()
        .map(|x| activated(activation, x))
        .collect()
}

/// A result of so many roundings, none of a number above `size`. Beyond f32
/// anything may come out.
fn rounded(x: Interval, roundings: usize, size: f64) -> Interval {
    if size == 0.0 {
        return x;
    }
    if size >= f64::from(f32::MAX) / 2.0 {
        return Interval::ALL;
    }
    let roundings = 2.0 * roundings as f64 + 4.0;
    x.widened(1.01 * roundings * (ROUNDING * size + LEAST))
}

fn linear(graph: &Graph, node: &Node, x: &[Interval]) -> Option<Vec<Interval>> {
    let linear = Linear::of(graph, node)?;
    let of = |o| {
        let bias = linear.bias(o);
        let (mut sum, mut size) = (Interval::one(bias), 0.0);
        for i in 0..linear.inputs {
            let x = x[linear.channel(o, i)];
            let padded = x.with(Interval::one(0.0));
            for tap in 0..linear.taps {
                let x = if linear.is_padded(tap) { padded } else { x };
                let product = x.times(linear.weight(o, tap, i));
                size += product.magnitude();
                sum = Interval {
                    lo: sum.lo + product.lo,
                    hi: sum.hi + product.hi,
                };
            }
        }
        match size == 0.0 {
            true => sum,
            false => rounded(sum, linear.taps * linear.inputs, size + bias.abs()),
        }
    };
    Some((0..linear.outputs).map(of).collect())
}

fn binary(graph: &Graph, node: &Node, op: Arithmetic, bounds: &Bounds) -> Vec<Interval> {
    let [a, b] = [0, 1].map(|part| input(node, bounds, part));
    let at = |x: &[Interval], c: usize| x[if x.len() == 1 { 0 } else { c }];
    let of = |c| {
        let (a, b) = (at(a, c), at(b, c));
        let each = |f: fn(f64, f64) -> f64| {
            Interval::around([f(a.lo, b.lo), f(a.lo, b.hi), f(a.hi, b.lo), f(a.hi, b.hi)])
        };
        let zero = Interval::one(0.0);
        let result = match op {
            Arithmetic::Add => each(|a, b| a + b),
            Arithmetic::Sub => each(|a, b| a - b),
            Arithmetic::Mul if a == zero || b == zero => zero,
            Arithmetic::Mul => each(|a, b| a * b),
            Arithmetic::Div => Interval::ALL,
        };
        rounded(result, 1, result.magnitude())
    };
    (0..graph.tensor(node.output).shape.c).map(of).collect()
}

fn activated(activation: Activation, x: Interval) -> Interval {
    let falls = |low: f64| Interval {
        lo: low,
        hi: x.hi.max(0.0),
    };
    let zero = x.fixed() == Some(0.0);
    match activation {
        Activation::None => x,
        Activation::Relu => x.map(|x| x.max(0.0)),
        Activation::Clip { lo, hi } => x.limited(lo.into(), hi.into()),
        Activation::LeakyRelu { slope } => {
            let below = x.times(slope.into());
            rounded(x.with(below), 1, x.magnitude())
        }
        Activation::HardSwish | Activation::Silu | Activation::Tanh if zero => x,
        Activation::HardSigmoid { .. } | Activation::Sigmoid => Interval { lo: 0.0, hi: 1.0 },
        Activation::Tanh => Interval { lo: -1.0, hi: 1.0 },
        // Both have a least value above -0.4.
        Activation::HardSwish | Activation::Silu => falls(-0.4),
    }
}
