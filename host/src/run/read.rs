//! Reads a run back: the whole of it as [`view::Run`], maps and pictures one
//! by one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use arrow_array::Array;
use arrow_array::types::{Float32Type, Float64Type, UInt32Type};
use foveola_core::Score;
use foveola_core::explain::Outcome;
use foveola_core::metric::METRICS;
use image::RgbImage;

use super::RunError;
use super::columns::{Rows, Table, maybe, maybe_text};
use super::manifest::Manifest;
use super::shard::{Seal, is_done, place};
use super::tables::{
    AGREEMENT, ANSWERS, CURVES, MAPS, PICTURES, REGIONS, SAMPLES, SCORES, flag_of, verdict_of,
};
use super::view::{
    Agreement, Answer, Curve, FetchError, LabelledBox, MapInfo, MapValues, MethodInfo, MetricInfo,
    Pictures, Provenance, Run, Sample, Uncertainty,
};
use crate::explainer::{Layer, Region};

/// A run's folder, opened.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    manifest: Manifest,
    /// The finished shards, in order.
    shards: Vec<u64>,
    /// For each picture that was read: its shard and, in it, its number and the
    /// number of answers before it.
    index: OnceLock<Vec<Place>>,
    last: Mutex<Option<Cached>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    shard: u64,
    picture: usize,
    answers: usize,
}

/// The row group that was read last; neighbours are asked for one after another.
struct Cached {
    file: PathBuf,
    begin: usize,
    rows: Rows,
}

impl std::fmt::Debug for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cached({}, {})", self.file.display(), self.begin)
    }
}

impl RunFolder {
    /// Opens a run, finished or not.
    ///
    /// # Errors
    /// A folder without a run; shards of another one.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let manifest = Manifest::open(path)?;
        let all = 0..manifest.shards.count;
        let shards: Vec<u64> = all.filter(|&shard| is_done(path, shard)).collect();
        for &shard in &shards {
            let folder = place(path, shard);
            if Seal::open(&folder)?.config_hash != manifest.config_hash {
                return Err(RunError::Damaged {
                    what: folder.display().to_string(),
                    reason: String::from("this shard belongs to another run"),
                });
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            manifest,
            shards,
            index: OnceLock::new(),
            last: Mutex::new(None),
        })
    }

    /// What decides the bytes of the run.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The numbers of the finished shards.
    pub fn finished(&self) -> &[u64] {
        &self.shards
    }

    /// Everything but maps and pictures; of a run that is not finished, the
    /// pictures of its finished shards.
    ///
    /// # Errors
    /// A table that is missing or damaged.
    pub fn run(&self) -> Result<Run, RunError> {
        let mut run = self.heading()?;
        let mut index = Vec::new();
        for &shard in &self.shards {
            let samples = ShardReader::new(&place(&self.path, shard), &self.manifest).samples()?;
            let mut answers = 0;
            for (picture, sample) in samples.iter().enumerate() {
                index.push(Place {
                    shard,
                    picture,
                    answers,
                });
                answers += sample.answers.len();
            }
            run.samples.extend(samples);
        }
        // It is the same whoever comes first.
        let _ = self.index.set(index);
        Ok(run)
    }

    /// A run without pictures.
    fn heading(&self) -> Result<Run, RunError> {
        let Manifest {
            model,
            data,
            config,
            ..
        } = &self.manifest;
        let metrics = config.metrics.iter().map(|spec| {
            let name = spec.split(':').next().unwrap_or_default();
            let row = METRICS.iter().find(|row| row.name == name);
            let unknown = || RunError::Damaged {
                what: self.path.display().to_string(),
                reason: format!("this version knows no metric `{name}`"),
            };
            let spec = spec.clone();
            row.map(|row| MetricInfo { spec, row }).ok_or_else(unknown)
        });
        let file = model.path.file_name().unwrap_or_default();
        let methods = config.methods.iter().map(|m| MethodInfo {
            spec: m.spec.clone(),
            title: m.title.clone(),
            passes: m.passes,
            signed: m.signed,
            baseline: m.baseline,
        });
        let labels = 0..model.classes;
        Ok(Run {
            provenance: Provenance {
                tool: self.manifest.tool.clone(),
                model: file.to_string_lossy().into_owned(),
                model_hash: model.sha256.clone(),
                data: data.path.display().to_string(),
                data_hash: data.sha256.clone(),
                config_hash: self.manifest.config_hash.clone(),
                seed: config.seed,
                backend: self.manifest.backend_word(),
                command: self.manifest.command.join(" "),
            },
            labels: labels.map(|class| model.card.label(class)).collect(),
            threshold: config.threshold,
            methods: methods.collect(),
            metrics: metrics.collect::<Result<_, _>>()?,
            samples: Vec::new(),
        })
    }

    fn place_of(&self, sample: usize) -> Result<Place, FetchError> {
        let gone = |reason: String| FetchError {
            what: self.path.display().to_string(),
            reason,
        };
        if self.index.get().is_none() {
            self.run().map_err(|e| gone(e.to_string()))?;
        }
        let index = self.index.get().map_or(&[][..], Vec::as_slice);
        let found = index.get(sample).copied();
        found.ok_or_else(|| gone(format!("there is no picture number {sample}")))
    }

    /// Hands row number `row` of a table to `work`.
    fn row<R>(
        &self,
        file: PathBuf,
        row: usize,
        work: impl FnOnce(&Rows, usize) -> Result<R, FetchError>,
    ) -> Result<R, FetchError> {
        let mut last = match self.last.lock() {
            Ok(last) => last,
            Err(poisoned) => poisoned.into_inner(),
        };
        let has = |c: &Cached| c.file == file && (c.begin..c.begin + c.rows.len()).contains(&row);
        if !last.as_ref().is_some_and(has) {
            *last = Some(read_group(file, row)?);
        }
        match &*last {
            Some(cached) => work(&cached.rows, row - cached.begin),
            None => Err(FetchError {
                what: self.path.display().to_string(),
                reason: String::from("nothing was read"),
            }),
        }
    }
}

