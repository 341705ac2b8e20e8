//! Pictures whose class is known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::DoctorError;
use crate::quantise::{Album, same_label, spread};

/// A picture and its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Index of its class.
    pub class: usize,
}

/// Pictures of a folder with one folder a class, or of a table.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Folder or table.
    pub path: PathBuf,
    /// The pictures; those of one class do not lie together.
    pub samples: Vec<Sample>,
    /// How many there were to choose from.
    pub found: usize,
    /// How their classes are known, in words.
    pub source: String,
}

impl Labelled {
    /// A folder, in which each picture's folder names its class by label or
    /// index.
    ///
    /// # Errors
    /// A folder that cannot be read, or whose folders name no class.
    pub fn folder(
        folder: &Path,
        labels: &[String],
        classes: usize,
        most: usize,
    ) -> Result<Self, DoctorError> {
        let wrong = |reason: String| data(folder, reason);
        let album = Album::open(folder, usize::MAX).map_err(|e| wrong(e.to_string()))?;
        let known = |path: &PathBuf| {
            let class = album.truth(path, labels, classes)?;
            let path = path.clone();
            Some(Sample { path, class })
        };
        let all: Vec<Sample> = album.pictures.iter().filter_map(known).collect();
        if all.is_empty() {
            return Err(wrong(format!(
                "no folder in it is called like one of the {classes} classes, by label or index; \
                 or give a table: --labels FILE.csv"
            )));
        }
        Ok(Self::new(folder, all, most, String::from("folders")))
    }

    /// A table (CSV with a heading) whose first column names files of
    /// `folder`; the class stands in `column`, by default the first further
    /// one in which every cell names a class, by index or label.
    ///
    /// # Errors
    /// A table that cannot be read or has no such column, a file that is not there.
    pub fn table(
        table: &Path,
        folder: &Path,
        column: Option<&str>,
        (labels, classes): (&[String], usize),
        most: usize,
    ) -> Result<Self, DoctorError> {
        let wrong = |reason: String| data(table, reason);
        let mut reader = csv::Reader::from_path(table).map_err(|e| wrong(e.to_string()))?;
        let heading = reader.headers().map_err(|e| wrong(e.to_string()))?.clone();
        let rows: Vec<csv::StringRecord> = reader
            .records()
            .collect::<Result<_, _>>()
            .map_err(|e| wrong(e.to_string()))?;
        let class = |row: &csv::StringRecord, c: usize| class_of(row.get(c)?, labels, classes);
        let column = match column {
            Some(name) => {
                let place = heading.iter().position(|head| head == name);
                place.ok_or_else(|| wrong(format!("it has no column `{name}`")))?
            }
            None => (1..heading.len())
                .find(|&c| rows.iter().all(|row| class(row, c).is_some()))
                .ok_or_else(|| {
                    wrong(format!(
                        "it has no column in which every cell is one of the {classes} classes, by \
                         index or label"
                    ))
                })?,
        };
        let mut all = Vec::new();
        for (number, row) in rows.iter().enumerate() {
            let path = folder.join(&row[0]);
            let line = number + 2;
            let class = class(row, column)
                .ok_or_else(|| wrong(format!("line {line}: `{}` is no class", &row[column])))?;
            if !path.is_file() {
                return Err(wrong(format!(
                    "line {line}: {} is not there",
                    path.display()
                )));
            }
            all.push(Sample { path, class });
        }
        if all.is_empty() {
            return Err(wrong(String::from("it has no rows")));
        }
        let source = format!("column `{}`", &heading[column]);
        Ok(Self::new(table, all, most, source))
    }

    fn new(path: &Path, all: Vec<Sample>, most: usize, source: String) -> Self {
        let found = all.len();
        let chosen: Vec<Sample> = spread(&all, most.max(1)).cloned().collect();
        Self {
            path: path.to_path_buf(),
            samples: mixed(chosen),
            found,
            source,
        }
    }

    /// Different classes among the pictures.
    pub fn classes(&self) -> usize {
        let all: BTreeSet<usize> = self.samples.iter().map(|s| s.class).collect();
        all.len()
    }
}

/// The first of each class, then the second of each, and so on.
fn mixed(all: Vec<Sample>) -> Vec<Sample> {
    let mut turns = std::collections::BTreeMap::<usize, usize>::new();
    let mut keyed: Vec<(usize, Sample)> = all
        .into_iter()
        .map(|sample| {
            let turn = turns.entry(sample.class).or_default();
            *turn += 1;
            (*turn, sample)
        })
        .collect();
    keyed.sort_by_key(|(turn, _)| *turn);
    keyed.into_iter().map(|(_, sample)| sample).collect()
}

fn class_of(text: &str, labels: &[String], classes: usize) -> Option<usize> {
    let index = text.trim().parse().ok().filter(|&index| index < classes);
    index.or_else(|| labels.iter().position(|label| same_label(label, text)))
}

fn data(path: &Path, reason: String) -> DoctorError {
    DoctorError::Data {
        path: path.to_path_buf(),
        reason,
    }
}
