//! Operators without a sliding sum of products.

use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op};
use foveola_core::net::ops::Node;
use foveola_core::net::ops::spans::Axis;
use foveola_core::{Rule, Shape};

use super::super::counts::{Counts, Kernel};
use super::{Input, axes, rule_word, word};

/// A word for the arithmetic of an operator.
fn kind(node: &Node<'_>) -> &'static str {
    match node.op {
        Op::Activate => word(node.activation),
        Op::Binary(_) | Op::PRelu => arithmetic(node.op),
        Op::MaxPool(_) => "max",
        Op::AveragePool { .. } => "average",
        Op::Mean { .. } => "mean",
        Op::Affine => "affine",
        Op::Lrn { .. } => "lrn",
        Op::Softmax => "softmax",
        _ => "other",
    }
}

/// Zeros: without floating point in hardware they take fewer instructions.
fn zeros(counts: &mut Counts, name: String, values: &[f32]) {
    let zeros = values.iter().filter(|v| **v == 0.0).count();
    Kernel::new(counts, name).n("soft.zero", zeros);
}

/// One node forward.
pub fn forward(counts: &mut Counts, node: &Node<'_>, inputs: &[Input<'_>], keeps: bool) {
    let (input, output) = (node.input, node.output);
    for (i, input) in inputs.iter().enumerate() {
        zeros(counts, format!("{}.{i}", kind(node)), input.values);
    }
    match node.op {
        Op::Activate => {
            let mut k = Kernel::new(counts, "activate");
            k.each(word(node.activation), 1, output.len());
            exponentials(&mut k, node.activation, first(inputs));
            return;
        }
        Op::Concat { axis } => {
            concat(&mut Kernel::new(counts, "concat"), axis, node);
            return;
        }
        Op::PRelu | Op::Binary(_) => binary(counts, node, inputs, keeps),
        Op::Affine => Kernel::new(counts, "affine").each("pixel", input.area(), input.c),
        Op::Slice { step, .. } => {
            let name = if step[2] > 1 { "slice_step" } else { "slice" };
            Kernel::new(counts, name).each("pixel", output.area(), output.c);
        }
        Op::Shuffle { groups } => shuffle(&mut Kernel::new(counts, "shuffle"), groups, input),
        Op::Pad { before, .. } => pad(&mut Kernel::new(counts, "pad"), node, before),
        Op::MaxPool(geometry) => {
            let name = if keeps { "max_kept" } else { "max" };
            pool(&mut Kernel::new(counts, name), geometry, input, output);
        }
        Op::AveragePool { geometry, .. } => {
            let mut k = Kernel::new(counts, "average");
            pool(&mut k, geometry, input, output);
            k.each("divide", output.area(), output.c);
        }
        Op::Mean { axes } => mean(&mut Kernel::new(counts, "mean"), axes, input, output),
        Op::GlobalMaxPool => {
            let name = if keeps {
                "global_max_kept"
            } else {
                "global_max"
            };
            Kernel::new(counts, name).each("pixel", input.area(), input.c);
        }
        Op::Lrn { size, beta, .. } => {
            let name = if beta == 0.75 { "lrn" } else { "lrn_power" };
            let mut k = Kernel::new(counts, name);
            lrn(&mut k, usize::from(size), input);
            powers(&mut k, input.len(), node.op, (input, first(inputs)));
        }
        Op::Softmax => {
            let mut k = Kernel::new(counts, "softmax");
            k.each("pixel", input.area(), input.c);
            for pixel in first(inputs).chunks_exact(input.c.max(1)) {
                let max = pixel.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                bins(&mut k, &EXP, pixel.iter().map(|x| x - max));
            }
        }
        _ => {}
    }
    Kernel::new(counts, "settle").each(word(node.activation), 1, output.len());
}

fn first<'a>(inputs: &[Input<'a>]) -> &'a [f32] {
    inputs.first().map_or(&[], |input| input.values)
}

