//! What the scripts read: one JSON object a run.

use serde::Serialize;

use super::encode::{MapData, PictureData, Source, is_magnitude, thumbnail};
use super::statistics::{Counts, count, place_number};
use super::{Entry, Limits, select};
use crate::run::evaluation::Evaluation;
use crate::run::verdict::place;
use crate::run::view::{
    Answer, Curve, Flag, LabelledBox, MapInfo, MethodInfo, MetricInfo, Provenance, Run, Sample,
    Verdict,
};
use foveola_core::metric::{Better, Family};

/// Of up to so many classes every probability is in the page.
const ALL_CLASSES: usize = 20;
/// Of more classes, the most probable ones, ..
const TOP: usize = 10;
/// .. and those at least so probable.
const LEAST: f32 = 0.01;

/// A run.
#[derive(Serialize)]
pub struct RunData<'a> {
    name: &'a str,
    provenance: ProvenanceData<'a>,
    labels: &'a [String],
    /// The unit of the network that was asked about: then what stands for
    /// probabilities are values of its tensor's channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    threshold: f32,
    methods: Vec<MethodData<'a>>,
    metrics: Vec<MetricData<'a>>,
    /// The pictures that are shown, in the data set's order.
    pub samples: Vec<SampleData<'a>>,
    counts: Counts,
    evaluation: Evaluation,
}

#[derive(Serialize)]
struct ProvenanceData<'a> {
    tool: &'a str,
    model: &'a str,
    model_hash: &'a str,
    data: &'a str,
    data_hash: &'a str,
    config_hash: &'a str,
    /// Text: JavaScript's numbers end at 2^53.
    seed: String,
    backend: &'a str,
    command: &'a str,
}

#[derive(Serialize)]
struct MethodData<'a> {
    spec: &'a str,
    title: &'a str,
    passes: u64,
    signed: bool,
    /// Whether a map's magnitude is evidence, not its positive part.
    magnitude: bool,
    baseline: bool,
}

#[derive(Serialize)]
struct MetricData<'a> {
    spec: &'a str,
    name: &'static str,
    summary: &'static str,
    family: &'static str,
    /// `None` where there is no bound.
    range: [Option<f64>; 2],
    higher: bool,
    per_class: bool,
    paper: &'static str,
}

/// A picture.
#[derive(Serialize)]
pub struct SampleData<'a> {
    id: u64,
    file: &'a str,
    size: [u32; 2],
    failure: Option<&'a str>,
    truth: &'a [usize],
    boxes: Vec<(usize, [f32; 4])>,
    /// Class and probability, the most probable first.
    probabilities: Vec<(usize, f32)>,
    entropy: Option<f64>,
    margin: Option<f64>,
    /// Name of the file of data that holds the rest, and the place in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<(String, usize)>,
    picture: PictureData,
    answers: Vec<AnswerData<'a>>,
}

/// What a page that was split keeps beside it of a picture: its address, and
/// for each answer the addresses and curves of its maps and the addresses of
/// the nearest training pictures.
pub type Beside<'a> = (
    Option<String>,
    Vec<(Vec<MapBeside<'a>>, Vec<Option<String>>)>,
);
/// Takes a file of data: its name, and what it keeps of each picture.
pub type PutPart<'p, E> = dyn FnMut(&str, &[Beside<'_>]) -> Result<(), E> + 'p;
type MapBeside<'a> = (Option<String>, Vec<CurveData<'a>>);
type CurveData<'a> = (&'a str, &'a [[f64; 2]]);

#[derive(Serialize)]
struct AnswerData<'a> {
    label: usize,
    p: Option<f32>,
    truth: bool,
    flag: &'static str,
    verdict: Option<&'static str>,
    looked_at: Option<(usize, f64)>,
    /// What the evidence lies on, by number.
    place: Option<usize>,
    /// Standard deviation, lower and upper end.
    uncertainty: Option<[f64; 3]>,
    maps: Vec<MapEntry<'a>>,
    /// Two methods, Spearman, overlap.
    agreement: Vec<(usize, usize, Option<f64>, f64)>,
    region: Option<RegionData<'a>>,
    /// Name, distance, and what it looks like.
    nearest: Vec<(&'a str, f64, Option<Source>)>,
}

#[derive(Serialize)]
struct MapEntry<'a> {
    #[serde(flatten)]
    map: MapData,
    scores: Vec<ScoreData<'a>>,
    /// `None` where they lie beside the page.
    curves: Option<Vec<CurveData<'a>>>,
}

/// A number, or why there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum ScoreData<'a> {
    Value(f64),
    Missing(&'a str),
}

