//! The tables of a shard: which columns they have, and how a record becomes
//! rows. `host/docs/run.md` describes them for readers.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use foveola_core::explain::Outcome;

use super::columns::Columns;
use super::record::{Names, Record};
use super::view::{Answer, Curve, Flag, MapInfo, MapValues, Verdict};
use crate::card::label;
use crate::explainer::{Layer, Region, score_name};

/// A table: its file's name, and the rows of a record.
pub struct TableRow {
    pub file: &'static str,
    pub rows: fn(&Record, &Names) -> Result<RecordBatch, ArrowError>,
}

/// All tables of a shard.
pub const TABLES: [TableRow; 8] = [
    TableRow {
        file: SAMPLES,
        rows: samples,
    },
    TableRow {
        file: ANSWERS,
        rows: answers,
    },
    TableRow {
        file: MAPS,
        rows: maps,
    },
    TableRow {
        file: SCORES,
        rows: scores,
    },
    TableRow {
        file: CURVES,
        rows: curves,
    },
    TableRow {
        file: AGREEMENT,
        rows: agreement,
    },
    TableRow {
        file: REGIONS,
        rows: regions,
    },
    TableRow {
        file: PICTURES,
        rows: pictures,
    },
];

pub const SAMPLES: &str = "samples.parquet";
pub const ANSWERS: &str = "answers.parquet";
pub const MAPS: &str = "maps.parquet";
pub const SCORES: &str = "scores.parquet";
pub const CURVES: &str = "curves.parquet";
pub const AGREEMENT: &str = "agreement.parquet";
pub const REGIONS: &str = "regions.parquet";
pub const PICTURES: &str = "pictures.parquet";

fn samples(record: &Record, _: &Names) -> Result<RecordBatch, ArrowError> {
    let s = &record.sample;
    Columns::default()
        .u64s("sample", [s.id].into_iter())
        .texts("file", [&s.file].into_iter())
        .u32s("width", [s.size[0] as usize].into_iter())
        .u32s("height", [s.size[1] as usize].into_iter())
        .maybe_texts("failure", [s.failure.as_ref()].into_iter())
        .u32_lists("truth", [s.truth.clone()].into_iter())
        .u32_lists(
            "box_labels",
            [s.boxes.iter().map(|b| b.label).collect()].into_iter(),
        )
        .f32_lists(
            "boxes",
            [s.boxes.iter().flat_map(|b| b.area).collect()].into_iter(),
        )
        .f32_lists("probabilities", [s.probabilities.clone()].into_iter())
        .maybe_f64s("entropy", [s.entropy].into_iter())
        .maybe_f64s("margin", [s.margin].into_iter())
        .batch()
}

/// The first columns of each table: picture and class.
fn keys<'a>(record: &Record, labels: impl Iterator<Item = usize> + Clone + 'a) -> Columns {
    let id = record.sample.id;
    Columns::default()
        .u64s("sample", labels.clone().map(|_| id))
        .u32s("label", labels)
}

fn answers(record: &Record, names: &Names) -> Result<RecordBatch, ArrowError> {
    let all = &record.sample.answers;
    let probability = |a: &Answer| record.sample.probabilities.get(a.label).copied();
    let sure = |part: fn(&super::view::Uncertainty) -> f64| {
        all.iter().map(move |a| a.uncertainty.as_ref().map(part))
    };
    keys(record, all.iter().map(|a| a.label))
        .texts("name", all.iter().map(|a| label(&names.labels, a.label)))
        .maybe_f64s(
            "probability",
            all.iter().map(|a| probability(a).map(f64::from)),
        )
        .texts("flag", all.iter().map(|a| flag_word(a.flag)))
        .maybe_texts("verdict", all.iter().map(|a| a.verdict.map(verdict_word)))
        .maybe_u32s("looked_at", all.iter().map(|a| a.looked_at.map(|l| l.0)))
        .maybe_f64s(
            "looked_at_share",
            all.iter().map(|a| a.looked_at.map(|l| l.1)),
        )
        .maybe_f64s("deviation", sure(|u| u.deviation))
        .maybe_f64s("low", sure(|u| u.low))
        .maybe_f64s("high", sure(|u| u.high))
        .maybe_texts(
            "region_failure",
            all.iter().map(|a| a.region.as_ref()?.as_ref().err()),
        )
        .text_lists(
            "nearest",
            all.iter()
                .map(|a| a.nearest.iter().map(|n| n.0.clone()).collect()),
        )
        .f64_lists(
            "nearest_distance",
            all.iter().map(|a| a.nearest.iter().map(|n| n.1).collect()),
        )
        .batch()
}

