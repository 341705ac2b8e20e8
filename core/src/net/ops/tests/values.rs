//! Forward values, NaN, and windows that are too large for bytes.

use super::cases::{FAMILIES, case};
use super::naive::evaluate;
use super::{Case, Random};
use crate::net::arch::Isa;
use crate::net::op::{Activation, Geometry, Op};
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

/// Largest difference to the naive evaluation, in units of the largest value before the activation.
fn distance(case: &Case) -> f64 {
    let x: Vec<Vec<f64>> = case
        .inputs
        .iter()
        .map(|x| x.iter().map(|&v| v.into()).collect())
        .collect();
    let wanted = evaluate(case, &x);
    let (found, _, nan) = case.forward(Isa::detect());
    assert!(!nan, "{case:?}");
    let mut plain = case.clone();
    plain.activation = Activation::None;
    let scale = evaluate(&plain, &x)
        .iter()
        .fold(1.0, |m: f64, v| m.max(v.abs()));
    let pairs = wanted.iter().zip(&found);
    pairs.fold(0.0, |m: f64, (w, f)| m.max((w - f64::from(*f)).abs())) / scale
}

#[test]
fn every_operator_computes_its_definition() {
    let mut random = Random(1);
    for family in 0..FAMILIES {
        for _ in 0..250 {
            let case = case(family, &mut random);
            let distance = distance(&case);
            assert!(distance < 2e-6, "off by {distance}: {case:?}");
        }
    }
}

#[test]
fn nan_is_seen_before_an_activation_hides_it() {
    let mut random = Random(2);
    for family in 0..FAMILIES {
        for _ in 0..40 {
            let mut case = case(family, &mut random);
            if matches!(
                case.op,
                Op::Slice { .. } | Op::MaxPool(_) | Op::GlobalMaxPool
            ) {
                continue;
            }
            case.inputs[0].fill(f32::NAN);
            let window_misses = matches!(case.op, Op::Conv { .. } | Op::Depthwise { .. });
            if window_misses && distance_is_finite(&case) {
                continue;
            }
            for isa in Isa::every() {
                assert!(case.forward(isa).2, "{case:?}");
            }
        }
    }
}

/// Also NaN that an activation makes itself: 0 * -infinity of a leaky ReLU.
#[test]
fn nan_in_an_output_is_seen() {
    let mut random = Random(5);
    let mut made = 0;
    for family in 0..FAMILIES {
        for _ in 0..40 {
            let mut case = case(family, &mut random);
            if case.op != Op::Activate || random.below(4) == 0 {
                case.activation = Activation::LeakyRelu { slope: 0.0 };
            }
            case.inputs[0].fill([f32::INFINITY, f32::NEG_INFINITY][random.below(2)]);
            for isa in Isa::every() {
                let (out, _, seen) = case.forward(isa);
                let nan = out.iter().any(|v| v.is_nan());
                assert!(seen || !nan, "{case:?}");
                made += usize::from(nan);
            }
        }
    }
    assert!(made > 500, "{made}");
}

/// Whether no output of the definition is NaN (every window lies in the padding).
fn distance_is_finite(case: &Case) -> bool {
    let mut plain = case.clone();
    plain.activation = Activation::None;
    let x: Vec<Vec<f64>> = case
        .inputs
        .iter()
        .map(|x| vec![f64::NAN; x.len()])
        .collect();
    evaluate(&plain, &x).iter().all(|v| v.is_finite())
}

#[test]
fn winners_of_a_window_of_more_than_256_taps_take_two_bytes() {
    let geometry = Geometry {
        kernel: [20, 20],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [3, 3],
    };
    let input = Shape::new(24, 24, 3);
    let output = Shape::new(11, 11, 3);
    let case = Case::new(
        Op::MaxPool(geometry),
        Activation::None,
        vec![input],
        output,
        &mut Random(3),
    );
    assert_eq!(case.keeps().bytes, 2 * output.len());
    assert!(distance(&case) < 1e-12);
    let seed = vec![1.0; output.len()];
    let gradient = case.backward(0, crate::Rule::Gradient, &seed, 0.0, Isa::portable(), false);
    let (out, _, _) = case.forward(Isa::portable());
    let total: f32 = gradient.iter().sum();
    assert_eq!(total, output.len() as f32);
    for (g, x) in gradient.iter().zip(&case.inputs[0]) {
        assert_eq!(*g > 0.0, out.contains(x));
    }
}

#[test]
fn the_first_of_equals_wins_a_pool() {
    let geometry = Geometry {
        kernel: [2, 2],
        stride: [2, 2],
        dilation: [1, 1],
        pad: [0, 0],
    };
    let shape = Shape::new(2, 2, 1);
    for op in [Op::MaxPool(geometry), Op::GlobalMaxPool] {
        let mut case = Case::new(
            op,
            Activation::None,
            vec![shape],
            Shape::new(1, 1, 1),
            &mut Random(4),
        );
        case.inputs = vec![vec![-0.5, 3.0, 3.0, 3.0]];
        let gradient = case.backward(
            0,
            crate::Rule::Gradient,
            &[2.0],
            0.0,
            Isa::portable(),
            false,
        );
        assert_eq!(gradient, [0.0, 2.0, 0.0, 0.0]);
    }
}