/// Where `libm::expf` takes another way: by itself 1, without reduction, by
/// one power of 2, by more.
const EXP: [f32; 3] = [1.220_703_1e-4, 0.346_573_6, 1.039_720_8];

/// Where `libm::tanhf` and the `expm1f` in it do.
const TANH: [f32; 5] = [
    1.175_494_4e-38,
    0.173_286_8,
    0.255_412_8,
    0.519_860_4,
    0.549_306_1,
];

/// How many values lie between neighbouring limits.
fn bins(k: &mut Kernel<'_>, limits: &[f32], values: impl Iterator<Item = f32>) {
    for value in values {
        let bin = limits.iter().filter(|limit| value.abs() > **limit).count();
        k.n(&format!("bin{bin}"), 1);
    }
}

/// The ways that exponentials take.
fn exponentials(k: &mut Kernel<'_>, activation: Activation, values: &[f32]) {
    let values = values.iter().copied();
    match activation {
        Activation::Sigmoid | Activation::Silu => bins(k, &EXP, values),
        Activation::Tanh => bins(k, &TANH, values),
        _ => {}
    }
}

/// The ways that `libm::powf` takes for `all` powers of an LRN: none for 1, a
/// longer one where the exponent to base 2 is over a half.
fn powers(k: &mut Kernel<'_>, all: usize, op: Op, (input, values): (Shape, &[f32])) {
    let Op::Lrn {
        size,
        alpha,
        beta,
        bias,
    } = op
    else {
        return;
    };
    let before = usize::from(size.saturating_sub(1)) / 2;
    let (mut one, mut far) = (0, 0);
    for pixel in values.chunks_exact(input.c.max(1)) {
        for c in 0..pixel.len() {
            let from = c.saturating_sub(before);
            let to = (c + usize::from(size) - before).min(pixel.len());
            let sum: f32 = pixel[from..to].iter().map(|x| x * x).sum();
            let d = bias + alpha / f32::from(size) * sum;
            one += usize::from(d == 1.0);
            far += usize::from((beta * d.log2()).abs() > 0.5);
        }
    }
    let share = |n: usize| all as f64 * n as f64 / values.len().max(1) as f64;
    k.add("power", share(values.len() - one));
    k.add("far", share(far));
}

fn arithmetic(op: Op) -> &'static str {
    match op {
        Op::Binary(Arithmetic::Add) => "add",
        Op::Binary(Arithmetic::Sub) => "sub",
        Op::Binary(Arithmetic::Mul) => "mul",
        Op::Binary(Arithmetic::Div) => "div",
        _ => "prelu",
    }
}

fn binary(counts: &mut Counts, node: &Node<'_>, inputs: &[Input<'_>], keeps: bool) {
    let [a, b] = inputs else {
        return;
    };
    let mut k = Kernel::new(counts, arithmetic(node.op));
    if matches!(node.op, Op::PRelu) && keeps {
        k.bits("record", a.shape.len());
    }
    let output = node.output;
    if a.shape == output && b.shape == output {
        k.each("flat", 1, output.len());
        return;
    }
    let kind = match (a.shape.c, b.shape.c) {
        (1, _) => "first",
        (_, 1) => "second",
        _ => "both",
    };
    k.each(kind, output.area(), output.c);
}

fn concat(k: &mut Kernel<'_>, axis: u8, node: &Node<'_>) {
    let input = node.input;
    let (runs, run) = match axis {
        0 => (1, input.len()),
        1 => (input.h, input.row()),
        _ => (input.area(), input.c),
    };
    k.n("part", 1);
    k.each("run", runs, run);
    k.each(word(node.activation), runs, run);
}

fn shuffle(k: &mut Kernel<'_>, groups: u16, input: Shape) {
    let groups = usize::from(groups).max(1);
    k.n("pixel", input.area());
    k.each("group", input.area() * groups, input.c / groups);
}

