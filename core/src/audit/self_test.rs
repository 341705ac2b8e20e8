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

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use zerocopy::little_endian::F32;
    use zerocopy::{FromZeros, IntoBytes};

    use super::super::policy::KnownMap;
    use super::super::policy::layout::{Head, MAGIC, RuleRecord};
    use super::*;
    use crate::classifier::Score;
    use crate::net::format::Aligned;
    use crate::tensor::Shape;
    use crate::wire::message::Format;

    const SCORES: [F32; 3] = [F32::new(0.5), F32::new(-2.0), F32::new(7.0)];
    const MAP: [f32; 2] = [1.5, -0.25];

    /// Answers rightly, but for what it leaves unwritten.
    #[derive(Default)]
    struct Forgetful {
        score: Option<usize>,
        cell: Option<usize>,
        /// Fails with the second paint.
        dies: bool,
        wrong: bool,
    }

    impl Forgetful {
        fn answer(
            &self,
            right: &[f32],
            forgotten: Option<usize>,
            paint: u8,
            out: &mut [f32],
        ) -> Result<(), Error> {
            out.fill(f32::from_le_bytes([paint; 4]));
            for (i, (out, right)) in out.iter_mut().zip(right).enumerate() {
                if forgotten != Some(i) {
                    *out = right + if self.wrong { 1.0 } else { 0.0 };
                }
            }
            match self.dies && paint == PAINTS[1] {
                true => Err(Error::NotFinite { node: 3 }),
                false => Ok(()),
            }
        }
    }

    impl Subject for Forgetful {
        fn scores(&mut self, _: &Case<'_>, paint: u8, out: &mut [f32]) -> Result<(), Error> {
            self.answer(&SCORES.map(F32::get), self.score, paint, out)
        }

        fn map(
            &mut self,
            _: &Case<'_>,
            _: &Rule<'_>,
            _: usize,
            paint: u8,
            sink: &mut dyn FnMut(&[f32]),
        ) -> Result<(), Error> {
            let mut out = [0.0; 2];
            self.answer(&MAP, self.cell, paint, &mut out)?;
            sink(&out);
            Ok(())
        }
    }

    /// A policy of one rule, whose method is Gradient.
    fn with_rule() -> Aligned<[u8; 144]> {
        let mut bytes = [0; 144];
        let head = Head {
            magic: MAGIC,
            length: 144.into(),
            rules: 1.into(),
            ..Head::new_zeroed()
        };
        let rule = RuleRecord {
            call: 128.into(),
            call_length: 1.into(),
            most_border: 1.0.into(),
            ..RuleRecord::new_zeroed()
        };
        head.write_to(&mut bytes[..64]).unwrap();
        rule.write_to(&mut bytes[64..128]).unwrap();
        Aligned(bytes)
    }

    fn judged(mut subject: Forgetful, with_map: bool) -> Result<(), Reason> {
        let bytes = with_rule();
        let policy = Policy::from_bytes(&bytes.0).unwrap();
        let mut hash = OutputHash::default();
        hash.take(&MAP);
        let hash = hash.finish();
        let known = KnownMap {
            rule: 1,
            target: 2,
            hash: &hash,
        };
        let case = Case {
            number: 1,
            shape: Shape::new(1, 1, 1),
            format: Format::Pixels,
            bytes: &[7],
            score: Score::Logit,
            scores: &SCORES,
            map: with_map.then_some(known),
        };
        run_case(&policy, &case, &mut subject, &mut [0.0; 3])
    }

    /// An element that nobody wrote shows the paint, so the two runs differ.
    #[test]
    fn what_nobody_wrote_is_found() {
        assert_eq!(judged(Forgetful::default(), true), Ok(()));
        for i in 0..3 {
            let score = Some(i);
            let forgetful = || Forgetful {
                score,
                ..Forgetful::default()
            };
            assert_eq!(judged(forgetful(), false), Err(Reason::Unwritten), "{i}");
        }
        for i in 0..2 {
            let cell = Some(i);
            let forgetful = || Forgetful {
                cell,
                ..Forgetful::default()
            };
            assert_eq!(judged(forgetful(), false), Ok(()), "no map is asked for");
            assert_eq!(judged(forgetful(), true), Err(Reason::Unwritten), "{i}");
        }
    }

    #[test]
    fn other_scores_and_errors_have_their_own_reasons() {
        let wrong = || Forgetful {
            wrong: true,
            ..Forgetful::default()
        };
        assert_eq!(judged(wrong(), true), Err(Reason::Scores));
        let dies = Forgetful {
            dies: true,
            ..Forgetful::default()
        };
        assert_eq!(judged(dies, false), Err(Reason::NotFinite));
    }
}
