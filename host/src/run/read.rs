//! Reads a run back: the whole of it as [`Run`], maps and pictures one
//! by one.

mod shard;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use arrow_array::types::Float32Type;
use image::RgbImage;

use super::RunError;
use super::columns::{Rows, Table};
use super::data::{DataOptions, DataSet};
use super::manifest::Manifest;
use super::shard::{Seal, is_done, place};
use super::tables::{MAPS, PICTURES};
use super::view::{FetchError, MapValues, MethodInfo, MetricInfo, Pictures, Provenance, Run};
use crate::method_spec::SpecError;
use crate::metric_spec::MetricSpec;
use crate::photo;
use shard::ShardReader;

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
    /// Files of the training pictures by name, or why they are not known.
    training: OnceLock<Result<BTreeMap<String, PathBuf>, String>>,
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
            training: OnceLock::new(),
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
            let unknown = |e: SpecError| RunError::Damaged {
                what: self.path.display().to_string(),
                reason: format!("this version knows no metric `{spec}`: {e}"),
            };
            let MetricSpec { row, .. } = spec.parse().map_err(unknown)?;
            let spec = spec.clone();
            Ok(MetricInfo { spec, row })
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
                unit: config.unit.as_ref().map(|unit| unit.name.clone()),
            },
            labels: labels.map(|class| model.card.label(class)).collect(),
            threshold: config.threshold,
            methods: methods.collect(),
            metrics: metrics.collect::<Result<_, RunError>>()?,
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

    /// Files of the training pictures, where they were and still are.
    fn training_files(&self) -> Result<BTreeMap<String, PathBuf>, String> {
        let config = &self.manifest.config;
        let train = config.train.as_ref();
        let train = train.ok_or_else(|| String::from("this run has no training pictures"))?;
        let model = &self.manifest.model;
        let (options, labels) = (DataOptions::default(), &model.card.labels);
        let set = DataSet::open(&train.path, &options, labels, model.classes);
        let set = set.map_err(|e| e.to_string())?;
        match set.hash == train.sha256 {
            true => Ok(set.items.into_iter().map(|i| (i.name, i.path)).collect()),
            false => Err(format!("{} has changed since", train.path.display())),
        }
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

    fn training(&self, name: &str) -> Result<RgbImage, FetchError> {
        let gone = |reason: String| FetchError {
            what: name.to_string(),
            reason,
        };
        let files = self.training.get_or_init(|| self.training_files());
        let files = files.as_ref().map_err(|reason| gone(reason.clone()))?;
        let file = files.get(name);
        let file = file.ok_or_else(|| gone(String::from("no training picture")))?;
        let bytes = photo::read(file).map_err(|e| gone(e.to_string()))?;
        photo::decode(&bytes).map(|i| i.to_rgb8()).map_err(gone)
    }
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
