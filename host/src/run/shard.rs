//! Shards: a folder of tables each, put in its place by one rename when all of
//! it is written.
//!
//! While a shard is computed it lies in `unfinished/` behind a lock that ends
//! with the process, so that what a killed one left can be thrown away, and two
//! never compute the same shard.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde::{Deserialize, Serialize};

use super::RunError;
use super::record::{Names, Record};
use super::tables::TABLES;
use crate::model::sha256;

/// Folder of the finished shards.
pub const SHARDS: &str = "shards";
/// Folder of those that are being computed.
pub const UNFINISHED: &str = "unfinished";
/// What says that a shard is whole.
pub const SEAL: &str = "shard.json";

/// A row group ends when its records take so many bytes.
const GROUP_BYTES: usize = 8 << 20;

/// `shard.json`: what the shard belongs to and the hashes of its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Hash of the run's manifest.
    pub config_hash: String,
    /// Number of the shard.
    pub shard: u64,
    /// First picture.
    pub first: u64,
    /// Number of pictures.
    pub pictures: u64,
    /// Those that could not be read or classified.
    pub failures: u64,
    /// SHA-256 of each file.
    pub files: Vec<(String, String)>,
}

/// Where a finished shard lies.
pub fn place(run: &Path, shard: u64) -> PathBuf {
    run.join(SHARDS).join(format!("{shard:05}"))
}

/// Whether a shard is finished.
pub fn is_done(run: &Path, shard: u64) -> bool {
    place(run, shard).join(SEAL).is_file()
}

/// The right to compute a shard, held until it is dropped.
#[derive(Debug)]
pub struct Claim {
    run: PathBuf,
    shard: u64,
    work: PathBuf,
    lock: PathBuf,
    _held: File,
}

impl Claim {
    /// Claims a shard; `None` if another process computes it.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn take(run: &Path, shard: u64) -> Result<Option<Self>, RunError> {
        let unfinished = run.join(UNFINISHED);
        let lock = unfinished.join(format!("{shard:05}.lock"));
        let held = loop {
            let held = in_folder(&unfinished, || File::create(&lock))?;
            match held.try_lock() {
                Ok(()) if is_same(&held, &lock) => break held,
                // Its owner removed it in between: the lock of no shard.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(RunError::write(&lock, e)),
            }
        };
        let work = unfinished.join(format!("{shard:05}"));
        clear(&work)?;
        make(&work)?;
        Ok(Some(Self {
            run: run.to_path_buf(),
            shard,
            work,
            lock,
            _held: held,
        }))
    }

    /// Whether a process computes a shard now.
    pub fn is_held(run: &Path, shard: u64) -> bool {
        let lock = run.join(UNFINISHED).join(format!("{shard:05}.lock"));
        let held = File::open(lock).map(|file| file.try_lock());
        matches!(held, Ok(Err(TryLockError::WouldBlock)))
    }

    /// Puts the finished folder in its place.
    fn commit(&self) -> Result<(), RunError> {
        make(&self.run.join(SHARDS))?;
        let place = place(&self.run, self.shard);
        match std::fs::rename(&self.work, &place) {
            Ok(()) => Ok(()),
            Err(_) if place.join(SEAL).is_file() => {
                same_shard(&place, &self.work).map_err(|reason| RunError::ShardDiffers {
                    shard: self.shard,
                    reason,
                })
            }
            Err(e) => Err(RunError::write(&place, e)),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // What stays behind is thrown away by whoever claims the shard next.
        let _ = clear(&self.work);
        let _ = std::fs::remove_file(&self.lock);
    }
}

fn make(folder: &Path) -> Result<(), RunError> {
    std::fs::create_dir_all(folder).map_err(|e| RunError::write(folder, e))
}

/// How often a folder that another process tidies away is made again.
const TRIES: usize = 100;

/// Makes a file in a folder, and the folder as often as another process that
/// has finished takes it away.
pub(super) fn in_folder<R>(
    folder: &Path,
    work: impl Fn() -> std::io::Result<R>,
) -> Result<R, RunError> {
    for _ in 1..TRIES {
        make(folder)?;
        match work() {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            done => return done.map_err(|e| RunError::write(folder, e)),
        }
    }
    work().map_err(|e| RunError::write(folder, e))
}

/// Whether a path still names an open file.
#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |of: std::io::Result<std::fs::Metadata>| of.map(|m| (m.dev(), m.ino())).ok();
    id(file.metadata()).is_some_and(|own| id(std::fs::metadata(path)) == Some(own))
}

/// Elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
fn is_same(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Removes a folder and everything in it, if it is there.
fn clear(folder: &Path) -> Result<(), RunError> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(RunError::write(folder, e)),
        _ => Ok(()),
    }
}

/// Removes the folder of unfinished shards if nothing is in it, or if `all`
/// are finished.
pub fn tidy(run: &Path, all: bool) {
    let folder = run.join(UNFINISHED);
    // A process that computes there keeps it.
    let _ = match all {
        true => std::fs::remove_dir_all(&folder),
        false => std::fs::remove_dir(&folder),
    };
}

struct TableWriter {
    writer: ArrowWriter<File>,
    path: PathBuf,
    bytes: usize,
}

/// Writes a shard, record by record.
pub struct ShardWriter {
    claim: Claim,
    names: Arc<Names>,
    tables: Vec<TableWriter>,
    failures: u64,
    pictures: u64,
}

/// The same bytes from every version of the library that keeps its format.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(String::from("foveola"))
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build()
}

