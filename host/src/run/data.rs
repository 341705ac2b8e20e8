//! Data sets: pictures, what they show, and where.
//!
//! | Given | Read as |
//! |---|---|
//! | a folder with a folder a class | [`folder`]: each picture's folder names its class |
//! | a folder of any pictures | nobody says what they show |
//! | a folder with `Annotations/*.xml` | [`voc`]: Pascal VOC |
//! | a `.csv` file, or a folder and such a file | [`csv`]: columns by name |
//! | a JSON file with `pictures` | [`json`]: the schema of this program |
//! | a JSON file with `images` and `annotations` | [`coco`]: COCO instances |
//!
//! Formats are told by content. A label is one of the network's, told apart by
//! case, spaces and underscores no more than folders are, or the number of a
//! class. What a file says of classes that the network does not have is
//! counted once in [`DataSet::notes`]; it is an error if nothing is left.

pub mod coco;
pub mod csv;
pub mod folder;
pub mod json;
mod listing;
pub mod voc;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use listing::Classes;
use listing::Listing;

/// Largest file with labels or boxes, in bytes.
const MAX_LIST: u64 = 1 << 30;

/// Pictures, in the order of the data set.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Folder or file, as it was named.
    pub path: PathBuf,
    /// How labels and boxes are known, in words.
    pub source: String,
    /// The pictures.
    pub items: Vec<Item>,
    /// SHA-256 of names, labels and boxes, in hexadecimal.
    pub hash: String,
    /// What was left out, in words.
    pub notes: Vec<String>,
}

/// One picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// As the data set names it; folders are divided by `/`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Classes that it shows, ascending; `None` where nobody said.
    pub truth: Option<Vec<usize>>,
    /// Where they are.
    pub boxes: Vec<ItemBox>,
}

/// A box, and the outline of what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemBox {
    /// Class of what is inside.
    pub label: usize,
    /// x, y, width, height in pixels of the upright picture; the first pixel
    /// reaches from 0 to 1.
    pub area: [f32; 4],
    /// Outlines of the parts that can be seen, x and y of each corner; empty if
    /// only the box is known.
    pub polygons: Vec<Vec<[f32; 2]>>,
}

/// How to read a data set.
#[derive(Clone, Debug, Default)]
pub struct DataOptions {
    /// A file that names the pictures of a folder and their labels, boxes too.
    pub labels_file: Option<PathBuf>,
    /// A file, or a folder of VOC files, with boxes of pictures that are known
    /// without it; also their labels, where nothing else says them.
    pub boxes_file: Option<PathBuf>,
    /// Column of the labels in a table.
    pub column: Option<String>,
    /// Folder that the names in a file start from; by default the file's own.
    pub pictures: Option<PathBuf>,
    /// Added to class numbers of files: 1 for a network whose class 0 is the
    /// background that the files do not count.
    pub first_class: usize,
}

