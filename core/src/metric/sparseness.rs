//! Sparseness (Chalasani et al. 2020, arXiv 1810.06583): do few pixels hold
//! most of the evidence?

use super::order::sort;
use super::pass::cut;
use super::subject::{Refusal, evidence, settle};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "sparseness",
    summary: "Gini index of the evidence: whether few pixels hold most of it",
    family: Family::Complexity,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Map,
    per_class: true,
    paper: "Chalasani et al. 2020, arXiv 1810.06583",
    parameters: &[],
};

/// Gini index of the evidence: 0 for an even map, 1 - 1/n for one of n pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sparseness;

fn gini(evidence: &[f32], scratch: &mut [f32]) -> Result<f64, Error> {
    let (sorted, _) = cut(scratch, evidence.len())?;
    for (to, weight) in sorted.iter_mut().zip(evidence) {
        *to = *weight;
    }
    sort(sorted, &|a, b| a < b);
    let n = sorted.len() as f64;
    let (mut ranked, mut all) = (0.0, 0.0);
    for (i, weight) in sorted.iter().enumerate() {
        ranked += (2.0 * i as f64 + 1.0 - n) * f64::from(*weight);
        all += f64::from(*weight);
    }
    let gini = ranked / (n * all);
    // Rounding may lead an even map below 0.
    Ok(if gini > 0.0 { gini } else { 0.0 })
}

impl Metric for Sparseness {
    fn cost(&self, input: Shape, _classes: usize, _explanation: Cost) -> Cost {
        Cost {
            scratch: input.area(),
            ..super::FREE
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        _witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        let mut found = || -> Result<f64, Refusal> {
            let evidence = evidence(subject, classifier.input())?;
            Ok(gini(evidence, scratch)?)
        };
        settle(found())
    }
}