impl ShardWriter {
    /// Begins a shard.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn new(claim: Claim, names: Arc<Names>) -> Result<Self, RunError> {
        let nothing = Record::default();
        let open = |row: &super::tables::TableRow| {
            let path = claim.work.join(row.file);
            let schema = (row.rows)(&nothing, &names).map_err(|e| RunError::write(&path, e))?;
            let file = File::create(&path).map_err(|e| RunError::write(&path, e))?;
            let writer = ArrowWriter::try_new(file, schema.schema(), Some(properties()));
            Ok(TableWriter {
                writer: writer.map_err(|e| RunError::write(&path, e))?,
                path,
                bytes: 0,
            })
        };
        let tables: Result<Vec<_>, RunError> = TABLES.iter().map(open).collect();
        Ok(Self {
            tables: tables?,
            claim,
            names,
            failures: 0,
            pictures: 0,
        })
    }

    /// Adds a picture; they come in the order of the data set.
    ///
    /// # Errors
    /// The disk is full, ..
    pub fn add(&mut self, record: &Record) -> Result<(), RunError> {
        for (row, table) in TABLES.iter().zip(&mut self.tables) {
            let failed = |e: &dyn std::fmt::Display| RunError::write(&table.path, e);
            let batch = (row.rows)(record, &self.names).map_err(|e| failed(&e))?;
            table.writer.write(&batch).map_err(|e| failed(&e))?;
            table.bytes += batch.get_array_memory_size();
            if table.bytes > GROUP_BYTES {
                table.writer.flush().map_err(|e| failed(&e))?;
                table.bytes = 0;
            }
        }
        self.pictures += 1;
        self.failures += u64::from(record.sample.failure.is_some());
        Ok(())
    }

    /// Ends the shard and puts it in its place.
    ///
    /// # Errors
    /// The disk is full; [`RunError::ShardDiffers`] if it is there already with
    /// other bytes.
    pub fn commit(self, config_hash: &str, first: u64) -> Result<Seal, RunError> {
        let mut files = Vec::new();
        for (row, table) in TABLES.iter().zip(self.tables) {
            let failed = |e: &dyn std::fmt::Display| RunError::write(&table.path, e);
            let file = table.writer.into_inner().map_err(|e| failed(&e))?;
            file.sync_all().map_err(|e| failed(&e))?;
            let bytes = std::fs::read(&table.path).map_err(|e| failed(&e))?;
            files.push((row.file.to_string(), sha256(&bytes)));
        }
        let seal = Seal {
            config_hash: config_hash.to_string(),
            shard: self.claim.shard,
            first,
            pictures: self.pictures,
            failures: self.failures,
            files,
        };
        let path = self.claim.work.join(SEAL);
        let failed = |e: &dyn std::fmt::Display| RunError::write(&path, e);
        let mut text = serde_json::to_vec_pretty(&seal).map_err(|e| failed(&e))?;
        text.push(b'\n');
        std::fs::write(&path, text).map_err(|e| failed(&e))?;
        self.claim.commit()?;
        Ok(seal)
    }
}

impl Seal {
    /// Reads the seal of a shard's folder.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(SEAL);
        let wrong = |reason: String| RunError::Damaged {
            what: path.display().to_string(),
            reason,
        };
        let bytes = std::fs::read(&path).map_err(|e| wrong(e.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))
    }

    /// Whether each file of the shard has the bytes that it was sealed with.
    ///
    /// # Errors
    /// The first file that has not.
    pub fn verify(&self, folder: &Path) -> Result<(), RunError> {
        for row in &TABLES {
            let path = folder.join(row.file);
            let wrong = |reason: String| RunError::Damaged {
                what: path.display().to_string(),
                reason,
            };
            let sealed = self.files.iter().find(|(name, _)| name == row.file);
            let bytes = std::fs::read(&path).map_err(|e| wrong(e.to_string()))?;
            match sealed {
                Some((_, hash)) if *hash == sha256(&bytes) => {}
                _ => return Err(wrong(String::from("it is not the file that was sealed"))),
            }
        }
        Ok(())
    }
}

/// Whether two folders hold the same shard.
fn same_shard(there: &Path, here: &Path) -> Result<(), String> {
    let (a, b) = (Seal::open(there), Seal::open(here));
    let (a, b) = (a.map_err(|e| e.to_string())?, b.map_err(|e| e.to_string())?);
    let pairs = a.files.iter().zip(&b.files);
    let other = pairs.into_iter().find(|(x, y)| x != y);
    match other {
        Some((file, _)) => Err(format!("{} has other bytes", file.0)),
        None if a == b => Ok(()),
        None => Err(String::from("it belongs to another run")),
    }
}

/// Copies a finished shard of another run into this one. `Ok(false)` if it was
/// there already with the same bytes.
///
/// # Errors
/// A damaged shard; [`RunError::ShardDiffers`].
pub fn copy(from: &Path, to: &Path, shard: u64) -> Result<bool, RunError> {
    let source = place(from, shard);
    let seal = Seal::open(&source)?;
    seal.verify(&source)?;
    let fresh = !is_done(to, shard);
    let Some(claim) = Claim::take(to, shard)? else {
        let path = to.join(UNFINISHED);
        return Err(RunError::write(
            &path,
            "another process computes this shard",
        ));
    };
    let files = TABLES.iter().map(|row| row.file).chain([SEAL]);
    for file in files {
        let target = claim.work.join(file);
        std::fs::copy(source.join(file), &target).map_err(|e| RunError::write(&target, e))?;
    }
    claim.commit()?;
    Ok(fresh)
}
