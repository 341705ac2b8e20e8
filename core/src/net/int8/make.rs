//! The numbers of a node from scales and zero points, as TFLite prepares
//! them. The host's writer calls this; nothing on a device does.

use super::packing::{Filters, channels, packed_index};
use super::{CONCAT_SHIFT, Node8, binary, bytes_len, reduce, words_len};
use crate::net::op::{Activation, Arithmetic, Op};
use crate::net::quant::{Factor, Quantisation};
use crate::tensor::Shape;

mod tables;

pub use tables::table;

/// A node as its model states it.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// The operator.
    pub op: Op,
    /// What follows it.
    pub activation: Activation,
    /// Shape, scale and zero point of each input.
    pub inputs: &'a [(Shape, Quantisation)],
    /// The same of the output.
    pub output: (Shape, Quantisation),
    /// Whether the model's own integers are uint8: TFLite multiplies the scales
    /// of its convolutions in f32, and its means of pools round halves upwards.
    pub unsigned: bool,
    /// Weights of a `Conv`, `Depthwise` or `Dense`.
    pub weights: Option<Weights<'a>>,
}

/// Weights as their model states them.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// In plain order: OHWI, HWC, OI.
    pub values: &'a [i8],
    /// What a weight of 0 is stored as.
    pub zero_point: i8,
    /// One, or one an output channel.
    pub scales: &'a [f32],
    /// One an output channel, or empty; scale = input scale * weight scale.
    pub bias: &'a [i32],
}

/// `value` as multiplier and shift (TFLite's `QuantizeMultiplier`). `None` if
/// it is negative, not finite or 2^30 and more.
pub fn factor(value: f64) -> Option<Factor> {
    if !(value.is_finite() && value >= 0.0) {
        return None;
    }
    let (significand, mut shift) = libm::frexp(value);
    let mut multiplier = libm::round(significand * (1_u64 << 31) as f64) as i64;
    if multiplier == 1 << 31 {
        multiplier /= 2;
        shift += 1;
    }
    if multiplier == 0 || shift < -31 {
        (multiplier, shift) = (0, 0);
    }
    let shift = i8::try_from(shift).ok().filter(|&shift| shift <= 30)?;
    Some(Factor {
        multiplier: i32::try_from(multiplier).ok()?,
        shift,
    })
}

/// Where `real` lies among the stored numbers, not saturated to int8.
fn place(real: f32, quant: Quantisation) -> i32 {
    (libm::roundf(real / quant.scale) as i32).saturating_add(quant.zero_point.into())
}

/// Least and largest output of an activation (TFLite's
/// `CalculateActivationRangeQuantized`).
pub fn range(activation: Activation, output: Quantisation) -> [i8; 2] {
    let at = |real| place(real, output).clamp(i8::MIN.into(), i8::MAX.into()) as i8;
    match activation {
        Activation::Relu => [at(0.0), i8::MAX],
        Activation::Clip { lo, hi } => [at(lo), at(hi)],
        _ => [i8::MIN, i8::MAX],
    }
}

/// Fills [`Node8::bytes`] and [`Node8::words`], of the lengths that
/// [`bytes_len`] and [`words_len`] state, and gives the range. `None` if
/// lengths or scales do not fit.
pub fn node(spec: &Spec<'_>, bytes: &mut [i8], words: &mut [i32]) -> Option<[i8; 2]> {
    let &(input, from) = spec.inputs.first()?;
    let (output, to) = spec.output;
    let fits = bytes.len() == bytes_len(spec.op, input, output)
        && words.len() == words_len(spec.op, spec.inputs.len(), output);
    if !fits {
        return None;
    }
    let ratio = f64::from(from.scale) / f64::from(to.scale);
    match spec.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => weights(spec, bytes, words)?,
        Op::Binary(Arithmetic::Mul) => write(words, 0, product(spec.inputs, to)?)?,
        Op::Binary(_) => sum(spec.inputs, to, words)?,
        Op::Mean { axes } => {
            write(words, 0, mean(factor(ratio)?, reduce::count(axes, input))?)?;
        }
        Op::Concat { .. } => {
            for (i, &(_, from)) in spec.inputs.iter().enumerate() {
                let ratio = f64::from(from.scale) / f64::from(to.scale);
                write(words, i, factor(ratio / f64::from(1_u32 << CONCAT_SHIFT))?)?;
            }
        }
        Op::Activate => {
            let table = table(spec.activation, from, to)?;
            bytes.copy_from_slice(&table);
        }
        Op::AveragePool { .. } => {
            let origin = if spec.unsigned { i32::from(i8::MIN) } else { 0 };
            words.copy_from_slice(&[origin]);
        }
        Op::Softmax => softmax(from, words)?,
        _ => {}
    }
    Some(range(spec.activation, to))
}

/// Writes pair `i`.
fn write(words: &mut [i32], i: usize, factor: Factor) -> Option<()> {
    *words.get_mut(i * 2..)?.first_chunk_mut()? = [factor.multiplier, factor.shift.into()];
    Some(())
}

