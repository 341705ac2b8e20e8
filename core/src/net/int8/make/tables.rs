//! The 256 results of an `Activate`.
//!
//! Sources: TFLite `reference/requantize.h`, `integer_ops/leaky_relu.h`,
//! `reference/hard_swish.h` and `kernels/activations.cc`.

use super::{factor, range};
use crate::net::int8::fixed::divide_by_power;
use crate::net::op::Activation;
use crate::net::quant::Quantisation;

/// Results of an activation for each stored number from -128 on.
pub fn table(activation: Activation, from: Quantisation, to: Quantisation) -> Option<[i8; 256]> {
    match activation {
        Activation::None | Activation::Relu | Activation::Clip { .. } => {
            rescaled(activation, from, to)
        }
        Activation::LeakyRelu { slope } => leaky_relu(slope, from, to),
        Activation::HardSwish => hard_swish(from, to),
        other => Some(real(other, from, to)),
    }
}

/// `f(stored - zero point)` for each stored number, plus the output's zero point.
fn each(
    from: Quantisation,
    to: Quantisation,
    low: i8,
    high: i8,
    f: impl Fn(i32) -> i32,
) -> [i8; 256] {
    let mut table = [0; 256];
    for (out, q) in table.iter_mut().zip(-128_i32..) {
        let result = f(q - i32::from(from.zero_point)).saturating_add(to.zero_point.into());
        *out = result.clamp(low.into(), high.into()) as i8;
    }
    table
}

/// Requantisation, limited by a ReLU kind.
fn rescaled(activation: Activation, from: Quantisation, to: Quantisation) -> Option<[i8; 256]> {
    let scale = if activation == Activation::None {
        f64::from(from.scale) / f64::from(to.scale)
    } else {
        f64::from(from.scale / to.scale)
    };
    let scale = factor(scale)?;
    let [low, high] = range(activation, to);
    Some(each(from, to, low, high, |x| scale.apply(x)))
}

fn leaky_relu(slope: f32, from: Quantisation, to: Quantisation) -> Option<[i8; 256]> {
    let above = factor(f64::from(from.scale / to.scale))?;
    let below = factor(f64::from(from.scale * slope / to.scale))?;
    Some(each(from, to, i8::MIN, i8::MAX, |x| {
        if x >= 0 {
            above.apply(x)
        } else {
            below.apply(x)
        }
    }))
}

/// A function that TFLite computes in f32 when it prepares the node.
fn real(activation: Activation, from: Quantisation, to: Quantisation) -> [i8; 256] {
    let f = |x: f32| match activation {
        Activation::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
        Activation::Silu => x / (1.0 + libm::expf(-x)),
        Activation::Tanh => libm::tanhf(x),
        Activation::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
        _ => x,
    };
    let inverse = 1.0 / to.scale;
    each(from, to, i8::MIN, i8::MAX, |q| {
        libm::roundf(f(from.scale * q as f32) * inverse) as i32
    })
}

/// 16-bit `SaturatingRoundingDoublingHighMul`.
fn doubling_high(a: i16, b: i16) -> i16 {
    let product = (i32::from(a) * i32::from(b) + (1 << 14)) >> 15;
    product.min(i16::MAX.into()) as i16
}

/// The same without rounding (towards 0).
fn doubling_high_down(a: i16, b: i16) -> i16 {
    let product = i32::from(a) * i32::from(b) / (1 << 15);
    product.min(i16::MAX.into()) as i16
}

fn raise(x: i16, power: u32) -> i16 {
    let wide = i64::from(x) << power.min(40);
    wide.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// A factor with 16 significant bits, and its power of two.
fn short_factor(value: f32) -> Option<(i16, i32)> {
    let factor = factor(value.into())?;
    let rounded = factor.multiplier.saturating_add(1 << 15) >> 16;
    Some((i16::try_from(rounded).ok()?, factor.shift.into()))
}

/// x * ReLU6(x + 3) / 6 in 16 bits.
fn hard_swish(from: Quantisation, to: Quantisation) -> Option<[i8; 256]> {
    let fine = from.scale / 128.0;
    let (out_factor, out_power) = short_factor(fine / to.scale)?;
    // The gate, -1 to 1 in Q0.15, is x / 3.
    let (gate_factor, gate_power) = short_factor(fine / (3.0 / 32768.0))?;
    if out_power > 0 {
        return None;
    }
    Some(each(from, to, i8::MIN, i8::MAX, |x| {
        let x = (x * 128) as i16;
        let mut gate = x;
        let raised = gate_power.max(0).unsigned_abs();
        if raised > 0 {
            gate = raise(gate, raised - 1);
        }
        gate = doubling_high(gate, gate_factor);
        if raised > 0 {
            gate = raise(gate, 1);
        }
        let lowered = gate_power.min(0).unsigned_abs().min(31);
        let gate = divide_by_power(gate.into(), lowered);
        let gate = ((gate + (1 << 15)) >> 1) as i16;
        let product = doubling_high_down(gate, doubling_high(x, out_factor));
        divide_by_power(product.into(), out_power.unsigned_abs().min(31))
    }))
}
