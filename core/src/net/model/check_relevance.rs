//! Whether the relevance side of a memory plan is sound. Errors are the index
//! of a buffer.

use super::{Model, Plan};
use crate::error::Error;

impl Model<'_> {
    /// Programs without relevance never ask for the plan, and skip it.
    #[cfg(not(foveola_relevance))]
    pub(super) const fn check_relevance(&self, _: usize, _: &Plan<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Values as in every plan; relevance from the logits down to the input.
    #[cfg(foveola_relevance)]
    pub(super) fn check_relevance(&self, index: usize, plan: &Plan<'_>) -> Result<(), Error> {
        let wrong = |buffer| Error::BadPlan {
            plan: index,
            buffer,
        };
        if plan.buffers.len() != 2 * self.tensors.len() + self.nodes.len() {
            return Err(wrong(0));
        }
        self.check_forward(plan).map_err(wrong)?;
        self.check_relevances(plan).map_err(wrong)
    }
}

#[cfg(foveola_relevance)]
mod sound {
    use crate::classifier::Score;
    use crate::net::model::check_plan::live_at;
    use crate::net::model::{Model, NodeView, Plan};
    use crate::net::relevance::scratch_bytes;
    use crate::tensor::{Shape, TensorId};

    impl Model<'_> {
        /// The backward step of a node.
        pub(in crate::net) fn back_step(&self, node: usize) -> usize {
            (2 * self.node_count()).saturating_sub(1 + node)
        }

        /// Bytes of scratch that the relevance of a node takes.
        fn relevance_scratch(&self, node: &NodeView<'_>) -> usize {
            let shape = |part| {
                node.input(part)
                    .map_or(Shape::new(0, 0, 0), |id| self.shape(id))
            };
            scratch_bytes(node.op, [shape(0), shape(1)], self.shape(node.output))
        }

        pub(in crate::net::model) fn check_relevances(&self, plan: &Plan<'_>) -> Result<(), usize> {
            let tensors = self.tensor_count();
            let place = |id: TensorId| tensors + usize::from(id.0);
            let (input, logits) = (self.input_id(), self.score_id(Score::Logit));
            let seeded = plan.gradient(logits);
            if seeded.length == 0 || usize::from(seeded.birth) > self.node_count() {
                return Err(place(logits));
            }
            if plan.gradient(input).length == 0 || !plan.gradient(input).is_kept() {
                return Err(place(input));
            }
            let (last, _) = self.maker(logits).ok_or(place(logits))?;
            for t in 0..tensors {
                let id = TensorId(u16::try_from(t).unwrap_or(u16::MAX));
                self.check_born(plan, id, last).map_err(|()| place(id))?;
            }
            for i in 0..self.node_count() {
                let node = self.node(i).ok_or(0usize)?;
                if plan.gradient(node.output).length == 0 {
                    continue;
                }
                if i > last || !self.feeds_relevance(plan, i, &node) {
                    return Err(place(node.output));
                }
                let scratch = plan.scratch(i);
                let need = self.relevance_scratch(&node);
                let there = need == 0 || live_at(&scratch, self.back_step(i));
                if scratch.length < need || !scratch.length.is_multiple_of(4) || !there {
                    return Err(2 * tensors + i);
                }
            }
            Ok(())
        }

        /// Whether a relevance is whole and born when the first node adds to it
        /// (that of the logits with the seed, which comes before).
        fn check_born(&self, plan: &Plan<'_>, id: TensorId, last: usize) -> Result<(), ()> {
            let relevance = plan.gradient(id);
            if relevance.length == 0 {
                return Ok(());
            }
            let whole = self.shape(id).len() * size_of::<f32>();
            let reads = |&i: &usize| {
                self.node(i).is_some_and(|n| {
                    plan.gradient(n.output).length > 0 && n.inputs().any(|input| input == id)
                })
            };
            let born = match (0..=last).rev().find(reads) {
                Some(reader) => self.back_step(reader) == usize::from(relevance.birth),
                None => id == self.score_id(Score::Logit),
            };
            if born && relevance.length == whole {
                Ok(())
            } else {
                Err(())
            }
        }

        /// Whether all that the step of a node reads and writes is there.
        fn feeds_relevance(&self, plan: &Plan<'_>, i: usize, node: &NodeView<'_>) -> bool {
            let step = self.back_step(i);
            let needs_values = self.relevance_scratch(node) > 0;
            let mut inputs = node.inputs();
            live_at(&plan.gradient(node.output), step)
                && inputs.all(|id| {
                    let Some(tensor) = self.tensor(id) else {
                        return false;
                    };
                    let value = plan.value(id);
                    let held = value.length == tensor.size() && live_at(&value, step);
                    let relevance = plan.gradient(id);
                    let given = relevance.length == 0 || live_at(&relevance, step);
                    given && (tensor.constant.is_some() || held || !needs_values)
                })
        }
    }
}
