//! Every variant gives the bits of plain loops in f32 that sum in the stated order.

use super::cases::{FAMILIES, case};
use super::naive::{index, inside};
use super::{Case, Random, bits};
use crate::Rule;
use crate::net::arch::Isa;
use crate::net::op::{Activation, Geometry, Op};
use crate::net::ops::spans::Axis;
use crate::net::ops::{Rows, forward_row, own_bytes, scratch_len};
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

/// Geometry, groups, and whether the weights are those of a depthwise convolution.
fn convolution(case: &Case) -> Option<(Geometry, usize, bool)> {
    match case.op {
        Op::Conv { geometry, groups } => Some((geometry, groups.into(), false)),
        Op::Depthwise { geometry } => Some((geometry, case.shapes[0].c, true)),
        // One window over everything.
        Op::Dense => {
            let s = case.shapes[0];
            let kernel = [s.h as u16, s.w as u16];
            let geometry = Geometry {
                kernel,
                stride: [1; 2],
                dilation: [1; 2],
                pad: [0; 2],
            };
            Some((geometry, 1, false))
        }
        _ => None,
    }
}

/// Product by product: `visit(input element, output element, weight)`, for each
/// output in the order kernel row, column, input channel.
fn products(case: &Case, mut visit: impl FnMut(usize, usize, f32)) {
    let (input, output) = (case.shapes[0], case.output);
    let (g, groups, depthwise) = convolution(case).unwrap();
    let [kh, kw] = g.kernel.map(usize::from);
    let (ipg, opg) = (input.c / groups, output.c / groups);
    for ky in 0..kh {
        for kx in 0..kw {
            for (y, x, co) in pixels(output) {
                let Some(iy) = inside(y, ky, g, 0, input.h) else {
                    continue;
                };
                let Some(ix) = inside(x, kx, g, 1, input.w) else {
                    continue;
                };
                for ci in 0..ipg {
                    let w = if depthwise {
                        (ky * kw + kx) * input.c + co
                    } else {
                        ((co * kh + ky) * kw + kx) * ipg + ci
                    };
                    let from = index(input, iy, ix, co / opg * ipg + ci);
                    visit(from, index(output, y, x, co), case.weights[w]);
                }
            }
        }
    }
}

fn pixels(s: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..s.h).flat_map(move |y| (0..s.w).flat_map(move |x| (0..s.c).map(move |c| (y, x, c))))
}

fn plain_forward(case: &Case) -> Vec<f32> {
    let mut out: Vec<f32> = (0..case.output.len())
        .map(|i| case.bias.get(i % case.output.c).copied().unwrap_or(0.0))
        .collect();
    products(case, |i, o, w| out[o] += case.inputs[0][i] * w);
    for v in &mut out {
        *v = match case.activation {
            Activation::Relu if *v <= 0.0 => 0.0,
            Activation::Clip { lo, hi } => v.clamp(lo, hi),
            Activation::LeakyRelu { slope } if *v <= 0.0 => slope * *v,
            _ => *v,
        };
    }
    out
}

/// Of one input element, products come in the order kernel row, column, output channel.
fn plain_backward(case: &Case, seed: &[f32], before: f32) -> Vec<f32> {
    let mut sums = vec![0.0; case.shapes[0].len()];
    products(case, |i, o, w| sums[i] += seed[o] * w);
    sums.iter().map(|s| before + s).collect()
}

/// More pixels than meet the weights at once, weights near and far, channels that fill
/// vectors and not, both ways, and a NaN in the last place.
#[test]
fn large_products_sum_in_the_stated_order() {
    let mut random = Random(11);
    let kinds = [
        (13, 17, 5, 47, Activation::Clip { lo: 0.0, hi: 0.5 }),
        (1, 98, 16, 96, Activation::Relu),
        (7, 7, 290, 240, Activation::LeakyRelu { slope: 0.25 }),
        (3, 5, 33, 161, Activation::None),
    ];
    for (h, w, inputs, outputs, activation) in kinds {
        let geometry = Geometry {
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            pad: [0; 2],
        };
        let op = Op::Conv {
            geometry,
            groups: 1,
        };
        let shapes = [Shape::new(h, w, inputs), Shape::new(h, w, outputs)];
        let mut case = Case::new(op, activation, vec![shapes[0]], shapes[1], &mut random);
        let wanted = plain_forward(&case);
        for isa in Isa::every() {
            let found = case.forward(isa);
            assert_eq!(bits(&found.0), bits(&wanted), "{isa:?} {shapes:?}");
            assert!(!found.2, "{isa:?}");
        }
        let seed = random.values(case.output.len());
        case.activation = Activation::None;
        let wanted = plain_backward(&case, &seed, 0.125);
        for isa in Isa::every() {
            let found = case.backward(0, Rule::Gradient, &seed, 0.125, isa, true);
            assert_eq!(bits(&found), bits(&wanted), "{isa:?} {shapes:?}");
        }
        case.activation = activation;
        *case.inputs[0].last_mut().unwrap() = f32::NAN;
        for isa in Isa::every() {
            assert!(case.forward(isa).2, "{isa:?} {shapes:?}");
        }
    }
}

