//! Pools over sliding windows, channel by channel.

use super::spans::{Axis, Span};
use super::tile::{Region, Spot, Walk};
use super::{Node, Rows};
#[cfg(target_arch = "x86_64")]
use crate::net::arch::products;
use crate::net::op::{Geometry, Op};
use crate::tensor::Shape;

/// Bits of one winner of a `MaxPool`: 2, 4, 8 or 16, as many as its window needs.
const fn winner_bits(geometry: Geometry) -> usize {
    let [h, w] = geometry.kernel;
    match h as usize * w as usize {
        0..=4 => 2,
        5..=16 => 4,
        17..=256 => 8,
        _ => 16,
    }
}

/// Bytes of the winners of a `MaxPool`.
pub(in crate::net) fn winner_bytes(geometry: Geometry, output: Shape) -> usize {
    (output.len() * winner_bits(geometry)).div_ceil(8)
}

/// Channels whose winners are known at once.
const CHANNELS: usize = 32;

/// A winner: with vectors as wide as what it won, so that one mask serves both.
#[cfg(target_arch = "x86_64")]
type Winner = u32;
#[cfg(not(target_arch = "x86_64"))]
type Winner = u16;

/// Winners, so many bits each, the first in the lowest bits of a byte.
struct Winners {
    bits: usize,
}

impl Winners {
    /// Byte, shift and mask of winner `i` of fewer than 8 bits.
    fn place(&self, i: usize) -> (usize, usize, u8) {
        let mask = if self.bits == 2 { 0x3 } else { 0xF };
        (i * self.bits / 8, i * self.bits % 8, mask)
    }

    /// Writes winners from number `first` on.
    fn write(&self, keep: &mut [u8], first: usize, winners: &[Winner]) -> Option<()> {
        #[cfg(target_arch = "x86_64")]
        if self.bits == 4 && first.is_multiple_of(2) && winners.len().is_multiple_of(2) {
            let bytes = keep.get_mut(first / 2..)?.get_mut(..winners.len() / 2)?;
            for (byte, [low, high]) in bytes.iter_mut().zip(winners.as_chunks().0) {
                *byte = (low | high << 4) as u8;
            }
            return Some(());
        }
        for (i, winner) in (first..).zip(winners) {
            let [low, high, ..] = winner.to_le_bytes();
            match self.bits {
                8 => *keep.get_mut(i)? = low,
                16 => *keep.get_mut(2 * i..)?.first_chunk_mut()? = [low, high],
                _ => {
                    let (byte, shift, mask) = self.place(i);
                    let byte = keep.get_mut(byte)?;
                    *byte = *byte & !(mask << shift) | low << shift;
                }
            }
        }
        Some(())
    }

    /// Reads winners from number `first` on.
    fn read(&self, keep: &[u8], first: usize, winners: &mut [Winner]) -> Option<()> {
        for (i, winner) in (first..).zip(winners) {
            *winner = match self.bits {
                8 => (*keep.get(i)?).into(),
                16 => u16::from_le_bytes(*keep.get(2 * i..)?.first_chunk()?).into(),
                _ => {
                    let (byte, shift, mask) = self.place(i);
                    (keep.get(byte)? >> shift & mask).into()
                }
            };
        }
        Some(())
    }
}

