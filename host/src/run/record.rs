//! One picture of a run, before it is written.

use super::view::{MapValues, Sample};

/// Everything that is kept of one picture.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What is known about it.
    pub sample: Sample,
    /// The maps, answer by answer and method by method; without values where
    /// there is no map, and for baselines.
    pub maps: Vec<MapValues>,
    /// What the network saw, as PNG.
    pub picture: Option<Vec<u8>>,
}

/// The names that rows carry.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The model's labels.
    pub labels: Vec<String>,
    /// The methods, as they were asked for.
    pub methods: Vec<String>,
    /// The metrics, as they were asked for.
    pub metrics: Vec<String>,
}
