//! Pools over sliding windows, channel by channel.

use super::Node;
use super::spans::{Axis, Span};
use super::tile::{Region, Spot, Walk};
use crate::net::op::{Geometry, Op};
use crate::tensor::Shape;

/// Most taps whose index fits a byte.
const BYTE_TAPS: usize = 256;

/// Bytes of one winner of a `MaxPool`.
pub(in crate::net) fn winner_bytes(geometry: Geometry) -> usize {
    let [h, w] = geometry.kernel.map(usize::from);
    if h * w <= BYTE_TAPS { 1 } else { 2 }
}

/// Calls `visit` with every output pixel: its region, where its taps lie, and
/// its first output element.
pub(in crate::net) fn pixels(
    geometry: Geometry,
    input: Shape,
    output: Shape,
    mut visit: impl FnMut(&Region, &Spot) -> Option<()>,
) -> Option<()> {
    let rows = Axis::forward(geometry, 0, input.h, 0, output.h);
    let cols = Axis::forward(geometry, 1, input.w, 0, output.w);
    for rows in rows.spans() {
        for cols in cols.spans() {
            let region = Region { rows, cols };
            let mut walk = Walk::new(region);
            while !walk.done() {
                let [spot] = walk.tile(output.row(), output.c).spots;
                visit(&region, &spot)?;
            }
        }
    }
    Some(())
}

/// Calls `visit` with every tap of a pixel: its index in the window and the
/// first input element under it.
pub(in crate::net) fn taps(
    region: &Region,
    spot: &Spot,
    kernel_w: usize,
    input: Shape,
    mut visit: impl FnMut(usize, usize) -> Option<()>,
) -> Option<()> {
    let Region { rows, cols } = region;
    for j in 0..rows.taps {
        let y = usize::try_from(spot.row + j as isize * rows.hop).ok()?;
        for i in 0..cols.taps {
            let x = usize::try_from(spot.col + i as isize * cols.hop).ok()?;
            let tap = (rows.tap + j) * kernel_w + cols.tap + i;
            visit(tap, y * input.row() + x * input.c)?;
        }
    }
    Some(())
}

/// Largest value of each window; the first one wins among equals.
pub(in crate::net) fn max_forward<T: Copy + PartialOrd>(
    geometry: Geometry,
    (input, output): (Shape, Shape),
    data: &[T],
    out: &mut [T],
    keep: &mut [u8],
) -> Option<()> {
    let kernel_w = usize::from(geometry.kernel[1]);
    let width = winner_bytes(geometry);
    pixels(geometry, input, output, |region, spot| {
        let out = out.get_mut(spot.target..)?.get_mut(..output.c)?;
        let keep = keep
            .get_mut(spot.target * width..)
            .and_then(|keep| keep.get_mut(..output.c * width))
            .unwrap_or(&mut []);
        let mut first = true;
        taps(region, spot, kernel_w, input, |tap, from| {
            let x = data.get(from..)?.get(..input.c)?;
            take(first, x, out, tap, width, keep);
            first = false;
            Some(())
        })
    })
}

/// Takes the values that are larger (all of them if `first`), and notes their tap.
fn take<T: Copy + PartialOrd>(
    first: bool,
    x: &[T],
    out: &mut [T],
    tap: usize,
    width: usize,
    keep: &mut [u8],
) {
    let [low, high, ..] = tap.to_le_bytes();
    let pairs = out.iter_mut().zip(x);
    if keep.is_empty() {
        for (out, &x) in pairs {
            *out = if first | (x > *out) { x } else { *out };
        }
    } else if width == 1 {
        for ((out, &x), keep) in pairs.zip(keep) {
            let wins = first | (x > *out);
            *out = if wins { x } else { *out };
            *keep = if wins { low } else { *keep };
        }
    } else {
        for ((out, &x), keep) in pairs.zip(keep.as_chunks_mut().0) {
            let wins = first | (x > *out);
            *out = if wins { x } else { *out };
            *keep = if wins { [low, high] } else { *keep };
        }
    }
}

