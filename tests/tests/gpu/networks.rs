//! Whole networks: scores and gradients of `gpu` against `core`.

use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::backend::gpu::{Gpu, GpuBackend, Storage};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::explainer::{Explainer, Question};
use foveola::import;
use foveola::model::{OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola_core::classifier::{Derivatives, Dropout, GradientPiece, Saturation};
use foveola_core::mask::{Fill, Grid, Window};
use foveola_core::picture::Normalisation;
use foveola_core::{At, Classifier, Error, Layers, Mask, Masked, Picture, Rule, Score};
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

/// f16 keeps 11 bits, and rounds once a layer; sums are f32.
#[test]
fn half() {
    let Some(gpu) = device().filter(|gpu| gpu.facts().f16) else {
        return;
    };
    let (mut golden, file) = golden_file("n1");
    let mut core = CoreBackend::new(Arc::clone(&file), 1).expect("core starts");
    let mut ours = GpuBackend::new(gpu, file, Storage::Half).expect("gpu starts");
    let shape = core.input();
    let data = to_hwc(&golden.picture(0));
    let x = Masked::whole(Picture::Tensor { shape, data: &data });
    let [mut a, mut b] = [vec![0.0; core.classes()], vec![0.0; core.classes()]];
    core.classify(&x, Score::Logit, &mut a).expect("core runs");
    ours.classify(&x, Score::Logit, &mut b).expect("gpu runs");
    close(&b, &a, 1e-2, "n1 in f16");
    assert_ne!(a, b, "f16 rounds");
}

/// The same maps from both backends: gradients, held layers, boxes, RISE masks.
#[test]
fn explanations() {
    let Some(gpu) = device() else { return };
    let folder = Golden::open("n1").folder;
    let question = Question::of([
        "grad-cam",
        "guided-backprop",
        "occlusion:window=5",
        "rise:masks=70",
        "integrated-gradients:steps=21",
        "smooth-grad:samples=40",
        "var-grad:samples=19",
        "score-cam",
        "full-grad",
        "lrp",
    ])
    .expect("methods");
    let maps = |gpu: Option<Arc<Gpu>>| {
        let options = OpenOptions::default();
        let mut model = OpenModel::open(&folder.join("model.onnx"), &options).expect("it opens");
        model.gpu = gpu;
        let shape = model.facts.input;
        let values = to_hwc(&Golden::open("n1").picture(0));
        let photo = Photo::tensor(shape, values);
        let mut explainer = Explainer::new(model, 1);
        let explained = explainer.explain(&photo, &question).expect("it explains");
        explained
            .maps
            .into_iter()
            .map(|map| map.values)
            .collect::<Vec<_>>()
    };
    let (expected, found) = (maps(None), maps(Some(gpu)));
    assert_eq!(expected.len(), 10);
    for (i, (a, b)) in expected.iter().zip(&found).enumerate() {
        close(b, a, 1e-4, &format!("map {i}"));
    }
}

/// Masks of every kind, pixels and tensors as picture and fill, more questions
/// than a batch holds, in order.
#[test]
fn masks() {
    let Some(gpu) = device() else { return };
    let (_, file) = golden_file("n1");
    let mut core = CoreBackend::new(Arc::clone(&file), 1).expect("core starts");
    let mut ours = GpuBackend::new(gpu, file, Storage::Full).expect("gpu starts");
    let shape = core.input();
    let count = ours.batch() + 5;
    let pixels: Vec<u8> = (0..shape.len()).map(|i| (i * 37 % 251) as u8).collect();
    let tensor: Vec<f32> = (0..shape.len())
        .map(|i| (i * 29 % 97) as f32 / 97.0)
        .collect();
    let weights: Vec<f32> = (0..shape.area())
        .map(|i| (i * 7 % 5) as f32 / 4.0)
        .collect();
    let bytes: Vec<u8> = (0..shape.area()).map(|i| (i * 11 % 256) as u8).collect();
    let ranks: Vec<u32> = (0..shape.area() as u32).map(|i| i * 13 % 64).collect();
    let normalisation = Normalisation {
        mean: [120.0, 110.0, 100.0, 0.0],
        scale: [0.02, 0.01, 0.03, 0.0],
    };
    let window = |y, x, h, w| Window {
        y,
        x,
        c: 0,
        h,
        w,
        d: shape.c,
    };
    let boxes = [window(1, 2, 4, 3), window(3, 0, 2, 90)];
    let view = |i: usize| Masked {
        picture: match i % 2 {
            0 => Picture::Tensor {
                shape,
                data: &tensor,
            },
            _ => Picture::Pixels {
                shape,
                data: &pixels,
                normalisation: &normalisation,
            },
        },
        fill: match i % 3 {
            0 => Fill::Colour([0.3, -0.2, 0.1, 0.0]),
            1 => Fill::Picture(Picture::Tensor {
                shape,
                data: &tensor,
            }),
            _ => Fill::Picture(Picture::Pixels {
                shape,
                data: &pixels,
                normalisation: &normalisation,
            }),
        },
        mask: match i % 7 {
            0 => Mask::Keep,
            1 => Mask::Windows {
                boxes: &boxes,
                extra: Some(window(0, 0, 1 + i, 2)),
                reveal: i % 4 < 2,
            },
            2 => Mask::Grid(Grid {
                seed: 7,
                sample: i as u32,
                cells: 5,
                keep: 0.5,
                mindspore: false,
                sequence: foveola_core::mask::Sequence::Random,
            }),
            3 => Mask::Soft(&weights),
            4 => Mask::SoftBytes(&bytes),
            _ => Mask::Ranked {
                ranks: &ranks,
                from: 3,
                to: 20 + i as u32,
                reveal: i % 4 < 2,
            },
        },
    };
    let mut scratch = vec![0.0; core.classes()];
    let mut expected = Vec::new();
    core.classify_batch(count, &view, Score::Logit, &mut scratch, &mut |_, s| {
        expected.push(s.to_vec());
        Ok(())
    })
    .expect("core runs");
    let mut next = 0;
    ours.classify_batch(count, &view, Score::Logit, &mut scratch, &mut |i, s| {
        assert_eq!(i, next);
        next += 1;
        close(s, &expected[i], TOLERANCE, &format!("question {i}"));
        Ok(())
    })
    .expect("gpu runs");
    assert_eq!(next, count);
    let stopped = ours.classify_batch(count, &view, Score::Logit, &mut scratch, &mut |i, _| {
        if i == 3 { Err(Error::Stopped) } else { Ok(()) }
    });
    assert_eq!(stopped, Err(Error::Stopped));
    let nan = vec![f32::NAN; shape.len()];
    let x = Masked::whole(Picture::Tensor { shape, data: &nan });
    let refused = ours.classify(&x, Score::Logit, &mut scratch);
    assert_eq!(refused, Err(Error::PictureNotFinite));
}

/// The gradients of a batch, in order: more pictures than fit at once, two
/// targets, also against a class; those of `core` one by one.
#[test]
fn gradients_of_many() {
    let Some(gpu) = device() else { return };
    let (_, file) = golden_file("n2");
    let shape = file.model().input();
    let data: Vec<f32> = (0..shape.len())
        .map(|i| (i * 29 % 97) as f32 / 97.0)
        .collect();
    let mut ours = GpuBackend::new(gpu, Arc::clone(&file), Storage::Full).expect("gpu starts");
    let ours = ours.layers().expect("a white box");
    assert!(ours.gradient_batch() > 1);
    let count = 2 * ours.gradient_batch() + 3;
    let view = |i: usize| Masked {
        mask: Mask::Even(i as f32 / count as f32),
        ..Masked::whole(Picture::Tensor { shape, data: &data })
    };
    for (against, rule) in [(None, Rule::Gradient), (Some(1), Rule::Guided)] {
        let what = Derivatives {
            targets: &[2, 0],
            against,
            score: Score::Probability,
            rule,
        };
        let collect = |layers: &mut dyn Layers, stop: usize| {
            let (mut found, mut done) = (Vec::new(), 0);
            let mut sink = |piece: &GradientPiece<'_>| {
                assert_eq!(
                    (piece.question, piece.target),
                    (found.len() / 2, found.len() % 2)
                );
                found.push(piece.gradient.to_vec());
                Ok(())
            };
            let mut after = || {
                done += 1;
                if done == stop {
                    Err(Error::Stopped)
                } else {
                    Ok(())
                }
            };
            let ended = layers.gradients(count, &view, &what, &mut sink, &mut after);
            (found, ended)
        };
        for threads in [1, 3] {
            let mut core = CoreBackend::new(Arc::clone(&file), threads).expect("core starts");
            let (expected, ended) = collect(core.layers().expect("a white box"), 0);
            assert_eq!(ended, Ok(()));
            let (found, ended) = collect(ours, 0);
            assert_eq!((ended, found.len()), (Ok(()), 2 * count));
            for (i, (a, b)) in expected.iter().zip(&found).enumerate() {
                close(b, a, 10.0 * TOLERANCE, &format!("{against:?} {i}"));
            }
            let (stopped, ended) = collect(ours, 5);
            assert_eq!((ended, stopped.len()), (Err(Error::Stopped), 10));
            assert_eq!(stopped, found[..10]);
        }
    }
}

/// What the adapter does not do is `core`'s, bit for bit: dropout.
#[test]
fn dropout_is_that_of_core() {
    let Some(gpu) = device() else { return };
    let (mut golden, file) = golden_file("n1");
    let mut core = CoreBackend::new(Arc::clone(&file), 1).expect("core starts");
    let mut ours = GpuBackend::new(gpu, file, Storage::Full).expect("gpu starts");
    let (shape, data) = (core.input(), to_hwc(&golden.picture(0)));
    let x = Masked::whole(Picture::Tensor { shape, data: &data });
    let dropout = Dropout { seed: 3, keep: 0.5 };
    let scores = |backend: &mut dyn Classifier| {
        let (mut scratch, mut all) = (vec![0.0; backend.classes()], Vec::new());
        let mut sink = |_: usize, scores: &[f32], _: Saturation| {
            all.extend(scores.iter().map(|s| s.to_bits()));
            Ok(())
        };
        let done = backend.classify_dropped(&x, &dropout, 9, Score::Logit, &mut scratch, &mut sink);
        done.expect("it runs");
        all
    };
    assert_eq!(scores(&mut ours), scores(&mut core));
}
