//! `Conv` and `Depthwise` with Helium, the vector extension of Arm's
//! microcontrollers.
//!
//! What some output pixels see, padding included, is first copied into a strip
//! on the stack, unless each patch is one pixel of the input. A convolution
//! then takes four pixels at a time: it lays their patches side by side and makes
//! all channels, two at a time. A 3x3 depthwise convolution takes 16 channels at
//! a time, or 8 of two pixels, and makes a row of them.

use super::channels::Channels;
use super::depthwise::Depthwise;
use super::{Node8, Rows8, limit};
use crate::net::arch::helium::{
    self, BATCH, Block, Constants, Filters, Helium, LANES, Line, Patches, Pixels, Runs, SLACK,
    STRIP, Source, Strip,
};
use crate::net::op::{Geometry, Op};
use core::mem::MaybeUninit;

/// Whether sums of all channels may be requantised by Helium.
fn is_right(helium: Helium, channels: &Channels<'_>) -> bool {
    let [_, most] = helium.extremes(channels.shift);
    let mut each = channels.multiplier.iter().zip(channels.shift);
    most < 0 || each.all(|(&multiplier, &shift)| helium::is_right(multiplier, shift))
}

/// Part of a picture that is made at once: rows and columns of the output.
#[derive(Clone, Copy)]
struct Tile {
    y: usize,
    x: usize,
    rows: usize,
    width: usize,
}

/// What a tile sees: columns of padding on the left, columns inside from the
/// first one on, all columns.
#[derive(Clone, Copy)]
struct Columns {
    before: usize,
    first: usize,
    inside: usize,
    all: usize,
}

/// A sliding window over the input.
struct Window<'a> {
    node: &'a Node8<'a>,
    geometry: Geometry,
    source: Rows8<'a>,
}

