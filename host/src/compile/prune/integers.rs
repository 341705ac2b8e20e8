//! Intervals behind int8 nodes: what the kernels make of the ends of a sum, or
//! of every stored number where an operator is no sum.

use std::collections::HashMap;

use foveola_core::Shape;
use foveola_core::net::arch::Isa;
use foveola_core::net::int8::fixed::apply_once;
use foveola_core::net::int8::make::{self, Spec};
use foveola_core::net::int8::{self, Operand8};
use foveola_core::net::op::{Activation, Geometry, Op};
use foveola_core::net::quant::{Factor, Quantisation};

use super::Bounds;
use super::bounds::input;
use super::interval::Interval;
use super::linear::Linear;
use crate::compile::integers::{Integers, integers};
use crate::graph::{Graph, Node};

/// Intervals behind a node that computes; `None` where nothing is known.
pub fn of_node(graph: &Graph, node: &Node, bounds: &Bounds) -> Option<Vec<Interval>> {
    let x = input(node, bounds, 0);
    match node.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => linear(graph, node, x),
        Op::Activate => {
            let mut table = Table::of(graph, node)?;
            x.iter().map(|&x| table.around(&[0], &[x])).collect()
        }
        Op::Binary(_) => binary(graph, node, bounds),
        Op::Concat { axis } => concat(graph, node, axis, bounds),
        Op::Mean { axes } if !axes[2] => mean(graph, node, x),
        Op::AveragePool { geometry, .. } => Some(average(graph, node, geometry, x)),
        _ => None,
    }
}

/// Least and largest number that a node stores.
fn range(graph: &Graph, node: &Node) -> Option<[i8; 2]> {
    let quant = graph.tensor(node.output).quant?;
    Some(make::range(node.activation, quant.quantisation()))
}

/// Moved numbers behind the node's activation.
pub fn limited(graph: &Graph, node: &Node, moved: Vec<Interval>) -> Vec<Interval> {
    let [low, high] = range(graph, node).unwrap_or([i8::MIN, i8::MAX]);
    let limit = |x: Interval| x.limited(low.into(), high.into());
    moved.into_iter().map(limit).collect()
}

/// Behind a `Quantise`.
pub fn quantised(node: &Node, bounds: &Bounds) -> Option<Vec<Interval>> {
    let Op::Quantise { scale, zero_point } = node.op else {
        return None;
    };
    let to = Quantisation { scale, zero_point };
    let of = |x: Interval| {
        // Outwards, where an end is no f32.
        let (lo, hi) = (x.lo as f32, x.hi as f32);
        let lo = if f64::from(lo) > x.lo {
            lo.next_down()
        } else {
            lo
        };
        let hi = if f64::from(hi) < x.hi {
            hi.next_up()
        } else {
            hi
        };
        Interval::of_stored([to.stored(lo), to.stored(hi)])
    };
    Some(input(node, bounds, 0).iter().map(|&x| of(x)).collect())
}

/// Behind a `Dequantise`.
pub fn real(graph: &Graph, node: &Node, bounds: &Bounds) -> Option<Vec<Interval>> {
    let quant = graph.tensor(node.inputs[0]).quant?.quantisation();
    let of = |x: &Interval| x.map(|q| quant.real(q as i8).into());
    Some(input(node, bounds, 0).iter().map(of).collect())
}

fn linear(graph: &Graph, node: &Node, x: &[Interval]) -> Option<Vec<Interval>> {
    let linear = Linear::of(graph, node)?;
    let zero = f64::from(graph.tensor(node.inputs[0]).quant?.zero_point);
    let stage = Stage::of(graph, node, linear.outputs)?;
    let of = |o| {
        let mut sum = Interval::one(linear.bias(o));
        for i in 0..linear.inputs {
            let x = x[linear.channel(o, i)].map(|q| q - zero);
            let padded = x.with(Interval::one(0.0));
            for tap in 0..linear.taps {
                let x = if linear.is_padded(tap) { padded } else { x };
                let product = x.times(linear.weight(o, tap, i));
                sum = Interval {
                    lo: sum.lo + product.lo,
                    hi: sum.hi + product.hi,
                };
            }
        }
        stage.stored(o, sum)
    };
    Some((0..linear.outputs).map(of).collect())
}

