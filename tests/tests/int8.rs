//! int8 and uint8 TFLite networks, imported, compiled and run by `core`: every
//! tensor has the same integers as by TFLite's reference kernels.

use std::collections::BTreeSet;
use std::path::Path;

use foveola::aligned::AlignedBytes;
use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, Compiled, compile};
use foveola::graph::Graph;
use foveola::import::{Options, load};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Pass;
use foveola_core::net::session::Session;
use foveola_core::picture::Normalisation;
use foveola_core::{Masked, Picture, Shape, TensorId, Values};
use foveola_tests::tflite::{Reference, folder, names};
use foveola_tests::zoo;
use ndarray::{ArrayD, Axis};

/// A card that leaves numbers as they are.
fn card(shape: Shape) -> Card {
    Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: Channels::usual(shape.c).unwrap_or(Channels::Rgb),
        mean: vec![0.0; shape.c],
        scale: vec![1.0; shape.c],
        activation: OutputActivation::None,
        labels: vec![],
    }
}

/// A compiled network that shows its tensors.
struct Network {
    graph: Graph,
    compiled: Compiled,
    file: ModelFile,
}

impl Network {
    fn open(path: &Path) -> Self {
        let imported = load(path, &Options::default());
        let graph = imported
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            .graph;
        let shape = graph.tensor(graph.input).shape;
        let card = card(shape);
        let compiled = compile(graph.clone(), &card, &CompileOptions::default());
        let compiled = compiled.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let file = ModelFile::new(&compiled.bytes);
        let file = file.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self {
            graph,
            compiled,
            file,
        }
    }

    /// The stored numbers of every int8 tensor, by id; empty for f32 ones.
    fn tensors(&self, input: &[f32], isa: Isa) -> Vec<Vec<i8>> {
        let picture = Picture::Tensor {
            shape: self.file.model().input(),
            data: input,
        };
        self.tensors_of(picture, isa)
    }

    fn tensors_of(&self, picture: Picture<'_>, isa: Isa) -> Vec<Vec<i8>> {
        let model = self.file.model();
        let plan = model.plan(Pass::Forward).expect("a forward plan");
        let mut arena = AlignedBytes::zeros(plan.arena_len());
        let mut session = Session::new(model, &mut arena, isa).expect("a session");
        let mut tensors = vec![Vec::new(); model.tensor_count()];
        session
            .forward_tapped(&Masked::whole(picture), &mut |node, first, values| {
                let output = model.node(node).expect("a node").output;
                let tensor: &mut Vec<i8> = &mut tensors[usize::from(output.0)];
                if let Values::Stored { data, .. } = values {
                    assert_eq!(tensor.len(), first, "rows come in order");
                    tensor.extend(data);
                }
                Ok(())
            })
            .expect("it runs");
        tensors
    }

    /// The tensor that holds the file's tensor `index`, if it lies there in
    /// the order of the file's.
    fn find(&self, index: &str, sizes: &[usize]) -> Option<TensorId> {
        let id = *self.compiled.names.get(&format!("#{index}"))?;
        let wide =
            |sizes: &[usize]| -> Vec<usize> { sizes.iter().copied().filter(|&n| n > 1).collect() };
        let Shape { h, w, c } = self.file.model().shape(id);
        let alike = wide(sizes).len() < 2 || wide(&[h, w, c]) == wide(sizes);
        (alike || sizes.len() == 2).then_some(id)
    }

    fn is_unsigned(&self) -> bool {
        let quants = self.graph.tensors.iter().filter_map(|t| t.quant);
        quants.into_iter().any(|q| q.unsigned)
    }
}

/// The stored integers of a reference, whichever type the file has.
fn integers(reference: &mut Reference, key: &str, unsigned: bool) -> ArrayD<i8> {
    match unsigned {
        true => reference
            .get::<u8>(key)
            .mapv(|v| (i16::from(v) - 128) as i8),
        false => reference.get::<i8>(key),
    }
}

/// A picture as the model takes it: its own integers.
fn picture(reference: &mut Reference, key: &str, unsigned: bool) -> ArrayD<f32> {
    match unsigned {
        true => reference.get::<u8>(key).mapv(f32::from),
        false => reference.get::<i8>(key).mapv(f32::from),
    }
}

/// Largest difference and how many elements differ.
fn differences(found: &[i8], wanted: &ArrayD<i8>) -> (i32, usize) {
    assert_eq!(found.len(), wanted.len(), "number of elements");
    let apart = found
        .iter()
        .zip(wanted)
        .map(|(&a, &b)| (i32::from(a) - i32::from(b)).abs());
    let (most, count) = (
        apart.clone().max().unwrap_or(0),
        apart.filter(|&d| d > 0).count(),
    );
    (most, count)
}

