//! The picture behind its own map: every pixel as visible as its evidence is
//! strong. What average drop, increase and gain compare with the whole picture.

use super::pass::{Answer, Ask, Passes, check, cut, unranked};
use super::{Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::{Mask, Masked};
use crate::tensor::Shape;

pub(super) const fn cost(input: Shape, classes: usize) -> Cost {
    Cost {
        forward: 2,
        backward: 0,
        scratch: input.area() + classes,
    }
}

/// Probability of the whole picture, and of the picture times its evidence,
/// brought to 0..1 by its least and greatest value; or why there is none.
pub(super) fn probabilities(
    classifier: &mut dyn Classifier,
    subject: &Subject<'_>,
    scratch: &mut [f32],
    witness: &mut dyn Witness,
) -> Result<Result<[f64; 2], &'static str>, Error> {
    let input = check(classifier, subject)?;
    let evidence = subject.evidence.get(..input.area()).unwrap_or_default();
    if let Some(reason) = unranked(evidence) {
        return Ok(Err(reason));
    }
    let (scores, scratch) = cut(scratch, classifier.classes())?;
    let (weights, _) = cut(scratch, input.area())?;
    stretch(evidence, weights);
    let weights = &*weights;
    let view = |i: usize| Masked {
        picture: subject.picture,
        fill: subject.fill,
        mask: match i {
            0 => Mask::Keep,
            _ => Mask::Soft(weights),
        },
    };
    let mut ask = Ask {
        score: Score::Probability,
        target: subject.target,
        scores,
    };
    let mut found = [0.0; 2];
    let mut sink = |i: usize, answer: Answer, _: &mut dyn Witness| {
        if let Some(place) = found.get_mut(i) {
            *place = answer.score;
        }
    };
    let mut passes = Passes::new(witness, 2);
    ask.all(classifier, 2, &view, &mut passes, &mut sink)?;
    Ok(Ok(found))
}

/// Brings finite values that differ to 0..1.
fn stretch(values: &[f32], out: &mut [f32]) {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.iter().map(|&v| f64::from(v)) {
        least = if value < least { value } else { least };
        most = if value > most { value } else { most };
    }
    for (out, value) in out.iter_mut().zip(values) {
        *out = ((f64::from(*value) - least) / (most - least)) as f32;
    }
}
