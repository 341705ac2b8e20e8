//! Nodes that run together, row by row, each behind the other.

use core::ops::Range;

use super::forward::Tap;
use super::pixels::Pixels;
use super::{Place, Session, carve, floats, floats_mut, integers, integers_mut};
use crate::classifier::Rule;
use crate::error::Error;
use crate::mask::Masked;
use crate::net::int8;
use crate::net::model::{MAX_STREAMED, NodeView, Plan};
use crate::net::op::Op;
use crate::net::ops::{self, Rows};
use crate::net::quant::{self, Quantisation};
use crate::tensor::{Shape, TensorId, Values};

/// A stage: the picture, then each node.
#[derive(Clone, Copy)]
struct Stage {
    /// Rows made so far.
    done: usize,
    /// Rows of the stage before that the next row needs.
    needs: usize,
}

type Stages = [Stage; MAX_STREAMED + 1];

impl<'m> Session<'m, '_> {
    /// Runs `nodes` together. A row is made as soon as the rows that its
    /// window reads are there, so a ring never loses a row that is needed.
    #[inline(never)]
    pub(super) fn stream(
        &mut self,
        plan: &Plan<'_>,
        x: &Masked<'_>,
        nodes: Range<usize>,
        rule: Option<Rule>,
        mut tap: Option<&mut Tap<'_>>,
    ) -> Result<(), Error> {
        let first = self.view(nodes.start)?;
        let end = nodes.end.saturating_sub(1);
        let last = self.view(end)?.output;
        let height = self.model.shape(last).h;
        let pour = self.model.pour(plan, last);
        let mut stages: Stages = [Stage { done: 0, needs: 0 }; MAX_STREAMED + 1];
        let mut pixels = None;
        if self.model.loads_rows(plan, &first) {
            pixels = self.pixels(plan, &first, x)?;
        } else {
            stages.first_mut().ok_or(Error::Internal)?.done = usize::MAX;
        }
        let count = nodes.len();
        for (stage, index) in stages.iter_mut().skip(1).zip(nodes.clone()) {
            stage.needs = self.needs(&self.view(index)?, 0)?;
        }
        while stages.get(count).ok_or(Error::Internal)?.done < height {
            let ready = ready_stage(stages.get(..=count).ok_or(Error::Internal)?);
            let stage = stages.get_mut(ready).ok_or(Error::Internal)?;
            let y = stage.done;
            stage.done += 1;
            if ready == 0 {
                if pixels.is_none() {
                    self.load_row(plan, x, y)?;
                }
                continue;
            }
            let index = nodes.start + ready - 1;
            let Some(view) = self.model.node(index) else {
                return Err(Error::Internal);
            };
            stage.needs = self.needs(&view, y + 1)?;
            let pixels = pixels.filter(|_| ready == 1);
            match self.dropout(index) {
                None => self.make_row(plan, (index, &view), y, rule, pixels)?,
                Some(place) => self.dropped(plan, (index, &view), &place, Some(y), pixels)?,
            }
            if let Some(rule) = rule {
                self.record_row(plan, index, y, rule)?;
            }
            if let Some(pour) = pour.filter(|_| index == end) {
                self.pour(plan, &pour, y)?;
            }
            if let Some(tap) = &mut tap {
                let (first, values) = self.row_values(plan, index, y)?;
                tap(index, first, values)?;
            }
        }
        Ok(())
    }

    /// Keeps the gates of row `y` of a node's output for the backward pass;
    /// those of a `Quantise` are kept as it runs.
    fn record_row(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        y: usize,
        rule: Rule,
    ) -> Result<(), Error> {
        let keep = plan.keep(index);
        if keep.length == 0 {
            return Ok(());
        }
        let view = self.view(index)?;
        if matches!(view.op, Op::Quantise { .. }) {
            return Ok(());
        }
        let ranges = [self.row_range(plan, view.output, y)?, keep.range()];
        let first = y * self.model.shape(view.output).row();
        let integer_node = self.model.integer_node(&view, 0);
        let real_node = self.kernel_node(&view, 0)?;
        let [out, keep] = carve(self.arena, ranges)?;
        match integer_node {
            Some(node) => int8::record_gate(&node, rule, integers(out)?, first, keep, self.isa),
            None => ops::record_gate(&real_node, rule, floats(out)?, first, keep),
        }
        Ok(())
    }

    pub(super) fn view(&self, index: usize) -> Result<NodeView<'m>, Error> {
        self.model.node(index).ok_or(Error::Internal)
    }

    /// Input rows that must be there before a node makes row `y`.
    fn needs(&self, node: &NodeView<'m>, y: usize) -> Result<usize, Error> {
        let window = self.model.row_window(node).ok_or(Error::Internal)?;
        let height = self.part_shape(node, 0)?.h;
        Ok(window.end(y).min(height))
    }

    /// Bytes of the arena that hold row `y` of a tensor.
    pub(super) fn row_range(
        &self,
        plan: &Plan<'_>,
        id: TensorId,
        y: usize,
    ) -> Result<Range<usize>, Error> {
        let tensor = self.model.tensor(id).ok_or(Error::Internal)?;
        let row = tensor.shape.row() * tensor.element();
        let buffer = plan.value(id).range();
        let rows = buffer.len().checked_div(row).ok_or(Error::Internal)?;
        let start = buffer.start + y.checked_rem(rows).ok_or(Error::Internal)? * row;
        Ok(start..start + row)
    }

    fn load_row(&mut self, plan: &Plan<'_>, x: &Masked<'_>, y: usize) -> Result<(), Error> {
        let range = self.row_range(plan, self.model.input_id(), y)?;
        let [row] = carve(self.arena, [range])?;
        x.row(y, floats_mut(row)?)
    }

    /// Makes row `y` of a node's output.
    pub(super) fn make_row(
        &mut self,
        plan: &Plan<'_>,
        (index, view): (usize, &NodeView<'m>),
        y: usize,
        rule: Option<Rule>,
        pixels: Option<Pixels<'_>>,
    ) -> Result<(), Error> {
        let saw_nan = match view.op {
            Op::Conv { .. } | Op::Depthwise { .. } | Op::MaxPool(_) | Op::AveragePool { .. } => {
                self.window_row(plan, (index, view), y)?
            }
            Op::Quantise { .. } | Op::Dequantise => {
                self.convert_row(plan, (index, view), y, rule, pixels)?
            }
            _ => match self.overwritten(plan, view) {
                Some(part) => self.overwrite(plan, index, part, Some(y))?,
                None => self.even_row(plan, view, y)?,
            },
        };
        if saw_nan {
            return Err(Error::NotFinite { node: index });
        }
        Ok(())
    }

    /// Row `y` of an operator with a sliding window, and whether NaN was seen.
    #[inline(never)]
    fn window_row(
        &mut self,
        plan: &Plan<'_>,
        (index, view): (usize, &NodeView<'m>),
        y: usize,
    ) -> Result<bool, Error> {
        let from = Place::of(self.model, plan, view.input(0).ok_or(Error::Internal)?)?;
        let to = self.row_range(plan, view.output, y)?;
        let row = self.part_shape(view, 0)?.row();
        let keep = plan.keep(index).range();
        let ranges = [to, from.range(), self.scratch_range(plan), keep];
        if let Some(node) = self.model.integer_node(view, 0) {
            let [to, bytes, scratch, keep] = carve(self.arena, ranges)?;
            let data = from.operand8(bytes)?.data;
            let modulo = data.len().checked_div(row).unwrap_or(0);
            let rows = Rows { data, row, modulo };
            int8::forward_row(&node, rows, y, integers_mut(to)?, keep, scratch, self.isa)?;
            return Ok(false);
        }
        let real_node = self.kernel_node(view, 0)?;
        let [to, bytes, _, keep] = carve(self.arena, ranges)?;
        let data = from.operand(bytes)?.data;
        let modulo = data.len().checked_div(row).unwrap_or(0);
        let rows = Rows { data, row, modulo };
        ops::forward_row(&real_node, rows, y, floats_mut(to)?, keep, self.isa)
    }

    /// Row `y` of a `Quantise` or `Dequantise`, and whether NaN was seen.
    #[inline(never)]
    fn convert_row(
        &mut self,
        plan: &Plan<'_>,
        (index, view): (usize, &NodeView<'m>),
        y: usize,
        rule: Option<Rule>,
        pixels: Option<Pixels<'_>>,
    ) -> Result<bool, Error> {
        let range = self.row_range(plan, view.output, y)?;
        if let Some(pixels) = pixels {
            self.look_up_row(plan, &pixels, y, range.clone())?;
            let keep = rule.map_or(0..0, |_| plan.keep(index).range());
            let [out, keep] = carve(self.arena, [range, keep])?;
            let out = integers_mut(out)?;
            quant::record_gate(out, y * out.len(), keep, self.isa);
            return Ok(false);
        }
        let id = view.input(0).ok_or(Error::Internal)?;
        let from = Place::of(self.model, plan, id)?;
        let keep = rule.map_or(0..0, |_| plan.keep(index).range());
        let ranges = [range, self.place_row(plan, id, y)?, keep];
        let [out, bytes, keep] = carve(self.arena, ranges)?;
        if let Op::Quantise { scale, zero_point } = view.op {
            let to = Quantisation { scale, zero_point };
            let out = integers_mut(out)?;
            let saw_nan = quant::quantise(from.row(bytes, y)?.data, to, out, self.isa);
            quant::record_gate(out, y * out.len(), keep, self.isa);
            return Ok(saw_nan);
        }
        let from = from.row8(bytes, y)?;
        quant::dequantise(from.data, from.quant, floats_mut(out)?);
        Ok(false)
    }

    /// Row `y` of an operator whose rows depend on the same rows of its
    /// inputs, and whether NaN was seen.
    #[inline(never)]
    fn even_row(&mut self, plan: &Plan<'_>, view: &NodeView<'m>, y: usize) -> Result<bool, Error> {
        let (a, b) = self.operands(plan, view, 0)?;
        let row_of = |id: Option<TensorId>| id.map_or(Ok(0..0), |id| self.place_row(plan, id, y));
        let (a_range, b_range) = (row_of(view.input(0))?, row_of(view.input(1))?);
        let same = a_range == b_range;
        let ranges = [
            self.row_range(plan, view.output, y)?,
            a_range,
            if same { 0..0 } else { b_range },
        ];
        let shape = Shape {
            h: 1,
            ..self.model.shape(view.output)
        };
        let integer_node = self.model.integer_node(view, 0);
        let mut real_node = self.kernel_node(view, 0)?;
        let [out, a_bytes, b_bytes] = carve(self.arena, ranges)?;
        let count = 1 + usize::from(b.is_some());
        let (b, b_bytes) = match &b {
            Some(b) if !same => (b, &*b_bytes),
            _ => (&a, &*a_bytes),
        };
        if let Some(mut node) = integer_node {
            (node.input, node.output) = (shape, shape);
            let both = [a.row8(a_bytes, y)?, b.row8(b_bytes, y)?];
            let operands = both.get(..count).ok_or(Error::Internal)?;
            let out = integers_mut(out)?;
            int8::forward(&node, operands, 0, 0, out, &mut [], &mut [], self.isa)?;
            return Ok(false);
        }
        (real_node.input, real_node.output) = (shape, shape);
        let both = [a.row(a_bytes, y)?, b.row(b_bytes, y)?];
        let operands = both.get(..count).ok_or(Error::Internal)?;
        let out = floats_mut(out)?;
        ops::forward(&real_node, operands, 0, out, &mut [], &mut [], self.isa)
    }

    /// Bytes of the arena that hold row `y` of a value; none for constants.
    pub(super) fn place_row(
        &self,
        plan: &Plan<'_>,
        id: TensorId,
        y: usize,
    ) -> Result<Range<usize>, Error> {
        let tensor = self.model.tensor(id).ok_or(Error::Internal)?;
        match tensor.constant {
            Some(_) => Ok(0..0),
            None => self.row_range(plan, id, y),
        }
    }

    /// The row just made, and the index of its first element.
    fn row_values(
        &self,
        plan: &Plan<'_>,
        index: usize,
        y: usize,
    ) -> Result<(usize, Values<'_>), Error> {
        let id = self.view(index)?.output;
        let range = self.row_range(plan, id, y)?;
        let row = self.model.shape(id).row();
        Ok((y * row, self.typed(id, range)?))
    }
}

/// The last stage whose next row can be made; 0 if the picture's next row is
/// what is missing.
fn ready_stage(stages: &[Stage]) -> usize {
    let mut pairs = stages.iter().zip(stages.iter().skip(1));
    let ready = pairs.rposition(|(before, own)| before.done >= own.needs);
    ready.map_or(0, |before| before + 1)
}
