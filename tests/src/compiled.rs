//! Graphs compiled and run by `core`.

use foveola::aligned::AlignedBytes;
use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::graph::Graph;
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Pass;
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Masked, Picture, Score};

/// What the compiled graph gives when `core` runs it; `None` for inputs that are no pictures.
pub fn scores(graph: &Graph, input: &[f32]) -> Option<Vec<f32>> {
    scores_as(graph, input, Score::Probability)
}

/// The same, or its logits.
pub fn scores_as(graph: &Graph, input: &[f32], score: Score) -> Option<Vec<f32>> {
    let shape = graph.tensor(graph.input).shape;
    let channels = match shape.c {
        1 => Channels::Gray,
        3 => Channels::Rgb,
        4 => Channels::Rgba,
        _ => return None,
    };
    let card = Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels,
        mean: vec![0.0; shape.c],
        scale: vec![1.0; shape.c],
        activation: OutputActivation::None,
        labels: vec![],
    };
    let compiled = compile(graph.clone(), &card, &CompileOptions::default()).expect("it compiles");
    let file = ModelFile::new(&compiled.bytes).expect("the file is sound");
    let model = file.model();
    let length = model
        .plan(Pass::Forward)
        .expect("a forward plan")
        .arena_len();
    let mut arena = AlignedBytes::zeros(length);
    let mut session = Session::new(model, &mut arena, Isa::portable()).expect("a session");
    let picture = Picture::Tensor { shape, data: input };
    let mut scores = vec![0.0; model.classes()];
    session
        .classify(&Masked::whole(picture), score, &mut scores)
        .expect("it runs");
    Some(scores)
}
