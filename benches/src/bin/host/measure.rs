//! One row of the table.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use foveola::backend::core::{Arithmetic, CoreBackend};
use foveola::backend::tract::{TractBackend, TractModel};
use foveola::card::OutputActivation;
use foveola::import;
use foveola_benches::{Result, median};
use foveola_core::{At, Classifier, Error, Layers, Masked, Picture, Rule, Score};

use super::network::{Entry, compiled, values};
use super::peer::{self, Peer};

/// Rounds in which every engine has its turn, and milliseconds of a turn.
const ROUNDS: usize = 9;
const TURN: f64 = 40.0;

/// Pictures of a batch that threads share.
const BATCH: usize = 16;

/// What was measured: milliseconds, ratios, MB.
pub struct Row {
    pub name: &'static str,
    pub strict: f64,
    pub fused: f64,
    pub int8: Option<f64>,
    pub tract: f64,
    pub peer: Option<f64>,
    /// Its version, or what is missing.
    pub peer_version: String,
    /// Pictures a second of two threads over those of one.
    pub threads: f64,
    pub backward: f64,
    pub peak: f64,
    pub peer_peak: Option<f64>,
}

/// Something that takes turns.
type Turn<'a> = Box<dyn FnMut() -> Result<Vec<f64>> + 'a>;

/// Medians of what takes turns.
fn medians(mut turns: Vec<Turn<'_>>) -> Result<Vec<f64>> {
    let mut times = vec![Vec::new(); turns.len()];
    for round in 0..=ROUNDS {
        for (turn, times) in turns.iter_mut().zip(&mut times) {
            let here = turn()?;
            // The first round warms up.
            if round > 0 {
                times.extend(here);
            }
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// A turn of work on this thread.
fn turn<'a>(mut work: impl FnMut() -> std::result::Result<(), Error> + 'a) -> Turn<'a> {
    Box::new(move || {
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < 3 || start.elapsed().as_secs_f64() * 1e3 < TURN {
            let begin = Instant::now();
            work()?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    })
}

/// Forward passes of one picture.
fn forward<'a>(mut core: CoreBackend) -> Turn<'a> {
    let shape = core.input();
    let data = values(shape);
    let mut scores = vec![0.0; core.classes()];
    turn(move || {
        let x = Masked::whole(Picture::Tensor { shape, data: &data });
        core.classify(&x, Score::Probability, &mut scores)
    })
}

/// The backward pass alone, down to the input.
fn backward<'a>(mut core: CoreBackend) -> Result<Turn<'a>> {
    let shape = core.input();
    let data = values(shape);
    let x = Masked::whole(Picture::Tensor { shape, data: &data });
    let layers = core.layers().ok_or(Error::NotWhiteBox)?;
    layers.run(&x, At::Input, Rule::Gradient)?;
    Ok(turn(move || {
        core.backward(&[(0, 1.0)], Score::Logit).map(|_| ())
    }))
}

/// A batch of pictures.
fn batch<'a>(mut core: CoreBackend) -> Turn<'a> {
    let shape = core.input();
    let data = values(shape);
    let mut scores = vec![0.0; core.classes()];
    turn(move || {
        let view = |_| Masked::whole(Picture::Tensor { shape, data: &data });
        let mut sink = |_: usize, _: &[f32]| Ok(());
        core.classify_batch(BATCH, &view, Score::Probability, &mut scores, &mut sink)
    })
}

fn tract<'a>(entry: &Entry) -> Result<Turn<'a>> {
    let bytes = std::fs::read(&entry.float)?;
    let options = import::Options::default();
    let model = Arc::new(TractModel::open(&bytes, entry.float.parent(), &options)?);
    let mut tract = TractBackend::new(model, OutputActivation::None, 1)?;
    let shape = tract.input();
    let data = values(shape);
    let mut scores = vec![0.0; tract.classes()];
    Ok(turn(move || {
        let x = Masked::whole(Picture::Tensor { shape, data: &data });
        tract.classify(&x, Score::Probability, &mut scores)
    }))
}

pub fn measure(entry: &Entry) -> Result<Row> {
    let file = compiled(&entry.float)?;
    let core = |threads, arithmetic: Arithmetic| {
        CoreBackend::with_isa(Arc::clone(&file), threads, arithmetic.isa())
    };
    let mut turns = vec![
        forward(core(1, Arithmetic::Strict)?),
        forward(core(1, Arithmetic::Fused)?),
        tract(entry)?,
        backward(core(1, Arithmetic::Strict)?)?,
    ];
    if let Some(path) = &entry.int8 {
        turns.push(forward(CoreBackend::new(compiled(path)?, 1)?));
    }
    let (peer, peer_version) = match Peer::start(&entry.float)? {
        Ok(peer) => {
            let version = peer.version.clone();
            (Some(peer), version)
        }
        Err(missing) => (None, missing),
    };
    let has_peer = peer.is_some();
    if let Some(mut peer) = peer {
        let once = median(peer.run(3)?);
        let runs = ((TURN / once) as usize).clamp(3, 2000);
        turns.push(Box::new(move || peer.run(runs)));
    }
    let found = medians(turns)?;
    let threads = medians(vec![
        batch(core(1, Arithmetic::Strict)?),
        batch(core(2, Arithmetic::Strict)?),
    ])?;
    Ok(Row {
        name: entry.name,
        strict: found[0],
        fused: found[1],
        tract: found[2],
        backward: found[3],
        int8: entry.int8.as_ref().map(|_| found[4]),
        peer: found.last().copied().filter(|_| has_peer),
        peer_version,
        threads: threads[0] / threads[1],
        peak: own_peak(entry)?,
        peer_peak: match has_peer {
            true => Some(peer::peak(&entry.float)?),
            false => None,
        },
    })
}

/// MB that a process of ours peaks at.
fn own_peak(entry: &Entry) -> Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .arg("--peak")
        .arg(&entry.float)
        .output()?;
    let kib: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}
