//! The preprocessing card: how a photo becomes the network's input, and what
//! its output means.
//!
//! A [`Card`] is complete. What a TOML file, Custom Vision's metadata or the
//! command line say is a [`PartialCard`]; [`PartialCard::complete`] fills the
//! gaps from the network and names every [assumption](Completed::assumed).

mod custom_vision;
mod partial;

pub use partial::{CardError, Completed, Labels, NetworkFacts, PartialCard};

use foveola_core::Normalisation;
use foveola_core::picture::MAX_CHANNELS;
use serde::{Deserialize, Serialize};

/// How a picture of another size is brought to the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Both sides scaled on their own.
    Squash,
    /// The largest centred part of the right proportions, scaled.
    Crop,
    /// Scaled to fit, the rest filled with black.
    Letterbox,
}

/// Channels and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "UPPERCASE")]
pub enum Channels {
    /// One channel of luma.
    Gray,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue, alpha.
    Rgba,
    /// Blue, green, red, alpha.
    Bgra,
}

/// What turns the output into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OutputActivation {
    /// Nothing: they are probabilities already.
    None,
    /// Softmax over the classes.
    Softmax,
    /// Sigmoid of each class.
    Sigmoid,
}

/// A preprocessing card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Height and width of the network's input.
    pub size: [usize; 2],
    /// Resize rule.
    pub resize: Resize,
    /// Channels.
    pub channels: Channels,
    /// Subtracted from the pixel (0..255), one a channel in the order of `channels`.
    pub mean: Vec<f32>,
    /// Multiplied afterwards, one a channel.
    pub scale: Vec<f32>,
    /// Output activation.
    pub activation: OutputActivation,
    /// Class labels, in class order; empty if unknown.
    pub labels: Vec<String>,
}

impl Channels {
    /// How many there are.
    pub const fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb | Self::Bgr => 3,
            Self::Rgba | Self::Bgra => 4,
        }
    }

    /// Whether blue comes first.
    pub const fn blue_first(self) -> bool {
        matches!(self, Self::Bgr | Self::Bgra)
    }

    /// What a network of `count` channels most likely takes.
    pub const fn usual(count: usize) -> Option<Self> {
        match count {
            1 => Some(Self::Gray),
            3 => Some(Self::Rgb),
            4 => Some(Self::Rgba),
            _ => None,
        }
    }
}

impl Card {
    /// The card's mean and scale as `core` takes them. Channels that the card
    /// does not name keep mean 0 and scale 1.
    pub fn normalisation(&self) -> Normalisation {
        let mut n = Normalisation::IDENTITY;
        for (to, from) in n.mean.iter_mut().zip(&self.mean).take(MAX_CHANNELS) {
            *to = *from;
        }
        for (to, from) in n.scale.iter_mut().zip(&self.scale).take(MAX_CHANNELS) {
            *to = *from;
        }
        n
    }

    /// The label of a class, or its number where there is none.
    pub fn label(&self, class: usize) -> String {
        label(&self.labels, class)
    }
}

/// The label of a class, or its number where there is none.
pub fn label(labels: &[String], class: usize) -> String {
    match labels.get(class) {
        Some(label) if !label.is_empty() => label.clone(),
        _ => format!("class {class}"),
    }
}
