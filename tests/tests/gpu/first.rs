//! First layers that make their input from the questions: the same scores as
//! with the input stored, and as `core`; and that they are what runs.

use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::backend::gpu::{Gpu, GpuBackend, ShaderKind, Storage};
use foveola::compile::{CompileOptions, compile};
use foveola_core::mask::{Fill, Grid, Window};
use foveola_core::net::op::{Activation, Op};
use foveola_core::picture::Normalisation;
use foveola_core::{At, Classifier, Mask, Masked, Picture, Rule, Score, Shape};

use super::device;
use super::kernels::{CLASSES, Draft, card, close, geometry, slid, values, windows};

/// Of the largest score: products are contracted.
const TOLERANCE: f32 = 2e-6;

/// Questions of every kind of mask, picture and fill, on more than one round.
const QUESTIONS: usize = 37;

/// Pictures that questions speak of.
struct Sources {
    shape: Shape,
    tensor: Vec<f32>,
    pixels: Vec<u8>,
    normalisation: Normalisation,
    weights: Vec<f32>,
    bytes: Vec<u8>,
    ranks: Vec<u32>,
    boxes: [Window; 2],
}

impl Sources {
    fn of(shape: Shape) -> Self {
        let area = shape.area();
        let window = |y, x, c, h, w, d| Window { y, x, c, h, w, d };
        Self {
            shape,
            tensor: values(shape.len(), 1),
            pixels: (0..shape.len()).map(|i| (i * 37 % 251) as u8).collect(),
            normalisation: Normalisation {
                mean: [120.0, 110.0, 100.0, 90.0],
                scale: [0.02, 0.01, 0.03, 0.04],
            },
            weights: (0..area).map(|i| (i * 7 % 5) as f32 / 4.0).collect(),
            bytes: (0..area).map(|i| (i * 11 % 256) as u8).collect(),
            ranks: (0..area as u32).map(|i| i * 13 % 64).collect(),
            // The second differs from channel to channel.
            boxes: [
                window(1, 2, 0, 4, 3, shape.c),
                window(0, 0, shape.c / 2, 90, 2, 1),
            ],
        }
    }

    fn picture(&self, pixels: bool) -> Picture<'_> {
        let (shape, normalisation) = (self.shape, &self.normalisation);
        match pixels {
            true => Picture::Pixels {
                shape,
                data: &self.pixels,
                normalisation,
            },
            false => Picture::Tensor {
                shape,
                data: &self.tensor,
            },
        }
    }

    fn question(&self, i: usize) -> Masked<'_> {
        let fill = match i % 3 {
            0 => Fill::Colour([0.3, -0.2, 0.1, 0.0]),
            other => Fill::Picture(self.picture(other == 1)),
        };
        let mask = match i % 6 {
            0 => Mask::Keep,
            1 => Mask::Windows {
                boxes: &self.boxes,
                extra: None,
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
            3 => Mask::Soft(&self.weights),
            4 => Mask::SoftBytes(&self.bytes),
            _ => Mask::Ranked {
                ranks: &self.ranks,
                from: 3,
                to: 20 + i as u32,
                reveal: i % 4 < 2,
            },
        };
        Masked {
            picture: self.picture(i % 2 == 1),
            fill,
            mask,
        }
    }
}

/// The scores of all questions.
fn scores(classifier: &mut dyn Classifier, sources: &Sources) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    let mut scratch = vec![0.0; CLASSES];
    let view = |i: usize| sources.question(i);
    let mut sink = |_: usize, scores: &[f32]| {
        all.push(scores.to_vec());
        Ok(())
    };
    classifier
        .classify_batch(QUESTIONS, &view, Score::Logit, &mut scratch, &mut sink)
        .expect("it runs");
    all
}

/// A first layer and a dense one behind it.
fn network(op: Op, shape: Shape, output: Shape) -> Arc<ModelFile> {
    let mut draft = Draft::default();
    let picture = draft.tensor(shape);
    let first = draft.node(op, Activation::Relu, &[picture], output);
    let graph = draft.finish(picture, first);
    let compiled = compile(graph, &card(shape), &CompileOptions::default()).expect("it compiles");
    Arc::new(ModelFile::new(&compiled.bytes).expect("it is sound"))
}

