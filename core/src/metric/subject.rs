//! What metrics ask of their subject, and how they refuse.

use super::{Scored, Subject};
use crate::error::Error;
use crate::tensor::Shape;

/// Nobody said where the object is.
pub(super) const NO_REGION: &str = "nobody said where the object is";
/// A region that holds no pixel.
pub(super) const EMPTY_REGION: &str = "the object's region holds no pixel";
/// Evidence that is 0 everywhere.
pub(super) const NO_EVIDENCE: &str = "there is no evidence";
/// Evidence that is the same everywhere.
pub(super) const FLAT: &str = "the evidence is flat";

/// A method that gave no map where one was asked for.
pub(super) const NO_MAP: &str = "a map that was asked for is flat or undefined";

/// Why a metric gives no number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Refusal {
    /// Something failed.
    Fault(Error),
    /// There is no number, for this reason.
    Undefined(&'static str),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

/// A number or a refusal as metrics hand it out.
pub(super) fn settle(found: Result<f64, Refusal>) -> Result<Scored, Error> {
    match found {
        Ok(value) => Ok(Scored::finite(value)),
        Err(Refusal::Undefined(reason)) => Ok(Scored::Undefined(reason)),
        Err(Refusal::Fault(error)) => Err(error),
    }
}

/// The number of an agreement.
pub(super) fn number(scored: Scored) -> Result<f64, Refusal> {
    match scored {
        Scored::Value(value) => Ok(value),
        Scored::Undefined(reason) => Err(Refusal::Undefined(reason)),
    }
}

/// Checks evidence, one finite weight of at least 0 a pixel, not all of them 0.
pub(super) fn evidence<'a>(subject: &Subject<'a>, input: Shape) -> Result<&'a [f32], Refusal> {
    let weights = exactly(subject.evidence, input.area())?;
    sound(weights)?;
    Ok(weights)
}

/// Whether weights are evidence.
pub(super) fn sound(weights: &[f32]) -> Result<(), Refusal> {
    if !weights.iter().all(|w| w.is_finite()) {
        Err(Refusal::Undefined("the evidence is not finite"))
    } else if weights.iter().any(|w| *w < 0.0) {
        Err(Refusal::Undefined("the evidence is negative somewhere"))
    } else if weights.iter().all(|w| *w == 0.0) {
        Err(Refusal::Undefined(NO_EVIDENCE))
    } else {
        Ok(())
    }
}

/// As [`evidence`], for metrics that rank it.
pub(super) fn ranking<'a>(subject: &Subject<'a>, input: Shape) -> Result<&'a [f32], Refusal> {
    let weights = evidence(subject, input)?;
    if super::agreement::is_flat(weights) {
        return Err(Refusal::Undefined(FLAT));
    }
    Ok(weights)
}

/// The region, one byte a pixel, and how many pixels lie inside.
pub(super) fn region<'a>(
    subject: &Subject<'a>,
    input: Shape,
) -> Result<(&'a [u8], usize), Refusal> {
    let region = subject.region.ok_or(Refusal::Undefined(NO_REGION))?;
    let region = exactly(region, input.area())?;
    match region.iter().filter(|&&pixel| pixel != 0).count() {
        0 => Err(Refusal::Undefined(EMPTY_REGION)),
        inside => Ok((region, inside)),
    }
}

/// The share of all weights that lies inside.
pub(super) fn share_inside(weights: &[f32], region: &[u8]) -> f64 {
    let (mut inside, mut all) = (0.0, 0.0);
    for (weight, pixel) in weights.iter().zip(region) {
        all += f64::from(*weight);
        if *pixel != 0 {
            inside += f64::from(*weight);
        }
    }
    inside / all
}

/// Of the `count` strongest pixels, the first ones first among equals, the
/// share that lies inside.
pub(super) fn strongest_inside(
    weights: &[f32],
    region: &[u8],
    count: usize,
    scratch: &mut [f32],
) -> Result<f64, Error> {
    let order = super::order::strongest_first(weights, super::order::integers(scratch)?)?;
    let inside = |place: &&u32| region.get(**place as usize).is_some_and(|&p| p != 0);
    let hits = order.iter().take(count).filter(inside).count();
    Ok(hits as f64 / count as f64)
}

/// The first `need` of a slice.
fn exactly<T>(slice: &[T], need: usize) -> Result<&[T], Error> {
    let have = slice.len();
    slice
        .get(..need)
        .ok_or(Error::BufferTooSmall { need, have })
}
