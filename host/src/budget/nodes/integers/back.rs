//! The way back through integers: gates, and straight-through gradients in
//! f32 (`net::int8::backward`).

use foveola_core::net::int8::portable_scratch_len;
use foveola_core::net::op::{Activation, Op};
use foveola_core::net::ops::Node;
use foveola_core::net::ops::spans::Axis;
use foveola_core::{Rule, Shape};

use super::super::super::counts::{Counts, Kernel};
use super::super::sliding::{self, Source};
use super::super::{Gradient, Input, by_row, plain, row_axes};
use super::{Integral, Sliding, blocks};

/// Most taps of a kernel that is walked pixel by pixel.
const MOST_TAPS: usize = 16;

/// Input channels whose sums are kept at once, and most f32 weights of them.
const MOST: usize = 16;
const ROOM: usize = 4096;
const CHUNK: usize = 32;

/// Channels of a block of a depthwise convolution.
const LANES: usize = 8;

/// Whether bits tell which outputs let a gradient through.
fn has_gate(op: Op, activation: Activation) -> bool {
    let moves = matches!(
        op,
        Op::MaxPool(_)
            | Op::AveragePool { .. }
            | Op::GlobalMaxPool
            | Op::Slice { .. }
            | Op::Shuffle { .. }
            | Op::Pad { .. }
    );
    !moves || matches!(activation, Activation::Relu | Activation::Clip { .. })
}

/// Bits of an output, whole or row by row; rows that do not begin with a byte
/// are taken bit by bit.
fn bits(k: &mut Kernel<'_>, what: &str, output: Shape, by_rows: bool) {
    if !by_rows {
        k.bits(what, output.len());
        return;
    }
    for y in 0..output.h {
        k.n("row", 1);
        match (y * output.row()).is_multiple_of(8) {
            true => k.bits(what, output.row()),
            false => k.n(&format!("{what}.bit"), output.row()),
        }
    }
}

/// What keeping a node's gates repeats.
pub fn record(counts: &mut Counts, node: &Integral<'_>, by_rows: bool) {
    if has_gate(node.op, node.activation) {
        let mut k = Kernel::new(counts, "record8");
        bits(&mut k, "bits", node.output, by_rows);
    }
}

/// What a node's gates repeat on the way back.
pub fn gate(counts: &mut Counts, node: &Integral<'_>, rule: Rule, by_rows: bool) {
    let is_relu = matches!(node.activation, Activation::Relu | Activation::Clip { .. });
    let what = match rule == Rule::Gradient || !is_relu {
        true => "keep",
        false => "positive",
    };
    if has_gate(node.op, node.activation) {
        bits(
            &mut Kernel::new(counts, "gate8"),
            what,
            node.output,
            by_rows,
        );
    }
}

/// The gradient of a `Quantise` or `Dequantise`.
pub fn quantise_back(counts: &mut Counts, node: &Integral<'_>, by_rows: bool) {
    let name = match node.op {
        Op::Dequantise => "dequantise_back",
        _ => "quantise_back",
    };
    bits(&mut Kernel::new(counts, name), "add", node.output, by_rows);
}

