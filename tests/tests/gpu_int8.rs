//! int8 networks on the GPU: every int8 tensor has the bytes of `core`'s
//! reference kernels, which TFLite's tensors hold (`tests/int8.rs`).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use foveola::aligned::AlignedBytes;
use foveola::backend::core::ModelFile;
use foveola::backend::gpu::{Gpu, GpuBackend, GpuError, ShaderKind, Storage};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::import;
use foveola_core::mask::{Grid, Window};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, NodeView, Pass};
use foveola_core::net::op::Op;
use foveola_core::net::session::Session;
use foveola_core::picture::Normalisation;
use foveola_core::{Classifier, Error, Fill, Mask, Masked, Picture, Score, TensorId, Values};
use foveola_tests::random::{Numbers, RandomNetwork};
use foveola_tests::tflite::{Reference, folder, names};
use foveola_tests::zoo;
use ndarray::Axis;

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

/// The stored numbers of each int8 tensor that a node makes, by `core`; `None`
/// if a node in f32 makes NaN.
fn tensors(model: &Model<'_>, x: &Masked<'_>) -> Option<Vec<Vec<i8>>> {
    let plan = model.plan(Pass::Forward).expect("a forward plan");
    let mut arena = AlignedBytes::zeros(plan.arena_len());
    let mut session = Session::new(model, &mut arena, Isa::portable()).expect("a session");
    let mut tensors = vec![Vec::new(); model.tensor_count()];
    let run = session.forward_tapped(x, &mut |node, _, values| {
        let output = model.node(node).expect("a node").output;
        if let Values::Stored { data, .. } = values {
            tensors[usize::from(output.0)].extend(data);
        }
        Ok(())
    });
    match run {
        Err(Error::NotFinite { .. }) => None,
        run => run.map(|()| Some(tensors)).expect("it runs"),
    }
}

/// Whether each tensor is a function of the picture by integers and
/// conversions alone, so that all its bits are defined.
fn exact(model: &Model<'_>) -> Vec<bool> {
    let constant = |id| {
        model
            .tensor(TensorId(id))
            .is_some_and(|t| t.constant.is_some())
    };
    let mut exact: Vec<bool> = (0..model.tensor_count() as u16).map(constant).collect();
    exact[usize::from(model.input_id().0)] = true;
    for view in (0..model.node_count()).filter_map(|i| model.node(i)) {
        let integers =
            view.integers.is_some() || matches!(view.op, Op::Quantise { .. } | Op::Dequantise);
        let inputs = view.inputs().all(|id| exact[usize::from(id.0)]);
        exact[usize::from(view.output.0)] = integers && inputs;
    }
    exact
}

