//! Several sets of boxes side by side: as many of the best of each size as the
//! beam is wide, until the best one is enough. What a greedy search cannot find,
//! boxes that help only together, a wide beam does.
//!
//! The sets are chains of steps behind those of the tree: each has its last box
//! and, as `parent`, the set that it extends.

use core::ops::Range;

use super::search::{Candidates, Job, Question, Searcher};
use super::{Step, UNUSED_WINDOW};
use crate::classifier::Edit;
use crate::error::Error;
use crate::explain::pass::score_of;
use crate::mask::{Mask, Masked, Window};

impl Searcher<'_, '_, '_> {
    /// The search of one job from the score `start` on; keeps the first set that
    /// is enough.
    pub(super) fn beam(&mut self, job: &Job, start: f32, needed: Option<f32>) -> Result<(), Error> {
        if self.question.reaches(start, self.question.threshold) {
            return self.keep(job);
        }
        let mut sets = self.len..self.len;
        loop {
            let mut next = sets.end..sets.end;
            if sets.is_empty() {
                self.extend(job, None, start, &mut next)?;
            }
            for set in sets {
                let score = self.step(set)?.probability;
                self.extend(job, Some(set), score, &mut next)?;
            }
            self.shown = job.base;
            if next.is_empty() {
                return Ok(());
            }
            let best = self.step(next.start)?.probability;
            let question = &self.question;
            let enough = question.reaches(best, question.threshold);
            if enough || needed.is_some_and(|needed| question.reaches(best - start, needed)) {
                self.take(job, next.start)?;
                return self.keep(job);
            }
            sets = next;
        }
    }

    /// Tries every unused box beside those of a set; the best sets go to `next`.
    fn extend(
        &mut self,
        job: &Job,
        set: Option<usize>,
        score: f32,
        next: &mut Range<usize>,
    ) -> Result<(), Error> {
        self.shown = job.base;
        let mut at = set;
        while let Some(index) = at {
            let step = self.step(index)?;
            self.show(step.window)?;
            at = step.parent;
        }
        let question = self.question;
        let candidates = Candidates::new(question.levels, job);
        let boxes = self.boxes.get(..self.shown).unwrap_or_default();
        let used = boxes.get(job.base..).unwrap_or_default();
        let count = candidates.count() - used.len().min(candidates.count());
        self.passes.total = self.passes.done + count as u64 + 1;
        let base = Masked {
            picture: question.picture,
            fill: question.fill,
            mask: Mask::Windows {
                boxes,
                extra: None,
                reveal: question.reveal,
            },
        };
        let edit = |i: usize| Edit {
            window: candidates.unused(used, i),
        };
        let steps = &mut *self.steps;
        let passes = &mut self.passes;
        let mut sink = |i: usize, scores: &[f32]| {
            let probability = score_of(scores, question.target)?;
            let found = Step {
                layer: job.layer,
                window: candidates.unused(used, i),
                probability,
                change: probability - score,
                parent: set,
                first_child: 0,
                children: 0,
            };
            insert(steps, next, found, &question)?;
            passes.step()
        };
        let (classifier, scores) = (&mut *self.classifier, &mut *self.scores);
        classifier.classify_edits(&base, count, &edit, question.score, scores, &mut sink)
    }

    /// Makes the boxes of a set the steps of a job, in the order in which they came.
    fn take(&mut self, job: &Job, set: usize) -> Result<(), Error> {
        // The chain leads backwards: turned round, `first_child` leads on.
        let (mut at, mut after) = (Some(set), None);
        let mut first = set;
        while let Some(index) = at {
            let step = self.steps.get_mut(index).ok_or(Error::Internal)?;
            step.first_child = after.unwrap_or(usize::MAX);
            (first, after, at) = (index, Some(index), step.parent);
        }
        // A step moves to a place that is not behind its own.
        let mut at = first;
        while at != usize::MAX {
            let step = self.step(at)?;
            at = step.first_child;
            let place = self.steps.get_mut(self.len).ok_or(Error::Internal)?;
            *place = Step {
                parent: job.parent,
                first_child: 0,
                ..step
            };
            self.len += 1;
            self.show(step.window)?;
        }
        Ok(())
    }
}

/// Puts a set among the best so far, the first among equals first; one that
/// another order of the same boxes made already is left out.
fn insert(
    steps: &mut [Step],
    best: &mut Range<usize>,
    found: Step,
    question: &Question<'_>,
) -> Result<(), Error> {
    let score = |steps: &[Step], at: usize| steps.get(at).map_or(0.0, |step| step.probability);
    let mut at = best.end;
    while at > best.start && question.better(found.probability, score(steps, at - 1)) {
        at -= 1;
    }
    let mut equal = (best.start..at).rev();
    let equal = equal.by_ref();
    for other in equal.take_while(|other| score(steps, *other) == found.probability) {
        if is_same(steps, other, &found) {
            return Ok(());
        }
    }
    if best.len() < question.beam {
        let (need, have) = (best.end + 1, steps.len());
        if need > have {
            return Err(Error::BufferTooSmall { need, have });
        }
        best.end = need;
    }
    let mut carried = found;
    for place in steps.get_mut(at..best.end).unwrap_or_default() {
        core::mem::swap(place, &mut carried);
    }
    Ok(())
}

/// Whether a set has the boxes of another one of its size.
fn is_same(steps: &[Step], set: usize, other: &Step) -> bool {
    let chain = |first: Option<Step>| {
        core::iter::successors(first, |step| {
            step.parent.and_then(|at| steps.get(at)).copied()
        })
    };
    let has = |window: Window| chain(steps.get(set).copied()).any(|step| step.window == window);
    let mut boxes = chain(Some(*other)).map(|step| step.window);
    boxes.all(|window| window != UNUSED_WINDOW && has(window))
}
