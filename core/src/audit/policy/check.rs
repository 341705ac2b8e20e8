//! Whether the bytes of a policy make sense, alone and for a model.

use zerocopy::FromBytes;
use zerocopy::little_endian::U16;

use super::layout::{
    BoxRecord, CaseRecord, Head, MAGIC, MAX_BOXES, MAX_CELLS, MAX_RULES, NO_RULE, RuleRecord,
};
use super::{Agreement, Policy, Targets};
use crate::error::Error;
use crate::net::format::ALIGNMENT;
use crate::net::model::Model;
use crate::wire::message::{Baseline, Call};

const HEAD: usize = 0;
const RULE: usize = 1;
const BOX: usize = 2;
const CLASS: usize = 3;
const CASE: usize = 4;
/// Largest coordinate of a box, in pixels.
const FARTHEST: f32 = 65_536.0;

const fn wrong(part: usize, index: usize) -> Error {
    Error::BadPolicy { part, index }
}

/// Reads the head and makes the tables.
pub fn tables(bytes: &[u8]) -> Result<Policy<'_>, Error> {
    let offset = bytes.as_ptr().addr() % ALIGNMENT;
    if offset != 0 {
        return Err(Error::Misaligned { offset });
    }
    let have = bytes.len();
    let need = size_of::<Head>();
    let short = Error::Truncated { need, have };
    let (head, rest) = Head::ref_from_prefix(bytes).map_err(|_| short)?;
    if head.magic != MAGIC {
        return Err(Error::BadMagic);
    }
    let need = head.length.get() as usize;
    if need != have {
        return Err(Error::Truncated { need, have });
    }
    let sound = head.on_failure <= 2 && head.reserved == [0; 3] && head.unused == [0; 28];
    if !sound || usize::from(head.rules.get()) > MAX_RULES {
        return Err(wrong(HEAD, 0));
    }
    let count = |count: U16| usize::from(count.get());
    let lost = |_| wrong(HEAD, 1);
    let (rules, rest) = <[RuleRecord]>::ref_from_prefix_with_elems(rest, count(head.rules))
        .map_err(|_| lost(()))?;
    let (boxes, rest) =
        <[BoxRecord]>::ref_from_prefix_with_elems(rest, count(head.boxes)).map_err(|_| lost(()))?;
    let (cases, rest) = <[CaseRecord]>::ref_from_prefix_with_elems(rest, count(head.cases))
        .map_err(|_| lost(()))?;
    let (classes, _) =
        <[U16]>::ref_from_prefix_with_elems(rest, count(head.classes)).map_err(|_| lost(()))?;
    Ok(Policy {
        bytes,
        head,
        rules,
        boxes,
        cases,
        classes,
    })
}

fn is_share(value: f32) -> bool {
    (0.0..=1.0).contains(&value)
}

