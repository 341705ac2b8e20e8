//! A folder of pictures. Where it has a folder a class, called like a label or
//! numbered, each picture shows the class of its folder.

use std::path::Path;

use super::listing::Listing;
use super::{Classes, DataError};
use crate::quantise::Album;

/// All pictures of a folder and the folders in it, by name.
pub(super) fn read(folder: &Path, classes: &Classes) -> Result<Listing, DataError> {
    let album =
        Album::open(folder, usize::MAX).map_err(|e| DataError::whole(folder, e.to_string()))?;
    let mut found = Listing::new("nothing says what the pictures show");
    for path in &album.pictures {
        let inside = path.strip_prefix(folder).unwrap_or(path);
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        let class = match &parts[..] {
            [.., parent, _] => classes.named(parent),
            _ => None,
        };
        let item = found.picture(&parts.join("/"), folder);
        item.path.clone_from(path);
        if let Some(class) = class {
            item.show(class);
            found.known_by(String::from("folders"));
        }
    }
    Ok(found)
}
