//! Weights as int8, biases as int32.

use foveola_core::net::op::Op;

use crate::graph::{Node, Quant, QuantisedWeights};

/// Largest stored weight; -128 is not used, so that the range is symmetric.
const MOST: f64 = 127.0;
/// What |bias| + 383 * sum of |weights| stays below: products with an input
/// less its zero point (255), and the zero point's share in the bias (128).
const MOST_SUM: f64 = 2_147_483_000.0;
/// Steps that a bias gets where all weights of its channel are 0.
const BIAS_STEPS: f64 = 1_048_576.0;

/// Weights and bias of a linear node with `outputs` channels, whose input is
/// stored like `input`.
pub fn quantised(node: &Node, outputs: usize, input: Quant) -> QuantisedWeights {
    let length = node.weights.len() / outputs.max(1);
    let place = |c: usize, i: usize| match node.op {
        Op::Depthwise { .. } => i * outputs + c,
        _ => c * length + i,
    };
    let mut found = QuantisedWeights {
        weights: vec![0; node.weights.len()],
        zero_point: 0,
        scales: Vec::with_capacity(outputs),
        bias: Vec::with_capacity(outputs),
    };
    for c in 0..outputs {
        let filter: Vec<f64> = (0..length)
            .map(|i| f64::from(node.weights[place(c, i)]))
            .collect();
        let bias = node.bias.get(c).map_or(0.0, |&b| f64::from(b));
        let (scale, bias) = step(&filter, bias, f64::from(input.scale));
        for (i, &w) in filter.iter().enumerate() {
            found.weights[place(c, i)] = stored(w, scale) as i8;
        }
        found.scales.push(scale);
        found.bias.push(bias as i32);
    }
    found
}

fn stored(weight: f64, scale: f32) -> f64 {
    (weight / f64::from(scale)).round().clamp(-MOST, MOST)
}

/// The scale of a channel, and its bias in steps of that and the input's scale.
fn step(filter: &[f64], bias: f64, input: f64) -> (f32, f64) {
    let most = filter.iter().fold(0.0_f64, |most, w| most.max(w.abs()));
    let mut scale = (most / MOST) as f32;
    if scale < f32::MIN_POSITIVE {
        let fine = (bias.abs() / (input * BIAS_STEPS)) as f32;
        scale = if fine < f32::MIN_POSITIVE { 1.0 } else { fine };
    }
    // A large bias beside small weights, or very many weights, need wider steps.
    loop {
        let steps = (bias / (input * f64::from(scale))).round();
        let sum: f64 = filter.iter().map(|&w| stored(w, scale).abs()).sum();
        if steps.abs() + 383.0 * sum < MOST_SUM || !(scale * 2.0).is_finite() {
            return (scale, steps);
        }
        scale *= 2.0;
    }
}

#[cfg(test)]
mod tests {
    use foveola_core::TensorId;

    use super::*;
    use crate::quantise::prepare::plain;

    fn dense(weights: &[f32], bias: &[f32], outputs: usize, scale: f32) -> QuantisedWeights {
        let mut node = plain("dense", Op::Dense, TensorId(0), TensorId(1));
        (node.weights, node.bias) = (weights.to_vec(), bias.to_vec());
        let input = Quant {
            scale,
            zero_point: 0,
            unsigned: false,
        };
        quantised(&node, outputs, input)
    }

    #[test]
    fn each_channel_spans_its_own_range() {
        let w = dense(&[1.27, -0.01, 0.0, -254.0, 3.0, 2.0], &[0.5, -7.0], 2, 0.5);
        assert_eq!(w.weights, [127, -1, 0, -127, 2, 1]);
        assert!((w.scales[0] - 0.01).abs() < 1e-9 && w.scales[1] == 2.0);
        assert_eq!(w.bias, [100, -7]);
    }

    #[test]
    fn what_would_overflow_gets_wider_steps() {
        // 1e-6 / 127 * 1e-3 is the step of the bias: 100 would be 1.27e13 of them.
        let w = dense(&[1e-6], &[100.0], 1, 1e-3);
        let real = f64::from(w.bias[0]) * 1e-3 * f64::from(w.scales[0]);
        assert!((real - 100.0).abs() < 1e-4, "{real}");
        let many = dense(&[1.0; 50_000], &[], 1, 1.0);
        let sum: i64 = many.weights.iter().map(|&w| i64::from(w)).sum();
        assert!(sum * 383 < i64::from(i32::MAX));
        let real = f64::from(many.weights[0]) * f64::from(many.scales[0]);
        assert!((real - 1.0).abs() < 0.02, "{real}");
    }

    #[test]
    fn a_channel_of_zeros_keeps_its_bias() {
        let w = dense(&[0.0, 0.0], &[0.3], 1, 0.1);
        let real = f64::from(w.bias[0]) * 0.1 * f64::from(w.scales[0]);
        assert!((real - 0.3).abs() < 1e-6, "{real}");
        assert_eq!(dense(&[0.0], &[0.0], 1, 0.1).bias, [0]);
    }
}
