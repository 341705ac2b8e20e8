//! Bits against bits.

use serde::{Deserialize, Serialize};

use super::Host;
use super::agreement::Agreement;
use super::answer::Cost;
use crate::explainer::SaliencyMap;
use crate::method_spec::MethodSpec;
use crate::report::sentence::Evidence;

/// Largest difference that still counts as within tolerance, relative to the
/// largest value: what 24-bit sums in another order may differ by.
pub const TOLERANCE: f64 = 1e-5;

/// What a tensor is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Logits or probabilities.
    #[default]
    Scores,
    /// Output of a node.
    Layer,
    /// A saliency map.
    Map,
}

/// One tensor on both sides.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What it is.
    pub name: String,
    /// Number of values.
    pub values: usize,
    /// How many have other bits; all of them where the sizes differ.
    pub different: usize,
    /// Largest absolute difference; infinite with a NaN or another size.
    pub largest: f64,
    /// Largest absolute value on the host.
    pub scale: f64,
    /// What kind of tensor it is.
    pub kind: Kind,
    /// The largest difference in steps of the integers that the values were,
    /// if they were.
    pub steps: Option<f64>,
    /// The operator, of a layer.
    pub op: Option<String>,
    /// How far two maps agree.
    pub agreement: Option<Agreement>,
    /// What it cost on the board, where that was measured.
    pub cost: Option<Cost>,
    /// What is not the same besides the numbers.
    pub remark: Option<String>,
}

impl Comparison {
    /// Of the same tensor on the host and on a device.
    pub(crate) fn new(name: &str, host: &[f32], device: &[f32]) -> Self {
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
            kind: Kind::Scores,
            steps: None,
            op: None,
            agreement: None,
            cost: None,
            remark: (!same_size).then(|| format!("{} values on the board", device.len())),
        }
    }

    /// As it is of values that were integers times `step`.
    pub(crate) fn in_steps(mut self, step: Option<f32>) -> Self {
        self.steps = step.map(|step| self.largest / f64::from(step));
        self
    }

    /// Whether every bit is the same.
    pub fn is_exact(&self) -> bool {
        self.different == 0 && self.remark.is_none()
    }

    /// What the ranking of two maps lacks to being the same: 0 for the same
    /// bits, else one minus Spearman's correlation, where there is none 1.
    pub fn drift(&self) -> Option<f64> {
        let agreement = self.agreement?;
        Some(match self.different {
            0 => 0.0,
            _ => 1.0 - agreement.spearman.unwrap_or(0.0),
        })
    }

    /// Whether no value differs by more than `tolerance` of the largest value.
    pub fn is_close(&self, tolerance: f64) -> bool {
        self.remark.is_none() && self.largest <= tolerance * self.scale
    }
}

impl Host {
    /// Logits and probabilities of a device.
    pub(crate) fn scores(&self, logits: &[f32], probabilities: &[f32]) -> [Comparison; 2] {
        let [step, other] = self.steps;
        [
            Comparison::new("logits", &self.logits, logits).in_steps(step),
            Comparison::new("probabilities", &self.probabilities, probabilities).in_steps(other),
        ]
    }

    /// The output of a node on a device; `None` for one that the host does not have.
    pub(crate) fn layer(&self, index: usize, values: &[f32]) -> Option<Comparison> {
        let layer = self.layers.get(index)?;
        let name = format!("layer {index} {}", layer.name);
        Some(Comparison {
            kind: Kind::Layer,
            op: Some(layer.op.clone()),
            ..Comparison::new(&name, &layer.values, values).in_steps(layer.step)
        })
    }

    /// The map of a device, and what became of it there, in the words of
    /// [`super::outcome_text`]; `None` for one that the host was not asked.
    pub(crate) fn map(
        &self,
        spec: &MethodSpec,
        values: &[f32],
        outcome: &str,
    ) -> Option<Comparison> {
        let (_, map) = self.maps.iter().find(|(asked, _)| asked == spec)?;
        let ours = as_made(map, values.len());
        let magnitude = map.evidence() == Evidence::Magnitude;
        let mut compared = Comparison {
            kind: Kind::Map,
            agreement: Some(Agreement::of(&ours, values, magnitude)),
            ..Comparison::new(&spec.to_string(), &ours, values)
        };
        let host = super::outcome_text(&map.outcome);
        if host != outcome {
            compared.remark = Some(format!("{host} on the host, {outcome} on the board"));
        }
        Some(compared)
    }
}

/// The host repeats a map that all channels share; a board writes it once.
fn as_made(map: &SaliencyMap, device: usize) -> Vec<f32> {
    let channels = map.shape.c;
    if channels > 1 && device * channels == map.values.len() {
        return map.values.iter().step_by(channels).copied().collect();
    }
    map.values.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_zero_has_other_bits_but_is_close() {
        let c = Comparison::new("x", &[0.0, 1.0], &[-0.0, 1.0]);
        assert_eq!((c.values, c.different), (2, 1));
        assert!(!c.is_exact() && c.is_close(TOLERANCE));
    }

    #[test]
    fn sizes_that_differ_are_neither_exact_nor_close() {
        let c = Comparison::new("x", &[1.0, 2.0], &[1.0]);
        assert_eq!(c.different, 2);
        assert!(!c.is_exact() && !c.is_close(TOLERANCE));
    }

    #[test]
    fn rounding_is_close_and_more_is_not() {
        let with = |other| Comparison::new("x", &[1000.0], &[other]);
        assert!(with(1000.005).is_close(TOLERANCE) && !with(1000.005).is_exact());
        assert!(!with(1000.02).is_close(TOLERANCE) && with(1000.02).is_close(1e-4));
        assert!(!with(f32::NAN).is_exact() && !with(f32::NAN).is_close(1.0));
    }

    #[test]
    fn steps_count_from_the_largest_difference() {
        let c = Comparison::new("x", &[1.0, 0.5], &[1.25, 0.5]).in_steps(Some(0.125));
        assert_eq!(c.steps, Some(2.0));
        assert_eq!(Comparison::new("x", &[], &[]).in_steps(None).steps, None);
    }
}
