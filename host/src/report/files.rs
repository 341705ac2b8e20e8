//! The files of an explanation: overlays, arrays, `explain.json`.

use std::collections::BTreeMap;
use std::io::Cursor;

use foveola_core::explain::{MapKind, Outcome};
use image::{ImageFormat, RgbImage};
use ndarray::ArrayD;
use ndarray_npy::WriteNpyExt;
use serde::Serialize;
use serde_json::Value;

use super::folder::{OutputFolder, WriteError};
use super::json::readable;
use super::regions;
use crate::backend::core::Arithmetic;
use crate::card::Card;
use crate::explainer::{
    Consensus, Explanation, Layer, LayerBalance, MapScore, Question, Region, Removal, SaliencyMap,
    Stability, Step, StoppedBy, score_name,
};
use crate::model::{BackendKind, OpenModel, Precision};
use crate::photo::Photo;
use crate::uncertainty::{Setting, Uncertainty};

/// A file with its SHA-256.
#[derive(Clone, Debug, Serialize)]
pub struct FileRecord {
    /// Where it was.
    pub path: String,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Everything that is needed to write and to repeat an explanation.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The command line, argument by argument.
    pub command: &'a [String],
    /// The model.
    pub model: &'a OpenModel,
    /// The picture's file.
    pub picture: &'a FileRecord,
    /// The picture.
    pub photo: &'a Photo,
    /// What was asked.
    pub question: &'a Question,
    /// What was answered.
    pub explanation: &'a Explanation,
    /// What metrics say, map by map; empty if none was asked.
    pub scores: &'a [Vec<MapScore>],
    /// What methods agree on, class by class; empty if it was not asked for.
    pub consensus: &'a [Consensus],
    /// Pictures without what speaks against a class; empty if none was asked.
    pub removals: &'a [Removal],
    /// Certificates of stability; empty if none was asked.
    pub stability: &'a [Stability],
    /// Whether arrays are written as the method made them.
    pub raw: bool,
    /// How sure the model is, and how that was measured, if it was asked for.
    pub uncertainty: Option<&'a (Setting, Uncertainty)>,
}

#[derive(Serialize)]
struct Record<'a> {
    tool: &'static str,
    version: &'static str,
    command: &'a [String],
    model: FileRecord,
    picture: &'a FileRecord,
    card: &'a Card,
    assumed: &'a [String],
    backend: BackendKind,
    arithmetic: &'static str,
    seed: u64,
    threshold: f32,
    score: Option<&'static str>,
    raw: bool,
    stopped: bool,
    scores: &'a [f32],
    probabilities: &'a [f32],
    targets: Vec<TargetRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncertainty: Option<Value>,
    maps: Vec<MapRecord<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consensus: Vec<ConsensusRecord<'a>>,
    #[serde(skip_serializing_if = "<[Removal]>::is_empty")]
    removals: &'a [Removal],
    #[serde(skip_serializing_if = "<[Stability]>::is_empty")]
    stability: &'a [Stability],
    hoc: BTreeMap<usize, HocRecord<'a>>,
}

#[derive(Serialize)]
struct TargetRecord {
    target: usize,
    label: String,
    probability: f32,
}

#[derive(Serialize)]
struct MapRecord<'a> {
    method: &'static str,
    parameters: &'a BTreeMap<&'static str, Value>,
    target: usize,
    score: &'static str,
    npy: String,
    png: String,
    shape: Vec<usize>,
    passes: u64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<StoppedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<PartialRecord>,
    sentence: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    figures: &'a BTreeMap<&'static str, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<usize>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    companions: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "<[LayerBalance]>::is_empty")]
    balance: &'a [LayerBalance],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<ScoreRecord<'a>>,
}

/// How far a stopped method came.
#[derive(Serialize)]
struct PartialRecord {
    done: u64,
    total: u64,
}

#[derive(Serialize)]
struct ScoreRecord<'a> {
    metric: &'static str,
    parameters: BTreeMap<&'static str, Value>,
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parts: &'a BTreeMap<&'static str, f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    curves: BTreeMap<&'a str, &'a [[f64; 2]]>,
}

#[derive(Serialize)]
struct ConsensusRecord<'a> {
    target: usize,
    maps: &'a [String],
    without_evidence: &'a [String],
    sentence: String,
}

#[derive(Serialize)]
struct HocRecord<'a> {
    layers: &'a [Layer],
    tree: &'a [Step],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    png: Vec<String>,
}