/// Calls `visit` with every pixel of `count` output rows from row `y` on: its
/// region, where its taps lie, and its first output element, counted from row `y`.
pub(in crate::net) fn pixels(
    geometry: Geometry,
    (input, output): (Shape, Shape),
    (y, count): (usize, usize),
    mut visit: impl FnMut(&Region, &Spot) -> Option<()>,
) -> Option<()> {
    let rows = Axis::forward(geometry, 0, input.h, y, count);
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
/// first element under it of what lies like `rows`, `c` channels a pixel.
pub(in crate::net) fn taps<T>(
    region: &Region,
    spot: &Spot,
    kernel_w: usize,
    (rows, c): (&Rows<'_, T>, usize),
    mut visit: impl FnMut(usize, usize) -> Option<()>,
) -> Option<()> {
    let Region { rows: along, cols } = region;
    for j in 0..along.taps {
        let y = usize::try_from(spot.row + j as isize * along.hop).ok()?;
        let row = rows.start(y)?;
        for i in 0..cols.taps {
            let x = usize::try_from(spot.col + i as isize * cols.hop).ok()?;
            let tap = (along.tap + j) * kernel_w + cols.tap + i;
            visit(tap, row + x * c)?;
        }
    }
    Some(())
}

/// What a pool compares.
pub(in crate::net) trait Compared: Copy + PartialOrd {
    /// Lets `x`, under tap `tap`, meet the largest so far. Returns for how many
    /// channels this was done, from the first on: none where there is no better way
    /// than a loop.
    fn meet(_best: &mut [Self], _x: &[Self], _won: &mut [Winner; CHANNELS], _tap: Winner) -> usize {
        0
    }
}

impl Compared for i8 {}

impl Compared for f32 {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn meet(best: &mut [f32], x: &[f32], won: &mut [u32; CHANNELS], tap: u32) -> usize {
        products::meet(best, x, won, tap)
    }
}

/// Largest value of each window of the output rows from row `y` on, as many as
/// `out` holds; the first one wins among equals. `keep` takes the winners of
/// the whole output, or is empty.
pub(in crate::net) fn max_forward<T: Compared>(
    geometry: Geometry,
    (input, output): (Shape, Shape),
    source: Rows<'_, T>,
    y: usize,
    out: &mut [T],
    keep: &mut [u8],
) -> Option<()> {
    let kernel_w = usize::from(geometry.kernel[1]);
    let winners = Winners {
        bits: winner_bits(geometry),
    };
    let count = out.len().checked_div(output.row())?;
    pixels(geometry, (input, output), (y, count), |region, spot| {
        let out = out.get_mut(spot.target..)?.get_mut(..output.c)?;
        if keep.is_empty() {
            let mut first = true;
            return taps(region, spot, kernel_w, (&source, input.c), |_, from| {
                let x = source.data.get(from..)?.get(..input.c)?;
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = if first | (x > *out) { x } else { *out };
                }
                first = false;
                Some(())
            });
        }
        let pixel = y * output.row() + spot.target;
        for (out, channel) in out.chunks_mut(CHANNELS).zip((0..).step_by(CHANNELS)) {
            let mut won = [Winner::default(); CHANNELS];
            let mut first = true;
            taps(region, spot, kernel_w, (&source, input.c), |tap, from| {
                let x = source.data.get(from + channel..)?;
                let met = if first {
                    0
                } else {
                    T::meet(out, x, &mut won, tap as Winner)
                };
                let behind = out.iter_mut().zip(x).zip(&mut won).skip(met);
                for ((out, &x), won) in behind {
                    let wins = first | (x > *out);
                    *out = if wins { x } else { *out };
                    *won = if wins { tap as Winner } else { *won };
                }
                first = false;
                Some(())
            })?;
            winners.write(keep, pixel + channel, won.get(..out.len())?)?;
        }
        Some(())
    })
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
    let winners = Winners {
        bits: winner_bits(geometry),
    };
    let like = Rows::<f32>::whole(&[], input);
    pixels(geometry, (input, output), (0, output.h), |region, spot| {
        let g = grad_out.get(spot.target..)?.get(..output.c)?;
        for (g, channel) in g.chunks(CHANNELS).zip((0..).step_by(CHANNELS)) {
            let mut won = [Winner::default(); CHANNELS];
            winners.read(keep, spot.target + channel, won.get_mut(..g.len())?)?;
            taps(region, spot, kernel_w, (&like, input.c), |tap, to| {
                let to = grad_in.get_mut(to + channel..)?;
                for ((to, &g), &won) in to.iter_mut().zip(g).zip(&won) {
                    *to += if won == tap as Winner { g } else { 0.0 };
                }
                Some(())
            })?;
        }
        Some(())
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

/// Mean of each window of the output rows from row `y` on, as many as `out`
/// holds: the sum over kernel rows and columns, then divided.
pub(in crate::net) fn average_forward(
    node: &Node<'_>,
    source: Rows<'_>,
    y: usize,
    out: &mut [f32],
) -> Option<()> {
    let (input, output) = (node.input, node.output);
    let (geometry, divisor) = Divisor::of(node.op, input)?;
    let count = out.len().checked_div(output.row())?;
    pixels(geometry, (input, output), (y, count), |region, spot| {
        let out = out.get_mut(spot.target..)?.get_mut(..output.c)?;
        out.fill(0.0);
        taps(region, spot, 0, (&source, input.c), |_, from| {
            let x = source.data.get(from..)?.get(..input.c)?;
            for (out, &x) in out.iter_mut().zip(x) {
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
    let like = Rows::<f32>::whole(&[], input);
    pixels(geometry, (input, output), (0, output.h), |region, spot| {
        let g = grad_out.get(spot.target..)?.get(..output.c)?;
        let count = divisor.at(region) as f32;
        taps(region, spot, 0, (&like, input.c), |_, to| {
            for (to, &g) in grad_in.get_mut(to..)?.get_mut(..input.c)?.iter_mut().zip(g) {
                *to += g / count;
            }
            Some(())
        })
    })
}
