//! One number of a layer, taken apart: what its window covers, the weights on
//! it, their products and the sum.

use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::{Activation, Arithmetic, Op};
use foveola_core::net::ops::packing::packed_index;
use foveola_core::{Shape, TensorId};

use super::reals;
use crate::bisect::cause::window::Taps;
use crate::bisect::network::Tensors;

/// One input element and its part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// Which input of the operator.
    pub input: usize,
    /// Channel, row and column there.
    pub at: [usize; 3],
    /// Its value; in an int8 convolution or dense layer the stored number less
    /// the zero point.
    pub value: f64,
    /// Its weight; there likewise the stored number less the zero point.
    pub weight: f64,
    /// Value times weight.
    pub product: f64,
}

/// How one value of a layer comes about.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// The parts, padding left out, in the order of summation.
    pub terms: Vec<Term>,
    /// What is added to them.
    pub bias: f64,
    /// Bias and products, summed as the network does: before the activation,
    /// before int8's requantisation.
    pub total: f64,
    /// What an int8 sum is multiplied by to give the output's number.
    pub factor: Option<f64>,
    /// What comes after the sum.
    pub activation: Activation,
    /// The layer's value.
    pub value: f32,
    /// Number that it is stored as.
    pub stored: Option<i8>,
    /// Number that 0 is stored as.
    pub zero_point: Option<i8>,
}

/// A window over the input, and where its weights lie.
struct Window {
    taps: Taps,
    input: Shape,
    /// First channel and number of channels that are read.
    channels: [usize; 2],
}

impl Window {
    /// Every tap inside the input: its number in the kernel, its place.
    fn each(&self, y: usize, x: usize, mut visit: impl FnMut(usize, [usize; 3])) {
        let [kernel_h, kernel_w] = self.taps.kernel;
        for tap in 0..kernel_h * kernel_w {
            let row = self.taps.under(0, y, tap / kernel_w, self.input.h);
            let column = self.taps.under(1, x, tap % kernel_w, self.input.w);
            let (Some(row), Some(column)) = (row, column) else {
                continue;
            };
            for i in 0..self.channels[1] {
                visit(
                    tap * self.channels[1] + i,
                    [self.channels[0] + i, row, column],
                );
            }
        }
    }
}

/// Takes the value of `node` at channel, row and column apart; `None` where it
/// is no sum.
pub(super) fn of(
    model: &Model<'_>,
    node: &NodeView<'_>,
    tensors: &Tensors,
    place: [usize; 3],
) -> Option<Sum> {
    let mut sum = match node.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => linear(model, node, tensors, place)?,
        Op::MaxPool(_) | Op::GlobalMaxPool => greatest(model, node, tensors, place)?,
        Op::AveragePool { .. } | Op::Mean { .. } => mean(model, node, tensors, place)?,
        Op::Binary(operator) => binary(operator, model, node, tensors, place)?,
        _ => return None,
    };
    let shape = model.shape(node.output);
    let at = index(shape, place);
    sum.value = *reals(model, tensors, node.output)?.get(at)?;
    sum.stored = tensors
        .get(node.output)?
        .stored()
        .and_then(|s| s.get(at).copied());
    sum.zero_point = model.tensor(node.output)?.quant.map(|q| q.zero_point);
    Some(sum)
}

fn index(shape: Shape, [c, y, x]: [usize; 3]) -> usize {
    (y * shape.w + x) * shape.c + c
}

fn plain(node: &NodeView<'_>, terms: Vec<Term>, bias: f64, total: f64) -> Sum {
    Sum {
        terms,
        bias,
        total,
        factor: None,
        activation: node.activation,
        value: 0.0,
        stored: None,
        zero_point: None,
    }
}

/// The window of a convolution or dense layer at an output channel, and the
/// number of the first weight there (plain order) and the distance of two.
fn window(
    node: &NodeView<'_>,
    input: Shape,
    output: Shape,
    c: usize,
) -> Option<(Window, [usize; 2])> {
    let (taps, channels, weights) = match node.op {
        Op::Conv { geometry, groups } => {
            let groups = usize::from(groups).max(1);
            let (inputs, outputs) = (input.c / groups, (output.c / groups).max(1));
            let taps = Taps::from(geometry);
            let filter = taps.kernel[0] * taps.kernel[1] * inputs;
            (taps, [c / outputs * inputs, inputs], [c * filter, 1])
        }
        Op::Depthwise { geometry } => (geometry.into(), [c, 1], [c, output.c]),
        _ => return None,
    };
    let window = Window {
        taps,
        input,
        channels,
    };
    Some((window, weights))
}

