//! Malformed and hostile ONNX and TFLite files, each made by code: what kind
//! of fault each has, and what the program must say about it.

mod attributes;
mod external;
mod flatbuffer;
mod graphs;
mod quantised;
mod tensors;
pub mod tflite;
mod wire;

use std::io;
use std::path::Path;

use crate::onnx::Onnx;

/// What lies in a file.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A symbolic link to this path.
    Link(String),
    /// So many zeros that take no room on the disk.
    Sparse(u64),
    /// A folder.
    Folder,
}

/// One malformed model.
#[derive(Clone, Debug)]
pub struct Case {
    /// The kind of fault.
    pub kind: &'static str,
    /// What is wrong, in a few words.
    pub what: String,
    /// Name of the model's file.
    pub model: &'static str,
    /// The model.
    pub bytes: Vec<u8>,
    /// Other files, by their path from the model's folder. Those whose path
    /// begins with `..` are baits: right in every byte, but out of bounds.
    pub beside: Vec<(String, Content)>,
    /// Flags of the program.
    pub flags: Vec<&'static str>,
    /// What the message must hold, all of it.
    pub says: Vec<&'static str>,
}

impl Case {
    fn new(
        kind: &'static str,
        what: impl Into<String>,
        bytes: Vec<u8>,
        says: &[&'static str],
    ) -> Self {
        Self {
            kind,
            what: what.into(),
            model: "model.onnx",
            bytes,
            beside: Vec::new(),
            flags: Vec::new(),
            says: says.to_vec(),
        }
    }

    fn onnx(
        kind: &'static str,
        what: impl Into<String>,
        model: &Onnx,
        says: &[&'static str],
    ) -> Self {
        Self::new(kind, what, model.bytes(), says)
    }

    fn tflite(
        kind: &'static str,
        what: impl Into<String>,
        bytes: Vec<u8>,
        says: &[&'static str],
    ) -> Self {
        Self {
            model: "model.tflite",
            ..Self::new(kind, what, bytes, says)
        }
    }

    /// Writes the model and what belongs to it; `folder` exists and is empty,
    /// and what lies above it may be written to as well.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        std::fs::write(folder.join(self.model), &self.bytes)?;
        for (name, content) in &self.beside {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            match content {
                Content::Bytes(bytes) => std::fs::write(path, bytes)?,
                Content::Folder => std::fs::create_dir_all(path)?,
                Content::Sparse(length) => std::fs::File::create(path)?.set_len(*length)?,
                Content::Link(to) => link(to, &path)?,
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn link(to: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, path)
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) -> io::Result<()> {
    Ok(())
}

/// All cases.
pub fn cases() -> Vec<Case> {
    [
        wire::cases(),
        graphs::cases(),
        tensors::cases(),
        attributes::cases(),
        external::cases(),
        quantised::cases(),
        tflite::cases(),
        flatbuffer::cases(),
    ]
    .concat()
}

/// A sound classifier of pictures of 5 x 4 RGB pixels, three classes.
fn classifier() -> Onnx {
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    model
        .weights("w", &[3, 3, 2, 2])
        .weights("b", &[3])
        .node("Conv", "x w b", "c", &[])
        .node("GlobalAveragePool", "c", "g", &[])
        .node("Flatten", "g", "scores", &[])
        .output("scores");
    model
}

/// A sound tail that makes three scores of `y`: what is wrong comes before it.
fn finish(model: &mut Onnx) {
    model
        .node("GlobalAveragePool", "y", "pooled", &[])
        .node("Flatten", "pooled", "scores", &[])
        .output("scores");
}

/// The files that the faults are put into, whole.
pub fn sound() -> Vec<Case> {
    let named = |model, case: Case| Case { model, ..case };
    let onnx = |model, file: &Onnx| named(model, Case::onnx("none", model, file, &[]));
    vec![
        onnx("plain.onnx", &classifier()),
        named("external.onnx", external::sound()),
        onnx("qdq.onnx", &quantised::between(&|_| ())),
        onnx("qlinear.onnx", &quantised::linear(&|_| ())),
    ]
}
