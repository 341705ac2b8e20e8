//! Pascal VOC: one XML file a picture, `<object>`s with `<name>` and
//! `<bndbox>`. Its corners count pixels from 1 and are both inside: a box from
//! `xmin` to `xmax` covers x from `xmin` - 1 to `xmax`.
//!
//! Document type declarations are refused, so entities cannot grow.

use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use super::listing::Listing;
use super::{Classes, DataError, ItemBox, bytes};

/// Folder of the XML files in a VOC data set.
pub const ANNOTATIONS: &str = "Annotations";
/// Folder of its pictures.
const PICTURES: &str = "JPEGImages";
/// Largest XML file, in bytes.
const MAX_XML: u64 = 1 << 22;
/// Most elements and texts of one.
const MAX_NODES: u32 = 1 << 18;

/// A data set: `Annotations` and `JPEGImages`, or pictures beside them.
pub(super) fn layout(path: &Path, classes: &Classes) -> Result<Listing, DataError> {
    let pictures = path.join(PICTURES);
    let root = match pictures.is_dir() {
        true => pictures,
        false => path.to_path_buf(),
    };
    folder(&path.join(ANNOTATIONS), &root, classes)
}

/// All XML files of a folder, by name.
pub(super) fn folder(path: &Path, root: &Path, classes: &Classes) -> Result<Listing, DataError> {
    let failed = |source| DataError::Read {
        path: path.to_path_buf(),
        source,
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let xml = file
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("xml"));
        if xml {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(DataError::whole(path, "it has no .xml file"));
    }
    let mut found = Listing::new("VOC files");
    for file in &files {
        let content = bytes(file, MAX_XML)?;
        let text = String::from_utf8_lossy(&content);
        add(&mut found, &text, file, root, classes)?;
    }
    found.check_foreign(path, classes)?;
    Ok(found)
}

/// One XML file.
pub(super) fn file(
    text: &str,
    file: &Path,
    root: &Path,
    classes: &Classes,
) -> Result<Listing, DataError> {
    let mut found = Listing::new("a VOC file");
    add(&mut found, text, file, root, classes)?;
    found.check_foreign(file, classes)?;
    Ok(found)
}

fn add(
    found: &mut Listing,
    text: &str,
    file: &Path,
    root: &Path,
    classes: &Classes,
) -> Result<(), DataError> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options)
        .map_err(|e| DataError::whole(file, e.to_string()))?;
    let annotation = document.root_element();
    let name = match said(annotation, "filename") {
        Some(name) => name.to_string(),
        None => {
            let reason = "it has no <filename>: is it a VOC annotation?";
            return Err(DataError::whole(file, reason));
        }
    };
    found.picture(&name, root);
    let objects = annotation.children().filter(|n| n.has_tag_name("object"));
    for (number, object) in objects.enumerate() {
        let wrong = |reason: String| {
            let line = document.text_pos_at(object.range().start).row;
            DataError::at(file, format!("line {line}, object {}", number + 1), reason)
        };
        let class = said(object, "name").ok_or_else(|| wrong(String::from("it has no <name>")))?;
        let Some(label) = classes.named(class) else {
            found.foreign(class);
            continue;
        };
        let area = area(object).map_err(wrong)?;
        let polygons = Vec::new();
        let one = ItemBox {
            label,
            area,
            polygons,
        };
        found.add(&name, root, one).map_err(wrong)?;
    }
    Ok(())
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|n| n.has_tag_name(name))
}

/// The text of a child that has one.
fn said<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let text = child(node, name)?.text()?.trim();
    (!text.is_empty()).then_some(text)
}

fn area(object: Node<'_, '_>) -> Result<[f32; 4], String> {
    let corners = child(object, "bndbox").ok_or("it has no <bndbox>")?;
    let number = |name: &str| -> Result<f32, String> {
        let text = said(corners, name).ok_or_else(|| format!("<bndbox> has no <{name}>"))?;
        text.parse()
            .map_err(|_| format!("<{name}>: `{text}` is no number"))
    };
    let (left, top) = (number("xmin")? - 1.0, number("ymin")? - 1.0);
    Ok([left, top, number("xmax")? - left, number("ymax")? - top])
}