impl Window<'_> {
    fn columns(&self, x: usize, width: usize) -> Option<Columns> {
        let [_, kernel] = self.geometry.kernel.map(usize::from);
        let [_, right] = self.geometry.stride.map(usize::from);
        let [_, left] = self.geometry.pad.map(usize::from);
        let input = self.node.input.w;
        let all = width.checked_sub(1)? * right + kernel;
        let before = left.saturating_sub(x * right).min(all);
        let first = (x * right + before).saturating_sub(left).min(input);
        let inside = (input - first).min(all - before);
        Some(Columns {
            before,
            first,
            inside,
            all,
        })
    }

    /// The largest tile whose pixels fit in a strip, `size` elements each; no
    /// wider than the output, or else a multiple of 4 wide. `None` if fewer
    /// than four columns fit.
    fn tile(&self, size: usize) -> Option<Tile> {
        let [height, kernel] = self.geometry.kernel.map(usize::from);
        let [down, right] = self.geometry.stride.map(usize::from);
        let pixels = (STRIP - SLACK).checked_div(size)?;
        let fitting = pixels.checked_div(height)?.checked_sub(kernel)?;
        let fitting = fitting.checked_div(right)? + 1;
        let width = if fitting < self.node.output.w {
            fitting & !3
        } else {
            self.node.output.w
        };
        let columns = width.checked_sub(1)? * right + kernel;
        let rows = pixels.checked_div(columns)?.checked_sub(height)?;
        Some(Tile {
            y: 0,
            x: 0,
            rows: rows.checked_div(down)? + 1,
            width,
        })
    }

    /// The patch of a pixel, rows `pitch` elements apart.
    fn runs(&self, pitch: usize) -> Runs {
        let [height, width] = self.geometry.kernel.map(usize::from);
        Runs {
            len: width * self.node.input.c,
            count: height,
            pitch,
        }
    }

    /// Whether each patch is one pixel of the input.
    fn is_pixel(&self) -> bool {
        let (input, output) = (self.node.input, self.node.output);
        let [down, right] = self.geometry.stride.map(usize::from);
        self.geometry.kernel == [1; 2]
            && self.geometry.pad == [0; 2]
            && output.h.saturating_sub(1) * down < input.h
            && output.w.saturating_sub(1) * right < input.w
    }

    /// Whether neighbouring outputs see neighbouring pixels, also from row to row.
    fn is_flat(&self) -> bool {
        let input = self.node.input;
        self.geometry.stride == [1; 2]
            && input.w == self.node.output.w
            && self.source.row == input.row()
            && self.source.modulo == input.h
    }

    /// Copies what a tile sees, `live` channels from `first` on of each pixel,
    /// filled up to `size`; gives the elements of a row.
    fn fill(
        &self,
        helium: Helium,
        tile: Tile,
        [first, live, size]: [usize; 3],
        strip: &mut Strip<'_>,
    ) -> Option<usize> {
        let (input, c) = (self.node.input, self.node.input.c);
        let columns = self.columns(tile.x, tile.width)?;
        let [height, _] = self.geometry.kernel.map(usize::from);
        let [down, _] = self.geometry.stride.map(usize::from);
        let [above, _] = self.geometry.pad.map(usize::from);
        let padding = self.node.input_quant.zero_point;
        strip.clear();
        let count = (tile.rows.checked_sub(1)?) * down + height;
        for row in (tile.y * down..).take(count) {
            let line = row.checked_sub(above).filter(|&line| line < input.h);
            let Some(line) = line else {
                helium.fill(strip, columns.all * size, padding)?;
                continue;
            };
            let line = self.source.line(line as isize)?;
            helium.fill(strip, columns.before * size, padding)?;
            let from = line.get(columns.first * c + first..).unwrap_or_default();
            if size == c {
                helium.copy(strip, from.get(..columns.inside * c)?)?;
            } else {
                helium.pieces(strip, from, [columns.inside, c, live, size])?;
            }
            let right = columns.all.checked_sub(columns.before + columns.inside)?;
            helium.fill(strip, right * size, padding)?;
        }
        Some(columns.all * size)
    }

    /// Calls `make` with each tile of `height` rows.
    fn tiles(
        &self,
        height: usize,
        largest: Tile,
        mut make: impl FnMut(Tile) -> Option<()>,
    ) -> Option<()> {
        for y in (0..height).step_by(largest.rows.max(1)) {
            for x in (0..self.node.output.w).step_by(largest.width.max(1)) {
                make(Tile {
                    y,
                    x,
                    rows: largest.rows.min(height - y),
                    width: largest.width.min(self.node.output.w - x),
                })?;
            }
        }
        Some(())
    }
}

/// A convolution of one group.
pub(super) struct Convolution<'a> {
    helium: Helium,
    channels: &'a Channels<'a>,
    window: Window<'a>,
    /// First output row.
    y: usize,
}

/// Memory for a convolution.
struct Memory<'a> {
    strip: Strip<'a>,
    patches: Patches<'a>,
    constants: Constants<'a>,
}

impl<'a> Convolution<'a> {
    /// `None` if it is none for this.
    pub fn new(
        helium: Helium,
        node: &'a Node8<'a>,
        channels: &'a Channels<'a>,
        geometry: Geometry,
        source: Rows8<'a>,
        y: usize,
    ) -> Option<Self> {
        let len = channels.filters.len();
        // Weights are read by sixteens; behind them lie the shifts, one a channel.
        let spare = len.next_multiple_of(16) - len;
        let window = Window {
            node,
            geometry,
            source,
        };
        let fits = matches!(node.op, Op::Conv { groups: 1, .. })
            && window.runs(0).whole().is_some()
            && spare <= channels.shift.len()
            && node.output.c >= 2
            && 3 * node.output.c < usize::from(u16::MAX)
            && geometry.dilation == [1; 2]
            && node.weights_zero_point == 0
            && (window.is_pixel() || window.tile(node.input.c).is_some())
            && is_right(helium, channels);
        fits.then_some(Self {
            helium,
            channels,
            window,
            y,
        })
    }

