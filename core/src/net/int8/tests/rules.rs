//! Gates and rules, element by element as the rules' papers and the format say.

use super::made::{Made, quantisation};
use crate::Rule;
use crate::net::arch::Isa;
use crate::net::int8::{gate, keeps, record_gate};
use crate::net::op::{Activation, Arithmetic, Op};
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

const SHAPE: Shape = Shape::new(1, 1, 10);
const STORED: [i8; 10] = [-128, -128, -20, -20, -19, 40, 40, 126, 127, 127];
const GRADIENT: [f32; 10] = [1.0, -1.0, 2.0, -2.0, 3.0, 4.0, -4.0, 5.0, 6.0, -6.0];

/// The gradient behind the gate of an `Add` whose output is `STORED`.
fn behind(activation: Activation, rule: Rule) -> Vec<f32> {
    let quant = quantisation(0.1, -20);
    let made = Made {
        op: Op::Binary(Arithmetic::Add),
        activation,
        inputs: vec![(SHAPE, quant); 2],
        output: (SHAPE, quant),
        unsigned: false,
        weights: Vec::new(),
        weights_zero_point: 0,
        scales: Vec::new(),
        bias: Vec::new(),
        data: vec![STORED.to_vec(); 2],
        bytes: Vec::new(),
        words: Vec::new(),
        range: [0; 2],
    }
    .finish();
    let node = made.node(0);
    let mut keep = vec![0; keeps(node.op, activation, SHAPE, SHAPE).bytes];
    assert_eq!(keep.len(), 2);
    record_gate(&node, rule, &STORED, 0, &mut keep, Isa::portable());
    let mut gradient = GRADIENT.to_vec();
    gate(&node, rule, &keep, 0, &mut gradient).unwrap();
    gradient
}

#[test]
fn a_gradient_passes_strictly_inside() {
    let inside = [0.0, 0.0, 2.0, -2.0, 3.0, 4.0, -4.0, 5.0, 0.0, 0.0];
    for rule in [Rule::Gradient, Rule::Guided, Rule::Deconvolution] {
        assert_eq!(behind(Activation::None, rule), inside);
    }
    let above = [0.0, 0.0, 0.0, 0.0, 3.0, 4.0, -4.0, 5.0, 0.0, 0.0];
    assert_eq!(behind(Activation::Relu, Rule::Gradient), above);
    // 6 is stored as 40.
    let relu6 = Activation::Clip { lo: 0.0, hi: 6.0 };
    let below = [0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(behind(relu6, Rule::Gradient), below);
}

#[test]
fn rules_touch_relu_kinds_alone() {
    let guided = [0.0, 0.0, 0.0, 0.0, 3.0, 4.0, 0.0, 5.0, 0.0, 0.0];
    assert_eq!(behind(Activation::Relu, Rule::Guided), guided);
    let deconvolved = [1.0, 0.0, 2.0, 0.0, 3.0, 4.0, 0.0, 5.0, 0.0, 0.0];
    assert_eq!(behind(Activation::Relu, Rule::Deconvolution), deconvolved);
    // The upper bound keeps its gate.
    let relu6 = Activation::Clip { lo: 0.0, hi: 6.0 };
    let deconvolved = [1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(behind(relu6, Rule::Deconvolution), deconvolved);
}
