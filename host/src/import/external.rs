//! Values that a model keeps in another file: only on request, and only
//! inside the model's own folder.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

use super::array::{MAX_ELEMENTS, element_bytes};
use super::error::ImportError;

/// Whether the values lie in another file.
pub(super) fn is_external(proto: &TensorProto) -> bool {
    proto.data_location == Some(DataLocation::External as i32)
}

/// Reads the bytes of an external tensor.
pub(super) fn read(
    proto: &TensorProto,
    folder: Option<&Path>,
    allowed: bool,
) -> Result<Vec<u8>, ImportError> {
    let fail = |reason: String| ImportError::External {
        tensor: proto.name.clone(),
        reason,
    };
    if !allowed {
        return Err(fail(
            "allow it with --allow-external if you trust the model".into(),
        ));
    }
    let folder = folder.ok_or_else(|| fail("the model has no folder of its own".into()))?;
    let location = entry(proto, "location").ok_or_else(|| fail("no location is given".into()))?;
    let path = inside(folder, location).map_err(&fail)?;
    let offset = number(proto, "offset").map_err(&fail)?.unwrap_or(0);
    let needed = needed_bytes(proto).ok_or_else(|| fail("its dimensions make no sense".into()))?;
    if let Some(length) = number(proto, "length").map_err(&fail)?
        && length != needed as u64
    {
        return Err(fail(format!(
            "it says {length} bytes, its dimensions need {needed}"
        )));
    }
    read_part(&path, offset, needed).map_err(|e| fail(format!("{}: {e}", path.display())))
}

fn entry<'a>(proto: &'a TensorProto, key: &str) -> Option<&'a str> {
    proto
        .external_data
        .iter()
        .find(|e| e.key == key)
        .map(|e| e.value.as_str())
}

fn number(proto: &TensorProto, key: &str) -> Result<Option<u64>, String> {
    entry(proto, key)
        .map(|v| v.parse().map_err(|_| format!("{key} \"{v}\" is no number")))
        .transpose()
}

fn needed_bytes(proto: &TensorProto) -> Option<usize> {
    let width = element_bytes(DataType::try_from(proto.data_type).ok()?)?;
    let count = proto
        .dims
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))
        .filter(|&n| n <= MAX_ELEMENTS)?;
    count.checked_mul(width)
}

/// The file that a location names, after links are followed, if it lies in the folder.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let relative = Path::new(location);
    let plain = relative
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !plain || location.is_empty() {
        return Err(format!(
            "\"{location}\" does not stay in the model's folder"
        ));
    }
    let home = folder
        .canonicalize()
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    let path = home
        .join(relative)
        .canonicalize()
        .map_err(|e| format!("\"{location}\": {e}"))?;
    if !path.starts_with(&home) {
        return Err(format!("\"{location}\" leads out of the model's folder"));
    }
    if !path.is_file() {
        return Err(format!("\"{location}\" is not a file"));
    }
    Ok(path)
}

fn read_part(path: &Path, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if offset
        .checked_add(length as u64)
        .is_none_or(|end| end > size)
    {
        return Err(std::io::Error::new(
            std::io::ErrorKind::UnexpectedEof,
            format!("bytes {offset} to {offset}+{length} lie outside its {size} bytes"),
        ));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
