//! Nodes that write over an input.

use super::{Place, Session, carve, floats_mut, integers_mut};
use crate::error::Error;
use crate::net::int8;
use crate::net::model::{NodeView, Plan};
use crate::net::op::Op;
use crate::net::ops;
use crate::tensor::Shape;

impl<'m> Session<'m, '_> {
    /// The input over which a node writes its output.
    pub(super) fn overwritten(&self, plan: &Plan<'_>, view: &NodeView<'_>) -> Option<usize> {
        if matches!(view.op, Op::Concat { .. }) {
            return None;
        }
        let output = plan.value(view.output).range();
        view.inputs()
            .position(|id| plan.value(id).range() == output)
    }

    /// Runs a node over its input `part`: all of it, or one row. Tells whether
    /// NaN was seen.
    #[inline(never)]
    pub(super) fn overwrite(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        part: usize,
        row: Option<usize>,
    ) -> Result<bool, Error> {
        let view = self.view(index)?;
        let other = match view.inputs().len() {
            2 => view.input(1 - part.min(1)),
            _ => None,
        };
        let place = other
            .map(|id| Place::of(self.model, plan, id))
            .transpose()?;
        let whole = self.model.shape(view.output);
        let (shape, range, beside) = match row {
            None => {
                let beside = place.as_ref().map_or(0..0, Place::range);
                (whole, plan.value(view.output).range(), beside)
            }
            Some(y) => {
                let beside = other.map_or(Ok(0..0), |id| self.place_row(plan, id, y))?;
                let range = self.row_range(plan, view.output, y)?;
                (Shape { h: 1, ..whole }, range, beside)
            }
        };
        let integer_node = self.model.integer_node(&view, 0);
        let under = self.model.tensor(view.input(part).ok_or(Error::Internal)?);
        let quant = under.and_then(|under| under.quant);
        let mut real_node = self.kernel_node(&view, 0)?;
        let [values, bytes] = carve(self.arena, [range, beside])?;
        if let (Some(mut node), Some(quant)) = (integer_node, quant) {
            node.output = shape;
            let other = place.map(|place| match row {
                None => place.operand8(bytes),
                Some(y) => place.row8(bytes, y),
            });
            let other = other.transpose()?;
            let values = integers_mut(values)?;
            int8::forward_in_place(&node, (part, quant), other.as_ref(), values, self.isa)?;
            return Ok(false);
        }
        real_node.output = shape;
        let other = place.map(|place| match row {
            None => place.operand(bytes),
            Some(y) => place.row(bytes, y),
        });
        let other = other.transpose()?;
        ops::forward_in_place(
            &real_node,
            part,
            other.as_ref(),
            floats_mut(values)?,
            self.isa,
        )
    }
}
