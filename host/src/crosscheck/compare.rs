//! Bits against bits.

use super::answer::{Answer, AnswerError, Cost};
use super::host::first_best;
use super::{Host, Inquiry, outcome_text};
use crate::explainer::SaliencyMap;

/// Largest difference that still counts as within tolerance, relative to the
/// largest value: what 24-bit sums in another order may differ by.
const TOLERANCE: f64 = 1e-5;

/// One tensor on both sides.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What it is.
    pub name: String,
    /// Number of values.
    pub values: usize,
    /// How many have other bits; all of them where the sizes differ.
    pub different: usize,
    /// Largest absolute difference.
    pub largest: f64,
    /// Largest absolute value on the host.
    pub scale: f64,
    /// Whether it is a map.
    pub is_map: bool,
    /// What it cost on the board, where that was measured.
    pub cost: Option<Cost>,
    /// What is not the same besides the numbers.
    pub remark: Option<String>,
}

impl Comparison {
    fn new(name: &str, host: &[f32], device: &[f32]) -> Self {
        let pairs = || host.iter().zip(device);
        let changed = pairs().filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        let distance = |(a, b): (&f32, &f32)| {
            let d = (f64::from(*a) - f64::from(*b)).abs();
            // `max` would pass over NaN.
            if d.is_nan() { f64::INFINITY } else { d }
        };
        let same_size = host.len() == device.len();
        Self {
            name: name.to_owned(),
            values: host.len(),
            different: if same_size { changed } else { host.len() },
            largest: if same_size {
                pairs().map(distance).fold(0.0, f64::max)
            } else {
                f64::INFINITY
            },
            scale: host.iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max),
            is_map: false,
            cost: None,
            remark: (!same_size).then(|| format!("{} values on the board", device.len())),
        }
    }

    /// Whether every bit is the same.
    pub fn is_exact(&self) -> bool {
        self.different == 0 && self.remark.is_none()
    }

    fn is_close(&self) -> bool {
        self.remark.is_none() && self.largest <= TOLERANCE * self.scale
    }
}

/// Compares everything that both sides have.
pub(super) fn all(
    host: &Host,
    answer: &Answer,
    inquiry: &Inquiry<'_>,
) -> Result<Vec<Comparison>, AnswerError> {
    let mut logits = Comparison::new("logits", &host.logits, &answer.floats("logits.bin")?);
    logits.cost = Some(answer.cost("classify")?);
    let probabilities = answer.floats("probabilities.bin")?;
    let mut all = vec![
        logits,
        Comparison::new("probabilities", &host.probabilities, &probabilities),
    ];
    for (i, (name, values)) in host.layers.iter().enumerate() {
        let device = answer.floats(&format!("layer{i}.bin"))?;
        all.push(Comparison::new(
            &format!("layer {i} {name}"),
            values,
            &device,
        ));
    }
    for (i, spec) in inquiry.methods.iter().enumerate() {
        let Some((_, map)) = host.maps.iter().find(|(asked, _)| asked == spec) else {
            continue;
        };
        let device = answer.floats(&format!("map{i}.bin"))?;
        let mut compared = Comparison::new(&spec.to_string(), &as_made(map, device.len()), &device);
        compared.is_map = true;
        compared.cost = Some(answer.cost(&format!("cost.{i}"))?);
        let (ours, theirs) = (
            outcome_text(&map.outcome),
            answer.text(&format!("outcome.{i}"))?,
        );
        if ours != theirs {
            compared.remark = Some(format!("{ours} on the host, {theirs} on the board"));
        }
        all.push(compared);
    }
    Ok(all)
}

/// The host repeats a map that all channels share; a board writes it once.
fn as_made(map: &SaliencyMap, device: usize) -> Vec<f32> {
    let channels = map.shape.c;
    if channels > 1 && device * channels == map.values.len() {
        return map.values.iter().step_by(channels).copied().collect();
    }
    map.values.clone()
}

/// What a comparison comes to, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The board runs another model file.
    ModelDiffers,
    /// Every bit is the same.
    BitExact,
    /// Differences that rounding explains.
    WithinTolerance,
    /// The same class for other reasons.
    LabelSameEvidenceDiffers,
    /// Another class.
    LabelDiffers,
}

impl Verdict {
    pub(super) fn of(host: &Host, answer: &Answer, comparisons: &[Comparison]) -> Self {
        if answer.text("model").ok() != Some(&host.digest) {
            return Self::ModelDiffers;
        }
        if comparisons.iter().all(Comparison::is_exact) {
            return Self::BitExact;
        }
        if comparisons.iter().all(Comparison::is_close) {
            return Self::WithinTolerance;
        }
        let device = answer.floats("logits.bin").unwrap_or_default();
        if first_best(&device) == first_best(&host.logits) {
            Self::LabelSameEvidenceDiffers
        } else {
            Self::LabelDiffers
        }
    }

    /// Whether a pipeline may go on.
    pub const fn passes(self) -> bool {
        matches!(self, Self::BitExact | Self::WithinTolerance)
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ModelDiffers => "MODEL-DIFFERS",
            Self::BitExact => "BIT-EXACT",
            Self::WithinTolerance => "WITHIN-TOLERANCE",
            Self::LabelSameEvidenceDiffers => "LABEL-SAME-EVIDENCE-DIFFERS",
            Self::LabelDiffers => "LABEL-DIFFERS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_zero_has_other_bits_but_is_close() {
        let c = Comparison::new("x", &[0.0, 1.0], &[-0.0, 1.0]);
        assert_eq!((c.values, c.different), (2, 1));
        assert!(!c.is_exact() && c.is_close());
    }

    #[test]
    fn sizes_that_differ_are_neither_exact_nor_close() {
        let c = Comparison::new("x", &[1.0, 2.0], &[1.0]);
        assert_eq!(c.different, 2);
        assert!(!c.is_exact() && !c.is_close());
    }

    #[test]
    fn rounding_is_close_and_more_is_not() {
        let with = |other| Comparison::new("x", &[1000.0], &[other]);
        assert!(with(1000.005).is_close() && !with(1000.005).is_exact());
        assert!(!with(1000.02).is_close());
        assert!(!with(f32::NAN).is_exact() && !with(f32::NAN).is_close());
    }
}