fn pad(k: &mut Kernel<'_>, node: &Node<'_>, before: [u16; 3]) {
    let (input, output) = (node.input, node.output);
    let [top, left, _] = before.map(usize::from);
    let constant = matches!(
        node.op,
        Op::Pad {
            mode: foveola_core::net::op::PadMode::Constant(_),
            ..
        }
    );
    let inside =
        |i: usize, before: usize, size: usize| !constant || (i >= before && i < before + size);
    let rows = (0..output.h).filter(|y| inside(*y, top, input.h)).count();
    let cols = (0..output.w).filter(|x| inside(*x, left, input.w)).count();
    let shown = rows * cols;
    k.n("call", 1);
    if input.c == output.c {
        k.each("copy", shown, output.c);
        k.each("fill", output.area() - shown, output.c);
    } else {
        k.each("some", shown, output.c);
        k.each("fill", output.area() - shown, output.c);
    }
}

/// The windows of a pool, tap by tap.
fn pool(k: &mut Kernel<'_>, geometry: Geometry, input: Shape, output: Shape) {
    let [rows, cols] = axes(geometry, input, output);
    windows(k, [&rows, &cols], output.c);
}

/// A pool, row by row.
pub fn pool_rows(counts: &mut Counts, node: &Node<'_>, geometry: Geometry, keeps: bool) {
    let (input, output) = (node.input, node.output);
    let name = match (node.op, keeps) {
        (Op::AveragePool { .. }, _) => "average",
        (_, true) => "max_kept",
        _ => "max",
    };
    let cols = Axis::forward(geometry, 1, input.w, 0, output.w);
    for y in 0..output.h {
        let rows = Axis::forward(geometry, 0, input.h, y, 1);
        let mut k = Kernel::new(counts, name);
        windows(&mut k, [&rows, &cols], output.c);
        if name == "average" {
            k.each("divide", output.w, output.c);
        }
        Kernel::new(counts, "settle").each(word(node.activation), 1, output.row());
    }
}

/// The windows of so many channels.
pub fn windows(k: &mut Kernel<'_>, [rows, cols]: [&Axis; 2], channels: usize) {
    k.n("call", 1);
    for rows in rows.spans() {
        k.n("row_span", 1);
        for cols in cols.spans() {
            let pixels = rows.count * cols.count;
            k.n("region", 1);
            k.n("pixel", pixels);
            k.n("line", pixels * rows.taps);
            k.each("tap", pixels * rows.taps * cols.taps, channels);
        }
    }
}

fn mean(k: &mut Kernel<'_>, [_, _, over_c]: [bool; 3], input: Shape, output: Shape) {
    let kind = if over_c { "channels" } else { "pixel" };
    k.each(kind, input.area(), input.c);
    k.each("divide", 1, output.len());
}

fn lrn(k: &mut Kernel<'_>, size: usize, input: Shape) {
    let around = size.saturating_sub(1);
    let (before, after) = (around / 2, around - around / 2);
    let window = |c: usize| (c + after + 1).min(input.c) - c.saturating_sub(before);
    let terms: usize = (0..input.c).map(window).sum();
    k.n("pixel", input.area());
    k.n("element", input.len());
    k.n("term", input.area() * terms);
}

