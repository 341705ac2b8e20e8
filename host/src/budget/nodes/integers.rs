//! Integers: what the loops of `net::int8` repeat. Where boards take ways of
//! their own (plain loops, Arm's DSP extension, Helium), each way is counted
//! under its own name; a board has prices for the one that it takes.

mod back;
mod dsp;
mod helium;
mod scalar;

use std::ops::Range;

use foveola_core::Shape;
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op};
use foveola_core::net::ops::Node;
use foveola_core::net::ops::spans::Axis;

use super::super::counts::{Counts, Kernel};
use super::{Input, plain, rows};

pub use back::{backward, gate, record};

/// The ways through a convolution; a board takes one of them.
pub const WAYS: [&str; 3] = ["scalar", "dsp", "helium"];

/// Elements that are held aside where a node writes over its input.
const HELD: usize = 128;

/// A node on integers, or one that makes or ends them.
#[derive(Clone, Copy)]
pub struct Integral<'a> {
    pub op: Op,
    pub activation: Activation,
    pub input: Shape,
    pub output: Shape,
    /// Weights and shifts; biases and multipliers.
    pub bytes: &'a [i8],
    pub words: &'a [i32],
    /// Least and greatest stored output.
    pub range: [i8; 2],
    pub weights_zero_point: i8,
    /// Whether input and output share scale and zero point.
    pub same: bool,
    /// Rows of the ring through which its input streams.
    pub ring: Option<usize>,
    /// Whether it writes over an input.
    pub over: bool,
    /// Whether the winners of pools are kept.
    pub keeps: bool,
}

impl Integral<'_> {
    /// The output rows of each call.
    fn calls(&self) -> Vec<Range<usize>> {
        match self.ring {
            None => std::iter::once(0..self.output.h).collect(),
            Some(_) => (0..self.output.h).map(|y| y..y + 1).collect(),
        }
    }

    /// Whether outputs are limited to less than all of int8.
    fn is_limited(&self) -> bool {
        self.range != [i8::MIN, i8::MAX]
    }

    /// Bias, multiplier and shift of each output channel.
    fn factors(&self) -> impl Iterator<Item = (i32, i32, i8)> + '_ {
        let (biases, multipliers) = self.words.split_at(self.words.len() / 2);
        let shifts = &self.bytes[self.bytes.len().saturating_sub(biases.len())..];
        let pairs = biases.iter().zip(multipliers).zip(shifts);
        pairs.map(|((bias, multiplier), shift)| (*bias, *multiplier, *shift))
    }
}

/// A convolution's sizes.
struct Sliding {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    pad: [usize; 2],
    input: Shape,
    output: Shape,
    groups: usize,
    /// Channels of one group.
    inputs: usize,
    outputs: usize,
}

impl Sliding {
    fn of(node: &Integral<'_>) -> Option<Self> {
        let (geometry, groups) = match node.op {
            Op::Conv { geometry, groups } => (geometry, usize::from(groups).max(1)),
            Op::Depthwise { geometry } => (geometry, node.input.c),
            Op::Dense => (ONE, 1),
            _ => return None,
        };
        let (mut input, mut output) = (node.input, node.output);
        if node.op == Op::Dense {
            input = Shape::new(1, 1, input.len());
            output = Shape::new(1, 1, output.len());
        }
        let of = |pair: [u16; 2]| pair.map(usize::from);
        Some(Self {
            kernel: of(geometry.kernel),
            stride: of(geometry.stride),
            dilation: of(geometry.dilation),
            pad: of(geometry.pad),
            input,
            output,
            groups,
            inputs: input.c / groups,
            outputs: output.c / groups,
        })
    }

    /// Weights of a filter.
    const fn len(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.inputs
    }

    /// Whether each patch is one pixel of the input.
    fn in_place(&self) -> bool {
        self.kernel == [1; 2]
            && self.pad == [0; 2]
            && self.output.h.saturating_sub(1) * self.stride[0] < self.input.h
            && self.output.w.saturating_sub(1) * self.stride[1] < self.input.w
    }

    /// Whether neighbouring outputs see neighbouring pixels, also from row to row.
    fn is_flat(&self, node: &Integral<'_>) -> bool {
        self.stride == [1; 2]
            && self.input.w == self.output.w
            && node.ring.is_none_or(|rows| rows == self.input.h)
    }

