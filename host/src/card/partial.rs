//! Cards with gaps, where they come from, and how the gaps are filled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foveola_core::Shape;
use serde::Deserialize;

use super::{Card, Channels, OutputActivation, Resize};
use crate::graph::Layout;

/// Why there is no card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// A card or label file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{} is not a preprocessing card:\n{reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },
    /// Values that do not fit each other or the network.
    #[error("the preprocessing card does not fit: {0}")]
    Misfit(String),
}

/// A card with gaps. In TOML the keys are the field names; `labels` is a list
/// or the path of a text file, one label a line, relative to the card.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartialCard {
    /// Height and width.
    pub size: Option<[usize; 2]>,
    /// Resize rule.
    pub resize: Option<Resize>,
    /// Channels.
    pub channels: Option<Channels>,
    /// Subtracted from the pixel, one a channel, or one for all.
    pub mean: Option<Vec<f32>>,
    /// Multiplied afterwards, one a channel, or one for all.
    pub scale: Option<Vec<f32>>,
    /// Output activation.
    pub activation: Option<OutputActivation>,
    /// Class labels.
    pub labels: Option<Labels>,
}

/// Labels as a card names them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Labels {
    /// The labels.
    List(Vec<String>),
    /// A text file; empty for none.
    File(PathBuf),
}

/// What the network itself says about its input and output.
#[derive(Clone, Debug)]
pub struct NetworkFacts {
    /// Shape of the input.
    pub input: Shape,
    /// Where the model file expects the axes of its input.
    pub layout: Layout,
    /// Number of scores.
    pub classes: usize,
    /// Whether the network itself ends in a softmax or sigmoid.
    pub normalised: bool,
    /// Labels found in the model file.
    pub labels: Vec<String>,
    /// The model file's metadata properties.
    pub metadata: BTreeMap<String, String>,
}

/// A complete card, and what had to be assumed for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed {
    /// The card.
    pub card: Card,
    /// One phrase an assumption, e.g. `channels RGB`; empty if nothing was assumed.
    pub assumed: Vec<String>,
}

impl PartialCard {
    /// Reads a TOML card and the label file that it names.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no card.
    pub fn from_toml_file(path: &Path) -> Result<Self, CardError> {
        Self::from_toml(&read_text(path)?, path)
    }