/// One integer node backward: the gradient of input `part`, whole or by rows;
/// `free` bytes of scratch are there.
pub fn backward(
    counts: &mut Counts,
    node: &Integral<'_>,
    (part, by_rows, free): (usize, bool, usize),
    inputs: &[Input<'_>],
    (gradient, rule): (&[f32], Rule),
) {
    let need = portable_scratch_len(node.op, node.input, node.output);
    let has_room = need > 0 && free >= need;
    match node.op {
        Op::Quantise { .. } | Op::Dequantise => quantise_back(counts, node, by_rows),
        Op::Conv { .. } | Op::Dense => conv_back(counts, node, by_rows, has_room, gradient),
        Op::Depthwise { .. } => depthwise_back(counts, node, by_rows, has_room, gradient),
        _ => others(counts, node, (part, by_rows), inputs, (gradient, rule)),
    }
}

fn others(
    counts: &mut Counts,
    node: &Integral<'_>,
    (part, by_rows): (usize, bool),
    inputs: &[Input<'_>],
    (gradient, rule): (&[f32], Rule),
) {
    let real = Node {
        op: node.op,
        activation: node.activation,
        input: node.input,
        output: node.output,
        weights: &[],
        bias: &[],
    };
    let mut own = Counts::default();
    if by_rows {
        by_row(&mut own, &real, part, inputs, (gradient, rule));
    } else {
        plain::backward(&mut own, &real, part, inputs, (gradient, rule));
    }
    counts.merge_as("int8", &own);
}

/// Input channels that are summed at once.
fn lanes(inputs: usize, taps: usize, outputs: usize) -> usize {
    let mut lanes = MOST;
    while lanes > 4 && (inputs <= lanes / 2 || lanes * taps * outputs > ROOM) {
        lanes /= 2;
    }
    lanes
}

fn conv_back(
    counts: &mut Counts,
    node: &Integral<'_>,
    by_rows: bool,
    has_room: bool,
    gradient: &[f32],
) {
    let real = Node {
        op: node.op,
        activation: node.activation,
        input: node.input,
        output: node.output,
        weights: &[],
        bias: &[],
    };
    let Some(s) = Sliding::of(node) else {
        return;
    };
    let Some(way) = Gradient::of(&real, by_rows) else {
        return;
    };
    let taps = s.kernel[0] * s.kernel[1];
    let written = has_room && taps <= MOST_TAPS;
    let wide = lanes(s.inputs, taps, s.outputs);
    let name = match (written, s.outputs.is_multiple_of(4)) {
        (true, true) => format!("outer{wide}"),
        (true, false) => format!("outer{wide}_odd"),
        _ => String::from("straight8"),
    };
    let mut k = Kernel::new(counts, name);
    for (rows, source) in way.each(gradient) {
        k.n("call", 1);
        match written {
            true => outer(&mut k, &s, wide, [rows, &way.cols], &source),
            false => straight(&mut k, &s, [rows, &way.cols], &source),
        }
    }
}

/// A few input channels at a time, whose weights are written out.
fn outer(k: &mut Kernel<'_>, s: &Sliding, wide: usize, [rows, cols]: [&Axis; 2], g: &Source<'_>) {
    let taps = s.kernel[0] * s.kernel[1];
    let chunks = s.groups * s.inputs.div_ceil(wide);
    let partial = s.groups * usize::from(!s.inputs.is_multiple_of(wide));
    k.n("chunk", chunks);
    k.n("filter", chunks * s.outputs);
    k.n("weights", (chunks - partial) * s.outputs * taps);
    k.n("some", partial * s.outputs * taps);
    k.n("some.lane", partial * s.outputs * taps * (s.inputs % wide));
    for rows in rows.spans().filter(|rows| rows.taps > 0) {
        for cols in cols.spans().filter(|cols| cols.taps > 0) {
            let pixels = rows.count * cols.count;
            let taps = rows.taps * cols.taps;
            k.n("run", chunks * rows.count);
            k.n("find", chunks * rows.count * taps);
            k.n("pixel", (chunks - partial) * pixels);
            k.n("pixel.some", partial * pixels);
            k.n("pixel.lane", partial * pixels * (s.inputs % wide));
            k.n("tap", chunks * pixels * taps);
        }
    }
    let each = s.inputs.div_ceil(wide);
    for (visits, pixel) in g.pixels() {
        for group in pixel.chunks(s.outputs.max(1)) {
            for four in group.chunks(4) {
                let live = four.iter().filter(|g| g.to_bits() != 0).count();
                k.n("four", visits * each);
                k.n("four.live", visits * each * usize::from(live > 0));
                k.n("zero", visits * each * (four.len() - live));
                k.n("live", visits * each * live);
            }
        }
    }
}

/// Straight from the int8 weights.
fn straight(k: &mut Kernel<'_>, s: &Sliding, [rows, cols]: [&Axis; 2], g: &Source<'_>) {
    let chunks = s.inputs.div_ceil(CHUNK);
    for rows in rows.spans() {
        for cols in cols.spans() {
            k.n("region", 1);
            if rows.taps == 0 || cols.taps == 0 {
                continue;
            }
            let sums = rows.count * cols.count * s.groups;
            k.n("group", sums);
            for len in blocks(s.inputs, CHUNK) {
                k.each("chunk", sums, len);
            }
            k.n("line", sums * chunks * rows.taps);
            k.n("tap", sums * chunks * rows.taps * cols.taps);
        }
    }
    for (visits, pixel) in g.pixels() {
        let live = pixel.iter().filter(|g| **g != 0.0).count();
        k.n("test", visits * chunks * pixel.len());
        k.n("live", visits * chunks * live);
        k.n("row", visits * live * s.inputs);
    }
}

fn depthwise_back(
    counts: &mut Counts,
    node: &Integral<'_>,
    by_rows: bool,
    has_room: bool,
    gradient: &[f32],
) {
    let Op::Depthwise { geometry } = node.op else {
        return;
    };
    let (input, output) = (node.input, node.output);
    let c = input.c;
    let taps = usize::from(geometry.kernel[0]) * usize::from(geometry.kernel[1]);
    let rows = Axis::backward(geometry, 0, output.h, input.h);
    let cols = Axis::backward(geometry, 1, output.w, input.w);
    let walked = taps <= MOST_TAPS;
    let name = match (has_room, walked) {
        (true, true) => "channels8",
        (true, false) => "channels8_wide",
        _ => "channels8_straight",
    };
    let mut k = Kernel::new(counts, name);
    for rows in row_axes(rows, input.h, by_rows) {
        if has_room {
            k.n("filter", c);
            k.n("weight", c * taps);
        }
        if has_room && !walked {
            sliding::depthwise(&mut k, c, [&rows, &cols], "add");
        } else {
            channels(&mut k, [&rows, &cols], c, has_room);
        }
        let sizes = [output.h, output.w, output.c];
        let source = Source::new(gradient, sizes, [&rows, &cols]);
        sliding::depthwise_products(&mut k, &source);
    }
}

fn channels(k: &mut Kernel<'_>, [rows, cols]: [&Axis; 2], c: usize, written: bool) {
    let (whole, rest) = match written {
        true => (c / LANES, c % LANES),
        false => (0, c),
    };
    k.n("call", 1);
    for rows in rows.spans().filter(|rows| rows.taps > 0) {
        for cols in cols.spans().filter(|cols| cols.taps > 0) {
            let pixels = rows.count * cols.count;
            let taps = rows.taps * cols.taps;
            k.n("region", 1);
            k.n("run", rows.count);
            k.n("find", rows.count * taps);
            k.n("pixel", pixels);
            k.n("block", pixels * whole);
            k.n("block.tap", pixels * whole * taps);
            k.n("lane", pixels * rest);
            k.n("lane.line", pixels * rest * rows.taps);
            k.n("lane.tap", pixels * rest * taps);
        }
    }
}
