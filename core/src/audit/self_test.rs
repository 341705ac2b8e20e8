//! Whether pictures whose answers are known are still answered so.
//!
//! Each case runs twice, the memory painted with 0x55 before the first run and
//! with 0xAA before the second: an answer that depends on the paint comes from
//! a buffer that nobody wrote. Scores are compared bit for bit, a map by its
//! hash. Board and host run this same code; a [`Subject`] says how they answer.

use super::judge::Reason;
use super::policy::{Case, Policy, Rule};
use super::{Hash, OutputHash, output_hash};
use crate::error::Error;

/// What memory is painted with.
pub const PAINTS: [u8; 2] = [0x55, 0xAA];

/// What answers the cases.
pub trait Subject {
    /// Paints its memory and writes the scores of the case's picture into
    /// `out`, one a class, of the kind [`Case::score`].
    ///
    /// # Errors
    /// A network that fails.
    fn scores(&mut self, case: &Case<'_>, paint: u8, out: &mut [f32]) -> Result<(), Error>;

    /// Paints its memory, asks [`Rule::explain`] for `target` about the case's
    /// picture and hands the map to `sink`, at once or piece by piece in order.
    ///
    /// # Errors
    /// A method that fails.
    fn map(
        &mut self,
        case: &Case<'_>,
        rule: &Rule<'_>,
        target: usize,
        paint: u8,
        sink: &mut dyn FnMut(&[f32]),
    ) -> Result<(), Error>;
}

/// What became of all cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub cases: u16,
    /// How many failed.
    pub failed: u16,
    /// The first that failed, by number from 1, and why.
    pub first: Option<(u16, Reason)>,
}

/// Runs every case, with room for one score a class in `out`.
pub fn run(policy: &Policy<'_>, subject: &mut dyn Subject, out: &mut [f32]) -> Summary {
    let mut summary = Summary::default();
    for case in policy.cases() {
        summary.cases += 1;
        if let Err(reason) = run_case(policy, &case, subject, out) {
            summary.failed += 1;
            summary.first = summary.first.or(Some((case.number, reason)));
        }
    }
    summary
}

/// Runs one case, with room for one score a class in `out`.
///
/// # Errors
/// Why it fails.
pub fn run_case(
    policy: &Policy<'_>,
    case: &Case<'_>,
    subject: &mut dyn Subject,
    out: &mut [f32],
) -> Result<(), Reason> {
    let out = out.get_mut(..case.scores.len()).ok_or(Reason::Memory)?;
    let mut wanted = OutputHash::default();
    case.scores
        .iter()
        .for_each(|score| wanted.take(&[score.get()]));
    let found = twice(|paint| {
        subject.scores(case, paint, out)?;
        Ok(output_hash(out))
    })?;
    if found != wanted.finish() {
        return Err(Reason::Scores);
    }
    let Some(known) = case.map else {
        return Ok(());
    };
    let rule = policy.rule(known.rule).ok_or(Reason::Policy)?;
    let found = twice(|paint| {
        let mut hash = OutputHash::default();
        subject.map(case, &rule, known.target, paint, &mut |map| hash.take(map))?;
        Ok(hash.finish())
    })?;
    match found == *known.hash {
        true => Ok(()),
        false => Err(Reason::Map),
    }
}

/// The hash that both paints agree on.
fn twice(mut answer: impl FnMut(u8) -> Result<Hash, Error>) -> Result<Hash, Reason> {
    let [first, second] = PAINTS;
    let mut ask = |paint| answer(paint).map_err(of_error);
    let (first, second) = (ask(first)?, ask(second)?);
    match first == second {
        true => Ok(first),
        false => Err(Reason::Unwritten),
    }
}

/// The reason that an error comes to.
pub const fn of_error(error: Error) -> Reason {
    match error {
        Error::ArenaTooSmall { .. } | Error::BufferTooSmall { .. } => Reason::Memory,
        Error::Stopped => Reason::Stopped,
        Error::NotFinite { .. } | Error::ScoreNotFinite { .. } => Reason::NotFinite,
        Error::BadSignature => Reason::Signature,
        Error::RevokedKey => Reason::Revoked,
        Error::OldRelease { .. } => Reason::Release,
        Error::BadPolicy { .. } => Reason::Policy,
        Error::BadHash | Error::BadChecksum { .. } | Error::Truncated { .. } => Reason::Model,
        _ => Reason::Error,
    }
}
