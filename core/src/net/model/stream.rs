//! Which nodes run row by row, each behind the other, so that the tensors
//! between them are rings of a few rows.

use core::ops::Range;

use super::{Buffer, Model, NodeView, Plan};
use crate::net::op::{Geometry, Op};
use crate::tensor::{Shape, TensorId};

/// Most nodes that run together.
pub const MAX_STREAMED: usize = 32;

/// Which input rows an output row reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowWindow {
    pub(super) stride: usize,
    /// Rows from the first to the last tap.
    pub span: usize,
    pub(super) pad: usize,
}

impl RowWindow {
    /// Row y reads row y.
    const SAME: Self = Self {
        stride: 1,
        span: 1,
        pad: 0,
    };

    /// One past the last input row that output row `y` reads.
    pub const fn end(&self, y: usize) -> usize {
        (y * self.stride + self.span).saturating_sub(self.pad)
    }

    /// One past the last output row whose window reaches input row `y`, where
    /// there are so many.
    pub fn back_end(&self, y: usize) -> usize {
        (y + self.pad).checked_div(self.stride).unwrap_or(0) + 1
    }

    /// Most output rows whose windows reach one input row.
    pub fn reach(&self) -> usize {
        let steps = self.span.saturating_sub(1).checked_div(self.stride);
        steps.unwrap_or(0) + 1
    }

    /// Of an operator that can make each row of its output from a few rows of
    /// its inputs; `None` for others.
    pub fn of(op: Op, inputs: &[Shape], output: Shape) -> Option<Self> {
        let geometry = match op {
            Op::Conv { geometry, .. }
            | Op::Depthwise { geometry }
            | Op::MaxPool(geometry)
            | Op::AveragePool { geometry, .. } => geometry,
            Op::Quantise { .. } | Op::Dequantise | Op::Activate | Op::Binary(_) => {
                let even = inputs.iter().all(|&shape| shape == output);
                return even.then_some(Self::SAME);
            }
            _ => return None,
        };
        let Geometry {
            kernel: [k, _],
            stride: [s, _],
            dilation: [d, _],
            pad: [p, _],
        } = geometry;
        let [k, s, d, p] = [k, s, d, p].map(usize::from);
        Some(Self {
            stride: s,
            span: k.saturating_sub(1).saturating_mul(d).saturating_add(1),
            pad: p,
        })
    }
}

impl Plan<'_> {
    /// What lies in the arena at a step between `from` and `to`.
    pub(in crate::net) fn live(&self, from: usize, to: usize) -> impl Iterator<Item = Buffer> {
        let buffers = (0..self.buffers.len()).map(|i| self.buffer(i));
        buffers.filter(move |b| {
            b.length > 0 && usize::from(b.birth) <= to && from <= usize::from(b.death)
        })
    }
}