/// First layers: so few channels that columns share vectors and that one slice serves
/// a tile, strides, windows that reach over the border, rows of one vector and of many.
#[test]
fn few_channels_sum_in_the_stated_order() {
    let mut random = Random(12);
    let kinds = [
        ([12, 24], 3, 64, [7, 7], [2, 2], [3, 3]),
        ([9, 20], 3, 23, [3, 3], [2, 2], [0, 1]),
        ([5, 15], 3, 9, [5, 5], [1, 1], [2, 2]),
        ([8, 16], 1, 8, [3, 4], [1, 2], [1, 0]),
        ([7, 12], 4, 17, [2, 5], [3, 3], [1, 4]),
        ([6, 6], 2, 5, [3, 3], [1, 3], [1, 1]),
        ([4, 2], 8, 12, [3, 3], [1, 1], [1, 1]),
        ([9, 60], 3, 23, [3, 3], [2, 2], [0, 1]),
        ([4, 27], 3, 40, [3, 3], [1, 1], [0, 1]),
    ];
    for ([h, w], inputs, outputs, kernel, stride, pad) in kinds {
        let geometry = Geometry {
            kernel,
            stride,
            dilation: [1; 2],
            pad,
        };
        let op = Op::Conv {
            geometry,
            groups: 1,
        };
        let side = |axis: usize, side: usize| {
            let [k, s, p] = [kernel, stride, pad].map(|of| usize::from(of[axis]));
            (side + 2 * p - k) / s + 1
        };
        let output = Shape::new(side(0, h), side(1, w), outputs);
        let input = Shape::new(h, w, inputs);
        let case = Case::new(op, Activation::None, vec![input], output, &mut random);
        let wanted = plain_forward(&case);
        for isa in Isa::every() {
            let found = case.forward(isa).0;
            assert_eq!(bits(&found), bits(&wanted), "{isa:?} {geometry:?}");
        }
        let mut seed = random.values(case.output.len());
        seed.iter_mut().step_by(3).for_each(|g| *g = -0.0);
        let wanted = plain_backward(&case, &seed, 0.125);
        let plain = scratch_len(&case.node(0), Isa::portable());
        for isa in Isa::every() {
            let found = case.backward(0, Rule::Gradient, &seed, 0.125, isa, true);
            assert_eq!(bits(&found), bits(&wanted), "{isa:?} {geometry:?}");
            let own = scratch_len(&case.node(0), isa) != plain;
            assert_eq!(
                own,
                isa.has_vectors(),
                "{geometry:?}: not what this is about"
            );
        }
    }
}

#[test]
fn convolutions_sum_in_the_stated_order() {
    let mut random = Random(6);
    for round in 0..600 {
        let mut case = case(round % 5, &mut random);
        let wanted = plain_forward(&case);
        for isa in Isa::every() {
            assert_eq!(
                bits(&case.forward(isa).0),
                bits(&wanted),
                "{isa:?} {case:?}"
            );
        }
        case.activation = Activation::None;
        let mut seed = random.values(case.output.len());
        for g in seed.iter_mut().step_by(1 + round % 3) {
            *g = 0.0;
        }
        let wanted = plain_backward(&case, &seed, 0.125);
        for isa in Isa::every() {
            for scratch in [false, true] {
                let found = case.backward(0, Rule::Gradient, &seed, 0.125, isa, scratch);
                assert_eq!(bits(&found), bits(&wanted), "{isa:?} {scratch} {case:?}");
            }
        }
    }
}

#[test]
fn every_operator_gives_the_same_bits_on_every_instruction_set() {
    let mut random = Random(7);
    for family in 0..FAMILIES {
        for _ in 0..40 {
            let case = case(family, &mut random);
            let seed = random.values(case.output.len());
            let (out, keep, _) = case.forward(Isa::portable());
            let gradient = case.backward(0, Rule::Guided, &seed, 0.5, Isa::portable(), false);
            for isa in Isa::every() {
                let (out_too, keep_too, _) = case.forward(isa);
                assert_eq!((bits(&out), &keep), (bits(&out_too), &keep_too), "{case:?}");
                let too = case.backward(0, Rule::Guided, &seed, 0.5, isa, true);
                assert_eq!(bits(&gradient), bits(&too), "{case:?}");
            }
        }
    }
}

