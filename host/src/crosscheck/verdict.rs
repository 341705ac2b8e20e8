//! One word for what was found.

use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Kind};
use super::{Host, Identity};

/// What a comparison comes to: the first of these words that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Verdict {
    /// The device has another picture.
    InputDiffers,
    /// The device runs another model file.
    ModelDiffers,
    /// Every bit is the same.
    BitExact,
    /// Differences that rounding explains.
    WithinTolerance,
    /// The same class for other reasons.
    LabelSameEvidenceDiffers,
    /// Another class.
    LabelDiffers,
    /// The device did not answer, or not all of it.
    DeviceError,
}

impl Verdict {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::InputDiffers,
        Self::ModelDiffers,
        Self::BitExact,
        Self::WithinTolerance,
        Self::LabelSameEvidenceDiffers,
        Self::LabelDiffers,
        Self::DeviceError,
    ];

    /// Of a device that answered everything.
    pub(super) fn of<'c>(
        host: &Host,
        device: &Identity,
        comparisons: impl Iterator<Item = &'c Comparison> + Clone,
        tolerance: f64,
    ) -> Self {
        if !device.has_input_of(host) {
            return Self::InputDiffers;
        }
        if device.model != host.digest {
            return Self::ModelDiffers;
        }
        if comparisons.clone().all(Comparison::is_exact) {
            return Self::BitExact;
        }
        if comparisons.clone().all(|c| c.is_close(tolerance)) {
            return Self::WithinTolerance;
        }
        match device.best == Some(host.best()) {
            true => Self::LabelSameEvidenceDiffers,
            false => Self::LabelDiffers,
        }
    }

    /// Whether a pipeline may go on.
    pub const fn passes(self) -> bool {
        matches!(self, Self::BitExact | Self::WithinTolerance)
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InputDiffers => "INPUT-DIFFERS",
            Self::ModelDiffers => "MODEL-DIFFERS",
            Self::BitExact => "BIT-EXACT",
            Self::WithinTolerance => "WITHIN-TOLERANCE",
            Self::LabelSameEvidenceDiffers => "LABEL-SAME-EVIDENCE-DIFFERS",
            Self::LabelDiffers => "LABEL-DIFFERS",
            Self::DeviceError => "DEVICE-ERROR",
        }
    }
}

/// The comparisons that a method's own verdict rests on: the scores, its map.
pub(super) fn about<'c>(
    comparisons: &'c [Comparison],
    map: &'c Comparison,
) -> impl Iterator<Item = &'c Comparison> + Clone {
    let scores = comparisons.iter().filter(|c| c.kind == Kind::Scores);
    scores.chain(std::iter::once(map))
}
