//! Every rule against its formula, written out in f64 over a dense matrix.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic

use super::*;
use crate::net::arch::Isa;
use crate::net::op::{Geometry, Op};
use crate::net::ops::packing::{packed_index, packed_len, plain_len};
use crate::relevance::{LayerRelevance, LayerRule};
use crate::tensor::{Shape, Values};
use std::vec;
use std::vec::Vec;

/// A layer with its weights in plain order.
struct Made {
    op: Op,
    input: Shape,
    output: Shape,
    plain: Vec<f32>,
    packed: Vec<f32>,
    bias: Vec<f32>,
}

/// Numbers of both signs, some 0, none alike.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = (state >> 16) as f32 / 32768.0 - 1.0;
        if state >> 29 == 0 { 0.0 } else { value }
    };
    (0..count).map(|_| next()).collect()
}

impl Made {
    fn new(op: Op, input: Shape, output: Shape, plain: &[f32], bias: &[f32]) -> Self {
        let mut packed = vec![0.0; packed_len(op, input, output)];
        for (i, &w) in plain.iter().enumerate() {
            packed[packed_index(op, input, output, i)] = w;
        }
        Self {
            op,
            input,
            output,
            plain: plain.to_vec(),
            packed,
            bias: bias.to_vec(),
        }
    }

    fn random(op: Op, input: Shape, output: Shape, seed: u32) -> Self {
        let plain = numbers(plain_len(op, input, output), seed);
        Self::new(op, input, output, &plain, &numbers(output.c, seed + 1))
    }

    fn layer<'a>(&'a self, norm: Option<Norm<'a>>) -> Layer<'a> {
        Layer {
            op: self.op,
            input: self.input,
            output: self.output,
            weights: Weights::Real(&self.packed, &self.bias),
            norm,
            isa: Isa::portable(),
        }
    }

    /// Weight of every pair of an output and an input that a window joins.
    fn matrix(&self) -> Vec<Vec<Option<f64>>> {
        let (input, output) = (self.input, self.output);
        let mut matrix = vec![vec![None; input.len()]; output.len()];
        let Op::Conv { geometry, groups } = self.op else {
            let Op::Depthwise { geometry } = self.op else {
                for (k, row) in matrix.iter_mut().enumerate() {
                    for (j, w) in row.iter_mut().enumerate() {
                        *w = Some(self.plain[k * input.len() + j].into());
                    }
                }
                return matrix;
            };
            self.windows(geometry, |y, x, iy, ix, tap| {
                for c in 0..output.c {
                    let w = self.plain[tap * output.c + c];
                    let k = (y * output.w + x) * output.c + c;
                    matrix[k][(iy * input.w + ix) * input.c + c] = Some(w.into());
                }
            });
            return matrix;
        };
        let groups = usize::from(groups);
        let taps = geometry
            .kernel
            .iter()
            .map(|&k| usize::from(k))
            .product::<usize>();
        let (own, outputs) = (input.c / groups, output.c / groups);
        self.windows(geometry, |y, x, iy, ix, tap| {
            for o in 0..output.c {
                for i in 0..own {
                    let w = self.plain[(o * taps + tap) * own + i];
                    let k = (y * output.w + x) * output.c + o;
                    let j = (iy * input.w + ix) * input.c + o / outputs * own + i;
                    matrix[k][j] = Some(w.into());
                }
            }
        });
        matrix
    }

    fn windows(&self, g: Geometry, mut visit: impl FnMut(usize, usize, usize, usize, usize)) {
        let at = |o: usize, k: usize, axis: usize, size: usize| {
            let place = (o * usize::from(g.stride[axis]) + k * usize::from(g.dilation[axis]))
                .checked_sub(usize::from(g.pad[axis]))?;
            (place < size).then_some(place)
        };
        for y in 0..self.output.h {
            for x in 0..self.output.w {
                for ky in 0..usize::from(g.kernel[0]) {
                    for kx in 0..usize::from(g.kernel[1]) {
                        let iy = at(y, ky, 0, self.input.h);
                        let ix = at(x, kx, 1, self.input.w);
                        if let (Some(iy), Some(ix)) = (iy, ix) {
                            visit(y, x, iy, ix, ky * usize::from(g.kernel[1]) + kx);
                        }
                    }
                }
            }
        }
    }
}

fn setting(rule: LayerRule, epsilon: f32) -> Setting {
    Setting {
        rule,
        epsilon,
        bias: false,
        range: Some([[-1.5, -2.0, -1.0, -3.0], [2.5, 1.0, 3.0, 2.0]]),
    }
}