#[test]
fn every_operator_gives_the_integers_of_tflite() {
    let mut reference = Reference::small();
    let (mut tensors, mut wrong) = (0, vec![]);
    for name in [names("int8"), names("uint8")].concat() {
        let network = Network::open(&folder().join(format!("{name}.tflite")));
        let unsigned = network.is_unsigned();
        let input = picture(&mut reference, &format!("{name}.input"), unsigned);
        let input: Vec<f32> = input.iter().copied().collect();
        let found = network.tensors(&input, Isa::portable());
        let fast = network.tensors(&input, Isa::detect());
        assert_eq!(found, fast, "{name}: this machine's kernels");
        // A PReLU has no int8 kernel: it is computed in f32 and rounded once.
        let tolerance = i32::from(name.starts_with("prelu"));
        for index in reference.keys(&format!("{name}.")) {
            if index == "input" {
                continue;
            }
            let wanted = integers(&mut reference, &format!("{name}.{index}"), unsigned);
            let Some(id) = network.find(&index, wanted.shape()) else {
                continue;
            };
            let (most, count) = differences(&found[usize::from(id.0)], &wanted);
            tensors += 1;
            if most > tolerance {
                wrong.push(format!("{name} {index}: {count} differ, by {most} at most"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {tensors}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(tensors > 160, "only {tensors} tensors were compared");
}

/// Pixels may take another way into int8 than numbers: with one table for all
/// channels, with one each, and, where tables have no room, with none.
#[test]
fn pixels_give_the_integers_of_their_numbers() {
    let one = Normalisation {
        mean: [128.0; 4],
        scale: [1.0; 4],
    };
    let three = Normalisation {
        mean: [127.3, 100.0, 140.5, 0.0],
        scale: [0.97, 1.31, -0.8, 1.0],
    };
    let Some(zoo) = zoo() else { return };
    for name in ["vww96_int8", "resnet8_cifar10_int8"] {
        let path = zoo.join("models/tinyml").join(name);
        let network = Network::open(&path.with_extension("tflite"));
        let shape = network.file.model().input();
        let pixels: Vec<u8> = (0..shape.len()).map(|i| (i * 89 % 256) as u8).collect();
        for by in [one, three] {
            let number = |(i, &p): (usize, &u8)| {
                let c = i % shape.c;
                (f32::from(p) - by.mean[c]) * by.scale[c]
            };
            let numbers: Vec<f32> = pixels.iter().enumerate().map(number).collect();
            let picture = Picture::Pixels {
                shape,
                data: &pixels,
                normalisation: &by,
            };
            let isa = Isa::detect();
            let (found, wanted) = (
                network.tensors_of(picture, isa),
                network.tensors(&numbers, isa),
            );
            assert!(found == wanted, "{name} {by:?}");
        }
    }
}

#[test]
fn zoo_networks_give_the_integers_of_tflite() {
    let Some(zoo) = zoo() else { return };
    for (folder, model) in [
        ("tinyml", "resnet8_cifar10_int8"),
        ("tinyml", "vww96_int8"),
        ("imagenet", "mobilenet_v2_100_224_uint8"),
    ] {
        let mut reference = Reference::open(&zoo.join(format!("layers/{model}.npz")));
        let network = Network::open(&zoo.join(format!("models/{folder}/{model}.tflite")));
        let unsigned = network.is_unsigned();
        let inputs = picture(&mut reference, "input", unsigned);
        let keys: Vec<String> = reference
            .keys("")
            .into_iter()
            .filter(|k| k != "input")
            .collect();
        let wanted: Vec<ArrayD<i8>> = keys
            .iter()
            .map(|key| integers(&mut reference, key, unsigned))
            .collect();
        for (i, input) in inputs.outer_iter().enumerate() {
            let input: Vec<f32> = input.iter().copied().collect();
            let found = network.tensors(&input, Isa::detect());
            for (key, wanted) in keys.iter().zip(&wanted) {
                let index = key.rsplit('.').next().expect("a tensor's index");
                let id = network
                    .find(index, &wanted.shape()[1..])
                    .unwrap_or_else(|| panic!("{key}"));
                let wanted = wanted.index_axis(Axis(0), i).to_owned();
                let (most, count) = differences(&found[usize::from(id.0)], &wanted);
                assert_eq!(count, 0, "{model} input {i} {key}: by {most} at most");
            }
        }
        println!(
            "{model}: {} tensors of {} inputs agree",
            keys.len(),
            inputs.shape()[0]
        );
    }
}

/// Tensors that lead to a kind of score.
fn before(graph: &Graph, score: TensorId) -> BTreeSet<TensorId> {
    let mut before = BTreeSet::from([score]);
    for node in graph.nodes.iter().rev() {
        if before.contains(&node.output) {
            before.extend(&node.inputs);
        }
    }
    before.retain(|&id| graph.tensor(id).constant.is_none());
    before
}

/// A plan for gradients of any layer holds that layer's values, also where they
/// could pass by as a few rows at a time.
#[test]
fn any_layer_can_be_explained() {
    for name in names("int8") {
        let network = Network::open(&folder().join(format!("{name}.tflite")));
        let [logits, output] = [network.graph.logits, network.graph.output];
        let [logits, output] = [logits, output].map(|score| before(&network.graph, score));
        let layers = network.graph.names.iter();
        let layers = layers.filter(|(_, id)| logits.contains(id) && output.contains(id));
        let layers: Vec<String> = layers.map(|(name, _)| name.clone()).collect();
        let options = CompileOptions {
            layers,
            ..CompileOptions::default()
        };
        let shape = network.graph.tensor(network.graph.input).shape;
        let compiled = compile(network.graph, &card(shape), &options).expect("it compiles");
        if let Err(e) = ModelFile::new(&compiled.bytes) {
            panic!("{name}: {e}");
        }
    }
}
