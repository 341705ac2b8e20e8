//! Networks without their constant channels against the same networks with
//! them, which other tests hold to TFLite and ONNX Runtime: no kept number differs.

use std::path::Path;

use foveola::aligned::AlignedBytes;
use foveola::backend::core::ModelFile;
use foveola::card::Card;
use foveola::compile::{CompileOptions, Compiled, compile};
use foveola::graph::Graph;
use foveola::model::{Engine, OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Pass;
use foveola_core::net::op::{Activation, Geometry, Op};
use foveola_core::net::session::Session;
use foveola_core::rng::philox4x32_10;
use foveola_core::{At, Classifier, Error, Layers, Masked, Picture, Rule, Score, TensorId, Values};
use foveola_tests::random::{Drawn, Numbers};
use foveola_tests::zoo;

/// Values of a tensor, as they are stored.
type Bits = Vec<u32>;

/// A network compiled with or without removal.
struct Network {
    compiled: Compiled,
    file: ModelFile,
}

/// What a picture gives.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    tensors: Vec<Bits>,
    scores: Vec<Bits>,
}

impl Network {
    fn new(graph: &Graph, card: &Card, fold: bool, prune: bool) -> Option<Self> {
        let options = CompileOptions {
            fold,
            prune,
            ..CompileOptions::default()
        };
        let compiled = compile(graph.clone(), card, &options).ok()?;
        let file = ModelFile::new(&compiled.bytes).expect("its file is sound");
        Some(Self { compiled, file })
    }

    /// Calls `f` with a session for a pass.
    fn with<R>(&self, pass: Pass, f: impl FnOnce(&mut Session<'_, '_>) -> R) -> R {
        let model = self.file.model();
        let plan = model.plan(pass).expect("a plan");
        let mut arena = AlignedBytes::zeros(plan.arena_len());
        f(&mut Session::new(model, &mut arena, Isa::detect()).expect("a session"))
    }

    /// Every tensor and the scores.
    fn answer(&self, picture: Picture<'_>) -> Result<Answer, Error> {
        let model = self.file.model();
        let mut tensors = vec![Bits::new(); model.tensor_count()];
        let x = Masked::whole(picture);
        let mut scores = vec![vec![0.0_f32; model.classes()]; 2];
        self.with(Pass::Forward, |session| {
            session.forward_tapped(&x, &mut |node, _, values| {
                let output = model.node(node).expect("a node").output;
                let to = &mut tensors[usize::from(output.0)];
                match values {
                    Values::Stored { data, .. } => to.extend(data.iter().map(|&q| q as u32)),
                    Values::Real(data) => to.extend(data.iter().map(|v| v.to_bits())),
                }
                Ok(())
            })?;
            for (score, to) in [Score::Logit, Score::Probability]
                .into_iter()
                .zip(&mut scores)
            {
                session.classify(&x, score, to)?;
            }
            Ok(())
        })?;
        let bits = |scores: &Vec<f32>| scores.iter().map(|v| v.to_bits()).collect();
        Ok(Answer {
            tensors,
            scores: scores.iter().map(bits).collect(),
        })
    }

    /// The gradient of class 0 at the input, by the rules that removal leaves alone.
    fn gradients(&self, picture: Picture<'_>) -> Result<Vec<f32>, Error> {
        let x = Masked::whole(picture);
        self.with(Pass::Backward(At::Input), |session| {
            let mut all = vec![];
            for rule in [Rule::Gradient, Rule::Guided] {
                session.run(&x, At::Input, rule)?;
                all.extend_from_slice(session.backward(&[(0, 1.0)], Score::Logit)?);
            }
            Ok(all)
        })
    }

    /// Grad-CAM's sum over the channels of its default layer.
    fn cam(&self, picture: Picture<'_>) -> Result<Option<Vec<f32>>, Error> {
        let Some(layer) = self.compiled.cam_layer else {
            return Ok(None);
        };
        let at = At::Tensor(layer);
        let shape = self.file.model().shape(layer);
        self.with(Pass::Backward(at), |session| {
            session.run(&Masked::whole(picture), at, Rule::Gradient)?;
            let gradient = session.backward(&[(0, 1.0)], Score::Logit)?;
            let mut weights = vec![0.0_f32; shape.c];
            for pixel in gradient.chunks_exact(shape.c) {
                weights.iter_mut().zip(pixel).for_each(|(w, g)| *w += g);
            }
            let pixel = |x: &[f32]| weights.iter().zip(x).fold(0.0, |sum, (w, x)| sum + w * x);
            let x: Vec<f32> = match session.activation()? {
                Values::Real(data) => data.to_vec(),
                Values::Stored {
                    data,
                    scale,
                    zero_point,
                } => {
                    let real = |&q: &i8| (i16::from(q) - i16::from(zero_point)) as f32 * scale;
                    data.iter().map(real).collect()
                }
            };
            Ok(Some(x.chunks_exact(shape.c).map(pixel).collect()))
        })
    }

