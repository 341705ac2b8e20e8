//! Rows that go to their place in the output of a `Concat` as soon as they are made.

use core::ops::Range;

use super::{Place, Session, carve, floats_mut, integers_mut};
use crate::error::Error;
use crate::net::int8;
use crate::net::model::{Plan, Pour};
use crate::net::op::Op;
use crate::net::ops;
use crate::tensor::Shape;

impl Session<'_, '_> {
    /// Puts row `y` of the part into the output. NaN was seen by its maker.
    #[inline(never)]
    pub(super) fn pour(&mut self, plan: &Plan<'_>, to: &Pour, y: usize) -> Result<(), Error> {
        let view = self.view(to.node)?;
        let Op::Concat { axis } = view.op else {
            return Err(Error::Internal);
        };
        // A row of a part that lies above or below others is a whole row.
        let (out_y, offset) = if axis == 0 {
            (to.offset + y, 0)
        } else {
            (y, to.offset)
        };
        let id = view.input(to.part).ok_or(Error::Internal)?;
        let ranges: [Range<usize>; 2] = [
            self.row_range(plan, view.output, out_y)?,
            self.row_range(plan, id, y)?,
        ];
        let from = Place::of(self.model, plan, id)?;
        let one = |shape: Shape| Shape { h: 1, ..shape };
        let (input, output) = (
            one(self.model.shape(id)),
            one(self.model.shape(view.output)),
        );
        let integer_node = self.model.integer_node(&view, to.part);
        let mut real_node = self.kernel_node(&view, to.part)?;
        let [out, bytes] = carve(self.arena, ranges)?;
        if let Some(mut node) = integer_node {
            (node.input, node.output) = (input, output);
            let x = [from.row8(bytes, y)?];
            let out = integers_mut(out)?;
            return int8::forward(&node, &x, to.part, offset, out, &mut [], &mut [], self.isa);
        }
        (real_node.input, real_node.output) = (input, output);
        let x = [from.row(bytes, y)?];
        let out = floats_mut(out)?;
        ops::forward(&real_node, &x, offset, out, &mut [], &mut [], self.isa)?;
        Ok(())
    }
}
