//! ResNet-18 (He et al. 2016) with random weights, as ONNX.

use std::path::PathBuf;

use foveola_core::rng::{DEFAULT_SEED, Purpose, unit, words};
use foveola_tests::onnx::{Attribute, Onnx, floats};

use crate::Result;

/// The file, written once.
///
/// # Errors
/// A folder that cannot be written.
pub fn file() -> Result<PathBuf> {
    let folder = PathBuf::from("target/networks");
    let path = folder.join("resnet18_random.onnx");
    if !path.is_file() {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(&path, network().bytes())?;
    }
    Ok(path)
}

/// Number `i` of a stream, from -1 to 1.
fn drawn(stream: u32, i: usize) -> f32 {
    let [word, ..] = words(DEFAULT_SEED, stream, i as u32, 0, Purpose::RiseCells);
    2.0 * unit(word) - 1.0
}

/// A convolution of `taps` x `taps` with bias; weights as He et al. 2015 draw them.
fn conv(onnx: &mut Onnx, (x, y): (&str, &str), [from, to]: [usize; 2], [taps, stride]: [i64; 2]) {
    let fan = from * (taps * taps) as usize;
    let wide = (6.0 / fan as f32).sqrt();
    // Each tensor draws from a stream of its own.
    let stream = onnx.graph().initializer.len() as u32;
    let values: Vec<f32> = (0..to * fan).map(|i| drawn(stream, i) * wide).collect();
    let (w, b) = (format!("{y}_w"), format!("{y}_b"));
    onnx.tensor(floats(&w, &[to as i64, from as i64, taps, taps], &values));
    let bias: Vec<f32> = (0..to).map(|i| drawn(stream + 1, i) * 0.1).collect();
    onnx.tensor(floats(&b, &[to as i64], &bias));
    let pads = Attribute::Ints(vec![taps / 2; 4]);
    let strides = Attribute::Ints(vec![stride; 2]);
    let kernel = Attribute::Ints(vec![taps; 2]);
    onnx.node(
        "Conv",
        &format!("{x} {w} {b}"),
        y,
        &[
            ("kernel_shape", kernel),
            ("strides", strides),
            ("pads", pads),
        ],
    );
}

/// Batch normalisation is folded already, as exporters do.
fn network() -> Onnx {
    let mut onnx = Onnx::new(13, &[1, 3, 224, 224]);
    conv(&mut onnx, ("x", "stem"), [3, 64], [7, 2]);
    onnx.node("Relu", "stem", "stem_r", &[]).node(
        "MaxPool",
        "stem_r",
        "pool",
        &[
            ("kernel_shape", Attribute::Ints(vec![3; 2])),
            ("strides", Attribute::Ints(vec![2; 2])),
            ("pads", Attribute::Ints(vec![1; 4])),
        ],
    );
    let (mut x, mut from) = (String::from("pool"), 64);
    for (stage, to) in [64, 128, 256, 512].into_iter().enumerate() {
        for block in 0..2 {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            x = residual(
                &mut onnx,
                &x,
                [from, to],
                stride,
                &format!("s{stage}b{block}"),
            );
            from = to;
        }
    }
    end(&mut onnx, &x);
    onnx
}

/// Two convolutions and a way around them.
fn residual(onnx: &mut Onnx, x: &str, [from, to]: [usize; 2], stride: i64, name: &str) -> String {
    let n = |part: &str| format!("{name}_{part}");
    conv(onnx, (x, &n("a")), [from, to], [3, stride]);
    onnx.node("Relu", &n("a"), &n("ar"), &[]);
    conv(onnx, (&n("ar"), &n("b")), [to, to], [3, 1]);
    let mut around = x.to_owned();
    if from != to {
        around = n("skip");
        conv(onnx, (x, &around), [from, to], [1, stride]);
    }
    onnx.node("Add", &format!("{} {around}", n("b")), &n("sum"), &[]);
    onnx.node("Relu", &n("sum"), &n("out"), &[]);
    n("out")
}

/// One score a class.
fn end(onnx: &mut Onnx, x: &str) {
    onnx.node("GlobalAveragePool", x, "mean", &[]);
    conv(onnx, ("mean", "logits"), [512, 1000], [1, 1]);
    onnx.node("Flatten", "logits", "scores", &[])
        .output("scores");
}
