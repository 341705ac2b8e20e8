//! What each node of a network repeats, forward and backward: the loops of
//! `net::ops`, counted.

pub mod integers;
mod plain;
mod sliding;

use foveola_core::Rule;
use foveola_core::Shape;
use foveola_core::net::op::{Activation, Geometry, Op};
use foveola_core::net::ops::Node;
use foveola_core::net::ops::spans::Axis;

use super::counts::{Counts, Kernel};
use sliding::{Conv, Source};

/// An input of a node with its values.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    pub shape: Shape,
    pub values: &'a [f32],
}

/// How a node runs.
#[derive(Clone, Copy, Default)]
pub struct Way {
    /// Whether the winners of pools are kept.
    pub keeps: bool,
    /// Rows of the ring through which its input streams.
    pub ring: Option<usize>,
}

/// A word for an activation, and for the rule by which it passes gradients.
pub fn word(activation: Activation) -> &'static str {
    match activation {
        Activation::None => "none",
        Activation::Relu => "relu",
        Activation::Clip { .. } => "clip",
        Activation::LeakyRelu { .. } => "leaky",
        Activation::HardSigmoid { .. } => "hard-sigmoid",
        Activation::HardSwish => "hard-swish",
        Activation::Sigmoid => "sigmoid",
        Activation::Silu => "silu",
        Activation::Tanh => "tanh",
    }
}

const fn rule_word(rule: Rule) -> &'static str {
    match rule {
        Rule::Gradient => "gradient",
        Rule::Deconvolution => "deconvolution",
        Rule::Guided => "guided",
    }
}

/// Pixels, input and output channels (of one group) and groups, where every
/// output pixel reads its own input pixel.
fn pointwise(node: &Node<'_>) -> Option<[usize; 4]> {
    let (input, output) = (node.input, node.output);
    match node.op {
        Op::Dense => Some([1, input.len(), output.len(), 1]),
        Op::Conv { geometry, groups }
            if geometry.kernel == [1, 1]
                && geometry.stride == [1, 1]
                && geometry.pad == [0, 0]
                && (input.h, input.w) == (output.h, output.w) =>
        {
            let groups = usize::from(groups).max(1);
            Some([input.area(), input.c / groups, output.c / groups, groups])
        }
        _ => None,
    }
}

fn axes(g: Geometry, input: Shape, output: Shape) -> [Axis; 2] {
    [
        Axis::forward(g, 0, input.h, 0, output.h),
        Axis::forward(g, 1, input.w, 0, output.w),
    ]
}

/// One node forward; `part` is the input that a `Concat` is about.
pub fn forward(counts: &mut Counts, node: &Node<'_>, inputs: &[Input<'_>], way: Way) {
    let Some(first) = inputs.first() else {
        return;
    };
    match node.op {
        Op::Conv { geometry, groups } if pointwise(node).is_none() || way.ring.is_some() => {
            conv(
                counts,
                node,
                geometry,
                usize::from(groups).max(1),
                (first, way),
            );
        }
        Op::Conv { .. } | Op::Dense => matrix(counts, node, first),
        Op::Depthwise { geometry } => dw(counts, node, geometry, (first, way)),
        Op::MaxPool(geometry) | Op::AveragePool { geometry, .. } if way.ring.is_some() => {
            plain::pool_rows(counts, node, geometry, way.keeps);
        }
        _ if way.ring.is_some() => rows(counts, node, inputs),
        _ => plain::forward(counts, node, inputs, way.keeps),
    }
}

/// An operator whose rows depend on the same rows of its inputs, row by row.
fn rows(counts: &mut Counts, node: &Node<'_>, inputs: &[Input<'_>]) {
    let shape = Shape {
        h: 1,
        ..node.output
    };
    let one = Node {
        input: shape,
        output: shape,
        ..*node
    };
    for y in 0..node.output.h {
        let row = |input: &Input<'_>| -> Vec<f32> {
            let row = input.shape.row();
            let values = input.values.get(y * row..(y + 1) * row);
            values.unwrap_or_default().to_vec()
        };
        let values: Vec<Vec<f32>> = inputs.iter().map(row).collect();
        let inputs = values.iter().map(|values| Input { shape, values });
        plain::forward(counts, &one, &inputs.collect::<Vec<_>>(), false);
    }
}

