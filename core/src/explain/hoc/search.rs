//! The search itself: jobs in the order of the steps they refine, so the tree
//! is its own queue.

use super::{Levels, MAX_LAYERS, NoRegion, Region, Step, Storage, position};
use crate::classifier::{Classifier, Edit, Score};
use crate::error::Error;
use crate::explain::pass::{Passes, score_of};
use crate::mask::{Fill, Mask, Masked, Window};
use crate::picture::Picture;

/// What is searched for.
#[derive(Clone, Copy)]
pub(super) struct Question<'q> {
    pub(super) picture: Picture<'q>,
    pub(super) target: usize,
    pub(super) score: Score,
    pub(super) fill: Fill<'q>,
    pub(super) reveal: bool,
    pub(super) threshold: f32,
    pub(super) levels: &'q Levels,
    /// Sets of boxes side by side.
    #[cfg(foveola_edits)]
    pub(super) beam: usize,
    /// Whether boxes that are not needed are dropped at the end.
    #[cfg(foveola_edits)]
    pub(super) minimal: bool,
}

impl Question<'_> {
    /// Whether a score is as far as the threshold (or as a step that must be matched).
    pub(super) fn reaches(&self, value: f32, goal: f32) -> bool {
        if self.reveal {
            value >= goal
        } else {
            value <= goal
        }
    }

    /// Whether a score is further than another.
    pub(super) fn better(&self, value: f32, than: f32) -> bool {
        if self.reveal {
            value > than
        } else {
            value < than
        }
    }
}

/// One search inside one box: steps `begin..` of the storage are what it has found.
pub(super) struct Job {
    pub(super) layer: usize,
    field: Window,
    pub(super) parent: Option<usize>,
    begin: usize,
    /// Boxes in use when it begins.
    pub(super) base: usize,
}

pub(super) struct Searcher<'c, 'q, 's> {
    pub(super) classifier: &'c mut dyn Classifier,
    pub(super) question: Question<'q>,
    pub(super) steps: &'s mut [Step],
    pub(super) boxes: &'s mut [Window],
    pub(super) scores: &'s mut [f32],
    pub(super) passes: Passes<'c>,
    /// Steps in use.
    pub(super) len: usize,
    /// Boxes in use.
    pub(super) shown: usize,
}

impl<'c, 'q, 's> Searcher<'c, 'q, 's> {
    pub(super) fn new(
        classifier: &'c mut dyn Classifier,
        question: Question<'q>,
        storage: &'s mut Storage<'_>,
        scores: &'s mut [f32],
        passes: Passes<'c>,
    ) -> Self {
        Self {
            classifier,
            question,
            steps: storage.steps,
            boxes: storage.boxes,
            scores,
            passes,
            len: 0,
            shown: 0,
        }
    }

    #[inline(never)]
    pub(super) fn run(&mut self) -> Result<Result<Region, NoRegion>, Error> {
        let original = match self.original() {
            Err(Error::Stopped) => return Ok(Err(NoRegion::Stopped)),
            original => original?,
        };
        let threshold = self.question.threshold;
        if original <= threshold {
            return Ok(Err(NoRegion::OriginalNotAboveThreshold));
        }
        match self.search() {
            Err(Error::Stopped) => return Ok(self.first_layer()),
            searched => searched?,
        }
        match self.finish() {
            Err(Error::Stopped) => Ok(self.first_layer()),
            #[cfg(foveola_edits)]
            Ok(Ok(region)) if self.question.minimal => self.minimise(region).map(Ok),
            finished => finished,
        }
    }

    /// Score of the picture as it is.
    fn original(&mut self) -> Result<f32, Error> {
        self.passes.total = self.passes.done + 2;
        let question = &self.question;
        let whole = Masked::whole(question.picture);
        self.classifier
            .classify(&whole, question.score, self.scores)?;
        let score = score_of(self.scores, question.target)?;
        self.passes.step()?;
        Ok(score)
    }

    /// Score of the picture with the boxes in use.
    pub(super) fn output(&mut self) -> Result<f32, Error> {
        let question = &self.question;
        let masked = Masked {
            picture: question.picture,
            fill: question.fill,
            mask: Mask::Windows {
                boxes: self.boxes.get(..self.shown).unwrap_or_default(),
                extra: None,
                reveal: question.reveal,
            },
        };
        self.classifier
            .classify(&masked, question.score, self.scores)?;
        let score = score_of(self.scores, question.target)?;
        self.passes.step()?;
        Ok(score)
    }

