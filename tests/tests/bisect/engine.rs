//! Another engine: TFLite's integer arithmetic written down from its
//! definition, one element at a time, with a place for each fault. It shares
//! nothing with the kernels of `core` but the fixed-point softmax, and nothing
//! with the hypotheses of `bisect`.

use foveola::graph::{Graph, Node, Quant};
use foveola_core::net::arch::Isa;
use foveola_core::net::int8::{self, Operand8, make};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op};
use foveola_core::{Shape, TensorId};

/// What an engine does wrong in one node.
#[derive(Clone, Debug)]
pub enum Deviation {
    /// Nothing.
    None,
    /// Another zero point of input 0 or 1.
    InputZero(usize, i32),
    /// Another zero point of the output.
    OutputZero(i32),
    /// Padding holds this.
    PadValue(i32),
    /// Windows lie elsewhere.
    Window { stride: [i64; 2], pad: [i64; 2] },
    /// Another rounding rule.
    Rounding(Rule),
    /// Other bounds after the activation.
    Bounds([i32; 2]),
    /// A bit of a weight.
    WeightBit { index: usize, bit: u32 },
    /// Another softmax.
    Softmax(OtherSoftmax),
    /// A part of the output that something else left.
    Stale { first: usize, values: Vec<i8> },
}

/// A rounding rule other than TFLite's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    HalfUp,
    HalfEven,
    HalfAway,
    Truncate,
    Floor,
}

/// What stands for the softmax.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OtherSoftmax {
    Missing,
    MissingBytes,
    Twice,
    AcrossPixels,
    Base2,
    Float,
}

/// A quotient n / 2^places, rounded.
fn rounded(n: i128, places: u32, rule: Rule) -> i64 {
    let whole = n >> places;
    let rest = n - (whole << places);
    let half = 1_i128 << (places - 1);
    let up = match rule {
        Rule::Floor => false,
        Rule::Truncate => n < 0 && rest != 0,
        Rule::HalfUp => rest >= half,
        Rule::HalfAway => rest > half || rest == half && n > 0,
        Rule::HalfEven => rest > half || rest == half && whole & 1 == 1,
    };
    (whole + i128::from(up)) as i64
}

/// A factor as TFLite stores it: 31 bits and a power of two.
#[derive(Clone, Copy)]
struct Multiplier(i64, i32);

impl Multiplier {
    fn of(mut value: f64) -> Self {
        if value == 0.0 {
            return Self(0, 0);
        }
        let mut shift = 0;
        while value < 0.5 {
            value *= 2.0;
            shift -= 1;
        }
        while value >= 1.0 {
            value /= 2.0;
            shift += 1;
        }
        let mut bits = (value * f64::from(1_u32 << 31)).round() as i64;
        if bits == 1 << 31 {
            bits /= 2;
            shift += 1;
        }
        Self(bits, shift)
    }

    /// gemmlowp's two roundings.
    fn twice(self, x: i64) -> i64 {
        let Self(bits, shift) = self;
        let product = (x << shift.max(0)) * bits;
        let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
        let high = (product + nudge) / (1 << 31);
        let right = (-shift).max(0) as u32;
        let mask = (1_i64 << right) - 1;
        let threshold = (mask >> 1) + i64::from(high < 0);
        (high >> right) + i64::from(high & mask > threshold)
    }

    fn once(self, x: i64, rule: Rule) -> i64 {
        let places = 31 - self.1;
        assert!(places > 0, "factors below 2^31");
        rounded(i128::from(x) * i128::from(self.0), places as u32, rule)
    }
}

/// An operand: its tensor and its stored numbers.
struct Operand<'a> {
    shape: Shape,
    quant: Quant,
    data: &'a [i8],
}

fn bounds(activation: Activation, quant: Quant) -> [i32; 2] {
    let at = |real: f32| {
        let steps = (real / quant.scale).round() as i32 + i32::from(quant.zero_point);
        steps.clamp(-128, 127)
    };
    match activation {
        Activation::Relu => [at(0.0), 127],
        Activation::Clip { lo, hi } => [at(lo), at(hi)],
        _ => [-128, 127],
    }
}

