//! Completeness (Sundararajan et al. 2017, arXiv 1703.01365): does the
//! attribution add up to what it explains?

use super::pass::{check, cut, enough, score_of};
use super::subject::{Refusal, settle};
use super::table::baseline;
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::{Mask, Masked};
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "completeness",
    summary: "what an additive attribution's sum lacks to what it explains",
    family: Family::Faithfulness,
    range: [0.0, f64::INFINITY],
    better: Better::Lower,
    needs: Needs::Additive,
    per_class: true,
    paper: "Sundararajan et al. 2017, arXiv 1703.01365",
    parameters: &[baseline("black")],
};

/// |sum - (f(x) - f(b))| / |f(x) - f(b)|, where the sum is that of the raw
/// attribution, f the score that it explains, x the picture and b the
/// subject's fill in its place: 0 if the attribution adds up. Says something
/// only of attributions that mean to add up: whoever asks sees to it, since an
/// attribution does not say which method made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completeness;

impl Completeness {
    fn error(
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<f64, Refusal> {
        check(classifier, subject)?;
        let values = subject.attribution.values;
        enough(subject.attribution.shape.len(), values.len())?;
        if !values.iter().all(|v| v.is_finite()) {
            return Err(Refusal::Undefined("the attribution is not finite"));
        }
        let (scores, _) = cut(scratch, classifier.classes())?;
        let mut ask = |mask: Mask<'_>| {
            let x = Masked {
                picture: subject.picture,
                fill: subject.fill,
                mask,
            };
            classifier.classify(&x, subject.attribution.score, scores)?;
            score_of(scores, subject.target)
        };
        let nothing = Mask::Windows {
            boxes: &[],
            extra: None,
            reveal: true,
        };
        let difference = ask(Mask::Keep)? - ask(nothing)?;
        let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
        witness.part("sum", sum);
        witness.part("difference", difference);
        if difference == 0.0 {
            return Err(Refusal::Undefined("the fill has the picture's score"));
        }
        Ok(libm::fabs(sum - difference) / libm::fabs(difference))
    }
}

impl Metric for Completeness {
    fn cost(&self, _input: Shape, classes: usize, _explanation: Cost) -> Cost {
        Cost {
            forward: 2,
            backward: 0,
            scratch: classes,
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        settle(Self::error(classifier, subject, scratch, witness))
    }
}