fn name(op: Op) -> String {
    let text = format!("{op:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// Compares every exact int8 tensor, and counts the operators that made them.
fn same_tensors(what: &str, backend: &mut GpuBackend, file: &ModelFile, x: &Masked<'_>) -> Ops {
    let model = file.model();
    let exact = exact(model);
    let mut ops = Ops::new();
    let Some(wanted) = tensors(model, x) else {
        return ops;
    };
    for view in (0..model.node_count()).filter_map(|i| model.node(i)) {
        let at = usize::from(view.output.0);
        if wanted[at].is_empty() || !exact[at] {
            continue;
        }
        let found = backend.stored(x, view.output).expect("it runs");
        // Layers that run row by row leave out rows that nothing reads.
        let wanted = &wanted[at];
        let first = found.iter().zip(wanted).position(|(a, b)| a != b);
        assert!(
            first.is_none() && found.len() >= wanted.len(),
            "{what}: {} {:?} {:?} -> {:?}: {found:?} for {wanted:?}",
            view.name,
            view.op,
            view.input(0).map(|id| model.shape(id)),
            model.shape(view.output),
        );
        *ops.entry(name(view.op)).or_default() += 1;
    }
    ops
}

type Ops = BTreeMap<String, usize>;

fn more(all: &mut Ops, ops: Ops) {
    for (op, count) in ops {
        *all.entry(op).or_default() += count;
    }
}

/// Scores of masked pictures, several a round, against those of `core`; false
/// where their bits are not defined.
fn same_scores(
    what: &str,
    backend: &mut GpuBackend,
    file: &ModelFile,
    picture: Picture<'_>,
) -> bool {
    let model = file.model();
    let score = Score::Probability;
    if !exact(model)[usize::from(model.score_id(score).0)] {
        return false;
    }
    let input = model.input();
    // A box of one channel: what shows differs from channel to channel.
    let boxes = [Window {
        y: 1,
        x: 0,
        c: input.c / 2,
        h: 3,
        w: 2,
        d: 1,
    }];
    let view = |i: usize| Masked {
        picture,
        fill: Fill::Colour([0.5, 1.0, -0.25, 0.0]),
        mask: match i % 3 {
            0 => Mask::Windows {
                boxes: &boxes,
                extra: None,
                reveal: i.is_multiple_of(2),
            },
            _ => Mask::Grid(Grid {
                seed: 3,
                sample: i as u32,
                cells: 3,
                keep: 0.5,
                mindspore: false,
                sequence: foveola_core::mask::Sequence::Random,
            }),
        },
    };
    let plan = model.plan(Pass::Forward).expect("a forward plan");
    let mut arena = AlignedBytes::zeros(plan.arena_len());
    let mut session = Session::new(model, &mut arena, Isa::portable()).expect("a session");
    let mut answers = [Vec::new(), Vec::new()];
    let asked: [&mut dyn Classifier; 2] = [&mut session, backend];
    for (classifier, out) in asked.into_iter().zip(&mut answers) {
        let mut scratch = vec![0.0; model.classes()];
        let mut sink = |_, scores: &[f32]| {
            out.extend(scores.iter().map(|s| s.to_bits()));
            Ok(())
        };
        let done = classifier.classify_batch(37, &view, score, &mut scratch, &mut sink);
        done.expect("it runs");
    }
    assert!(answers[0] == answers[1], "{what}: scores differ");
    true
}

/// Small networks at random: all operators, awkward sizes, uint8 weights,
/// numbers that saturate.
#[test]
fn random_networks_have_the_bytes_of_core() {
    let Some(gpu) = device() else {
        return;
    };
    let mut ops = Ops::new();
    for seed in 0..60 {
        let network = RandomNetwork::int8(seed);
        let file = Arc::new(ModelFile::new(&network.bytes).expect("it is sound"));
        let normalisation = file.model().normalisation();
        let picture = picture_of(&network, &normalisation);
        let what = format!("seed {seed}");
        let backend = GpuBackend::new(Arc::clone(&gpu), Arc::clone(&file), Storage::Full);
        let mut backend = backend.unwrap_or_else(|e| panic!("{what}: {e}"));
        more(
            &mut ops,
            same_tensors(&what, &mut backend, &file, &Masked::whole(picture)),
        );
        same_scores(&what, &mut backend, &file, picture);
    }
    println!("{ops:?}");
    let all = [
        "Conv",
        "Depthwise",
        "Dense",
        "Activate",
        "Binary",
        "Concat",
        "Slice",
        "Shuffle",
        "Pad",
        "MaxPool",
        "AveragePool",
        "Mean",
        "GlobalMaxPool",
        "Softmax",
        "Quantise",
    ];
    for op in all {
        assert!(ops.contains_key(op), "no {op} among {ops:?}");
    }
}

/// What makes a network's int8 input: convolutions, or `Quantise` for others;
/// nothing for a network that takes f32 first.
fn first(model: &Model<'_>) -> Option<ShaderKind> {
    let readers = |id| {
        let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
        nodes.filter(move |view| view.inputs().any(|input| input == id))
    };
    let mut of_input = readers(model.input_id());
    let quantise = of_input.next()?;
    if !matches!(quantise.op, Op::Quantise { .. }) || of_input.next().is_some() {
        return None;
    }
    let conv = |view: &NodeView<'_>| matches!(view.op, Op::Conv { groups: 1, .. });
    Some(match readers(quantise.output).all(|view| conv(&view)) {
        true => ShaderKind::Int8ConvFirst,
        false => ShaderKind::Int8QuantiseFirst,
    })
}

/// First layers that make their input from the questions: random geometry,
/// with one, three and four channels, three networks each.
#[test]
fn first_layers_have_the_bytes_of_core() {
    let Some(gpu) = device() else {
        return;
    };
    let kinds = [ShaderKind::Int8ConvFirst, ShaderKind::Int8QuantiseFirst];
    let wanted = kinds.map(|kind| [1, 3, 4].map(|channels| (kind, channels)));
    let mut left: Vec<_> = [wanted.concat(), wanted.concat(), wanted.concat()].concat();
    for seed in 60..4000 {
        if left.is_empty() {
            return;
        }
        let network = RandomNetwork::int8(seed);
        let file = Arc::new(ModelFile::new(&network.bytes).expect("it is sound"));
        let found = first(file.model()).map(|kind| (kind, network.shape.c));
        let Some(at) = left.iter().position(|wanted| Some(*wanted) == found) else {
            continue;
        };
        let normalisation = file.model().normalisation();
        let picture = picture_of(&network, &normalisation);
        let backend = GpuBackend::new(Arc::clone(&gpu), Arc::clone(&file), Storage::Full);
        let mut backend = backend.unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let steps: Vec<_> = backend.shaders().collect();
        assert!(steps.contains(&left[at].0), "seed {seed}: {steps:?}");
        assert!(
            !steps.contains(&ShaderKind::Input),
            "seed {seed}: {steps:?}"
        );
        if same_scores(&format!("seed {seed}"), &mut backend, &file, picture) {
            left.swap_remove(at);
        }
    }
    panic!("no networks that begin so: {left:?}");
}

/// The picture of a random network.
fn picture_of<'a>(network: &'a RandomNetwork, normalisation: &'a Normalisation) -> Picture<'a> {
    let shape = network.shape;
    match &network.picture {
        Numbers::Tensor(data) => Picture::Tensor { shape, data },
        Numbers::Pixels(data) => Picture::Pixels {
            shape,
            data,
            normalisation,
        },
    }
}

fn open(path: &std::path::Path) -> Arc<ModelFile> {
    let graph = import::load(path, &import::Options::default())
        .expect("it imports")
        .graph;
    let shape = graph.tensor(graph.input).shape;
    let card = Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: Channels::usual(shape.c).unwrap_or(Channels::Rgb),
        mean: vec![0.0; shape.c],
        scale: vec![1.0; shape.c],
        activation: OutputActivation::None,
        labels: vec![],
    };
    let compiled = compile(graph, &card, &CompileOptions::default()).expect("it compiles");
    Arc::new(ModelFile::new(&compiled.bytes).expect("it is sound"))
}

/// TFLite's own small networks, int8 and uint8.
#[test]
fn small_networks_of_tflite_have_the_bytes_of_core() {
    let Some(gpu) = device() else {
        return;
    };
    for name in names("int8").into_iter().chain(names("uint8")) {
        let file = open(&folder().join(format!("{name}.tflite")));
        let shape = file.model().input();
        let data: Vec<f32> = (0..shape.len())
            .map(|i| (i * 37 % 251) as f32 - 100.0)
            .collect();
        let picture = Picture::Tensor { shape, data: &data };
        let backend = GpuBackend::new(Arc::clone(&gpu), Arc::clone(&file), Storage::Full);
        let mut backend = backend.unwrap_or_else(|e| panic!("{name}: {e}"));
        same_tensors(&name, &mut backend, &file, &Masked::whole(picture));
        same_scores(&name, &mut backend, &file, picture);
    }
}

/// MLPerf Tiny's networks end to end: channels beyond a tile, 96 x 96 pixels.
#[test]
fn networks_of_mlperf_tiny_have_the_bytes_of_core() {
    let (Some(gpu), Some(zoo)) = (device(), zoo()) else {
        return;
    };
    for name in ["resnet8_cifar10_int8", "vww96_int8"] {
        let file = open(&zoo.join(format!("models/tinyml/{name}.tflite")));
        let mut reference = Reference::open(&zoo.join(format!("layers/{name}.npz")));
        let inputs = reference.get::<i8>("input");
        let picture = inputs.index_axis(Axis(0), 0);
        let data: Vec<f32> = picture.iter().map(|&v| f32::from(v)).collect();
        let shape = file.model().input();
        let picture = Picture::Tensor { shape, data: &data };
        let backend = GpuBackend::new(Arc::clone(&gpu), Arc::clone(&file), Storage::Full);
        let mut backend = backend.unwrap_or_else(|e| panic!("{name}: {e}"));
        let ops = same_tensors(name, &mut backend, &file, &Masked::whole(picture));
        assert!(ops.contains_key("Conv"), "{name}: {ops:?}");
        let steps: Vec<_> = backend.shaders().collect();
        assert!(
            steps.contains(&ShaderKind::Int8ConvFirst),
            "{name}: {steps:?}"
        );
        let stored = [ShaderKind::Input, ShaderKind::Int8Quantise];
        assert!(
            !stored.iter().any(|kind| steps.contains(kind)),
            "{name}: {steps:?}"
        );
        same_scores(name, &mut backend, &file, picture);
    }
}
