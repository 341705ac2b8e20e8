//! The tables of one shard, read.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::Array;
use arrow_array::types::{Float32Type, Float64Type, UInt32Type};
use foveola_core::Score;
use foveola_core::explain::Outcome;

use super::lasting;
use crate::explainer::{Layer, Region};
use crate::run::columns::{Rows, Table, maybe, maybe_text};
use crate::run::manifest::Manifest;
use crate::run::tables::{
    AGREEMENT, ANSWERS, CURVES, MAPS, REGIONS, SAMPLES, SCORES, flag_of, verdict_of,
};
use crate::run::view::{
    Agreement, Answer, Curve, FetchError, LabelledBox, MapInfo, Sample, Uncertainty,
};

/// Reads one shard.
pub struct ShardReader<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    samples: Vec<Sample>,
    /// Number of each picture in the shard.
    numbers: BTreeMap<u64, usize>,
}

impl<'a> ShardReader<'a> {
    pub fn new(folder: &'a Path, manifest: &'a Manifest) -> Self {
        Self {
            folder,
            manifest,
            samples: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    pub fn samples(mut self) -> Result<Vec<Sample>, FetchError> {
        self.each(SAMPLES, &[], Self::read_sample)?;
        self.each(ANSWERS, &[], Self::read_answer)?;
        self.each(MAPS, &["values"], Self::read_map)?;
        self.each(SCORES, &[], Self::read_score)?;
        self.each(CURVES, &[], Self::read_curve)?;
        self.each(AGREEMENT, &[], Self::read_agreement)?;
        self.each(REGIONS, &[], Self::read_layer)?;
        Ok(self.samples)
    }

    fn each(
        &mut self,
        file: &str,
        skip: &[&str],
        read: fn(&mut Self, &Rows, usize) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        Table::new(&self.folder.join(file)).each(skip, |rows| {
            (0..rows.len()).try_for_each(|row| read(self, rows, row))
        })
    }

    fn read_sample(&mut self, rows: &Rows, row: usize) -> Result<(), FetchError> {
        let id = rows.u64s("sample")?.value(row);
        let labels = rows.list::<UInt32Type>("box_labels", row)?;
        let areas = rows.list::<Float32Type>("boxes", row)?;
        let boxes = labels.iter().zip(areas.as_chunks::<4>().0);
        self.numbers.insert(id, self.samples.len());
        self.samples.push(Sample {
            id,
            file: rows.texts("file")?.value(row).to_string(),
            size: [
                rows.u32s("width")?.value(row),
                rows.u32s("height")?.value(row),
            ],
            failure: maybe_text(rows.texts("failure")?, row),
            truth: classes(rows.list::<UInt32Type>("truth", row)?),
            boxes: boxes
                .map(|(&label, &area)| LabelledBox {
                    label: label as usize,
                    area,
                })
                .collect(),
            probabilities: rows.list::<Float32Type>("probabilities", row)?,
            entropy: maybe(rows.f64s("entropy")?, row),
            margin: maybe(rows.f64s("margin")?, row),
            answers: Vec::new(),
        });
        Ok(())
    }

    fn sample(&mut self, rows: &Rows, row: usize) -> Result<&mut Sample, FetchError> {
        let id = rows.u64s("sample")?.value(row);
        let number = self.numbers.get(&id);
        let found = number.and_then(|&n| self.samples.get_mut(n));
        found.ok_or_else(|| rows.wrong(format!("picture {id} is not in this shard")))
    }

    fn answer(&mut self, rows: &Rows, row: usize) -> Result<&mut Answer, FetchError> {
        let label = rows.u32s("label")?.value(row) as usize;
        let answers = &mut self.sample(rows, row)?.answers;
        let found = answers.iter_mut().find(|a| a.label == label);
        found.ok_or_else(|| rows.wrong(format!("class {label} was not explained")))
    }

    fn method(&self, rows: &Rows, name: &str, row: usize) -> Result<usize, FetchError> {
        let spec = rows.texts(name)?.value(row);
        let mut methods = self.manifest.config.methods.iter();
        let found = methods.position(|m| m.spec == spec);
        found.ok_or_else(|| rows.wrong(format!("`{spec}` is no method of the run")))
    }

    fn map(&mut self, rows: &Rows, row: usize) -> Result<&mut MapInfo, FetchError> {
        let method = self.method(rows, "method", row)?;
        let found = self.answer(rows, row)?.maps.get_mut(method);
        found.ok_or_else(|| rows.wrong(String::from("a score without a map")))
    }

    fn read_answer(&mut self, rows: &Rows, row: usize) -> Result<(), FetchError> {
        let wrong = |what: &str| rows.wrong(format!("`{what}` is no such word"));
        let flag = rows.texts("flag")?.value(row);
        let verdict = maybe_text(rows.texts("verdict")?, row);
        let verdict = verdict.map(|v| verdict_of(&v).ok_or_else(|| wrong(&v)));
        let number = |name: &str| rows.f64s(name).map(|c| maybe(c, row));
        let looked_at = maybe(rows.u32s("looked_at")?, row).map(|label| label as usize);
        let sure = (number("deviation")?, number("low")?, number("high")?);
        let nearest = rows.text_list("nearest", row)?;
        let distances = rows.list::<Float64Type>("nearest_distance", row)?;
        let answer = Answer {
            label: rows.u32s("label")?.value(row) as usize,
            flag: flag_of(flag).ok_or_else(|| wrong(flag))?,
            verdict: verdict.transpose()?,
            looked_at: looked_at.zip(number("looked_at_share")?),
            uncertainty: match sure {
                (Some(deviation), Some(low), Some(high)) => Some(Uncertainty {
                    deviation,
                    low,
                    high,
                }),
                _ => None,
            },
            maps: Vec::new(),
            agreement: Vec::new(),
            region: maybe_text(rows.texts("region_failure")?, row).map(Err),
            nearest: nearest.into_iter().zip(distances).collect(),
        };
        self.sample(rows, row)?.answers.push(answer);
        Ok(())
    }

    fn read_map(&mut self, rows: &Rows, row: usize) -> Result<(), FetchError> {
        let side = |name: &str| rows.u32s(name).map(|c| c.value(row) as usize);
        let passes = |name: &str| rows.u64s(name).map(|c| maybe(c, row).unwrap_or(0));
        let reason = maybe_text(rows.texts("reason")?, row).unwrap_or_default();
        let outcome = match rows.texts("outcome")?.value(row) {
            "ok" => Outcome::Ok,
            "flat" => Outcome::Flat,
            "undefined" => Outcome::Undefined(lasting(reason)),
            "partial" => Outcome::Partial {
                done: passes("done")?,
                total: passes("total")?,
            },
            other => return Err(rows.wrong(format!("`{other}` is no outcome"))),
        };
        let method = self.method(rows, "method", row)?;
        let metrics = self.manifest.config.metrics.len();
        let missing = || Err(String::from("it was not written"));
        let map = MapInfo {
            grid: [side("rows")?, side("columns")?],
            outcome,
            scores: (0..metrics).map(|_| missing()).collect(),
            curves: Vec::new(),
        };
        let maps = &mut self.answer(rows, row)?.maps;
        match maps.len() == method {
            true => maps.push(map),
            false => return Err(rows.wrong(String::from("its methods are out of order"))),
        }
        Ok(())
    }

    fn read_score(&mut self, rows: &Rows, row: usize) -> Result<(), FetchError> {
        let spec = rows.texts("metric")?.value(row);
        let metric = self.manifest.config.metrics.iter().position(|m| m == spec);
        let reason = maybe_text(rows.texts("reason")?, row).unwrap_or_default();
        let score = maybe(rows.f64s("score")?, row).ok_or(reason);
        let scores = &mut self.map(rows, row)?.scores;
        match metric.and_then(|m| scores.get_mut(m)) {
            Some(place) => *place = score,
            None => return Err(rows.wrong(format!("`{spec}` is no metric of the run"))),
        }
        Ok(())
    }

    fn read_curve(&mut self, rows: &Rows, row: usize) -> Result<(), FetchError> {
        let shares = rows.list::<Float64Type>("share", row)?;
        let scores = rows.list::<Float64Type>("score", row)?;
        let curve = Curve {
            name: rows.texts("curve")?.value(row).to_string(),
            points: shares
                .into_iter()
                .zip(scores)
                .map(|(x, y)| [x, y])
                .collect(),
        };
        self.map(rows, row)?.curves.push(curve);
        Ok(())
    }

    fn read_agreement(&mut self, rows: &Rows, row: usize) -> Result<(), FetchError> {
        let agreement = Agreement {
            methods: [
                self.method(rows, "method", row)?,
                self.method(rows, "other", row)?,
            ],
            spearman: maybe(rows.f64s("spearman")?, row),
            overlap: rows.f64s("overlap")?.value(row),
        };
        self.answer(rows, row)?.agreement.push(agreement);
        Ok(())
    }

    fn read_layer(&mut self, rows: &Rows, row: usize) -> Result<(), FetchError> {
        let side = |name: &str| rows.u32s(name).map(|c| c.value(row) as usize);
        let boxes = classes(rows.list::<UInt32Type>("boxes", row)?);
        let layer = Layer {
            probability: rows.f64s("score")?.value(row) as f32,
            boxes: boxes.as_chunks::<4>().0.to_vec(),
        };
        let tree = rows.texts("tree")?;
        let first = tree
            .is_valid(row)
            .then(|| serde_json::from_str(tree.value(row)));
        let fresh = match first {
            Some(tree) => Some(Region {
                layers: Vec::new(),
                tree: tree.map_err(|e| rows.wrong(e.to_string()))?,
                reveal: rows.texts("mode")?.value(row) == "reveal",
                score: match rows.texts("of")?.value(row) {
                    "logit" => Score::Logit,
                    _ => Score::Probability,
                },
                picture: [side("height")?, side("width")?],
            }),
            None => None,
        };
        let region = &mut self.answer(rows, row)?.region;
        if let Some(fresh) = fresh {
            *region = Some(Ok(fresh));
        }
        match region {
            Some(Ok(region)) => region.layers.push(layer),
            _ => return Err(rows.wrong(String::from("a layer without its region"))),
        }
        Ok(())
    }
}

fn classes(narrow: Vec<u32>) -> Vec<usize> {
    narrow.into_iter().map(|v| v as usize).collect()
}
