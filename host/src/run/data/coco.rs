//! COCO instances: `images`, `annotations` (`bbox` as x, y, width, height;
//! `segmentation` as polygons) and `categories`, whose names are matched to the
//! network's labels. Crowds (run lengths instead of polygons) count as boxes.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::listing::Listing;
use super::{Classes, DataError, ItemBox};

/// The parts of a file.
pub(super) struct Instances {
    pub images: Vec<Image>,
    pub annotations: Vec<Annotation>,
    pub categories: Vec<Category>,
}

#[derive(Deserialize)]
pub(super) struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
pub(super) struct Annotation {
    image_id: u64,
    category_id: u64,
    bbox: Option<[f32; 4]>,
    #[serde(default)]
    segmentation: Segmentation,
}

#[derive(Deserialize)]
pub(super) struct Category {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<f32>>),
    Other(IgnoredAny),
}

impl Default for Segmentation {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

/// Reads the parts of a file.
pub(super) fn read(
    whole: &Instances,
    file: &Path,
    root: &Path,
    classes: &Classes,
) -> Result<Listing, DataError> {
    let mut found = Listing::new("COCO categories by name");
    let names: HashMap<u64, &str> = whole
        .images
        .iter()
        .map(|i| (i.id, &i.file_name[..]))
        .collect();
    for image in &whole.images {
        found.picture(&image.file_name, root);
    }
    let categories: HashMap<u64, (&str, Option<usize>)> = whole
        .categories
        .iter()
        .map(|c| (c.id, (&c.name[..], classes.named(&c.name))))
        .collect();
    for (number, annotation) in whole.annotations.iter().enumerate() {
        let wrong = |reason: String| {
            let place = format!("annotation {}", number + 1);
            DataError::at(file, place, reason)
        };
        let name = names.get(&annotation.image_id);
        let name =
            *name.ok_or_else(|| wrong(format!("there is no image {}", annotation.image_id)))?;
        let category = categories.get(&annotation.category_id);
        let (category, class) = *category
            .ok_or_else(|| wrong(format!("there is no category {}", annotation.category_id)))?;
        let Some(label) = class else {
            found.foreign(category);
            continue;
        };
        match annotation.bbox {
            None => found.picture(name, root).show(label),
            Some(area) => {
                let polygons = annotation.polygons().map_err(wrong)?;
                let one = ItemBox {
                    label,
                    area,
                    polygons,
                };
                found.add(name, root, one).map_err(wrong)?;
            }
        }
    }
    found.check_foreign(file, classes)?;
    Ok(found)
}

impl Annotation {
    fn polygons(&self) -> Result<Vec<Vec<[f32; 2]>>, String> {
        let Segmentation::Polygons(lists) = &self.segmentation else {
            return Ok(Vec::new());
        };
        let corners = |list: &Vec<f32>| match list.as_chunks::<2>() {
            (corners, []) => Ok(corners.to_vec()),
            _ => Err(format!(
                "an outline of {} numbers is not x, y, ..",
                list.len()
            )),
        };
        lists.iter().map(corners).collect()
    }
}
