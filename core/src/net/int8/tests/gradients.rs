//! Straight-through gradients against central differences of the real-valued
//! definition, at the dequantised inputs, behind the gates.

use super::made::{Made, SHARES, keeps_meaning, made};
use super::real::{reals, twin};
use crate::Rule;
use crate::net::arch::Isa;
use crate::net::op::{Activation, Op};
use crate::net::ops::tests::cases::FAMILIES;
use crate::net::ops::tests::naive::evaluate;
use crate::net::ops::tests::{Case, Random};
use crate::net::ops::{self, Operand};
use std::vec;
use std::vec::Vec;

fn is_relu(activation: Activation) -> bool {
    matches!(activation, Activation::Relu | Activation::Clip { .. })
}

/// The seed where the output lies strictly inside its range. Operators that
/// only move numbers cannot saturate.
fn gated(made: &Made, seed: &[f32]) -> Vec<f64> {
    let (out, _) = made.forward(Isa::portable(), SHARES[0]);
    let [low, high] = made.range;
    let free = keeps_meaning(made.op) && !is_relu(made.activation);
    out.iter()
        .zip(seed)
        .map(|(&q, &s)| {
            if free || (low < q && q < high) {
                s.into()
            } else {
                0.0
            }
        })
        .collect()
}

/// d(seed . output) / d(input `part`, element `i`).
fn slope(case: &Case, x: &[Vec<f64>], part: usize, i: usize, seed: &[f64]) -> f64 {
    const STEP: f64 = 1e-6;
    let moved = |by: f64| -> f64 {
        let mut x = x.to_vec();
        x[part][i] += by;
        let out = evaluate(case, &x);
        out.iter().zip(seed).map(|(o, s)| o * s).sum()
    };
    (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
}

/// At a kink, or among equals, there is no difference quotient.
fn smooth(made: &mut Made) -> bool {
    let zero = made.inputs[0].1.zero_point;
    match (made.op, made.activation) {
        (Op::MaxPool(_) | Op::GlobalMaxPool, _) => return false,
        (Op::Activate, Activation::LeakyRelu { .. }) => {
            for q in &mut made.data[0] {
                *q = if *q == zero { zero.wrapping_add(1) } else { *q };
            }
        }
        _ => {}
    }
    true
}

#[test]
fn gradients_are_difference_quotients() {
    let mut random = Random(24);
    let mut checked = 0;
    for round in 0..1200 {
        let Some(mut made) = made(round % FAMILIES, &mut random) else {
            continue;
        };
        if !smooth(&mut made) {
            continue;
        }
        let seed = random.values(made.output.0.len());
        let behind = gated(&made, &seed);
        let (mut case, x) = (twin(&made), reals(&made));
        if is_relu(case.activation) {
            // Its derivative is the gate.
            case.activation = Activation::None;
        }
        let size: f64 = 1.0 + behind.iter().map(|s| s.abs()).sum::<f64>();
        for part in 0..made.inputs.len() {
            let found = made.backward(part, Rule::Gradient, &seed, 0.5, Isa::portable(), SHARES[0]);
            let i = random.below(found.len());
            let wanted = 0.5 + slope(&case, &x, part, i, &behind);
            let off = (f64::from(found[i]) - wanted).abs();
            assert!(
                off < 1e-5 * size + 1e-5 * wanted.abs(),
                "{wanted} {} {made:?}",
                found[i]
            );
            checked += usize::from(wanted != 0.5);
        }
    }
    assert!(checked > 300, "{checked}");
}

/// Winners and gradients of the largest value are those of f32 on the real values.
#[test]
fn the_first_of_the_largest_wins() {
    let mut random = Random(25);
    for round in 0..400 {
        let made = made([18, 21][round % 2], &mut random).unwrap();
        let case = twin(&made);
        let data: Vec<f32> = reals(&made)[0].iter().map(|&v| v as f32).collect();
        let node = ops::Node {
            op: made.op,
            activation: Activation::None,
            input: case.shapes[0],
            output: case.output,
            weights: &[],
            bias: &[],
        };
        let mut winners = vec![0xAA; ops::own_bytes(made.op, case.output)];
        let mut out = vec![0.0; case.output.len()];
        let x = [Operand {
            shape: case.shapes[0],
            data: &data,
        }];
        let isa = Isa::portable();
        ops::forward(&node, &x, 0, &mut out, &mut winners, &mut [], isa).unwrap();
        let (_, keep) = made.forward(isa, SHARES[0]);
        assert_eq!(keep[..winners.len()], winners);
        let seed = random.values(case.output.len());
        let behind: Vec<f32> = gated(&made, &seed).iter().map(|&g| g as f32).collect();
        let saved = ops::Saved {
            inputs: [None; 2],
            output: None,
            keep: &winners,
        };
        let mut wanted = vec![0.25; data.len()];
        let (rule, scratch) = (Rule::Gradient, &mut []);
        ops::backward(
            &node,
            0,
            0,
            rule,
            &behind,
            &saved,
            &mut wanted,
            scratch,
            isa,
        )
        .unwrap();
        assert_eq!(made.backward(0, rule, &seed, 0.25, isa, SHARES[0]), wanted);
    }
}

#[test]
fn every_variant_gives_the_same_bits() {
    let mut random = Random(26);
    for round in 0..1500 {
        let Some(made) = made(round % FAMILIES, &mut random) else {
            continue;
        };
        let mut seed = random.values(made.output.0.len());
        for g in seed.iter_mut().step_by(1 + round % 3) {
            *g = 0.0;
        }
        let rule = [Rule::Gradient, Rule::Guided, Rule::Deconvolution][round % 3];
        let bits = |isa, share| -> Vec<u32> {
            let gradient = made.backward(0, rule, &seed, -0.0, isa, share);
            gradient.iter().map(|g| g.to_bits()).collect()
        };
        let wanted = bits(Isa::portable(), SHARES[0]);
        for isa in Isa::every() {
            for share in SHARES {
                assert_eq!(bits(isa, share), wanted, "{isa:?} {made:?}");
            }
        }
    }
}
