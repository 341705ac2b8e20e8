//! Cuts out what a node reads.

use zerocopy::IntoBytes;

use super::area::{Area, Run};
use super::{Held, Sight};
use crate::error::Error;
use crate::net::format::ALIGNMENT;
use crate::net::session::{Place, carve, floats_mut};
use crate::tensor::{TensorId, Values};

/// What lies under a patch, byte by byte.
struct Cut {
    /// Bytes of a pixel and of a row of the whole tensor.
    pixel: usize,
    row: usize,
    area: Area,
}

impl Cut {
    /// First byte of row `y`, column `x` of the whole tensor.
    const fn from(&self, y: usize, x: usize) -> usize {
        y * self.row + x * self.pixel
    }

    /// First byte of row `y` of an area that is packed.
    const fn line(&self, area: Area, y: usize) -> usize {
        (y - area.y.from) * area.x.len() * self.pixel
    }
}

impl<'m> Held<'_, 'm, '_, '_> {
    /// The part `area` of a tensor as an operand of its own. It is cut out to
    /// `at`, which moves on, unless it lies somewhere as it is.
    pub(super) fn patch(
        &mut self,
        id: TensorId,
        area: Area,
        sight: &Sight<'_>,
        at: &mut usize,
    ) -> Result<Place<'m>, Error> {
        let tensor = self.session.model.tensor(id).ok_or(Error::Internal)?;
        let shape = area.shape(tensor.shape.c);
        let whole = Area::whole(tensor.shape);
        let pixel = tensor.shape.c * tensor.element();
        let length = area.pixels() * pixel;
        let to = *at;
        let cut = Cut {
            pixel,
            row: tensor.shape.w * pixel,
            area,
        };
        let slot = self.slot(id)?;
        let (base, packed) = slot.places();
        let changed = match sight.edited {
            true => slot.area(),
            false => Area::default(),
        };
        let found = match tensor.constant {
            Some(values) if area == whole => return Ok(Place::Constant(shape, values)),
            Some(values) => {
                self.cut_constant(&cut, values, to)?;
                to
            }
            None if id == self.session.model.input_id() => {
                self.write_picture(&cut, whole, sight, to)?;
                to
            }
            None if changed == area => packed,
            None if changed.is_empty() && area.x == whole.x => base + cut.from(area.y.from, 0),
            None => {
                self.merge(&cut, changed, (base, packed), to)?;
                to
            }
        };
        if found == to {
            *at += length.next_multiple_of(ALIGNMENT);
        }
        Ok(Place::Arena(shape, tensor.quant, found..found + length))
    }

    /// Copies `length` bytes within the arena.
    fn copy(&mut self, from: usize, to: usize, length: usize) -> Result<(), Error> {
        let [from, to] = carve(self.session.arena, [from..from + length, to..to + length])?;
        if from.len() == to.len() {
            to.copy_from_slice(from);
        }
        Ok(())
    }

    /// The base's values, but for those that `changed`.
    fn merge(
        &mut self,
        cut: &Cut,
        changed: Area,
        (base, packed): (usize, usize),
        to: usize,
    ) -> Result<(), Error> {
        let Area { y: rows, x: cols } = cut.area;
        let all = cols.len() * cut.pixel;
        let both = cols.within(changed.x);
        for y in rows.from..rows.to {
            let to = to + cut.line(cut.area, y);
            let inside = y >= changed.y.from && y < changed.y.to && both.len() > 0;
            if !inside {
                self.copy(base + cut.from(y, cols.from), to, all)?;
                continue;
            }
            let left = (both.from - cols.from) * cut.pixel;
            let middle = both.len() * cut.pixel;
            self.copy(base + cut.from(y, cols.from), to, left)?;
            let first = (both.from - changed.x.from) * cut.pixel;
            let from = packed + cut.line(changed, y) + first;
            self.copy(from, to + left, middle)?;
            let right = all - left - middle;
            self.copy(base + cut.from(y, both.to), to + left + middle, right)?;
        }
        Ok(())
    }

    fn cut_constant(&mut self, cut: &Cut, values: Values<'_>, to: usize) -> Result<(), Error> {
        let from = match values {
            Values::Real(data) => data.as_bytes(),
            Values::Stored { data, .. } => data.as_bytes(),
        };
        let Run { from: top, to: end } = cut.area.y;
        let length = cut.area.x.len() * cut.pixel;
        for y in top..end {
            let to = to + cut.line(cut.area, y);
            let range = to..to + length;
            let [to] = carve(self.session.arena, [range])?;
            let from = from.get(cut.from(y, cut.area.x.from)..);
            let from = from.and_then(|from| from.get(..length));
            for (to, from) in to.iter_mut().zip(from.ok_or(Error::Internal)?) {
                *to = *from;
            }
        }
        Ok(())
    }

    /// Rows of the picture.
    fn write_picture(
        &mut self,
        cut: &Cut,
        whole: Area,
        sight: &Sight<'_>,
        to: usize,
    ) -> Result<(), Error> {
        let Area { y: rows, x: cols } = cut.area;
        let length = cols.len() * cut.pixel;
        let row = self.room.row;
        for y in rows.from..rows.to {
            let to = to + cut.line(cut.area, y);
            let [row, to] = carve(self.session.arena, [row..row + cut.row, to..to + length])?;
            if cols == whole.x {
                sight.picture.row(y, floats_mut(to)?)?;
                continue;
            }
            sight.picture.row(y, floats_mut(row)?)?;
            let row = row.get(cols.from * cut.pixel..).ok_or(Error::Internal)?;
            for (to, from) in to.iter_mut().zip(row) {
                *to = *from;
            }
        }
        Ok(())
    }
}