#[derive(Serialize)]
#[serde(untagged)]
enum RegionData<'a> {
    Found {
        /// Height and width that the boxes refer to.
        size: [usize; 2],
        reveal: bool,
        /// Probability, share of the picture inside, boxes.
        layers: Vec<(f32, f64, &'a [[usize; 4]])>,
    },
    Missing(&'a str),
}

/// Everything about a run that goes into one page.
pub fn collect<'a>(entry: &Entry<'a>, limits: Limits) -> RunData<'a> {
    with(entry, samples(entry, limits))
}

/// A file of data beside the page ends when it has so many bytes.
const PART: usize = 256 << 10;

/// Everything about run number `number` that goes into a page that is split;
/// pictures, maps and curves go to `put`, a file at a time, with its name.
///
/// # Errors
/// What `put` reports.
pub fn collect_split<'a, E>(
    (number, entry): (usize, &Entry<'a>),
    limits: Limits,
    put: &mut PutPart<'_, E>,
) -> Result<RunData<'a>, E> {
    let mut chosen: Vec<usize> = select::order(entry.run);
    chosen.truncate(limits.samples);
    chosen.sort_unstable();
    let (mut samples, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut parts = 0;
    for i in chosen {
        let mut data = sample(entry, i);
        bytes += data.len();
        part.push(data.split(&format!("{number}-{parts}"), part.len()));
        samples.push(data);
        if bytes > PART {
            put(&format!("{number}-{parts}"), &std::mem::take(&mut part))?;
            (parts, bytes) = (parts + 1, 0);
        }
    }
    if !part.is_empty() {
        put(&format!("{number}-{parts}"), &part)?;
    }
    Ok(with(entry, samples))
}

/// A run with these of its pictures.
fn with<'a>(entry: &Entry<'a>, samples: Vec<SampleData<'a>>) -> RunData<'a> {
    let run = entry.run;
    RunData {
        name: entry.name,
        provenance: provenance(&run.provenance),
        labels: &run.labels,
        unit: run.provenance.unit.as_deref(),
        threshold: run.threshold,
        methods: run.methods.iter().map(method).collect(),
        metrics: run.metrics.iter().map(metric).collect(),
        samples,
        counts: count(run),
        evaluation: Evaluation::of(run),
    }
}

/// The samples that fit, in the data set's order.
fn samples<'a>(entry: &Entry<'a>, limits: Limits) -> Vec<SampleData<'a>> {
    let (mut chosen, mut bytes) = (Vec::new(), 0);
    for i in select::order(entry.run).into_iter().take(limits.samples) {
        let data = sample(entry, i);
        bytes += data.len();
        if bytes > limits.bytes && !chosen.is_empty() {
            break;
        }
        chosen.push((i, data));
    }
    chosen.sort_by_key(|(i, _)| *i);
    chosen.into_iter().map(|(_, data)| data).collect()
}

fn provenance(p: &Provenance) -> ProvenanceData<'_> {
    ProvenanceData {
        tool: &p.tool,
        model: &p.model,
        model_hash: &p.model_hash,
        data: &p.data,
        data_hash: &p.data_hash,
        config_hash: &p.config_hash,
        seed: p.seed.to_string(),
        backend: &p.backend,
        command: &p.command,
    }
}

fn method(method: &MethodInfo) -> MethodData<'_> {
    MethodData {
        spec: &method.spec,
        title: &method.title,
        passes: method.passes,
        signed: method.signed,
        magnitude: is_magnitude(&method.spec),
        baseline: method.baseline,
    }
}

fn metric(metric: &MetricInfo) -> MetricData<'_> {
    let row = metric.row;
    MetricData {
        spec: &metric.spec,
        name: row.name,
        summary: row.summary,
        family: match row.family {
            Family::Faithfulness => "faithfulness",
            Family::Localization => "localization",
            Family::Sensitivity => "sensitivity",
            Family::Robustness => "robustness",
            Family::Complexity => "complexity",
        },
        range: row.range.map(|end| Some(end).filter(|e| e.is_finite())),
        higher: row.better == Better::Higher,
        per_class: row.per_class,
        paper: row.paper,
    }
}

fn sample<'a>(entry: &Entry<'a>, number: usize) -> SampleData<'a> {
    let (run, pictures) = (entry.run, entry.pictures);
    let sample = &run.samples[number];
    let answers = sample.answers.iter().enumerate();
    SampleData {
        id: sample.id,
        file: &sample.file,
        size: sample.size,
        failure: sample.failure.as_deref(),
        truth: &sample.truth,
        boxes: sample.boxes.iter().map(labelled_box).collect(),
        probabilities: probabilities(sample),
        entropy: sample.entropy,
        margin: sample.margin,
        part: None,
        picture: match &sample.failure {
            Some(reason) => PictureData::missing(reason.clone()),
            None => PictureData::new(&pictures.picture(number)),
        },
        answers: answers
            .map(|(i, a)| answer(entry, (number, i), sample, a))
            .collect(),
    }
}

