//! The picture as it is, and with only its strongest part or without it.

use super::order::{ranks, room};
use super::pass::{Answer, Ask, Passes, check, cut, pixels, unranked};
use super::table::parameter;
use super::{Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::{Cost, Parameter};
use crate::mask::{Mask, Masked};
use crate::tensor::Shape;

pub(super) const SHARE: Parameter = parameter(
    "share",
    "0.2",
    "share of the pixels that is the explained region, the strongest ones",
);

/// Share of the pixels that is the explained region, if nobody chose one.
pub(super) const USUAL_SHARE: f32 = 0.2;

pub(super) const fn cost(input: Shape, classes: usize) -> Cost {
    Cost {
        forward: 2,
        backward: 0,
        scratch: room(input.area()) + classes,
    }
}

/// Answers to the whole picture and to the one with (or without) its strongest
/// share; or why there are none.
pub(super) fn answers(
    classifier: &mut dyn Classifier,
    subject: &Subject<'_>,
    (share, reveal): (f32, bool),
    scratch: &mut [f32],
    witness: &mut dyn Witness,
) -> Result<Result<[Answer; 2], &'static str>, Error> {
    let input = check(classifier, subject)?;
    let to = pixels(share, input.area())?;
    let evidence = subject.evidence.get(..input.area()).unwrap_or_default();
    if let Some(reason) = unranked(evidence) {
        return Ok(Err(reason));
    }
    let (scores, scratch) = cut(scratch, classifier.classes())?;
    let ranks = ranks(evidence, scratch)?;
    let view = |i: usize| Masked {
        picture: subject.picture,
        fill: subject.fill,
        mask: match i {
            0 => Mask::Keep,
            _ => Mask::Ranked {
                ranks,
                from: 0,
                to,
                reveal,
            },
        },
    };
    let mut ask = Ask {
        score: Score::Probability,
        target: subject.target,
        scores,
    };
    let mut found = [Answer::default(); 2];
    let mut sink = |i: usize, answer: Answer, _: &mut dyn Witness| {
        if let Some(place) = found.get_mut(i) {
            *place = answer;
        }
    };
    let mut passes = Passes::new(witness, 2);
    ask.all(classifier, 2, &view, &mut passes, &mut sink)?;
    Ok(Ok(found))
}

/// How much of the probability is left, at most all of it. Tells the plain
/// ratio, and whether the class still stands as high among the others.
pub(super) fn left(
    [before, after]: [Answer; 2],
    (word, if_it_stands): (&'static str, bool),
    classes: usize,
    witness: &mut dyn Witness,
) -> Scored {
    if before.score <= 0.0 {
        return Scored::Undefined("the probability is 0");
    }
    let ratio = after.score / before.score;
    witness.part("ratio", ratio);
    if classes > 1 {
        let stands = after.above <= before.above;
        witness.part(word, if stands == if_it_stands { 1.0 } else { 0.0 });
    }
    Scored::finite(if ratio < 1.0 { ratio } else { 1.0 })
}
