//! Activations, their derivatives, and the rules by which a ReLU kind passes a
//! gradient back.

use crate::classifier::Rule;
use crate::error::Error;
use crate::net::arch::{Simd, products};
use crate::net::op::Activation;

/// Applies a ReLU kind in place; other activations stand alone, as nodes of their own.
#[inline(always)]
pub(in crate::net) fn limit(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Relu => each(values, |x| if x > 0.0 { x } else { 0.0 }),
        Activation::Clip { lo, hi } => each(values, |x| clip(x, lo, hi)),
        Activation::LeakyRelu { slope } => each(values, |x| if x > 0.0 { x } else { slope * x }),
        _ => {}
    }
}

/// [`limit`] for eight values at once.
#[inline(always)]
pub(super) fn limit_lanes<S: Simd>(simd: S, activation: Activation, v: S::V) -> S::V {
    match activation {
        Activation::Relu => simd.larger(v, simd.splat(0.0)),
        Activation::Clip { lo, hi } => simd.smaller(simd.larger(v, simd.splat(lo)), simd.splat(hi)),
        Activation::LeakyRelu { slope } => simd.positive_or(v, simd.product(v, simd.splat(slope))),
        _ => v,
    }
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    for v in values {
        *v = f(*v);
    }
}

#[inline(always)]
fn clip(x: f32, lo: f32, hi: f32) -> f32 {
    let x = if x > lo { x } else { lo };
    if x < hi { x } else { hi }
}

/// Whether NaN that goes in comes out. A leaky ReLU also makes some of its own,
/// from slope 0 and -infinity; the other kinds hide NaN and make none.
#[inline(always)]
pub(super) const fn shows_nan(activation: Activation) -> bool {
    matches!(activation, Activation::LeakyRelu { .. })
}

/// Applies a ReLU kind to `values`; whether there was NaN among them before or is after.
pub(in crate::net) fn settle(activation: Activation, values: &mut [f32]) -> bool {
    let hidden = !shows_nan(activation) && has_nan(values);
    limit(activation, values);
    hidden || (shows_nan(activation) && has_nan(values))
}

/// Whether there is NaN among `values`.
pub(super) fn has_nan(values: &[f32]) -> bool {
    values
        .iter()
        .fold(0_u32, |seen, v| seen | u32::from(v.is_nan()))
        != 0
}

pub(in crate::net) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

fn hard_swish_gate(x: f32) -> f32 {
    clip(x / 6.0 + 0.5, 0.0, 1.0)
}

/// A node that is nothing but its activation. Reports NaN.
pub(super) fn forward(activation: Activation, x: &[f32], out: &mut [f32]) -> bool {
    fn map(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = f(x);
        }
    }
    match activation {
        Activation::HardSigmoid { alpha, beta } => {
            map(x, out, |x| clip(alpha * x + beta, 0.0, 1.0))
        }
        Activation::HardSwish => map(x, out, |x| x * hard_swish_gate(x)),
        Activation::Sigmoid => map(x, out, sigmoid),
        Activation::Silu => map(x, out, |x| x * sigmoid(x)),
        Activation::Tanh => map(x, out, libm::tanhf),
        _ => {
            map(x, out, |x| x);
            limit(activation, out);
        }
    }
    has_nan(x) || has_nan(out)
}

/// What the derivative of an activation is computed from.
pub(super) enum Needs {
    /// Nothing but gate bits, or nothing at all.
    Nothing,
    /// The input.
    Input,
    /// The output.
    Output,
}

/// See [`Needs`].
pub(super) const fn needs(activation: Activation) -> Needs {
    match activation {
        Activation::HardSigmoid { .. } | Activation::HardSwish | Activation::Silu => Needs::Input,
        Activation::Sigmoid | Activation::Tanh => Needs::Output,
        _ => Needs::Nothing,
    }
}

/// Adds to `grad_in` the gradient times the derivative, computed from `value`
/// (input or output, as [`needs`] says). A ReLU kind has been applied by [`gate`].
pub(super) fn backward(
    activation: Activation,
    gradient: &[f32],
    value: Option<&[f32]>,
    grad_in: &mut [f32],
) -> Result<(), Error> {
    let mut add = |f: &dyn Fn(f32) -> f32| add_times(gradient, value, grad_in, f);
    match activation {
        Activation::HardSigmoid { .. } | Activation::HardSwish | Activation::Silu => {
            add(&|x| derivative(activation, x))
        }
        Activation::Sigmoid => add(&|y| y * (1.0 - y)),
        Activation::Tanh => add(&|y| 1.0 - y * y),
        _ => {
            for (to, &g) in grad_in.iter_mut().zip(gradient) {
                *to += g;
            }
            Ok(())
        }
    }
}