fn linear(
    model: &Model<'_>,
    node: &NodeView<'_>,
    tensors: &Tensors,
    place @ [c, y, x]: [usize; 3],
) -> Option<Sum> {
    let id = node.input(0)?;
    let (input, output) = (model.shape(id), model.shape(node.output));
    // Number of the weight in plain order, place of the input element.
    let mut taps = Vec::new();
    let channel = match node.op {
        Op::Dense => {
            let out = index(output, place);
            for i in 0..input.len() {
                let at = [i % input.c, i / input.c / input.w, i / input.c % input.w];
                taps.push((out * input.len() + i, at));
            }
            out
        }
        _ => {
            let (window, [first, step]) = window(node, input, output, c)?;
            window.each(y, x, |tap, at| taps.push((first + tap * step, at)));
            c
        }
    };
    match node.integers {
        None => Some(real_sum(
            node,
            tensors.get(id)?.real()?,
            input,
            output,
            &taps,
            channel,
        )),
        Some(_) => integer_sum(model, node, tensors, &taps, channel),
    }
}

/// Bias first, then the products in f32: the network's own order.
fn real_sum(
    node: &NodeView<'_>,
    values: &[f32],
    input: Shape,
    output: Shape,
    taps: &[(usize, [usize; 3])],
    channel: usize,
) -> Sum {
    let bias = node.bias.get(channel).copied().unwrap_or(0.0);
    let mut total = bias;
    let terms = taps.iter().map(|&(weight, at)| {
        let weight = node.weights[packed_index(node.op, input, output, weight)];
        let value = values[index(input, at)];
        total += value * weight;
        Term {
            input: 0,
            at,
            value: value.into(),
            weight: weight.into(),
            product: (value * weight).into(),
        }
    });
    let terms = terms.collect();
    plain(node, terms, bias.into(), total.into())
}

/// The exact sum of integers. The file's bias has the input's zero point times
/// all weights taken off.
fn integer_sum(
    model: &Model<'_>,
    node: &NodeView<'_>,
    tensors: &Tensors,
    taps: &[(usize, [usize; 3])],
    channel: usize,
) -> Option<Sum> {
    let id = node.input(0)?;
    let (tensor, integers) = (model.tensor(id)?, node.integers?);
    let zero = i32::from(tensor.quant?.zero_point);
    let values = tensors.get(id)?.stored()?;
    let channels = integers.words.len() / 2;
    let weights = integers
        .bytes
        .get(..integers.bytes.len().checked_sub(channels)?)?;
    let weight = |i: usize| i32::from(weights[i]) - i32::from(integers.weights_zero_point);
    let terms: Vec<Term> = taps
        .iter()
        .map(|&(i, at)| {
            let value = i32::from(values[index(tensor.shape, at)]) - zero;
            let weight = weight(i);
            Term {
                input: 0,
                at,
                value: value.into(),
                weight: weight.into(),
                product: (value * weight).into(),
            }
        })
        .collect();
    let all: i32 = filter(node, weights.len(), channels, channel)
        .map(weight)
        .sum();
    let bias = integers
        .words
        .get(channel)?
        .wrapping_add(zero.wrapping_mul(all));
    let multiplier = f64::from(*integers.words.get(channels + channel)?);
    let shift = i32::from(*integers.bytes.get(weights.len() + channel)?);
    let bias = f64::from(bias);
    let total = bias + terms.iter().map(|t| t.product).sum::<f64>();
    Some(Sum {
        factor: Some(multiplier * 2f64.powi(shift - 31)),
        ..plain(node, terms, bias, total)
    })
}

/// Numbers of all weights of an output channel.
fn filter(
    node: &NodeView<'_>,
    weights: usize,
    channels: usize,
    channel: usize,
) -> impl Iterator<Item = usize> + use<> {
    let each = weights / channels.max(1);
    let (first, step) = match node.op {
        Op::Depthwise { .. } => (channel, channels),
        _ => (channel * each, 1),
    };
    (0..each).map(move |i| first + i * step)
}

