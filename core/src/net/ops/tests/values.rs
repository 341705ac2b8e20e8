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

/// Where the window of output (y, x) has its first largest value of channel `c`.
fn winner(g: Geometry, input: Shape, x: &[f32], [oy, ox, c]: [usize; 3]) -> usize {
    let under = |axis: usize, o: usize, k: usize, size: usize| {
        let at = (o * usize::from(g.stride[axis]) + k).checked_sub(g.pad[axis].into())?;
        (at < size).then_some(at)
    };
    let mut best: Option<usize> = None;
    for j in 0..usize::from(g.kernel[0]) {
        for i in 0..usize::from(g.kernel[1]) {
            let at = under(0, oy, j, input.h).zip(under(1, ox, i, input.w));
            let Some((y, col)) = at else { continue };
            let at = (y * input.w + col) * input.c + c;
            if best.is_none_or(|best| x[at] > x[best]) {
                best = Some(at);
            }
        }
    }
    best.unwrap()
}

#[test]
fn winners_take_as_few_bits_as_their_window_needs() {
    for (kernel, bits, channels) in [
        ([1, 1], 2, 3),
        ([2, 2], 2, 5),
        ([4, 4], 4, 35),
        ([3, 6], 8, 3),
        ([16, 16], 8, 2),
        ([20, 20], 16, 3),
    ] {
        let geometry = Geometry {
            kernel,
            stride: [2, 3],
            dilation: [1, 1],
            pad: [kernel[0] / 3, kernel[1] / 3],
        };
        let input = Shape::new(27, 25, channels);
        let out = |axis: usize, size: usize| {
            let room = size + 2 * usize::from(geometry.pad[axis]) - usize::from(kernel[axis]);
            room / usize::from(geometry.stride[axis]) + 1
        };
        let output = Shape::new(out(0, input.h), out(1, input.w), channels);
        let op = Op::MaxPool(geometry);
        let mut random = Random(3);
        let mut case = Case::new(op, Activation::None, vec![input], output, &mut random);
        // Equals too: the first one wins.
        for v in &mut case.inputs[0] {
            *v = libm::roundf(*v * 8.0);
        }
        assert_eq!(case.keeps().bytes, (bits * output.len()).div_ceil(8));
        let seed = random.values(output.len());
        let rule = crate::Rule::Gradient;
        let gradient = case.backward(0, rule, &seed, 0.0, Isa::portable(), false);
        let mut expected = vec![0.0; input.len()];
        for (i, g) in seed.iter().enumerate() {
            let [y, x, c] = [i / output.row(), i / output.c % output.w, i % output.c];
            expected[winner(geometry, input, &case.inputs[0], [y, x, c])] += f64::from(*g);
        }
        for (have, want) in gradient.iter().zip(&expected) {
            assert!((f64::from(*have) - want).abs() < 1e-5, "{kernel:?}");
        }
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
