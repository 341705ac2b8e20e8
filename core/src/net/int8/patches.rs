//! What each output pixel of a convolution sees of its input.

#[cfg(foveola_dsp)]
mod walk;

use super::conv::under;
use super::{Node8, Rows8};
use crate::net::op::Geometry;
use crate::tensor::Shape;

#[cfg(foveola_dsp)]
pub(super) use walk::Walk;

/// The patches of output rows from some row on; pixel 0 is the first of that row.
pub(super) struct Patches<'a> {
    geometry: Geometry,
    source: Rows8<'a>,
    input: Shape,
    /// First row.
    y: usize,
    /// Rows and columns of the output.
    height: usize,
    width: usize,
    /// Input channels of one group.
    pub inputs: usize,
    padding: i8,
    /// Whether neighbouring output pixels see neighbouring input pixels, also
    /// from one row to the next.
    flat: bool,
}

impl<'a> Patches<'a> {
    /// Stands at the first pixel.
    #[cfg(foveola_dsp)]
    pub fn walk(&self, group: usize) -> Walk<'_, 'a> {
        Walk::new(self, group)
    }

    pub fn new(
        node: &Node8<'_>,
        geometry: Geometry,
        source: Rows8<'a>,
        y: usize,
        inputs: usize,
    ) -> Self {
        Self {
            geometry,
            source,
            input: node.input,
            y,
            height: node.output.h.max(1),
            width: node.output.w.max(1),
            inputs,
            padding: node.input_quant.zero_point,
            flat: geometry.stride == [1, 1]
                && node.input.w == node.output.w
                && source.modulo == node.input.h
                && source.row == node.input.row(),
        }
    }

    /// Whether each patch is one pixel of the input. (All of them lie inside:
    /// the last row and column do.)
    pub fn in_place(&self) -> bool {
        let Geometry {
            kernel,
            stride,
            pad,
            ..
        } = self.geometry;
        let [stride_h, stride_w] = stride.map(usize::from);
        kernel == [1, 1]
            && pad == [0, 0]
            && (self.height - 1) * stride_h < self.input.h
            && (self.width - 1) * stride_w < self.input.w
    }

    /// Row and column of a pixel.
    #[inline(always)]
    fn place(&self, pixel: usize) -> (usize, usize) {
        let row = pixel.checked_div(self.width).unwrap_or(0);
        (self.y + row, pixel - row * self.width)
    }

    /// The patch of a pixel that lies in place.
    #[inline(always)]
    pub fn pointed(&self, pixel: usize, first: usize, len: usize) -> Option<&'a [i8]> {
        if self.flat {
            let at = (self.y * self.width + pixel) * self.input.c + first;
            return self.source.data.get(at..)?.get(..len);
        }
        let (y, x) = self.place(pixel);
        let [stride_h, stride_w] = self.geometry.stride.map(usize::from);
        let line = self.source.line((y * stride_h) as isize)?;
        let at = x * stride_w * self.input.c + first;
        line.get(at..)?.get(..len)
    }

    /// Calls `visit` with the channels from `first` on under each tap of a
    /// pixel, `None` in the padding.
    pub fn taps(
        &self,
        pixel: usize,
        first: usize,
        mut visit: impl FnMut(Option<&'a [i8]>) -> Option<()>,
    ) -> Option<()> {
        let (y, x) = self.place(pixel);
        let [h, w] = self.geometry.kernel.map(usize::from);
        for ky in 0..h {
            let row = under(self.geometry, 0, y, ky, self.input.h);
            let line = match row {
                Some(row) => Some(self.source.line(row as isize)?),
                None => None,
            };
            for kx in 0..w {
                let col = under(self.geometry, 1, x, kx, self.input.w);
                visit(match line.zip(col) {
                    Some((line, col)) => {
                        let from = line.get(col * self.input.c + first..)?;
                        Some(from.get(..self.inputs)?)
                    }
                    None => None,
                })?;
            }
        }
        Some(())
    }

    /// Writes the patches of `count` pixels from pixel `from` on, each filled up
    /// with 0 to a multiple of `unit`, for the group whose input channels start
    /// at `first`.
    #[inline(always)]
    pub fn gather<T: Copy + From<i8>>(
        &self,
        from: usize,
        count: usize,
        first: usize,
        unit: usize,
        to: &mut [T],
    ) -> Option<()> {
        let [h, w] = self.geometry.kernel.map(usize::from);
        let len = h * w * self.inputs;
        let patches = to.chunks_exact_mut(len.next_multiple_of(unit.max(1)).max(1));
        let whole = self.inputs == self.input.c && self.geometry.dilation[1] == 1;
        let in_place = self.in_place();
        for (patch, pixel) in patches.take(count).zip(from..) {
            let (patch, rest) = patch.split_at_mut_checked(len)?;
            rest.fill(T::from(0));
            if in_place {
                fill(patch, Some(self.pointed(pixel, first, len)?), self.padding);
            } else if whole {
                self.gather_runs(pixel, patch)?;
            } else {
                let mut taps = patch.chunks_exact_mut(self.inputs.max(1));
                self.taps(pixel, first, |x| {
                    fill(taps.next()?, x, self.padding);
                    Some(())
                })?;
            }
        }
        Some(())
    }

    /// Writes one patch whose rows lie in one run each.
    #[inline(always)]
    fn gather_runs<T: Copy + From<i8>>(&self, pixel: usize, patch: &mut [T]) -> Option<()> {
        let (y, x) = self.place(pixel);
        let [_, w] = self.geometry.kernel.map(usize::from);
        let [_, stride] = self.geometry.stride.map(usize::from);
        let [_, pad] = self.geometry.pad.map(usize::from);
        let c = self.input.c;
        // Taps left of the input, and behind them those inside.
        let at = x * stride;
        let before = pad.saturating_sub(at).min(w);
        let first = (at + before).saturating_sub(pad);
        let inside = self.input.w.saturating_sub(first).min(w - before);
        for (ky, row) in patch.chunks_exact_mut((w * c).max(1)).enumerate() {
            let Some(line) = under(self.geometry, 0, y, ky, self.input.h) else {
                fill(row, None, self.padding);
                continue;
            };
            let line = self.source.line(line as isize)?;
            let run = line.get(first.min(self.input.w) * c..)?.get(..inside * c)?;
            let (left, rest) = row.split_at_mut_checked(before * c)?;
            let (middle, right) = rest.split_at_mut_checked(inside * c)?;
            fill(left, None, self.padding);
            fill(middle, Some(run), self.padding);
            fill(right, None, self.padding);
        }
        Some(())
    }
}

/// Copies `from`, or the padding where there is nothing.
#[inline(always)]
fn fill<T: Copy + From<i8>>(to: &mut [T], from: Option<&[i8]>, padding: i8) {
    match from {
        Some(from) => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = T::from(*from);
            }
        }
        None => to.fill(T::from(padding)),
    }
}