/// The row group that holds a row.
fn read_group(file: PathBuf, row: usize) -> Result<Cached, FetchError> {
    let table = Table::new(&file);
    let mut begin = 0;
    for (group, rows) in table.groups()?.into_iter().enumerate() {
        if row < begin + rows {
            let rows = table.group(group)?;
            return Ok(Cached { file, begin, rows });
        }
        begin += rows;
    }
    Err(FetchError {
        what: file.display().to_string(),
        reason: format!("it has no row {row}"),
    })
}

impl Pictures for RunFolder {
    fn map(&self, sample: usize, answer: usize, method: usize) -> Result<MapValues, FetchError> {
        let at = self.place_of(sample)?;
        let row = (at.answers + answer) * self.manifest.config.methods.len() + method;
        let file = place(&self.path, at.shard).join(MAPS);
        self.row(file, row, |rows, row| {
            let side = |name: &str| rows.u32s(name).map(|c| c.value(row) as usize);
            let (h, w) = (side("rows")?, side("columns")?);
            let values = rows.list::<Float32Type>("values", row)?;
            match values.len() == h * w && h * w > 0 {
                true => Ok(MapValues {
                    grid: [h, w],
                    values,
                }),
                false => Err(rows.wrong(String::from("no map is kept for this answer"))),
            }
        })
    }

    fn picture(&self, sample: usize) -> Result<RgbImage, FetchError> {
        let at = self.place_of(sample)?;
        if !self.manifest.config.pictures {
            return Err(FetchError {
                what: self.path.display().to_string(),
                reason: String::from("this run keeps no pictures"),
            });
        }
        let file = place(&self.path, at.shard).join(PICTURES);
        self.row(file, at.picture, |rows, row| {
            let png = rows.bytes("png")?.value(row);
            match png.is_empty() {
                true => Err(rows.wrong(String::from("the picture could not be read"))),
                false => image::load_from_memory(png)
                    .map(|image| image.to_rgb8())
                    .map_err(|e| rows.wrong(e.to_string())),
            }
        })
    }
}

/// Reads one shard.
struct ShardReader<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    samples: Vec<Sample>,
    /// Number of each picture in the shard.
    numbers: BTreeMap<u64, usize>,
}

impl<'a> ShardReader<'a> {
    fn new(folder: &'a Path, manifest: &'a Manifest) -> Self {
        Self {
            folder,
            manifest,
            samples: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    fn samples(mut self) -> Result<Vec<Sample>, FetchError> {
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

/// A text that lasts as long as the program: reasons are few, and each is kept once.
pub(super) fn lasting(text: String) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = match KNOWN.lock() {
        Ok(known) => known,
        Err(poisoned) => poisoned.into_inner(),
    };
    match known.get(text.as_str()) {
        Some(found) => found,
        None => {
            let kept: &'static str = Box::leak(text.into_boxed_str());
            known.insert(kept);
            kept
        }
    }
}