impl Model<'_> {
    /// The window of a node's rows, if it can run row by row.
    pub fn row_window(&self, node: &NodeView<'_>) -> Option<RowWindow> {
        let first = self.shape(node.input(0)?);
        let second = node.input(1).map_or(first, |id| self.shape(id));
        if node.inputs().len() > 2 {
            return None;
        }
        RowWindow::of(node.op, &[first, second], self.shape(node.output))
    }

    /// Whether a value's buffer holds some of its rows only.
    pub fn is_short(&self, plan: &Plan<'_>, id: TensorId) -> bool {
        let whole = self.tensor(id);
        whole.is_some_and(|t| t.constant.is_none() && plan.value(id).length < t.size())
    }

    /// The nodes that run together, the first of them being `first`: each of
    /// the others reads a ring that the one before it writes.
    pub fn together(&self, plan: &Plan<'_>, first: usize) -> Range<usize> {
        let mut end = first + 1;
        while end - first < MAX_STREAMED {
            let (Some(before), Some(node)) = (self.node(end - 1), self.node(end)) else {
                break;
            };
            let ring = before.output;
            let takes = !matches!(node.op, Op::Concat { .. }) && node.inputs().any(|id| id == ring);
            if !takes || !self.is_short(plan, ring) {
                break;
            }
            end += 1;
        }
        first..end
    }

    /// Whether a node reads a part of the picture at a time.
    pub fn loads_rows(&self, plan: &Plan<'_>, node: &NodeView<'_>) -> bool {
        let input = self.input_id();
        self.is_short(plan, input) && node.inputs().any(|id| id == input)
    }

    /// Whether a gradient's buffer holds some of its rows only.
    pub fn is_short_gradient(&self, plan: &Plan<'_>, id: TensorId) -> bool {
        let length = plan.gradient(id).length;
        length > 0 && length < self.gradient_size(id)
    }

    /// Bytes of a whole gradient.
    pub(super) fn gradient_size(&self, id: TensorId) -> usize {
        self.shape(id).len() * size_of::<f32>()
    }

    /// The nodes that run backward together, the last of them being `last`:
    /// each of the others reads a ring of gradients that the one behind it writes.
    pub fn together_back(&self, plan: &Plan<'_>, last: usize) -> Range<usize> {
        let mut first = last;
        while last - first + 1 < MAX_STREAMED {
            let Some(before) = first.checked_sub(1).and_then(|i| self.node(i)) else {
                break;
            };
            let Some(node) = self.node(first) else { break };
            let ring = before.output;
            if !self.is_short_gradient(plan, ring) || node.inputs().all(|id| id != ring) {
                break;
            }
            first -= 1;
        }
        first..last + 1
    }

    /// Whether a group of [`Model::together_back`] passes gradients on row by row.
    pub fn streams_back(&self, plan: &Plan<'_>, group: &Range<usize>) -> bool {
        let to_rows = |node: NodeView<'_>| self.hands_rows(plan, &node);
        group.len() > 1 || self.node(group.start).is_some_and(to_rows)
    }

    /// Whether a node hands the gradient of the picture on row by row.
    pub fn hands_rows(&self, plan: &Plan<'_>, node: &NodeView<'_>) -> bool {
        let input = self.input_id();
        self.is_short_gradient(plan, input) && node.inputs().any(|id| id == input)
    }

    /// Whether a ring of gradients has whole rows, as many as the windows of
    /// their reader reach at a time (`reach`), and one node alone adds to it.
    pub(super) fn is_gradient_ring(&self, plan: &Plan<'_>, id: TensorId, reach: usize) -> bool {
        let row = self.shape(id).row() * size_of::<f32>();
        let length = plan.gradient(id).length;
        let rows = length.checked_div(row).unwrap_or(0);
        rows >= reach.max(1)
            && length.is_multiple_of(row.max(1))
            && self.reads(id) == 1
            && !self.is_score(id)
    }

    /// How often nodes read a tensor.
    pub(super) fn reads(&self, id: TensorId) -> usize {
        (0..self.node_count())
            .filter_map(|i| self.node(i))
            .map(|node| node.inputs().filter(|&input| input == id).count())
            .sum()
    }

    /// Whether the ring that node `index` reads is sound: it has whole rows, as
    /// many as the node's window spans, comes from the picture or the node
    /// before, and nobody else reads it. A `Concat` takes rows one by one from
    /// wherever they are made.
    pub(super) fn reads_ring(&self, plan: &Plan<'_>, index: usize, id: TensorId) -> bool {
        let (Some(node), Some(tensor)) = (self.node(index), self.tensor(id)) else {
            return false;
        };
        let before = index.checked_sub(1).and_then(|i| self.node(i));
        let is_concat = matches!(node.op, Op::Concat { .. });
        let comes = match (is_concat, id == self.input_id()) {
            (true, is_input) => !is_input,
            (false, is_input) => is_input || before.is_some_and(|n| n.output == id),
        };
        let row = tensor.shape.row() * tensor.element();
        let length = plan.value(id).length;
        let rows = length.checked_div(row).unwrap_or(0);
        let window = self.row_window(&node).map(|window| window.span);
        let span = if is_concat { Some(1) } else { window };
        let spans = span.is_some_and(|span| rows >= span);
        // A buffer longer than the tensor would be read to its end.
        let short = length < tensor.size();
        comes && spans && short && length.is_multiple_of(row.max(1)) && self.reads(id) == 1
    }
}
