//! Many pictures on many boards: one line each in the record, a table at the end.

use std::path::{Path, PathBuf};
use std::time::Instant;

use foveola_core::Picture;
use indicatif::ProgressBar;
use rayon::prelude::*;
use zerocopy::IntoBytes;

use super::CrosscheckArgs;
use super::boards::Ready;
use super::record::{Entry, Question, Record};
use crate::backend::core::ModelFile;
use crate::cli::progress::{bar, catch_interrupts, interrupted};
use crate::cli::table::{lay_out, row};
use crate::cli::{CliError, Ending, print};
use crate::crosscheck::{CrosscheckError, Host, Inquiry, digest};
use crate::model::{OpenModel, sha256};
use crate::photo::Photo;

/// Endings of pictures in a folder.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "npy"];
/// Comparisons that the table names when they do not pass.
const NAMED: usize = 20;

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

/// Compares every picture on every board.
pub fn run(
    args: &CrosscheckArgs,
    model: &OpenModel,
    bytes: &[u8],
    inquiry: &Inquiry<'_>,
    pictures: &[PathBuf],
    boards: &[Ready],
) -> Result<Ending, CliError> {
    let mut record = Record::open(args.record.as_deref())?;
    catch_interrupts();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.model.threads());
    let pool = pool.build().map_err(|e| CliError::Usage(e.to_string()))?;
    let file = ModelFile::new(bytes).map_err(CrosscheckError::from)?;
    let work = Work {
        bytes,
        model: digest(file.model()),
        inquiry,
        boards,
        bar: bar("crosscheck", (pictures.len() * boards.len()) as u64, "jobs"),
    };
    let mut entries = Vec::new();
    for path in pictures {
        let photo = Photo::open(path, &model.intake())?;
        for (entry, new) in pool.install(|| work.compare(path, &photo, &record))? {
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
    print(&text(&entries, boards));
    Ok(match entries.iter().all(|entry| entry.passes) {
        _ if interrupted() => Ending::Stopped,
        true => Ending::Done,
        false => Ending::Differs,
    })
}

/// What all pictures share.
struct Work<'w> {
    bytes: &'w [u8],
    model: String,
    inquiry: &'w Inquiry<'w>,
    boards: &'w [Ready],
    bar: ProgressBar,
}

impl Work<'_> {
    /// One picture on every board, side by side; `true` beside what was not
    /// known. Boards that were interrupted are missing.
    fn compare(
        &self,
        path: &Path,
        photo: &Photo,
        record: &Record,
    ) -> Result<Vec<(Entry, bool)>, CliError> {
        let pixels = match photo.picture() {
            Picture::Pixels { data, .. } => sha256(data),
            Picture::Tensor { data, .. } => sha256(data.as_bytes()),
        };
        let questions: Vec<(&Ready, Question)> = self
            .boards
            .iter()
            .map(|board| {
                let asked = board.inquiry(self.inquiry);
                (
                    board,
                    Question::new(board.device.board, &pixels, &self.model, &asked),
                )
            })
            .collect();
        let known = |q: &Question| record.find(q).is_some();
        let host = match questions.iter().all(|(_, q)| known(q)) {
            true => None,
            false => Some(Host::run(self.bytes, photo, self.inquiry)?),
        };
        let answers = questions.into_par_iter().map(|(board, question)| {
            let old = record.find(&question).map(|entry| (entry.clone(), false));
            let new = || {
                let entry = self.ask(board, question, path, photo, host.as_ref()?)?;
                Some((entry, true))
            };
            let answer = old.or_else(new);
            self.bar.inc(1);
            answer
        });
        Ok(answers.flatten().collect())
    }

    /// Nothing if it was interrupted.
    fn ask(
        &self,
        board: &Ready,
        question: Question,
        path: &Path,
        photo: &Photo,
        host: &Host,
    ) -> Option<Entry> {
        if interrupted() {
            return None;
        }
        let begun = Instant::now();
        let report = board.ask(self.bytes, photo, host, self.inquiry);
        // Ctrl-C ends the boards as well.
        if report.is_err() && interrupted() {
            return None;
        }
        let report = report.map_err(|e| e.to_string());
        let seconds = begun.elapsed().as_secs_f64();
        let mut entry = Entry::new(
            question,
            path,
            seconds,
            report.as_ref().map_err(Clone::clone),
        );
        let left_out = board.left_out.iter();
        entry.left_out = left_out
            .map(|(m, why)| (m.clone(), why.to_string()))
            .collect();
        Some(entry)
    }
}

/// One row a board, then what does not pass.
fn text(entries: &[Entry], boards: &[Ready]) -> String {
    let mut rows = vec![row([
        &"board",
        &"pictures",
        &"bit-exact",
        &"others",
        &"instructions",
        &"seconds",
    ])];
    for board in boards {
        let name = board.device.board;
        let mine: Vec<&Entry> = entries
            .iter()
            .filter(|e| e.question.board == name)
            .collect();
        let exact = mine.iter().filter(|e| e.verdict == "BIT-EXACT").count();
        let seconds: f64 = mine.iter().map(|e| e.seconds).sum();
        let instructions: u64 = mine.iter().map(|e| e.instructions()).sum();
        let count = mine.len().max(1);
        rows.push(row([
            &name,
            &mine.len(),
            &exact,
            &(mine.len() - exact),
            &format!("{:.3} G", instructions as f64 / count as f64 / 1e9),
            &format!("{:.1}", seconds / count as f64),
        ]));
    }
    let mut text = lay_out(&rows, &[1, 2, 3, 4, 5]);
    text += "instructions and seconds: of one picture, on average\n";
    for board in boards.iter().filter(|board| !board.left_out.is_empty()) {
        let names: Vec<&str> = board.left_out.iter().map(|(m, _)| m.as_str()).collect();
        let name = board.device.board;
        text += &format!("{name} has too little RAM for {}\n", names.join(", "));
    }
    let wrong: Vec<&Entry> = entries.iter().filter(|e| !e.passes).collect();
    for entry in wrong.iter().take(NAMED) {
        let (board, picture) = (&entry.question.board, &entry.picture);
        text += &format!(
            "{board}, {picture}: {}: {}\n",
            entry.verdict,
            entry.reason()
        );
    }
    let exact = entries.iter().filter(|e| e.verdict == "BIT-EXACT").count();
    text + &format!("\n{exact} of {} BIT-EXACT\n", entries.len())
}
