//! Which node may write its output over an input that nobody reads any more.
//!
//! A node that computes each element from the same element of an input has
//! read it before it writes there. By itself it may write over any such input
//! that dies with it. The last of several nodes that run together, row by row,
//! writes row y while others of them still read rows of the same tensor; it
//! may write over it only where these never need row y again.

use core::ops::Range;

use super::{Model, Plan, RowWindow};
use crate::net::op::Op;
use crate::tensor::{Shape, TensorId};

/// Whether an operator computes each element of its output from the same
/// element of input `part`, and from a second input that has the output's
/// shape or one value a channel.
pub fn is_elementwise(op: Op, inputs: &[Shape], output: Shape, part: usize) -> bool {
    let fits = |shape: &Shape| *shape == output || *shape == Shape::new(1, 1, output.c);
    let own = inputs.get(part) == Some(&output) && inputs.iter().all(fits);
    match op {
        Op::Activate | Op::Affine | Op::PRelu => own && part == 0,
        Op::Binary(_) => own,
        _ => false,
    }
}

/// Of nodes that run together, the first reads a tensor over which the last
/// one writes: whether the first one is always further than the last.
/// `windows` are those of the nodes from the first to the last, whose rows are
/// as many as the tensor's. Where row y is written, each node before has made
/// the rows below y that the next one looks ahead for.
pub fn stays_ahead(windows: impl IntoIterator<Item = RowWindow>) -> bool {
    let mut windows = windows.into_iter();
    let Some(first) = windows.next() else {
        return false;
    };
    let mut ahead = 0;
    for window in windows {
        match window.looks_ahead() {
            Some(rows) => ahead += rows,
            None => return false,
        }
    }
    first.looks_ahead().is_some() && ahead >= first.pad
}

impl RowWindow {
    /// Rows below its own that a row reads; `None` where rows are skipped.
    fn looks_ahead(&self) -> Option<usize> {
        if self.stride != 1 {
            return None;
        }
        self.span.checked_sub(self.pad + 1)
    }
}

impl Model<'_> {
    /// Whether one of two buffers is a value that the node that makes it
    /// writes over the other.
    pub(super) fn may_share(&self, plan: &Plan<'_>, a: usize, b: usize) -> bool {
        let id = |index: usize| u16::try_from(index).ok().map(TensorId);
        match (id(a), id(b)) {
            (Some(a), Some(b)) => {
                self.is_written_over(plan, a, b) || self.is_written_over(plan, b, a)
            }
            _ => false,
        }
    }

    /// Whether the maker of `over` may write over `under`: both lie whole at
    /// the same place and meet where `under` is read for the last time.
    fn is_written_over(&self, plan: &Plan<'_>, over: TensorId, under: TensorId) -> bool {
        let maker = self.nodes.iter().position(|node| node.output == over.0);
        let tensors = self.tensor(over).zip(self.tensor(under));
        let (Some(maker), Some((top, bottom))) = (maker, tensors) else {
            return false;
        };
        let (above, below) = (plan.value(over), plan.value(under));
        let whole = above.length == top.size() && below.length == bottom.size();
        let alike = top.quant.is_some() == bottom.quant.is_some();
        let group = self.group_of(plan, maker);
        let meet = maker + 1 == group.end
            && usize::from(above.birth) == group.start
            && usize::from(below.death) == maker;
        whole
            && alike
            && meet
            && above.range() == below.range()
            && self.overwrites(maker, under)
            && self.others_are_ahead(group, under)
    }

    /// Whether a node reads `under` once and element by element.
    fn overwrites(&self, maker: usize, under: TensorId) -> bool {
        let Some(node) = self.node(maker) else {
            return false;
        };
        let first = node.input(0).map(|id| self.shape(id));
        let second = node.input(1).map(|id| self.shape(id));
        let (Some(first), once) = (first, node.inputs().filter(|&id| id == under).count() == 1)
        else {
            return false;
        };
        let both = [first, second.unwrap_or(first)];
        let shapes = both.get(..node.inputs().len()).unwrap_or_default();
        let output = self.shape(node.output);
        let part = node.inputs().position(|id| id == under);
        once && part.is_some_and(|part| is_elementwise(node.op, shapes, output, part))
    }

    /// Whether the nodes of a group before its last one never read a row of
    /// `under` over which the last one has written.
    fn others_are_ahead(&self, group: Range<usize>, under: TensorId) -> bool {
        let height = self.shape(under).h;
        let reads = |i: usize| {
            let node = self.node(i);
            node.is_some_and(|node| node.inputs().any(|id| id == under))
        };
        let mut readers = group.clone().take(group.len().saturating_sub(1));
        readers.all(|reader| {
            let nodes = || (reader..group.end).filter_map(|i| self.node(i));
            let even = |id| self.shape(id).h == height;
            !reads(reader)
                || (nodes().all(|node| even(node.output))
                    && stays_ahead(nodes().map_while(|node| self.row_window(&node))))
        })
    }

    /// The nodes that run together with node `index`.
    fn group_of(&self, plan: &Plan<'_>, index: usize) -> Range<usize> {
        let mut group = self.together(plan, 0);
        while group.end <= index {
            group = self.together(plan, group.end);
        }
        group
    }
}