fn run(layer: &Layer<'_>, a: &[f32], setting: &Setting, out: &[f32]) -> (Vec<f32>, LayerRelevance) {
    let inputs = [layer.input, Shape::new(0, 0, 0)];
    let bytes = scratch_bytes(layer.op, inputs, layer.output);
    let mut scratch = vec![f32::NAN; bytes / 4];
    let mut room = Room::of(layer.op, inputs, layer.output, &mut scratch).unwrap();
    let mut into = vec![0.0; layer.input.len()];
    let mut sums = LayerRelevance::default();
    let places = (&mut room, &mut [][..]);
    linear(
        (layer, &Values::Real(a), setting),
        out,
        &mut into,
        places,
        &mut sums,
    )
    .unwrap();
    (into, sums)
}

/// Numerators of one output, and its denominator, both before the stabiliser.
fn shares(
    rule: LayerRule,
    row: &[Option<f64>],
    a: &[f64],
    b: f64,
    c: usize,
    up: bool,
) -> (Vec<f64>, f64) {
    let [low, high] = setting(rule, 0.0).range.unwrap();
    let pos = |v: f64| v.max(0.0);
    let neg = |v: f64| v.min(0.0);
    let mut bias = 0.0;
    let each: Vec<f64> = row
        .iter()
        .zip(a)
        .enumerate()
        .map(|(j, (w, &a))| {
            let Some(w) = *w else { return 0.0 };
            match rule {
                LayerRule::Epsilon => a * w,
                LayerRule::ZPlus => pos(a * w),
                LayerRule::AlphaBeta(_) => {
                    if up {
                        pos(a * w)
                    } else {
                        neg(a * w)
                    }
                }
                LayerRule::Gamma(gamma) => {
                    let product = a * w;
                    let raised = if up { pos(product) } else { neg(product) };
                    product + f64::from(gamma) * raised
                }
                LayerRule::WSquare => w * w,
                LayerRule::Flat => 1.0,
                LayerRule::ZBox => {
                    let (l, h) = (f64::from(low[j % c]), f64::from(high[j % c]));
                    a * w - l * pos(w) - h * neg(w)
                }
            }
        })
        .collect();
    match rule {
        LayerRule::Epsilon => bias = b,
        LayerRule::Gamma(gamma) => bias = b + f64::from(gamma) * if up { pos(b) } else { neg(b) },
        _ => {}
    }
    let total = each.iter().sum::<f64>() + bias;
    (each, total)
}

/// The rule's formula over a matrix.
fn expected(
    (rule, epsilon): (LayerRule, f64),
    (matrix, bias): (&[Vec<Option<f64>>], &[f64]),
    (a, c): (&[f64], usize),
    out: &[f64],
) -> Vec<f64> {
    let mut into = vec![0.0; a.len()];
    for (k, row) in matrix.iter().enumerate() {
        let b = bias[k % bias.len()];
        let z: f64 = row
            .iter()
            .zip(a)
            .map(|(w, a)| w.unwrap_or(0.0) * a)
            .sum::<f64>()
            + b;
        let sides: Vec<(f64, bool)> = match rule {
            LayerRule::AlphaBeta(alpha) => {
                vec![(alpha.into(), true), (1.0 - f64::from(alpha), false)]
            }
            LayerRule::Gamma(_) => vec![(1.0, z >= 0.0)],
            _ => vec![(1.0, true)],
        };
        for (factor, up) in sides {
            let (each, total) = shares(rule, row, a, b, c, up);
            let by = total + if total < 0.0 { -epsilon } else { epsilon };
            if by != 0.0 {
                for (into, share) in into.iter_mut().zip(each) {
                    *into += factor * share / by * out[k];
                }
            }
        }
    }
    into
}

fn cases() -> Vec<Made> {
    let geometry = |kernel, stride, pad| Geometry {
        kernel,
        stride,
        dilation: [1, 1],
        pad,
    };
    let conv = |g, groups| Op::Conv {
        geometry: g,
        groups,
    };
    let wide = Shape::new(5, 7, 4);
    vec![
        Made::random(Op::Dense, Shape::new(1, 4, 3), Shape::new(1, 1, 9), 1),
        Made::random(Op::Dense, Shape::new(2, 3, 4), Shape::new(1, 1, 3), 2),
        Made::random(
            conv(geometry([3, 2], [2, 1], [1, 0]), 1),
            wide,
            Shape::new(3, 6, 10),
            3,
        ),
        Made::random(
            conv(geometry([3, 3], [1, 2], [1, 1]), 2),
            wide,
            Shape::new(5, 4, 6),
            4,
        ),
        Made::random(
            conv(geometry([1, 1], [1, 1], [0, 0]), 1),
            wide,
            Shape::new(5, 7, 9),
            5,
        ),
        Made::random(
            Op::Depthwise {
                geometry: geometry([3, 3], [1, 1], [1, 1]),
            },
            wide,
            wide,
            6,
        ),
    ]
}

const RULES: [LayerRule; 9] = [
    LayerRule::Epsilon,
    LayerRule::Gamma(0.25),
    LayerRule::Gamma(2.0),
    LayerRule::ZPlus,
    LayerRule::AlphaBeta(1.0),
    LayerRule::AlphaBeta(2.0),
    LayerRule::WSquare,
    LayerRule::Flat,
    LayerRule::ZBox,
];

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| v.into()).collect()
}

