//! A table with a heading; columns by name, in any order and case:
//!
//! | Column | |
//! |---|---|
//! | `file`, `path`, `image`, `picture` or `filename`; else the first | the picture |
//! | the one asked for; else `label`, `labels` or `class`; else the first in which every cell names a class | a label or several: divided by `;` or `\|`, numbers also by spaces |
//! | `x`, `y`, `w` (`width`), `h` (`height`) | a box in pixels |
//! | or `x0`, `y0`, `x1`, `y1` (`xmin`, ..) | its corners |
//!
//! A picture may have several rows, one a box. Cells may be empty: no label,
//! no box.

use std::path::Path;

use ::csv::{ReaderBuilder, StringRecord};

use super::listing::Listing;
use super::{Classes, DataError, ItemBox};

const FILE: &[&str] = &["file", "path", "image", "picture", "filename"];
const LABEL: &[&str] = &["label", "labels", "class"];
const SIDES: [&[&str]; 4] = [&["x"], &["y"], &["w", "width"], &["h", "height"]];
const CORNERS: [&[&str]; 4] = [
    &["x0", "xmin"],
    &["y0", "ymin"],
    &["x1", "xmax"],
    &["y1", "ymax"],
];

/// A table, its columns found.
struct Table<'a> {
    file: &'a Path,
    classes: &'a Classes,
    heading: StringRecord,
    rows: Vec<(u64, StringRecord)>,
}

/// Where things stand.
struct Columns {
    file: usize,
    label: usize,
    boxes: Option<([usize; 4], Corners)>,
}

/// Whether the last two numbers of a box are its far corner.
type Corners = bool;

/// Reads a table.
pub(super) fn read(
    text: &str,
    file: &Path,
    root: &Path,
    column: Option<&str>,
    classes: &Classes,
) -> Result<Listing, DataError> {
    let table = Table::parse(text, file, classes)?;
    let columns = table.columns(column)?;
    let mut found = Listing::new(format!("column `{}`", &table.heading[columns.label]));
    for (line, row) in &table.rows {
        let wrong = |reason: String| DataError::at(file, format!("line {line}"), reason);
        let name = row[columns.file].trim();
        if name.is_empty() {
            return Err(wrong(String::from("it names no file")));
        }
        found.picture(name, root);
        let labels = labels(&row[columns.label], classes).map_err(wrong)?;
        let area = columns.area(row).map_err(wrong)?;
        for label in labels {
            match area {
                Some(area) => {
                    let polygons = Vec::new();
                    let one = ItemBox {
                        label,
                        area,
                        polygons,
                    };
                    found.add(name, root, one).map_err(wrong)?;
                }
                None => found.picture(name, root).show(label),
            }
        }
    }
    Ok(found)
}

impl<'a> Table<'a> {
    fn parse(text: &str, file: &'a Path, classes: &'a Classes) -> Result<Self, DataError> {
        let wrong = |e: ::csv::Error| match e.position() {
            Some(at) => DataError::at(file, format!("line {}", at.line()), e.to_string()),
            None => DataError::whole(file, e.to_string()),
        };
        let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
        let heading = reader.headers().map_err(wrong)?.clone();
        let mut rows = Vec::new();
        for row in reader.into_records() {
            let row = row.map_err(wrong)?;
            let line = row.position().map_or(0, ::csv::Position::line);
            rows.push((line, row));
        }
        match rows.is_empty() {
            true => Err(DataError::whole(
                file,
                "it has no rows; the first line is the heading",
            )),
            false => Ok(Self {
                file,
                classes,
                heading,
                rows,
            }),
        }
    }

    fn columns(&self, label: Option<&str>) -> Result<Columns, DataError> {
        let file = self.place(FILE).unwrap_or(0);
        let all = |names: [&[&str]; 4]| {
            let places = names.map(|names| self.place(names));
            let missing = places.iter().position(Option::is_none);
            (places.map(Option::unwrap_or_default), missing)
        };
        let boxes = match (all(SIDES), all(CORNERS)) {
            ((places, None), _) => Some((places, false)),
            (_, (places, None)) => Some((places, true)),
            _ => None,
        };
        let taken = |c: usize| c == file || boxes.is_some_and(|(places, _)| places.contains(&c));
        let label = match label {
            Some(name) => self.place(&[name]).ok_or_else(|| {
                let hint = crate::suggest::hint(name, self.heading.iter());
                DataError::whole(self.file, format!("it has no column `{name}`; {hint}"))
            })?,
            None => self.label_column(&taken)?,
        };
        Ok(Columns { file, label, boxes })
    }

    /// The first column with one of these names.
    fn place(&self, names: &[&str]) -> Option<usize> {
        let called = |name: &&str| {
            let mut heads = self.heading.iter();
            heads.position(|head| head.trim().eq_ignore_ascii_case(name))
        };
        names.iter().find_map(called)
    }

    fn label_column(&self, taken: &dyn Fn(usize) -> bool) -> Result<usize, DataError> {
        let named = LABEL.iter().filter_map(|name| self.place(&[name]));
        let others = (0..self.heading.len()).filter(|&c| !taken(c));
        let mut candidates = named.chain(others);
        candidates
            .find(|&c| self.stranger(c).is_none() && self.rows.iter().any(|r| !r.1[c].is_empty()))
            .ok_or_else(|| {
                let example = self.place(LABEL).and_then(|c| self.stranger(c));
                let example = example.map_or_else(String::new, |(line, reason)| {
                    format!(" (line {line}: {reason})")
                });
                let reason = format!(
                    "it has no column in which every cell is one of the {} classes, by index or \
                     label{example}; name the column",
                    self.classes.count
                );
                DataError::whole(self.file, reason)
            })
    }

    /// The first cell of a column that is no class, by its line.
    fn stranger(&self, column: usize) -> Option<(u64, String)> {
        self.rows.iter().find_map(|(line, row)| {
            let reason = labels(&row[column], self.classes).err()?;
            Some((*line, reason))
        })
    }
}

impl Columns {
    fn area(&self, row: &StringRecord) -> Result<Option<[f32; 4]>, String> {
        let Some((places, corners)) = self.boxes else {
            return Ok(None);
        };
        let cells = places.map(|place| row[place].trim());
        if cells.iter().all(|cell| cell.is_empty()) {
            return Ok(None);
        }
        let mut area = [0.0; 4];
        for (number, cell) in area.iter_mut().zip(cells) {
            *number = cell
                .parse()
                .map_err(|_| format!("`{cell}` is no number of a box"))?;
        }
        if corners {
            area[2] -= area[0];
            area[3] -= area[1];
        }
        Ok(Some(area))
    }
}

/// The classes of a cell: all of it, or its parts.
fn labels(cell: &str, classes: &Classes) -> Result<Vec<usize>, String> {
    let cell = cell.trim();
    if cell.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(class) = classes.named(cell) {
        return Ok(vec![class]);
    }
    let parts: Vec<&str> = match cell.contains([';', '|']) {
        true => cell.split([';', '|']).map(str::trim).collect(),
        false => cell.split_whitespace().collect(),
    };
    let known: Option<Vec<usize>> = parts.iter().map(|part| classes.named(part)).collect();
    match (known, cell.contains([';', '|'])) {
        (Some(known), _) => Ok(known),
        (None, true) => {
            let stranger = parts.iter().find(|part| classes.named(part).is_none());
            Err(classes.refusal(stranger.copied().unwrap_or(cell)))
        }
        (None, false) => Err(classes.refusal(cell)),
    }
}
