//! The files that ask a board.

use foveola_core::Picture;
use zerocopy::IntoBytes;

use super::{Asked, CrosscheckError, Inquiry};
use crate::photo::Photo;

/// Writes picture, job and, where it does not lie in flash, model into the folder.
pub(super) fn write(
    inquiry: &Inquiry<'_>,
    asked: &Asked<'_>,
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
        "picture=picture.bin\nformat={format}\nshape={}/{}/{}\ntarget={target}\nseed={}\n",
        shape.h, shape.w, shape.c, inquiry.seed
    );
    let mut files = vec![("picture.bin", picture.as_slice())];
    if asked.elf.is_none() {
        text += "model=model.fov\n";
        files.push(("model.fov", model));
    }
    if inquiry.layers {
        text += "layers=1\n";
    }
    for method in inquiry.methods {
        text += &format!("method={method}\n");
    }
    files.push(("job.txt", text.as_bytes()));
    for (name, content) in files {
        let path = asked.folder.join(name);
        std::fs::write(&path, content).map_err(|source| CrosscheckError::File { path, source })?;
    }
    Ok(())
}
