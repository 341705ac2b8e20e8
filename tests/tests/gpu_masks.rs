//! RISE masks and their sums on the GPU against `core`: the same cells and
//! shifts, the same weights, the same maps.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::backend::gpu::{Gpu, GpuBackend, GpuError, Storage};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::graph::{Graph, InputType, Layout, Node, Tensor};
use foveola_core::explain::{Method, Outcome, Progress, Query, Rise, Silent, StoredMasks};
use foveola_core::mask::{Enlarged, Grid};
use foveola_core::net::op::{Activation, Op};
use foveola_core::picture::MAX_CHANNELS;
use foveola_core::{Classifier, Error, Fill, Mask, Masked, Picture, Score, Shape, TensorId};
use foveola_tests::onnx::numbers;

/// One device for all tests; `None` without an adapter, with a line that says so.
fn device() -> Option<Arc<Gpu>> {
    static DEVICE: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let open = || match Gpu::open(None) {
        Ok(gpu) => Some(gpu),
        Err(GpuError::NoAdapter) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI is set and there is no GPU adapter"
            );
            println!("skipped: no GPU adapter is within reach");
            None
        }
        Err(other) => panic!("{other}"),
    };
    DEVICE.get_or_init(open).clone()
}

/// A network of one node and one input.
fn network(shape: Shape, op: Op, output: Shape, weights: Vec<f32>) -> Arc<ModelFile> {
    let tensor = |name: &str, shape| Tensor {
        name: name.into(),
        shape,
        constant: None,
        quant: None,
    };
    let node = Node {
        name: "n".into(),
        op,
        activation: Activation::None,
        inputs: vec![TensorId(0)],
        output: TensorId(1),
        weights,
        bias: vec![],
        quantised: None,
        dropout: None,
    };
    let graph = Graph {
        tensors: vec![tensor("x", shape), tensor("y", output)],
        nodes: vec![node],
        input: TensorId(0),
        layout: Layout::Nhwc,
        input_type: InputType::F32,
        input_name: "x".into(),
        output: TensorId(1),
        output_name: "y".into(),
        logits: TensorId(1),
        names: BTreeMap::new(),
        labels: vec![],
        metadata: BTreeMap::new(),
    };
    let card = Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: Channels::usual(shape.c).unwrap_or(Channels::Gray),
        mean: vec![0.0; shape.c],
        scale: vec![1.0; shape.c],
        activation: OutputActivation::None,
        labels: vec![],
    };
    let compiled = compile(graph, &card, &CompileOptions::default()).expect("it compiles");
    Arc::new(ModelFile::new(&compiled.bytes).expect("it is sound"))
}

/// A network whose scores are its input, element by element: products with 1
/// and sums with 0 leave every number as it is.
fn echo(shape: Shape) -> Arc<ModelFile> {
    let n = shape.len();
    let weights = (0..n * n).map(|i| f32::from(u8::from(i / n == i % n)));
    network(shape, Op::Dense, Shape::new(1, 1, n), weights.collect())
}

/// Masks show as the weights of a picture of ones on a fill of zeros: they are
/// `core`'s, bit for bit, whose tests hold them to the paper's definition and
/// its random words to Random123's vectors.
#[test]
fn masks_are_those_of_core() {
    let Some(gpu) = device() else {
        return;
    };
    let cases = [
        (Shape::new(14, 9, 1), 7),
        (Shape::new(1, 13, 1), 1),
        (Shape::new(11, 12, 1), 5),
        (Shape::new(3, 40, 1), 33),
        (Shape::new(7, 5, 1), 64),
    ];
    for (shape, cells) in cases {
        let backend = GpuBackend::new(Arc::clone(&gpu), echo(shape), Storage::Full);
        let mut backend = backend.expect("it starts");
        let ones = vec![1.0; shape.len()];
        for mindspore in [false, true] {
            let grid = |sample| Grid {
                seed: 0xdead_beef_0bad_cafe,
                sample,
                cells,
                keep: 0.4,
                mindspore,
                sequence: foveola_core::mask::Sequence::Random,
            };
            let first = u32::MAX - 50;
            let view = |i: usize| Masked {
                picture: Picture::Tensor { shape, data: &ones },
                fill: Fill::Colour([0.0; MAX_CHANNELS]),
                mask: Mask::Grid(grid(first + i as u32)),
            };
            let mut checked = 0;
            let mut sink = |i: usize, found: &[f32]| {
                let mut row = vec![0.0; shape.w];
                for (y, found) in found.chunks_exact(shape.w).enumerate() {
                    view(i).mask.row(shape, y, &mut row)?;
                    let bits = |row: &[f32]| row.iter().map(|w| w.to_bits()).collect::<Vec<_>>();
                    assert_eq!(
                        bits(found),
                        bits(&row),
                        "{shape:?} {cells} mask {i} row {y}"
                    );
                    checked += found.iter().filter(|w| **w > 0.0 && **w < 1.0).count();
                }
                Ok(())
            };
            let mut scratch = vec![0.0; shape.len()];
            let done = backend.classify_batch(50, &view, Score::Logit, &mut scratch, &mut sink);
            done.expect("it runs");
            // A picture of one row within one cell has no weight between 0 and 1.
            assert!(
                checked > 0 || cells == 1,
                "{shape:?} {cells}: nothing between"
            );
        }
    }
}