    /// The root job, then one job for each step that moved the right way.
    fn search(&mut self) -> Result<(), Error> {
        let field = Window::whole(self.classifier.input());
        self.passes.total = self.passes.done + 2;
        self.job(0, field, None)?;
        let mut next = 0;
        while next < self.len {
            let step = self.step(next)?;
            let last = step.layer + 1 == self.question.levels.count;
            if !last && self.question.better(step.change, 0.0) {
                self.show_before(next)?;
                self.job(step.layer + 1, step.window, Some(next))?;
            }
            next += 1;
        }
        Ok(())
    }

    pub(super) fn step(&self, index: usize) -> Result<Step, Error> {
        self.steps.get(index).copied().ok_or(Error::Internal)
    }

    /// Searches inside one box, starting from the boxes in use; keeps what it
    /// found if it got as far as it had to.
    fn job(&mut self, layer: usize, field: Window, parent: Option<usize>) -> Result<(), Error> {
        let job = Job {
            layer,
            field,
            parent,
            begin: self.len,
            base: self.shown,
        };
        let needed = match parent {
            Some(parent) => Some(self.step(parent)?.change),
            None => None,
        };
        self.passes.total = self.passes.done + 2;
        let start = self.output()?;
        #[cfg(foveola_edits)]
        if self.question.beam > 1 {
            return self.beam(&job, start, needed);
        }
        let mut last = start;
        loop {
            if self.question.reaches(last, self.question.threshold) {
                return self.keep(&job);
            }
            let Some((window, best)) = self.best(&job)? else {
                self.len = job.begin;
                return Ok(());
            };
            self.push(&job, window, best, best - last)?;
            if needed.is_some_and(|needed| self.question.reaches(best - start, needed)) {
                return self.keep(&job);
            }
            last = best;
        }
    }

    /// Hangs the steps of a job under its parent.
    pub(super) fn keep(&mut self, job: &Job) -> Result<(), Error> {
        if let Some(parent) = job.parent {
            let children = self.len - job.begin;
            let step = self.steps.get_mut(parent).ok_or(Error::Internal)?;
            step.first_child = job.begin;
            step.children = children;
        }
        Ok(())
    }

    fn push(&mut self, job: &Job, window: Window, score: f32, change: f32) -> Result<(), Error> {
        let have = self.steps.len();
        let step = self.steps.get_mut(self.len).ok_or(Error::BufferTooSmall {
            need: self.len + 1,
            have,
        })?;
        *step = Step {
            layer: job.layer,
            window,
            probability: score,
            change,
            parent: job.parent,
            first_child: 0,
            children: 0,
        };
        self.len += 1;
        self.show(window)
    }

    pub(super) fn show(&mut self, window: Window) -> Result<(), Error> {
        let have = self.boxes.len();
        let place = self.boxes.get_mut(self.shown);
        *place.ok_or(Error::BufferTooSmall {
            need: self.shown + 1,
            have,
        })? = window;
        self.shown += 1;
        Ok(())
    }

    /// The unused box that moves the score furthest, the first among equals.
    fn best(&mut self, job: &Job) -> Result<Option<(Window, f32)>, Error> {
        let question = self.question;
        let boxes = self.boxes.get(..self.shown).unwrap_or_default();
        let used = boxes.get(job.base..).unwrap_or_default();
        let candidates = Candidates::new(question.levels, job);
        let count = candidates.count() - used.len().min(candidates.count());
        if count == 0 {
            return Ok(None);
        }
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
        let mut best: Option<(usize, f32)> = None;
        let mut sink = |i: usize, scores: &[f32]| {
            let score = score_of(scores, question.target)?;
            if best.is_none_or(|(_, best)| question.better(score, best)) {
                best = Some((i, score));
            }
            self.passes.step()
        };
        let (classifier, scores) = (&mut *self.classifier, &mut *self.scores);
        classifier.classify_edits(&base, count, &edit, question.score, scores, &mut sink)?;
        Ok(best.map(|(i, score)| (candidates.unused(used, i), score)))
    }

