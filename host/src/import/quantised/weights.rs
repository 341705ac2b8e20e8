//! Weights and biases of int8 nodes, from the integers that the file holds.

use foveola_core::net::op::Op;

use super::super::array::Origin;
use crate::graph::{Quant, QuantisedWeights};

/// The bias of a linear node.
pub enum Bias<'a> {
    /// None.
    None,
    /// Integers of the file.
    Stored(&'a Origin),
    /// Real numbers.
    Real(&'a [f32]),
}

/// Weights of an int8 node.
pub struct Found {
    pub weights: QuantisedWeights,
    /// Whether biases had to be rounded to the step that int8 needs.
    pub rounded: bool,
}

/// Steps that differ by less are one: f32 products of the same factors.
const SAME_STEP: f64 = 1e-5;

/// The int8 weights of a linear node, if its weights are 8-bit integers with
/// one scale an output channel and one zero point, and no sum of products can
/// overflow 32 bits.
pub fn quantised(
    op: Op,
    outputs: usize,
    origin: &Origin,
    bias: &Bias,
    input_scale: f32,
) -> Option<Found> {
    let rows = Rows::new(op, origin.stored.len(), outputs)?;
    let steps = (0..outputs)
        .map(|o| rows.step(origin, o))
        .collect::<Option<Vec<_>>>()?;
    let zero = steps.first()?.1;
    if steps.iter().any(|&(s, z)| z != zero || s <= 0.0) {
        return None;
    }
    // uint8 is int8 with 128 subtracted from numbers and zero point.
    let fit = |lower: i32| -> Option<(Vec<i8>, i8)> {
        let each = |&q: &i32| i8::try_from(q.checked_sub(lower)?).ok();
        let weights = origin.stored.iter().map(each).collect::<Option<_>>()?;
        Some((weights, each(&zero)?))
    };
    let (weights, zero_point) = fit(0).or_else(|| fit(128))?;
    let scales: Vec<f32> = steps.iter().map(|s| s.0).collect();
    let (bias, rounded) = biases(bias, &scales, input_scale)?;
    if (0..outputs).any(|o| overflows(&rows, o, &weights, zero_point, &bias)) {
        return None;
    }
    let one = scales.iter().all(|s| s.to_bits() == scales[0].to_bits());
    Some(Found {
        weights: QuantisedWeights {
            weights,
            zero_point,
            scales: if one { vec![scales[0]] } else { scales },
            bias,
        },
        rounded,
    })
}

/// Which weights belong to an output channel.
struct Rows {
    /// Weights of one channel.
    length: usize,
    /// From one of them to the next, and from one channel to the next.
    strides: [usize; 2],
}

impl Rows {
    fn new(op: Op, weights: usize, outputs: usize) -> Option<Self> {
        let length = weights.checked_div(outputs)?;
        let fits = length > 0 && length * outputs == weights;
        let strides = match op {
            Op::Depthwise { .. } => [outputs, 1],
            _ => [1, length],
        };
        fits.then_some(Self { length, strides })
    }

    fn of(&self, output: usize) -> impl Iterator<Item = usize> + use<> {
        let [along, across] = self.strides;
        (0..self.length).map(move |i| output * across + i * along)
    }

    /// The one scale and zero point of a channel.
    fn step(&self, origin: &Origin, output: usize) -> Option<(f32, i32)> {
        let mut steps = self.of(output).map(|i| origin.step(i));
        let first = steps.next()?;
        steps.all(|s| s == first).then_some(first)
    }
}

/// Biases in steps of input scale * weight scale, and whether they were rounded.
fn biases(bias: &Bias, scales: &[f32], input_scale: f32) -> Option<(Vec<i32>, bool)> {
    let step = |o: usize| f64::from(input_scale) * f64::from(scales[o]);
    let mut rounded = false;
    let mut nearest = |real: f64, o: usize| {
        rounded |= real != 0.0;
        let q = (real / step(o)).round();
        (q.abs() <= f64::from(i32::MAX)).then_some(q as i32)
    };
    let biases: Option<Vec<i32>> = match bias {
        Bias::None => Some(vec![]),
        Bias::Real(values) => {
            let each = |(o, &v): (usize, &f32)| nearest(f64::from(v), o);
            values.iter().enumerate().map(each).collect()
        }
        Bias::Stored(origin) => {
            let each = |(o, &q): (usize, &i32)| {
                let (scale, zero) = origin.step(o);
                let q = q.checked_sub(zero)?;
                let scale = f64::from(scale);
                match (scale - step(o)).abs() <= SAME_STEP * step(o) {
                    true => Some(q),
                    false => nearest(f64::from(q) * scale, o),
                }
            };
            origin.stored.iter().enumerate().map(each).collect()
        }
    };
    let biases = biases?;
    let fits = biases.is_empty() || biases.len() == scales.len();
    fits.then_some((biases, rounded))
}

fn overflows(rows: &Rows, output: usize, weights: &[i8], zero: i8, bias: &[i32]) -> bool {
    let distance = |i: usize| i64::from(i32::from(weights[i]) - i32::from(zero)).abs();
    let products: i64 = rows.of(output).map(|i| distance(i) * 255).sum();
    let bias = bias.get(output).map_or(0, |&b| i64::from(b).abs());
    products + bias >= 1 << 31
}

/// How a constant operand is stored: one scale and zero point, 8 bits.
pub fn constant(origin: &Origin) -> Option<Quant> {
    let (scale, zero) = origin.step(0);
    let same = (0..origin.stored.len()).all(|i| origin.step(i) == (scale, zero));
    let fits = |lower: i32| {
        let byte = |q: i32| i8::try_from(q.checked_sub(lower)?).ok();
        let all = origin.stored.iter().all(|&q| byte(q).is_some());
        byte(zero).filter(|_| all && same && scale > 0.0)
    };
    let quant = |lower: i32| {
        fits(lower).map(|zero_point| Quant {
            scale,
            zero_point,
            unsigned: lower != 0,
        })
    };
    quant(0).or_else(|| quant(128))
}
