//! Computes a part of a node's output.

use core::ops::Range;

use super::area::{Area, Link};
use super::{Held, Sight};
use crate::error::Error;
use crate::net::int8;
use crate::net::model::NodeView;
use crate::net::op::Op;
use crate::net::ops;
use crate::net::quant::{self, Quantisation};
use crate::net::session::forward::extent;
use crate::net::session::{Place, carve, floats_mut, integers_mut};
use crate::tensor::Shape;

/// What one call of a kernel reads and writes.
struct Call<'m> {
    /// The operator, and the offset of a `Concat`, as the part sees them.
    op: Op,
    offset: usize,
    /// Which input of a `Concat`, else 0.
    part: usize,
    first: Place<'m>,
    second: Option<Place<'m>>,
    output: Shape,
    to: Range<usize>,
}

impl Call<'_> {
    /// What to borrow: output, scratch, operands. Both operands may be the
    /// same tensor; the arena lends it once.
    fn ranges(&self, scratch: Range<usize>) -> ([Range<usize>; 4], bool) {
        let a = self.first.range();
        let b = self.second.as_ref().map_or(0..0, Place::range);
        let same = a == b;
        let b = if same { 0..0 } else { b };
        ([self.to.clone(), scratch, a, b], same)
    }
}

/// Shape of an operand.
const fn shape_of(place: &Place<'_>) -> Shape {
    match place {
        Place::Constant(shape, _) | Place::Arena(shape, ..) => *shape,
    }
}

