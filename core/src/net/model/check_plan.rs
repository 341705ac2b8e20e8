//! Whether a memory plan is sound: every buffer is there when it is needed,
//! and no two live buffers overlap.

use core::ops::Range;

use super::{Buffer, Model, NodeView, Plan};
use crate::classifier::Score;
use crate::error::Error;
use crate::net::format::{ALIGNMENT, FOREVER};
use crate::net::op::Op;
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
        check_arena(plan).map_err(wrong)?;
        for t in 0..tensors {
            let id = TensorId(u16::try_from(t).map_err(|_| wrong(t))?);
            if !self.holds_value(plan, id) {
                return Err(wrong(t));
            }
        }
        let mut next = 0;
        while next < nodes {
            let group = self.together(plan, next);
            self.runs(plan, &group, to.is_some()).map_err(wrong)?;
            next = group.end;
        }
        if !self.keeps_scores(plan) {
            return Err(wrong(usize::from(self.output_id().0)));
        }
        to.map_or(Ok(()), |to| self.check_backward(plan, to).map_err(wrong))
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
    /// make is there all the time. With gradients to come, only the step into
    /// int8 may run together with the node behind it, because gates of whole
    /// tensors are recorded.
    fn runs(&self, plan: &Plan<'_>, group: &Range<usize>, backward: bool) -> Result<(), usize> {
        let last = group.end.saturating_sub(1);
        let is_constant = |id| self.tensor(id).is_some_and(|t| t.constant.is_some());
        let input = self.input_id();
        for i in group.clone() {
            let node = self.node(i).ok_or(0usize)?;
            let wrong = usize::from(node.output.0);
            let streams = group.len() > 1 || self.loads_rows(plan, &node);
            let lasts = |id| {
                let buffer = plan.value(id);
                live_at(&buffer, group.start) && live_at(&buffer, last)
            };
            let loaded =
                |id| id != input || plan.value(id).birth == 0 || self.loads_rows(plan, &node);
            let there = |id| is_constant(id) || (lasts(id) && loaded(id));
            let output = plan.value(node.output);
            let born = usize::from(output.birth) == group.start;
            if !born || !lasts(node.output) || !node.inputs().all(there) {
                return Err(wrong);
            }
            let rings = node.inputs().filter(|&id| self.is_short(plan, id)).count();
            let by_rows = self.row_window(&node).is_some() && rings < 2;
            let recorded = i == last || matches!(node.op, Op::Quantise { .. });
            if streams && (!by_rows || (backward && !recorded)) {
                return Err(wrong);
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

    /// The gradient side of a plan; the error is the index of a buffer.
    fn check_backward(&self, plan: &Plan<'_>, to: TensorId) -> Result<(), usize> {
        let tensors = self.tensors.len();
        let place = |id: TensorId| tensors + usize::from(id.0);
        let to_is_kept =
            to == self.input_id() || (plan.value(to).is_kept() && !self.is_short(plan, to));
        if !plan.gradient(to).is_kept() || !to_is_kept {
            return Err(place(to));
        }
        for t in 0..tensors {
            let id = TensorId(u16::try_from(t).unwrap_or(u16::MAX));
            let length = plan.gradient(id).length;
            let made = self.nodes.iter().any(|n| n.output == id.0);
            let sound = length == self.shape(id).len() * 4
                && (id == to || made)
                && self.is_zeroed(plan, id);
            if length != 0 && !sound {
                return Err(place(id));
            }
        }
        for i in 0..self.nodes.len() {
            let node = self.node(i).ok_or(0usize)?;
            self.check_backward_node(plan, to, i, &node)?;
        }
        [Score::Logit, Score::Probability]
            .into_iter()
            .try_for_each(|score| {
                let id = self.score_id(score);
                let seeded = plan.gradient(id).birth as usize <= self.nodes.len();
                if plan.gradient(id).length > 0 && seeded {
                    Ok(())
                } else {
                    Err(place(id))
                }
            })
    }

    fn check_backward_node(
        &self,
        plan: &Plan<'_>,
        to: TensorId,
        i: usize,
        node: &NodeView<'_>,
    ) -> Result<(), usize> {
        let tensors = self.tensors.len();
        let place = |id: TensorId| tensors + usize::from(id.0);
        let active = node.inputs().any(|id| plan.gradient(id).length > 0);
        let has_gradient = plan.gradient(node.output).length > 0;
        if has_gradient != (active || node.output == to) {
            return Err(place(node.output));
        }
        if !active {
            // What is there is written to when the node has run.
            let keeps = plan.keep(i).length > 0;
            return if keeps { Err(2 * tensors + i) } else { Ok(()) };
        }
        let step = 2 * self.nodes.len() - 1 - i;
        if !live_at(&plan.gradient(node.output), step) {
            return Err(place(node.output));
        }
        let unfit = |id: &TensorId| {
            let gradient = plan.gradient(*id);
            gradient.length > 0 && !live_at(&gradient, step)
        };
        if let Some(id) = node.inputs().find(unfit) {
            return Err(place(id));
        }
        if self.keeps_enough(plan, i, node) {
            Ok(())
        } else {
            Err(2 * tensors + i)
        }
    }

    /// Whether a gradient is born at the backward step of a node that adds to
    /// it (which clears it first), or is a score's and cleared by the seed. One
    /// that no node adds to would be read as the arena left it.
    fn is_zeroed(&self, plan: &Plan<'_>, id: TensorId) -> bool {
        let birth = usize::from(plan.gradient(id).birth);
        let is_score = [Score::Logit, Score::Probability]
            .map(|s| self.score_id(s))
            .contains(&id);
        is_score
            || (2 * self.nodes.len())
                .checked_sub(birth + 1)
                .and_then(|i| self.node(i))
                .is_some_and(|node| node.inputs().any(|input| input == id))
    }

    fn keeps_enough(&self, plan: &Plan<'_>, i: usize, node: &NodeView<'_>) -> bool {
        let input = node
            .input(0)
            .map_or(crate::Shape::new(0, 0, 0), |id| self.shape(id));
        let keeps = self.keeps(node, input);
        let keep = plan.keep(i);
        let is_ring = |id| id != self.input_id() && self.is_short(plan, id);
        // A node behind a ring runs together with the one before it.
        let first = i - usize::from(i > 0 && node.inputs().any(is_ring));
        let held = |id: TensorId| {
            self.tensor(id).is_some_and(|t| t.constant.is_some())
                || (plan.value(id).is_kept() && !self.is_short(plan, id))
        };
        let kept = match keeps.bytes {
            0 => keep.length == 0,
            bytes => keep.length >= bytes && usize::from(keep.birth) <= first && keep.is_kept(),
        };
        kept && (!keeps.inputs || node.inputs().all(held)) && (!keeps.output || held(node.output))
    }
}

fn live_at(buffer: &Buffer, step: usize) -> bool {
    buffer.length > 0 && usize::from(buffer.birth) <= step && step <= usize::from(buffer.death)
}

/// Whether every buffer lies in the arena and no two that live together
/// overlap; the error is the index of a buffer.
fn check_arena(plan: &Plan<'_>) -> Result<(), usize> {
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
        if !inside || !a.offset.is_multiple_of(ALIGNMENT) || a.birth > a.death || a.birth == FOREVER
        {
            return Err(i);
        }
        for j in 0..i {
            let b = plan.buffer(j);
            let together = a.birth <= b.death && b.birth <= a.death;
            let touching = a.offset < b.offset + b.length && b.offset < a.offset + a.length;
            if b.length > 0 && together && touching {
                return Err(i);
            }
        }
    }
    Ok(())
}