/// One node backward.
pub fn backward(
    counts: &mut Counts,
    node: &Node<'_>,
    part: usize,
    inputs: &[Input<'_>],
    (gradient, rule): (&[f32], Rule),
) {
    let (input, output) = (node.input, node.output);
    zeros(counts, format!("{}.back{part}", kind(node)), gradient);
    match node.op {
        Op::PRelu | Op::Binary(_) => binary_back(counts, node, part, inputs, rule),
        Op::Activate => {
            let name = word(match node.activation {
                Activation::Relu | Activation::Clip { .. } | Activation::LeakyRelu { .. } => {
                    Activation::None
                }
                other => other,
            });
            let mut k = Kernel::new(counts, "activate_back");
            k.each(name, 1, output.len());
            if matches!(node.activation, Activation::Silu) {
                exponentials(&mut k, node.activation, first(inputs));
            }
        }
        Op::Concat { axis } => concat(
            &mut Kernel::new(counts, "concat_back"),
            axis,
            &Node {
                activation: Activation::None,
                ..*node
            },
        ),
        Op::Affine => Kernel::new(counts, "affine_back").each("pixel", input.area(), input.c),
        Op::Slice { step, .. } => {
            let name = if step[2] > 1 {
                "slice_step_back"
            } else {
                "slice_back"
            };
            Kernel::new(counts, name).each("pixel", output.area(), output.c);
        }
        Op::Shuffle { groups } => shuffle(&mut Kernel::new(counts, "shuffle_back"), groups, input),
        Op::Pad { before, .. } => pad(&mut Kernel::new(counts, "pad_back"), node, before),
        Op::MaxPool(geometry) => {
            pool(
                &mut Kernel::new(counts, "max_back"),
                geometry,
                input,
                output,
            );
        }
        Op::AveragePool { geometry, .. } => {
            pool(
                &mut Kernel::new(counts, "average_back"),
                geometry,
                input,
                output,
            );
        }
        Op::Mean { axes } => {
            let kind = if axes[2] { "channels" } else { "pixel" };
            Kernel::new(counts, "mean_back").each(kind, input.area(), input.c);
        }
        Op::GlobalMaxPool => Kernel::new(counts, "global_max_back").each("channel", 1, input.c),
        Op::Lrn { size, beta, .. } => {
            let name = if beta == 0.75 {
                "lrn_back"
            } else {
                "lrn_power_back"
            };
            let mut k = Kernel::new(counts, name);
            let all = lrn_back(&mut k, usize::from(size), input);
            powers(&mut k, all, node.op, (input, first(inputs)));
        }
        Op::Softmax => Kernel::new(counts, "softmax_back").each("pixel", input.area(), input.c),
        _ => {}
    }
}

fn binary_back(
    counts: &mut Counts,
    node: &Node<'_>,
    part: usize,
    inputs: &[Input<'_>],
    rule: Rule,
) {
    let output = node.output;
    let mut name = format!("{}_back{part}", arithmetic(node.op));
    if matches!(node.op, Op::PRelu) {
        name += rule_word(rule);
    }
    let mut k = Kernel::new(counts, name);
    let read = |i: usize| {
        let reads = match (node.op, part) {
            (Op::Binary(Arithmetic::Div), 1) => true,
            (Op::Binary(Arithmetic::Mul | Arithmetic::Div) | Op::PRelu, part) => part != i,
            _ => false,
        };
        let shape = inputs.get(i).map(|input| input.shape);
        shape.filter(|_| reads).unwrap_or(output)
    };
    if matches!(node.op, Op::PRelu) {
        k.n("open", first(inputs).iter().filter(|x| **x > 0.0).count());
    }
    let shapes = [read(0), read(1), node.input];
    if shapes.iter().all(|shape| *shape == output) {
        k.each("flat", 1, output.len());
    } else if shapes.iter().all(|shape| shape.c == output.c) {
        k.each("same", output.area(), output.c);
    } else {
        k.each("mixed", output.area(), output.c);
    }
}

/// Without scratch every share is computed where it is summed.
fn lrn_back(k: &mut Kernel<'_>, size: usize, input: Shape) -> usize {
    let around = size.saturating_sub(1);
    let (before, after) = (around / 2, around - around / 2);
    let of = |c: usize, before: usize, after: usize| {
        (c.saturating_sub(before), (c + after + 1).min(input.c))
    };
    let window = |c: usize| {
        let (first, end) = of(c, before, after);
        end - first
    };
    let (mut shares, mut terms) = (0, 0);
    for c in 0..input.c {
        let (first, end) = of(c, after, before);
        shares += end - first;
        terms += window(c) + (first..end).map(window).sum::<usize>();
    }
    k.n("pixel", input.area());
    k.n("element", input.len());
    k.n("share", input.area() * shares);
    k.n("term", input.area() * terms);
    input.len() + input.area() * shares
}