impl<'m> Held<'_, 'm, '_, '_> {
    /// Computes all of a node's output from the base, or what the edit reaches of it.
    pub(super) fn compute(&mut self, index: usize, sight: &Sight<'_>) -> Result<(), Error> {
        let view = self.session.model.node(index).ok_or(Error::Internal)?;
        let shape = self.session.model.shape(view.output);
        let mut area = Area::whole(shape);
        if sight.edited {
            area = self.reached(&view, shape)?;
            self.slot_mut(view.output)?.set_area(area);
        }
        if area.is_empty() {
            return Ok(());
        }
        let mut saw_nan = false;
        self.links(&view, &mut |held, part, link| {
            if part == 0 || matches!(link.op, Op::Concat { .. }) {
                saw_nan |= held.part(&view, part, link, area, sight)?;
            }
            Ok(())
        })?;
        if saw_nan {
            return Err(Error::NotFinite { node: index });
        }
        Ok(())
    }

    /// Calls `visit` with every operand of a node.
    fn links(
        &mut self,
        view: &NodeView<'m>,
        visit: &mut dyn FnMut(&mut Self, usize, &Link) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut offset = 0;
        for (part, id) in view.inputs().enumerate() {
            let link = Link {
                op: view.op,
                input: self.session.model.shape(id),
                output: self.session.model.shape(view.output),
                offset,
            };
            visit(self, part, &link)?;
            if let Op::Concat { axis } = view.op {
                offset += extent(link.input, axis);
            }
        }
        Ok(())
    }

    /// What the edit reaches of a node's output.
    fn reached(&mut self, view: &NodeView<'m>, shape: Shape) -> Result<Area, Error> {
        let mut area = Area::default();
        self.links(view, &mut |held, part, link| {
            let id = view.input(part).ok_or(Error::Internal)?;
            let changed = held.slot(id)?.area();
            if !changed.is_empty() {
                area = area.around(link.reached(changed));
            }
            Ok(())
        })?;
        match area.is_empty() {
            true => Ok(Area::default()),
            false => Ok(area.or_all(shape)),
        }
    }

    /// One input of a node, all of them but for a `Concat`; whether NaN was seen.
    fn part(
        &mut self,
        view: &NodeView<'m>,
        part: usize,
        link: &Link,
        area: Area,
        sight: &Sight<'_>,
    ) -> Result<bool, Error> {
        let mut at = self.room.patches;
        let id = view.input(part).ok_or(Error::Internal)?;
        let read = link.read(area);
        if read.is_empty() {
            // Another input of the `Concat` fills this part.
            return Ok(false);
        }
        let first = self.patch(id, read, sight, &mut at)?;
        let second = match (view.op, view.input(1)) {
            (Op::Concat { .. }, _) | (_, None) => None,
            (_, Some(id)) => {
                let input = self.session.model.shape(id);
                let read = Link { input, ..*link }.read(area);
                Some(self.patch(id, read, sight, &mut at)?)
            }
        };
        let tensor = self.session.model.tensor(view.output);
        let tensor = tensor.ok_or(Error::Internal)?;
        let (base, changed) = self.slot(view.output)?.places();
        let start = if sight.edited { changed } else { base };
        let output = area.shape(tensor.shape.c);
        let (op, offset) = link.at(area);
        let call = Call {
            op,
            offset,
            part,
            first,
            second,
            output,
            to: start..start + output.len() * tensor.element(),
        };
        match (view.op, view.integers) {
            (Op::Quantise { .. } | Op::Dequantise, _) => self.convert(&call),
            (_, Some(_)) => self.integers(view, &call).map(|()| false),
            (_, None) => self.reals(view, &call),
        }
    }

    fn scratch(&self) -> Range<usize> {
        let end = self.session.arena.len() & !3;
        self.room.end.min(end)..end
    }

    fn convert(&mut self, call: &Call<'m>) -> Result<bool, Error> {
        let ([to, _, from, _], _) = call.ranges(0..0);
        let [out, bytes] = carve(self.session.arena, [to, from])?;
        if let Op::Quantise { scale, zero_point } = call.op {
            let to = Quantisation { scale, zero_point };
            let from = call.first.operand(bytes)?;
            let out = integers_mut(out)?;
            return Ok(quant::quantise(from.data, to, out, self.session.isa));
        }
        let from = call.first.operand8(bytes)?;
        quant::dequantise(from.data, from.quant, floats_mut(out)?);
        Ok(false)
    }

    #[inline(never)]
    fn reals(&mut self, view: &NodeView<'m>, call: &Call<'m>) -> Result<bool, Error> {
        let node = ops::Node {
            op: call.op,
            input: shape_of(&call.first),
            output: call.output,
            ..self.session.kernel_node(view, call.part)?
        };
        let (ranges, same) = call.ranges(self.scratch());
        let [out, scratch, a, b] = carve(self.session.arena, ranges)?;
        let first = call.first.operand(a)?;
        let second = match &call.second {
            Some(place) => Some(place.operand(if same { a } else { b })?),
            None => None,
        };
        let both = [first, second.unwrap_or(first)];
        let operands = both.get(..1 + usize::from(second.is_some()));
        ops::forward(
            &node,
            operands.ok_or(Error::Internal)?,
            call.offset,
            floats_mut(out)?,
            &mut [],
            floats_mut(scratch)?,
            self.session.isa,
        )
    }

    #[inline(never)]
    fn integers(&mut self, view: &NodeView<'m>, call: &Call<'m>) -> Result<(), Error> {
        let node = self.session.model.integer_node(view, call.part);
        let node = int8::Node8 {
            op: call.op,
            input: shape_of(&call.first),
            output: call.output,
            ..node.ok_or(Error::Internal)?
        };
        let (ranges, same) = call.ranges(self.scratch());
        let [out, scratch, a, b] = carve(self.session.arena, ranges)?;
        let first = call.first.operand8(a)?;
        let second = match &call.second {
            Some(place) => Some(place.operand8(if same { a } else { b })?),
            None => None,
        };
        let both = [first, second.unwrap_or(first)];
        let operands = both.get(..1 + usize::from(second.is_some()));
        int8::forward(
            &node,
            operands.ok_or(Error::Internal)?,
            call.part,
            call.offset,
            integers_mut(out)?,
            &mut [],
            scratch,
            self.session.isa,
        )
    }
}