/// Gives each output's gradient to the winner of its window.
pub(in crate::net) fn max_backward(
    node: &Node<'_>,
    geometry: Geometry,
    grad_out: &[f32],
    keep: &[u8],
    grad_in: &mut [f32],
) -> Option<()> {
    let (input, output) = (node.input, node.output);
    let kernel_w = usize::from(geometry.kernel[1]);
    let width = winner_bytes(geometry);
    pixels(geometry, input, output, |region, spot| {
        let g = grad_out.get(spot.target..)?.get(..output.c)?;
        let keep = keep.get(spot.target * width..)?.get(..output.c * width)?;
        taps(region, spot, kernel_w, input, |tap, to| {
            let to = grad_in.get_mut(to..)?.get_mut(..input.c)?;
            let [low, high, ..] = tap.to_le_bytes();
            if width == 1 {
                for ((to, &g), &keep) in to.iter_mut().zip(g).zip(keep) {
                    *to += if keep == low { g } else { 0.0 };
                }
            } else {
                for ((to, &g), &keep) in to.iter_mut().zip(g).zip(keep.as_chunks().0) {
                    *to += if keep == [low, high] { g } else { 0.0 };
                }
            }
            Some(())
        })
    })
}

/// What an `AveragePool` divides by, pixel by pixel.
pub(in crate::net) struct Divisor {
    count_padding: bool,
    /// Positions behind the input that still count.
    end: [usize; 2],
    kernel: [usize; 2],
}

impl Divisor {
    pub fn of(op: Op, input: Shape) -> Option<(Geometry, Self)> {
        let Op::AveragePool {
            geometry,
            count_padding,
            pad_end,
        } = op
        else {
            return None;
        };
        let [bottom, right] = pad_end.map(usize::from);
        let divisor = Self {
            count_padding,
            end: [input.h + bottom, input.w + right],
            kernel: geometry.kernel.map(usize::from),
        };
        Some((geometry, divisor))
    }

    /// Taps of one axis that count. All pixels of a span have as many.
    fn taps(&self, span: &Span, kernel: usize, end: usize) -> usize {
        if !self.count_padding {
            return span.taps;
        }
        let first = span.from - span.tap as isize * span.hop;
        let room = (end as isize - first).max(0) as usize;
        room.div_ceil(span.hop.unsigned_abs().max(1)).min(kernel)
    }

    pub fn at(&self, region: &Region) -> usize {
        let [h, w] = self.end;
        let [kernel_h, kernel_w] = self.kernel;
        self.taps(&region.rows, kernel_h, h) * self.taps(&region.cols, kernel_w, w)
    }
}

/// Mean of each window: the sum over kernel rows and columns, then divided.
pub(in crate::net) fn average_forward(
    node: &Node<'_>,
    data: &[f32],
    out: &mut [f32],
) -> Option<()> {
    let (input, output) = (node.input, node.output);
    let (geometry, divisor) = Divisor::of(node.op, input)?;
    pixels(geometry, input, output, |region, spot| {
        let out = out.get_mut(spot.target..)?.get_mut(..output.c)?;
        out.fill(0.0);
        taps(region, spot, 0, input, |_, from| {
            for (out, &x) in out.iter_mut().zip(data.get(from..)?.get(..input.c)?) {
                *out += x;
            }
            Some(())
        })?;
        let count = divisor.at(region) as f32;
        for out in out {
            *out /= count;
        }
        Some(())
    })
}

/// Shares each output's gradient among the taps of its window.
pub(in crate::net) fn average_backward(
    node: &Node<'_>,
    grad_out: &[f32],
    grad_in: &mut [f32],
) -> Option<()> {
    let (input, output) = (node.input, node.output);
    let (geometry, divisor) = Divisor::of(node.op, input)?;
    pixels(geometry, input, output, |region, spot| {
        let g = grad_out.get(spot.target..)?.get(..output.c)?;
        let count = divisor.at(region) as f32;
        taps(region, spot, 0, input, |_, to| {
            for (to, &g) in grad_in.get_mut(to..)?.get_mut(..input.c)?.iter_mut().zip(g) {
                *to += g / count;
            }
            Some(())
        })
    })
}
