//! How fast the convolutions are on this machine, in billions of products a
//! second: `cargo run --release -p foveola-core --example kernels [FILTER]`.

use foveola_core::net::arch::Isa;
use foveola_core::net::op::{Activation, Geometry, Op};
use foveola_core::net::ops::packing::packed_len;
use foveola_core::net::ops::{Node, Operand, Saved, backward, forward, scratch_len};
use foveola_core::{Error, Rule, Shape};
use std::time::Instant;

/// Input, output channels, kernel, stride; layers of SqueezeNet, MobileNetV2, ResNet and MLPerf Tiny.
type Kind = ([usize; 3], usize, u16, u16);

const CONV: [Kind; 16] = [
    ([224, 224, 3], 32, 3, 2),
    ([224, 224, 3], 64, 7, 2),
    ([112, 112, 16], 96, 1, 1),
    ([112, 112, 96], 24, 1, 2),
    ([56, 56, 24], 144, 1, 1),
    ([56, 56, 144], 24, 1, 1),
    ([14, 14, 384], 64, 1, 1),
    ([14, 14, 64], 384, 1, 1),
    ([7, 7, 160], 960, 1, 1),
    ([7, 7, 320], 1280, 1, 1),
    ([55, 55, 16], 64, 3, 1),
    ([13, 13, 64], 256, 3, 1),
    ([7, 7, 512], 512, 3, 1),
    ([28, 28, 128], 256, 3, 2),
    ([32, 32, 12], 20, 5, 1),
    ([1, 1, 1280], 1000, 1, 1),
];

const DEPTHWISE: [Kind; 5] = [
    ([112, 112, 32], 32, 3, 1),
    ([112, 112, 96], 96, 3, 2),
    ([56, 56, 144], 144, 3, 1),
    ([14, 14, 384], 384, 3, 1),
    ([7, 7, 960], 960, 3, 1),
];

/// Seconds of one run, the best of several.
fn best(mut run: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let mut best = f64::INFINITY;
    for _ in 0..25 {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Values between -1 and 1.
fn values(len: usize) -> Vec<f32> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

fn measure(op: Op, input: Shape, output: Shape, products: f64, name: &str) -> Result<(), Error> {
    let weights = values(packed_len(op, input, output));
    let bias = values(output.c);
    let data = values(input.len());
    let node = Node {
        op,
        activation: Activation::Relu,
        input,
        output,
        weights: &weights,
        bias: &bias,
    };
    for isa in Isa::every().chain([Isa::detect().fused()]) {
        let mut out = vec![0.0; output.len()];
        let there = best(|| {
            let x = [Operand {
                shape: input,
                data: &data,
            }];
            forward(&node, &x, 0, &mut out, &mut [], &mut [], isa).map(|_| ())
        })?;
        let mut scratch = vec![0.0; scratch_len(&node, isa)];
        let mut grad = vec![0.0; input.len()];
        let saved = Saved {
            inputs: [None; 2],
            output: None,
            keep: &[],
        };
        let back = best(|| {
            backward(
                &node,
                0,
                0,
                Rule::Gradient,
                &out,
                &saved,
                &mut grad,
                &mut scratch,
                isa,
            )
        })?;
        report(name, isa, products, there, back);
    }
    Ok(())
}

fn report(name: &str, isa: Isa, products: f64, there: f64, back: f64) {
    println!(
        "{name:26} {isa:?}: forward {:5.1} GMAC/s ({:6.3} ms), backward {:5.1} GMAC/s ({:.2}x)",
        products / there / 1e9,
        there * 1e3,
        products / back / 1e9,
        back / there
    );
}

fn main() -> Result<(), Error> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let conv = CONV.into_iter().map(|kind| (kind, false));
    for ((i, channels, k, s), depthwise) in
        conv.chain(DEPTHWISE.into_iter().map(|kind| (kind, true)))
    {
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
            (
                Op::Conv {
                    geometry,
                    groups: 1,
                },
                "conv",
                input.c,
            )
        };
        let products = output.len() * usize::from(k * k) * inputs;
        let name = format!("{kind} {k}x{k}/{s} {}x{}->{channels}", i[0], i[2]);
        if name.contains(&filter) {
            measure(op, input, output, products as f64, &name)?;
        }
    }
    Ok(())
}