/// Each map with the answer and the method that it belongs to.
fn infos<'a>(record: &'a Record, names: &'a Names) -> Vec<(usize, &'a str, &'a MapInfo)> {
    let answers = record.sample.answers.iter();
    let of = |a: &'a Answer| {
        let methods = names.methods.iter().zip(&a.maps);
        methods.map(move |(method, map)| (a.label, method.as_str(), map))
    };
    answers.flat_map(of).collect()
}

fn maps(record: &Record, names: &Names) -> Result<RecordBatch, ArrowError> {
    let infos = infos(record, names);
    let each = || infos.iter().map(|(_, _, map)| *map);
    let none = MapValues {
        grid: [0, 0],
        values: Vec::new(),
    };
    let values = (0..infos.len()).map(|i| record.maps.get(i).unwrap_or(&none).values.clone());
    keys(record, infos.iter().map(|i| i.0))
        .texts("method", infos.iter().map(|i| i.1))
        .u32s("rows", each().map(|m| m.grid[0]))
        .u32s("columns", each().map(|m| m.grid[1]))
        .texts("outcome", each().map(|m| outcome_word(m.outcome)))
        .maybe_texts("reason", each().map(|m| reason(m.outcome)))
        .maybe_u64s("done", each().map(|m| Some(passes(m.outcome)?.0)))
        .maybe_u64s("total", each().map(|m| Some(passes(m.outcome)?.1)))
        .f32_lists("values", values)
        .batch()
}

fn scores(record: &Record, names: &Names) -> Result<RecordBatch, ArrowError> {
    let infos = infos(record, names);
    let rows: Vec<_> = infos
        .iter()
        .flat_map(|(label, method, map)| {
            let scores = names.metrics.iter().zip(&map.scores);
            scores.map(move |(metric, score)| (*label, *method, metric, score))
        })
        .collect();
    keys(record, rows.iter().map(|r| r.0))
        .texts("method", rows.iter().map(|r| r.1))
        .texts("metric", rows.iter().map(|r| r.2))
        .maybe_f64s("score", rows.iter().map(|r| r.3.as_ref().ok().copied()))
        .maybe_texts("reason", rows.iter().map(|r| r.3.as_ref().err()))
        .batch()
}

fn curves(record: &Record, names: &Names) -> Result<RecordBatch, ArrowError> {
    let infos = infos(record, names);
    let rows: Vec<(usize, &str, &Curve)> = infos
        .iter()
        .flat_map(|(label, method, map)| map.curves.iter().map(|c| (*label, *method, c)))
        .collect();
    let points = |i: usize| {
        let lists = rows
            .iter()
            .map(move |r| r.2.points.iter().map(|p| p[i]).collect());
        lists.collect::<Vec<Vec<f64>>>().into_iter()
    };
    keys(record, rows.iter().map(|r| r.0))
        .texts("method", rows.iter().map(|r| r.1))
        .texts("curve", rows.iter().map(|r| &r.2.name))
        .f64_lists("share", points(0))
        .f64_lists("score", points(1))
        .batch()
}

