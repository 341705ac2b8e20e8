//! JSON in the schema of this program, or COCO's:
//!
//! ```json
//! {"pictures": [
//!   {"file": "a.jpg",
//!    "labels": ["dog", 3],
//!    "boxes": [{"label": "dog", "area": [10, 20, 100, 50],
//!               "polygons": [[[10, 20], [110, 20], [60, 70]]]}]}
//! ]}
//! ```
//!
//! A label is a text or the number of a class. `area` is x, y, width, height in
//! pixels. `labels`, `boxes` and `polygons` may be missing; what boxes show
//! counts as a label. An empty list of labels says that the picture shows none.
//! The list of pictures may stand alone.

use std::path::Path;

use serde::Deserialize;

use super::coco;
use super::listing::Listing;
use super::{Classes, DataError, ItemBox};

/// What a JSON file holds.
#[derive(Deserialize)]
struct File {
    pictures: Option<Vec<Picture>>,
    images: Option<Vec<coco::Image>>,
    #[serde(default)]
    annotations: Vec<coco::Annotation>,
    #[serde(default)]
    categories: Vec<coco::Category>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Picture {
    file: String,
    labels: Option<Vec<Label>>,
    #[serde(default)]
    boxes: Vec<Area>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    label: Label,
    area: [f32; 4],
    #[serde(default)]
    polygons: Vec<Vec<[f32; 2]>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Label {
    Number(usize),
    Text(String),
}

/// Reads a JSON file.
pub(super) fn read(
    text: &str,
    file: &Path,
    root: &Path,
    classes: &Classes,
) -> Result<Listing, DataError> {
    let wrong = |e: serde_json::Error| DataError::whole(file, e.to_string());
    if text.trim_start().starts_with('[') {
        return pictures(
            serde_json::from_str(text).map_err(wrong)?,
            file,
            root,
            classes,
        );
    }
    let content: File = serde_json::from_str(text).map_err(wrong)?;
    match (content.pictures, content.images) {
        (Some(list), _) => pictures(list, file, root, classes),
        (None, Some(images)) => {
            let whole = coco::Instances {
                images,
                annotations: content.annotations,
                categories: content.categories,
            };
            coco::read(&whole, file, root, classes)
        }
        (None, None) => Err(DataError::whole(
            file,
            "it has neither `pictures` nor, as COCO's files, `images`",
        )),
    }
}

fn pictures(
    list: Vec<Picture>,
    file: &Path,
    root: &Path,
    classes: &Classes,
) -> Result<Listing, DataError> {
    let mut found = Listing::new("labels of a JSON file");
    for (number, picture) in list.into_iter().enumerate() {
        let name = picture.file.clone();
        add(&mut found, picture, root, classes).map_err(|reason| {
            DataError::at(file, format!("picture {} (`{name}`)", number + 1), reason)
        })?;
    }
    Ok(found)
}

fn add(
    found: &mut Listing,
    picture: Picture,
    root: &Path,
    classes: &Classes,
) -> Result<(), String> {
    if picture.file.is_empty() {
        return Err(String::from("it names no file"));
    }
    let item = found.picture(&picture.file, root);
    if let Some(labels) = picture.labels {
        item.truth.get_or_insert_default();
        for label in &labels {
            item.show(label.class(classes)?);
        }
    }
    for one in picture.boxes {
        let one = ItemBox {
            label: one.label.class(classes)?,
            area: one.area,
            polygons: one.polygons,
        };
        found.add(&picture.file, root, one)?;
    }
    Ok(())
}

impl Label {
    fn class(&self, classes: &Classes) -> Result<usize, String> {
        match self {
            Self::Text(text) => classes.named(text).ok_or_else(|| classes.refusal(text)),
            Self::Number(n) => classes
                .numbered(*n)
                .ok_or_else(|| classes.refusal(&n.to_string())),
        }
    }
}
