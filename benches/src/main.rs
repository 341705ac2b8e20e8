//! Forward and backward passes of real networks, one thread, side by side with
//! tract in one run.
//!
//! `cargo run --release -p foveola-benches [ZOO]` with the folder of models
//! (default `../shared/zoo`). Times are the least of several runs; compare
//! ratios, not milliseconds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::backend::tract::{TractBackend, TractModel};
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::import;
use foveola_core::{At, Classifier, Error, Masked, Picture, Rule, Score};

const MODELS: [&str; 5] = [
    "imagenet/mobilenet_v2_100_224_float_nchw",
    "imagenet/squeezenet_fp32",
    "customvision/cat-or-dog_core",
    "tinyml/resnet8_cifar10_float",
    "tinyml/vww96_float",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let zoo = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "../shared/zoo".into());
    println!(
        "{:45} {:>10} {:>10} {:>7} {:>16}",
        "one thread, ms", "core", "tract", "ratio", "backward/forward"
    );
    for name in MODELS {
        let path = Path::new(&zoo)
            .join("models")
            .join(name)
            .with_extension("onnx");
        if !path.is_file() {
            println!("{name:45} missing: {}", path.display());
            continue;
        }
        let row = measure(&path)?;
        println!(
            "{name:45} {:10.2} {:10.2} {:7.2} {:16.2}",
            millis(row.core),
            millis(row.tract),
            row.tract.as_secs_f64() / row.core.as_secs_f64(),
            row.backward.as_secs_f64() / row.core.as_secs_f64(),
        );
    }
    Ok(())
}

struct Row {
    core: Duration,
    tract: Duration,
    backward: Duration,
}

fn measure(path: &PathBuf) -> Result<Row, Box<dyn std::error::Error>> {
    let options = import::Options::default();
    let graph = import::load(path, &options)?.graph;
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
    let compiled = compile(graph, &card, &CompileOptions::default())?;
    let mut core = CoreBackend::new(Arc::new(ModelFile::new(&compiled.bytes)?), 1)?;
    let bytes = std::fs::read(path)?;
    let tract = Arc::new(TractModel::open(&bytes, path.parent(), &options)?);
    let mut tract = TractBackend::new(tract, OutputActivation::None, 1)?;
    let values: Vec<f32> = (0..shape.len())
        .map(|i| (i % 251) as f32 / 125.0 - 1.0)
        .collect();
    let x = Masked::whole(Picture::Tensor {
        shape,
        data: &values,
    });
    let mut scores = vec![0.0; core.classes()];
    Ok(Row {
        core: least(|| core.classify(&x, Score::Probability, &mut scores))?,
        tract: least(|| tract.classify(&x, Score::Probability, &mut scores))?,
        backward: backward(&mut core, &x)?,
    })
}

/// The backward pass alone, down to the input.
fn backward(core: &mut CoreBackend, x: &Masked<'_>) -> Result<Duration, Error> {
    let layers = core.layers().ok_or(Error::NotWhiteBox)?;
    layers.run(x, At::Input, Rule::Gradient)?;
    least(|| layers.backward(&[(0, 1.0)], Score::Logit).map(|_| ()))
}

/// The least time of at least 5 runs and half a second.
fn least(mut work: impl FnMut() -> Result<(), Error>) -> Result<Duration, Error> {
    let start = Instant::now();
    let mut best = Duration::MAX;
    let mut runs = 0;
    while runs < 5 || start.elapsed() < Duration::from_millis(500) {
        let begin = Instant::now();
        work()?;
        best = best.min(begin.elapsed());
        runs += 1;
    }
    Ok(best)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
