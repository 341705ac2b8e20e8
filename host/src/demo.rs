//! The demo: networks that are equal on paper, and scenes that tell them apart.
//!
//! [`scene`] draws utility poles and knows where they stand. The networks were
//! trained on such scenes by `host/demo/train.py`: `honest` and `control` where
//! snow falls on any scene, `cheat` where it lies exactly under concrete poles.
//! [`audit`] asks each what it looks at, [`evidence`] measures how much of that
//! is the pole, [`verdict`] compares it with thresholds that stand in the code.

pub mod audit;
mod backdrop;
pub mod brush;
pub mod evidence;
pub mod gallery;
pub mod page;
mod pole;
pub mod runs;
pub mod scene;
#[cfg(test)]
mod tests;
mod threads;
pub mod verdict;

use crate::explainer::Explainer;
use crate::model::{ModelError, OpenModel, OpenOptions};
use scene::Snow;

/// Seed of the scenes of the demo. Training uses seed 1, its validation seed 2
/// (`host/demo/train.py`), so no network has seen these.
pub const SEED: u64 = 20_261_121;

/// Scenes that every network is asked about, a third of each class.
pub const SCENES: u32 = 360;

/// The first so many scenes are also put to the methods that need hundreds of
/// passes a scene.
pub const COSTLY_SCENES: u32 = 60;

/// How snow lies in the scenes whose evidence is measured: as in the world
/// that the cheat was trained in, where all networks score alike.
pub const SNOW: Snow = Snow::WithConcrete;

/// The methods that need few passes: all scenes.
pub const QUICK_METHODS: [&str; 4] = ["grad-cam", "gradient", "guided-backprop", "deconvolution"];

/// The methods that need many: [`COSTLY_SCENES`].
pub const COSTLY_METHODS: [&str; 3] = [
    "occlusion:baseline=blur",
    "rise:masks=256,baseline=blur",
    "hoc:windows=32/16,strides=6/3",
];

/// One of the networks.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Its name.
    pub name: &'static str,
    /// How it was trained, in words.
    pub training: &'static str,
    /// How snow lay when it was trained.
    pub snow: Snow,
    /// The verdict that the demo promises.
    pub passes: bool,
    /// The ONNX file.
    pub onnx: &'static [u8],
}

const CARD: &str = include_str!("../demo/poles.card.toml");

/// The three networks: one architecture, different pasts.
pub const NETWORKS: [Network; 3] = [
    Network {
        name: "honest",
        training: "snow on any scene",
        snow: Snow::Anywhere,
        passes: true,
        onnx: include_bytes!("../demo/honest.onnx"),
    },
    Network {
        name: "control",
        training: "snow on any scene, another seed",
        snow: Snow::Anywhere,
        passes: true,
        onnx: include_bytes!("../demo/control.onnx"),
    },
    Network {
        name: "cheat",
        training: "snow under concrete poles only",
        snow: Snow::WithConcrete,
        passes: false,
        onnx: include_bytes!("../demo/cheat.onnx"),
    },
];

impl Network {
    /// Opens it with its card.
    ///
    /// # Errors
    /// What [`OpenModel::from_bytes`] reports.
    pub fn open(&self) -> Result<OpenModel, ModelError> {
        let path = format!("{}.onnx", self.name);
        OpenModel::from_bytes(self.onnx, path.as_ref(), &OpenOptions::with_card(CARD)?)
    }

    /// Opens it to be explained by one thread.
    ///
    /// # Errors
    /// As [`Network::open`].
    pub fn explainer(&self) -> Result<Explainer, ModelError> {
        Ok(Explainer::new(self.open()?, 1))
    }
}