impl SampleData<'_> {
    /// Bytes of its picture and maps.
    fn len(&self) -> usize {
        let maps = self.answers.iter().flat_map(|a| &a.maps);
        let near = self.answers.iter().flat_map(|a| &a.nearest);
        let near = near.map(|(_, _, seen)| Source::len(seen.as_ref()));
        self.picture.len() + maps.map(|m| m.map.len()).sum::<usize>() + near.sum::<usize>()
    }
}

impl<'a> SampleData<'a> {
    /// Takes out what lies beside the page: at place `at` of the file `part`.
    fn split(&mut self, part: &str, at: usize) -> Beside<'a> {
        self.part = Some((String::from(part), at));
        let answers = self.answers.iter_mut().map(|answer| {
            let maps = answer.maps.iter_mut();
            let maps = maps.map(|entry| {
                let curves = entry.curves.take().unwrap_or_default();
                (Source::take(&mut entry.map.src), curves)
            });
            let near = answer.nearest.iter_mut();
            let near = near.map(|(_, _, seen)| Source::take(seen));
            (maps.collect(), near.collect())
        });
        let answers = answers.collect();
        (Source::take(&mut self.picture.src), answers)
    }
}

const fn labelled_box(b: &LabelledBox) -> (usize, [f32; 4]) {
    (b.label, b.area)
}

fn probabilities(sample: &Sample) -> Vec<(usize, f32)> {
    let mut all: Vec<(usize, f32)> = sample.probabilities.iter().copied().enumerate().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if all.len() > ALL_CLASSES {
        let likely = all.iter().take_while(|(_, p)| *p >= LEAST).count();
        all.truncate(likely.max(TOP));
    }
    all
}

fn answer<'a>(
    entry: &Entry<'a>,
    (number, index): (usize, usize),
    sample: &'a Sample,
    answer: &'a Answer,
) -> AnswerData<'a> {
    let maps = answer.maps.iter().enumerate();
    let agreement = answer.agreement.iter();
    AnswerData {
        label: answer.label,
        p: sample.probabilities.get(answer.label).copied(),
        truth: sample.truth.contains(&answer.label),
        flag: flag(answer.flag),
        verdict: answer.verdict.map(verdict),
        looked_at: answer.looked_at,
        place: place(sample, answer).map(|p| place_number(entry.run, p)),
        uncertainty: answer.uncertainty.map(|u| [u.deviation, u.low, u.high]),
        maps: maps
            .map(|(m, info)| map(entry, [number, index, m], info))
            .collect(),
        agreement: agreement
            .map(|a| (a.methods[0], a.methods[1], a.spearman, a.overlap))
            .collect(),
        region: answer.region.as_ref().map(|region| match region {
            Err(reason) => RegionData::Missing(reason),
            Ok(found) => RegionData::Found {
                size: found.picture,
                reveal: found.reveal,
                layers: (0..)
                    .zip(&found.layers)
                    .map(|(i, layer)| (layer.probability, found.area(i), &layer.boxes[..]))
                    .collect(),
            },
        }),
        nearest: (answer.nearest.iter())
            .map(|(name, distance)| {
                let seen = thumbnail(&entry.pictures.training(name));
                (&name[..], *distance, seen)
            })
            .collect(),
    }
}

const fn flag(flag: Flag) -> &'static str {
    match flag {
        Flag::TruePositive => "tp",
        Flag::FalsePositive => "fp",
        Flag::FalseNegative => "fn",
        Flag::Unknown => "unknown",
    }
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Right => "right",
        Verdict::RightWrongReason => "reason",
        Verdict::Wrong => "wrong",
    }
}

fn map<'a>(entry: &Entry<'a>, at: [usize; 3], info: &'a MapInfo) -> MapEntry<'a> {
    let [number, index, method] = at;
    let run: &Run = entry.run;
    let kept = run.methods.get(method).filter(|m| !m.baseline);
    let score = |score: &'a Result<f64, String>| match score {
        Ok(value) => ScoreData::Value(*value),
        Err(reason) => ScoreData::Missing(reason),
    };
    let curve = |curve: &'a Curve| (&curve.name[..], &curve.points[..]);
    MapEntry {
        map: kept.map_or_else(MapData::not_kept, |m| {
            let values = entry.pictures.map(number, index, method);
            MapData::new((&m.spec, m.signed), &info.outcome, values)
        }),
        scores: info.scores.iter().map(score).collect(),
        curves: Some(info.curves.iter().map(curve).collect()),
    }
}
