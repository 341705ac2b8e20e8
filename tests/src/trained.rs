//! The golden networks, compiled.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, Compiled, compile};
use foveola::import;

/// A network with plans down to some of its tensors.
pub struct Trained {
    /// The model file and its tensors' names.
    pub compiled: Compiled,
    /// It runs, on two threads.
    pub backend: CoreBackend,
}

impl Trained {
    /// Compiles an ONNX file that takes tensors in model space; `wants` says of
    /// which tensors a plan is needed.
    pub fn open(path: &Path, activation: OutputActivation, wants: &dyn Fn(&str) -> bool) -> Self {
        let options = import::Options::default();
        let graph = import::load(path, &options).expect("it imports").graph;
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
            activation,
            labels: Vec::new(),
        };
        let layers = graph.names.keys().filter(|name| wants(name));
        let options = CompileOptions {
            layers: layers.cloned().collect(),
            ..CompileOptions::default()
        };
        let compiled = compile(graph, &card, &options).expect("it compiles");
        let file = Arc::new(ModelFile::new(&compiled.bytes).expect("its file is sound"));
        let backend = CoreBackend::new(file, 2).expect("the backend starts");
        Self { compiled, backend }
    }
}

/// All references of a network, beside the repository; `None` if they are not
/// there, with a line that says so. Where `CI` is set they must be there.
pub fn all_references(net: &str) -> Option<PathBuf> {
    let folder = crate::root().join("../shared/golden").join(net);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "CI is set and ../shared/golden is missing"
    );
    println!("skipped: ../shared/golden is not there");
    None
}