/// Why there is no data set.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Something about the whole file or folder.
    #[error("{}: {reason}", path.display())]
    Whole {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Something in one place of a file.
    #[error("{}, {place}: {reason}", path.display())]
    At {
        /// The file.
        path: PathBuf,
        /// Line or entry.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl DataError {
    fn whole(path: &Path, reason: impl Into<String>) -> Self {
        Self::Whole {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }

    fn at(path: &Path, place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::At {
            path: path.to_path_buf(),
            place: place.into(),
            reason: reason.into(),
        }
    }
}

impl DataSet {
    /// Opens a folder or a file, for a network of `classes` classes that are
    /// called `labels` (empty if unknown).
    ///
    /// # Errors
    /// Files that cannot be read or break their format, labels that are none,
    /// no picture at all, or none that is there.
    pub fn open(
        path: &Path,
        options: &DataOptions,
        labels: &[String],
        classes: usize,
    ) -> Result<Self, DataError> {
        let classes = Classes::new(labels, classes, options.first_class);
        let about = std::fs::metadata(path).map_err(|source| DataError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        let mut found = match (about.is_dir(), &options.labels_file) {
            (true, Some(file)) => {
                let root = options.pictures.as_deref().unwrap_or(path);
                list(file, root, options, &classes)?
            }
            (true, None) if path.join(voc::ANNOTATIONS).is_dir() => voc::layout(path, &classes)?,
            (true, None) => folder::read(path, &classes)?,
            (false, _) => {
                let own = path.parent().unwrap_or(Path::new(""));
                let root = options.pictures.as_deref().unwrap_or(own);
                list(path, root, options, &classes)?
            }
        };
        if let Some(file) = &options.boxes_file {
            let root = options.pictures.as_deref().unwrap_or(path);
            let boxes = list(file, root, options, &classes)?;
            found.add_boxes(boxes, file)?;
        }
        Self::of(path, found)
    }

    fn of(path: &Path, found: Listing) -> Result<Self, DataError> {
        let (items, source, notes) = found.finish();
        let Some(first) = items.first() else {
            return Err(DataError::whole(path, "it names no picture"));
        };
        if !items.iter().any(|item| item.path.is_file()) {
            let reason = format!(
                "{} is not there, nor any other of its {} pictures: give the folder that their \
                 names start from",
                first.path.display(),
                items.len(),
            );
            return Err(DataError::whole(path, reason));
        }
        Ok(Self {
            path: path.to_path_buf(),
            hash: hash(&items),
            source,
            items,
            notes,
        })
    }

    /// The pictures alone: nobody says what they show.
    #[must_use]
    pub fn unlabelled(mut self) -> Self {
        for item in &mut self.items {
            item.truth = None;
            item.boxes.clear();
        }
        self.hash = hash(&self.items);
        self
    }

    /// Whether any picture has boxes.
    pub fn has_boxes(&self) -> bool {
        self.items.iter().any(|item| !item.boxes.is_empty())
    }
}

/// A file of any format, or a folder of VOC files.
fn list(
    file: &Path,
    root: &Path,
    options: &DataOptions,
    classes: &Classes,
) -> Result<Listing, DataError> {
    if file.is_dir() {
        return voc::folder(file, root, classes);
    }
    let bytes = bytes(file, MAX_LIST)?;
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let reason = format!(
            "it is not text (UTF-8): byte {} is wrong",
            e.valid_up_to() + 1
        );
        DataError::whole(file, reason)
    })?;
    let text = text.trim_start_matches('\u{feff}');
    match text.trim_start().as_bytes().first() {
        None => Err(DataError::whole(file, "it is empty")),
        Some(b'{' | b'[') => json::read(text, file, root, classes),
        Some(b'<') => voc::file(text, file, root, classes),
        Some(_) => csv::read(text, file, root, options.column.as_deref(), classes),
    }
}

/// The bytes of a file of at most `most` bytes.
fn bytes(file: &Path, most: u64) -> Result<Vec<u8>, DataError> {
    let failed = |source| DataError::Read {
        path: file.to_path_buf(),
        source,
    };
    let size = std::fs::metadata(file).map_err(failed)?.len();
    if size > most {
        let reason = format!("{size} bytes are more than the {most} that are read");
        return Err(DataError::whole(file, reason));
    }
    std::fs::read(file).map_err(failed)
}

/// Every part with its length, so that different lists never hash alike.
pub(crate) fn hash(items: &[Item]) -> String {
    let mut sha = Sha256::new();
    let number = |sha: &mut Sha256, n: usize| sha.update((n as u64).to_le_bytes());
    for item in items {
        number(&mut sha, item.name.len());
        sha.update(item.name.as_bytes());
        let truth = item.truth.as_deref();
        number(&mut sha, truth.map_or(0, |t| t.len() + 1));
        for &label in truth.unwrap_or_default() {
            number(&mut sha, label);
        }
        number(&mut sha, item.boxes.len());
        for one in &item.boxes {
            number(&mut sha, one.label);
            one.area.iter().for_each(|v| sha.update(v.to_le_bytes()));
            number(&mut sha, one.polygons.len());
            for polygon in &one.polygons {
                number(&mut sha, polygon.len());
                let corners = polygon.as_flattened();
                corners.iter().for_each(|v| sha.update(v.to_le_bytes()));
            }
        }
    }
    sha.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
