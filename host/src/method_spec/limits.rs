//! How far a method may go: for every method the same two keys.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::SpecError;
use super::values::decimal_of;

/// Key of [`Limits::passes`].
pub const MAX_PASSES: &str = "max-passes";
/// Key of [`Limits::seconds`].
pub const DEADLINE: &str = "deadline";

/// Where a method stops that is not through; what it has then is marked partial.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Most passes, forward and backward, all classes together: at least 1. The
    /// same number gives the same map.
    pub passes: Option<u64>,
    /// Most seconds, from 0. How far a method comes in them is the machine's affair.
    pub seconds: Option<f64>,
}

impl Limits {
    /// Takes the limits out of what was given to a method; the rest is the
    /// method's own.
    ///
    /// # Errors
    /// [`SpecError::Value`] for a number that is none.
    pub(super) fn split(method: &'static str, text: &str) -> Result<(Self, String), SpecError> {
        let mut limits = Self::default();
        let mut rest: Vec<&str> = Vec::new();
        for part in text.split(',') {
            let wrong = |key: &str, value: &str, reason: &str| SpecError::Value {
                method,
                key: key.to_string(),
                value: value.to_string(),
                reason: reason.to_string(),
            };
            match part.split_once('=') {
                Some((MAX_PASSES, value)) => {
                    let passes = passes(value);
                    limits.passes = Some(passes.map_err(|e| wrong(MAX_PASSES, value, e))?);
                }
                Some((DEADLINE, value)) => {
                    let seconds = seconds(value);
                    limits.seconds = Some(seconds.map_err(|e| wrong(DEADLINE, value, e))?);
                }
                _ => rest.push(part),
            }
        }
        Ok((limits, rest.join(",")))
    }

    /// These limits, and where they leave it open, others.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            passes: match self.passes {
                None => other.passes,
                own => own,
            },
            seconds: match self.seconds {
                None => other.seconds,
                own => own,
            },
        }
    }

    /// The deadline as time.
    pub fn deadline(self) -> Option<Duration> {
        self.seconds
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
    }

    /// As parameters; what is open is absent.
    pub(super) fn put(self, values: &mut BTreeMap<&'static str, Value>) {
        if let Some(passes) = self.passes {
            values.insert(MAX_PASSES, json!(passes));
        }
        if let Some(seconds) = self.seconds {
            values.insert(DEADLINE, decimal_of(seconds));
        }
    }
}

/// A number of passes.
///
/// # Errors
/// What it takes.
pub fn passes(text: &str) -> Result<u64, &'static str> {
    let value = text.parse().ok().filter(|n| *n > 0);
    value.ok_or("it takes a whole number from 1")
}

/// A time in seconds, at most about 31 years.
///
/// # Errors
/// What it takes.
pub fn seconds(text: &str) -> Result<f64, &'static str> {
    let value = text
        .parse()
        .ok()
        .filter(|s: &f64| (0.0..=1e9).contains(s))
        // No minus before a zero, so that what is written reads back the same.
        .map(|s| s + 0.0);
    value.ok_or("it takes seconds, from 0")
}