/// Writes overlays, arrays, HOC's layers and `explain.json` into the folder.
///
/// # Errors
/// A file that cannot be written; then none is.
pub fn write(run: &Run<'_>, mut folder: OutputFolder) -> Result<(), WriteError> {
    for map in &run.explanation.maps {
        folder.stage(
            &format!("{}.png", map.stem()),
            &png(&map.overlay(run.photo)),
        )?;
        if let Some(painting) = map.painting(run.photo) {
            folder.stage(&format!("{}.picture.png", map.stem()), &png(&painting))?;
        }
        let (shape, values) = array(map, run.raw);
        folder.stage(&format!("{}.npy", map.stem()), &npy(&shape, values))?;
        for (name, values) in &map.companions {
            let (shape, values) = as_made(map, values);
            folder.stage(&companion_name(map, name), &npy(&shape, values))?;
        }
        if let Some(region) = &map.region {
            for i in 0..region.layers.len() {
                let picture = layer_picture(map, region, i, run.photo).draw();
                folder.stage(&layer_name(map, i), &png(&picture))?;
            }
        }
    }
    for found in run.consensus {
        stage_consensus(found, run.photo, &mut folder)?;
    }
    for removal in run.removals {
        let picture = removal.picture(run.photo, |class| run.model.card.label(class));
        folder.stage(&format!("{}.without.png", removal.map), &png(&picture))?;
    }
    folder.stage("explain.json", &json(run))?;
    folder.commit()
}

/// Mean and spread of the ranks, each as a picture and an array.
fn stage_consensus(
    found: &Consensus,
    photo: &Photo,
    folder: &mut OutputFolder,
) -> Result<(), WriteError> {
    let target = found.target;
    for (name, picture, values) in [
        ("consensus", found.overlay(photo), &found.mean),
        ("disagreement", found.disagreement(photo), &found.deviation),
    ] {
        folder.stage(&format!("{name}.{target}.png"), &png(&picture))?;
        let array = npy(&found.size, values.clone());
        folder.stage(&format!("{name}.{target}.npy"), &array)?;
    }
    Ok(())
}

fn layer_name(map: &SaliencyMap, layer: usize) -> String {
    format!("{}.layer{}.png", map.stem(), layer + 1)
}

/// One layer of HOC, as it is drawn.
pub fn layer_picture<'a>(
    map: &SaliencyMap,
    region: &'a Region,
    layer: usize,
    photo: &'a Photo,
) -> regions::Layer<'a> {
    regions::Layer {
        picture: photo.display(),
        boxes: &region.layers[layer].boxes,
        reveal: region.reveal,
        heading: map.heading(),
        sentence: format!(
            "HOC, layer {} of {}: {}.",
            layer + 1,
            region.layers.len(),
            region.layer_statement(layer)
        ),
    }
}

/// A picture as a PNG file.
pub fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    // Encoding into memory has nothing that can fail.
    let _ = picture.write_to(&mut bytes, ImageFormat::Png);
    bytes.into_inner()
}

/// Shape and values of the `.npy`: height x width; with `raw` C, H, W for
/// attributions to input elements, the method's own resolution for others.
fn array(map: &SaliencyMap, raw: bool) -> (Vec<usize>, Vec<f32>) {
    match raw || map.paints() {
        false => (map.size.to_vec(), map.pixels.clone()),
        true => as_made(map, &map.values),
    }
}

/// Values of the map's own shape: C, H, W for attributions to input elements.
fn as_made(map: &SaliencyMap, values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let s = map.shape;
    match map.spec.row.map {
        MapKind::Elements => {
            let planes = (0..s.c).flat_map(|c| values.iter().skip(c).step_by(s.c));
            (vec![s.c, s.h, s.w], planes.copied().collect())
        }
        _ => (vec![s.h, s.w], values.to_vec()),
    }
}

/// File of a map that its method tells beside it.
fn companion_name(map: &SaliencyMap, name: &str) -> String {
    format!("{}.{name}.npy", map.stem())
}

/// An array as the bytes of a `.npy` file; empty where `values` do not fill `shape`.
pub fn npy(shape: &[usize], values: Vec<f32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(array) = ArrayD::from_shape_vec(shape, values) {
        // Writing into memory has nothing that can fail.
        let _ = array.write_npy(&mut bytes);
    }
    bytes
}

