//! Networks that do not become model files: typed errors, not faults.

use foveola::compile::{CompileError, CompileOptions, compile};
use foveola::graph::{Graph, Tensor};
use foveola_core::Shape;
use foveola_tests::small;

fn refused(graph: Graph, layers: &[&str]) -> CompileError {
    let options = CompileOptions {
        layers: layers.iter().map(|&l| l.to_owned()).collect(),
        ..CompileOptions::default()
    };
    compile(graph, &small::card(), &options).expect_err("it must not compile")
}

/// 4 GiB of constants, which only claim their size.
#[test]
fn constants_beyond_what_offsets_reach_are_refused() {
    let mut graph = small::graph();
    let claim = |i| Tensor {
        name: format!("constant{i}"),
        shape: Shape::new(1 << 13, 1 << 13, 1),
        constant: Some(Vec::new()),
        quant: None,
    };
    graph.tensors.extend((0..16).map(claim));
    let options = CompileOptions::default();
    let card = small::card();
    let error = foveola::compile::as_it_is(
        graph,
        Default::default(),
        &card,
        &options.layers,
        options.goal,
    );
    match error.expect_err("it must not compile") {
        CompileError::TooLarge { what, have, most } => {
            assert!(what.contains("constants"), "{what}");
            assert!(have > 1 << 32 && most < 1 << 32, "{have} {most}");
        }
        other => panic!("{other}"),
    }
}

/// A softmax that the file itself holds lies behind the scores that gradients
/// begin at.
#[test]
fn no_gradient_ends_behind_the_scores() {
    let mut graph = small::graph();
    let network = foveola::compile::network::Network::new(graph.clone(), &small::card());
    graph.tensors = network.graph.tensors;
    graph.nodes = network.graph.nodes;
    graph.output = network.probabilities;
    graph
        .names
        .insert("softmax".to_owned(), network.probabilities);
    let error = refused(graph, &["softmax"]);
    assert!(matches!(error, CompileError::NoGradient { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("\"softmax\"") && text.contains("\"output\""),
        "{text}"
    );
}