/// Compares a first layer that makes its input with the one that reads it
/// stored, which a backward pass needs, bit for bit, and with `core`.
fn check(gpu: &Arc<Gpu>, op: Op, shape: Shape, output: Shape, kind: ShaderKind) {
    let what = format!("{op:?} of {shape:?}");
    let file = network(op, shape, output);
    let mut core = CoreBackend::new(Arc::clone(&file), 1).expect("core starts");
    let mut ours = GpuBackend::new(Arc::clone(gpu), file, Storage::Full).expect("gpu starts");
    let steps: Vec<_> = ours.shaders().collect();
    assert!(steps.contains(&kind), "{what}: {steps:?}");
    assert!(!steps.contains(&ShaderKind::Input), "{what}: {steps:?}");
    let bytes = 4 * (output.len() + CLASSES) as u64;
    assert_eq!(
        ours.bytes_of_tensors(),
        bytes,
        "{what}: the input is stored"
    );
    let sources = Sources::of(shape);
    let expected = scores(&mut core, &sources);
    let found = scores(&mut ours, &sources);
    let layers = ours.layers().expect("a white box");
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        close(a, b, TOLERANCE, &format!("{what} question {i}"));
        layers
            .run(&sources.question(i), At::Input, Rule::Gradient)
            .expect("it runs");
        let stored = layers.scores(Score::Logit).expect("scores");
        assert_eq!(a, stored, "{what} question {i}");
    }
}

#[test]
fn convolutions_make_their_input() {
    let Some(gpu) = device() else { return };
    for (geometry, sides, end) in windows() {
        // Channels in, channels out, groups.
        for [inputs, outputs, groups] in [[1, 3, 1], [3, 70, 1], [4, 6, 2], [2, 4, 2]] {
            let op = Op::Conv {
                geometry,
                groups: groups as u16,
            };
            let [h, w] = slid(geometry, sides, end);
            let shape = Shape::new(sides[0], sides[1], inputs);
            let output = Shape::new(h, w, outputs);
            check(&gpu, op, shape, output, ShaderKind::ConvFirst);
        }
    }
}

#[test]
fn depthwise_convolutions_make_their_input() {
    let Some(gpu) = device() else { return };
    for (geometry, sides, end) in windows() {
        for c in [1, 3, 4] {
            let [h, w] = slid(geometry, sides, end);
            let shape = Shape::new(sides[0], sides[1], c);
            let (op, output) = (Op::Depthwise { geometry }, Shape::new(h, w, c));
            // One channel alone may be compiled as a plain convolution.
            let kind = match (c, network(op, shape, output).model().node(0)) {
                (1, Some(view)) if matches!(view.op, Op::Conv { .. }) => ShaderKind::ConvFirst,
                _ => ShaderKind::DepthwiseFirst,
            };
            check(&gpu, op, shape, output, kind);
        }
    }
}

/// A tile that sees too much, and a network whose input others read, keep the
/// input stored.
#[test]
fn the_input_is_stored_where_it_must() {
    let Some(gpu) = device() else { return };
    let wide = geometry([11, 11], [4, 4], [1, 1], [2, 2]);
    let op = Op::Conv {
        geometry: wide,
        groups: 1,
    };
    let shape = Shape::new(31, 29, 3);
    let [h, w] = slid(wide, [31, 29], [2, 2]);
    let far = network(op, shape, Shape::new(h, w, 5));
    let pool = Op::MaxPool(geometry([2, 2], [2, 2], [1, 1], [0, 0]));
    let other = network(pool, Shape::new(6, 8, 3), Shape::new(3, 4, 3));
    for file in [far, other] {
        let shape = file.model().input();
        let mut core = CoreBackend::new(Arc::clone(&file), 1).expect("core starts");
        let gpu = Arc::clone(&gpu);
        let mut ours = GpuBackend::new(gpu, file, Storage::Full).expect("gpu starts");
        assert!(ours.shaders().any(|kind| kind == ShaderKind::Input));
        let sources = Sources::of(shape);
        let expected = scores(&mut core, &sources);
        for (a, b) in scores(&mut ours, &sources).iter().zip(&expected) {
            close(a, b, TOLERANCE, "with a stored input");
        }
    }
}

/// In f16 the picture is rounded as it would be stored.
#[test]
fn halves_are_rounded_as_stored() {
    let Some(gpu) = device().filter(|gpu| gpu.facts().f16) else {
        return;
    };
    let geometry = geometry([3, 3], [2, 2], [1, 1], [1, 1]);
    let op = Op::Conv {
        geometry,
        groups: 1,
    };
    let (shape, output) = (Shape::new(13, 11, 3), Shape::new(7, 6, 9));
    let file = network(op, shape, output);
    let mut ours = GpuBackend::new(gpu, file, Storage::Half).expect("gpu starts");
    assert!(ours.shaders().all(|kind| kind != ShaderKind::Input));
    let sources = Sources::of(shape);
    let found = scores(&mut ours, &sources);
    let layers = ours.layers().expect("a white box");
    for (i, found) in found.iter().enumerate() {
        layers
            .run(&sources.question(i), At::Input, Rule::Gradient)
            .expect("it runs");
        let stored = layers.scores(Score::Logit).expect("scores");
        assert_eq!(found, stored, "question {i}");
    }
}