/// Bounds of a node's output.
pub fn bounds_of(graph: &Graph, node: &Node) -> [i32; 2] {
    let quant = graph.tensor(node.output).quant;
    bounds(node.activation, quant.expect("an int8 output"))
}

/// The output of an int8 node.
pub fn compute(
    graph: &Graph,
    node: &Node,
    values: &[Option<Vec<i8>>],
    deviation: &Deviation,
) -> Vec<i8> {
    let operand = |id: &TensorId| {
        let tensor = graph.tensor(*id);
        Operand {
            shape: tensor.shape,
            quant: tensor.quant.expect("an int8 input"),
            data: values[usize::from(id.0)].as_ref().expect("run order"),
        }
    };
    let mut operands: Vec<Operand<'_>> = node.inputs.iter().map(operand).collect();
    if let Deviation::InputZero(number, zero) = deviation {
        // Only what is subtracted: scales and shapes are right.
        operands[*number].quant.zero_point = *zero as i8;
    }
    let output = graph.tensor(node.output);
    let quant = output.quant.expect("an int8 output");
    let [low, high] = match deviation {
        Deviation::Bounds(bounds) => *bounds,
        _ => bounds(node.activation, quant),
    };
    let zero = match deviation {
        Deviation::OutputZero(zero) => *zero,
        _ => quant.zero_point.into(),
    };
    let store = |scaled: i64| (scaled + i64::from(zero)).clamp(low.into(), high.into()) as i8;
    let mut out: Vec<i8> = match node.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => {
            linear(node, &operands[0], quant, output.shape, deviation)
                .into_iter()
                .map(store)
                .collect()
        }
        Op::Binary(Arithmetic::Add) => sum(&operands, quant, deviation)
            .into_iter()
            .map(store)
            .collect(),
        Op::AveragePool { geometry, .. } => {
            average(&operands[0], geometry, output.shape, deviation)
                .into_iter()
                .map(|mean| mean.clamp(low.into(), high.into()) as i8)
                .collect()
        }
        Op::Softmax => softmax(&operands[0], quant, deviation),
        op => panic!("the other engine lacks {op:?}"),
    };
    if let Deviation::Stale { first, values } = deviation {
        out[*first..first + values.len()].copy_from_slice(values);
    }
    out
}

