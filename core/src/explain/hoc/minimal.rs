//! The minimality pass: boxes that the others make unnecessary are dropped.

use super::search::Searcher;
use super::{Region, Step};
use crate::error::Error;

/// The layer of a step that is no longer in the tree.
const DROPPED: usize = usize::MAX;

impl Searcher<'_, '_, '_> {
    /// Drops boxes of the finest layer's picture, at each turn the one without
    /// which the score is best, until none can be dropped; boxes above that
    /// have nothing left inside go with them.
    pub(super) fn minimise(&mut self, mut region: Region) -> Result<Region, Error> {
        let Some(last) = region.layers.checked_sub(1) else {
            return Ok(region);
        };
        self.len = region.steps;
        let mut dropped = false;
        let ended = loop {
            match self.least_needed(last) {
                Ok(Some(step)) => {
                    self.drop_step(step)?;
                    dropped = true;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if dropped {
            self.compact()?;
        }
        region.steps = self.len;
        let ended = match ended {
            Ok(()) if dropped => self.layers_anew(&mut region),
            ended => ended,
        };
        region.passes = self.passes.done;
        match ended {
            Err(Error::Stopped) => region.complete = false,
            ended => ended?,
        }
        Ok(region)
    }

    /// The box without which the score is best and still enough.
    fn least_needed(&mut self, last: usize) -> Result<Option<usize>, Error> {
        let used = self.steps.get(..self.len).unwrap_or_default();
        let shown = used.iter().filter(|step| step.shown_in(last)).count();
        if shown < 2 {
            return Ok(None);
        }
        self.passes.total = self.passes.done + shown as u64 + last as u64 + 2;
        let mut best: Option<(usize, f32)> = None;
        for without in 0..self.len {
            if !self.step(without)?.shown_in(last) {
                continue;
            }
            self.shown = 0;
            for at in (0..self.len).filter(|at| *at != without) {
                let step = self.step(at)?;
                if step.shown_in(last) {
                    self.show(step.window)?;
                }
            }
            let score = self.output()?;
            let enough = self.question.reaches(score, self.question.threshold);
            if enough && best.is_none_or(|(_, best)| self.question.better(score, best)) {
                best = Some((without, score));
            }
        }
        Ok(best.map(|(step, _)| step))
    }

    /// Takes a step out, and those above it of which nothing is left.
    fn drop_step(&mut self, step: usize) -> Result<(), Error> {
        let mut at = Some(step);
        while let Some(index) = at {
            let step = self.steps.get_mut(index).ok_or(Error::Internal)?;
            step.layer = DROPPED;
            at = step.parent;
            let Some(parent) = at else { break };
            let parent = self.step(parent)?;
            let mut children = self.steps.iter().skip(parent.first_child);
            let mut children = children.by_ref().take(parent.children);
            if children.any(|child| child.layer != DROPPED) {
                break;
            }
        }
        Ok(())
    }

    /// Closes the gaps. Parents come before their children, and children of one
    /// step lie side by side, so places of children are known in time.
    fn compact(&mut self) -> Result<(), Error> {
        let mut len = 0;
        for at in 0..self.len {
            let step = self.step(at)?;
            if step.layer == DROPPED {
                continue;
            }
            let children = self.steps.iter_mut().skip(step.first_child);
            for child in children.take(step.children) {
                child.parent = Some(len);
            }
            *self.steps.get_mut(len).ok_or(Error::Internal)? = Step {
                first_child: 0,
                children: 0,
                ..step
            };
            if let Some(parent) = step.parent {
                let parent = self.steps.get_mut(parent).ok_or(Error::Internal)?;
                if parent.children == 0 {
                    parent.first_child = len;
                }
                parent.children += 1;
            }
            len += 1;
        }
        self.len = len;
        Ok(())
    }

    /// Scores of the layers' pictures as they are now.
    fn layers_anew(&mut self, region: &mut Region) -> Result<(), Error> {
        let layers = region.layers;
        for (layer, probability) in region.probabilities.iter_mut().enumerate().take(layers) {
            *probability = self.layer_output(layer)?;
        }
        Ok(())
    }
}