    fn removed(&self) -> usize {
        let kept = self.compiled.pruned.kept.iter().flatten();
        kept.filter(|kept| !**kept).count()
    }
}

/// Whether all kept channels hold the same bits as in the whole network.
fn assert_kept(what: &str, whole: &Answer, pruned: &Answer, kept: &[Vec<bool>]) {
    assert_eq!(whole.scores, pruned.scores, "{what}: scores");
    for (id, (whole, pruned)) in whole.tensors.iter().zip(&pruned.tensors).enumerate() {
        // The probabilities that the card asks for come behind the graph's tensors.
        let Some(kept) = kept.get(id) else { continue };
        let stays = whole.iter().zip(kept.iter().cycle());
        let wanted: Bits = stays.filter(|(_, kept)| **kept).map(|(v, _)| *v).collect();
        // Layers that run row by row leave out last rows that nobody reads.
        let rows = wanted.len().min(pruned.len());
        assert!(wanted[..rows] == pruned[..rows], "{what}: tensor {id}");
    }
}

fn zoo_model(zoo: &Path, name: &str) -> (OpenModel, Graph) {
    let path = zoo.join("models").join(name);
    let model = OpenModel::open(&path, &OpenOptions::default()).expect("it opens");
    let Engine::Graph(imported) = &model.engine else {
        panic!("{name} is imported");
    };
    let graph = imported.graph.clone();
    (model, graph)
}

fn photos(zoo: &Path, model: &OpenModel, count: usize) -> Vec<Photo> {
    let mut paths: Vec<_> = std::fs::read_dir(zoo.join("images/coco"))
        .expect("pictures")
        .map(|entry| entry.expect("a picture").path())
        .collect();
    paths.sort();
    let photos: Vec<Photo> = paths
        .iter()
        .take(count)
        .map(|path| Photo::open(path, &model.intake()).expect("a photo"))
        .collect();
    assert_eq!(photos.len(), count);
    photos
}

/// The figures are those of an independent interval analysis, 3,794,057 of
/// 7,489,664 products and 31,796 weights, or below: that one did not take
/// constants through biases.
#[test]
fn half_of_the_visual_wake_words_network_is_constant() {
    let Some(zoo) = zoo() else { return };
    for name in ["tinyml/vww96_int8.tflite", "tinyml/vww96_int8_qdq.onnx"] {
        let (model, graph) = zoo_model(&zoo, name);
        let network = |prune| Network::new(&graph, &model.card, true, prune).expect("it compiles");
        let (whole, pruned) = (network(false), network(true));
        let report = &pruned.compiled.pruned;
        assert_eq!(report.macs.before, 7_489_664, "{name}");
        assert!(
            (3_600_000..=3_794_057).contains(&report.macs.after),
            "{name}"
        );
        assert!((28_000..=31_796).contains(&report.weights.after), "{name}");
        println!(
            "{name}: {:?} {:?} {:?}",
            report.channels, report.macs, report.weights
        );
        for (i, photo) in photos(&zoo, &model, 40).iter().enumerate() {
            let picture = photo.picture();
            let what = format!("{name}, picture {i}");
            let whole_answer = whole.answer(picture).expect("it runs");
            let answer = pruned.answer(picture).expect("it runs");
            assert_kept(&what, &whole_answer, &answer, &report.kept);
            if i < 5 {
                assert!(
                    whole.gradients(picture) == pruned.gradients(picture),
                    "{what}"
                );
                assert!(whole.cam(picture) == pruned.cam(picture), "{what}");
            }
        }
    }
}

#[test]
fn networks_without_constant_channels_stay_whole() {
    let Some(zoo) = zoo() else { return };
    for name in [
        "resnet8_cifar10_int8.tflite",
        "resnet8_cifar10_int8_qdq.onnx",
    ] {
        let (model, graph) = zoo_model(&zoo, &format!("tinyml/{name}"));
        let network = |prune| Network::new(&graph, &model.card, true, prune).expect("it compiles");
        let (whole, pruned) = (network(false), network(true));
        assert!(pruned.compiled.pruned.is_empty(), "{name}");
        assert!(whole.compiled.bytes == pruned.compiled.bytes, "{name}");
    }
}

/// Random words, a function of the seed.
struct Random {
    seed: u32,
    at: u32,
}

impl Random {
    fn word(&mut self) -> u32 {
        self.at += 1;
        philox4x32_10([self.at, 0, 0, 0], [self.seed, 7])[0]
    }

