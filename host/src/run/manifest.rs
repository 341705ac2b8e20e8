//! The manifest: everything that decides the bytes of a run, written once
//! before the first picture and never changed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::RunError;
use crate::card::Card;
use crate::model::{BackendKind, sha256};

/// Version of the format.
pub const FORMAT: u32 = 1;
/// Name of the file.
pub const MANIFEST: &str = "manifest.json";
/// Largest manifest that is read, in bytes.
const MOST_BYTES: u64 = 1 << 28;

/// The arithmetic of a GPU that stores f16.
pub(super) const HALF: &str = "half";

/// `manifest.json`. Paths are as they were given; they decide nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Version of Foveola.
    pub tool: String,
    /// SHA-256 of everything here but paths and `command`.
    pub config_hash: String,
    /// The model.
    pub model: ModelRecord,
    /// The pictures.
    pub data: DataRecord,
    /// What is asked.
    pub config: Config,
    /// How the pictures are cut into shards.
    pub shards: Shards,
    /// The command line that makes the same bytes again, word by word.
    pub command: Vec<String>,
}

/// The model of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// Where it was.
    pub path: PathBuf,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Height, width and channels of its input.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// How photos were prepared, complete.
    pub card: Card,
}

/// The pictures of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// Where they were.
    pub path: PathBuf,
    /// File of labels, if one was named.
    pub labels: Option<PathBuf>,
    /// File of boxes, if one was named.
    pub boxes: Option<PathBuf>,
    /// Folder that names in files start from, if one was named.
    pub pictures_in: Option<PathBuf>,
    /// Column of the labels in a table.
    pub column: Option<String>,
    /// Added to class numbers of files.
    pub first_class: usize,
    /// What kind of data set it is, in words.
    pub source: String,
    /// SHA-256 of the list of pictures, labels and boxes.
    pub sha256: String,
    /// Number of pictures.
    pub pictures: u64,
}

/// What is asked of each picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The engine.
    pub backend: BackendKind,
    /// How it adds products.
    pub arithmetic: String,
    /// Whether the model may read other files.
    pub allow_external: bool,
    /// Height and width of a model that leaves them open.
    pub input_size: Option<[usize; 2]>,
    /// The methods, baselines last.
    pub methods: Vec<MethodRecord>,
    /// The metrics, as they were asked for.
    pub metrics: Vec<String>,
    /// Passes with dropout, if uncertainty was asked for.
    pub uncertainty: Option<usize>,
    /// HOC, as it was asked for.
    pub hoc: Option<String>,
    /// Probability above which a class counts as predicted.
    pub threshold: f32,
    /// Key of every random number.
    pub seed: u64,
    /// Whether the pictures are kept.
    pub pictures: bool,
    /// Training pictures among which the nearest are found.
    pub train: Option<TrainRecord>,
    /// The unit that is asked about instead of classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitRecord>,
}

/// A unit of the network; the run's model has its tensor's channels as classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitRecord {
    /// TENSOR:CHANNEL or TENSOR:CHANNEL,ROW,COLUMN.
    pub name: String,
    /// The card of the whole network.
    pub card: Card,
}

/// A method of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodRecord {
    /// As it was asked for, layer named: unique.
    pub spec: String,
    /// For people.
    pub title: String,
    /// Passes for one picture and class.
    pub passes: u64,
    /// Whether negative values say something.
    pub signed: bool,
    /// Whether it only stands beside the others.
    pub baseline: bool,
}

/// Training pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainRecord {
    /// Where they were.
    pub path: PathBuf,
    /// SHA-256 of the list of pictures and labels.
    pub sha256: String,
}

/// How pictures are cut into shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shards {
    /// Number of shards.
    pub count: u64,
    /// Pictures in each but the last.
    pub size: u64,
}

impl Shards {
    /// Shards of `size` pictures for so many.
    pub const fn of(pictures: u64, size: u64) -> Self {
        let size = if size == 0 { 1 } else { size };
        Self {
            count: pictures.div_ceil(size),
            size,
        }
    }

    /// The pictures of a shard, of so many.
    pub fn pictures(self, shard: u64, pictures: u64) -> std::ops::Range<u64> {
        let begin = shard.saturating_mul(self.size).min(pictures);
        begin..begin.saturating_add(self.size).min(pictures)
    }
}

