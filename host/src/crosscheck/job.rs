//! The files that ask a board.

use foveola_core::Picture;
use zerocopy::IntoBytes;

use super::{Crosscheck, CrosscheckError};
use crate::photo::Photo;

/// Writes model, picture and job into the folder.
pub(super) fn write(
    check: &Crosscheck<'_>,
    model: &[u8],
    photo: &Photo,
    target: usize,
) -> Result<(), CrosscheckError> {
    let (picture, format) = match photo.picture() {
        Picture::Pixels { data, .. } => (data.to_vec(), "u8"),
        Picture::Tensor { data, .. } => (data.as_bytes().to_vec(), "f32"),
    };
    let shape = photo.picture().shape();
    let mut text = format!(
        "model=model.fov\npicture=picture.bin\nformat={format}\nshape={}/{}/{}\n",
        shape.h, shape.w, shape.c
    );
    text += &format!("target={target}\nseed={}\n", check.seed);
    if check.layers {
        text += "layers=1\n";
    }
    for method in check.methods {
        text += &format!("method={method}\n");
    }
    for (name, content) in [
        ("model.fov", model),
        ("picture.bin", &picture),
        ("job.txt", text.as_bytes()),
    ] {
        let path = check.folder.join(name);
        std::fs::write(&path, content).map_err(|source| CrosscheckError::File { path, source })?;
    }
    Ok(())
}
