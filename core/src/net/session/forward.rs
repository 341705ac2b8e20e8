//! The forward pass.

use super::{Place, Run, Session, carve, floats_mut};
use crate::classifier::{At, Rule};
use crate::error::Error;
use crate::mask::Masked;
use crate::net::model::{NodeView, Pass, Plan};
use crate::net::op::{Geometry, Op};
use crate::net::ops::{self, Node, Rows};
use crate::tensor::{Shape, TensorId};

/// Takes the output of node number `index`, HWC, as soon as it is computed.
/// An error ends the pass and is handed on.
pub type Tap<'a> = dyn FnMut(usize, &[f32]) -> Result<(), Error> + 'a;

impl Session<'_, '_> {
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
        self.last = Some(Run { at, rule });
        Ok(())
    }

    /// Runs every node; with a rule it also keeps what the backward pass reads.
    pub(super) fn run_forward(
        &mut self,
        plan: &Plan<'_>,
        x: &Masked<'_>,
        rule: Option<Rule>,
        mut tap: Option<&mut Tap<'_>>,
    ) -> Result<(), Error> {
        x.check(self.model.input())?;
        let streamed = self.model.is_streamed(plan);
        if !streamed {
            self.load(plan, x)?;
        }
        let input = self.model.input_id();
        for index in 0..self.model.node_count() {
            let view = self.model.node(index).ok_or(Error::Internal)?;
            let saw_nan = if streamed && view.input(0) == Some(input) {
                self.stream(plan, x, &view)?
            } else {
                self.step(plan, index, &view)?
            };
            if saw_nan {
                return Err(Error::NotFinite { node: index });
            }
            if let Some(rule) = rule {
                self.record(plan, index, &view, rule)?;
            }
            if let Some(tap) = &mut tap {
                tap(index, self.values(&plan.value(view.output))?)?;
            }
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
    fn step(&mut self, plan: &Plan<'_>, index: usize, view: &NodeView<'_>) -> Result<bool, Error> {
        if let Op::Concat { axis } = view.op {
            let mut offset = 0;
            let mut saw_nan = false;
            for part in 0..view.inputs().len() {
                saw_nan |= self.compute(plan, index, part, offset)?;
                offset += extent(self.part_shape(view, part)?, axis);
            }
            return Ok(saw_nan);
        }
        self.compute(plan, index, 0, 0)
    }

    pub(super) fn part_shape(&self, view: &NodeView<'_>, part: usize) -> Result<Shape, Error> {
        Ok(self.model.shape(view.input(part).ok_or(Error::Internal)?))
    }

    fn compute(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        part: usize,
        offset: usize,
    ) -> Result<bool, Error> {
        let view = self.model.node(index).ok_or(Error::Internal)?;
        let node = self.kernel_node(&view, part)?;
        let place = |id: TensorId| Place::of(self.model, plan, id);
        let a = place(view.input(part).ok_or(Error::Internal)?)?;
        let second = match view.op {
            Op::Concat { .. } => None,
            _ => view.input(1),
        };
        let b = second.map(place).transpose()?;
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

    /// A convolution over the input picture, which is loaded row by row into a ring.
    fn stream(
        &mut self,
        plan: &Plan<'_>,
        x: &Masked<'_>,
        view: &NodeView<'_>,
    ) -> Result<bool, Error> {
        let node = self.kernel_node(view, 0)?;
        let window = row_window(&node).ok_or(Error::Internal)?;
        let ranges = [
            plan.value(view.output).range(),
            plan.value(self.model.input_id()).range(),
        ];
        let [out, ring] = carve(self.arena, ranges)?;
        let (out, ring) = (floats_mut(out)?, floats_mut(ring)?);
        let row = node.input.row().max(1);
        let modulo = ring.len() / row;
        let mut loaded = 0;
        let mut saw_nan = false;
        for (y, out_row) in out.chunks_exact_mut(node.output.row().max(1)).enumerate() {
            let end = window.end(y).min(node.input.h);
            while loaded < end {
                let slot = loaded.checked_rem(modulo).ok_or(Error::Internal)? * row;
                let target = ring.get_mut(slot..slot + row).ok_or(Error::Internal)?;
                x.row(loaded, target)?;
                loaded += 1;
            }
            let rows = Rows {
                data: ring,
                row,
                modulo,
            };
            saw_nan |= ops::forward_row(&node, rows, y, out_row, self.isa)?;
        }
        Ok(saw_nan)
    }

    /// Keeps the gates of a ReLU for the backward pass.
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
        let node = self.kernel_node(view, 0)?;
        let ranges = [plan.value(view.output).range(), keep.range()];
        let [out, keep] = carve(self.arena, ranges)?;
        ops::record_gate(&node, rule, floats_mut(out)?, keep);
        Ok(())
    }
}

/// Which input rows an output row reads.
struct RowWindow {
    stride: usize,
    span: usize,
    pad: usize,
}

impl RowWindow {
    /// One past the last input row that output row `y` reads.
    fn end(&self, y: usize) -> usize {
        (y * self.stride + self.span).saturating_sub(self.pad)
    }
}

fn row_window(node: &Node<'_>) -> Option<RowWindow> {
    let (Op::Conv { geometry, .. } | Op::Depthwise { geometry }) = node.op else {
        return None;
    };
    let Geometry {
        kernel: [k, _],
        stride: [s, _],
        dilation: [d, _],
        pad: [p, _],
    } = geometry;
    let span = usize::from(k).saturating_sub(1) * usize::from(d) + 1;
    Some(RowWindow {
        stride: usize::from(s),
        span,
        pad: usize::from(p),
    })
}

/// Size along an axis.
pub(super) fn extent(shape: Shape, axis: u8) -> usize {
    match axis {
        0 => shape.h,
        1 => shape.w,
        _ => shape.c,
    }
}