/// Derivative at input `x` of an activation that is no ReLU kind.
pub(in crate::net) fn derivative(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::HardSigmoid { alpha, beta } => {
            let y = alpha * x + beta;
            if y > 0.0 && y < 1.0 { alpha } else { 0.0 }
        }
        Activation::HardSwish => {
            let gate = hard_swish_gate(x);
            let slope = if gate > 0.0 && gate < 1.0 {
                x / 6.0
            } else {
                0.0
            };
            gate + slope
        }
        Activation::Silu => {
            let s = sigmoid(x);
            s + x * s * (1.0 - s)
        }
        Activation::Sigmoid => {
            let y = sigmoid(x);
            y * (1.0 - y)
        }
        Activation::Tanh => {
            let y = libm::tanhf(x);
            1.0 - y * y
        }
        _ => 1.0,
    }
}

/// Adds `gradient * f(value)`.
fn add_times(
    gradient: &[f32],
    value: Option<&[f32]>,
    grad_in: &mut [f32],
    f: &dyn Fn(f32) -> f32,
) -> Result<(), Error> {
    let value = value
        .filter(|v| v.len() >= gradient.len())
        .ok_or(Error::Internal)?;
    for ((to, &g), &v) in grad_in.iter_mut().zip(gradient).zip(value) {
        *to += g * f(v);
    }
    Ok(())
}

/// Bytes of the gate bits for `len` outputs.
pub(super) const fn gate_bytes(activation: Activation, len: usize) -> usize {
    match activation {
        Activation::Relu | Activation::Clip { .. } | Activation::LeakyRelu { .. } => {
            len.div_ceil(8)
        }
        _ => 0,
    }
}

/// Writes one bit a value, least significant first: whether `open` holds. The
/// first value is number `first` of those that `bits` is about.
#[inline(always)]
pub(in crate::net) fn record_from<T: Copy>(
    first: usize,
    bits: &mut [u8],
    values: &[T],
    open: impl Fn(T) -> bool,
) {
    let Some(bits) = bits.get_mut(first / 8..) else {
        return;
    };
    if first.is_multiple_of(8) {
        record(bits, values, open);
        return;
    }
    for (place, &value) in (first % 8..).zip(values) {
        if let Some(byte) = bits.get_mut(place / 8) {
            let bit = place % 8;
            *byte = (*byte & !(1 << bit)) | u8::from(open(value)) << bit;
        }
    }
}

#[inline(always)]
pub(in crate::net) fn record<T: Copy>(bits: &mut [u8], values: &[T], open: impl Fn(T) -> bool) {
    let (eights, rest) = values.as_chunks::<8>();
    let mut bits = bits.iter_mut();
    for (values, byte) in eights.iter().zip(&mut bits) {
        *byte = byte_of(values, &open);
    }
    if let (Some(byte), false) = (bits.next(), rest.is_empty()) {
        // The bits behind belong to values that come later, or to none.
        *byte = byte_of(rest, &open);
    }
}

#[inline(always)]
fn byte_of<T: Copy>(values: &[T], open: &impl Fn(T) -> bool) -> u8 {
    values
        .iter()
        .zip(0..8_u32)
        .fold(0, |byte, (&v, i)| byte | (u8::from(open(v)) << i))
}

/// Records which outputs the activation's `rule` lets through; the first of
/// them is number `first` of the node's.
pub(super) fn record_gate(
    activation: Activation,
    rule: Rule,
    out: &[f32],
    first: usize,
    bits: &mut [u8],
) {
    let limits = match (activation, rule) {
        (Activation::Relu | Activation::LeakyRelu { .. }, _) => [Some(0.0), None],
        (Activation::Clip { hi, .. }, Rule::Deconvolution) => [None, Some(hi)],
        (Activation::Clip { lo, hi }, _) => [Some(lo), Some(hi)],
        _ => return,
    };
    record_between(first, bits, out, limits);
}

/// As [`record_from`], for what lies between two limits, as far as there are any.
fn record_between(first: usize, bits: &mut [u8], out: &[f32], limits: [Option<f32>; 2]) {
    let mut done = 0;
    if first.is_multiple_of(8)
        && let Some(bytes) = bits.get_mut(first / 8..)
    {
        done = 8 * products::record(out.as_chunks().0, limits, bytes);
    }
    let (first, rest) = (first + done, out.get(done..).unwrap_or(&[]));
    match limits {
        [Some(above), None] => record_from(first, bits, rest, |y| y > above),
        [None, Some(below)] => record_from(first, bits, rest, |y| y < below),
        [Some(above), Some(below)] => record_from(first, bits, rest, |y| y > above && y < below),
        [None, None] => {}
    }
}

