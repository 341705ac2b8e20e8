//! Whether the gradient side of a memory plan is sound. Errors are the index
//! of a buffer.

use core::ops::Range;

use super::check_plan::live_at;
use super::{Model, NodeView, Plan};
use crate::classifier::Score;
use crate::net::op::Op;
use crate::tensor::{Shape, TensorId};

impl Model<'_> {
    fn place(&self, id: TensorId) -> usize {
        self.tensors.len() + usize::from(id.0)
    }

    pub(super) fn is_score(&self, id: TensorId) -> bool {
        [Score::Logit, Score::Probability]
            .map(|score| self.score_id(score))
            .contains(&id)
    }

    /// Gradients run from both kinds of scores down to `to`.
    pub(super) fn check_backward(&self, plan: &Plan<'_>, to: TensorId) -> Result<(), usize> {
        let to_is_kept =
            to == self.input_id() || (plan.value(to).is_kept() && !self.is_short(plan, to));
        if !plan.gradient(to).is_kept() || !to_is_kept {
            return Err(self.place(to));
        }
        for t in 0..self.tensors.len() {
            let id = TensorId(u16::try_from(t).unwrap_or(u16::MAX));
            let length = plan.gradient(id).length;
            let made = self.nodes.iter().any(|n| n.output == id.0);
            let fits = length <= self.gradient_size(id) && (id == to || made);
            // One that no node adds to would be read as the arena left it.
            if length != 0 && !(fits && (self.is_score(id) || self.reads(id) > 0)) {
                return Err(self.place(id));
            }
        }
        let mut end = self.nodes.len();
        while let Some(last) = end.checked_sub(1) {
            let group = self.together_back(plan, last);
            end = group.start;
            for i in group.clone() {
                self.check_backward_node(plan, to, &group, i)?;
            }
        }
        [Score::Logit, Score::Probability]
            .into_iter()
            .try_for_each(|score| {
                let id = self.score_id(score);
                let seeded = plan.gradient(id).birth as usize <= self.nodes.len();
                let whole = plan.gradient(id).length == self.gradient_size(id);
                if whole && seeded {
                    Ok(())
                } else {
                    Err(self.place(id))
                }
            })
    }

    /// One of the nodes that run backward together.
    fn check_backward_node(
        &self,
        plan: &Plan<'_>,
        to: TensorId,
        group: &Range<usize>,
        i: usize,
    ) -> Result<(), usize> {
        let node = self.node(i).ok_or(0usize)?;
        let active = node.inputs().any(|id| plan.gradient(id).length > 0);
        let output = plan.gradient(node.output);
        if (output.length > 0) != (active || node.output == to) {
            return Err(self.place(node.output));
        }
        if !active {
            // What is there is written to when the node has run.
            let keeps = plan.keep(i).length > 0;
            return if keeps {
                Err(2 * self.tensors.len() + i)
            } else {
                Ok(())
            };
        }
        // Between nodes that run together lie rings or whole gradients, behind
        // the last of them a whole one.
        let fed = if i + 1 < group.end {
            let window = self.row_window(&node);
            window.is_some_and(|w| self.is_gradient_ring(plan, node.output, w.reach()))
        } else {
            !self.is_short_gradient(plan, node.output)
        };
        if !fed || !self.lasts(plan, node.output, group) {
            return Err(self.place(node.output));
        }
        let unfit = |id: &TensorId| {
            plan.gradient(*id).length > 0 && !self.takes_gradient(plan, *id, group, i)
        };
        if let Some(id) = node.inputs().find(unfit) {
            return Err(self.place(id));
        }
        if self.keeps_enough(plan, i, &node, self.streams_back(plan, group)) {
            Ok(())
        } else {
            Err(2 * self.tensors.len() + i)
        }
    }

    /// Backward steps of a group's nodes: the first, the last.
    pub(in crate::net) fn back_steps(&self, group: &Range<usize>) -> (usize, usize) {
        let steps = 2 * self.nodes.len();
        let step = |end: usize| steps.saturating_sub(end);
        (step(group.end), step(group.start + 1))
    }

    /// Whether a gradient is there while a group runs.
    fn lasts(&self, plan: &Plan<'_>, id: TensorId, group: &Range<usize>) -> bool {
        let (first, last) = self.back_steps(group);
        let gradient = plan.gradient(id);
        live_at(&gradient, first) && live_at(&gradient, last)
    }

    /// Whether node `i` of a group can add to the gradient of an input: a row
    /// at a time (which is cleared first) where it is a ring, else a whole one
    /// that the first group that adds to it clears (or the seed does).
    fn takes_gradient(
        &self,
        plan: &Plan<'_>,
        id: TensorId,
        group: &Range<usize>,
        i: usize,
    ) -> bool {
        if !self.lasts(plan, id, group) {
            return false;
        }
        if self.is_short_gradient(plan, id) {
            let before = i.checked_sub(1).filter(|&b| b >= group.start);
            let made = before.and_then(|b| self.node(b));
            let inside = made.is_some_and(|node| node.output == id);
            let handed = id == self.input_id() && i == group.start;
            return inside || (handed && self.is_gradient_ring(plan, id, 1));
        }
        let reads = |&i: &usize| {
            self.node(i)
                .is_some_and(|node| node.inputs().any(|input| input == id))
        };
        let last_reader = (0..self.nodes.len()).rev().find(reads);
        let first_here = last_reader.is_some_and(|reader| group.contains(&reader));
        let (first, _) = self.back_steps(group);
        self.is_score(id) || !first_here || usize::from(plan.gradient(id).birth) == first
    }

    /// Whether what the way back through node `i` reads is there; by rows it
    /// can read gates alone.
    fn keeps_enough(&self, plan: &Plan<'_>, i: usize, node: &NodeView<'_>, by_rows: bool) -> bool {
        let input = node
            .input(0)
            .map_or(Shape::new(0, 0, 0), |id| self.shape(id));
        let keeps = self.keeps(node, input);
        let keep = plan.keep(i);
        let held = |id: TensorId| {
            self.tensor(id).is_some_and(|t| t.constant.is_some())
                || (plan.value(id).is_kept() && !self.is_short(plan, id))
        };
        let kept = match keeps.bytes {
            0 => keep.length == 0,
            bytes => keep.length >= bytes && usize::from(keep.birth) <= i && keep.is_kept(),
        };
        // A pool goes back as a whole.
        let pools = matches!(node.op, Op::MaxPool(_) | Op::AveragePool { .. });
        let window = self.row_window(node).is_some() && !pools && !keeps.inputs && !keeps.output;
        kept && (window || !by_rows)
            && (!keeps.inputs || node.inputs().all(held))
            && (!keeps.output || held(node.output))
    }
}
