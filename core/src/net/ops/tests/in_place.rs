//! Nodes that write over an input, against the same nodes beside it.

use super::{Case, Random, bits};
use crate::net::arch::Isa;
use crate::net::int8;
use crate::net::int8::tests::made::{Made, SHARES, made};
use crate::net::model::is_elementwise;
use crate::net::op::{Activation, Arithmetic, Op};
use crate::net::ops::tests::cases::{FAMILIES, case};
use crate::net::ops::{Operand, forward_in_place};
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

/// Output over input `part`, by every instruction set.
fn check(case: &Case, part: usize) {
    let operands = case.operands();
    let other: Option<&Operand<'_>> = match operands.len() {
        2 => Some(&operands[1 - part]),
        _ => None,
    };
    for isa in Isa::every() {
        let (expected, _, saw_nan) = case.forward(isa);
        let mut values = case.inputs[part].clone();
        let seen = forward_in_place(&case.node(0), part, other, &mut values, isa).unwrap();
        assert_eq!(bits(&values), bits(&expected), "{isa:?} {part} {case:?}");
        assert_eq!(seen, saw_nan, "{case:?}");
    }
}

fn check8(made: &Made, part: usize) {
    let operands = made.operands();
    let other = match operands.len() {
        2 => Some(&operands[1 - part]),
        _ => None,
    };
    for isa in Isa::every() {
        let (expected, _) = made.forward(isa, SHARES[0]);
        let mut values = made.data[part].clone();
        let own = (part, made.inputs[part].1);
        int8::forward_in_place(&made.node(0), own, other, &mut values, isa).unwrap();
        assert_eq!(values, expected, "{isa:?} {part} {made:?}");
    }
}

#[test]
fn real_nodes_write_over_an_input() {
    let mut random = Random(11);
    let mut seen = [0; 2];
    for family in 0..FAMILIES {
        for _ in 0..60 {
            let case = case(family, &mut random);
            for (part, seen) in seen.iter_mut().enumerate().take(case.shapes.len()) {
                if is_elementwise(case.op, &case.shapes, case.output, part) {
                    check(&case, part);
                    *seen += 1;
                }
            }
        }
    }
    assert!(seen[0] > 150 && seen[1] > 50, "{seen:?}");
}

#[test]
fn integer_nodes_write_over_an_input() {
    let mut random = Random(12);
    let mut seen = [0; 2];
    for family in 0..FAMILIES {
        for _ in 0..60 {
            let Some(made) = made(family, &mut random) else {
                continue;
            };
            let shapes: Vec<Shape> = made.inputs.iter().map(|(shape, _)| *shape).collect();
            for (part, seen) in seen.iter_mut().enumerate().take(shapes.len()) {
                if is_elementwise(made.op, &shapes, made.output.0, part) {
                    check8(&made, part);
                    *seen += 1;
                }
            }
        }
    }
    assert!(seen[0] > 100 && seen[1] > 20, "{seen:?}");
}

/// More channels than are held aside at once, and one value for each of them.
#[test]
fn many_channels_and_one_value_each() {
    let mut random = Random(13);
    for c in [63, 64, 65, 150] {
        let shape = Shape::new(2, 3, c);
        let each = Shape::new(1, 1, c);
        let activation = Activation::Clip { lo: -0.4, hi: 0.7 };
        let none = Activation::None;
        check(
            &Case::new(Op::Affine, activation, vec![shape], shape, &mut random),
            0,
        );
        let shapes = || vec![shape, each];
        check(&Case::new(Op::PRelu, none, shapes(), shape, &mut random), 0);
        let op = Op::Binary(Arithmetic::Sub);
        check(&Case::new(op, activation, shapes(), shape, &mut random), 0);
        let shapes = vec![each, shape];
        check(&Case::new(op, activation, shapes, shape, &mut random), 1);
    }
}
