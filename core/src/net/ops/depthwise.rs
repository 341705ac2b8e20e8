//! Depthwise convolution: SIMD across channels, several pixels at once; the
//! sum of an element runs over kernel rows and columns, from the bias forward,
//! from 0 backward.

use super::conv_backward::Part as Wanted;
use super::packing::LANES;
use super::spans::Axis;
use super::tile::{Finish, Region, Seen, Spot, Tile, Walk, finish, start, widen};
use super::{Node, Rows, SawNan};
use crate::error::Error;
use crate::net::arch::{Isa, Kernel, Simd};
use crate::net::op::Geometry;

/// One depthwise convolution, either direction.
struct Depthwise<'a> {
    source: Rows<'a>,
    channels: usize,
    weights: &'a [f32],
    bias: &'a [f32],
    rows: Axis,
    cols: Axis,
    target: &'a mut [f32],
    target_row: usize,
    finish: Finish,
}

/// Neighbouring channels that fit one tile.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    count: usize,
}

impl Kernel for Depthwise<'_> {
    /// Whether NaN was seen; `None` if a buffer does not fit.
    type Output = Option<SawNan>;

    #[inline(always)]
    fn run<S: Simd, const P: usize, const B: usize>(mut self, simd: S) -> Option<SawNan> {
        let mut seen = Seen::nothing(simd);
        for rows in self.rows.spans() {
            for cols in self.cols.spans() {
                let region = Region { rows, cols };
                if self.finish.is_idle(&region) {
                    continue;
                }
                // Every channel has its own input, so broad tiles of few pixels save
                // the most; without vector registers there is no room for them.
                if B > 1 {
                    self.region::<S, 3, 4>(simd, &region, &mut seen)?;
                } else {
                    self.region::<S, P, B>(simd, &region, &mut seen)?;
                }
            }
        }
        Some(seen.any(simd))
    }
}

impl Depthwise<'_> {
    #[inline(always)]
    fn region<S: Simd, const P: usize, const B: usize>(
        &mut self,
        simd: S,
        region: &Region,
        seen: &mut Seen<S>,
    ) -> Option<()> {
        let mut walk = Walk::new(*region);
        while walk.fills(P) {
            let tile = walk.tile(self.target_row, self.channels);
            self.pixels::<S, P, B>(simd, region, &tile, seen)?;
        }
        while !walk.done() {
            let tile = walk.tile(self.target_row, self.channels);
            self.pixels::<S, 1, B>(simd, region, &tile, seen)?;
        }
        Some(())
    }

    /// All channels of `P` pixels.
    #[inline(always)]
    fn pixels<S: Simd, const P: usize, const B: usize>(
        &mut self,
        simd: S,
        region: &Region,
        tile: &Tile<P>,
        seen: &mut Seen<S>,
    ) -> Option<()> {
        let mut first = 0;
        while self.channels - first >= B * LANES {
            let count = B * LANES;
            self.tile::<S, P, B>(simd, region, tile, Part { first, count }, seen)?;
            first += count;
        }
        while self.channels - first >= LANES {
            let count = LANES;
            self.tile::<S, P, 1>(simd, region, tile, Part { first, count }, seen)?;
            first += count;
        }
        let count = self.channels - first;
        if count > 0 {
            self.tile::<S, P, 1>(simd, region, tile, Part { first, count }, seen)?;
        }
        Some(())
    }

    #[inline(always)]
    fn tile<S: Simd, const P: usize, const B: usize>(
        &mut self,
        simd: S,
        region: &Region,
        tile: &Tile<P>,
        part: Part,
        seen: &mut Seen<S>,
    ) -> Option<()> {
        let bias = self.bias.get(part.first..).unwrap_or(&[]);
        let bias = bias.get(..part.count).unwrap_or(&[]);
        let mut sums = [start::<S, B>(simd, bias); P];
        for j in 0..region.rows.taps {
            self.kernel_row(simd, region, j, &tile.spots, part, &mut sums)?;
        }
        for (sums, spot) in sums.iter().zip(&tile.spots).take(tile.filled) {
            let target = self.target.get_mut(spot.target + part.first..)?;
            let target = target.get_mut(..part.count)?;
            finish(simd, target, sums, self.finish, seen);
        }
        Some(())
    }

    /// Adds what the `j`-th row of taps contributes.
    #[inline(always)]
    fn kernel_row<S: Simd, const P: usize, const B: usize>(
        &self,
        simd: S,
        region: &Region,
        j: usize,
        spots: &[Spot; P],
        part: Part,
        sums: &mut [[S::V; B]; P],
    ) -> Option<()> {
        let Region { rows, cols } = region;
        // From the leftmost source column that a tap reads.
        let last = cols.taps.saturating_sub(1);
        let left = if cols.hop < 0 {
            last as isize * cols.hop
        } else {
            0
        };
        let mut lines: [&[f32]; P] = [&[]; P];
        for (line, spot) in lines.iter_mut().zip(spots) {
            let col = usize::try_from(spot.col + left).ok()?;
            let whole = self.source.line(spot.row + j as isize * rows.hop)?;
            *line = whole.get(col * self.channels..)?;
        }
        let step = cols.hop.unsigned_abs() * self.channels;
        let first_tap = (rows.tap + j * rows.tap_step) * self.cols.kernel() + cols.tap;
        for i in 0..cols.taps {
            let tap = (first_tap + i * cols.tap_step) * self.channels;
            let w: [S::V; B] = load(simd, self.weights, tap + part.first, part.count)?;
            let hops = if cols.hop < 0 { last - i } else { i };
            let at = hops * step + part.first;
            for (sums, line) in sums.iter_mut().zip(&lines) {
                let x: [S::V; B] = load(simd, line, at, part.count)?;
                for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                    *sum = simd.add_product(*sum, x, w);
                }
            }
        }
        Some(())
    }
}