/// The input elements that a pool or mean covers.
fn covered(node: &NodeView<'_>, input: Shape, [c, y, x]: [usize; 3]) -> Vec<[usize; 3]> {
    let mut places = Vec::new();
    match node.op {
        Op::MaxPool(geometry) | Op::AveragePool { geometry, .. } => {
            let window = Window {
                taps: geometry.into(),
                input,
                channels: [c, 1],
            };
            window.each(y, x, |_, at| places.push(at));
        }
        _ => {
            let axes = match node.op {
                Op::Mean { axes } => axes,
                _ => [true, true, false],
            };
            let along = |axis: usize, size: usize, at: usize| match axes[axis] {
                true => 0..size,
                false => at..at + 1,
            };
            for y in along(0, input.h, y) {
                for x in along(1, input.w, x) {
                    places.extend(along(2, input.c, c).map(|c| [c, y, x]));
                }
            }
        }
    }
    places
}

/// What lies at places of an input, each with the same weight.
fn parts(values: &[f32], shape: Shape, places: &[[usize; 3]], weight: f64) -> Vec<Term> {
    let term = |&at: &[usize; 3]| {
        let value = f64::from(values[index(shape, at)]);
        Term {
            input: 0,
            at,
            value,
            weight,
            product: value * weight,
        }
    };
    places.iter().map(term).collect()
}

fn mean(
    model: &Model<'_>,
    node: &NodeView<'_>,
    tensors: &Tensors,
    place: [usize; 3],
) -> Option<Sum> {
    let id = node.input(0)?;
    let shape = model.shape(id);
    let places = covered(node, shape, place);
    let count = match node.op {
        Op::AveragePool {
            geometry,
            count_padding: true,
            pad_end,
        } => {
            let [_, y, x] = place;
            let rows = counted(geometry.into(), 0, y, shape.h + usize::from(pad_end[0]));
            rows * counted(geometry.into(), 1, x, shape.w + usize::from(pad_end[1]))
        }
        _ => places.len(),
    };
    let values = reals(model, tensors, id)?;
    let terms = parts(&values, shape, &places, 1.0 / count.max(1) as f64);
    let total = terms.iter().map(|t| t.product).sum();
    Some(plain(node, terms, 0.0, total))
}

/// Taps along an axis that lie before the declared end.
fn counted(taps: Taps, axis: usize, o: usize, end: usize) -> usize {
    let at =
        |k: usize| o as i64 * taps.stride[axis] + k as i64 * taps.dilation[axis] - taps.pad[axis];
    (0..taps.kernel[axis])
        .filter(|&k| at(k) < end as i64)
        .count()
}

/// The first greatest one counts, the others do not.
fn greatest(
    model: &Model<'_>,
    node: &NodeView<'_>,
    tensors: &Tensors,
    place: [usize; 3],
) -> Option<Sum> {
    let id = node.input(0)?;
    let shape = model.shape(id);
    let values = reals(model, tensors, id)?;
    let mut terms = parts(&values, shape, &covered(node, shape, place), 0.0);
    let mut winner = 0;
    for (i, term) in terms.iter().enumerate() {
        if term.value > terms[winner].value {
            winner = i;
        }
    }
    let winner = terms.get_mut(winner)?;
    (winner.weight, winner.product) = (1.0, winner.value);
    let total = winner.value;
    Some(plain(node, terms, 0.0, total))
}

fn binary(
    operator: Arithmetic,
    model: &Model<'_>,
    node: &NodeView<'_>,
    tensors: &Tensors,
    place: [usize; 3],
) -> Option<Sum> {
    let ids: [TensorId; 2] = [node.input(0)?, node.input(1)?];
    let side = |id: TensorId| {
        let shape = model.shape(id);
        let [c, y, x] = place;
        let at = [c.min(shape.c - 1), y.min(shape.h - 1), x.min(shape.w - 1)];
        let value = f64::from(*reals(model, tensors, id)?.get(index(shape, at))?);
        Some((at, value))
    };
    let [(at, a), (other, b)] = [side(ids[0])?, side(ids[1])?];
    let weights = match operator {
        Arithmetic::Add => [1.0, 1.0],
        Arithmetic::Sub => [1.0, -1.0],
        Arithmetic::Mul => [b, 0.0],
        Arithmetic::Div => [1.0 / b, 0.0],
    };
    let term = |input, at, value: f64, weight: f64| Term {
        input,
        at,
        value,
        weight,
        product: if weight == 0.0 { 0.0 } else { value * weight },
    };
    let mut terms = vec![term(0, at, a, weights[0])];
    if weights[1] != 0.0 {
        terms.push(term(1, other, b, weights[1]));
    }
    let total = terms.iter().map(|t| t.product).sum();
    Some(plain(node, terms, 0.0, total))
}
