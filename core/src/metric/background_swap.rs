//! Background swap: does the class stay when what counts as evidence stands
//! before other backgrounds? A network that looks at the background says no.
//!
//! The score is the share of the backgrounds before which the class stays: no
//! class passes it that did not before. Its parts are the mean `ratio` of the
//! probabilities, and the number of `backgrounds`.

use super::order::{ranks, room};
use super::pass::{Answer, Ask, Passes, check, cut, enough, pixels, unranked};
use super::portion::{SHARE, USUAL_SHARE};
use super::table::parameter;
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::{Fill, Mask, Masked};
use crate::picture::Picture;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "background-swap",
    summary: "share of other backgrounds before which the class stays",
    family: Family::Faithfulness,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Scores,
    per_class: true,
    paper: "Xiao et al. 2020, arXiv 2006.09994",
    parameters: &[
        parameter(
            "keep",
            "evidence",
            "evidence: the strongest share of the pixels stays; region: the object does",
        ),
        SHARE,
        parameter("backgrounds", "8", "backgrounds used, at most"),
    ],
};

/// What is kept of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Foreground {
    /// The strongest evidence.
    #[default]
    Evidence,
    /// The object, as the subject has it.
    Region,
}

/// Whether the class stays before other backgrounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackgroundSwap {
    /// What is kept of the picture.
    pub keep: Foreground,
    /// Share of the pixels that is the strongest evidence, between 0 and 1.
    pub share: f32,
    /// Backgrounds used, at most; the first ones of the subject.
    pub backgrounds: usize,
}

impl Default for BackgroundSwap {
    fn default() -> Self {
        Self {
            keep: Foreground::Evidence,
            share: USUAL_SHARE,
            backgrounds: 8,
        }
    }
}

impl BackgroundSwap {
    /// What shows of the picture, or why that is no foreground.
    fn mask<'s>(
        &self,
        subject: &Subject<'_>,
        area: usize,
        scratch: &'s mut [f32],
    ) -> Result<Result<Mask<'s>, &'static str>, Error> {
        match self.keep {
            Foreground::Evidence => {
                let to = pixels(self.share, area)?;
                let evidence = subject.evidence.get(..area).unwrap_or_default();
                if let Some(reason) = unranked(evidence) {
                    return Ok(Err(reason));
                }
                let (from, reveal) = (0, true);
                let ranks = ranks(evidence, scratch)?;
                Ok(Ok(Mask::Ranked {
                    ranks,
                    from,
                    to,
                    reveal,
                }))
            }
            Foreground::Region => {
                let Some(region) = subject.region else {
                    return Ok(Err("nobody said where the object is"));
                };
                enough(area, region.len())?;
                let (weights, _) = cut(scratch, area)?;
                for (weight, inside) in weights.iter_mut().zip(region) {
                    *weight = if *inside == 0 { 0.0 } else { 1.0 };
                }
                let inside = weights.iter().filter(|w| **w > 0.0).count();
                Ok(match inside {
                    0 => Err("the object covers nothing of the picture"),
                    inside if inside == area => Err("the object covers all of the picture"),
                    _ => Ok(Mask::Soft(weights)),
                })
            }
        }
    }
}

impl Metric for BackgroundSwap {
    fn cost(&self, input: Shape, classes: usize, _explanation: Cost) -> Cost {
        Cost {
            forward: self.backgrounds as u64 + 1,
            backward: 0,
            scratch: classes
                + match self.keep {
                    Foreground::Evidence => room(input.area()),
                    Foreground::Region => input.area(),
                },
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
        let input = check(classifier, subject)?;
        if classifier.classes() < 2 {
            return Ok(Scored::Undefined("the network has one class"));
        }
        let (scores, scratch) = cut(scratch, classifier.classes())?;
        let mask = match self.mask(subject, input.area(), scratch)? {
            Err(reason) => return Ok(Scored::Undefined(reason)),
            Ok(mask) => mask,
        };
        let backgrounds = subject.backgrounds;
        let count = backgrounds.len().min(self.backgrounds);
        if count == 0 {
            return Ok(Scored::Undefined("there are no other backgrounds"));
        }
        let backgrounds = backgrounds.get(..count).unwrap_or_default();
        let [before, stays, mean] =
            swap(classifier, subject, (backgrounds, mask), scores, witness)?;
        if before > 0.0 {
            witness.part("ratio", mean / before);
        }
        witness.part("backgrounds", count as f64);
        Ok(Scored::finite(stays))
    }
}

/// The probability before the own background, the share of the others before
/// which the class stays, and the mean probability there.
fn swap(
    classifier: &mut dyn Classifier,
    subject: &Subject<'_>,
    (backgrounds, mask): (&[Picture<'_>], Mask<'_>),
    scores: &mut [f32],
    witness: &mut dyn Witness,
) -> Result<[f64; 3], Error> {
    let count = backgrounds.len();
    let view = |i: usize| {
        let background = i.checked_sub(1).and_then(|i| backgrounds.get(i));
        background.map_or(Masked::whole(subject.picture), |other| Masked {
            picture: subject.picture,
            fill: Fill::Picture(*other),
            mask,
        })
    };
    let mut ask = Ask {
        score: Score::Probability,
        target: subject.target,
        scores,
    };
    let (mut before, mut stays, mut sum) = (Answer::default(), 0usize, 0.0);
    let mut sink = |i: usize, answer: Answer, _: &mut dyn Witness| {
        if i == 0 {
            before = answer;
            return;
        }
        stays += usize::from(answer.above <= before.above);
        sum += answer.score;
    };
    let mut passes = Passes::new(witness, count + 1);
    ask.all(classifier, count + 1, &view, &mut passes, &mut sink)?;
    let all = count as f64;
    Ok([before.score, stays as f64 / all, sum / all])
}
