//! `Conv` and `Depthwise` with the DSP extension of Arm's microcontrollers.
//!
//! A convolution widens the patches of two pixels once and then makes all
//! output channels of both, two at a time. A 3x3 depthwise convolution copies
//! what four channels see of a part of the input, with its padding, into a
//! strip on the stack: in it every pixel is like every other.

use super::channels::Channels;
use super::depthwise::Depthwise;
use super::patches::Patches;
use super::{Node8, limit};
use crate::net::arch::dsp::{self, Dsp, Filters, MOST, Table};
use crate::net::op::Op;

/// Words of a strip. Wider pictures are taken in parts.
const STRIP: usize = 256;

/// Whether all sums of a node may be requantised in the short way.
fn is_short(channels: &Channels<'_>) -> bool {
    let factors = channels.multiplier.iter().zip(channels.shift);
    channels
        .bias
        .iter()
        .zip(factors)
        .all(|(&bias, (&multiplier, &shift))| dsp::is_short(bias, multiplier, shift))
}

/// Whether [`convolve`] takes a node.
pub(super) fn takes(node: &Node8<'_>, channels: &Channels<'_>) -> bool {
    let len = channels.filters.len();
    // Weights are read by fours; behind them lie the shifts, one a channel.
    let spare = len.next_multiple_of(4) - len;
    matches!(node.op, Op::Conv { .. })
        && (1..=MOST).contains(&len)
        && spare <= channels.shift.len()
        && node.weights_zero_point == 0
        && is_short(channels)
}

/// Output rows of a convolution, as many as `out` holds.
pub(super) fn convolve(
    dsp: Dsp,
    node: &Node8<'_>,
    channels: &Channels<'_>,
    patches: &Patches<'_>,
    out: &mut [i8],
) -> Option<()> {
    let (c, outputs) = (node.output.c.max(1), channels.filters.outputs.max(1));
    let mut pair = Pair {
        dsp,
        patches,
        len: channels.filters.len(),
        group: 0,
        narrow: [0; MOST],
        wide: [[0; 4]; MOST / 4],
    };
    for (group, first) in (0..c).step_by(outputs).enumerate() {
        pair.group = group;
        let filters = Filters {
            weights: node.bytes.get(first * pair.len..)?,
            len: pair.len,
            bias: channels.bias.get(first..)?,
            multiplier: channels.multiplier.get(first..)?,
            shift: channels.shift.get(first..)?,
            zero_point: node.output_quant.zero_point,
        };
        for (pixels, at) in out.chunks_mut((2 * c).max(1)).zip((0..).step_by(2)) {
            pair.widen(at, false)?;
            match pixels
                .split_at_mut_checked(c)
                .filter(|(_, b)| !b.is_empty())
            {
                Some((a, b)) => {
                    pair.widen(at + 1, true)?;
                    let a = a.get_mut(first..)?.get_mut(..outputs)?;
                    let b = b.get_mut(first..)?.get_mut(..outputs)?;
                    pair.products(&filters, a, Some(b))?;
                }
                None => {
                    pair.widen(at, true)?;
                    let a = pixels.get_mut(first..)?.get_mut(..outputs)?;
                    pair.products(&filters, a, None)?;
                }
            }
        }
    }
    limit(node.range, out);
    Some(())
}

/// The patches of two pixels.
struct Pair<'a> {
    dsp: Dsp,
    patches: &'a Patches<'a>,
    /// Elements of a patch.
    len: usize,
    group: usize,
    /// One patch as it is, zeros behind it.
    narrow: [i8; MOST],
    wide: [[u32; 4]; MOST / 4],
}

impl Pair<'_> {
    /// Fetches the patch of a pixel.
    fn widen(&mut self, pixel: usize, second: bool) -> Option<()> {
        let (dsp, len) = (self.dsp, self.len);
        let even = len.is_multiple_of(4);
        if self.patches.in_place() {
            let patch = self.patches.pointed(pixel, self.group * len, len)?;
            if even {
                dsp.widen(patch, &mut self.wide, second);
                return Some(());
            }
            for (to, from) in self.narrow.iter_mut().zip(patch) {
                *to = *from;
            }
        } else {
            if even && self.widen_runs(pixel, second)? {
                return Some(());
            }
            if !self.copy_runs(pixel)? {
                let first = self.group * self.patches.inputs;
                let narrow = self.narrow.get_mut(..len)?;
                self.patches.gather(pixel, 1, first, 1, narrow)?;
            }
        }
        let narrow = self.narrow.get(..len.next_multiple_of(4))?;
        dsp.widen(narrow, &mut self.wide, second);
        Some(())
    }

    /// Copies the patch, if it lies inside.
    fn copy_runs(&mut self, pixel: usize) -> Option<bool> {
        let mut narrow = self.narrow.as_mut_slice();
        self.patches.runs(pixel, |run| {
            let (to, rest) = core::mem::take(&mut narrow).split_at_mut_checked(run.len())?;
            for (to, from) in to.iter_mut().zip(run) {
                *to = *from;
            }
            narrow = rest;
            Some(())
        })
    }

    /// The patch from the input itself, if it lies inside and its rows are
    /// made of fours.
    fn widen_runs(&mut self, pixel: usize, second: bool) -> Option<bool> {
        let mut wide = self.wide.as_mut_slice();
        if !self.patches.rows_are_fours() {
            return Some(false);
        }
        self.patches.runs(pixel, |run| {
            self.dsp.widen(run, wide, second);
            wide = core::mem::take(&mut wide).get_mut(run.len() / 4..)?;
            Some(())
        })
    }

    /// All channels of the group. An odd one is made with itself.
    fn products(
        &self,
        filters: &Filters<'_>,
        first: &mut [i8],
        mut second: Option<&mut [i8]>,
    ) -> Option<()> {
        let wide = self.wide.get(..self.len.div_ceil(4))?;
        let even = first.len() & !1;
        let (whole, last) = first.split_at_mut_checked(even)?;
        if !whole.is_empty() {
            let second = match &mut second {
                Some(second) => Some(second.get_mut(..even)?),
                None => None,
            };
            self.dsp.products(wide, filters, whole, second)?;
        }
        let Some(last) = last.first_mut() else {
            return Some(());
        };
        let filters = Filters {
            weights: filters.weights.get(even * filters.len..)?,
            len: 0,
            bias: &[*filters.bias.get(even)?; 2],
            multiplier: &[*filters.multiplier.get(even)?; 2],
            shift: &[*filters.shift.get(even)?; 2],
            ..*filters
        };
        let (mut a, mut b) = ([0; 2], [0; 2]);
        self.dsp.products(wide, &filters, &mut a, Some(&mut b))?;
        [*last, _] = a;
        if let Some(second) = second.and_then(|second| second.get_mut(even)) {
            [*second, _] = b;
        }
        Some(())
    }
}

