//! Inputs of a `Concat` that never exist as a whole: each row goes to its place
//! in the output as soon as it is made.

use super::{Model, NodeView, Plan};
use crate::net::op::Op;
use crate::tensor::TensorId;

/// Where the rows of a node's output go.
#[derive(Clone, Copy, Debug)]
pub struct Pour {
    /// The `Concat`.
    pub node: usize,
    /// Number of its input.
    pub part: usize,
    /// Elements along its axis before that input.
    pub offset: usize,
}

impl Model<'_> {
    /// Where the rows of a value go, if the plan holds one or a few of them at
    /// a time and a `Concat` takes them.
    pub fn pour(&self, plan: &Plan<'_>, id: TensorId) -> Option<Pour> {
        if !self.is_short(plan, id) {
            return None;
        }
        let mut nodes = (0..self.node_count()).filter_map(|i| Some((i, self.node(i)?)));
        let (node, view) = nodes.find(|(_, view)| view.inputs().any(|input| input == id))?;
        let Op::Concat { axis } = view.op else {
            return None;
        };
        let part = view.inputs().position(|input| input == id)?;
        let before = view.inputs().take(part).map(|id| {
            let shape = self.shape(id);
            match axis {
                0 => shape.h,
                1 => shape.w,
                _ => shape.c,
            }
        });
        Some(Pour {
            node,
            part,
            offset: before.sum(),
        })
    }

    /// Whether an input of a node is one whose rows were put into the output
    /// as they were made.
    pub fn is_poured(&self, plan: &Plan<'_>, node: &NodeView<'_>, id: TensorId) -> bool {
        matches!(node.op, Op::Concat { .. }) && self.is_short(plan, id)
    }

    /// Whether rows can be put into a `Concat`'s output while nodes
    /// `first..=last` run: it is there, and whole.
    pub(super) fn takes_rows(
        &self,
        plan: &Plan<'_>,
        pour: &Pour,
        first: usize,
        last: usize,
    ) -> bool {
        let Some(view) = self.node(pour.node) else {
            return false;
        };
        let output = plan.value(view.output);
        let there = usize::from(output.birth) <= first && last <= usize::from(output.death);
        last < pour.node && there && !self.is_short(plan, view.output)
    }
}
