//! Whether a memory plan is sound: every buffer is there when it is needed,
//! and no two live buffers overlap.

use super::{Buffer, Model, NodeView, Plan};
use crate::classifier::Score;
use crate::error::Error;
use crate::net::format::{ALIGNMENT, FOREVER};
use crate::net::op::Op;
use crate::net::ops;
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
        for i in 0..nodes {
            let node = self.node(i).ok_or(wrong(0))?;
            if !self.runs(plan, i, &node) {
                return Err(wrong(usize::from(node.output.0)));
            }
        }
        if !self.keeps_scores(plan) {
            return Err(wrong(usize::from(self.output_id().0)));
        }
        to.map_or(Ok(()), |to| self.check_backward(plan, to).map_err(wrong))
    }

    /// Whether a value has room: none for constants, a few rows may do for the input.
    fn holds_value(&self, plan: &Plan<'_>, id: TensorId) -> bool {
        let length = plan.value(id).length;
        match self.tensor(id) {
            Some(t) if t.constant.is_some() => length == 0,
            Some(t) if id == self.input_id() => {
                length == t.shape.len() * 4 || self.is_ring(plan, id, t.shape.row() * 4)
            }
            Some(t) => length == t.shape.len() * 4,
            None => false,
        }
    }

    /// Whether the input is a ring of whole rows, tall enough for its only
    /// reader, a convolution.
    fn is_ring(&self, plan: &Plan<'_>, id: TensorId, row: usize) -> bool {
        let buffer = plan.value(id);
        let rows = buffer.length.checked_div(row).unwrap_or(0);
        let mut readers = (0..self.nodes.len())
            .filter_map(|i| self.node(i))
            .filter(|node| node.inputs().any(|input| input == id));
        let (Some(reader), None) = (readers.next(), readers.next()) else {
            return false;
        };
        let geometry = match reader.op {
            Op::Conv { geometry, .. } | Op::Depthwise { geometry } => geometry,
            _ => return false,
        };
        let [kernel, dilation] =
            [geometry.kernel, geometry.dilation].map(|[rows, _]| usize::from(rows));
        let span = kernel
            .saturating_sub(1)
            .saturating_mul(dilation)
            .saturating_add(1);
        buffer.length.is_multiple_of(row.max(1)) && rows >= span && reader.inputs().len() == 1
    }

    fn runs(&self, plan: &Plan<'_>, step: usize, node: &NodeView<'_>) -> bool {
        let is_constant = |id| self.tensor(id).is_some_and(|t| t.constant.is_some());
        let input = self.input_id();
        let loaded = |id| id != input || plan.value(id).birth == 0 || self.is_streamed(plan);
        live_at(&plan.value(node.output), step)
            && plan.value(node.output).birth as usize == step
            && node
                .inputs()
                .all(|id| is_constant(id) || (live_at(&plan.value(id), step) && loaded(id)))
    }

    /// Whether the plan streams the input through a ring of rows.
    pub(in crate::net) fn is_streamed(&self, plan: &Plan<'_>) -> bool {
        plan.value(self.input_id()).length < self.input().len() * 4
    }

    fn keeps_scores(&self, plan: &Plan<'_>) -> bool {
        [Score::Logit, Score::Probability]
            .into_iter()
            .all(|score| plan.value(self.score_id(score)).is_kept())
    }

    /// The gradient side of a plan; the error is the index of a buffer.
    fn check_backward(&self, plan: &Plan<'_>, to: TensorId) -> Result<(), usize> {
        let tensors = self.tensors.len();
        let place = |id: TensorId| tensors + usize::from(id.0);
        let to_is_kept = to == self.input_id() || plan.value(to).is_kept();
        if !plan.gradient(to).is_kept() || !to_is_kept {
            return Err(place(to));
        }
        for t in 0..tensors {
            let id = TensorId(u16::try_from(t).unwrap_or(u16::MAX));
            let length = plan.gradient(id).length;
            let made = self.nodes.iter().any(|n| n.output == id.0);
            if length != 0 && (length != self.shape(id).len() * 4 || (id != to && !made)) {
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
            return Ok(());
        }
        let step = 2 * self.nodes.len() - 1 - i;
        if !live_at(&plan.gradient(node.output), step) {
            return Err(place(node.output));
        }
        let unfit = |id: &TensorId| {
            let gradient = plan.gradient(*id);
            gradient.length > 0 && !(live_at(&gradient, step) && self.is_zeroed(plan, *id))
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
    /// it (which clears it first), or is a score's and cleared by the seed.
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
        let keeps = ops::keeps(node.op, node.activation, input, self.shape(node.output));
        let keep = plan.keep(i);
        let held = |id: TensorId| {
            self.tensor(id).is_some_and(|t| t.constant.is_some())
                || (plan.value(id).is_kept() && plan.value(id).length == self.shape(id).len() * 4)
        };
        let kept = keeps.bytes == 0
            || (keep.length >= keeps.bytes && keep.birth as usize <= i && keep.is_kept());
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
