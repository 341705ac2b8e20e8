//! A model file on `core`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::import;
use foveola_core::net::arch::Isa;
use foveola_core::{Classifier, Masked, Picture, Score, Shape};

use foveola_benches::Result;

/// A network of the table.
pub struct Entry {
    /// What it is called.
    pub name: &'static str,
    /// Its ONNX file.
    pub float: PathBuf,
    /// The same network with integers.
    pub int8: Option<PathBuf>,
}

/// Imports and compiles a model for inputs as they are.
pub fn compiled(path: &Path) -> Result<Arc<ModelFile>> {
    let graph = import::load(path, &import::Options::default())?.graph;
    let shape = graph.tensor(graph.input).shape;
    let card = Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![0.0; shape.c],
        scale: vec![1.0; shape.c],
        activation: OutputActivation::None,
        labels: Vec::new(),
    };
    let options = CompileOptions {
        fold: true,
        ..CompileOptions::default()
    };
    let compiled = compile(graph, &card, &options)?;
    Ok(Arc::new(ModelFile::new(&compiled.bytes)?))
}

/// A made-up picture.
pub fn values(shape: Shape) -> Vec<f32> {
    let value = |i| (i % 251) as f32 / 125.0 - 1.0;
    (0..shape.len()).map(value).collect()
}

/// Loads one model, runs it once, and prints this process's peak resident memory in KiB.
pub fn peak(path: &Path) -> Result<()> {
    let mut core = CoreBackend::with_isa(compiled(path)?, 1, Isa::detect())?;
    let shape = core.input();
    let data = values(shape);
    let x = Masked::whole(Picture::Tensor { shape, data: &data });
    let mut scores = vec![0.0; core.classes()];
    core.classify(&x, Score::Probability, &mut scores)?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", line.unwrap_or("0").trim().trim_end_matches(" kB"));
    Ok(())
}