/// What became of a map, in one word and with a reason.
pub const fn outcome(outcome: &Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Ok => ("ok", None),
        Outcome::Flat => ("flat", None),
        Outcome::Undefined(reason) => ("undefined", Some(*reason)),
        Outcome::Partial { .. } => ("partial", None),
    }
}

fn consensus_record(found: &Consensus) -> ConsensusRecord<'_> {
    ConsensusRecord {
        target: found.target,
        maps: &found.maps,
        without_evidence: &found.without,
        sentence: found.sentence(),
    }
}

fn json(run: &Run<'_>) -> Vec<u8> {
    let (model, question) = (run.model, run.question);
    let explanation = run.explanation;
    let backend = model.backend();
    readable(&Record {
        tool: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        command: run.command,
        model: FileRecord {
            path: model.path.display().to_string(),
            sha256: model.sha256.clone(),
        },
        picture: run.picture,
        card: &model.card,
        assumed: &model.assumed,
        backend,
        arithmetic: match backend {
            BackendKind::Core => match model.arithmetic.here() {
                Arithmetic::Strict => "strict",
                Arithmetic::Fused => "fused",
            },
            BackendKind::Device => "strict",
            BackendKind::Tract => "tract",
            BackendKind::Gpu => match model.precision {
                Precision::Full => "gpu",
                Precision::Half => "gpu, stored in f16",
            },
        },
        seed: question.seed,
        threshold: question.threshold,
        score: question.score.map(score_name),
        raw: run.raw,
        stopped: explanation.stopped,
        scores: &explanation.scores,
        probabilities: &explanation.probabilities,
        targets: target_records(run),
        uncertainty: run.uncertainty.map(|(setting, found)| {
            let targets = explanation.targets.iter().copied();
            found.to_json(setting, &model.card, targets)
        }),
        maps: explanation
            .maps
            .iter()
            .enumerate()
            .map(|(i, m)| map_record(m, run.raw, run.scores.get(i).map_or(&[], Vec::as_slice)))
            .collect(),
        consensus: run.consensus.iter().map(consensus_record).collect(),
        removals: run.removals,
        stability: run.stability,
        hoc: hoc_records(explanation),
    })
}

fn target_records(run: &Run<'_>) -> Vec<TargetRecord> {
    let record = |&target: &usize| TargetRecord {
        target,
        label: run.model.card.label(target),
        probability: run.explanation.probabilities[target],
    };
    run.explanation.targets.iter().map(record).collect()
}

fn map_record<'a>(map: &'a SaliencyMap, raw: bool, scores: &'a [MapScore]) -> MapRecord<'a> {
    let (word, reason) = outcome(&map.outcome);
    MapRecord {
        method: map.spec.row.name,
        parameters: &map.parameters,
        target: map.target,
        score: score_name(map.score),
        npy: format!("{}.npy", map.stem()),
        png: format!("{}.png", map.stem()),
        shape: array(map, raw).0,
        passes: map.passes.total(),
        outcome: word,
        reason,
        stopped_by: map.stopped,
        partial: match map.outcome {
            Outcome::Partial { done, total } => Some(PartialRecord { done, total }),
            _ => None,
        },
        sentence: map.sentence(),
        figures: &map.figures,
        against: map.against,
        companions: map
            .companions
            .keys()
            .map(|name| (*name, companion_name(map, name)))
            .collect(),
        balance: &map.balance,
        metrics: scores.iter().map(score_record).collect(),
    }
}

fn score_record(score: &MapScore) -> ScoreRecord<'_> {
    let curves = score.curves.iter();
    ScoreRecord {
        metric: score.metric.row.name,
        parameters: score.metric.to_json(),
        value: score.score.as_ref().ok().copied(),
        reason: score.score.as_ref().err().map(String::as_str),
        parts: &score.parts,
        curves: curves
            .map(|c| (c.name.as_str(), c.points.as_slice()))
            .collect(),
    }
}

/// HOC by target; of a HOC asked for twice, the first.
fn hoc_records(explanation: &Explanation) -> BTreeMap<usize, HocRecord<'_>> {
    let mut records = BTreeMap::new();
    for map in &explanation.maps {
        if let Some(region) = &map.region {
            records.entry(map.target).or_insert_with(|| HocRecord {
                layers: &region.layers,
                tree: &region.tree,
                png: (0..region.layers.len())
                    .map(|i| layer_name(map, i))
                    .collect(),
            });
        }
    }
    records
}
