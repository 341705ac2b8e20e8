//! Pictures whose class is known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::quantise::spread;
use crate::run::data::{DataError, DataOptions, DataSet, Item};

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
    ) -> Result<Self, DataError> {
        let options = DataOptions::default();
        let data = DataSet::open(folder, &options, labels, classes)?;
        let (all, source) = samples(data);
        if all.is_empty() {
            let reason = format!(
                "no folder in it is called like one of the {classes} classes, by label or index; \
                 or give a table: --table FILE.csv"
            );
            return Err(whole(folder, reason));
        }
        Ok(Self::new(folder, all, most, source))
    }

    /// A file that names pictures of `folder` and their classes, as
    /// [`crate::run::data`] reads it; the class of a table stands in `column`.
    /// A picture of several classes counts for the first of them.
    ///
    /// # Errors
    /// A file that cannot be read or names no class, a picture that is not there.
    pub fn table(
        table: &Path,
        folder: &Path,
        column: Option<&str>,
        (labels, classes): (&[String], usize),
        most: usize,
    ) -> Result<Self, DataError> {
        let options = DataOptions {
            labels_file: Some(table.to_path_buf()),
            column: column.map(String::from),
            ..DataOptions::default()
        };
        let data = DataSet::open(folder, &options, labels, classes)?;
        let (all, source) = samples(data);
        if all.is_empty() {
            return Err(whole(table, String::from("it names no class")));
        }
        if let Some(gone) = all.iter().find(|sample| !sample.path.is_file()) {
            let reason = format!("{} is not there", gone.path.display());
            return Err(whole(table, reason));
        }
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

/// The pictures whose class is known.
fn samples(data: DataSet) -> (Vec<Sample>, String) {
    let known = |item: Item| {
        let class = *item.truth?.first()?;
        let path = item.path;
        Some(Sample { path, class })
    };
    let all = data.items.into_iter().filter_map(known).collect();
    (all, data.source)
}

fn whole(path: &Path, reason: String) -> DataError {
    DataError::Whole {
        path: path.to_path_buf(),
        reason,
    }
}
