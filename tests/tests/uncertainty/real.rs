//! f32: tract runs the same network with the mask as a constant factor.

use foveola::aligned::AlignedBytes;
use foveola::backend::core::ModelFile;
use foveola::compile::CompileOptions;
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Pass;
use foveola_core::net::op::{Activation, Op};
use foveola_core::net::session::Session;
use foveola_core::{Dropout, Masked, Picture, Score};
use foveola_tests::onnx::Attribute::{Float, Int, Ints};
use foveola_tests::onnx::{Onnx, floats, numbers};

use super::{file, import, kept};

const SEED: u64 = 0x1234_5678_9ABC;

/// Adds what stands where a dropout would: `from` becomes `to`, whose
/// channels, rows and columns come last.
type Between<'a> = &'a dyn Fn(&mut Onnx, &str, &str, u32, [usize; 3]);

fn identity(model: &mut Onnx, from: &str, to: &str, _: u32, _: [usize; 3]) {
    model.node("Identity", from, to, &[]);
}

/// Multiplies by the mask of a pass.
fn masked(
    model: &mut Onnx,
    (from, to): (&str, &str),
    mask: (u32, u32, f32),
    [c, h, w]: [usize; 3],
) {
    let (pass, ordinal, keep) = mask;
    let mut values = vec![0.0; c * h * w];
    for (i, value) in values.iter_mut().enumerate() {
        let (channel, pixel) = (i / (h * w), i % (h * w));
        if kept(SEED, pass, ordinal, pixel * c + channel, keep) {
            *value = 1.0 / keep;
        }
    }
    let name = format!("mask{ordinal}");
    let dims: &[i64] = match h * w {
        1 => &[1, c as i64],
        _ => &[1, c as i64, h as i64, w as i64],
    };
    model
        .tensor(floats(&name, dims, &values))
        .node("Mul", &format!("{from} {name}"), to, &[]);
}

/// The logits of a pass.
fn pass(file: &ModelFile, input: &[f32], keep: f32, pass: usize) -> Vec<f32> {
    let model = file.model();
    let plan = model.plan(Pass::Forward).expect("a plan");
    let mut arena = AlignedBytes::zeros(plan.arena_len());
    let mut session = Session::new(model, &mut arena, Isa::detect()).expect("a session");
    let picture = Picture::Tensor {
        shape: model.input(),
        data: input,
    };
    let dropout = Dropout { seed: SEED, keep };
    let mut scores = vec![0.0; model.classes()];
    let x = Masked::whole(picture);
    let seen = session
        .classify_pass(&x, &dropout, pass, Score::Logit, &mut scores)
        .expect("it runs");
    assert_eq!(seen.of, 0, "nothing is stored as int8");
    scores
}

fn to_hwc(chw: &[f32], [c, h, w]: [usize; 3]) -> Vec<f32> {
    let at = |i: usize| chw[i % c * h * w + i / c];
    (0..c * h * w).map(at).collect()
}