/// Every other kind of mask, as `core` writes its rows; the network's input is
/// 13 x 11 pixels. Segments: two words of bits, the last one half used; weights
/// that are not all 0 or 1.
fn other_masks<'a>(
    shape: Shape,
    (bytes, labels, ranks): (&'a [u8], &'a [u16], &'a [u32]),
    (bits, weights): (&'a [f32], &'a [f32]),
    (values, inner): (&'a [f32], Shape),
) -> Vec<Mask<'a>> {
    let mut masks = vec![
        Mask::Even(0.0),
        Mask::Even(0.3),
        Mask::Even(1.0),
        Mask::SoftBytes(bytes),
        Mask::SoftBytes(&bytes[113..]),
    ];
    for weights in [bits, weights] {
        masks.push(Mask::Segments { labels, weights });
    }
    for reveal in [false, true] {
        masks.push(Mask::Ranked {
            ranks,
            from: 7,
            to: 61,
            reveal,
        });
    }
    for channel in 0..inner.c {
        for corners in [false, true] {
            let channel = Enlarged::new(values, inner, channel, (shape, corners));
            masks.push(Mask::Enlarged(channel));
        }
    }
    masks
}

/// Bytes, segments, ranks, even weights and enlarged channels: `core`'s weights
/// bit for bit, drawn on the adapter. `core` divides bytes by 255 and channels by
/// their spread, which no adapter does exactly by itself.
#[test]
fn other_masks_are_those_of_core() {
    let Some(gpu) = device() else {
        return;
    };
    let (shape, inner) = (Shape::new(13, 11, 1), Shape::new(3, 4, 5));
    let backend = GpuBackend::new(Arc::clone(&gpu), echo(shape), Storage::Full);
    let mut backend = backend.expect("it starts");
    let bytes: Vec<u8> = (0..=255).collect();
    let labels: Vec<u16> = (0..shape.area()).map(|i| (i * 7 % 37) as u16).collect();
    let ranks: Vec<u32> = (0..143).map(|i| i * 5 % 143).collect();
    let bits: Vec<f32> = (0..40).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
    let weights: Vec<f32> = (0..37).map(|i| i as f32 / 36.0).collect();
    let mut values = numbers(inner.len(), 8);
    // A channel that hides everything, one with far smaller numbers.
    for place in values.chunks_exact_mut(inner.c) {
        place[1] = 0.25;
        place[2] *= 3e-7;
    }
    let masks = other_masks(
        shape,
        (&bytes, &labels, &ranks),
        (&bits, &weights),
        (&values, inner),
    );
    let ones = vec![1.0; shape.len()];
    let view = |i: usize| Masked {
        picture: Picture::Tensor { shape, data: &ones },
        fill: Fill::Colour([0.0; MAX_CHANNELS]),
        mask: masks[i],
    };
    let (mut row, mut seen) = (vec![0.0; shape.w], 0);
    let mut sink = |i: usize, found: &[f32]| {
        for (y, found) in found.chunks_exact(shape.w).enumerate() {
            masks[i].row(shape, y, &mut row)?;
            let bits = |row: &[f32]| row.iter().map(|w| w.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(found), bits(&row), "{:?} row {y}", masks[i]);
            seen += found.iter().filter(|w| **w > 0.0 && **w < 1.0).count();
        }
        Ok(())
    };
    let mut scratch = vec![0.0; shape.len()];
    let count = masks.len();
    let done = backend.classify_batch(count, &view, Score::Logit, &mut scratch, &mut sink);
    done.expect("it runs");
    assert!(seen > 1000, "only {seen} weights between 0 and 1");
    let few = &weights[..36];
    let short = Masked {
        mask: Mask::Segments {
            labels: &labels,
            weights: few,
        },
        ..view(0)
    };
    let refused = backend.classify(&short, Score::Logit, &mut scratch);
    assert_eq!(refused, Err(Error::BadParameter("weight of a mask")));
}

