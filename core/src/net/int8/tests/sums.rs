//! Convolutions, each variant, against sums in i64 and roundings in i128.

use super::made::{Made, SHARES, made};
use crate::net::arch::Isa;
use crate::net::int8::{Rows8, forward_row, scratch_len};
use crate::net::op::{Geometry, Op};
use crate::net::ops::tests::Random;
use crate::net::ops::tests::cases::FAMILIES;
use crate::net::ops::tests::naive::{index, inside};
use std::vec;
use std::vec::Vec;

/// Geometry, groups, and whether weights are HWC.
pub fn convolution(made: &Made) -> Option<(Geometry, usize, bool)> {
    let input = made.inputs[0].0;
    match made.op {
        Op::Conv { geometry, groups } => Some((geometry, groups.into(), false)),
        Op::Depthwise { geometry } => Some((geometry, input.c, true)),
        // One window over everything.
        Op::Dense => Some((
            Geometry {
                kernel: [input.h as u16, input.w as u16],
                stride: [1; 2],
                dilation: [1; 2],
                pad: [0; 2],
            },
            1,
            false,
        )),
        _ => None,
    }
}

/// The sum of an output element before requantisation, by its definition.
fn sum(made: &Made, y: usize, x: usize, c: usize) -> i64 {
    let (input, from) = made.inputs[0];
    let (g, groups, depthwise) = convolution(made).unwrap();
    let [kh, kw] = g.kernel.map(usize::from);
    let (inputs, outputs) = (input.c / groups, made.output.0.c / groups);
    let mut sum = made.bias.get(c).map_or(0, |&b| i64::from(b));
    for ky in 0..kh {
        for kx in 0..kw {
            let Some((iy, ix)) = inside(y, ky, g, 0, input.h).zip(inside(x, kx, g, 1, input.w))
            else {
                continue;
            };
            for i in 0..inputs {
                let w = if depthwise {
                    made.weights[(ky * kw + kx) * input.c + c]
                } else {
                    made.weights[((c * kh + ky) * kw + kx) * inputs + i]
                };
                let v = made.data[0][index(input, iy, ix, c / outputs * inputs + i)];
                sum += (i64::from(v) - i64::from(from.zero_point))
                    * (i64::from(w) - i64::from(made.weights_zero_point));
            }
        }
    }
    sum
}

/// `a / 2^n` rounded to nearest; ties away from 0, or upwards.
fn rounded(a: i128, n: u32, up: bool) -> i128 {
    let two = a * 2;
    let half = 1_i128 << n;
    if up || two >= 0 {
        (two + half) >> (n + 1)
    } else {
        -((-two + half) >> (n + 1))
    }
}

fn expected(made: &Made) -> Vec<i8> {
    let output = made.output.0;
    let channels = made.words.len() / 2;
    let shifts = &made.bytes[made.bytes.len() - channels..];
    let mut out = Vec::new();
    for y in 0..output.h {
        for x in 0..output.w {
            for (c, &shift) in shifts.iter().enumerate() {
                let sum = i128::from(sum(made, y, x, c));
                let multiplier = i128::from(made.words[channels + c]);
                let q = if made.op == Op::Dense {
                    rounded(sum * multiplier, (31 - i32::from(shift)) as u32, true)
                } else {
                    let raised = sum << shift.max(0);
                    let high = rounded(raised * multiplier, 31, true);
                    rounded(high, shift.min(0).unsigned_abs().into(), false)
                };
                let q = q + i128::from(made.output.1.zero_point);
                let [low, high] = made.range;
                out.push(q.clamp(low.into(), high.into()) as i8);
            }
        }
    }
    out
}

#[test]
fn every_variant_gives_the_sums_of_plain_loops() {
    let mut random = Random(21);
    let (mut saturated, mut inner) = (0, 0);
    for round in 0..1500 {
        let made = made(round % 5, &mut random).unwrap();
        let wanted = expected(&made);
        saturated += wanted.iter().filter(|q| made.range.contains(q)).count();
        inner += wanted.iter().filter(|q| !made.range.contains(q)).count();
        for isa in Isa::every() {
            for share in SHARES {
                assert_eq!(made.forward(isa, share).0, wanted, "{isa:?} {made:?}");
            }
        }
    }
    assert!(saturated > 10_000 && inner > 10_000, "{saturated} {inner}");
}

#[test]
fn rows_of_a_ring_give_the_bytes_of_the_whole() {
    let mut random = Random(22);
    for round in 0..2400 {
        let Some(made) = made(round % FAMILIES, &mut random) else {
            continue;
        };
        let (g, wanted) = match made.op {
            Op::MaxPool(geometry) | Op::AveragePool { geometry, .. } => {
                (geometry, made.forward(Isa::portable(), SHARES[0]).0)
            }
            Op::Conv { geometry, .. } | Op::Depthwise { geometry } => (geometry, expected(&made)),
            _ => continue,
        };
        let (input, output) = (made.inputs[0].0, made.output.0);
        let reach = usize::from(g.dilation[0]) * (usize::from(g.kernel[0]) - 1) + 1;
        let mut ring = vec![99; reach * input.row()];
        for y in 0..output.h {
            let first = (y * usize::from(g.stride[0])).saturating_sub(g.pad[0].into());
            for from in first..(first + reach).min(input.h) {
                let to = from % reach * input.row();
                ring[to..to + input.row()]
                    .copy_from_slice(&made.data[0][from * input.row()..][..input.row()]);
            }
            let rows = Rows8 {
                data: &ring,
                row: input.row(),
                modulo: reach,
            };
            for isa in Isa::every() {
                for share in SHARES {
                    let node = made.node(0);
                    let mut row = vec![5; output.row()];
                    let mut scratch = vec![9; share(scratch_len(&node, isa))];
                    forward_row(&node, rows, y, &mut row, &mut [], &mut scratch, isa).unwrap();
                    assert_eq!(row, wanted[y * output.row()..][..output.row()]);
                }
            }
        }
    }
}
