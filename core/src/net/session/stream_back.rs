//! Nodes that run backward together: gradients pass row by row from the
//! output of the last of them to the input of the first.

use core::ops::Range;

use super::backward::Watch;
use super::{Session, carve, floats, floats_mut};
use crate::classifier::Rule;
use crate::error::Error;
use crate::net::arch::products;
use crate::net::int8::{self, Saved8};
use crate::net::model::{MAX_STREAMED, NodeView, Plan};
use crate::net::op::Op;
use crate::net::ops::{self, Rows, Saved};
use crate::net::quant;
use crate::tensor::{Shape, TensorId};

/// A stage: the gradient of the last output, then of each node's input.
#[derive(Clone, Copy)]
struct Stage {
    /// Rows made so far.
    done: usize,
    /// Rows that there are.
    height: usize,
    /// Rows of the stage before that the next row needs.
    needs: usize,
}

/// Memory for weights in another order.
struct Scratch {
    /// Bytes of the arena.
    bytes: Range<usize>,
    /// The node for which weights lie there.
    laid_out: Option<usize>,
}

type Stages = [Stage; MAX_STREAMED + 1];

impl<'m> Session<'m, '_> {
    /// Runs `nodes` backward together. A row is made only when a later stage
    /// needs it, so a ring never loses a row that is needed.
    #[inline(never)]
    pub(super) fn stream_back(
        &mut self,
        plan: &Plan<'_>,
        nodes: Range<usize>,
        rule: Rule,
        watch: &mut Watch<'_, '_>,
    ) -> Result<(), Error> {
        let last = nodes.end.saturating_sub(1);
        let output = self.view(last)?.output;
        self.gate(plan, last, plan.gradient(output).range(), 0, rule)?;
        watch.show(last, 0, || self.values(&plan.gradient(output)))?;
        let mut scratch = Scratch {
            bytes: self.back_scratch(plan, &nodes),
            laid_out: None,
        };
        let there = Stage {
            done: usize::MAX,
            height: 0,
            needs: 0,
        };
        let mut stages: Stages = [there; MAX_STREAMED + 1];
        for (stage, index) in stages.iter_mut().skip(1).zip(nodes.clone().rev()) {
            let view = self.model.node(index);
            let view = view.as_ref().ok_or(Error::Internal)?;
            let height = self.part_shape(view, 0)?.h;
            let needs = self.needs_back(view, 0)?;
            *stage = Stage {
                done: 0,
                height,
                needs,
            };
        }
        let stages = stages.get_mut(..=nodes.len()).ok_or(Error::Internal)?;
        while let Some(ready) = ready_stage(stages) {
            let stage = stages.get_mut(ready).ok_or(Error::Internal)?;
            let y = stage.done;
            stage.done += 1;
            let index = nodes.end - ready;
            let view = self.model.node(index);
            let view = view.as_ref().ok_or(Error::Internal)?;
            stage.needs = self.needs_back(view, y + 1)?;
            self.make_row_back(plan, (index, view), y, rule, &mut scratch, watch)?;
        }
        Ok(())
    }

    /// Rows of the output's gradient that must be there before a node makes
    /// row `y` of its input's.
    fn needs_back(&self, node: &NodeView<'m>, y: usize) -> Result<usize, Error> {
        let window = self.model.row_window(node).ok_or(Error::Internal)?;
        let height = self.model.shape(node.output).h;
        Ok(window.back_end(y).min(height))
    }

    /// Bytes of the arena that hold row `y` of a gradient.
    fn gradient_row(&self, plan: &Plan<'_>, id: TensorId, y: usize) -> Result<Range<usize>, Error> {
        let row = self.model.shape(id).row() * size_of::<f32>();
        let buffer = plan.gradient(id).range();
        let rows = buffer.len().checked_div(row).ok_or(Error::Internal)?;
        let start = buffer.start + y.checked_rem(rows).ok_or(Error::Internal)? * row;
        Ok(start..start + row)
    }

    /// Makes row `y` of the gradients of a node's inputs, and lets the rules of
    /// what made these inputs act on it.
    fn make_row_back(
        &mut self,
        plan: &Plan<'_>,
        (index, view): (usize, &NodeView<'m>),
        y: usize,
        rule: Rule,
        scratch: &mut Scratch,
        watch: &mut Watch<'_, '_>,
    ) -> Result<(), Error> {
        for (part, id) in view.inputs().enumerate() {
            if plan.gradient(id).length == 0 {
                continue;
            }
            let to = self.gradient_row(plan, id, y)?;
            let ring = self.model.is_short_gradient(plan, id);
            if ring {
                let [row] = carve(self.arena, [to.clone()])?;
                clear(floats_mut(row)?);
            }
            match view.op {
                Op::Conv { .. } | Op::Depthwise { .. } => {
                    self.window_row_back(plan, (index, view), y, to.clone(), scratch)?;
                }
                _ => self.even_row_back(plan, index, part, y, (to.clone(), rule))?,
            }
            if ring {
                let first = y * self.model.shape(id).row();
                self.pass_on(plan, (index, id), (to, first), rule, watch)?;
            }
        }
        Ok(())
    }

    /// The picture's row leaves; on another one acts the rule of the node before
    /// `index`, which made what it is the gradient of.
    fn pass_on(
        &mut self,
        plan: &Plan<'_>,
        (index, id): (usize, TensorId),
        (row, first): (Range<usize>, usize),
        rule: Rule,
        watch: &mut Watch<'_, '_>,
    ) -> Result<(), Error> {
        if id == self.model.input_id() {
            let [row] = carve(self.arena, [row])?;
            return watch.hand(first, floats(row)?);
        }
        let maker = index.checked_sub(1).ok_or(Error::Internal)?;
        self.gate(plan, maker, row.clone(), first, rule)?;
        watch.show(maker, first, || {
            floats(self.arena.get(row).ok_or(Error::Internal)?)
        })
    }

    /// Row `y` of a convolution's input gradient.
    #[inline(never)]
    fn window_row_back(
        &mut self,
        plan: &Plan<'_>,
        (index, view): (usize, &NodeView<'m>),
        y: usize,
        to: Range<usize>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let laid_out = scratch.laid_out.replace(index) == Some(index);
        let gradient = plan.gradient(view.output).range();
        let ranges = [to, gradient, scratch.bytes.clone()];
        let row = self.model.shape(view.output).row();
        if let Some(node) = &self.model.integer_node(view, 0) {
            let [to, from, scratch] = carve(self.arena, ranges)?;
            let (data, to) = (floats(from)?, floats_mut(to)?);
            let modulo = data.len().checked_div(row).unwrap_or(0);
            let rows = Rows { data, row, modulo };
            return int8::backward_row(node, rows, y, to, scratch, self.isa);
        }
        let node = self.kernel_node(view, 0)?;
        let [to, from, scratch] = carve(self.arena, ranges)?;
        let (data, to) = (floats(from)?, floats_mut(to)?);
        let modulo = data.len().checked_div(row).unwrap_or(0);
        let rows = Rows { data, row, modulo };
        let scratch = (floats_mut(scratch)?, laid_out);
        ops::backward_row(&node, rows, y, to, scratch, self.isa)
    }

    /// Row `y` of the gradient of an input of an operator whose rows depend on
    /// the same rows of its inputs.
    #[inline(never)]
    fn even_row_back(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        part: usize,
        y: usize,
        (to, rule): (Range<usize>, Rule),
    ) -> Result<(), Error> {
        let view = self.view(index)?;
        let from = self.gradient_row(plan, view.output, y)?;
        if matches!(view.op, Op::Quantise { .. } | Op::Dequantise) {
            let first = y * self.model.shape(view.output).row();
            return self.convert_back(plan, index, (from, to), first);
        }
        let shape = Shape {
            h: 1,
            ..self.model.shape(view.output)
        };
        let integer_node = self.model.integer_node(&view, part);
        let mut real_node = self.kernel_node(&view, part)?;
        let [from, to] = carve(self.arena, [from, to])?;
        let (from, to) = (floats(from)?, floats_mut(to)?);
        if let Some(mut node) = integer_node {
            (node.input, node.output) = (shape, shape);
            let saved = Saved8 {
                inputs: [None; 2],
                keep: &[],
            };
            return int8::backward(&node, part, 0, rule, from, &saved, to, &mut [], self.isa);
        }
        (real_node.input, real_node.output) = (shape, shape);
        let saved = Saved {
            inputs: [None; 2],
            output: None,
            keep: &[],
        };
        ops::backward(
            &real_node,
            part,
            0,
            rule,
            from,
            &saved,
            to,
            &mut [],
            self.isa,
        )
    }

    /// Free bytes of the arena while the nodes of a group run backward: behind
    /// the plan, or the longest gap between what it holds then.
    pub(super) fn back_scratch(&self, plan: &Plan<'_>, group: &Range<usize>) -> Range<usize> {
        let behind = self.scratch_range(plan);
        let gap = longest_gap(plan, self.model.back_steps(group));
        if gap.len() > behind.len() {
            gap
        } else {
            behind
        }
    }
}

/// Parts into which the arena is divided to find a gap.
pub const GAP_PARTS: usize = 256;

/// Bytes of a part of an arena in which gaps are sought.
pub const fn gap_part(arena: usize) -> usize {
    arena.div_ceil(GAP_PARTS).next_multiple_of(16)
}

/// The longest run of parts of the arena in which nothing lies from step
/// `from` to step `to`.
fn longest_gap(plan: &Plan<'_>, (from, to): (usize, usize)) -> Range<usize> {
    let part = gap_part(plan.arena_len()).max(1);
    let mut taken = [false; GAP_PARTS];
    for buffer in plan.live(from, to) {
        let parts = buffer.offset / part..(buffer.offset + buffer.length).div_ceil(part);
        for taken in taken.iter_mut().take(parts.end).skip(parts.start) {
            *taken = true;
        }
    }
    let whole = plan.arena_len() / part;
    let (mut longest, mut start) = (0..0, 0);
    for (taken, i) in taken.iter().take(whole).zip(0..) {
        if *taken {
            start = i + 1;
        } else if i + 1 - start > longest.len() {
            longest = start..i + 1;
        }
    }
    longest.start * part..longest.end * part
}

/// Sets to 0, eight at a time: what compilers call for this is made for bytes.
pub(super) fn clear(values: &mut [f32]) {
    let done = products::clear(values);
    let values = values.get_mut(done..).unwrap_or(&mut []);
    let (eights, rest) = values.as_chunks_mut::<8>();
    for eight in eights {
        *eight = [0.0; 8];
    }
    for value in rest {
        *value = 0.0;
    }
}

/// The last stage whose next row can be made; `None` when all rows are.
fn ready_stage(stages: &[Stage]) -> Option<usize> {
    let mut pairs = stages.iter().zip(stages.iter().skip(1));
    let ready =
        pairs.rposition(|(before, own)| own.done < own.height && before.done >= own.needs)?;
    Some(ready + 1)
}

/// What a `Quantise` or `Dequantise` adds, from element `first` on.
impl Session<'_, '_> {
    pub(super) fn convert_back(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        (from, to): (Range<usize>, Range<usize>),
        first: usize,
    ) -> Result<(), Error> {
        let view = self.view(index)?;
        let output = self.model.tensor(view.output).ok_or(Error::Internal)?;
        let ranges = [from, to, plan.keep(index).range()];
        let [grad_out, grad_in, keep] = carve(self.arena, ranges)?;
        let (grad_out, grad_in) = (floats(grad_out)?, floats_mut(grad_in)?);
        match (view.op, output.quant) {
            (Op::Quantise { scale, .. }, Some(quant)) => {
                quant::quantise_backward(grad_out, quant.scale / scale, first, keep, grad_in);
            }
            _ => {
                for (to, g) in grad_in.iter_mut().zip(grad_out) {
                    *to += g;
                }
            }
        }
        Ok(())
    }
}
