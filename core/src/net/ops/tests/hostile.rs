//! What the check must refuse, and the packed order as documented.

use super::Random;
use super::cases::{FAMILIES, case};
use crate::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};
use crate::net::ops::check;
use crate::net::ops::packing::{packed_index, packed_len, plain_len};
use crate::tensor::Shape;
use std::vec::Vec;

const G: Geometry = Geometry {
    kernel: [2, 2],
    stride: [1, 1],
    dilation: [1, 1],
    pad: [0, 0],
};
const S: Shape = Shape::new(4, 4, 4);

fn refuses(op: Op, inputs: &[Shape], output: Shape) {
    assert!(
        !check(op, Activation::None, inputs, output),
        "{op:?} {inputs:?} {output:?}"
    );
}

#[test]
fn nonsense_is_refused() {
    let conv = |geometry, groups| Op::Conv { geometry, groups };
    let out = Shape::new(3, 3, 4);
    assert!(check(conv(G, 1), Activation::None, &[S], out));
    for broken in [
        Geometry {
            kernel: [0, 2],
            ..G
        },
        Geometry {
            stride: [1, 0],
            ..G
        },
        Geometry {
            dilation: [0, 1],
            ..G
        },
    ] {
        refuses(conv(broken, 1), &[S], out);
        refuses(Op::MaxPool(broken), &[S], out);
        refuses(Op::Depthwise { geometry: broken }, &[S], out);
    }
    refuses(conv(G, 0), &[S], out);
    refuses(conv(G, 3), &[S], out);
    refuses(conv(G, 1), &[S, S], out);
    refuses(conv(G, 1), &[], out);
    refuses(conv(G, 1), &[Shape::new(0, 4, 4)], out);
    refuses(Op::Depthwise { geometry: G }, &[S], Shape::new(3, 3, 5));
    refuses(Op::Dense, &[S], Shape::new(1, 2, 3));
    // A pool's window that holds no input pixel.
    refuses(Op::MaxPool(G), &[S], Shape::new(5, 3, 4));
    refuses(Op::MaxPool(Geometry { pad: [2, 0], ..G }), &[S], out);
    refuses(
        Op::MaxPool(Geometry {
            kernel: [257, 257],
            ..G
        }),
        &[S],
        Shape::new(1, 1, 4),
    );
    refuses(Op::Shuffle { groups: 0 }, &[S], S);
    refuses(Op::Shuffle { groups: 3 }, &[S], S);
    refuses(
        Op::Lrn {
            size: 0,
            alpha: 1.0,
            beta: 1.0,
            bias: 1.0,
        },
        &[S],
        S,
    );
    refuses(
        Op::Slice {
            start: [0; 3],
            step: [1, 0, 1],
        },
        &[S],
        S,
    );
    refuses(
        Op::Slice {
            start: [1, 0, 0],
            step: [1; 3],
        },
        &[S],
        S,
    );
    refuses(Op::Concat { axis: 3 }, &[S, S], S);
    refuses(Op::Concat { axis: 2 }, &[S, S], S);
    refuses(Op::Concat { axis: 2 }, &[], S);
    refuses(
        Op::Pad {
            before: [4, 0, 0],
            mode: PadMode::Reflect,
        },
        &[S],
        Shape::new(8, 4, 4),
    );
    refuses(
        Op::Pad {
            before: [0, 5, 0],
            mode: PadMode::Edge,
        },
        &[S],
        Shape::new(4, 8, 4),
    );
    refuses(
        Op::Pad {
            before: [0; 3],
            mode: PadMode::Constant(f32::NAN),
        },
        &[S],
        S,
    );
    refuses(Op::Binary(Arithmetic::Add), &[S, Shape::new(1, 2, 4)], S);
    refuses(Op::Binary(Arithmetic::Add), &[Shape::new(1, 4, 4); 2], S);
    refuses(Op::PRelu, &[Shape::new(1, 4, 4), S], S);
    refuses(
        Op::Mean {
            axes: [true, false, false],
        },
        &[S],
        S,
    );
    for activation in [
        Activation::Clip { lo: 1.0, hi: 0.0 },
        Activation::Clip {
            lo: f32::NAN,
            hi: 0.0,
        },
        Activation::LeakyRelu { slope: -0.5 },
        Activation::LeakyRelu { slope: f32::NAN },
        Activation::HardSigmoid {
            alpha: f32::INFINITY,
            beta: 0.0,
        },
    ] {
        assert!(!check(Op::Activate, activation, &[S], S), "{activation:?}");
    }
    assert!(!check(Op::Softmax, Activation::Tanh, &[S], S));
}