    /// As many rows as `out` holds.
    #[inline(never)]
    pub fn run(&self, out: &mut [i8]) -> Option<()> {
        let c = self.window.node.output.c;
        // Left as it is, since filling it takes longer than a row of pixels.
        let mut strip = MaybeUninit::uninit();
        let mut patches = MaybeUninit::uninit();
        let mut constants = MaybeUninit::uninit();
        let mut memory = Memory {
            strip: Strip::new(&mut strip),
            patches: Patches::new(&mut patches),
            constants: Constants::new(&mut constants),
        };
        let even = c & !1;
        for first in (0..even).step_by(BATCH) {
            let count = (even - first).min(BATCH);
            self.batch(first, count, &mut memory, out)?;
        }
        if even < c {
            // An odd channel is made together with the one before.
            self.batch(even.checked_sub(1)?, 2, &mut memory, out)?;
        }
        limit(self.window.node.range, out);
        Some(())
    }

    /// Some channels of all pixels.
    fn batch(
        &self,
        first: usize,
        count: usize,
        memory: &mut Memory<'_>,
        out: &mut [i8],
    ) -> Option<()> {
        let (channels, len) = (self.channels, self.channels.filters.len());
        let filters = Filters {
            weights: self.window.node.bytes.get(first * len..)?,
            len,
            bias: channels.bias.get(first..)?,
            multiplier: channels.multiplier.get(first..)?,
            shift: channels.shift.get(first..)?,
            zero_point: self.window.node.output_quant.zero_point,
        };
        let constants = &mut memory.constants;
        self.helium.constants(&filters, count, constants)?;
        if self.window.is_pixel() {
            self.pointwise(first, &filters, memory, out)
        } else {
            self.sliding(first, &filters, memory, out)
        }
    }

    /// Each patch is one pixel.
    fn pointwise(
        &self,
        first: usize,
        filters: &Filters<'_>,
        memory: &mut Memory<'_>,
        out: &mut [i8],
    ) -> Option<()> {
        let node = self.window.node;
        let (input, c) = (node.input, node.output.c);
        let [down, right] = self.window.geometry.stride.map(usize::from);
        let flat = self.window.is_flat();
        let row = if flat { out.len() } else { node.output.row() };
        for (out, y) in out.chunks_mut(row.max(1)).zip(self.y..) {
            let from = if flat {
                self.window.source.data.get(y * input.row()..)?
            } else {
                self.window.source.line((y * down) as isize)?
            };
            let pixels = Pixels {
                from,
                runs: self.window.runs(0),
                step: right * input.c,
                count: out.len().checked_div(c)?,
                pitch: c,
            };
            let (constants, patches) = (&memory.constants, &mut memory.patches);
            let out = out.get_mut(first..)?;
            self.helium
                .pixels(&pixels, filters, constants, patches, out)?;
        }
        Some(())
    }

    /// Patches come from strips.
    fn sliding(
        &self,
        first: usize,
        filters: &Filters<'_>,
        memory: &mut Memory<'_>,
        out: &mut [i8],
    ) -> Option<()> {
        let (input, output) = (self.window.node.input, self.window.node.output);
        let [down, right] = self.window.geometry.stride.map(usize::from);
        let largest = self.window.tile(input.c)?;
        let rows = out.len() / output.row().max(1);
        self.window.tiles(rows, largest, |tile| {
            let (strip, seen) = (&mut memory.strip, self.below(tile));
            let all = [0, input.c, input.c];
            let pitch = self.window.fill(self.helium, seen, all, strip)?;
            for row in 0..tile.rows {
                let pixels = Pixels {
                    from: memory.strip.as_slice().get(row * down * pitch..)?,
                    runs: self.window.runs(pitch),
                    step: right * input.c,
                    count: tile.width,
                    pitch: output.c,
                };
                let at = (tile.y + row) * output.row() + tile.x * output.c + first;
                let (constants, patches) = (&memory.constants, &mut memory.patches);
                let out = out.get_mut(at..)?;
                self.helium
                    .pixels(&pixels, filters, constants, patches, out)?;
            }
            Some(())
        })
    }

