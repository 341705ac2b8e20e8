//! Whether a memory plan is sound: every buffer is there when it is needed,
//! and no two live buffers overlap.

use core::ops::Range;

use super::{Buffer, Model, Plan, Pour};
use crate::classifier::Score;
use crate::error::Error;
use crate::net::format::{ALIGNMENT, FOREVER};
use crate::tensor::TensorId;

impl Model<'_> {
    /// `to` is the tensor at which gradients end; `None` for a forward plan.
    pub(super) fn check_plan(
        &self,
        index: usize,
        plan: &Plan<'_>,
        to: Option<TensorId>,
    ) -> Result<(), Error> {
        let (tensors, nodes) = (self.tensors.len(), self.nodes.len());
        let count = if to.is_some() {
            2 * tensors + nodes
        } else {
            tensors
        };
        let wrong = |buffer| Error::BadPlan {
            plan: index,
            buffer,
        };
        if plan.buffers.len() != count {
            return Err(wrong(0));
        }
        self.check_forward(plan).map_err(wrong)?;
        to.map_or(Ok(()), |to| self.check_backward(plan, to).map_err(wrong))
    }

    /// What all plans have in common: the way to the scores.
    pub(super) fn check_forward(&self, plan: &Plan<'_>) -> Result<(), usize> {
        let (tensors, nodes) = (self.tensors.len(), self.nodes.len());
        self.check_arena(plan)?;
        for t in 0..tensors {
            let id = TensorId(u16::try_from(t).map_err(|_| t)?);
            if !self.holds_value(plan, id) {
                return Err(t);
            }
        }
        let mut next = 0;
        while next < nodes {
            let group = self.together(plan, next);
            self.runs(plan, &group)?;
            next = group.end;
        }
        if !self.keeps_scores(plan) {
            return Err(usize::from(self.output_id().0));
        }
        Ok(())
    }

    /// Whether a value has room: none for constants, a few rows may do between
    /// nodes that run together.
    fn holds_value(&self, plan: &Plan<'_>, id: TensorId) -> bool {
        let length = plan.value(id).length;
        let Some(tensor) = self.tensor(id) else {
            return false;
        };
        if tensor.constant.is_some() {
            return length == 0;
        }
        let reads = |&i: &usize| {
            self.node(i)
                .is_some_and(|node| node.inputs().any(|input| input == id))
        };
        let reader = (0..self.nodes.len()).find(reads);
        length == tensor.size() || reader.is_some_and(|i| self.reads_ring(plan, i, id))
    }

    /// Whether the nodes of one group can run together: what they read and
    /// make is there all the time, and room for what they keep.
    fn runs(&self, plan: &Plan<'_>, group: &Range<usize>) -> Result<(), usize> {
        let last = group.end.saturating_sub(1);
        let is_constant = |id| self.tensor(id).is_some_and(|t| t.constant.is_some());
        let input = self.input_id();
        let end = self.node(last).ok_or(0usize)?.output;
        let pour = self.pour(plan, end);
        let taken = |pour: &Pour| self.takes_rows(plan, pour, group.start, last);
        if pour.is_some_and(|pour| !taken(&pour)) {
            return Err(usize::from(end.0));
        }
        for i in group.clone() {
            let node = self.node(i).ok_or(0usize)?;
            let wrong = usize::from(node.output.0);
            let streams = group.len() > 1 || self.loads_rows(plan, &node) || pour.is_some();
            let lasts = |id| {
                let buffer = plan.value(id);
                live_at(&buffer, group.start) && live_at(&buffer, last)
            };
            let loaded =
                |id| id != input || plan.value(id).birth == 0 || self.loads_rows(plan, &node);
            let poured = |id| self.is_poured(plan, &node, id);
            let there = |id| is_constant(id) || poured(id) || (lasts(id) && loaded(id));
            let birth = usize::from(plan.value(node.output).birth);
            // Rows are poured into a buffer that was born before.
            let born = birth == group.start || (birth < group.start && node.inputs().any(poured));
            if !born || !lasts(node.output) || !node.inputs().all(there) {
                return Err(wrong);
            }
            let rings = node.inputs().filter(|&id| self.is_short(plan, id)).count();
            let by_rows = self.row_window(&node).is_some() && rings < 2;
            if streams && !by_rows {
                return Err(wrong);
            }
            let keep = plan.keep(i);
            if keep.length > 0 && usize::from(keep.birth) > group.start {
                return Err(2 * self.tensors.len() + i);
            }
        }
        Ok(())
    }

    /// Whether every buffer lies in the arena and no two that live together
    /// overlap, but for a value that is written over another; the error is the
    /// index of a buffer.
    fn check_arena(&self, plan: &Plan<'_>) -> Result<(), usize> {
        // Scratch begins where the arena ends.
        if !plan.arena.is_multiple_of(ALIGNMENT) {
            return Err(0);
        }
        for i in 0..plan.buffers.len() {
            let a = plan.buffer(i);
            if a.length == 0 {
                continue;
            }
            let end = a.offset.checked_add(a.length);
            let inside = end.is_some_and(|end| end <= plan.arena);
            let aligned = a.offset.is_multiple_of(ALIGNMENT);
            if !inside || !aligned || a.birth > a.death || a.birth == FOREVER {
                return Err(i);
            }
            for j in 0..i {
                let b = plan.buffer(j);
                let together = a.birth <= b.death && b.birth <= a.death;
                let touching = a.offset < b.offset + b.length && b.offset < a.offset + a.length;
                if b.length > 0 && together && touching && !self.may_share(plan, i, j) {
                    return Err(i);
                }
            }
        }
        Ok(())
    }

    fn keeps_scores(&self, plan: &Plan<'_>) -> bool {
        [Score::Logit, Score::Probability].into_iter().all(|score| {
            let id = self.score_id(score);
            plan.value(id).is_kept() && !self.is_short(plan, id)
        })
    }
}

pub(super) fn live_at(buffer: &Buffer, step: usize) -> bool {
    buffer.length > 0 && usize::from(buffer.birth) <= step && step <= usize::from(buffer.death)
}