/// `lanes` elements from `at` on, zeros behind them.
#[inline(always)]
fn load<S: Simd, const B: usize>(
    simd: S,
    from: &[f32],
    at: usize,
    lanes: usize,
) -> Option<[S::V; B]> {
    let from = from.get(at..)?;
    let mut out = [simd.splat(0.0); B];
    if lanes == B * LANES {
        let from: &[[f32; LANES]; B] = from.as_chunks().0.first_chunk()?;
        for (out, from) in out.iter_mut().zip(from) {
            *out = simd.load(from);
        }
    } else {
        let narrow = simd.load(&widen(from.get(..lanes)?));
        *out.first_mut()? = narrow;
    }
    Some(out)
}

/// Output rows `y..`, as many as `out` holds.
pub(super) fn forward_rows(
    node: &Node<'_>,
    geometry: Geometry,
    source: Rows<'_>,
    y: usize,
    out: &mut [f32],
    isa: Isa,
) -> Result<SawNan, Error> {
    let (input, output) = (node.input, node.output);
    let count = out.len() / output.row().max(1);
    let kernel = Depthwise {
        source,
        channels: input.c,
        weights: node.weights,
        bias: node.bias,
        rows: Axis::forward(geometry, 0, input.h, y, count),
        cols: Axis::forward(geometry, 1, input.w, 0, output.w),
        target: out,
        target_row: output.row(),
        finish: Finish::Store(node.activation),
    };
    isa.run(kernel).ok_or(Error::Internal)
}

/// Adds the input gradient, or a row of it.
pub(in crate::net) fn backward(
    node: &Node<'_>,
    geometry: Geometry,
    wanted: Wanted<'_>,
    grad_in: &mut [f32],
    isa: Isa,
) -> Result<(), Error> {
    let (input, output) = (node.input, node.output);
    let kernel = Depthwise {
        source: wanted.source(output),
        channels: input.c,
        weights: node.weights,
        bias: &[],
        rows: wanted.rows(Axis::backward(geometry, 0, output.h, input.h)),
        cols: Axis::backward(geometry, 1, output.w, input.w),
        target: grad_in,
        target_row: input.row(),
        finish: Finish::Add,
    };
    isa.run(kernel).map(|_| ()).ok_or(Error::Internal)
}