/// ReLU of a gradient. NaN passes, so that it is not taken for 0.
#[inline(always)]
pub(in crate::net) fn positive(g: f32) -> f32 {
    // As integers: -0 to -infinity are the numbers from the sign bit on, as far
    // as infinity is from 0; NaN lies behind them.
    const SIGN: u32 = 1 << 31;
    if g.to_bits() ^ SIGN <= f32::INFINITY.to_bits() {
        0.0
    } else {
        g
    }
}

/// A gradient behind a ReLU kind whose gate is `open`; `slope` is that of the closed side.
#[inline(always)]
pub(in crate::net) fn pass(rule: Rule, g: f32, open: bool, slope: f32) -> f32 {
    match rule {
        Rule::Gradient => {
            if open {
                g
            } else {
                slope * g
            }
        }
        Rule::Deconvolution => positive(g),
        Rule::Guided => {
            if open {
                positive(g)
            } else {
                slope * positive(g)
            }
        }
    }
}

/// The bits of a byte, from the least on.
pub(in crate::net) const BITS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Applies `f(gradient, open)` in place; the first element is number `first` of
/// those that `bits` is about. `None` if there are too few bits.
#[inline(always)]
pub(in crate::net) fn through(
    first: usize,
    gradient: &mut [f32],
    bits: &[u8],
    f: impl Fn(f32, bool) -> f32,
) -> Option<()> {
    let bits = bits.get(first / 8..(first + gradient.len()).div_ceil(8))?;
    if !first.is_multiple_of(8) {
        for (place, g) in (first % 8..).zip(gradient) {
            *g = f(*g, bits.get(place / 8)? >> (place % 8) & 1 != 0);
        }
        return Some(());
    }
    let (eights, rest) = gradient.as_chunks_mut::<8>();
    let mut bits = bits.iter();
    for (gradient, &byte) in eights.iter_mut().zip(&mut bits) {
        for (g, bit) in gradient.iter_mut().zip(BITS) {
            *g = f(*g, u32::from(byte) & bit != 0);
        }
    }
    let last = bits.next().copied().unwrap_or(0);
    for (g, bit) in rest.iter_mut().zip(BITS) {
        *g = f(*g, u32::from(last) & bit != 0);
    }
    Some(())
}

/// 0 where a gate is closed or, if `only_positive`, the gradient is below 0;
/// places as [`through`] has them. Looks only at what may pass: most gates are
/// closed.
pub(in crate::net) fn close(
    first: usize,
    gradient: &mut [f32],
    bits: &[u8],
    only_positive: bool,
) -> Option<()> {
    let passed = |g| if only_positive { positive(g) } else { g };
    if !first.is_multiple_of(8) {
        let gate = |g, open: bool| if open { passed(g) } else { 0.0 };
        return through(first, gradient, bits, gate);
    }
    let bits = bits.get(first / 8..(first + gradient.len()).div_ceil(8))?;
    let (eights, rest) = gradient.as_chunks_mut::<8>();
    let (bytes, last) = bits.split_at_checked(eights.len())?;
    if products::close(eights, bytes, only_positive).is_none() {
        for (gradient, &byte) in eights.iter_mut().zip(bytes) {
            close_eight(gradient, byte, passed);
        }
    }
    close_eight(rest, last.first().copied().unwrap_or(0), passed);
    Some(())
}

/// Up to eight gradients, with the bits of one byte.
#[inline(always)]
fn close_eight(gradient: &mut [f32], byte: u8, passed: impl Fn(f32) -> f32) {
    if byte == 0 {
        gradient.fill(0.0);
        return;
    }
    for (g, bit) in gradient.iter_mut().zip(BITS) {
        *g = if u32::from(byte) & bit == 0 {
            0.0
        } else {
            passed(*g)
        };
    }
}

/// Applies the activation's rule to elements `first..` of the gradient of its
/// output, in place. `None` if there are too few bits.
pub(in crate::net) fn gate(
    activation: Activation,
    rule: Rule,
    bits: &[u8],
    first: usize,
    gradient: &mut [f32],
) -> Option<()> {
    match (activation, rule) {
        (Activation::Relu, Rule::Deconvolution)
        | (Activation::LeakyRelu { .. }, Rule::Deconvolution) => {
            each(gradient, positive);
            Some(())
        }
        (Activation::Relu | Activation::Clip { .. }, rule) => {
            close(first, gradient, bits, rule != Rule::Gradient)
        }
        (Activation::LeakyRelu { slope }, rule) => {
            through(first, gradient, bits, |g, open| pass(rule, g, open, slope))
        }
        _ => Some(()),
    }
}
