//! The files that ask a board.

use foveola_core::Picture;
use foveola_core::net::model::Model;
use foveola_core::wire::message::Explain;
use foveola_core::wire::question;
use zerocopy::IntoBytes;

use super::{Asked, CrosscheckError, Inquiry};
use crate::backend::core::ModelFile;
use crate::link::{call, tensor_named};
use crate::method_spec::MethodSpec;
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
    let file = ModelFile::new(model)?;
    for method in inquiry.methods {
        text += &format!("method={}\n", worded(method, file.model())?);
    }
    files.push(("job.txt", text.as_bytes()));
    for (name, content) in files {
        let path = asked.folder.join(name);
        std::fs::write(&path, content).map_err(|source| CrosscheckError::File { path, source })?;
    }
    Ok(())
}

/// A method as the firmware reads it: in words where every board knows them.
///
/// # Errors
/// A layer that the model does not have, parameters that no board takes.
pub fn worded(spec: &MethodSpec, model: &Model<'_>) -> Result<String, CrosscheckError> {
    if spec.runs_on_every_board() {
        return Ok(spec.to_string());
    }
    let explain = Explain {
        method: call(spec, &|name| tensor_named(model, name))?,
        target: None,
        score: None,
        seed: 0,
    };
    Ok(question::spell(&explain, &mut [0; question::ROOM]).to_owned())
}
