//! How a ReLU kind passes a gradient back, from the papers' definitions
//! (Zeiler & Fergus 2014; Springenberg et al. 2015, equations of figure 1).

use super::{Case, Random};
use crate::Rule;
use crate::net::arch::Isa;
use crate::net::op::{Activation, Op};
use crate::tensor::Shape;
use std::vec;

const Z: [f32; 10] = [-3.0, -0.5, -0.0, 0.0, 0.5, 1.0, 5.9, 6.0, 6.5, 0.25];
const G: [f32; 10] = [1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0, 8.0, 9.0, -1.0];

fn relu(g: f32) -> f32 {
    if g > 0.0 { g } else { 0.0 }
}

/// Gradient before the activation: `open` is f'(z) > 0 side, `slope` that of the closed one.
fn wanted(rule: Rule, z: f32, g: f32, hi: f32, slope: f32) -> f32 {
    let derivative = if z <= 0.0 {
        slope
    } else if z < hi {
        1.0
    } else {
        0.0
    };
    match rule {
        Rule::Gradient => g * derivative,
        Rule::Guided => relu(g) * derivative,
        Rule::Deconvolution => {
            if z < hi {
                relu(g)
            } else {
                0.0
            }
        }
    }
}

#[test]
fn relu_kinds_follow_each_rule() {
    let shape = Shape::new(2, 5, 1);
    let kinds = [
        (Activation::Relu, f32::INFINITY, 0.0),
        (Activation::Clip { lo: 0.0, hi: 6.0 }, 6.0, 0.0),
        (Activation::LeakyRelu { slope: 0.25 }, f32::INFINITY, 0.25),
    ];
    for (activation, hi, slope) in kinds {
        // Alone, and merged into an operator that keeps bytes of its own.
        for op in [Op::Activate, Op::GlobalMaxPool, Op::Shuffle { groups: 2 }] {
            for rule in [Rule::Gradient, Rule::Deconvolution, Rule::Guided] {
                let shape = if op == Op::Activate {
                    shape
                } else {
                    Shape::new(1, 1, 10)
                };
                let mut case = Case::new(op, activation, vec![shape], shape, &mut Random(1));
                case.inputs = vec![Z.to_vec()];
                let mut seed = G.to_vec();
                if let Op::Shuffle { .. } = op {
                    seed = (0..10).map(|i| G[i % 2 * 5 + i / 2]).collect();
                }
                let found = case.backward(0, rule, &seed, 0.0, Isa::detect(), false);
                for i in 0..Z.len() {
                    let wanted = wanted(rule, Z[i], G[i], hi, slope);
                    assert_eq!(
                        found[i], wanted,
                        "{activation:?} {op:?} {rule:?} at {}",
                        Z[i]
                    );
                }
            }
        }
    }
}

#[test]
fn parametric_relu_follows_each_rule() {
    let shape = Shape::new(2, 5, 1);
    for rule in [Rule::Gradient, Rule::Deconvolution, Rule::Guided] {
        let shapes = vec![shape, Shape::new(1, 1, 1)];
        let mut case = Case::new(Op::PRelu, Activation::None, shapes, shape, &mut Random(1));
        case.inputs = vec![Z.to_vec(), vec![0.5]];
        let found = case.backward(0, rule, &G, 0.0, Isa::detect(), false);
        for i in 0..Z.len() {
            assert_eq!(
                found[i],
                wanted(rule, Z[i], G[i], f32::INFINITY, 0.5),
                "{rule:?}"
            );
        }
    }
}

#[test]
fn smooth_activations_ignore_the_rule() {
    let shape = Shape::new(2, 5, 1);
    for activation in [
        Activation::Sigmoid,
        Activation::Silu,
        Activation::Tanh,
        Activation::HardSwish,
    ] {
        let mut case = Case::new(Op::Activate, activation, vec![shape], shape, &mut Random(1));
        case.inputs = vec![Z.to_vec()];
        let plain = case.backward(0, Rule::Gradient, &G, 0.0, Isa::detect(), false);
        assert!(plain.iter().zip(G).any(|(p, g)| *p != 0.0 && g < 0.0));
        for rule in [Rule::Deconvolution, Rule::Guided] {
            assert_eq!(case.backward(0, rule, &G, 0.0, Isa::detect(), false), plain);
        }
    }
}