    fn below(&mut self, n: u32) -> u32 {
        self.word() % n
    }
}

/// Weights of the whole network that removal took away become random numbers:
/// those that read a channel which is 0 on all pictures, and those that make a
/// channel which nothing reads.
#[test]
fn removed_weights_do_not_matter() {
    let Some(zoo) = zoo() else { return };
    let (model, graph) = zoo_model(&zoo, "tinyml/vww96_int8.tflite");
    let network =
        |graph: &Graph, prune| Network::new(graph, &model.card, true, prune).expect("it compiles");
    let (whole, pruned) = (network(&graph, false), network(&graph, true));
    let photos = photos(&zoo, &model, 30);
    let answers: Vec<Answer> = photos
        .iter()
        .map(|photo| whole.answer(photo.picture()).expect("it runs"))
        .collect();
    let kept = &pruned.compiled.pruned.kept;
    // Compilation without folding renumbers nothing in this network.
    assert_eq!(kept.len(), graph.tensors.len());
    let zero = |id: TensorId, c: usize| {
        let tensor = graph.tensor(id);
        let zero = tensor.quant.expect("int8").zero_point as u32;
        let values = |answer: &Answer| {
            let values = answer.tensors[usize::from(id.0)].iter();
            values.skip(c).step_by(tensor.shape.c).all(|&q| q == zero)
        };
        answers.iter().all(values)
    };
    let mut other = graph.clone();
    let (mut random, mut changed) = (Random { seed: 3, at: 0 }, 0);
    for node in &mut other.nodes {
        let Op::Conv { geometry, .. } = node.op else {
            continue;
        };
        let (input, output) = (node.inputs[0], node.output);
        let inputs = graph.tensor(input).shape.c;
        let taps = usize::from(geometry.kernel[0]) * usize::from(geometry.kernel[1]);
        let idle: Vec<bool> = (0..inputs)
            .map(|i| !kept[usize::from(input.0)][i] && zero(input, i))
            .collect();
        let unread: Vec<bool> = kept[usize::from(output.0)]
            .iter()
            .enumerate()
            .map(|(o, &kept)| !kept && !zero(output, o))
            .collect();
        let weights = &mut node.quantised.as_mut().expect("int8").weights;
        for (at, weight) in weights.iter_mut().enumerate() {
            if idle[at % inputs] || unread[at / inputs / taps] {
                *weight = random.word() as i8;
                changed += 1;
            }
        }
    }
    println!("{changed} weights are random now");
    assert!(changed >= 129_116, "{changed}");
    let changed = network(&other, false);
    for (photo, answer) in photos.iter().zip(&answers) {
        let found = changed.answer(photo.picture()).expect("it runs");
        assert_eq!(found.scores, answer.scores);
    }
}

/// What was planted.
#[derive(Debug, Default)]
struct Planted {
    networks: usize,
    /// Channels removed.
    channels: usize,
    /// Networks where a constant other than 0 went into a bias.
    shifted: usize,
    /// Networks where a convolution pads what became smaller.
    padded: usize,
}

/// Gives filters no weights, or tiny ones, and biases that saturate, vanish or
/// lie between.
fn plant(graph: &mut Graph, random: &mut Random) {
    for node in &mut graph.nodes {
        let output = graph.tensors[usize::from(node.output.0)].shape;
        let outputs = match node.op {
            Op::Conv { .. } | Op::Depthwise { .. } => output.c,
            Op::Dense => output.len(),
            _ => continue,
        };
        let depthwise = matches!(node.op, Op::Depthwise { .. });
        if random.below(2) == 0 && !matches!(node.activation, Activation::LeakyRelu { .. }) {
            node.activation = Activation::Relu;
        }
        let count = node
            .quantised
            .as_ref()
            .map_or(node.weights.len(), |w| w.weights.len());
        let of = |at: usize| {
            if depthwise {
                at % outputs
            } else {
                at / (count / outputs)
            }
        };
        for o in 0..outputs {
            let kind = random.below(8);
            if kind > 4 {
                continue;
            }
            let bias = [0, -200_000, 200_000, -3000, 3000, 800][random.below(6) as usize];
            if let Some(weights) = &mut node.quantised {
                weights.bias.resize(outputs, 0);
                weights.bias[o] = bias;
                let zero = weights.zero_point;
                for (at, weight) in weights.weights.iter_mut().enumerate() {
                    if of(at) == o && (kind > 0 || *weight > 0) {
                        *weight = zero;
                    }
                }
            } else {
                node.bias.resize(outputs, 0.0);
                node.bias[o] = bias as f32 * 1e-4;
                for (at, weight) in node.weights.iter_mut().enumerate() {
                    if of(at) == o {
                        *weight *= if kind == 0 { 1e-9 } else { 0.0 };
                    }
                }
            }
        }
    }
}