/// How a node brings its sums to int8.
struct Stage {
    numbers: Integers,
    channels: usize,
    zero_point: i64,
    /// Whether sums are rounded once.
    once: bool,
}

impl Stage {
    fn of(graph: &Graph, node: &Node, channels: usize) -> Option<Self> {
        Some(Self {
            numbers: integers(graph, node)?,
            channels,
            zero_point: graph.tensor(node.output).quant?.zero_point.into(),
            once: node.op == Op::Dense,
        })
    }

    /// The factors of a node with weights lie behind its biases and weights.
    fn factor(&self, o: usize) -> Factor {
        let shifts = &self.numbers.bytes[self.numbers.bytes.len() - self.channels..];
        Factor {
            multiplier: self.numbers.words[self.channels + o],
            shift: shifts[o],
        }
    }

    /// Both ends of a sum as stored; rounding never turns their order.
    fn stored(&self, o: usize, sum: Interval) -> Interval {
        let [low, high] = self.numbers.range.map(i64::from);
        let end = |sum: f64| {
            let scaled = scaled(self.factor(o), sum, self.once)?;
            Some((scaled + self.zero_point).clamp(low, high) as f64)
        };
        let ends = end(sum.lo).zip(end(sum.hi));
        ends.map_or(Interval::of_stored(self.numbers.range), |(lo, hi)| {
            Interval { lo, hi }
        })
    }
}

/// A sum times a factor by the kernels' own rounding; `None` where their 32
/// bits would overflow.
fn scaled(factor: Factor, sum: f64, once: bool) -> Option<i64> {
    const MOST: i64 = 1 << 30;
    let wide = (sum.abs() <= MOST as f64).then_some(sum as i64)?;
    let left = u32::try_from(factor.shift).unwrap_or(0);
    let fits = wide.abs().checked_shl(left)? <= MOST;
    let sum = i32::try_from(wide).ok()?;
    let scaled = match once {
        true => apply_once(factor, sum),
        false => factor.apply(sum),
    };
    fits.then_some(scaled.into())
}

fn mean(graph: &Graph, node: &Node, x: &[Interval]) -> Option<Vec<Interval>> {
    let numbers = integers(graph, node)?;
    let &[multiplier, shift] = &numbers.words[..] else {
        return None;
    };
    let factor = Factor {
        multiplier,
        shift: i8::try_from(shift).ok()?,
    };
    let (from, to) = (graph.tensor(node.inputs[0]), graph.tensor(node.output));
    let count = from.shape.area() / to.shape.area();
    let (zero, to_zero) = (from.quant?.zero_point, to.quant?.zero_point);
    let [low, high] = numbers.range.map(f64::from);
    let end = |q: f64| {
        let sum = (q - f64::from(zero)) * count as f64;
        Some(scaled(factor, sum, false)? as f64 + f64::from(to_zero))
    };
    let of = |x: &Interval| {
        Some(
            Interval {
                lo: end(x.lo)?,
                hi: end(x.hi)?,
            }
            .limited(low, high),
        )
    };
    x.iter().map(of).collect()
}

/// Padding that counts is the zero point.
fn average(graph: &Graph, node: &Node, geometry: Geometry, x: &[Interval]) -> Vec<Interval> {
    let zero = graph
        .tensor(node.inputs[0])
        .quant
        .map_or(0, |q| q.zero_point);
    let counts = matches!(
        node.op,
        Op::AveragePool { count_padding: true, pad_end, .. } if geometry.pad != [0; 2] || pad_end != [0; 2]
    );
    let of = |x: &Interval| match counts {
        true => x.with(Interval::one(zero.into())),
        false => *x,
    };
    limited(graph, node, x.iter().map(of).collect())
}