/// Sums of a convolution or dense layer, scaled to the output.
fn linear(
    node: &Node,
    x: &Operand<'_>,
    to: Quant,
    output: Shape,
    deviation: &Deviation,
) -> Vec<i64> {
    let given = node.quantised.as_ref().expect("int8 weights");
    let mut weights = given.weights.clone();
    if let Deviation::WeightBit { index, bit } = deviation {
        weights[*index] = (weights[*index].cast_unsigned() ^ 1 << bit).cast_signed();
    }
    let (mut from, mut shape) = (x.shape, output);
    let one = Geometry {
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        pad: [0; 2],
    };
    let (geometry, groups, depthwise) = match node.op {
        Op::Conv { geometry, groups } => (geometry, usize::from(groups), false),
        Op::Depthwise { geometry } => (geometry, output.c, true),
        _ => {
            from = Shape::new(1, 1, x.shape.len());
            shape = Shape::new(1, 1, output.len());
            (one, 1, false)
        }
    };
    let (stride, pad) = match deviation {
        Deviation::Window { stride, pad } => (*stride, *pad),
        _ => (geometry.stride.map(i64::from), geometry.pad.map(i64::from)),
    };
    let [kernel_h, kernel_w] = geometry.kernel.map(usize::from);
    let inputs = from.c / groups;
    let outputs = shape.c / groups;
    let (zero, weight_zero) = (i64::from(x.quant.zero_point), i64::from(given.zero_point));
    let mut out = Vec::with_capacity(shape.len());
    for oy in 0..shape.h {
        for ox in 0..shape.w {
            for oc in 0..shape.c {
                let mut sum = given.bias.get(oc).copied().map_or(0, i64::from);
                for ky in 0..kernel_h {
                    for kx in 0..kernel_w {
                        let y = oy as i64 * stride[0] + ky as i64 * i64::from(geometry.dilation[0])
                            - pad[0];
                        let xx = ox as i64 * stride[1]
                            + kx as i64 * i64::from(geometry.dilation[1])
                            - pad[1];
                        let inside =
                            (0..from.h as i64).contains(&y) && (0..from.w as i64).contains(&xx);
                        for ci in 0..inputs {
                            let (channel, weight) = match depthwise {
                                true => (oc, (ky * kernel_w + kx) * shape.c + oc),
                                false => (
                                    oc / outputs * inputs + ci,
                                    ((oc * kernel_h + ky) * kernel_w + kx) * inputs + ci,
                                ),
                            };
                            let value = match (inside, deviation) {
                                (true, _) => i64::from(
                                    x.data[(y as usize * from.w + xx as usize) * from.c + channel],
                                ),
                                (false, Deviation::PadValue(value)) => i64::from(*value),
                                (false, _) => zero,
                            };
                            sum += (i64::from(weights[weight]) - weight_zero) * (value - zero);
                        }
                    }
                }
                let scale = given.scales[if given.scales.len() == 1 { 0 } else { oc }];
                let ratio = f64::from(x.quant.scale) * f64::from(scale) / f64::from(to.scale);
                let factor = Multiplier::of(ratio);
                out.push(match (deviation, node.op) {
                    (Deviation::Rounding(rule), _) => factor.once(sum, *rule),
                    // ruy rounds once behind a dense layer.
                    (_, Op::Dense) => factor.once(sum, Rule::HalfUp),
                    _ => factor.twice(sum),
                });
            }
        }
    }
    out
}