    /// Puts the leaves that precede step `end` in the order of a walk through the
    /// tree to use: every step found before it, refined as far as it is now.
    fn show_before(&mut self, end: usize) -> Result<(), Error> {
        self.shown = 0;
        let mut at = 0;
        while at != end {
            let step = self.step(at)?;
            if step.children > 0 {
                at = step.first_child;
                continue;
            }
            self.show(step.window)?;
            at = self.after(at)?;
        }
        Ok(())
    }

    /// The step after `at` and all below it in a walk through the tree.
    fn after(&self, mut at: usize) -> Result<usize, Error> {
        while let Some(parent) = self.step(at)?.parent {
            let parent_step = self.step(parent)?;
            if at + 1 < parent_step.first_child + parent_step.children {
                return Ok(at + 1);
            }
            at = parent;
        }
        Ok(at + 1)
    }

    /// Scores of the layers' pictures; cuts the tree at the deepest that will do.
    fn finish(&mut self) -> Result<Result<Region, NoRegion>, Error> {
        let Some(deepest) = self.len.checked_sub(1) else {
            return Ok(Err(NoRegion::NotFound));
        };
        let layers = self.step(deepest)?.layer + 1;
        self.passes.total = self.passes.done + layers as u64;
        let mut probabilities = [0.0; MAX_LAYERS];
        let mut enough = None;
        for (layer, probability) in probabilities.iter_mut().enumerate().take(layers) {
            *probability = self.layer_output(layer)?;
            if self.question.reaches(*probability, self.question.threshold) {
                enough = Some(layer);
            }
        }
        Ok(match enough {
            Some(layer) => Ok(self.cut(layer, probabilities, true)),
            None => Err(NoRegion::NotFound),
        })
    }

    /// Score of a layer's picture.
    pub(super) fn layer_output(&mut self, layer: usize) -> Result<f32, Error> {
        self.shown = 0;
        for at in 0..self.len {
            let step = self.step(at)?;
            if step.shown_in(layer) {
                self.show(step.window)?;
            }
        }
        self.output()
    }

    /// Cuts the tree below `layer`.
    fn cut(&mut self, layer: usize, probabilities: [f32; MAX_LAYERS], complete: bool) -> Region {
        let used = self.steps.get_mut(..self.len).unwrap_or_default();
        let kept = used.partition_point(|step| step.layer <= layer);
        for step in used.iter_mut().filter(|step| step.layer == layer) {
            step.first_child = 0;
            step.children = 0;
        }
        Region {
            steps: kept,
            layers: layer + 1,
            probabilities,
            passes: self.passes.done,
            complete,
        }
    }

    /// What a stopped search has for certain: layer 0, which ended at the threshold.
    fn first_layer(&mut self) -> Result<Region, NoRegion> {
        let used = self.steps.get(..self.len).unwrap_or_default();
        let mut roots = used.iter().filter(|step| step.layer == 0);
        let Some(reached) = roots.next_back().map(|step| step.probability) else {
            return Err(NoRegion::Stopped);
        };
        if !self.question.reaches(reached, self.question.threshold) {
            return Err(NoRegion::Stopped);
        }
        let mut probabilities = [0.0; MAX_LAYERS];
        if let Some(first) = probabilities.first_mut() {
            *first = reached;
        }
        Ok(self.cut(0, probabilities, false))
    }
}

/// The boxes that a job may choose from: down a column, then to the right.
pub(super) struct Candidates {
    field: Window,
    level: (usize, usize),
    rows: usize,
    columns: usize,
}

impl Candidates {
    pub(super) fn new(levels: &Levels, job: &Job) -> Self {
        Self {
            field: job.field,
            level: levels.level(job.layer),
            rows: levels.positions(job.layer, job.field.h),
            columns: levels.positions(job.layer, job.field.w),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.rows * self.columns
    }

    fn window(&self, i: usize) -> Window {
        let (field, rows) = (&self.field, self.rows.max(1));
        let (row, column) = (i % rows, i / rows);
        let (side, _) = self.level;
        Window {
            y: position(field.y, field.h, self.level, row, self.rows),
            x: position(field.x, field.w, self.level, column, self.columns),
            h: side,
            w: side,
            ..*field
        }
    }

    /// The `i`-th box that no step has used.
    pub(super) fn unused(&self, used: &[Window], i: usize) -> Window {
        let all = (0..self.count()).map(|i| self.window(i));
        let mut unused = all.filter(|window| !used.contains(window));
        unused.nth(i).unwrap_or(super::UNUSED_WINDOW)
    }
}