fn agreement(record: &Record, names: &Names) -> Result<RecordBatch, ArrowError> {
    let answers = record.sample.answers.iter();
    let rows: Vec<_> = answers
        .flat_map(|a| a.agreement.iter().map(|g| (a.label, g)))
        .collect();
    let method = |i: usize| {
        rows.iter()
            .map(move |r| names.methods[r.1.methods[i]].as_str())
    };
    keys(record, rows.iter().map(|r| r.0))
        .texts("method", method(0))
        .texts("other", method(1))
        .maybe_f64s("spearman", rows.iter().map(|r| r.1.spearman))
        .f64s("overlap", rows.iter().map(|r| r.1.overlap))
        .batch()
}

/// One row a layer of a region; the tree stands in the first.
fn regions(record: &Record, _: &Names) -> Result<RecordBatch, ArrowError> {
    let found = |a: &'_ Answer| Some((a.label, a.region.clone()?.ok()?));
    let regions: Vec<(usize, Region)> = record.sample.answers.iter().filter_map(found).collect();
    let rows: Vec<(usize, usize, &Region, &Layer)> = regions
        .iter()
        .flat_map(|(label, region)| {
            let layers = region.layers.iter().enumerate();
            layers.map(move |(i, layer)| (*label, i, region, layer))
        })
        .collect();
    let tree = |region: &Region| serde_json::to_string(&region.tree).unwrap_or_default();
    keys(record, rows.iter().map(|r| r.0))
        .u32s("layer", rows.iter().map(|r| r.1))
        .f64s("score", rows.iter().map(|r| f64::from(r.3.probability)))
        .f64s("area", rows.iter().map(|r| r.2.area(r.1)))
        .u32_lists(
            "boxes",
            rows.iter()
                .map(|r| r.3.boxes.iter().flatten().copied().collect()),
        )
        .texts("of", rows.iter().map(|r| score_name(r.2.score)))
        .texts(
            "mode",
            rows.iter()
                .map(|r| if r.2.reveal { "reveal" } else { "cover" }),
        )
        .u32s("height", rows.iter().map(|r| r.2.picture[0]))
        .u32s("width", rows.iter().map(|r| r.2.picture[1]))
        .maybe_texts("tree", rows.iter().map(|r| (r.1 == 0).then(|| tree(r.2))))
        .batch()
}

fn pictures(record: &Record, _: &Names) -> Result<RecordBatch, ArrowError> {
    let png = record.picture.as_deref().unwrap_or_default();
    Columns::default()
        .u64s("sample", [record.sample.id].into_iter())
        .bytes("png", [png].into_iter())
        .batch()
}

/// Flags as files write them.
pub const fn flag_word(flag: Flag) -> &'static str {
    match flag {
        Flag::TruePositive => "TP",
        Flag::FalsePositive => "FP",
        Flag::FalseNegative => "FN",
        Flag::Unknown => "?",
    }
}

/// Verdicts as files write them.
pub const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Right => "RIGHT",
        Verdict::RightWrongReason => "RIGHT-WRONG-REASON",
        Verdict::Wrong => "WRONG",
    }
}

const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Flat => "flat",
        Outcome::Undefined(_) => "undefined",
        Outcome::Partial { .. } => "partial",
    }
}

const fn reason(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Undefined(reason) => Some(reason),
        _ => None,
    }
}

const fn passes(outcome: Outcome) -> Option<(u64, u64)> {
    match outcome {
        Outcome::Partial { done, total } => Some((done, total)),
        _ => None,
    }
}

/// The flag that a file means.
pub fn flag_of(word: &str) -> Option<Flag> {
    let all = [
        Flag::TruePositive,
        Flag::FalsePositive,
        Flag::FalseNegative,
        Flag::Unknown,
    ];
    all.into_iter().find(|flag| flag_word(*flag) == word)
}

/// The verdict that a file means.
pub fn verdict_of(word: &str) -> Option<Verdict> {
    let all = [Verdict::Right, Verdict::RightWrongReason, Verdict::Wrong];
    all.into_iter()
        .find(|verdict| verdict_word(*verdict) == word)
}
