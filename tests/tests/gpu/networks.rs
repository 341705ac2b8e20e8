//! Whole networks: scores and gradients of `gpu` against `core`.

use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::backend::gpu::{GpuBackend, Storage};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::import;
use foveola_core::{At, Classifier, Masked, Picture, Rule, Score};
use foveola_tests::{Golden, to_hwc};

use super::device;

/// Of the largest score or gradient: products are contracted, sums in another order.
const TOLERANCE: f32 = 2e-5;

pub fn golden_file(net: &str) -> (Golden, Arc<ModelFile>) {
    let golden = Golden::open(net);
    let graph = import::load(
        &golden.folder.join("model.onnx"),
        &import::Options::default(),
    )
    .expect("it imports")
    .graph;
    let input = graph.tensor(graph.input).shape;
    let card = Card {
        size: [input.h, input.w],
        resize: Resize::Squash,
        channels: match input.c {
            1 => Channels::Gray,
            _ => Channels::Rgb,
        },
        mean: vec![0.0; input.c],
        scale: vec![1.0; input.c],
        activation: OutputActivation::Softmax,
        labels: Vec::new(),
    };
    let compiled = compile(graph, &card, &CompileOptions::default()).expect("it compiles");
    let file = ModelFile::new(&compiled.bytes).expect("its file is sound");
    (golden, Arc::new(file))
}

pub fn close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let most = expected.iter().fold(1e-6_f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * most,
            "{what} {i}: {a} {b} of {most}"
        );
    }
}

#[test]
fn golden_networks() {
    let Some(gpu) = device() else { return };
    for net in ["n1", "n2", "n3", "n4", "n5"] {
        let (mut golden, file) = golden_file(net);
        let mut core = CoreBackend::new(Arc::clone(&file), 1).expect("core starts");
        let mut ours = GpuBackend::new(Arc::clone(&gpu), file, Storage::Full).expect("gpu starts");
        let shape = core.input();
        let data = to_hwc(&golden.picture(0));
        let x = Masked::whole(Picture::Tensor { shape, data: &data });
        let classes = core.classes();
        let [mut a, mut b] = [vec![0.0; classes], vec![0.0; classes]];
        for score in [Score::Logit, Score::Probability] {
            core.classify(&x, score, &mut a).expect("core runs");
            ours.classify(&x, score, &mut b).expect("gpu runs");
            close(&b, &a, TOLERANCE, net);
            for rule in [Rule::Gradient, Rule::Deconvolution, Rule::Guided] {
                let core = core.layers().expect("a white box");
                core.run(&x, At::Input, rule).expect("core runs");
                let expected = core.backward(&[(1, 1.0)], score).expect("a gradient");
                let ours = ours.layers().expect("a white box");
                ours.run(&x, At::Input, rule).expect("gpu runs");
                let found = ours.backward(&[(1, 1.0)], score).expect("a gradient");
                close(
                    found,
                    expected,
                    10.0 * TOLERANCE,
                    &format!("{net} {rule:?} {score:?}"),
                );
            }
        }
    }
}
