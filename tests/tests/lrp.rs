//! LRP against Captum and Zennit, against gradients, and in its own books.

#[path = "lrp/golden.rs"]
mod golden;
#[path = "lrp/laws.rs"]
mod laws;
#[path = "lrp/products.rs"]
mod products;

use std::cell::RefCell;
use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::graph::Graph;
use foveola_core::explain::{Lrp, Method, Outcome, Query, Silent};
use foveola_core::relevance::{LayerRelevance, RelevanceRules};
use foveola_core::{Classifier, Error, Picture, Score};

/// A card under which a pixel is what the model takes.
fn card(graph: &Graph, activation: OutputActivation) -> Card {
    let input = graph.tensor(graph.input).shape;
    Card {
        size: [input.h, input.w],
        resize: Resize::Squash,
        channels: match input.c {
            1 => Channels::Gray,
            _ => Channels::Rgb,
        },
        mean: vec![0.0; input.c],
        scale: vec![1.0; input.c],
        activation,
        labels: Vec::new(),
    }
}

fn backend(graph: Graph, activation: OutputActivation) -> CoreBackend {
    let options = CompileOptions {
        relevance: true,
        ..CompileOptions::default()
    };
    let card = card(&graph, activation);
    let compiled = compile(graph, &card, &options).expect("it compiles");
    let file = Arc::new(ModelFile::new(&compiled.bytes).expect("its file is sound"));
    CoreBackend::new(file, 1).expect("the backend starts")
}

/// The map of one class, and the books of the layers.
fn relevance(
    backend: &mut CoreBackend,
    hwc: &[f32],
    target: usize,
    rules: RelevanceRules,
) -> Result<(Vec<f32>, Vec<LayerRelevance>), Error> {
    let shape = backend.input();
    let query = Query {
        picture: Picture::Tensor { shape, data: hwc },
        targets: &[target],
        score: None,
        seed: 0,
    };
    let mut layers = Vec::new();
    let mut tell = |_: usize, layer: &LayerRelevance| layers.push(*layer);
    let method = Lrp {
        rules,
        told: Some(RefCell::new(&mut tell)),
    };
    let (mut map, mut outcome) = (vec![0.0; shape.len()], [Outcome::Flat]);
    method.explain(
        backend,
        &query,
        &mut map,
        &mut outcome,
        &mut [],
        &mut Silent,
    )?;
    Ok((map, layers))
}

fn logit(backend: &mut CoreBackend, hwc: &[f32], target: usize) -> f64 {
    let shape = backend.input();
    let mut scores = vec![0.0; backend.classes()];
    let x = foveola_core::Masked::whole(Picture::Tensor { shape, data: hwc });
    let answered = backend.classify(&x, Score::Logit, &mut scores);
    answered.expect("it classifies");
    scores[target].into()
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum()
}
