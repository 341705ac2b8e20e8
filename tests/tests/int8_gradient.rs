//! Gradients of int8 networks against the straight-through derivative in f64,
//! and the evidence of int8 networks against that of their float twins.

use foveola::aligned::AlignedBytes;
use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::graph::Graph;
use foveola::import::{Options, load};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Pass;
use foveola_core::net::op::Op;
use foveola_core::net::session::Session;
use foveola_core::{At, Layers, Masked, Picture, Rule, Score, TensorId, Values};
use foveola_tests::random::{Drawn, Numbers};
use foveola_tests::straight_through::Run;
use foveola_tests::tflite::Reference;
use foveola_tests::zoo;
use ndarray::Axis;

const RULES: [Rule; 3] = [Rule::Gradient, Rule::Deconvolution, Rule::Guided];

/// A network none of whose tensors vanish.
struct Network {
    graph: Graph,
    file: ModelFile,
    /// The model's tensor of each of the graph's.
    tensors: Vec<Option<TensorId>>,
}

impl Network {
    fn new(mut graph: Graph, card: &Card) -> Option<Self> {
        let names = (0..graph.tensors.len()).map(|i| (format!("t{i}"), TensorId(i as u16)));
        graph.names = names.collect();
        let options = CompileOptions {
            taps: graph.names.keys().cloned().collect(),
            ..CompileOptions::default()
        };
        let compiled = compile(graph.clone(), card, &options).ok()?;
        let tensors = 0..graph.tensors.len();
        let tensors = tensors.map(|i| compiled.names.get(&format!("t{i}")).copied());
        Some(Self {
            tensors: tensors.collect(),
            file: ModelFile::new(&compiled.bytes).expect("it is sound"),
            graph,
        })
    }

    /// Stored numbers of each tensor and the gradient of a class at the input.
    fn run(&self, input: &[f32], class: usize, rule: Rule) -> (Vec<Vec<i8>>, Vec<f32>) {
        let model = self.file.model();
        let plan = model.plan(Pass::Backward(At::Input)).expect("a plan");
        let mut arena = AlignedBytes::zeros(plan.arena_len());
        let mut session = Session::new(model, &mut arena, Isa::detect()).expect("a session");
        let picture = Picture::Tensor {
            shape: model.input(),
            data: input,
        };
        let mut stored = vec![Vec::new(); model.tensor_count()];
        let x = Masked::whole(picture);
        session
            .run_tapped(&x, At::Input, rule, &mut |node, _, values| {
                let output = model.node(node).expect("a node").output;
                if let Values::Stored { data, .. } = values {
                    stored[usize::from(output.0)].extend(data);
                }
                Ok(())
            })
            .expect("it runs");
        let mut gradient = Vec::new();
        session
            .backward_pieces(&[(class, 1.0)], Score::Logit, &mut |first, piece| {
                assert_eq!(first, gradient.len());
                gradient.extend_from_slice(piece);
                Ok(())
            })
            .expect("a gradient");
        let of = |id: &Option<TensorId>| id.map_or(vec![], |id| stored[usize::from(id.0)].clone());
        (self.tensors.iter().map(of).collect(), gradient)
    }

    /// Largest difference to the oracle as a share of its largest number.
    fn error(&self, input: &[f32], class: usize, rule: Rule) -> (f64, f64) {
        let (stored, found) = self.run(input, class, rule);
        let wanted = Run::new(&self.graph, &stored).gradient(class, rule);
        assert_eq!(found.len(), wanted.len());
        let largest = wanted.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let apart = found
            .iter()
            .zip(&wanted)
            .map(|(a, b)| (f64::from(*a) - b).abs());
        let worst = apart.fold(0.0_f64, f64::max);
        let share = if worst == 0.0 { 0.0 } else { worst / largest };
        (share, largest)
    }
}

fn is_int8(graph: &Graph) -> bool {
    graph
        .nodes
        .iter()
        .all(|node| graph.tensor(node.output).quant.is_some() || node.op == Op::Dequantise)
}

#[test]
fn random_networks_have_the_straight_through_gradient() {
    let (mut compared, mut worst) = (0, 0.0_f64);
    for seed in 0..1500 {
        let drawn = Drawn::int8(seed, 0);
        if !is_int8(&drawn.graph) {
            continue;
        }
        let Some(network) = Network::new(drawn.graph, &drawn.card) else {
            continue;
        };
        let input = match drawn.picture {
            Numbers::Tensor(values) => values,
            Numbers::Pixels(pixels) => {
                let c = network.file.model().input().c;
                let each = pixels.iter().enumerate();
                each.map(|(i, &p)| {
                    (f32::from(p) - drawn.card.mean[i % c]) * drawn.card.scale[i % c]
                })
                .collect()
            }
        };
        for rule in RULES {
            let (error, largest) = network.error(&input, 0, rule);
            assert!(
                error <= 1e-4,
                "seed {seed} {rule:?}: {error:e} of {largest:e}"
            );
            worst = worst.max(error);
            compared += usize::from(largest > 0.0);
        }
    }
    println!("{compared} gradients that are not 0, {worst:e} at most");
    assert!(compared > 200, "only {compared} gradients are not 0");
}

fn card(graph: &Graph) -> Card {
    let shape = graph.tensor(graph.input).shape;
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

#[test]
fn zoo_networks_have_the_straight_through_gradient() {
    let Some(zoo) = zoo() else { return };
    for name in ["resnet8_cifar10_int8", "vww96_int8"] {
        let path = zoo.join(format!("models/tinyml/{name}.tflite"));
        let graph = load(&path, &Options::default()).expect("it imports").graph;
        let card = card(&graph);
        let network = Network::new(graph, &card).expect("it compiles");
        let mut reference = Reference::open(&zoo.join(format!("layers/{name}.npz")));
        let inputs = reference.get::<i8>("input").mapv(f32::from);
        let classes = network.file.model().classes();
        for (i, input) in inputs.outer_iter().enumerate().take(3) {
            let input: Vec<f32> = input.iter().copied().collect();
            for rule in RULES {
                let (error, largest) = network.error(&input, i % classes, rule);
                println!("{name} picture {i} {rule:?}: {error:e} of {largest:e}");
                assert!(
                    largest > 0.0 && error <= 1e-4,
                    "{name} {i} {rule:?}: {error:e}"
                );
            }
        }
        assert!(inputs.len_of(Axis(0)) > 0);
    }
}