fn product(inputs: &[(Shape, Quantisation)], to: Quantisation) -> Option<Factor> {
    let &[(_, a), (_, b)] = inputs.first_chunk()?;
    factor(f64::from(a.scale * b.scale / to.scale))
}

/// Both inputs on twice the larger scale, raised by 20 bits.
fn sum(inputs: &[(Shape, Quantisation)], to: Quantisation, words: &mut [i32]) -> Option<()> {
    let &[(_, a), (_, b)] = inputs.first_chunk()?;
    let [a, b, to] = [a, b, to].map(|q| f64::from(q.scale));
    let common = 2.0 * if a > b { a } else { b };
    write(words, 0, factor(a / common)?)?;
    write(words, 1, factor(b / common)?)?;
    let raised = f64::from(1_u32 << binary::LEFT_SHIFT);
    write(words, 2, factor(common / (raised * to))?)
}

/// A factor that also divides by `count`.
fn mean(factor: Factor, count: usize) -> Option<Factor> {
    let count = i64::try_from(count).ok().filter(|&count| count > 0)?;
    let places = 63 - i64::from(count.leading_zeros());
    let places = places.min(32).min(31 + i64::from(factor.shift));
    let raised = i64::from(factor.multiplier) << places;
    Some(Factor {
        multiplier: i32::try_from(raised / count).ok()?,
        shift: i8::try_from(i64::from(factor.shift) - places).ok()?,
    })
}

/// TFLite's `PreprocessSoftmaxScaling` and `CalculateInputRadius`: differences
/// in Q5.26.
fn softmax(from: Quantisation, words: &mut [i32]) -> Option<()> {
    const INTEGER_BITS: i32 = 5;
    let raised = f64::from(1_i32 << (31 - INTEGER_BITS));
    let scaled = f64::from(from.scale) * raised;
    let most = f64::from(i32::MAX);
    let scale = factor(if scaled < most { scaled } else { most })?;
    if scale.shift < 0 {
        return None;
    }
    let radius = f64::from((1 << INTEGER_BITS) - 1) * raised;
    let least = libm::floor(radius / (1_u64 << scale.shift) as f64) as i32;
    words.copy_from_slice(&[scale.multiplier, scale.shift.into(), -least]);
    Some(())
}

/// Weights, shifts, folded biases and multipliers.
fn weights(spec: &Spec<'_>, bytes: &mut [i8], words: &mut [i32]) -> Option<()> {
    let (&(input, from), (output, to)) = (spec.inputs.first()?, spec.output);
    let given = spec.weights?;
    let count = channels(spec.op, output);
    let filter = Filters::of(spec.op, input, output)?.len();
    let (packed, shifts) = bytes.split_at_mut_checked(bytes.len().checked_sub(count)?)?;
    let (biases, multipliers) = words.split_at_mut_checked(count)?;
    if given.values.len() != packed.len() || !(given.bias.is_empty() || given.bias.len() == count) {
        return None;
    }
    for (i, &w) in given.values.iter().enumerate() {
        *packed.get_mut(packed_index(spec.op, input, output, i))? = w;
    }
    let depthwise = matches!(spec.op, Op::Depthwise { .. });
    let per_tensor = given.scales.len() == 1;
    let f32_product = per_tensor && spec.unsigned && spec.op != Op::Dense;
    for c in 0..count {
        let (first, step) = if depthwise {
            (c, count)
        } else {
            (c * filter, 1)
        };
        let filter = given.values.get(first..)?.iter().step_by(step).take(filter);
        let bias = given.bias.get(c).map_or(0, |&b| i64::from(b));
        let folded = bias - i64::from(from.zero_point) * total(filter, given.zero_point);
        *biases.get_mut(c)? = i32::try_from(folded).ok()?;
        let scale = *given.scales.get(if per_tensor { 0 } else { c })?;
        let product = if f32_product {
            f64::from(from.scale * scale)
        } else {
            f64::from(from.scale) * f64::from(scale)
        };
        let Factor { multiplier, shift } = factor(product / f64::from(to.scale))?;
        *multipliers.get_mut(c)? = multiplier;
        *shifts.get_mut(c)? = shift;
    }
    Some(())
}

/// Sum of a filter's weights less their zero point.
fn total<'a>(filter: impl Iterator<Item = &'a i8>, zero_point: i8) -> i64 {
    filter.map(|&w| i64::from(w) - i64::from(zero_point)).sum()
}

/// The node that [`node`] made numbers for, about input `part`.
pub fn view<'m>(
    spec: &Spec<'_>,
    part: usize,
    bytes: &'m [i8],
    words: &'m [i32],
    range: [i8; 2],
) -> Option<Node8<'m>> {
    let &(input, input_quant) = spec.inputs.get(part)?;
    let (output, output_quant) = spec.output;
    Some(Node8 {
        op: spec.op,
        activation: spec.activation,
        input,
        output,
        input_quant,
        output_quant,
        bytes,
        words,
        range,
        weights_zero_point: spec.weights.map_or(0, |w| w.zero_point),
    })
}