/// Passes of the core against tract on `network` with masks between.
fn agree(network: &dyn Fn(Between<'_>) -> Onnx, plain: &Onnx, keeps: &[f32], keep: f32) {
    let input = numbers(90, 99);
    let hwc = to_hwc(&input, [3, 6, 5]);
    let graph = import(plain);
    for fold in [true, false] {
        let options = CompileOptions {
            fold,
            ..CompileOptions::default()
        };
        let file = file(&graph, &options);
        let mut changed = 0;
        for number in 0..4 {
            let between = |m: &mut Onnx, from: &str, to: &str, ordinal: u32, shape: [usize; 3]| {
                let mask = (number, ordinal, keeps[ordinal as usize]);
                masked(m, (from, to), mask, shape);
            };
            let mut judged = network(&between);
            let wanted = judged.output("y").tract(&input).expect("tract runs it");
            let found = pass(&file, &hwc, keep, number as usize);
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 2e-5 * (1.0 + b.abs());
            let same = found.len() == wanted.len() && found.iter().zip(&wanted).all(near);
            assert!(same, "pass {number}: {found:?} {wanted:?}");
            let usual = plain.tract(&input).expect("it runs");
            changed += usize::from(usual != wanted);
        }
        assert!(changed > 2, "the masks change something");
    }
}

/// Networks without a dropout: behind the first layer, before its activation.
#[test]
fn behind_the_first_layer_as_tract() {
    type With = Vec<(&'static str, foveola_tests::onnx::Attribute)>;
    let pads = || ("pads", Ints(vec![1, 1, 1, 1]));
    let first: [(&str, [usize; 4], With); 3] = [
        ("Conv", [5, 3, 3, 3], vec![pads()]),
        ("Conv", [3, 1, 3, 3], vec![pads(), ("group", Int(3))]),
        ("Conv", [9, 3, 1, 1], vec![]),
    ];
    let then: [(&str, With); 3] = [
        ("Relu", vec![]),
        ("LeakyRelu", vec![("alpha", Float(0.1))]),
        ("Sigmoid", vec![]),
    ];
    for (op, dims, with) in &first {
        for (activation, of) in &then {
            for keep in [0.5, 0.3] {
                let network = |between: Between<'_>| {
                    let c = dims[0];
                    let mut m = Onnx::new(13, &[1, 3, 6, 5]);
                    m.weights("w", dims)
                        .weights("b", &[c])
                        .weights("v", &[c, 4])
                        .node(op, "x w b", "c", with);
                    between(&mut m, "c", "d", 0, [c, 6, 5]);
                    m.node(activation, "d", "e", of)
                        .node("GlobalAveragePool", "e", "g", &[])
                        .node("Flatten", "g", "f", &[])
                        .node("Gemm", "f v", "y", &[]);
                    m
                };
                let mut plain = network(&identity);
                agree(&network, plain.output("y"), &[keep], keep);
            }
        }
    }
}

#[test]
fn behind_a_first_dense_layer_and_a_limit_as_tract() {
    let network = |between: Between<'_>| {
        let mut m = Onnx::new(13, &[1, 3, 6, 5]);
        m.weights("w", &[90, 7])
            .weights("v", &[7, 4])
            .tensor(floats("low", &[], &[0.0]))
            .tensor(floats("high", &[], &[9.0]))
            .node("Flatten", "x", "f", &[])
            .node("Gemm", "f w", "c", &[]);
        between(&mut m, "c", "d", 0, [7, 1, 1]);
        m.node("Clip", "d low high", "e", &[])
            .node("Gemm", "e v", "y", &[]);
        m
    };
    let mut plain = network(&identity);
    agree(&network, plain.output("y"), &[0.5], 0.5);
}

/// The network's own dropouts: behind a ReLU, before a limit, before a batch
/// normalisation, behind a pool; shares as attribute, input and by default.
fn own(between: Between<'_>) -> Onnx {
    let mut m = Onnx::new(13, &[1, 3, 6, 5]);
    m.weights("w1", &[5, 3, 3, 3])
        .weights("w2", &[6, 5, 1, 1])
        .weights("w3", &[4, 6, 1, 1])
        .weights("v", &[4, 3])
        .weights("scale", &[4])
        .weights("shift", &[4])
        .weights("mean", &[4])
        .tensor(floats("variance", &[4], &[0.5, 1.0, 2.0, 0.7]))
        .tensor(floats("low", &[], &[0.0]))
        .tensor(floats("high", &[], &[0.5]))
        .node("Conv", "x w1", "c1", &[("pads", Ints(vec![1, 1, 1, 1]))])
        .node("Relu", "c1", "r1", &[]);
    between(&mut m, "r1", "d1", 0, [5, 6, 5]);
    m.node("Conv", "d1 w2", "c2", &[]);
    between(&mut m, "c2", "d2", 1, [6, 6, 5]);
    m.node("Clip", "d2 low high", "r2", &[])
        .node("Conv", "r2 w3", "c3", &[]);
    between(&mut m, "c3", "d3", 2, [4, 6, 5]);
    m.node(
        "BatchNormalization",
        "d3 scale shift mean variance",
        "n",
        &[],
    )
    .node("GlobalAveragePool", "n", "g", &[])
    .node("Flatten", "g", "f", &[]);
    between(&mut m, "f", "d4", 3, [4, 1, 1]);
    m.node("Gemm", "d4 v", "y", &[]);
    m
}