    /// Taps that lie inside at output position `o` of an axis.
    fn inside(&self, axis: usize, o: usize) -> usize {
        let size = [self.input.h, self.input.w][axis];
        let at = |k: usize| {
            (o * self.stride[axis] + k * self.dilation[axis])
                .checked_sub(self.pad[axis])
                .filter(|at| *at < size)
        };
        (0..self.kernel[axis]).filter(|k| at(*k).is_some()).count()
    }

    /// Taps inside of all positions of an axis.
    fn all_inside(&self, axis: usize, range: Range<usize>) -> usize {
        range.map(|o| self.inside(axis, o)).sum()
    }
}

/// Where a window that is `all` positions wide, from position `first` of the
/// padded input on, lies: positions before the input, and inside.
fn columns(first: usize, all: usize, pad: usize, size: usize) -> [usize; 2] {
    let before = pad.saturating_sub(first).min(all);
    let start = (first + before).saturating_sub(pad).min(size);
    [before, (size - start).min(all - before)]
}

/// A window of one pixel.
const ONE: Geometry = Geometry {
    kernel: [1; 2],
    stride: [1; 2],
    dilation: [1; 2],
    pad: [0; 2],
};

/// One integer node forward; a `Concat` for the input that `node.input` is.
pub fn forward(counts: &mut Counts, node: &Integral<'_>, inputs: &[Input<'_>]) {
    match node.op {
        Op::Conv { .. } | Op::Dense => {
            if let Some(sliding) = Sliding::of(node) {
                by_way(counts, |way, own| convolution(way, own, node, &sliding));
            }
        }
        Op::Depthwise { .. } => {
            if let Some(sliding) = Sliding::of(node) {
                by_way(counts, |way, own| depthwise(way, own, node, &sliding));
            }
        }
        Op::Binary(Arithmetic::Add | Arithmetic::Sub)
            if inputs.iter().all(|input| input.shape == node.output) =>
        {
            by_way(counts, |way, own| sum(way, own, node));
        }
        Op::Quantise { .. } => quantise(counts, node, inputs),
        Op::Dequantise => elements(counts, "dequantise", node),
        Op::MaxPool(geometry) | Op::AveragePool { geometry, .. } => pool(counts, node, geometry),
        _ => others(counts, node, inputs),
    }
}

/// Counts each way under its own name.
fn by_way(counts: &mut Counts, mut count: impl FnMut(&str, &mut Counts)) {
    for way in WAYS {
        let mut own = Counts::default();
        count(way, &mut own);
        counts.merge_as(way, &own);
    }
}

fn convolution(way: &str, counts: &mut Counts, node: &Integral<'_>, sliding: &Sliding) {
    if way == "helium" && helium::takes(node, sliding) {
        helium::convolution(counts, node, sliding);
    } else if way != "scalar" && dsp::takes(node, sliding) {
        dsp::convolution(counts, node, sliding);
    } else {
        scalar::convolution(counts, node, sliding);
    }
    // Asking whether the short ways do looks at every channel.
    if way != "scalar" && node.op != Op::Dense {
        let calls = node.calls().len();
        counts.add("ask8.channel", (calls * node.output.c) as f64);
    }
}

fn depthwise(way: &str, counts: &mut Counts, node: &Integral<'_>, sliding: &Sliding) {
    if way == "helium" && helium::takes_depthwise(node, sliding) {
        helium::depthwise(counts, node, sliding);
    } else if way != "scalar" && dsp::takes_depthwise(node, sliding) {
        dsp::depthwise(counts, node, sliding);
    } else {
        scalar::depthwise(counts, node, sliding);
    }
    if way != "scalar" {
        let calls = node.calls().len();
        counts.add("ask8.depthwise", calls as f64);
        counts.add("ask8.channel", (calls * node.output.c) as f64);
    }
}

/// A sum of two tensors of one shape: as many elements at once as its way takes.
fn sum(way: &str, counts: &mut Counts, node: &Integral<'_>) {
    let Some(factors) = factors(node) else {
        return;
    };
    let short = node.op == Op::Binary(Arithmetic::Add)
        && match way {
            "helium" => helium::takes_sum(&factors),
            "dsp" => dsp::takes_sum(&factors),
            _ => false,
        };
    let each = match (short, way) {
        (true, "helium") => 4,
        (true, _) => 2,
        _ => 1,
    };
    let name = if short { "sum8" } else { "sum8_plain" };
    let mut k = Kernel::new(counts, name);
    let calls = node.ring.map_or(1, |_| node.output.h);
    let len = node.output.len() / calls.max(1);
    let (size, over) = if node.over {
        (HELD, "held")
    } else {
        (len, "whole")
    };
    for block in blocks(len, size) {
        k.n(over, calls);
        k.n("turn", calls * block.div_ceil(each));
        k.n("odd", calls * (block % each));
        k.n("held.element", usize::from(node.over) * calls * block);
        if node.is_limited() && short {
            k.each("limit", calls, block);
            k.n("limit.word", calls * (block / 4));
        }
    }
}

