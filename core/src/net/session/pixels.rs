//! Pixels that become int8 by a look into a table: there are 256 of them.

use super::{Session, carve, integers_mut};
use crate::error::Error;
use crate::mask::{Mask, Masked};
use crate::net::model::{NodeView, Plan};
use crate::net::op::Op;
use crate::net::quant::Quantisation;
use crate::picture::Picture;

/// What one value of a pixel is stored as: a table for all channels or one
/// each, in the buffer where rows of the picture in f32 would lie.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'x> {
    data: &'x [u8],
    /// Channels of the picture, and tables.
    channels: usize,
    tables: usize,
}

/// Elements of a table.
const VALUES: usize = 256;

impl<'m> Session<'m, '_> {
    /// Makes tables if `first`, a node that reads rows of the picture,
    /// quantises pixels of which none is hidden, and there is room.
    #[inline(never)]
    pub(super) fn pixels<'x>(
        &mut self,
        plan: &Plan<'_>,
        first: &NodeView<'m>,
        x: &Masked<'x>,
    ) -> Result<Option<Pixels<'x>>, Error> {
        let (Op::Quantise { scale, zero_point }, Mask::Keep) = (first.op, x.mask) else {
            return Ok(None);
        };
        let Picture::Pixels {
            data,
            shape,
            normalisation,
        } = x.picture
        else {
            return Ok(None);
        };
        let channels = shape.c;
        let of = |c: usize| normalisation.of(c);
        let alike = (1..channels).all(|c| of(c) == of(0));
        let tables = if alike { 1 } else { channels };
        let range = plan.value(self.model.input_id()).range();
        let [bytes] = carve(self.arena, [range])?;
        let to = Quantisation { scale, zero_point };
        for (c, table) in bytes.chunks_exact_mut(VALUES).take(tables).enumerate() {
            let (mean, scale) = of(c).ok_or(Error::Internal)?;
            for (stored, pixel) in table.iter_mut().zip(0_u8..=u8::MAX) {
                let value = (f32::from(pixel) - mean) * scale;
                if !value.is_finite() {
                    return Ok(None);
                }
                *stored = to.stored(value) as u8;
            }
        }
        Ok((tables <= bytes.len() / VALUES).then_some(Pixels {
            data,
            channels,
            tables,
        }))
    }

    /// Row `y` of the picture, quantised, to where `out` lies in the arena.
    pub(super) fn look_up_row(
        &mut self,
        plan: &Plan<'_>,
        pixels: &Pixels<'_>,
        y: usize,
        out: core::ops::Range<usize>,
    ) -> Result<(), Error> {
        let tables = plan.value(self.model.input_id()).range();
        let [out, tables] = carve(self.arena, [out, tables])?;
        let out = integers_mut(out)?;
        let row = pixels.data.get(y * out.len()..).ok_or(Error::Internal)?;
        let row = row.get(..out.len()).ok_or(Error::Internal)?;
        let (tables, _) = tables.as_chunks::<VALUES>();
        let look = |table: &[u8; VALUES], pixel: u8| {
            table.get(usize::from(pixel)).copied().unwrap_or(0) as i8
        };
        match (pixels.tables, pixels.channels, tables) {
            (1, _, [table, ..]) => {
                for (stored, &pixel) in out.iter_mut().zip(row) {
                    *stored = look(table, pixel);
                }
            }
            (3, 3, [a, b, c, ..]) => {
                let pixels = row.as_chunks::<3>().0.iter();
                for (out, &[p, q, r]) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                    *out = [look(a, p), look(b, q), look(c, r)];
                }
            }
            (_, channels, tables) => {
                let rows = out.chunks_mut(channels.max(1));
                for (out, row) in rows.zip(row.chunks(channels.max(1))) {
                    for ((stored, &pixel), table) in out.iter_mut().zip(row).zip(tables) {
                        *stored = look(table, pixel);
                    }
                }
            }
        }
        Ok(())
    }
}
