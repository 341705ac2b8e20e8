//! What is asked of each picture, and of which pictures.

use foveola_core::Error;

use crate::card::Card;
use crate::method_spec::MethodSpec;
use crate::metric_spec::MetricSpec;
use crate::model::{OpenModel, Unit};
use crate::uncertainty::Setting;

use super::data::DataSet;
use super::nearest::{Features, Neighbours};
use super::record::Names;

/// Everything that a worker needs; workers share it.
#[derive(Debug)]
pub struct Inquiry {
    pub model: OpenModel,
    pub data: DataSet,
    pub methods: Vec<MethodSpec>,
    /// Whether a random map and one of the middle are scored beside the methods.
    pub baselines: bool,
    pub metrics: Vec<MetricSpec>,
    pub uncertainty: Option<Setting>,
    /// HOC, asked about every predicted class.
    pub hoc: Option<MethodSpec>,
    pub threshold: f32,
    pub seed: u64,
    /// Whether the pictures are kept.
    pub pictures: bool,
    /// Training pictures, read before the first picture.
    pub train: Option<Train>,
    /// The unit that is asked about instead of classes: the model is cut there.
    pub unit: Option<AskedUnit>,
}

/// A unit of the network, and the card of the whole network.
#[derive(Debug)]
pub struct AskedUnit {
    pub unit: Unit,
    pub card: Card,
}

/// Training pictures, to find those nearest to doubtful ones.
#[derive(Debug)]
pub struct Train {
    pub features: Features,
    pub neighbours: Neighbours,
}

/// A map that explains nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// Uniform random evidence.
    Random,
    /// Evidence in the middle.
    Centre,
}

impl Nothing {
    pub const ALL: [Self; 2] = [Self::Random, Self::Centre];

    /// As methods are named.
    pub const fn spec(self) -> &'static str {
        match self {
            Self::Random => "baseline:map=random",
            Self::Centre => "baseline:map=centre",
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::Random => "Random map",
            Self::Centre => "Middle of the picture",
        }
    }
}

impl Inquiry {
    /// The baselines that are scored.
    pub const fn nothings(&self) -> &'static [Nothing] {
        match self.baselines && !self.metrics.is_empty() {
            true => &Nothing::ALL,
            false => &[],
        }
    }

    /// Why the model failed: in the device's own words where it was one.
    pub fn reason(&self, error: Error) -> String {
        let device = match error {
            Error::Backend => self.model.failure(),
            _ => None,
        };
        device.map_or_else(|| error.to_string(), |failure| failure.to_string())
    }

    /// The names that rows carry.
    pub fn names(&self) -> Names {
        let methods = self.methods.iter().map(ToString::to_string);
        let nothings = self.nothings().iter().map(|n| n.spec().to_string());
        Names {
            labels: self.model.card.labels.clone(),
            methods: methods.chain(nothings).collect(),
            metrics: self.metrics.iter().map(ToString::to_string).collect(),
        }
    }

    /// Methods and HOC: what the model must be started for.
    pub fn asked(&self) -> Vec<MethodSpec> {
        self.methods.iter().chain(&self.hoc).cloned().collect()
    }
}