#[test]
fn the_networks_own_dropouts_as_tract() {
    let ratios = [Some(0.25), Some(0.4), Some(0.1), None];
    let dropouts = |m: &mut Onnx, from: &str, to: &str, ordinal: u32, _: [usize; 3]| {
        let name = format!("ratio{ordinal}");
        let input = match ratios[ordinal as usize] {
            Some(ratio) => {
                m.tensor(floats(&name, &[], &[ratio]));
                format!("{from} {name}")
            }
            None => from.to_owned(),
        };
        m.node("Dropout", &input, to, &[]);
    };
    let mut plain = own(&dropouts);
    let graph = import(plain.output("y"));
    let found: Vec<f32> = graph.nodes.iter().filter_map(|n| n.dropout).collect();
    assert_eq!(found, [0.25, 0.4, 0.1, 0.5]);
    let file = file(&graph, &CompileOptions::default());
    let nodes = (0..file.model().node_count()).filter_map(|i| file.model().node(i));
    let kept: Vec<f32> = nodes.filter_map(|node| node.dropout).collect();
    assert_eq!(kept, found, "the file keeps places and shares");
    // The share of the setting is for networks without dropouts.
    agree(&own, &plain, &[0.75, 0.6, 0.9, 0.5], 0.01);
}

/// What simplification may do across a dropout, and what not.
#[test]
fn a_dropout_keeps_its_place() {
    let dropouts = |m: &mut Onnx, from: &str, to: &str, _: u32, _: [usize; 3]| {
        m.node("Dropout", from, to, &[]);
    };
    let mut plain = own(&dropouts);
    let mut graph = import(plain.output("y"));
    foveola::compile::fold::optimise(&mut graph, &[], true);
    let of = |node: &foveola::graph::Node| (node.op, node.activation, node.dropout);
    let clip = Activation::Clip { lo: 0.0, hi: 0.5 };
    let mut nodes = graph.nodes.iter().map(of);
    let mut next = || nodes.next().expect("a node");
    assert!(matches!(
        next(),
        (Op::Conv { .. }, Activation::Relu, Some(_))
    ));
    assert!(matches!(
        next(),
        (Op::Conv { .. }, Activation::None, Some(_))
    ));
    assert_eq!(next(), (Op::Activate, clip, None));
    assert!(matches!(next(), (Op::Conv { .. }, _, Some(_))));
    assert!(matches!(next(), (Op::Affine, ..)));
}

/// Shares that drop nothing, and old files, which do not say the share.
#[test]
fn shares() {
    let with = |ratio: f32| {
        let mut m = Onnx::new(7, &[1, 3, 6, 5]);
        m.weights("v", &[90, 3])
            .node("Flatten", "x", "f", &[])
            .node("Relu", "f", "r", &[])
            .node("Dropout", "r", "d", &[("ratio", Float(ratio))])
            .node("Dropout", "d", "e", &[("ratio", Float(0.5))])
            .node("Gemm", "e v", "y", &[])
            .output("y");
        import(&m).nodes[0].dropout
    };
    assert_eq!(with(0.0), Some(0.5));
    assert_eq!(with(0.5), Some(0.75), "two in a row keep a quarter");
    let old = std::fs::read(foveola_tests::root().join("core/fixtures/small.fov"));
    let old = ModelFile::new(&old.expect("the fixture")).expect("it is sound");
    assert!((0..6).all(|i| old.model().node(i).is_some_and(|n| n.dropout.is_none())));
}
