//! What each node of a network repeats, forward and backward: the loops of
//! `net::ops`, counted.

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
        let row = |input: &Input<'_>| -> Option<Vec<f32>> {
            let row = input.shape.row();
            Some(input.values.get(y * row..(y + 1) * row)?.to_vec())
        };
        let values: Vec<Vec<f32>> = inputs.iter().filter_map(row).collect();
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

/// What a node's ReLU repeats on the way back.
pub fn gate(counts: &mut Counts, node: &Node<'_>, rule: Rule) {
    let (word, rule) = (word(node.activation), rule_word(rule));
    Kernel::new(counts, "gate").bits(&format!("{word}.{rule}"), node.output.len());
}

/// One node backward: the gradient of input `part`, from that of the output.
pub fn backward(
    counts: &mut Counts,
    node: &Node<'_>,
    part: usize,
    inputs: &[Input<'_>],
    (gradient, rule): (&[f32], Rule),
) {
    let (input, output) = (node.input, node.output);
    match node.op {
        Op::Conv { .. } | Op::Dense => conv_back(counts, node, gradient),
        Op::Depthwise { geometry } => {
            let mut k = Kernel::new(counts, "depthwise_back");
            let rows = Axis::backward(geometry, 0, output.h, input.h);
            let cols = Axis::backward(geometry, 1, output.w, input.w);
            sliding::depthwise(&mut k, input.c, [&rows, &cols], "add");
            let sizes = [output.h, output.w, output.c];
            let source = Source::new(gradient, sizes, [&rows, &cols]);
            sliding::depthwise_products(&mut k, &source);
        }
        _ => plain::backward(counts, node, part, inputs, (gradient, rule)),
    }
}

fn conv_back(counts: &mut Counts, node: &Node<'_>, gradient: &[f32]) {
    let (input, output) = (node.input, node.output);
    let mut k = Kernel::new(counts, "conv_back");
    let (conv, sizes, rows, cols) = match (pointwise(node), node.op) {
        (Some([pixels, inputs, outputs, groups]), _) => (
            (groups, inputs, outputs),
            [1, pixels, outputs * groups],
            Axis::pointwise(1),
            Axis::pointwise(pixels),
        ),
        (None, Op::Conv { geometry, groups }) => {
            let groups = usize::from(groups).max(1);
            (
                (groups, input.c / groups, output.c / groups),
                [output.h, output.w, output.c],
                Axis::backward(geometry, 0, output.h, input.h),
                Axis::backward(geometry, 1, output.w, input.w),
            )
        }
        _ => return,
    };
    let (groups, inputs, outputs) = conv;
    let conv = Conv {
        groups,
        inputs,
        outputs,
        modulo: usize::MAX,
        activation: "add",
    };
    let source = Source::new(gradient, sizes, [&rows, &cols]);
    sliding::in_place(&mut k, &conv, [&rows, &cols], &source);
}