#[test]
fn rows_of_a_ring_give_the_bits_of_the_whole() {
    let mut random = Random(8);
    let mut pools = 0;
    for round in 0..1200 {
        let case = case(round % FAMILIES, &mut random);
        let g = match case.op {
            Op::Conv { geometry, .. } | Op::Depthwise { geometry } => geometry,
            Op::MaxPool(geometry) | Op::AveragePool { geometry, .. } => geometry,
            _ => continue,
        };
        let own = own_bytes(case.op, case.output);
        pools += usize::from(own > 0);
        let (input, output) = (case.shapes[0], case.output);
        let (whole, winners, _) = case.forward(Isa::portable());
        let mut keep = vec![0xAA; own];
        let reach = usize::from(g.dilation[0]) * (usize::from(g.kernel[0]) - 1) + 1;
        let mut ring = vec![f32::NAN; reach * input.row()];
        for y in 0..output.h {
            let first = (y * usize::from(g.stride[0])).saturating_sub(g.pad[0].into());
            for from in first..(first + reach).min(input.h) {
                let to = from % reach * input.row();
                ring[to..to + input.row()]
                    .copy_from_slice(&case.inputs[0][from * input.row()..][..input.row()]);
            }
            let rows = Rows {
                data: &ring,
                row: input.row(),
                modulo: reach,
            };
            for isa in Isa::every() {
                let mut row = vec![5.0; output.row()];
                let nan = forward_row(&case.node(0), rows, y, &mut row, &mut keep, isa).unwrap();
                assert!(!nan);
                assert_eq!(bits(&row), bits(&whole[y * output.row()..][..output.row()]));
            }
        }
        assert_eq!(keep, winners[..own], "{case:?}");
    }
    assert!(pools > 20, "{pools}");
}

/// Every tap of every target pixel, from the definition of a sliding window.
fn taps(g: Geometry, source: usize, target: usize, backward: bool) -> Vec<(usize, usize, usize)> {
    let mut all = Vec::new();
    let (input, output) = if backward {
        (target, source)
    } else {
        (source, target)
    };
    for o in 0..output {
        for k in 0..g.kernel[0].into() {
            if let Some(i) = inside(o, k, g, 0, input) {
                all.push(if backward { (i, k, o) } else { (o, k, i) });
            }
        }
    }
    all.sort_unstable();
    all
}

#[test]
fn spans_hold_each_tap_once() {
    let mut random = Random(9);
    for _ in 0..4000 {
        let mut one = |low, high| [random.within(low, high) as u16; 2];
        let g = Geometry {
            kernel: one(1, 6),
            stride: one(1, 6),
            dilation: one(1, 6),
            pad: one(0, 9),
        };
        let (source, target) = (random.within(1, 20), random.within(1, 20));
        for backward in [false, true] {
            let axis = if backward {
                Axis::backward(g, 0, source, target)
            } else {
                Axis::forward(g, 0, source, 0, target)
            };
            let mut found = Vec::new();
            let mut pixels = 0;
            for s in axis.spans() {
                pixels += s.count;
                for t in 0..s.count {
                    for j in 0..s.taps {
                        let from = s.from + t as isize * s.from_step + j as isize * s.hop;
                        found.push((s.to + t * s.to_step, s.tap + j * s.tap_step, from as usize));
                    }
                }
            }
            found.sort_unstable();
            assert_eq!(pixels, target);
            assert_eq!(
                found,
                taps(g, source, target, backward),
                "{g:?} {source} {target} {backward}"
            );
        }
    }
}

/// Fused products round once less each, so a sum of n products is off by at
/// most n + 1 roundings of the sum of magnitudes (Higham 2002, 3.1), as a
/// Strict one is.
#[test]
fn fused_sums_are_within_rounding_errors_of_the_exact_ones() {
    let mut random = Random(10);
    let mut other_bits = 0;
    for round in 0..300 {
        let mut case = case(round % 5, &mut random);
        case.activation = Activation::None;
        let bias = |i: usize| case.bias.get(i % case.output.c).copied().unwrap_or(0.0);
        let mut exact: Vec<f64> = (0..case.output.len()).map(|i| bias(i).into()).collect();
        let mut bound: Vec<(f64, f64)> = exact.iter().map(|b| (b.abs(), 1.0)).collect();
        products(&case, |i, o, w| {
            let product = f64::from(case.inputs[0][i]) * f64::from(w);
            exact[o] += product;
            bound[o].0 += product.abs();
            bound[o].1 += 1.0;
        });
        for isa in Isa::every().map(Isa::fused) {
            let (found, ..) = case.forward(isa);
            for ((found, exact), (sum, count)) in found.iter().zip(&exact).zip(&bound) {
                let most = sum * count * f64::from(f32::EPSILON);
                assert!(
                    (f64::from(*found) - exact).abs() <= most,
                    "{isa:?} {found} {exact} {case:?}"
                );
            }
            let strict = case.forward(Isa::portable()).0;
            let same = bits(&found) == bits(&strict);
            assert!(same || !isa.is_strict(), "{isa:?}");
            other_bits += usize::from(!same);
        }
    }
    let fused = Isa::every().map(Isa::fused).any(|isa| !isa.is_strict());
    assert_eq!(other_bits > 0, fused);
}