fn conv(
    counts: &mut Counts,
    node: &Node<'_>,
    geometry: Geometry,
    groups: usize,
    (first, way): (&Input<'_>, Way),
) {
    let (input, output) = (node.input, node.output);
    let mut k = Kernel::new(counts, "conv");
    let conv = Conv {
        groups,
        inputs: input.c / groups,
        outputs: output.c / groups,
        modulo: way.ring.unwrap_or(input.h),
        activation: word(node.activation),
    };
    let [rows, cols] = axes(geometry, input, output);
    match way.ring {
        None => conv.run(&mut k, &rows, &cols),
        Some(_) => {
            for y in 0..output.h {
                let rows = Axis::forward(geometry, 0, input.h, y, 1);
                conv.run(&mut k, &rows, &cols);
            }
            k.n("streamed", output.h);
        }
    }
    let sizes = [input.h, input.w, input.c];
    conv.products(&mut k, &Source::new(first.values, sizes, [&rows, &cols]));
}

fn matrix(counts: &mut Counts, node: &Node<'_>, first: &Input<'_>) {
    let Some([pixels, inputs, outputs, groups]) = pointwise(node) else {
        return;
    };
    let mut k = Kernel::new(counts, "pointwise");
    let conv = Conv {
        groups,
        inputs,
        outputs,
        modulo: 1,
        activation: word(node.activation),
    };
    let (rows, cols) = (Axis::pointwise(1), Axis::pointwise(pixels));
    conv.run(&mut k, &rows, &cols);
    let sizes = [1, pixels, inputs * groups];
    conv.products(&mut k, &Source::new(first.values, sizes, [&rows, &cols]));
}

fn dw(counts: &mut Counts, node: &Node<'_>, geometry: Geometry, (first, way): (&Input<'_>, Way)) {
    let (input, output) = (node.input, node.output);
    let mut k = Kernel::new(counts, "depthwise");
    let finish = word(node.activation);
    let [rows, cols] = axes(geometry, input, output);
    match way.ring {
        None => sliding::depthwise(&mut k, input.c, [&rows, &cols], finish),
        Some(_) => {
            for y in 0..output.h {
                let rows = Axis::forward(geometry, 0, input.h, y, 1);
                sliding::depthwise(&mut k, input.c, [&rows, &cols], finish);
            }
            k.n("streamed", output.h);
        }
    }
    let sizes = [input.h, input.w, input.c];
    let source = Source::new(first.values, sizes, [&rows, &cols]);
    sliding::depthwise_products(&mut k, &source);
}

/// What keeping the gates of a node's ReLU repeats, all at once or row by row.
/// Rows that do not begin with a byte are kept bit by bit.
pub fn record(counts: &mut Counts, node: &Node<'_>, rule: Rule, by_rows: bool) {
    let name = format!("{}.{}", word(node.activation), rule_word(rule));
    let mut k = Kernel::new(counts, "record");
    let output = node.output;
    if !by_rows {
        k.bits(&name, output.len());
        return;
    }
    for y in 0..output.h {
        k.n("row", 1);
        if (y * output.row()).is_multiple_of(8) {
            k.bits(&name, output.row());
        } else {
            k.n(&format!("{name}.bit"), output.row());
        }
    }
}

/// What a node's ReLU repeats on the way back, all at once or row by row.
pub fn gate(counts: &mut Counts, node: &Node<'_>, rule: Rule, by_rows: bool) {
    let (word, rule) = (word(node.activation), rule_word(rule));
    let mut k = Kernel::new(counts, "gate");
    let calls = if by_rows { node.output.h } else { 1 };
    for _ in 0..calls {
        k.bits(&format!("{word}.{rule}"), node.output.len() / calls.max(1));
    }
}

