//! Runs that were computed in several places become one.

use std::path::{Path, PathBuf};

use super::RunError;
use super::manifest::{MANIFEST, Manifest};
use super::runner::put_manifest;
use super::shard::{Claim, Seal, copy, is_done, place, tidy};

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Shards put in their place.
    pub copied: u64,
    /// Shards that were there already, with the same bytes.
    pub same: u64,
    /// Shards that no folder has.
    pub missing: u64,
}

/// Puts the finished shards of `runs` into `out`.
///
/// # Errors
/// Folders of other runs; shards that differ or are damaged: nothing is put in
/// the place of a shard that is there.
pub fn merge(runs: &[PathBuf], out: &Path) -> Result<Merged, RunError> {
    let mut manifests = Vec::new();
    for run in runs {
        manifests.push(Manifest::open(run)?);
    }
    let Some(first) = manifests.first() else {
        return Err(RunError::Question(String::from(
            "there is nothing to merge",
        )));
    };
    let there = out.join(MANIFEST).exists();
    let wanted = if there {
        Manifest::open(out)?
    } else {
        first.clone()
    };
    for (run, manifest) in runs.iter().zip(&manifests) {
        if let Some(difference) = wanted.difference(manifest) {
            let path = run.clone();
            return Err(RunError::Other { path, difference });
        }
    }
    if !there {
        put_manifest(out, &wanted)?;
    }
    let merged = shards_of(runs, out, wanted.shards.count);
    tidy(out, merged.as_ref().is_ok_and(|m| m.missing == 0));
    merged
}

fn shards_of(runs: &[PathBuf], out: &Path, count: u64) -> Result<Merged, RunError> {
    let mut merged = Merged::default();
    for shard in 0..count {
        for run in runs.iter().filter(|run| is_done(run, shard)) {
            match copy(run, out, shard)? {
                true => merged.copied += 1,
                false => merged.same += 1,
            }
        }
        merged.missing += u64::from(!is_done(out, shard));
    }
    Ok(merged)
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Number of shards.
    pub shards: u64,
    /// Those that are finished.
    pub done: u64,
    /// Those that are computed now, on this machine or one that shares its locks.
    pub running: Vec<u64>,
    /// Number of pictures.
    pub pictures: u64,
    /// Those of finished shards.
    pub written: u64,
    /// Those of them that could not be read or classified.
    pub failures: u64,
    /// Finished shards whose files are not what they were, with the reason.
    pub damaged: Vec<String>,
}

/// Reads how far a run is, and whether its shards are whole.
///
/// # Errors
/// A folder without a run.
pub fn status(folder: &Path) -> Result<Status, RunError> {
    let manifest = Manifest::open(folder)?;
    let mut status = Status {
        shards: manifest.shards.count,
        pictures: manifest.data.pictures,
        ..Status::default()
    };
    for shard in 0..manifest.shards.count {
        if !is_done(folder, shard) {
            if Claim::is_held(folder, shard) {
                status.running.push(shard);
            }
            continue;
        }
        status.done += 1;
        let place = place(folder, shard);
        let whole = Seal::open(&place).and_then(|seal| {
            status.written += seal.pictures;
            status.failures += seal.failures;
            if seal.config_hash != manifest.config_hash {
                return Err(RunError::Damaged {
                    what: place.display().to_string(),
                    reason: String::from("this shard belongs to another run"),
                });
            }
            seal.verify(&place)
        });
        status.damaged.extend(whole.err().map(|e| e.to_string()));
    }
    Ok(status)
}