impl Policy<'_> {
    pub(super) fn check(&self) -> Result<(), Error> {
        for (index, record) in self.rules.iter().enumerate() {
            if !self.is_rule(index, record) {
                return Err(wrong(RULE, index));
            }
            let unit = record.unit;
            let first = usize::from(record.first_box.get());
            let rule = self.rule_at(index).ok_or(wrong(RULE, index))?;
            let unfit = rule.boxes.iter().position(|b| !is_box(b, unit == 1));
            if let Some(place) = unfit {
                return Err(wrong(BOX, first + place));
            }
        }
        let unfit = (0..self.cases.len()).find(|&index| !self.is_case(index));
        unfit.map_or(Ok(()), |index| Err(wrong(CASE, index)))
    }

    fn rule_at(&self, index: usize) -> Option<super::Rule<'_>> {
        self.rule(u16::try_from(index + 1).ok()?)
    }

    fn is_rule(&self, index: usize, record: &RuleRecord) -> bool {
        let codes = record.target <= 1
            && record.score <= 2
            && record.unit <= 1
            && record.measure <= 2
            && record.reference_type <= 1
            && record.reserved == [0; 3]
            && record.unused == [0; 12];
        let shares = [
            record.most_border,
            record.least_inside,
            record.least_agreement,
        ];
        let border = record.border.get();
        let widest = if record.unit == 1 { 0.5 } else { FARTHEST };
        let sound = codes
            && shares.iter().all(|share| is_share(share.get()))
            && (0.0..=widest).contains(&border)
            && usize::from(record.boxes.get()) <= MAX_BOXES
            && (record.boxes.get() > 0 || record.least_inside.get() == 0.0)
            && (record.target == 1) == (record.classes.get() > 0);
        sound
            && self.rule_at(index).is_some_and(|rule| {
                is_call(&rule.call) && rule.agreement.is_none_or(|a| is_reference(&a))
            })
    }

    fn is_case(&self, index: usize) -> bool {
        let case = u16::try_from(index + 1).ok().and_then(|n| self.case(n));
        let (Some(record), Some(case)) = (self.cases.get(index), case) else {
            return false;
        };
        let elements = case.shape.h.checked_mul(case.shape.w);
        let elements = elements.and_then(|area| area.checked_mul(case.shape.c));
        let bytes = elements.and_then(|count| count.checked_mul(case.format.size()));
        let tensor = record.format == 1;
        record.format <= 1
            && record.score <= 1
            && record.unused == [0; 16]
            && bytes == Some(case.bytes.len())
            && !case.bytes.is_empty()
            && (!tensor || record.picture.get() % 4 == 0)
            && case.scores.iter().all(|score| score.get().is_finite())
            && match record.rule.get() {
                NO_RULE => record.map == [0; 32] && record.target.get() == 0,
                rule => usize::from(rule) < self.rules.len(),
            }
    }

    /// Whether the policy is one for this model: classes that it has, pictures
    /// that it takes, stored maps no finer than its input.
    ///
    /// # Errors
    /// [`Error::BadPolicy`] with the first thing that does not fit.
    pub fn fits(&self, model: &Model<'_>) -> Result<(), Error> {
        let (input, classes) = (model.input(), model.classes());
        for (index, rule) in self.rules().enumerate() {
            if let Targets::Each(list) = rule.targets
                && list.iter().any(|class| usize::from(class.get()) >= classes)
            {
                return Err(wrong(CLASS, index));
            }
            let grid = rule.agreement.map_or([1; 2], |a| a.grid);
            let [rows, columns] = grid;
            if rows > input.h || columns > input.w {
                return Err(wrong(RULE, index));
            }
        }
        for (index, case) in self.cases().enumerate() {
            let explains = case.map.is_none_or(|map| map.target < classes);
            if case.shape != input || case.scores.len() != classes || !explains {
                return Err(wrong(CASE, index));
            }
        }
        Ok(())
    }
}

fn is_box(record: &BoxRecord, fractions: bool) -> bool {
    let [x, y, w, h] = [record.x, record.y, record.w, record.h].map(|side| side.get());
    // Fractions written in decimals may add up to a little more than the whole.
    let most = if fractions { 1.0 + 1e-5 } else { FARTHEST };
    let inside = |start: f32, length: f32| start >= 0.0 && length > 0.0 && start + length <= most;
    inside(x, w) && inside(y, h)
}

/// Whether a stored map is finite and says something.
fn is_reference(agreement: &Agreement<'_>) -> bool {
    let [rows, columns] = agreement.grid;
    let count = rows * columns;
    let first = agreement.cells().next();
    (2..=MAX_CELLS).contains(&count)
        && agreement.cells().all(f32::is_finite)
        && agreement.cells().any(|cell| Some(cell) != first)
}

/// Whether it is a method of policies and its real parameters are numbers; the
/// method checks ranges.
fn is_call(call: &Call) -> bool {
    let number = |baseline: &Baseline| match baseline {
        Baseline::Number(number) => number.is_finite(),
        Baseline::Blur => true,
    };
    match call {
        Call::Occlusion { baseline, .. } => number(baseline),
        Call::Rise { keep, baseline, .. } => keep.is_finite() && number(baseline),
        Call::Hoc {
            threshold,
            baseline,
            ..
        } => threshold.is_finite() && number(baseline),
        Call::Gradient | Call::Deconvolution | Call::GuidedBackprop | Call::GradCam { .. } => true,
        _ => false,
    }
}
