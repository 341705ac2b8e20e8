//! Class sensitivity (MindSpore XAI 1.5): do the most and the least likely
//! class have different maps?

use super::agreement::pearson;
use super::pass::{Passes, cut, enough, score_of};
use super::subject::{NO_MAP, Refusal, number, settle};
use super::table::COMPAT;
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::Masked;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "class-sensitivity",
    summary: "how little the maps of the best and the worst class have in common",
    family: Family::Sensitivity,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Maps,
    per_class: false,
    paper: "class sensitivity, MindSpore XAI 1.5",
    parameters: &[COMPAT],
};

/// (1 - r) / 2, r being Pearson's correlation of the evidence for the classes
/// with the greatest and the least logit, the first among equals: 0 if the maps
/// are the same, 1 if one is the other's negative. Where one of the classes has
/// no map MindSpore XAI takes r for 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassSensitivity {
    /// MindSpore XAI's number where a class has no map.
    pub mindspore: bool,
}

impl ClassSensitivity {
    fn compare(
        self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<f64, Refusal> {
        let input = classifier.input();
        subject.picture.check(input)?;
        let (scores, rest) = cut(scratch, classifier.classes())?;
        classifier.classify(&Masked::whole(subject.picture), Score::Logit, scores)?;
        let [best, worst] = extremes(scores)?;
        let (first, rest) = cut(rest, input.area())?;
        enough(input.area(), rest.len())?;
        let (second, _) = cut(rest, input.area())?;
        let mut passes = Passes::new(witness, 2);
        for (class, map) in [(best, &mut *first), (worst, &mut *second)] {
            let there = explain.evidence(classifier, subject.picture, class, map)?;
            passes.step()?;
            match (there, self.mindspore) {
                (true, _) => {}
                (false, true) => return Ok(0.5),
                (false, false) => return Err(Refusal::Undefined(NO_MAP)),
            }
        }
        Ok((1.0 - number(pearson(first, second))?) / 2.0)
    }
}

/// The classes with the greatest and the least score.
fn extremes(scores: &[f32]) -> Result<[usize; 2], Refusal> {
    let [mut best, mut worst] = [0; 2];
    let (mut most, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
    for class in 0..scores.len() {
        let score = score_of(scores, class)?;
        if score > most {
            (best, most) = (class, score);
        }
        if score < least {
            (worst, least) = (class, score);
        }
    }
    match best == worst {
        true => Err(Refusal::Undefined("all classes have the same score")),
        false => Ok([best, worst]),
    }
}

impl Metric for ClassSensitivity {
    fn cost(&self, input: Shape, classes: usize, explanation: Cost) -> Cost {
        Cost {
            forward: 1 + 2 * explanation.forward,
            backward: 2 * explanation.backward,
            scratch: classes + 2 * input.area(),
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        settle(self.compare(classifier, subject, explain, scratch, witness))
    }
}
