//! How fast the int8 convolutions are on this machine beside the f32 ones:
//! `cargo run --release -p foveola-core --example int8 [FILTER]`.

use foveola_core::net::arch::Isa;
use foveola_core::net::int8::make::{Spec, Weights, node, view};
use foveola_core::net::int8::{self, Operand8, bytes_len, words_len};
use foveola_core::net::op::{Activation, Geometry, Op};
use foveola_core::net::ops::packing::{bias_len, packed_len, plain_len};
use foveola_core::net::ops::{self, Node, Operand};
use foveola_core::net::quant::Quantisation;
use foveola_core::{Error, Shape};
use std::time::Instant;

/// Input, output channels, kernel, stride, groups as wide as the channels.
type Kind = ([usize; 3], usize, u16, u16, bool);

/// Layers of SqueezeNet, MobileNetV2, ResNet and MLPerf Tiny.
const LAYERS: [Kind; 20] = [
    ([224, 224, 3], 32, 3, 2, false),
    ([112, 112, 16], 96, 1, 1, false),
    ([112, 112, 96], 24, 1, 2, false),
    ([56, 56, 24], 144, 1, 1, false),
    ([56, 56, 144], 24, 1, 1, false),
    ([14, 14, 384], 64, 1, 1, false),
    ([7, 7, 320], 1280, 1, 1, false),
    ([55, 55, 16], 64, 3, 1, false),
    ([13, 13, 64], 256, 3, 1, false),
    ([7, 7, 512], 512, 3, 1, false),
    ([32, 32, 16], 16, 3, 1, false),
    ([48, 48, 8], 16, 1, 1, false),
    ([1, 1, 1280], 1000, 1, 1, false),
    ([112, 112, 32], 32, 3, 1, true),
    ([112, 112, 96], 96, 3, 2, true),
    ([56, 56, 144], 144, 3, 1, true),
    ([14, 14, 384], 384, 3, 1, true),
    ([7, 7, 960], 960, 3, 1, true),
    ([48, 48, 8], 8, 3, 1, true),
    ([3, 3, 256], 256, 3, 1, true),
];

/// Seconds of one run, the best of several.
fn best(mut run: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let mut best = f64::INFINITY;
    for _ in 0..40 {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Bytes of every kind.
fn bytes(len: usize) -> Vec<i8> {
    let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as i8;
    (0..len as u32).map(byte).collect()
}

fn in_f32(op: Op, input: Shape, output: Shape, isa: Isa) -> Result<f64, Error> {
    let floats = |len: usize| bytes(len).into_iter().map(f32::from).collect::<Vec<_>>();
    let node = Node {
        op,
        activation: Activation::Relu,
        input,
        output,
        weights: &floats(packed_len(op, input, output)),
        bias: &floats(output.c),
    };
    let (data, mut out) = (floats(input.len()), vec![0.0; output.len()]);
    let x = [Operand {
        shape: input,
        data: &data,
    }];
    best(|| ops::forward(&node, &x, 0, &mut out, &mut [], &mut [], isa).map(|_| ()))
}

fn in_int8(op: Op, input: Shape, output: Shape, isa: Isa) -> Result<f64, Error> {
    let quant = Quantisation {
        scale: 0.05,
        zero_point: -7,
    };
    let weights = Weights {
        values: &bytes(plain_len(op, input, output)),
        zero_point: 0,
        scales: &vec![0.01; output.c],
        bias: &vec![100; bias_len(op, output)],
    };
    let spec = Spec {
        op,
        activation: Activation::Relu,
        inputs: &[(input, quant)],
        output: (output, quant),
        unsigned: false,
        weights: Some(weights),
    };
    let mut numbers = vec![0; bytes_len(op, input, output)];
    let mut words = vec![0; words_len(op, 1, output)];
    let range = node(&spec, &mut numbers, &mut words).ok_or(Error::Internal)?;
    let node = view(&spec, 0, &numbers, &words, range).ok_or(Error::Internal)?;
    let (data, mut out) = (bytes(input.len()), vec![0; output.len()]);
    let mut scratch = vec![0; int8::scratch_len(&node, isa)];
    let x = [Operand8 {
        shape: input,
        data: &data,
        quant,
    }];
    best(|| int8::forward(&node, &x, 0, 0, &mut out, &mut [], &mut scratch, isa))
}

fn main() -> Result<(), Error> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    for (i, channels, k, s, depthwise) in LAYERS {
        let input = Shape::new(i[0], i[1], i[2]);
        let out = |size: usize| (size - 1) / usize::from(s) + 1;
        let output = Shape::new(out(i[0]), out(i[1]), channels);
        let geometry = Geometry {
            kernel: [k; 2],
            stride: [s; 2],
            dilation: [1; 2],
            pad: [k / 2; 2],
        };
        let (op, kind, inputs) = if depthwise {
            (Op::Depthwise { geometry }, "depthwise", 1)
        } else {
            let groups = 1;
            (Op::Conv { geometry, groups }, "conv", input.c)
        };
        let name = format!("{kind} {k}x{k}/{s} {}x{}->{channels}", i[0], i[2]);
        if !name.contains(&filter) {
            continue;
        }
        let products = (output.len() * usize::from(k * k) * inputs) as f64;
        for isa in Isa::every().chain([Isa::detect().fused()]) {
            let (long, short) = (
                in_f32(op, input, output, isa)?,
                in_int8(op, input, output, isa)?,
            );
            println!(
                "{name:26} {isa:?}: f32 {:5.1}, int8 {:5.1} GMAC/s ({:.2}x, {:.3} ms)",
                products / long / 1e9,
                products / short / 1e9,
                long / short,
                short * 1e3
            );
        }
    }
    Ok(())
}
