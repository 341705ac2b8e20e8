//! The forward pass.

use core::ops::Range;

use super::{Place, Run, Session, carve, floats_mut, integers, integers_mut};
use crate::classifier::{At, Rule};
use crate::error::Error;
use crate::mask::Masked;
use crate::net::int8;
use crate::net::model::{NodeView, Pass, Plan};
use crate::net::op::Op;
use crate::net::ops;
use crate::net::quant::{self, Quantisation};
use crate::tensor::{Shape, TensorId, Values};

/// Takes what a node has just computed: the node's number, the index of the
/// first element (HWC), the values. Most nodes come whole; those that run row
/// by row come as rows, in order. An error ends the pass and is handed on.
pub type Tap<'a> = dyn FnMut(usize, usize, Values<'_>) -> Result<(), Error> + 'a;

impl<'m> Session<'m, '_> {
    /// A plain forward pass that shows every layer to `tap`, in run order:
    /// afterwards most of them are gone, because buffers are used again.
    ///
    /// # Errors
    /// As [`Session::forward`], and what `tap` reports.
    pub fn forward_tapped(&mut self, x: &Masked<'_>, tap: &mut Tap<'_>) -> Result<(), Error> {
        self.last = None;
        let plan = self.plan(Pass::Forward)?;
        self.run_forward(&plan, x, None, Some(tap))
    }

    /// As [`Layers::run`](crate::Layers::run), shown to `tap` as
    /// [`Session::forward_tapped`] does.
    ///
    /// # Errors
    /// As [`Layers::run`](crate::Layers::run), and what `tap` reports.
    pub fn run_tapped(
        &mut self,
        x: &Masked<'_>,
        at: At,
        rule: Rule,
        tap: &mut Tap<'_>,
    ) -> Result<(), Error> {
        self.last = None;
        let plan = self.plan(Pass::Backward(at))?;
        self.run_forward(&plan, x, Some(rule), Some(tap))?;
        self.last = Some(Run {
            at,
            rule,
            relevance: false,
        });
        Ok(())
    }

    /// Runs every node; with a rule it also keeps what the backward pass reads.
    pub(super) fn run_forward(
        &mut self,
        plan: &Plan<'_>,
        x: &Masked<'_>,
        rule: Option<Rule>,
        tap: Option<&mut Tap<'_>>,
    ) -> Result<(), Error> {
        self.run_nodes(plan, x, 0..self.model.node_count(), rule, tap)
    }

    /// Runs nodes that do not part a group; the first of all needs the picture.
    pub(super) fn run_nodes(
        &mut self,
        plan: &Plan<'_>,
        x: &Masked<'_>,
        nodes: Range<usize>,
        rule: Option<Rule>,
        mut tap: Option<&mut Tap<'_>>,
    ) -> Result<(), Error> {
        x.check(self.model.input())?;
        if nodes.start == 0 && !self.model.is_short(plan, self.model.input_id()) {
            self.load(plan, x)?;
        }
        let mut next = nodes.start;
        while next < nodes.end {
            let group = self.model.together(plan, next);
            next = group.end;
            let view = self.model.node(group.start).ok_or(Error::Internal)?;
            let tap = tap.as_deref_mut();
            let streams = group.len() > 1
                || self.model.loads_rows(plan, &view)
                || self.model.pour(plan, view.output).is_some();
            if streams {
                self.stream(plan, x, group, rule, tap)?;
            } else {
                self.whole(plan, group.start, rule, tap)?;
            }
        }
        Ok(())
    }

    /// One node by itself.
    #[inline(never)]
    fn whole(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        rule: Option<Rule>,
        tap: Option<&mut Tap<'_>>,
    ) -> Result<(), Error> {
        let view = self.model.node(index).ok_or(Error::Internal)?;
        match self.dropout(index) {
            None => self.step(plan, index, &view)?,
            Some(place) => self.dropped(plan, (index, &view), &place, None, None)?,
        }
        if let Some(rule) = rule {
            self.record(plan, index, &view, rule)?;
        }
        if let Some(tap) = tap {
            let values = self.typed(view.output, plan.value(view.output).range())?;
            tap(index, 0, values)?;
        }
        Ok(())
    }

    /// Writes the whole input into its buffer.
    fn load(&mut self, plan: &Plan<'_>, x: &Masked<'_>) -> Result<(), Error> {
        let range = plan.value(self.model.input_id()).range();
        let row = self.model.input().row();
        let [bytes] = carve(self.arena, [range])?;
        for (y, out) in floats_mut(bytes)?.chunks_exact_mut(row.max(1)).enumerate() {
            x.row(y, out)?;
        }
        Ok(())
    }

    /// One node whose inputs lie in the arena or are constants.
    pub(super) fn step(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        view: &NodeView<'_>,
    ) -> Result<(), Error> {
        let parts = match view.op {
            Op::Concat { .. } => view.inputs().len(),
            _ => 1,
        };
        let mut offset = 0;
        let mut saw_nan = false;
        let overwritten = self.overwritten(plan, view);
        for part in 0..parts {
            let id = view.input(part).ok_or(Error::Internal)?;
            saw_nan |= match (view.op, view.integers, overwritten) {
                _ if self.model.is_poured(plan, view, id) => false,
                (_, _, Some(part)) => self.overwrite(plan, index, part, None)?,
                (Op::Quantise { .. } | Op::Dequantise, ..) => self.convert(plan, view)?,
                (_, Some(_), None) => {
                    self.compute8(plan, index, part, offset)?;
                    false
                }
                (_, None, None) => self.compute(plan, index, part, offset)?,
            };
            if let Op::Concat { axis } = view.op {
                offset += extent(self.part_shape(view, part)?, axis);
            }
        }
        if saw_nan {
            return Err(Error::NotFinite { node: index });
        }
        Ok(())
    }

    /// `Quantise` or `Dequantise`, and whether NaN was seen.
    fn convert(&mut self, plan: &Plan<'_>, view: &NodeView<'_>) -> Result<bool, Error> {
        let from = Place::of(self.model, plan, view.input(0).ok_or(Error::Internal)?)?;
        let ranges = [plan.value(view.output).range(), from.range()];
        let [out, bytes] = carve(self.arena, ranges)?;
        if let Op::Quantise { scale, zero_point } = view.op {
            let to = Quantisation { scale, zero_point };
            let from = from.operand(bytes)?;
            return Ok(quant::quantise(from.data, to, integers_mut(out)?, self.isa));
        }
        let from = from.operand8(bytes)?;
        quant::dequantise(from.data, from.quant, floats_mut(out)?);
        Ok(false)
    }

    /// One input of an int8 node.
    #[inline(never)]
    fn compute8(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        part: usize,
        offset: usize,
    ) -> Result<(), Error> {
        let view = self.model.node(index).ok_or(Error::Internal)?;
        let node = self
            .model
            .integer_node(&view, part)
            .ok_or(Error::Internal)?;
        let (a, b) = self.operands(plan, &view, part)?;
        let b_range = b.as_ref().map_or(0..0, Place::range);
        let same = b_range == a.range();
        let ranges = [
            plan.value(view.output).range(),
            plan.keep(index).range(),
            self.scratch_range(plan),
            a.range(),
            if same { 0..0 } else { b_range },
        ];
        let [out, keep, scratch, a_bytes, b_bytes] = carve(self.arena, ranges)?;
        let first = a.operand8(a_bytes)?;
        let b_bytes = if same { &*a_bytes } else { &*b_bytes };
        let second = b.map(|b| b.operand8(b_bytes)).transpose()?;
        let both = [first, second.unwrap_or(first)];
        let operands = both.get(..1 + usize::from(second.is_some()));
        int8::forward(
            &node,
            operands.ok_or(Error::Internal)?,
            part,
            offset,
            integers_mut(out)?,
            keep,
            scratch,
            self.isa,
        )
    }

    /// Where input `part` lies, and the second operand of an operator of two.
    pub(super) fn operands(
        &self,
        plan: &Plan<'_>,
        view: &NodeView<'_>,
        part: usize,
    ) -> Result<(Place<'m>, Option<Place<'m>>), Error> {
        let place = |id: TensorId| Place::of(self.model, plan, id);
        let a = place(view.input(part).ok_or(Error::Internal)?)?;
        let second = match view.op {
            Op::Concat { .. } => None,
            _ => view.input(1),
        };
        Ok((a, second.map(place).transpose()?))
    }

    pub(super) fn part_shape(&self, view: &NodeView<'_>, part: usize) -> Result<Shape, Error> {
        Ok(self.model.shape(view.input(part).ok_or(Error::Internal)?))
    }

    #[inline(never)]
    fn compute(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        part: usize,
        offset: usize,
    ) -> Result<bool, Error> {
        let view = self.model.node(index).ok_or(Error::Internal)?;
        let node = self.kernel_node(&view, part)?;
        let (a, b) = self.operands(plan, &view, part)?;
        // Both operands may be the same tensor; the arena lends it once.
        let b_range = b.as_ref().map_or(0..0, Place::range);
        let same = b_range == a.range();
        let ranges = [
            plan.value(view.output).range(),
            plan.keep(index).range(),
            self.scratch_range(plan),
            a.range(),
            if same { 0..0 } else { b_range },
        ];
        let [out, keep, scratch, a_bytes, b_bytes] = carve(self.arena, ranges)?;
        let first = a.operand(a_bytes)?;
        let out = floats_mut(out)?;
        let scratch = floats_mut(scratch)?;
        match b {
            None => ops::forward(&node, &[first], offset, out, keep, scratch, self.isa),
            Some(b) => {
                let second = b.operand(if same { a_bytes } else { b_bytes })?;
                ops::forward(
                    &node,
                    &[first, second],
                    offset,
                    out,
                    keep,
                    scratch,
                    self.isa,
                )
            }
        }
    }

    /// Keeps the gates of a ReLU for the backward pass, of the node's whole output.
    fn record(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        view: &NodeView<'_>,
        rule: Rule,
    ) -> Result<(), Error> {
        let keep = plan.keep(index);
        if keep.length == 0 {
            return Ok(());
        }
        let ranges = [plan.value(view.output).range(), keep.range()];
        let integer_node = self.model.integer_node(view, 0);
        let real_node = self.kernel_node(view, 0)?;
        let [out, keep] = carve(self.arena, ranges)?;
        match (integer_node, view.op) {
            (Some(node), _) => int8::record_gate(&node, rule, integers(out)?, 0, keep, self.isa),
            (None, Op::Quantise { .. }) => quant::record_gate(integers(out)?, 0, keep, self.isa),
            (None, _) => ops::record_gate(&real_node, rule, floats_mut(out)?, 0, keep),
        }
        Ok(())
    }
}

/// Size along an axis.
pub(super) fn extent(shape: Shape, axis: u8) -> usize {
    match axis {
        0 => shape.h,
        1 => shape.w,
        _ => shape.c,
    }
}
