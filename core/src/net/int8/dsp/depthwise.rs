//! 3x3 `Depthwise`: four channels of a tile of pixels at a time. In a tile,
//! padding included, every pixel is like every other.

use super::{is_short, limit};
use crate::net::arch::dsp::{DepthwiseFilters, Dsp, LINES, TRIPLETS, Tile, View, WORDS};
use crate::net::int8::depthwise::Depthwise;

impl<'a> Depthwise<'a> {
    /// Whether [`Self::with_dsp`] takes the node.
    pub fn takes_dsp(&self) -> bool {
        self.geometry.kernel == [3; 2]
            && self.geometry.dilation == [1; 2]
            && self.node.output.c >= 4
            && (1..=8).contains(&self.geometry.stride[0])
            && (1..=2).contains(&self.geometry.stride[1])
            && is_short(&self.channels)
    }

    /// As many rows as `out` holds.
    #[cfg_attr(foveola_helium, inline(never))]
    pub fn with_dsp(&self, dsp: Dsp, out: &mut [i8]) -> Option<()> {
        let output = self.node.output;
        let height = out.len().checked_div(output.row())?;
        let filters = DepthwiseFilters {
            weights: self.channels.weights,
            zero: self.node.weights_zero_point,
            bias: self.channels.bias,
            multiplier: self.channels.multiplier,
            shift: self.channels.shift,
            zero_point: self.node.output_quant.zero_point,
        };
        let (rows, width) = self.tiles(height);
        let mut tile = Tile::new();
        for y in (0..height).step_by(rows) {
            for x in (0..output.w).step_by(width) {
                let size = [rows.min(height - y), width.min(output.w - x)];
                self.look(&mut tile, [y, x], size)?;
                let out = out.get_mut((y * output.w + x) * output.c..)?;
                for channel in (0..output.c).step_by(4) {
                    // The last channels are made with those before them.
                    let first = channel.min(output.c.saturating_sub(4));
                    let skip = channel - first;
                    tile.make(dsp, &filters, first, skip, out, output.row())?;
                }
            }
        }
        limit(dsp, self.node, out);
        Some(())
    }

    /// Rows and columns of the largest tiles, both at least 1.
    fn tiles(&self, height: usize) -> (usize, usize) {
        let [down, right] = self.geometry.stride.map(usize::from);
        let most = TRIPLETS.min(WORDS / 6) - 1;
        let widest = most.checked_div(right).unwrap_or(0) * 2;
        let width = self.node.output.w.min(widest).max(1);
        let triplets = width.div_ceil(2) * right + 1;
        let lines = (WORDS / 2).checked_div(triplets).unwrap_or(0).min(LINES);
        let by_lines = lines.saturating_sub(3).checked_div(down).unwrap_or(0) + 1;
        let by_triplets = TRIPLETS.checked_div(triplets).unwrap_or(0);
        (by_lines.min(by_triplets).min(height).max(1), width)
    }

    /// Moves to the tile whose first row is `y` of those asked for.
    fn look(
        &self,
        tile: &mut Tile<'a>,
        [y, x]: [usize; 2],
        [rows, width]: [usize; 2],
    ) -> Option<()> {
        let input = self.node.input;
        let [down, right] = self.geometry.stride.map(usize::from);
        let [above, left] = self.geometry.pad.map(usize::from);
        let mut view = View {
            rows,
            width,
            down,
            right,
            channels: input.c,
            before: 0,
            inside: 0,
            padding: u32::from_ne_bytes([self.node.input_quant.zero_point as u8; 4]),
        };
        // Columns left of the input, and behind them those inside.
        let pitch = view.pitch();
        view.before = left.saturating_sub(x * right).min(pitch);
        let start = (x * right + view.before).saturating_sub(left).min(input.w);
        view.inside = (input.w - start).min(pitch - view.before);
        let top = (self.y + y) * down;
        tile.look(view, |row| {
            let line = (top + row).checked_sub(above);
            match line.filter(|&line| line < input.h) {
                Some(line) => {
                    let line = self.source.line(line as isize)?;
                    Some(line.get(start * input.c..).unwrap_or_default())
                }
                None => Some(&[]),
            }
        })
    }
}
