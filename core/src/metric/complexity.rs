//! Complexity (Bhatt et al. 2020, arXiv 2005.00631): over how many pixels is
//! the evidence spread?

use super::subject::{Refusal, evidence, settle};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "complexity",
    summary: "entropy of the evidence: over how many pixels it is spread",
    family: Family::Complexity,
    range: [0.0, f64::INFINITY],
    better: Better::Lower,
    needs: Needs::Map,
    per_class: true,
    paper: "Bhatt et al. 2020, arXiv 2005.00631",
    parameters: &[],
};

/// Entropy in nats of the pixels' shares of the evidence: 0 for one pixel, the
/// logarithm of the number of pixels for an even map. The part `pixels` is its
/// exponential: as many pixels of equal weight would say as much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Complexity;

fn entropy(evidence: &[f32]) -> f64 {
    let weights = || evidence.iter().filter(|w| **w > 0.0);
    let all: f64 = weights().map(|&w| f64::from(w)).sum();
    let term = |w: &f32| {
        let share = f64::from(*w) / all;
        share * libm::log(share)
    };
    // Adding 0 turns the -0 of one pixel into 0.
    0.0 - weights().map(term).sum::<f64>()
}

impl Metric for Complexity {
    fn cost(&self, _input: Shape, _classes: usize, _explanation: Cost) -> Cost {
        super::FREE
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        _scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        let mut found = || -> Result<f64, Refusal> {
            let entropy = entropy(evidence(subject, classifier.input())?);
            witness.part("pixels", libm::exp(entropy));
            Ok(entropy)
        };
        settle(found())
    }
}