    /// Reads a TOML card from text; `path` is for messages, and label files
    /// are looked for beside it.
    ///
    /// # Errors
    /// As [`PartialCard::from_toml_file`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, CardError> {
        let mut card: Self = toml::from_str(text).map_err(|e| CardError::Syntax {
            path: path.to_path_buf(),
            reason: e.to_string(),
        })?;
        if let Some(Labels::File(file)) = &card.labels {
            let folder = path.parent().unwrap_or(Path::new(""));
            card.labels = match file.as_os_str().is_empty() {
                true => None,
                false => Some(Labels::List(read_labels(&folder.join(file))?)),
            };
        }
        Ok(card)
    }

    /// The card that lies beside a model: `MODEL.card.toml`, with or without
    /// the model's own extension in front.
    pub fn beside(model: &Path) -> Option<PathBuf> {
        let whole = PathBuf::from(format!("{}.card.toml", model.display()));
        [model.with_extension("card.toml"), whole]
            .into_iter()
            .find(|p| p.is_file())
    }

    /// This card, its gaps filled from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            size: self.size.or(other.size),
            resize: self.resize.or(other.resize),
            channels: self.channels.or(other.channels),
            mean: self.mean.or(other.mean),
            scale: self.scale.or(other.scale),
            activation: self.activation.or(other.activation),
            labels: self.labels.or(other.labels),
        }
    }

    /// Fills the gaps: what the network tells, then what is usual (squash,
    /// RGB, pixels brought to 0..1, softmax).
    ///
    /// # Errors
    /// [`CardError::Misfit`] if the card contradicts itself or the network.
    pub fn complete(self, network: &NetworkFacts) -> Result<Completed, CardError> {
        let mut assumed = Vec::new();
        let size = [network.input.h, network.input.w];
        if let Some(wrong) = self
            .size
            .filter(|&s| s != size && network.layout != Layout::Flat)
        {
            return Err(CardError::Misfit(format!(
                "it says {}x{}, the network takes {}x{} (height x width)",
                wrong[0], wrong[1], size[0], size[1]
            )));
        }
        let channels = self.channels(network, &mut assumed)?;
        let resize = self.resize.unwrap_or_else(|| {
            assumed.push(String::from("resize squash"));
            Resize::Squash
        });
        let (mean, scale) = self.normalisation(channels.count(), &mut assumed)?;
        let activation = self.activation(network, &mut assumed);
        let labels = self.labels(network)?;
        let card = Card {
            size,
            resize,
            channels,
            mean,
            scale,
            activation,
            labels,
        };
        Ok(Completed { card, assumed })
    }

    fn channels(
        &self,
        network: &NetworkFacts,
        assumed: &mut Vec<String>,
    ) -> Result<Channels, CardError> {
        let count = network.input.c;
        let Some(channels) = self.channels else {
            let usual = Channels::usual(count).unwrap_or(Channels::Rgb);
            if usual != Channels::Gray {
                assumed.push(format!("channels {}", format!("{usual:?}").to_uppercase()));
            }
            return Ok(usual);
        };
        match channels.count() == count {
            true => Ok(channels),
            false => Err(CardError::Misfit(format!(
                "it says {} channels, the network takes {count}",
                channels.count()
            ))),
        }
    }

    fn normalisation(
        &self,
        channels: usize,
        assumed: &mut Vec<String>,
    ) -> Result<(Vec<f32>, Vec<f32>), CardError> {
        if self.mean.is_none() && self.scale.is_none() {
            assumed.push(String::from("pixels brought to 0..1"));
        }
        let usual_scale = if self.mean.is_some() {
            1.0
        } else {
            1.0 / 255.0
        };
        Ok((
            per_channel("mean", self.mean.as_deref(), 0.0, channels)?,
            per_channel("scale", self.scale.as_deref(), usual_scale, channels)?,
        ))
    }

    /// What turns the *output* into probabilities: nothing, if the network
    /// does so itself.
    fn activation(&self, network: &NetworkFacts, assumed: &mut Vec<String>) -> OutputActivation {
        match (self.activation, network.normalised) {
            (Some(OutputActivation::None) | None, true) => OutputActivation::None,
            (Some(_), true) => {
                assumed.push(String::from(
                    "no further activation (the network ends in one, the card's would be a second)",
                ));
                OutputActivation::None
            }
            (Some(said), false) => said,
            (None, false) => {
                assumed.push(String::from("softmax over the output"));
                OutputActivation::Softmax
            }
        }
    }

    fn labels(&self, network: &NetworkFacts) -> Result<Vec<String>, CardError> {
        let labels = match &self.labels {
            Some(Labels::List(list)) => list.clone(),
            Some(Labels::File(path)) if !path.as_os_str().is_empty() => read_labels(path)?,
            _ => network.labels.clone(),
        };
        match labels.len() {
            0 => Ok(labels),
            n if n == network.classes => Ok(labels),
            n => Err(CardError::Misfit(format!(
                "it names {n} labels, the network has {} classes",
                network.classes
            ))),
        }
    }
}

fn per_channel(
    what: &str,
    said: Option<&[f32]>,
    usual: f32,
    channels: usize,
) -> Result<Vec<f32>, CardError> {
    let values = match said {
        None => vec![usual; channels],
        Some([one]) => vec![*one; channels],
        Some(all) => all.to_vec(),
    };
    if values.len() != channels {
        return Err(CardError::Misfit(format!(
            "{what} has {} numbers for {channels} channels",
            values.len()
        )));
    }
    match values.iter().all(|v| v.is_finite()) {
        true => Ok(values),
        false => Err(CardError::Misfit(format!("{what} is not finite"))),
    }
}