fn binary(graph: &Graph, node: &Node, bounds: &Bounds) -> Option<Vec<Interval>> {
    let mut table = Table::of(graph, node)?;
    let [a, b] = [0, 1].map(|part| input(node, bounds, part));
    let of = |x: &[Interval], c: usize| x[if x.len() == 1 { 0 } else { c }];
    let channels = 0..graph.tensor(node.output).shape.c;
    channels
        .map(|c| table.around(&[0, 1], &[of(a, c), of(b, c)]))
        .collect()
}

fn concat(graph: &Graph, node: &Node, axis: u8, bounds: &Bounds) -> Option<Vec<Interval>> {
    let mut table = Table::of(graph, node)?;
    let parts = 0..node.inputs.len();
    let parts: Option<Vec<Vec<Interval>>> = parts
        .map(|part| {
            let x = input(node, bounds, part);
            x.iter().map(|&x| table.around(&[part], &[x])).collect()
        })
        .collect();
    let mut parts = parts?.into_iter();
    if axis == 2 {
        return Some(parts.flatten().collect());
    }
    let first = parts.next()?;
    let join =
        |a: Vec<Interval>, b: Vec<Interval>| a.iter().zip(b).map(|(a, b)| a.with(b)).collect();
    Some(parts.fold(first, join))
}

/// An element-wise operator, asked about every number of its inputs.
struct Table {
    op: Op,
    activation: Activation,
    unsigned: bool,
    inputs: Vec<Quantisation>,
    output: Quantisation,
    /// What was asked before.
    known: HashMap<(Vec<usize>, Vec<[i32; 2]>), Interval>,
}

impl Table {
    fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let quant = |id| Some(graph.tensor(id).quant?.quantisation());
        let output = graph.tensor(node.output).quant?;
        Some(Self {
            op: node.op,
            activation: node.activation,
            unsigned: output.unsigned,
            inputs: node
                .inputs
                .iter()
                .map(|&id| quant(id))
                .collect::<Option<_>>()?,
            output: output.quantisation(),
            known: HashMap::new(),
        })
    }

    /// Results for all numbers of the inputs named by `parts`, one or two.
    fn around(&mut self, parts: &[usize], x: &[Interval]) -> Option<Interval> {
        let key = (parts.to_vec(), x.iter().map(|x| x.stored()).collect());
        if let Some(&known) = self.known.get(&key) {
            return Some(known);
        }
        let results = self.results(parts, &key.1)?;
        let found = Interval::around(results.into_iter().map(f64::from));
        self.known.insert(key, found);
        Some(found)
    }

    /// The kernel's results: the first input is one column, the second one row.
    fn results(&self, parts: &[usize], ends: &[[i32; 2]]) -> Option<Vec<i8>> {
        let numbers = ends
            .iter()
            .map(|&[lo, hi]| (lo..=hi).map(|q| q as i8).collect());
        let numbers: Vec<Vec<i8>> = numbers.collect();
        let shape = |i: usize| match i {
            0 => Shape::new(numbers[i].len(), 1, 1),
            _ => Shape::new(1, numbers[i].len(), 1),
        };
        let output = Shape::new(numbers[0].len(), numbers.get(1).map_or(1, Vec::len), 1);
        let ports = parts
            .iter()
            .enumerate()
            .map(|(i, &part)| (shape(i), self.inputs[part]));
        let ports: Vec<(Shape, Quantisation)> = ports.collect();
        let spec = Spec {
            op: self.op,
            activation: self.activation,
            inputs: &ports,
            output: (output, self.output),
            unsigned: self.unsigned,
            weights: None,
        };
        let mut bytes = vec![0; int8::bytes_len(self.op, ports[0].0, output)];
        let mut words = vec![0; int8::words_len(self.op, ports.len(), output)];
        let range = make::node(&spec, &mut bytes, &mut words)?;
        let node = make::view(&spec, 0, &bytes, &words, range)?;
        let operands = ports
            .iter()
            .zip(&numbers)
            .map(|(&(shape, quant), data)| Operand8 { shape, data, quant });
        let operands: Vec<Operand8<'_>> = operands.collect();
        let mut out = vec![0; output.len()];
        let isa = Isa::portable();
        int8::forward(&node, &operands, 0, 0, &mut out, &mut [], &mut [], isa).ok()?;
        Some(out)
    }
}