/// Stops after so many passes.
struct StopAfter(u64);

impl Progress for StopAfter {
    fn step(&mut self, done: u64, _: u64) -> bool {
        done < self.0
    }
}

fn maps(
    classifier: &mut dyn Classifier,
    rise: &Rise<'_>,
    picture: Picture<'_>,
    progress: &mut dyn Progress,
) -> (Vec<f32>, Vec<Outcome>) {
    let targets = [2, 0];
    let query = Query {
        picture,
        targets: &targets,
        score: Some(Score::Logit),
        seed: 5,
    };
    let len = rise.map_shape(classifier).expect("a shape").len();
    let mut maps = vec![0.0; len * targets.len()];
    let mut outcomes = vec![Outcome::Flat; targets.len()];
    let mut scratch = vec![0.0; rise.cost(classifier, 2).expect("a cost").scratch];
    let done = rise.explain(
        classifier,
        &query,
        &mut maps,
        &mut outcomes,
        &mut scratch,
        progress,
    );
    done.expect("it runs");
    (maps, outcomes)
}

fn are_close(wanted: &[f32], found: &[f32], case: &str) {
    let largest = wanted.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    for (i, (a, b)) in wanted.iter().zip(found).enumerate() {
        let close = (a - b).abs() <= 2e-6 * largest;
        assert!(close, "{case}: {i}: {b} for {a}");
    }
}

/// RISE as a whole, several rounds of masks, with and without coverage,
/// stopped within a round or not. Scores agree within rounding (the network
/// sums 12 * 17 * 3 products in another order), so maps do.
#[test]
fn sums_are_those_of_core() {
    let Some(gpu) = device() else {
        return;
    };
    let shape = Shape::new(12, 17, 3);
    let weights = numbers(3 * shape.len(), 4)
        .iter()
        .map(|w| w * 0.1)
        .collect();
    let file = network(shape, Op::Dense, Shape::new(1, 1, 3), weights);
    let data = numbers(shape.len(), 9);
    let picture = Picture::Tensor { shape, data: &data };
    let mut core = CoreBackend::new(Arc::clone(&file), 1).expect("it starts");
    let backend = GpuBackend::new(Arc::clone(&gpu), file, Storage::Full);
    let mut backend = backend.expect("it starts");
    for (by_coverage, mindspore, stop) in [
        (false, false, 1000),
        (true, false, 1000),
        (false, true, 1000),
        (true, false, 77),
        (false, false, 1),
    ] {
        let rise = Rise {
            masks: 203,
            by_coverage,
            mindspore,
            fill: Fill::Colour([0.3, -0.2, 0.1, 0.0]),
            ..Rise::default()
        };
        let (wanted, outcome) = maps(&mut core, &rise, picture, &mut StopAfter(stop));
        let (found, found_outcome) = maps(&mut backend, &rise, picture, &mut StopAfter(stop));
        assert_eq!(outcome, found_outcome);
        let case = format!("{by_coverage} {mindspore} {stop}");
        are_close(&wanted, &found, &case);
    }
    // Masks that the caller has stored.
    let stored: Vec<u8> = (0..71 * shape.area())
        .map(|i| (i * i % 251) as u8)
        .collect();
    let floats: Vec<f32> = stored.iter().map(|b| f32::from(*b) / 250.0).collect();
    for masks in [StoredMasks::Bytes(&stored), StoredMasks::Floats(&floats)] {
        let rise = Rise {
            stored: Some(masks),
            fill: Fill::Colour([0.3, -0.2, 0.1, 0.0]),
            ..Rise::default()
        };
        let (wanted, outcome) = maps(&mut core, &rise, picture, &mut Silent);
        let (found, found_outcome) = maps(&mut backend, &rise, picture, &mut Silent);
        assert_eq!(outcome, found_outcome);
        are_close(&wanted, &found, "stored");
    }
    let rise = Rise::default();
    let (whole, _) = maps(
        &mut backend,
        &Rise { masks: 64, ..rise },
        picture,
        &mut Silent,
    );
    let (part, outcomes) = maps(
        &mut backend,
        &Rise { masks: 100, ..rise },
        picture,
        &mut StopAfter(64),
    );
    assert_eq!(whole, part, "stopped after 64 masks: the map of 64 masks");
    assert!(outcomes.iter().all(|o| matches!(
        o,
        Outcome::Partial {
            done: 64,
            total: 100
        }
    )));
}