impl Manifest {
    /// The hash of everything but paths and the command.
    ///
    /// # Errors
    /// A value that JSON has no word for.
    pub fn hash(&self) -> Result<String, serde_json::Error> {
        let mut bare = self.clone();
        bare.config_hash.clear();
        bare.command.clear();
        bare.model.path = PathBuf::new();
        bare.data.path = PathBuf::new();
        (bare.data.labels, bare.data.boxes) = (None, None);
        bare.data.pictures_in = None;
        if let Some(train) = &mut bare.config.train {
            train.path = PathBuf::new();
        }
        serde_json::to_vec(&bare).map(|bytes| sha256(&bytes))
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// A value that JSON has no word for.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads the manifest of a run.
    ///
    /// # Errors
    /// A folder that holds no run, or one that this version does not read.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(MANIFEST);
        let wrong = |reason: String| RunError::Damaged {
            what: path.display().to_string(),
            reason,
        };
        let size = match std::fs::metadata(&path) {
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(RunError::NoRun(folder.to_path_buf()));
            }
            Err(e) => return Err(wrong(e.to_string())),
        };
        if size > MOST_BYTES {
            return Err(wrong(format!("{size} bytes are no manifest")));
        }
        let bytes = std::fs::read(&path).map_err(|e| wrong(e.to_string()))?;
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        manifest.check().map_err(wrong)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!(
                "it has format {}, and this version reads format {FORMAT}",
                self.format
            ));
        }
        let cut = Shards::of(self.data.pictures, self.shards.size);
        if cut != self.shards {
            return Err(String::from("its shards do not hold its pictures"));
        }
        match self.hash() {
            Ok(hash) if hash == self.config_hash => Ok(()),
            _ => Err(String::from("it was changed: its hash is another one")),
        }
    }

    /// The engine in one word.
    pub const fn backend_name(&self) -> &'static str {
        match self.config.backend {
            BackendKind::Core => "core",
            BackendKind::Tract => "tract",
            BackendKind::Gpu => "gpu",
            BackendKind::Device => "device",
        }
    }

    /// The engine, and its arithmetic where that is not the usual.
    pub fn backend_word(&self) -> String {
        let name = self.backend_name();
        match self.config.arithmetic.as_str() {
            "strict" | "gpu" => String::from(name),
            other => format!("{name}, {other}"),
        }
    }

    /// The first thing in which another run differs, in words.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.config_hash == other.config_hash {
            return None;
        }
        let (ours, theirs) = (serde_json::to_value(self), serde_json::to_value(other));
        let (Ok(mut ours), Ok(mut theirs)) = (ours, theirs) else {
            return Some(String::from("their manifests cannot be compared"));
        };
        for value in [&mut ours, &mut theirs] {
            if let Some(all) = value.as_object_mut() {
                all.retain(|key, _| key != "command" && key != "config_hash");
            }
        }
        difference("", &ours, &theirs).or_else(|| Some(String::from("their hashes")))
    }
}

/// Paths say nothing about numbers.
fn is_path(key: &str) -> bool {
    matches!(key, "path" | "labels" | "boxes" | "pictures_in")
}

fn difference(at: &str, a: &serde_json::Value, b: &serde_json::Value) -> Option<String> {
    use serde_json::Value::{Array, Null, Object};
    match (a, b) {
        (Object(a), Object(b)) => {
            let more = b.keys().filter(|key| !a.contains_key(*key));
            a.keys().chain(more).find_map(|key| {
                let inner = format!("{at}{}{key}", if at.is_empty() { "" } else { "." });
                let skipped = is_path(key) && at != "model.card";
                let [one, other] = [a, b].map(|all| all.get(key).unwrap_or(&Null));
                (!skipped).then(|| difference(&inner, one, other))?
            })
        }
        (Array(x), Array(y)) if x.len() == y.len() => {
            let mut pairs = x.iter().zip(y).enumerate();
            pairs.find_map(|(i, (x, y))| difference(&format!("{at}[{i}]"), x, y))
        }
        _ => (a != b).then(|| format!("`{at}` is {} here and {} there", short(a), short(b))),
    }
}

fn short(value: &serde_json::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    }
}
