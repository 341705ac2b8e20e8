//! Where the shared test data lies, and readers for it.

pub mod browser;
pub mod compiled;
pub mod elf;
pub mod interpreter;
pub mod malformed;
pub mod onnx;
pub mod random;
pub mod scenes;
pub mod sealed;
pub mod small;
pub mod straight_through;
pub mod synthetic_run;
pub mod tflite;
pub mod trained;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::{Array, ArrayD, IxDyn};
use ndarray_npy::NpzReader;
use serde_json::Value;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie inside the repository")
        .to_owned()
}

/// The folder of real models and pictures, beside the repository; `None` if it
/// is not there, with a line that says so. Where `CI` is set it must be there.
pub fn zoo() -> Option<PathBuf> {
    let zoo = root().join("../shared/zoo");
    if zoo.is_dir() {
        return Some(zoo);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "CI is set and ../shared/zoo is missing"
    );
    println!("skipped: ../shared/zoo is not there");
    None
}

/// The folder of all golden references, beside the repository, of which
/// `tests/golden` is a part; `None` as [`zoo`].
pub fn all_golden() -> Option<PathBuf> {
    let folder = root().join("../shared/golden");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "CI is set and ../shared/golden is missing"
    );
    println!("skipped: ../shared/golden is not there");
    None
}

/// One of the golden networks `n1` to `n5`.
pub struct Golden {
    /// Its folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Value,
    npz: NpzReader<File>,
    inputs: NpzReader<File>,
}

impl Golden {
    /// Opens a network's references.
    pub fn open(net: &str) -> Self {
        Self::in_folder(root().join("tests/golden").join(net))
    }

    /// Opens the references in a folder.
    pub fn in_folder(folder: PathBuf) -> Self {
        let open = |name: &str| {
            let file = File::open(folder.join(name)).expect("a golden file opens");
            NpzReader::new(file).expect("a golden file is an npz")
        };
        let text = std::fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
        Self {
            manifest: serde_json::from_str(&text).expect("the manifest is JSON"),
            npz: open("golden.npz"),
            inputs: open("inputs.npz"),
            folder,
        }
    }

    /// The entries of the manifest by key.
    pub fn entries(&self) -> BTreeMap<String, Value> {
        let entries = self.manifest["entries"].as_object().expect("entries");
        entries
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// ONNX name of the layer `last` or `inner`.
    pub fn layer(&self, which: &str) -> String {
        let name = &self.manifest["layers"][which]["onnx_tensor"];
        name.as_str().expect("a layer's tensor").to_owned()
    }

    /// A reference.
    pub fn reference(&mut self, key: &str) -> ArrayD<f32> {
        self.npz.by_name(key).expect("the reference is in the file")
    }

    /// A reference of the network's quantised twins.
    pub fn int8(&self, key: &str) -> ArrayD<f32> {
        let file = File::open(self.folder.join("golden_int8.npz")).expect("the file opens");
        let mut npz = NpzReader::new(file).expect("it is an npz");
        npz.by_name(key).expect("the reference is in the file")
    }

    /// An input picture, C,H,W, model space.
    pub fn picture(&mut self, index: usize) -> Array<f32, IxDyn> {
        let all: ArrayD<f32> = self.inputs.by_name("x").expect("inputs");
        all.index_axis(ndarray::Axis(0), index).to_owned()
    }

    /// The stored RISE masks, N,H,W, value / 255.
    pub fn rise_masks(&mut self) -> ArrayD<u8> {
        self.inputs.by_name("rise_masks").expect("masks")
    }
}

/// From C,H,W to H,W,C.
pub fn to_hwc(chw: &ArrayD<f32>) -> Vec<f32> {
    chw.view()
        .permuted_axes(IxDyn(&[1, 2, 0]))
        .iter()
        .copied()
        .collect()
}

/// From H,W,C to C,H,W.
pub fn to_chw(hwc: &[f32], h: usize, w: usize, c: usize) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(&[h, w, c]), hwc.to_vec())
        .expect("the map has its shape")
        .permuted_axes(IxDyn(&[2, 0, 1]))
}

/// Largest absolute difference; infinite where one side is not finite or lengths differ.
pub fn max_difference<'a>(
    a: impl IntoIterator<Item = &'a f32>,
    b: impl IntoIterator<Item = &'a f32>,
) -> f64 {
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let mut worst = 0.0_f64;
    loop {
        match (a.next(), b.next()) {
            (Some(&x), Some(&y)) => {
                let d = (f64::from(x) - f64::from(y)).abs();
                worst = if d.is_nan() {
                    f64::INFINITY
                } else {
                    worst.max(d)
                };
            }
            (None, None) => return worst,
            _ => return f64::INFINITY,
        }
    }
}
