//! Every operator against its real-valued definition in f64.

use super::made::{Made, SHARES, made};
use crate::net::arch::Isa;
use crate::net::op::{Activation, Op};
use crate::net::ops::tests::cases::FAMILIES;
use crate::net::ops::tests::naive::evaluate;
use crate::net::ops::tests::{Case, Random};
use std::vec::Vec;

/// The f32 node that the int8 node stands for, its weights dequantised.
pub fn twin(made: &Made) -> Case {
    let channels = made.words.len() / 2;
    let filter = made.weights.len() / channels.max(1);
    let depthwise = matches!(made.op, Op::Depthwise { .. });
    let scale = |c: usize| made.scales[if made.scales.len() == 1 { 0 } else { c }];
    let weight = |(i, &w): (usize, &i8)| {
        let c = if depthwise { i % channels } else { i / filter };
        (i16::from(w) - i16::from(made.weights_zero_point)) as f32 * scale(c)
    };
    let bias = |(c, &b): (usize, &i32)| b as f32 * scale(c) * made.inputs[0].1.scale;
    Case {
        op: made.op,
        activation: made.activation,
        shapes: made.inputs.iter().map(|&(shape, _)| shape).collect(),
        output: made.output.0,
        inputs: Vec::new(),
        weights: made.weights.iter().enumerate().map(weight).collect(),
        packed: Vec::new(),
        bias: made.bias.iter().enumerate().map(bias).collect(),
    }
}

/// Real values of all inputs.
pub fn reals(made: &Made) -> Vec<Vec<f64>> {
    made.inputs
        .iter()
        .zip(&made.data)
        .map(|(&(_, quant), data)| data.iter().map(|&q| quant.real(q).into()).collect())
        .collect()
}

/// Steps by which the arithmetic itself may be off the real result: two
/// roundings, three where each input is scaled too, 16 bits in a HardSwish.
fn slack(made: &Made) -> f64 {
    match (made.op, made.activation) {
        (Op::Activate, Activation::HardSwish) => 1.1,
        (Op::Activate, _) => 1.01,
        _ => 0.76,
    }
}

#[test]
fn every_operator_is_near_its_real_definition() {
    let mut random = Random(23);
    let mut seen = 0;
    for round in 0..3000 {
        let Some(made) = made(round % FAMILIES, &mut random) else {
            continue;
        };
        seen |= 1 << (round % FAMILIES);
        let wanted = evaluate(&twin(&made), &reals(&made));
        let quant = made.output.1;
        for isa in Isa::every() {
            let (out, _) = made.forward(isa, SHARES[3]);
            for (&q, &real) in out.iter().zip(&wanted) {
                let exact = real / f64::from(quant.scale) + f64::from(quant.zero_point);
                let [low, high] = made.range.map(f64::from);
                let off = (f64::from(q) - exact.clamp(low, high)).abs();
                assert!(off < slack(&made), "{q} {exact} {made:?}");
            }
        }
    }
    // All but PRelu, Div, Affine and Lrn.
    assert_eq!(
        seen,
        ((1 << FAMILIES) - 1) & !(1 << 8 | 1 << 12 | 1 << 13 | 1 << 22)
    );
}