/// One node backward: the gradient of input `part`, from that of the output,
/// all at once or row by row.
pub fn backward(
    counts: &mut Counts,
    node: &Node<'_>,
    (part, by_rows): (usize, bool),
    inputs: &[Input<'_>],
    (gradient, rule): (&[f32], Rule),
) {
    let (input, output) = (node.input, node.output);
    match node.op {
        Op::Conv { .. } | Op::Dense => conv_back(counts, node, by_rows, gradient),
        Op::Depthwise { geometry } => {
            let mut k = Kernel::new(counts, "depthwise_back");
            let rows = Axis::backward(geometry, 0, output.h, input.h);
            let cols = Axis::backward(geometry, 1, output.w, input.w);
            for rows in row_axes(rows, input.h, by_rows) {
                sliding::depthwise(&mut k, input.c, [&rows, &cols], "add");
                let sizes = [output.h, output.w, output.c];
                let source = Source::new(gradient, sizes, [&rows, &cols]);
                sliding::depthwise_products(&mut k, &source);
            }
        }
        _ if by_rows => by_row(counts, node, part, inputs, (gradient, rule)),
        _ => plain::backward(counts, node, part, inputs, (gradient, rule)),
    }
}

/// An operator whose rows depend on the same rows of its inputs, row by row.
fn by_row(
    counts: &mut Counts,
    node: &Node<'_>,
    part: usize,
    inputs: &[Input<'_>],
    (gradient, rule): (&[f32], Rule),
) {
    let row_of = |shape: Shape| Shape { h: 1, ..shape };
    let one = Node {
        input: row_of(node.input),
        output: row_of(node.output),
        ..*node
    };
    let shapes = inputs.iter().map(|input| Input {
        shape: row_of(input.shape),
        values: &[],
    });
    let inputs: Vec<Input<'_>> = shapes.collect();
    for row in gradient.chunks(node.output.row().max(1)) {
        plain::backward(counts, &one, part, &inputs, (row, rule));
    }
}

/// The target rows of each call.
fn row_axes(rows: Axis, height: usize, by_rows: bool) -> Vec<Axis> {
    match by_rows {
        true => (0..height).map(|y| rows.only(y)).collect(),
        false => vec![rows],
    }
}

/// What the gradient of a convolution's input is made of.
struct Gradient {
    groups: usize,
    /// Channels of one group.
    inputs: usize,
    outputs: usize,
    /// Sizes of the output's gradient, or of the part that a call reads.
    sizes: [usize; 3],
    /// The target rows of each call.
    calls: Vec<Axis>,
    cols: Axis,
    /// Whether each call reads a part of its own.
    apart: bool,
}

impl Gradient {
    fn of(node: &Node<'_>, by_rows: bool) -> Option<Self> {
        let (input, output) = (node.input, node.output);
        if let Some([pixels, inputs, outputs, groups]) = pointwise(node) {
            let height = if by_rows { input.h.max(1) } else { 1 };
            return Some(Self {
                groups,
                inputs,
                outputs,
                sizes: [1, pixels / height, outputs * groups],
                calls: vec![Axis::pointwise(1); height],
                cols: Axis::pointwise(pixels / height),
                apart: true,
            });
        }
        let Op::Conv { geometry, groups } = node.op else {
            return None;
        };
        let groups = usize::from(groups).max(1);
        let rows = Axis::backward(geometry, 0, output.h, input.h);
        Some(Self {
            groups,
            inputs: input.c / groups,
            outputs: output.c / groups,
            sizes: [output.h, output.w, output.c],
            calls: row_axes(rows, input.h, by_rows),
            cols: Axis::backward(geometry, 1, output.w, input.w),
            apart: false,
        })
    }

    /// Each call's target rows and what it reads.
    fn each<'a>(&'a self, gradient: &'a [f32]) -> impl Iterator<Item = (&'a Axis, Source<'a>)> {
        let len = self.sizes.iter().product::<usize>();
        self.calls.iter().enumerate().map(move |(i, rows)| {
            let first = if self.apart { i * len } else { 0 };
            let own = gradient.get(first..).unwrap_or_default();
            (rows, Source::new(own, self.sizes, [rows, &self.cols]))
        })
    }
}

fn conv_back(counts: &mut Counts, node: &Node<'_>, by_rows: bool, gradient: &[f32]) {
    let mut k = Kernel::new(counts, "conv_back");
    let Some(way) = Gradient::of(node, by_rows) else {
        return;
    };
    let (groups, inputs, outputs) = (way.groups, way.inputs, way.outputs);
    let conv = Conv {
        groups,
        inputs,
        outputs,
        modulo: usize::MAX,
        activation: "add",
    };
    for (rows, source) in way.each(gradient) {
        sliding::in_place(&mut k, &conv, [rows, &way.cols], &source);
    }
}
