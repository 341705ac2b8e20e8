//! Pictures of a folder.

use std::path::{Path, PathBuf};

use super::QuantiseError;
use crate::photo::PhotoError;

/// File names that end like this are pictures.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "jpe", "bmp", "npy"];
/// Folders within folders that are looked into.
const DEPTH: usize = 8;

/// The pictures of a folder.
#[derive(Clone, Debug)]
pub struct Album {
    /// The folder.
    pub folder: PathBuf,
    /// Its pictures, in the order of their names.
    pub pictures: Vec<PathBuf>,
    /// How many there were to choose from.
    pub found: usize,
}

/// A picture that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl Skipped {
    /// A picture and what is wrong with it.
    pub fn new(path: &Path, error: &PhotoError) -> Self {
        Self {
            path: path.to_path_buf(),
            reason: error.to_string(),
        }
    }
}

impl Album {
    /// Looks for pictures in a folder and the folders in it. If there are more
    /// than `most`, these many are taken at equal distances, so that each
    /// folder has its share.
    ///
    /// # Errors
    /// A folder that cannot be read or has no picture.
    pub fn open(folder: &Path, most: usize) -> Result<Self, QuantiseError> {
        let mut all = Vec::new();
        collect(folder, DEPTH, &mut all)?;
        all.sort();
        if all.is_empty() {
            return Err(QuantiseError::NoPictures(folder.to_path_buf()));
        }
        let found = all.len();
        Ok(Self {
            folder: folder.to_path_buf(),
            pictures: spread(&all, most.max(1)).cloned().collect(),
            found,
        })
    }

    /// The class that the folder of a picture names, if that is one inside
    /// this one, by a label or an index.
    pub fn truth(&self, picture: &Path, labels: &[String], classes: usize) -> Option<usize> {
        let inside = picture.strip_prefix(&self.folder).ok()?;
        let name = inside.parent()?.file_name()?.to_str()?;
        let by_label = labels.iter().position(|l| same_label(l, name));
        by_label.or_else(|| name.parse().ok().filter(|&index| index < classes))
    }

    /// Fails if no picture was read.
    pub(super) fn check(&self, read: usize, skipped: &[Skipped]) -> Result<(), QuantiseError> {
        match skipped.first() {
            Some(first) if read == 0 => Err(QuantiseError::Unreadable {
                path: self.folder.clone(),
                count: skipped.len(),
                first: first.reason.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// At most `most` of some things, at equal distances.
pub fn spread<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    let taken = all.len().min(most);
    (0..taken).map(move |i| &all[i * all.len() / taken])
}

/// A folder is called like a label if they differ in case, spaces and
/// underscores only, or if it is one of several names in the label.
pub fn same_label(label: &str, folder: &str) -> bool {
    let folder = plain_label(folder);
    plain_label(label) == folder || label.split(',').any(|part| plain_label(part) == folder)
}

/// A label without what does not tell labels apart.
pub fn plain_label(text: &str) -> String {
    text.trim().to_lowercase().replace([' ', '-'], "_")
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), QuantiseError> {
    let failed = |source| QuantiseError::Folder {
        path: folder.to_path_buf(),
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().and_then(|e| e.to_str());
        let is_picture = ending.is_some_and(|e| ENDINGS.contains(&&e.to_lowercase()[..]));
        match path.is_dir() {
            true if depth > 0 => collect(&path, depth - 1, found)?,
            false if is_picture => found.push(path),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_name_classes() {
        let album = Album {
            folder: PathBuf::from("all"),
            pictures: vec![],
            found: 0,
        };
        let labels = ["tabby, tabby cat", "No person", "dog"].map(String::from);
        let truth = |path: &str| album.truth(Path::new(path), &labels, 3);
        assert_eq!(truth("all/tabby cat/1.png"), Some(0));
        assert_eq!(truth("all/train/no_person/1.png"), Some(1));
        assert_eq!(truth("all/2/1.png"), Some(2));
        assert_eq!(truth("all/3/1.png"), None);
        assert_eq!(truth("all/1.png"), None);
    }

    #[test]
    fn a_part_is_spread_over_the_whole() {
        let all: Vec<usize> = (0..10).collect();
        let some = |most| spread(&all, most).copied().collect::<Vec<_>>();
        assert_eq!(some(5), [0, 2, 4, 6, 8]);
        assert_eq!(some(3), [0, 3, 6]);
        assert_eq!(some(99), all);
    }
}