impl Depthwise<'_> {
    /// Whether [`Self::with_dsp`] takes the node.
    pub fn takes_dsp(&self) -> bool {
        self.geometry.kernel == [3; 2]
            && self.geometry.dilation == [1; 2]
            && self.node.output.c >= 4
            && usize::from(self.geometry.stride[0]) <= 8
            && usize::from(self.geometry.stride[1]) <= 8
            && is_short(&self.channels)
    }

    /// As many rows as `out` holds.
    pub fn with_dsp(&self, dsp: Dsp, out: &mut [i8]) -> Option<()> {
        let output = self.node.output;
        let [down, right] = self.geometry.stride.map(usize::from);
        let height = out.len() / output.row().max(1);
        let fours = output.c & !3;
        // Tiles whose strips fit.
        let width = output.w.min((STRIP / 3 - 3) / right.max(1) + 1).max(1);
        let pitch = (width - 1) * right + 3;
        let fitting = (STRIP / pitch.max(1)).saturating_sub(3) / down.max(1) + 1;
        let rows = fitting.min(height).max(1);
        let mut strip = Strip {
            words: [0; STRIP],
            pitch,
        };
        for first in (0..fours).step_by(4) {
            let table = self.table(first)?;
            for y in (0..height).step_by(rows) {
                let rows = rows.min(height - y);
                for x in (0..output.w).step_by(width) {
                    let width = width.min(output.w - x);
                    strip.fill(self, dsp, first, [y, x], [rows, width])?;
                    for row in 0..rows {
                        let at = (y + row) * output.row() + x * output.c + first;
                        let seen = strip.words.get(row * down * pitch..)?;
                        let to = out.get_mut(at..)?;
                        dsp.depthwise(seen, pitch, right, &table, to, output.c, width)?;
                    }
                }
            }
        }
        if fours < output.c {
            self.plain(fours, out)?;
        }
        limit(self.node.range, out);
        Some(())
    }

    /// Numbers of the four channels from `first` on.
    fn table(&self, first: usize) -> Option<Table> {
        let channels = &self.channels;
        let zero = i16::from(self.node.weights_zero_point);
        let mut weights = [[0; 4]; 9];
        let taps = channels.weights.chunks_exact(self.node.output.c.max(1));
        for (weights, tap) in weights.iter_mut().zip(taps) {
            let own: &[i8; 4] = tap.get(first..)?.first_chunk()?;
            *weights = own.map(|w| i16::from(w) - zero);
        }
        Some(Table::new(
            channels.bias.get(first..)?.first_chunk()?,
            &weights,
            channels.multiplier.get(first..)?.first_chunk()?,
            channels.shift.get(first..)?.first_chunk()?,
            self.node.output_quant.zero_point,
        ))
    }
}

/// What a tile of output pixels sees, four channels a word.
struct Strip {
    words: [u32; STRIP],
    /// Words from row to row.
    pitch: usize,
}

impl Strip {
    /// Copies what the tile sees that begins at row `y` of those asked for.
    fn fill(
        &mut self,
        of: &Depthwise<'_>,
        dsp: Dsp,
        first: usize,
        [y, x]: [usize; 2],
        [rows, width]: [usize; 2],
    ) -> Option<()> {
        let input = of.node.input;
        let [down, right] = of.geometry.stride.map(usize::from);
        let [above, left] = of.geometry.pad.map(usize::from);
        let seen = (rows.checked_sub(1)?) * down + 3;
        let across = (width.checked_sub(1)?) * right + 3;
        let top = (of.y + y) * down;
        // Columns left of the input, and behind them those inside.
        let before = left.saturating_sub(x * right).min(across);
        let start = (x * right + before).saturating_sub(left).min(input.w);
        let inside = (input.w - start).min(across - before);
        let padding = u32::from_ne_bytes([of.node.input_quant.zero_point as u8; 4]);
        for (row, words) in self
            .words
            .chunks_mut(self.pitch.max(1))
            .take(seen)
            .enumerate()
        {
            let line = (top + row)
                .checked_sub(above)
                .filter(|&line| line < input.h);
            let Some(line) = line else {
                words.fill(padding);
                continue;
            };
            let line = of.source.line(line as isize)?;
            let from = line.get(start * input.c + first..).unwrap_or_default();
            let (outside, rest) = words.split_at_mut_checked(before)?;
            let (to, behind) = rest.split_at_mut_checked(inside)?;
            outside.fill(padding);
            behind.fill(padding);
            dsp.words(from, input.c, to, inside).then_some(())?;
        }
        Some(())
    }
}