/// Sizes of the pieces of `len` that are `size` long.
fn blocks(len: usize, size: usize) -> impl Iterator<Item = usize> {
    let size = size.max(1);
    (0..len).step_by(size).map(move |from| size.min(len - from))
}

/// The factors of a sum: of both inputs, of the result.
fn factors(node: &Integral<'_>) -> Option<[(i32, i8); 3]> {
    let (pairs, _) = node.words.as_chunks::<2>();
    let [a, b, sum] = *pairs.first_chunk::<3>()?;
    Some([a, b, sum].map(|[multiplier, shift]| (multiplier, shift as i8)))
}

fn quantise(counts: &mut Counts, node: &Integral<'_>, inputs: &[Input<'_>]) {
    elements(counts, "quantise", node);
    let zeros = inputs.iter().flat_map(|input| input.values);
    let zeros = zeros.filter(|v| **v == 0.0).count();
    Kernel::new(counts, "quantise").n("soft.zero", zeros);
}

/// A conversion, whole or row by row.
fn elements(counts: &mut Counts, name: &str, node: &Integral<'_>) {
    let calls = node.ring.map_or(1, |_| node.output.h);
    let mut k = Kernel::new(counts, name);
    k.each("element", calls, node.output.len() / calls.max(1));
}

/// Pixels that become integers by a look into tables, and the tables.
pub fn look_up(counts: &mut Counts, node: &Integral<'_>, tables: usize) {
    let mut k = Kernel::new(counts, format!("look{tables}"));
    k.n("table", tables);
    k.each("element", node.output.h, node.output.row());
}

fn pool(counts: &mut Counts, node: &Integral<'_>, geometry: Geometry) {
    let average = matches!(node.op, Op::AveragePool { .. });
    let name = match (average, node.keeps) {
        (true, _) => "average8",
        (_, true) => "max8_kept",
        _ => "max8",
    };
    let mut k = Kernel::new(counts, name);
    let (input, output) = (node.input, node.output);
    let cols = Axis::forward(geometry, 1, input.w, 0, output.w);
    for call in node.calls() {
        let rows = Axis::forward(geometry, 0, input.h, call.start, call.len());
        let pixels = call.len() * output.w;
        if average {
            for channels in blocks(output.c, 32) {
                plain::windows(&mut k, [&rows, &cols], channels);
            }
            k.each("divide", pixels, output.c);
            continue;
        }
        plain::windows(&mut k, [&rows, &cols], output.c);
        if node.is_limited() {
            k.each("limit", 1, pixels * output.c);
        }
    }
}

/// Operators whose loops are those of f32, under names of their own.
fn others(counts: &mut Counts, node: &Integral<'_>, inputs: &[Input<'_>]) {
    let activation = match node.op {
        // A table costs the same for every function.
        Op::Activate => Activation::None,
        _ if node.is_limited() => Activation::Relu,
        _ => Activation::None,
    };
    let real = Node {
        op: node.op,
        activation,
        input: node.input,
        output: node.output,
        weights: &[],
        bias: &[],
    };
    let without_values = |input: &Input<'_>| Input {
        shape: input.shape,
        values: &[],
    };
    let inputs: Vec<Input<'_>> = inputs.iter().map(without_values).collect();
    let mut own = Counts::default();
    match node.ring {
        Some(_) => rows(&mut own, &real, &inputs),
        None => plain::forward(&mut own, &real, &inputs, node.keeps),
    }
    if let Op::Concat { .. } = node.op {
        let scaled = if node.same { "moved" } else { "scaled" };
        own.add(format!("concat.{scaled}"), node.input.len() as f64);
    }
    if node.over {
        let len = node.output.len();
        own.add("held.block", len.div_ceil(HELD) as f64);
        own.add("held.element", len as f64);
    }
    let name = if node.over { "over8" } else { "int8" };
    counts.merge_as(name, &own);
}