fn sum(operands: &[Operand<'_>], to: Quant, deviation: &Deviation) -> Vec<i64> {
    let [a, b] = operands else {
        panic!("a sum of two");
    };
    assert_eq!(a.shape, b.shape, "operands of one shape");
    let [scale_a, scale_b] = [a, b].map(|x| f64::from(x.quant.scale));
    let common = 2.0 * scale_a.max(scale_b);
    let raised = f64::from(1 << 20);
    let factors = [
        scale_a / common,
        scale_b / common,
        common / (raised * f64::from(to.scale)),
    ];
    let [of_a, of_b, of_sum] = factors.map(Multiplier::of);
    let pair = |(&qa, &qb): (&i8, &i8)| {
        let qa = i64::from(qa) - i64::from(a.quant.zero_point);
        let qb = i64::from(qb) - i64::from(b.quant.zero_point);
        if let Deviation::Rounding(rule) = deviation {
            let real = qa as f64 * scale_a + qb as f64 * scale_b;
            let steps = real / f64::from(to.scale);
            return match rule {
                Rule::HalfEven => steps.round_ties_even(),
                Rule::Truncate => steps.trunc(),
                Rule::Floor => steps.floor(),
                Rule::HalfUp | Rule::HalfAway => steps.round(),
            } as i64;
        }
        of_sum.twice(of_a.twice(qa << 20) + of_b.twice(qb << 20))
    };
    a.data.iter().zip(b.data).map(pair).collect()
}

fn average(x: &Operand<'_>, geometry: Geometry, output: Shape, deviation: &Deviation) -> Vec<i64> {
    let (stride, pad) = match deviation {
        Deviation::Window { stride, pad } => (*stride, *pad),
        _ => (geometry.stride.map(i64::from), geometry.pad.map(i64::from)),
    };
    let mut out = Vec::new();
    for index in 0..output.len() {
        let (oy, ox, c) = (
            index / output.row(),
            index / output.c % output.w,
            index % output.c,
        );
        let (mut sum, mut count) = (0.0, 0.0);
        for ky in 0..i64::from(geometry.kernel[0]) {
            for kx in 0..i64::from(geometry.kernel[1]) {
                let (y, xx) = (
                    oy as i64 * stride[0] + ky - pad[0],
                    ox as i64 * stride[1] + kx - pad[1],
                );
                if (0..x.shape.h as i64).contains(&y) && (0..x.shape.w as i64).contains(&xx) {
                    let at = (y as usize * x.shape.w + xx as usize) * x.shape.c + c;
                    sum += f64::from(x.data[at]);
                    count += 1.0;
                }
            }
        }
        let mean: f64 = sum / count;
        out.push(match deviation {
            Deviation::Rounding(Rule::Truncate) => mean.trunc(),
            Deviation::Rounding(Rule::Floor) => mean.floor(),
            Deviation::Rounding(Rule::HalfEven) => mean.round_ties_even(),
            _ => mean.round(),
        } as i64);
    }
    out
}

fn shares(values: &[f64], base: f64) -> Vec<f64> {
    let most = values.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = values.iter().map(|v| base.powf(v - most)).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

/// Of one pixel.
fn softmax(x: &Operand<'_>, to: Quant, deviation: &Deviation) -> Vec<i8> {
    let Deviation::Softmax(other) = deviation else {
        return right_softmax(x, to);
    };
    let real = |&q: &i8| f64::from(i16::from(q) - i16::from(x.quant.zero_point));
    let real: Vec<f64> = x
        .data
        .iter()
        .map(|q| real(q) * f64::from(x.quant.scale))
        .collect();
    let e = std::f64::consts::E;
    let values = match other {
        OtherSoftmax::MissingBytes => return x.data.to_vec(),
        OtherSoftmax::Missing => real,
        OtherSoftmax::Twice => shares(&shares(&real, e), e),
        OtherSoftmax::AcrossPixels => vec![1.0; real.len()],
        OtherSoftmax::Base2 => shares(&real, 2.0),
        OtherSoftmax::Float => shares(&real, e),
    };
    let store = |v: &f64| {
        let steps = (v / f64::from(to.scale)).round() + f64::from(to.zero_point);
        steps.clamp(-128.0, 127.0) as i8
    };
    values.iter().map(store).collect()
}

/// The fixed-point softmax of `core`, which other tests hold to TFLite's.
fn right_softmax(x: &Operand<'_>, to: Quant) -> Vec<i8> {
    let inputs = [(x.shape, x.quant.quantisation())];
    let spec = make::Spec {
        op: Op::Softmax,
        activation: Activation::None,
        inputs: &inputs,
        output: (x.shape, to.quantisation()),
        unsigned: false,
        weights: None,
    };
    let mut words = [0; 3];
    let range = make::node(&spec, &mut [], &mut words).expect("scales that fit");
    let node = make::view(&spec, 0, &[], &words, range).expect("a node");
    let operand = Operand8 {
        shape: x.shape,
        data: x.data,
        quant: x.quant.quantisation(),
    };
    let mut out = vec![0; x.shape.len()];
    int8::forward(
        &node,
        &[operand],
        0,
        0,
        &mut out,
        &mut [],
        &mut [],
        Isa::portable(),
    )
    .expect("it runs");
    out
}

/// What a `Quantise` makes of the input.
pub fn quantised(node: &Node, input: &[f32]) -> Vec<i8> {
    let Op::Quantise { scale, zero_point } = node.op else {
        panic!("the first node quantises");
    };
    let store = |x: &f32| {
        let steps = f64::from(x / scale).round() + f64::from(zero_point);
        steps.clamp(-128.0, 127.0) as i8
    };
    input.iter().map(store).collect()
}

/// Every int8 tensor of a network, one node with a deviation.
pub fn run(graph: &Graph, input: &[f32], at: usize, deviation: &Deviation) -> Vec<Option<Vec<i8>>> {
    let mut values = vec![None; graph.tensors.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        let out = match node.op {
            Op::Quantise { .. } => quantised(node, input),
            Op::Dequantise => continue,
            _ if index == at => compute(graph, node, &values, deviation),
            _ => compute(graph, node, &values, &Deviation::None),
        };
        values[usize::from(node.output.0)] = Some(out);
    }
    values
}
