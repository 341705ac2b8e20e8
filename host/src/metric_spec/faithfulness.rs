//! Metrics of faithfulness, made.

use foveola_core::metric::{Deletion, Insertion};

use super::{Made, count, mindspore, score};
use crate::method_spec::{Given, SpecError};

pub fn deletion(given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(Deletion {
        steps: count(given, "steps", Deletion::default().steps)?,
        score: score(given)?,
        mindspore: mindspore(given)?,
    }))
}

pub fn insertion(given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(Insertion {
        steps: count(given, "steps", Insertion::default().steps)?,
        score: score(given)?,
        mindspore: mindspore(given)?,
    }))
}
