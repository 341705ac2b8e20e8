//! A record of a log, run again: are input and output the same bytes?

use std::path::{Path, PathBuf};

use foveola_core::audit::policy::Policy;
use foveola_core::audit::record::{Event, Record};
use foveola_core::audit::{Hash, input_hash, output_hash};
use foveola_core::wire::message::{Call, Explain};
use foveola_core::wire::question;
use foveola_core::{Score, TensorId};
use sha2::{Digest, Sha256};

use super::bench::Bench;
use super::policy::PolicyError;
use super::rules::{Judged, judge_all};
use crate::explainer::{ExplainError, best};
use crate::link::call;
use crate::method_spec::MethodSpec;
use crate::photo::{Photo, read};

/// What a record comes to when it is run again.
#[derive(Clone, Debug, PartialEq)]
pub enum Replay {
    /// The record is about another model file.
    OtherModel {
        /// SHA-256 that the record names.
        wanted: Hash,
    },
    /// None of the pictures is the record's input.
    NoInput {
        /// SHA-256 of the input.
        wanted: Hash,
        /// How many pictures were looked at.
        looked_at: usize,
    },
    /// The record is not about a picture.
    NotAPicture,
    /// It was run again.
    Ran {
        /// The picture.
        picture: PathBuf,
        /// What was run, in words.
        what: String,
        /// Whether the output is the same bytes.
        same: bool,
        /// What else the record says and the host finds otherwise, in words.
        otherwise: Vec<String>,
    },
}

impl Replay {
    /// Whether everything is the same.
    pub fn is_same(&self) -> bool {
        matches!(self, Self::Ran { same: true, otherwise, .. } if otherwise.is_empty())
    }
}

/// Runs a record again; `seed` is the key of random numbers of explanations.
///
/// # Errors
/// Pictures that cannot be read, a method that does not run.
pub fn replay(
    record: &Record<'_>,
    bench: &mut Bench,
    pictures: &Path,
    seed: u64,
) -> Result<Replay, PolicyError> {
    let entry = &record.entry;
    let file: Hash = Sha256::digest(bench.file().bytes()).into();
    if entry.model != *bench.file().digest() && entry.model != file {
        return Ok(Replay::OtherModel {
            wanted: entry.model,
        });
    }
    let about = matches!(
        entry.event,
        Event::Answer { .. } | Event::Explanation { .. } | Event::Verdict { .. }
    );
    if !about {
        return Ok(Replay::NotAPicture);
    }
    let files = files(pictures)?;
    let Some((picture, photo)) = find(&files, bench, &entry.input) else {
        return Ok(Replay::NoInput {
            wanted: entry.input,
            looked_at: files.len(),
        });
    };
    let (what, same, otherwise) = match entry.event {
        Event::Explanation { class, method } => {
            let asked = match question::read(method) {
                Some(explain) => explain,
                None => Explain {
                    method: parse(method, bench)?,
                    target: None,
                    score: None,
                    seed,
                },
            };
            let explain = Explain {
                target: Some(class.into()),
                ..asked
            };
            let map = bench.map(&photo, &explain, 0)?;
            let same = output_hash(&map.values) == entry.output;
            let what = format!("{} of class {class}", explain.method);
            (what, same, Vec::new())
        }
        Event::Verdict {
            class,
            rule,
            inside,
        } => verdict(bench, &photo, (class, rule, inside), &entry.output)?,
        _ => answer(bench, &photo, record)?,
    };
    Ok(Replay::Ran {
        picture,
        what,
        same,
        otherwise,
    })
}

/// A method as a device writes it: layers by their ids.
fn parse(text: &str, bench: &Bench) -> Result<Call, PolicyError> {
    let spec: MethodSpec = text.parse().map_err(ExplainError::Spec)?;
    let layer = |name: &str| match name.parse() {
        Ok(id) if bench.file().tensor(TensorId(id)).is_some() => Some(id),
        _ => match bench.layer(name) {
            Some(foveola_core::At::Tensor(id)) => Some(id.0),
            _ => None,
        },
    };
    Ok(call(&spec, &layer)?)
}

type Found = (String, bool, Vec<String>);

fn answer(bench: &Bench, photo: &Photo, record: &Record<'_>) -> Result<Found, PolicyError> {
    let Event::Answer { class, score } = record.entry.event else {
        return Ok((String::from("nothing"), false, Vec::new()));
    };
    let ask = |kind| {
        bench
            .scores(photo, kind, 0)
            .map_err(ExplainError::Classifier)
    };
    let (logits, probabilities) = (ask(Score::Logit)?, ask(Score::Probability)?);
    let same = [&logits, &probabilities]
        .into_iter()
        .any(|scores| output_hash(scores) == record.entry.output);
    let mut otherwise = Vec::new();
    let here = best(&probabilities);
    if here != usize::from(class) {
        otherwise.push(format!("the class is {here} here, {class} in the record"));
    }
    let known = [&logits, &probabilities].map(|scores| scores.get(usize::from(class)).copied());
    if !known
        .iter()
        .flatten()
        .any(|s| s.to_bits() == score.to_bits())
    {
        otherwise.push(format!("no score of class {class} is {score} here"));
    }
    Ok((String::from("scores"), same, otherwise))
}

fn verdict(
    bench: &mut Bench,
    photo: &Photo,
    (class, code, inside): (u16, u16, f32),
    output: &Hash,
) -> Result<Found, PolicyError> {
    let handle = bench.handle();
    let policy = Policy::of(handle.model()).map_err(PolicyError::Check)?;
    let policy = policy.ok_or_else(|| PolicyError::None(bench.model.path.clone()))?;
    let all = judge_all(&policy, bench, photo)?;
    let mut otherwise = Vec::new();
    // The verdict is that of the first rule that fails, else of the last one.
    let told = all.iter().find(|one| !one.judgement.passed());
    let Some(told) = told.or(all.last()) else {
        return Ok((String::from("no rule"), false, otherwise));
    };
    let Judged {
        judgement, target, ..
    } = told;
    if judgement.code() != code {
        let (here, there) = (
            super::words::verdict(judgement.code()),
            super::words::verdict(code),
        );
        otherwise.push(format!("the verdict is {here} here, {there} in the record"));
    }
    if judgement.inside.to_bits() != inside.to_bits() {
        otherwise.push(format!(
            "{} of the evidence lies inside here, {inside} in the record",
            judgement.inside
        ));
    }
    if *target != usize::from(class) {
        otherwise.push(format!(
            "it is about class {target} here, {class} in the record"
        ));
    }
    let same = output_hash(&told.map.values) == *output;
    Ok((format!("rule {}", judgement.rule), same, otherwise))
}

/// The files of a folder in order, or the file itself.
///
/// # Errors
/// A folder that cannot be read.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, PolicyError> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let failed = |source| PolicyError::Read {
        path: path.to_path_buf(),
        source,
    };
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files = paths.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// The picture with this hash: a photo or tensor as the network takes it, or
/// the bytes of a frame as a device took it.
fn find(files: &[PathBuf], bench: &Bench, wanted: &Hash) -> Option<(PathBuf, Photo)> {
    let intake = bench.model.intake();
    files.iter().find_map(|path| {
        let bytes = read(path).ok()?;
        let frame = Photo::from_pixels(bytes.clone(), &intake);
        let photo = frame.or_else(|| Photo::from_bytes(&bytes, path, &intake).ok())?;
        (input_hash(&photo.picture()) == *wanted).then(|| (path.clone(), photo))
    })
}