fn read_text(path: &Path) -> Result<String, CardError> {
    std::fs::read_to_string(path).map_err(|source| CardError::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// Labels of a text file, one a line. Where every line starts with its own
/// number (`0,tench`, `1: goldfish`), the numbers are not part of the labels.
///
/// # Errors
/// A file that cannot be read.
pub fn read_labels(path: &Path) -> Result<Vec<String>, CardError> {
    let text = read_text(path)?;
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
    let bare: Option<Vec<&str>> = lines
        .iter()
        .enumerate()
        .map(|(i, line)| unnumbered(line, i))
        .collect();
    let labels = bare.unwrap_or(lines);
    Ok(labels.into_iter().map(String::from).collect())
}

fn unnumbered(line: &str, index: usize) -> Option<&str> {
    let rest = line.strip_prefix(&index.to_string())?;
    let rest = rest.strip_prefix([',', ':', ';', '\t', ' '])?;
    Some(rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> NetworkFacts {
        NetworkFacts {
            input: Shape::new(8, 6, 3),
            layout: Layout::Nchw,
            classes: 2,
            normalised: false,
            labels: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }

    #[test]
    fn without_a_card_everything_is_said_to_be_assumed() {
        let done = PartialCard::default().complete(&facts()).unwrap();
        assert_eq!(
            done.assumed,
            [
                "channels RGB",
                "resize squash",
                "pixels brought to 0..1",
                "softmax over the output"
            ]
        );
        assert_eq!(done.card.scale, [1.0 / 255.0; 3]);
        assert_eq!(done.card.size, [8, 6]);
    }

    #[test]
    fn a_whole_card_leaves_nothing_to_assume() {
        let text = "size = [8, 6]\nresize = \"crop\"\nchannels = \"BGR\"\nmean = [1.0, 2.0, 3.0]\n\
                    scale = [0.5]\nactivation = \"sigmoid\"\nlabels = [\"a\", \"b\"]";
        let card: PartialCard = toml::from_str(text).unwrap();
        let done = card.complete(&facts()).unwrap();
        assert!(done.assumed.is_empty());
        assert_eq!(done.card.scale, [0.5; 3]);
        assert_eq!(done.card.channels, Channels::Bgr);
        assert_eq!(done.card.activation, OutputActivation::Sigmoid);
        assert_eq!(done.card.label(1), "b");
    }

    #[test]
    fn contradictions_are_named() {
        let wrong = [
            ("size = [6, 8]", "6x8"),
            ("channels = \"GRAY\"", "1 channels"),
            ("mean = [1.0, 2.0]", "2 numbers"),
            ("mean = [nan]", "not finite"),
            ("labels = [\"a\"]", "1 labels"),
        ];
        for (text, part) in wrong {
            let card: PartialCard = toml::from_str(text).unwrap();
            let message = card.complete(&facts()).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn a_network_that_ends_in_softmax_gets_no_second_one() {
        let network = NetworkFacts {
            normalised: true,
            ..facts()
        };
        let card: PartialCard = toml::from_str("activation = \"softmax\"").unwrap();
        let done = card.complete(&network).unwrap();
        assert_eq!(done.card.activation, OutputActivation::None);
        assert!(done.assumed.iter().any(|a| a.contains("second")));
    }

    #[test]
    fn numbered_label_files_lose_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("l.txt");
        std::fs::write(&file, "0,tench, Tinca\r\n1,goldfish\n").unwrap();
        assert_eq!(read_labels(&file).unwrap(), ["tench, Tinca", "goldfish"]);
        std::fs::write(&file, "0 tench\n7 goldfish\n").unwrap();
        assert_eq!(read_labels(&file).unwrap(), ["0 tench", "7 goldfish"]);
    }

    #[test]
    fn label_paths_are_relative_to_the_card() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("l.txt"), "x\ny\n").unwrap();
        let file = folder.path().join("m.card.toml");
        std::fs::write(&file, "labels = \"l.txt\"").unwrap();
        let card = PartialCard::from_toml_file(&file).unwrap();
        assert_eq!(
            card.labels,
            Some(Labels::List(vec!["x".into(), "y".into()]))
        );
        assert_eq!(
            PartialCard::beside(&folder.path().join("m.onnx")),
            Some(file)
        );
    }
}