#[test]
fn sizes_that_overflow_are_refused() {
    let huge = Shape::new(usize::MAX / 2, 3, 1);
    let long = Shape::new(1, 1, isize::MAX as usize / 16);
    refuses(Op::Softmax, &[huge], huge);
    assert!(check(Op::Softmax, Activation::None, &[long], long));
    refuses(Op::Dense, &[long], Shape::new(1, 1, 64));
    let g = Geometry {
        kernel: [u16::MAX; 2],
        dilation: [u16::MAX; 2],
        ..G
    };
    refuses(
        Op::Conv {
            geometry: g,
            groups: 1,
        },
        &[S],
        S,
    );
    refuses(Op::MaxPool(g), &[S], S);
    let wide = Geometry {
        stride: [u16::MAX; 2],
        ..G
    };
    refuses(
        Op::Conv {
            geometry: wide,
            groups: 1,
        },
        &[S],
        Shape::new(1 << 14, 1, 1),
    );
}

/// Random numbers in every field: the check answers, and what it accepts runs.
#[test]
fn what_the_check_accepts_runs() {
    let mut random = Random(11);
    let mut ran = 0;
    for round in 0..20_000 {
        let mut case = case(round % FAMILIES, &mut random);
        let mut axes: Vec<&mut usize> = Vec::new();
        for s in case.shapes.iter_mut().chain([&mut case.output]) {
            axes.extend([&mut s.h, &mut s.w, &mut s.c]);
        }
        let which = random.below(axes.len());
        *axes[which] = random.within(0, 12);
        if check(case.op, case.activation, &case.shapes, case.output) {
            let case = super::Case::new(
                case.op,
                case.activation,
                case.shapes,
                case.output,
                &mut random,
            );
            let seed = random.values(case.output.len());
            let (rule, isa) = (crate::Rule::Gradient, crate::net::arch::Isa::detect());
            let _ = case.backward(0, rule, &seed, 0.0, isa, round % 2 == 0);
            ran += 1;
        }
    }
    assert!(ran > 1000);
}

#[test]
fn weights_lie_in_blocks_of_eight_channels() {
    let op = Op::Conv {
        geometry: G,
        groups: 2,
    };
    let (input, output) = (Shape::new(5, 5, 6), Shape::new(4, 4, 20));
    // Two groups of ten channels: blocks of 8 and 2 channels, each 2 x 2 x 3 x 8 long.
    let block = 2 * 2 * 3 * 8;
    assert_eq!(packed_len(op, input, output), 4 * block);
    assert_eq!(plain_len(op, input, output), 20 * 12);
    let plain = |co: usize, ky: usize, kx: usize, ci: usize| ((co * 2 + ky) * 2 + kx) * 3 + ci;
    let place = |co, ky, kx, ci| packed_index(op, input, output, plain(co, ky, kx, ci));
    assert_eq!(place(0, 0, 0, 0), 0);
    assert_eq!(place(7, 0, 0, 0), 7);
    assert_eq!(place(3, 1, 0, 2), ((2 * 3) + 2) * 8 + 3);
    assert_eq!(place(9, 0, 1, 0), block + 3 * 8 + 1);
    assert_eq!(place(10, 0, 0, 0), 2 * block);
    assert_eq!(place(19, 1, 1, 2), 3 * block + 11 * 8 + 1);
}