fn pads(geometry: Geometry) -> bool {
    geometry.pad != [0; 2]
}

impl Planted {
    fn add(&mut self, graph: &Graph, whole: &Answer, pruned: &Network) {
        let kept = &pruned.compiled.pruned.kept;
        self.networks += usize::from(pruned.removed() > 0);
        self.channels += pruned.removed();
        let smaller = |id: TensorId| {
            kept.get(usize::from(id.0))
                .is_some_and(|k| k.contains(&false))
        };
        let nodes = || graph.nodes.iter().filter(|node| smaller(node.inputs[0]));
        self.padded += usize::from(nodes().any(|node| match node.op {
            Op::Conv { geometry, .. } => pads(geometry),
            _ => false,
        }));
        let shifted = |id: TensorId| {
            let Some(quant) = graph.tensor(id).quant else {
                return false;
            };
            let kept = &kept[usize::from(id.0)];
            let values = &whole.tensors[usize::from(id.0)];
            let mut pixel = values.iter().zip(kept);
            pixel.any(|(&q, kept)| !kept && q != quant.zero_point as u32)
        };
        let linear = |op| matches!(op, Op::Conv { .. } | Op::Dense);
        self.shifted += usize::from(nodes().any(|n| linear(n.op) && shifted(n.inputs[0])));
    }
}

/// A picture of a drawn network, and others of the same kind.
fn pictures(drawn: &Drawn, random: &mut Random) -> Vec<Vec<f32>> {
    let c = drawn.card.mean.len();
    let first: Vec<f32> = match &drawn.picture {
        Numbers::Tensor(values) => values.clone(),
        Numbers::Pixels(pixels) => {
            let each = pixels.iter().enumerate();
            each.map(|(i, &p)| (f32::from(p) - drawn.card.mean[i % c]) * drawn.card.scale[i % c])
                .collect()
        }
    };
    let other = |random: &mut Random| {
        let number = |_| (random.below(512) as f32 - 256.0) * [0.01, 1.0][random.below(2) as usize];
        first.iter().map(number).collect()
    };
    vec![first.clone(), other(random), other(random)]
}

/// Plants constants, removes them, and compares.
fn compare(seed: u64, mut drawn: Drawn, fold: bool, planted: &mut Planted) {
    let mut random = Random {
        seed: seed as u32,
        at: 0,
    };
    plant(&mut drawn.graph, &mut random);
    // Every tensor keeps its number, so that both networks can be compared.
    let graph = &drawn.graph;
    let network = |prune| Network::new(graph, &drawn.card, fold, prune);
    let (Some(whole), Some(pruned)) = (network(false), network(true)) else {
        return;
    };
    let kept = &pruned.compiled.pruned.kept;
    for (i, input) in pictures(&drawn, &mut random).iter().enumerate() {
        let what = format!("seed {seed}, picture {i}");
        let shape = whole.file.model().input();
        let picture = Picture::Tensor { shape, data: input };
        // Numbers beyond f32 end in NaN, which is an error.
        let Ok(answer) = whole.answer(picture) else {
            continue;
        };
        let found = pruned.answer(picture).expect("the smaller one runs too");
        assert_kept(&what, &answer, &found, kept);
        if i == 0 && kept.len() == graph.tensors.len() {
            planted.add(graph, &answer, &pruned);
        }
        let (a, b) = (whole.gradients(picture), pruned.gradients(picture));
        if let Ok(a) = a
            && a.iter().all(|g| g.is_finite())
        {
            assert!(Ok(a) == b, "{what}: gradients");
        }
        if let Ok(Some(a)) = whole.cam(picture)
            && a.iter().all(|g| g.is_finite())
        {
            assert_eq!(Ok(Some(a)), pruned.cam(picture), "{what}: Grad-CAM");
        }
    }
}

#[test]
fn random_int8_networks_keep_their_numbers() {
    let mut planted = Planted::default();
    for seed in 0..2000 {
        compare(seed, Drawn::int8(seed, 0), false, &mut planted);
    }
    println!("{planted:?}");
    assert!(
        planted.networks > 400 && planted.channels > 2000,
        "{planted:?}"
    );
    assert!(planted.shifted > 100 && planted.padded > 20, "{planted:?}");
}

#[test]
fn random_float_networks_keep_their_bits() {
    let mut planted = Planted::default();
    for seed in 0..2000 {
        let drawn = Drawn::real(seed, 0);
        let fold = drawn.options.fold;
        compare(seed, drawn, fold, &mut planted);
    }
    println!("{planted:?}");
    assert!(
        planted.networks > 300 && planted.channels > 600,
        "{planted:?}"
    );
}
