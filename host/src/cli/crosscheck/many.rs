//! Every picture on every device: one line each in the record as soon as it is there.

use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use rayon::prelude::*;

use super::boards::Ready;
use super::record::{Entry, Float, Gate, Question, Record};
use super::{CrosscheckArgs, junit, show};
use crate::backend::core::ModelFile;
use crate::cli::progress::{bar, catch_interrupts, interrupted};
use crate::cli::{CliError, Ending, print};
use crate::crosscheck::{
    self, Asking, CrosscheckError, Host, Inquiry, Options, digest, picture_digest,
};
use crate::model::OpenModel;
use crate::photo::Photo;

/// Endings of pictures in a folder.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "npy"];

/// The files, and those of folders by name.
pub fn pictures(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let failed = |e| CliError::Usage(format!("{}: {e}", path.display()));
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase());
            if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
                inside.push(file);
            }
        }
        inside.sort();
        if inside.is_empty() {
            let none = format!(
                "{} holds no picture ({})",
                path.display(),
                ENDINGS.join(", ")
            );
            return Err(CliError::Usage(none));
        }
        all.extend(inside);
    }
    Ok(all)
}

/// What the command compares.
pub struct Subject<'s> {
    pub model: &'s OpenModel,
    /// The model file that both sides run.
    pub bytes: &'s [u8],
    pub inquiry: Inquiry<'s>,
    pub pictures: &'s [PathBuf],
    /// The network that the model was quantised from.
    pub float: Option<crosscheck::Float>,
}

/// Compares every picture on every device.
pub fn run(
    args: &CrosscheckArgs,
    mut subject: Subject<'_>,
    boards: &[Ready],
) -> Result<Ending, CliError> {
    let mut record = Record::open(args.record.as_deref())?;
    catch_interrupts();
    // A line mostly waits, so that no processor is taken by it.
    let lines = boards.iter().filter(|board| board.is_line()).count();
    let threads = args.model.threads().max(lines);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| CliError::Usage(e.to_string()))?;
    let file = ModelFile::new(subject.bytes).map_err(CrosscheckError::from)?;
    let jobs = (subject.pictures.len() * boards.len()) as u64;
    let work = Work {
        bytes: subject.bytes,
        model: digest(file.model()),
        inquiry: subject.inquiry,
        options: args.options(),
        gate: args.gate(),
        setting: args.setting(subject.float.as_ref()),
        boards,
        bar: bar("crosscheck", jobs, "jobs"),
    };
    let mut entries = Vec::new();
    for path in subject.pictures {
        let photo = Photo::open(path, &subject.model.intake())?;
        let host = work.host(&photo, &record, path, subject.float.as_mut())?;
        for (entry, new) in pool.install(|| work.compare(path, &photo, &record, host.as_ref())) {
            if new {
                record.add(&entry)?;
            }
            entries.push(entry);
        }
        if interrupted() {
            break;
        }
    }
    work.bar.finish_and_clear();
    finish(args, &entries, boards)
}

/// Prints and writes what was compared.
fn finish(args: &CrosscheckArgs, entries: &[Entry], boards: &[Ready]) -> Result<Ending, CliError> {
    match (entries, boards, &args.record) {
        ([entry], [board], None) => print(&show::one(entry, board)),
        _ => print(&show::many(entries, boards)),
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&show::document(entries));
        let text = text.map_err(|e| CliError::Usage(e.to_string()))?;
        write(path, &(text + "\n"))?;
    }
    if let Some(path) = &args.junit {
        write(path, &junit::xml(entries))?;
    }
    Ok(match entries.iter().all(|entry| entry.passes) {
        _ if interrupted() => Ending::Stopped,
        true => Ending::Done,
        false => Ending::Differs,
    })
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |e| CliError::Usage(format!("{}: {e}", path.display()));
    std::fs::write(path, text).map_err(failed)
}

/// What all pictures share.
struct Work<'w> {
    bytes: &'w [u8],
    model: String,
    inquiry: Inquiry<'w>,
    options: Options,
    gate: Gate,
    setting: Vec<String>,
    boards: &'w [Ready],
    bar: ProgressBar,
}

/// What this machine says of a picture.
struct Known {
    host: Host,
    float: Option<Float>,
}

impl Work<'_> {
    fn question(&self, board: &Ready, pixels: &str) -> Question {
        let asked = board.inquiry(&self.inquiry);
        Question::new(&board.name, pixels, &self.model, &asked, &self.setting)
    }

    /// Asks this machine, unless the record knows what every device says.
    fn host(
        &self,
        photo: &Photo,
        record: &Record,
        path: &Path,
        float: Option<&mut crosscheck::Float>,
    ) -> Result<Option<Known>, CliError> {
        let pixels = picture_digest(photo);
        let known = |board: &Ready| record.find(&self.question(board, &pixels)).is_some();
        if self.boards.iter().all(known) {
            return Ok(None);
        }
        let host = Host::run(self.bytes, photo, &self.inquiry)?;
        let drift = float.map(|float| float.drift(path, &host, &self.inquiry));
        let drift = drift.transpose()?;
        Ok(Some(Known {
            float: drift.map(|drift| Float::new(&drift, host.best())),
            host,
        }))
    }

    /// One picture on every device, side by side; `true` beside what was not
    /// known. Devices that were interrupted are missing.
    fn compare(
        &self,
        path: &Path,
        photo: &Photo,
        record: &Record,
        known: Option<&Known>,
    ) -> Vec<(Entry, bool)> {
        let pixels = picture_digest(photo);
        let answers = self.boards.par_iter().map(|board| {
            let question = self.question(board, &pixels);
            let old = record.find(&question).map(|entry| (entry.clone(), false));
            let new = || Some((self.ask(board, question, (path, photo), known?)?, true));
            let answer = old.or_else(new);
            self.bar.inc(1);
            answer
        });
        answers.flatten().collect()
    }

    /// Nothing if it was interrupted.
    fn ask(
        &self,
        board: &Ready,
        question: Question,
        (path, photo): (&Path, &Photo),
        known: &Known,
    ) -> Option<Entry> {
        if interrupted() {
            return None;
        }
        let begun = Instant::now();
        let report = board.ask(&Asking {
            bytes: self.bytes,
            photo,
            host: &known.host,
            inquiry: self.inquiry,
            options: self.options,
            go_on: &|| !interrupted(),
        });
        // Ctrl-C ends the boards as well.
        if report.is_err() && interrupted() {
            return None;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let mut entry = match &report {
            Ok(report) => {
                let gates = (self.gate, known.float.clone());
                Entry::new(question, path, seconds, report, gates)
            }
            Err(error) => Entry::failed(question, path, seconds, error),
        };
        let left_out = board.left_out.iter();
        let left_out = left_out.map(|(m, why)| (m.clone(), why.to_string()));
        entry.left_out.extend(left_out);
        Some(entry)
    }
}