fn close(found: &[f32], wanted: &[f64], what: &str) {
    let most = wanted.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        let difference = (f64::from(*f) - w).abs();
        assert!(difference <= 3e-5 * most, "{what}, element {i}: {f} {w}");
    }
}

#[test]
fn every_rule_is_its_formula() {
    for (n, made) in cases().iter().enumerate() {
        let matrix = made.matrix();
        let a = numbers(made.input.len(), 77 + n as u32);
        let out = numbers(made.output.len(), 99 + n as u32);
        for rule in RULES {
            for epsilon in [0.5, 0.01] {
                let (found, sums) = run(&made.layer(None), &a, &setting(rule, epsilon), &out);
                let wanted = expected(
                    (rule, epsilon.into()),
                    (&matrix, &wide(&made.bias)),
                    (&wide(&a), made.input.c),
                    &wide(&out),
                );
                close(&found, &wanted, &std::format!("case {n}, {rule:?}"));
                let all: f64 = wide(&out).iter().sum();
                let left = sums.into + sums.bias + sums.epsilon;
                let most = wide(&found).iter().fold(1.0, |m: f64, v| m.max(v.abs()));
                assert!(
                    (all - left).abs() < 1e-3 * most,
                    "case {n} {rule:?} {all} {sums:?}"
                );
            }
        }
    }
}

/// A batch normalisation that is folded scales rows of the matrix and shifts biases.
#[test]
fn a_folded_norm_is_a_part_of_the_layer() {
    for (n, made) in cases().iter().enumerate() {
        let scale: Vec<f32> = numbers(made.output.c, 5).iter().map(|v| v + 1.5).collect();
        let shift = numbers(made.output.c, 6);
        let mut matrix = made.matrix();
        for (k, row) in matrix.iter_mut().enumerate() {
            for w in row.iter_mut().flatten() {
                *w *= f64::from(scale[k % made.output.c]);
            }
        }
        let bias: Vec<f64> = (0..made.output.c)
            .map(|c| f64::from(made.bias[c]) * f64::from(scale[c]) + f64::from(shift[c]))
            .collect();
        let a = numbers(made.input.len(), 7);
        let out = numbers(made.output.len(), 8);
        let norm = Norm {
            scale: &scale,
            shift: &shift,
        };
        for rule in RULES {
            let (found, _) = run(&made.layer(Some(norm)), &a, &setting(rule, 0.5), &out);
            let a = (&wide(&a)[..], made.input.c);
            let wanted = expected((rule, 0.5), (&matrix, &bias), a, &wide(&out));
            close(&found, &wanted, &std::format!("case {n}, {rule:?}"));
        }
    }
}

/// A published kind of example, computed elsewhere in f64: two dense layers.
#[test]
fn two_layers_by_hand() {
    let vector = |c| Shape::new(1, 1, c);
    let first = [1.0, -0.5, 2.0, -1.0, 1.0, 0.5];
    let first = Made::new(Op::Dense, vector(3), vector(2), &first, &[0.1, -0.2]);
    let second = [1.0, 0.5, -1.0, 2.0];
    let second = Made::new(Op::Dense, vector(2), vector(2), &second, &[0.0, 0.3]);
    let (a, hidden) = ([1.0, 2.0, 0.5], [1.1, 1.05]);
    let both = |rule, epsilon| {
        let setting = setting(rule, epsilon);
        let (middle, _) = run(&second.layer(None), &hidden, &setting, &[1.625, 0.0]);
        run(&first.layer(None), &a, &setting, &middle).0
    };
    close(
        &both(LayerRule::Epsilon, 1e-9),
        &[0.5, 0.0, 1.125],
        "epsilon",
    );
    let gamma = [0.520_572_5, 0.137_030_4, 0.947_898];
    close(&both(LayerRule::Gamma(0.25), 0.0), &gamma, "gamma");
    // By hand: 1.1 and 0.525 of 1.625 go on; their positive parts are (1, 0, 1)
    // of 2 and (0, 2, 0.25) of 2.25.
    let zplus = [0.55, 0.525 * 2.0 / 2.25, 0.55 + 0.525 * 0.25 / 2.25];
    close(&both(LayerRule::ZPlus, 0.0), &zplus, "z+");
}

/// Nothing is divided by 0, and what cannot be shared is told.
#[test]
fn a_sum_of_zero_shares_nothing() {
    let vector = |c| Shape::new(1, 1, c);
    let made = Made::new(Op::Dense, vector(2), vector(1), &[1.0, -1.0], &[0.0]);
    let (into, sums) = run(
        &made.layer(None),
        &[3.0, 3.0],
        &setting(LayerRule::Epsilon, 0.0),
        &[2.0],
    );
    assert_eq!((into, sums.into, sums.epsilon), (vec![0.0, 0.0], 0.0, 2.0));
}
