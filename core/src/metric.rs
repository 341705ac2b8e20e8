//! The metrics: one file each, one row each in the metric table.
//!
//! A metric is a plain struct of parameters with a `Default`. It says what it
//! needs and costs before it runs, and gives one number whose range and
//! direction its row states, or says why there is none: never NaN, and never
//! 0 in the place of a number that does not exist.
//!
//! **Evidence** is one weight of at least 0 for each pixel of the network's
//! input, row by row: the magnitude of gradients, what RISE puts above its
//! least value, the positive part of other maps. Metrics that rank pixels
//! rank evidence, the first pixel first among equals.

pub mod agreement;
mod average_drop;
mod average_gain;
mod average_increase;
mod average_sensitivity;
mod background_swap;
pub mod baseline;
pub mod bootstrap;
mod class_sensitivity;
mod completeness;
mod complexity;
mod consensus;
mod curve;
mod deletion;
mod energy;
mod faithfulness;
mod imputation;
mod infidelity;
mod insertion;
mod iosr;
mod keep_only;
mod lipschitz;
#[cfg(test)]
mod localization;
mod max_sensitivity;
mod mu_fidelity;
pub mod order;
mod pass;
mod perturb;
mod pic;
mod pointing_game;
mod portion;
mod randomisation;
pub mod region;
mod relevance;
mod remove_only;
mod road;
mod robustness;
#[cfg(test)]
mod sensitivity;
mod signed;
mod sparseness;
mod subject;
mod sufficient_region;
mod table;
#[cfg(test)]
mod tests;
mod top_k;
mod weighted;

use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::{Cost, Progress};
use crate::mask::Fill;
use crate::picture::Picture;
use crate::tensor::Shape;

pub use average_drop::AverageDrop;
pub use average_gain::AverageGain;
pub use average_increase::AverageIncrease;
pub use average_sensitivity::AverageSensitivity;
pub use background_swap::{BackgroundSwap, Foreground};
pub use class_sensitivity::ClassSensitivity;
pub use completeness::Completeness;
pub use complexity::Complexity;
pub use consensus::consensus;
pub use deletion::Deletion;
pub use energy::Energy;
pub use faithfulness::Faithfulness;
pub use infidelity::{Infidelity, Perturbation};
pub use insertion::Insertion;
pub use iosr::Iosr;
pub use keep_only::KeepOnly;
pub use lipschitz::Lipschitz;
pub use max_sensitivity::MaxSensitivity;
pub use mu_fidelity::MuFidelity;
pub use perturb::Noise;
pub use pic::{Measure, Pic};
pub use pointing_game::PointingGame;
pub use randomisation::{Randomisation, Similarity};
pub use relevance::{Pooling, RelevanceMass, RelevanceRank};
pub use remove_only::RemoveOnly;
pub use road::Road;
pub use robustness::Robustness;
pub use sparseness::Sparseness;
pub use sufficient_region::SufficientRegion;
pub use table::{Better, Family, METRICS, MetricRow, Needs};
pub use top_k::TopK;

/// A metric that asks nothing of the network.
const FREE: Cost = Cost {
    forward: 0,
    backward: 0,
    scratch: 0,
};

/// What a metric says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scored {
    /// A finite number in the range of the metric's row.
    Value(f64),
    /// There is no number, for this reason.
    Undefined(&'static str),
}

impl Scored {
    /// A number if it is finite.
    #[must_use]
    pub const fn finite(value: f64) -> Self {
        if value.is_finite() {
            Self::Value(value)
        } else {
            Self::Undefined("the score is not finite")
        }
    }

    /// The number, if there is one.
    #[must_use]
    pub const fn value(self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
            Self::Undefined(_) => None,
        }
    }
}

/// A map as its method made it, for metrics that need signs and channels.
#[derive(Clone, Copy, Debug)]
pub struct Attribution<'a> {
    /// Shape of the map: the input's, or one channel of the method's own resolution.
    pub shape: Shape,
    /// The map, HWC, raw and signed.
    pub values: &'a [f32],
    /// Score that it explains.
    pub score: Score,
}

/// What a metric judges: one map of one picture for one class.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The picture, of the classifier's input shape.
    pub picture: Picture<'a>,
    /// What shows where pixels are taken away.
    pub fill: Fill<'a>,
    /// The class that the map explains.
    pub target: usize,
    /// Evidence, one weight a pixel of the input, row by row.
    pub evidence: &'a [f32],
    /// The map itself.
    pub attribution: Attribution<'a>,
    /// Where the object is: one byte a pixel of the input, not 0 inside.
    /// `None` where nobody said.
    pub region: Option<&'a [u8]>,
    /// Other pictures of the input's shape, to put behind what is kept.
    pub backgrounds: &'a [Picture<'a>],
    /// Key of every random number.
    pub seed: u64,
}

/// Makes maps with the method that is judged.
pub trait Explain {
    /// Writes the evidence of `picture` for `target` into `evidence`, one weight
    /// a pixel of the input; `Ok(false)` if the map is flat or undefined.
    /// `classifier` is the one to ask.
    ///
    /// # Errors
    /// What the method reports.
    fn evidence(
        &mut self,
        classifier: &mut dyn Classifier,
        picture: Picture<'_>,
        target: usize,
        evidence: &mut [f32],
    ) -> Result<bool, Error>;

    /// The same for the network with random weights: all weight layers from the
    /// output down to number `depth` (from 0, at the output) if `cascading`, else
    /// this one alone. `Ok(None)` if it has no layer `depth`.
    ///
    /// # Errors
    /// [`Error::NotWhiteBox`] where weights cannot be changed; what the method reports.
    fn randomised(
        &mut self,
        depth: usize,
        cascading: bool,
        seed: u64,
        picture: Picture<'_>,
        target: usize,
        evidence: &mut [f32],
    ) -> Result<Option<bool>, Error>;
}

/// Explains nothing: for metrics that judge a finished map.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finished;

impl Explain for Finished {
    fn evidence(
        &mut self,
        _classifier: &mut dyn Classifier,
        _picture: Picture<'_>,
        _target: usize,
        _evidence: &mut [f32],
    ) -> Result<bool, Error> {
        Err(Error::BadOrder)
    }

    fn randomised(
        &mut self,
        _depth: usize,
        _cascading: bool,
        _seed: u64,
        _picture: Picture<'_>,
        _target: usize,
        _evidence: &mut [f32],
    ) -> Result<Option<bool>, Error> {
        Err(Error::NotWhiteBox)
    }
}

/// Told how far a metric is, and what it saw on the way.
pub trait Witness: Progress {
    /// A point of the curve that the metric integrates: which share of the
    /// picture was changed, 0 to 1, and the score then. A metric with two
    /// curves names them.
    fn point(&mut self, curve: &'static str, share: f64, score: f64);

    /// A number that went into the score.
    fn part(&mut self, name: &'static str, value: f64);
}

impl Witness for crate::explain::Silent {
    fn point(&mut self, _curve: &'static str, _share: f64, _score: f64) {}
    fn part(&mut self, _name: &'static str, _value: f64) {}
}

/// A metric.
pub trait Metric {
    /// Passes through the network and scratch, for a classifier with this input
    /// and so many classes; `forward` counts the passes of explanations that are
    /// made anew as `explanation` says.
    fn cost(&self, input: Shape, classes: usize, explanation: Cost) -> Cost;

    /// The score of `subject`, with `scratch` as stated by [`Metric::cost`].
    ///
    /// # Errors
    /// Short buffers, a target out of range, and what the classifier or the
    /// method reports; [`Error::Stopped`].
    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error>;
}
