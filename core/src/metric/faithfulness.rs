//! Faithfulness as MindSpore XAI's naive metric has it: groups of pixels are
//! taken away one by one, and the score should be the lower, the stronger the
//! group's evidence.
//!
//! The groups are of equal size, by rank, disjoint, from the strongest pixel
//! on. The score is minus Pearson's correlation of the groups' mean evidence
//! with the scores without them. (MindSpore maps it from -1..1 to 0..1 and
//! gives 0.5 where it is undefined.)

use super::agreement::pearson;
use super::order::{ranks, room};
use super::pass::{Answer, Ask, Passes, check, cut, unranked};
use super::table::{SCORE, baseline, parameter};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::{Fill, Mask, Masked};
use crate::picture::MAX_CHANNELS;
use crate::tensor::Shape;
use core::ops::Range;

pub(super) const ROW: MetricRow = MetricRow {
    name: "faithfulness",
    summary: "minus the correlation of evidence with the score when it is taken away",
    family: Family::Faithfulness,
    range: [-1.0, 1.0],
    better: Better::Higher,
    needs: Needs::Scores,
    per_class: true,
    paper: "naive faithfulness, MindSpore XAI 1.5",
    parameters: &[
        parameter(
            "groups",
            "root of the pixels, 32 at most",
            "groups of pixels",
        ),
        SCORE,
        baseline("black"),
        parameter(
            "compat",
            "none",
            "mindspore: MindSpore XAI's numbers, from 0 to 1, with 0 in model space",
        ),
    ],
};

/// Most groups that nobody asked for.
const MOST_GROUPS: usize = 32;

/// Correlation of evidence and score, group by group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faithfulness {
    /// Groups, which hold half of the pixels together; `None`: the root of
    /// their number, 32 at most.
    pub groups: Option<usize>,
    /// Score of the picture without a group.
    pub score: Score,
    /// MindSpore XAI's numbers; `groups` and the subject's fill then do not count.
    pub mindspore: bool,
}

impl Default for Faithfulness {
    fn default() -> Self {
        Self {
            groups: None,
            score: Score::Probability,
            mindspore: false,
        }
    }
}

impl Faithfulness {
    /// Number of groups, and pixels of each.
    fn groups(&self, area: usize) -> (usize, usize) {
        let root = area.isqrt();
        let groups = match self.groups {
            _ if self.mindspore => root,
            Some(groups) => groups.min(area / 2),
            None => root.min(MOST_GROUPS),
        };
        (groups, area / 2 / groups.max(1))
    }

    /// What the correlation becomes.
    fn settle(&self, correlation: Scored) -> Scored {
        match correlation {
            Scored::Value(value) if self.mindspore => Scored::Value((1.0 - value) / 2.0),
            Scored::Value(value) => Scored::Value(-value),
            Scored::Undefined(_) if self.mindspore => Scored::Value(0.5),
            undefined @ Scored::Undefined(_) => undefined,
        }
    }

    /// The score without each group.
    fn ask(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        (ranks, pixels, predictions): (&[u32], usize, &mut [f32]),
        scores: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<(), Error> {
        let groups = predictions.len();
        let fill = if self.mindspore {
            Fill::Colour([0.0; MAX_CHANNELS])
        } else {
            subject.fill
        };
        let view = |i: usize| Masked {
            picture: subject.picture,
            fill,
            mask: Mask::Ranked {
                ranks,
                from: group(i, pixels).start,
                to: group(i, pixels).end,
                reveal: false,
            },
        };
        let mut ask = Ask {
            score: self.score,
            target: subject.target,
            scores,
        };
        let mut sink = |i: usize, answer: Answer, _: &mut dyn Witness| {
            if let Some(place) = predictions.get_mut(i) {
                *place = answer.score as f32;
            }
        };
        let mut passes = Passes::new(witness, groups);
        ask.all(classifier, groups, &view, &mut passes, &mut sink)
    }
}

/// The ranks of group `i`.
const fn group(i: usize, pixels: usize) -> Range<u32> {
    (i * pixels) as u32..((i + 1) * pixels) as u32
}

/// Mean evidence of each group.
fn means(evidence: &[f32], ranks: &[u32], pixels: usize, out: &mut [f32]) {
    for (i, mean) in out.iter_mut().enumerate() {
        let inside = group(i, pixels);
        let own = evidence.iter().zip(ranks);
        let own = own.filter(|(_, rank)| inside.contains(rank));
        let sum: f64 = own.map(|(value, _)| f64::from(*value)).sum();
        *mean = (sum / pixels as f64) as f32;
    }
}

/// Pearson's correlation, or why there is none.
fn correlate(importance: &[f32], predictions: &[f32]) -> Scored {
    let still = |values: &[f32]| values.iter().all(|v| Some(v) == values.first());
    if still(predictions) {
        Scored::Undefined("the score never moves")
    } else if still(importance) {
        Scored::Undefined("all groups have the same evidence")
    } else {
        pearson(importance, predictions)
    }
}

impl Metric for Faithfulness {
    fn cost(&self, input: Shape, classes: usize, _explanation: Cost) -> Cost {
        let (groups, _) = self.groups(input.area());
        Cost {
            forward: groups as u64,
            backward: 0,
            scratch: room(input.area()) + classes + 2 * groups,
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
        if self.groups == Some(0) {
            return Err(Error::BadParameter("groups of pixels"));
        }
        let input = check(classifier, subject)?;
        let evidence = subject.evidence.get(..input.area()).unwrap_or_default();
        if let Some(reason) = unranked(evidence) {
            return Ok(self.settle(Scored::Undefined(reason)));
        }
        let (groups, pixels) = self.groups(input.area());
        if groups < 2 || pixels == 0 {
            return Ok(self.settle(Scored::Undefined("the picture has too few pixels")));
        }
        let (scores, scratch) = cut(scratch, classifier.classes())?;
        let (importance, scratch) = cut(scratch, groups)?;
        let (predictions, scratch) = cut(scratch, groups)?;
        let ranks = ranks(evidence, scratch)?;
        means(evidence, ranks, pixels, importance);
        let asked = (ranks, pixels, &mut *predictions);
        self.ask(classifier, subject, asked, scores, witness)?;
        Ok(self.settle(correlate(importance, predictions)))
    }
}