    /// The tile where it lies in the whole output.
    const fn below(&self, tile: Tile) -> Tile {
        Tile {
            y: self.y + tile.y,
            ..tile
        }
    }
}

impl Depthwise<'_> {
    /// Whether [`Self::with_helium`] takes the node.
    pub fn takes_helium(&self, helium: Helium) -> bool {
        let right = self.geometry.stride[1];
        self.geometry.kernel == [3; 2]
            && self.geometry.dilation == [1; 2]
            && (right == 1 || right == 2)
            && self.node.weights_zero_point == 0
            && self.window().tile(LANES).is_some()
            && helium.extremes(self.channels.weights)[0] > i8::MIN
            && is_right(helium, &self.channels)
    }

    const fn window(&self) -> Window<'_> {
        Window {
            node: self.node,
            geometry: self.geometry,
            source: self.source,
        }
    }

    /// As many rows as `out` holds.
    #[inline(never)]
    pub fn with_helium(&self, helium: Helium, out: &mut [i8]) -> Option<()> {
        let c = self.node.output.c;
        let mut strip = MaybeUninit::uninit();
        let mut strip = Strip::new(&mut strip);
        let mut block = Block::new();
        for first in (0..c).step_by(LANES) {
            let live = (c - first).min(LANES);
            let twos = live <= 8 && self.geometry.stride[1] == 1 && c <= 128;
            let source = Source {
                weights: self.channels.weights.get(first..)?,
                pitch: c,
                bias: self.channels.bias.get(first..)?,
                multiplier: self.channels.multiplier.get(first..)?,
                shift: self.channels.shift.get(first..)?,
                live,
                second: twos.then_some(c),
                zero_point: self.node.output_quant.zero_point,
            };
            helium.block(&source, &mut block)?;
            self.block(helium, [first, live], twos, (&mut block, &mut strip), out)?;
        }
        limit(self.node.range, out);
        Some(())
    }

    /// Some channels of all pixels, two pixels at once if `twos`.
    fn block(
        &self,
        helium: Helium,
        [first, live]: [usize; 2],
        twos: bool,
        (block, strip): (&mut Block, &mut Strip<'_>),
        out: &mut [i8],
    ) -> Option<()> {
        let output = self.node.output;
        let [down, stride] = self.geometry.stride.map(usize::from);
        let size = if twos { 8 } else { LANES };
        let window = self.window();
        let largest = window.tile(size)?;
        let rows = out.len() / output.row().max(1);
        window.tiles(rows, largest, |tile| {
            let seen = Tile {
                y: self.y + tile.y,
                ..tile
            };
            let pitch = window.fill(helium, seen, [first, live, size], strip)?;
            // Two pixels at once read on behind the last.
            helium.fill(strip, SLACK, 0)?;
            for row in 0..tile.rows {
                let line = Line {
                    strip: strip.as_slice().get(row * down * pitch..)?,
                    pitch,
                    stride,
                    twos,
                };
                let at = (tile.y + row) * output.row() + tile.x * output.c + first;
                let out = out.get_mut(at..)?;
                self.line(helium, line, block, out, tile.width)?;
            }
            Some(())
        })
    }

    /// Some channels of `count` pixels.
    fn line(
        &self,
        helium: Helium,
        line: Line<'_>,
        block: &mut Block,
        out: &mut [i8],
        count: usize,
    ) -> Option<()> {
        let c = self.node.output.c;
        if !line.twos {
            return helium.depthwise(&line, block, out, c, count);
        }
        let twos = count / 2;
        if twos > 0 {
            helium.depthwise(&line, block, out, 2 * c, twos)?;
        }
        if count.is_multiple_of(2) {
            return Some(());
        }
        let last = Line {
            strip: line.strip.get(twos * LANES..)?,
            ..line
        };
        block.store(false);
        let done = helium.depthwise(&last, block, out.get_mut(2 * twos * c..)?, c, 1);
        block.store(true);
        done
    }
}
