//! Depthwise convolution: SIMD across channels, several pixels at once; the
//! sum of an element runs over kernel rows and columns, from the bias forward,
//! from 0 backward.

use super::conv::low;
use super::conv_backward::Part as Wanted;
use super::packing::LANES;
use super::spans::Axis;
use super::tile::{Finish, Region, Seen, Spot, Tile, Walk, finish, start, widen};
use super::{Node, Rows, SawNan};
use crate::error::Error;
#[cfg(target_arch = "x86_64")]
use crate::net::arch::wide::Wide;
use crate::net::arch::{Isa, Kernel, Simd};
use crate::net::op::Geometry;

/// One depthwise convolution, either direction.
pub(super) struct Depthwise<'a> {
    source: Rows<'a>,
    pub channels: usize,
    pub weights: &'a [f32],
    pub bias: &'a [f32],
    pub rows: Axis,
    pub cols: Axis,
    pub target: &'a mut [f32],
    pub target_row: usize,
    pub finish: Finish,
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

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn run_wide<W: Wide>(self, wide: W) -> Option<SawNan> {
        self.by_sixteen(wide)
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
            let row = self.kernel_row(region, j, &tile.spots)?;
            for i in 0..region.cols.taps {
                let (tap, at) = row.tap(i);
                let w: [S::V; B] = load(simd, self.weights, tap + part.first, part.count)?;
                for (sums, line) in sums.iter_mut().zip(&row.lines) {
                    let x: [S::V; B] = load(simd, line, at + part.first, part.count)?;
                    for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                        *sum = simd.add_product(*sum, x, w);
                    }
                }
            }
        }
        for (sums, spot) in sums.iter().zip(&tile.spots).take(tile.filled) {
            let target = self.target.get_mut(spot.target + part.first..)?;
            let target = target.get_mut(..part.count)?;
            finish(simd, target, sums, self.finish, seen);
        }
        Some(())
    }

    /// What the `j`-th row of taps reads.
    #[inline(always)]
    pub(super) fn kernel_row<const P: usize>(
        &self,
        region: &Region,
        j: usize,
        spots: &[Spot; P],
    ) -> Option<KernelRow<'_, P>> {
        let Region { rows, cols } = region;
        let mut lines: [&[f32]; P] = [&[]; P];
        for (line, spot) in lines.iter_mut().zip(spots) {
            let col = usize::try_from(spot.col + low(cols)).ok()?;
            let whole = self.source.line(spot.row + j as isize * rows.hop)?;
            *line = whole.get(col * self.channels..)?;
        }
        let first_tap = (rows.tap + j * rows.tap_step) * self.cols.kernel() + cols.tap;
        Some(KernelRow {
            lines,
            last: cols.taps.saturating_sub(1),
            back: cols.hop < 0,
            hop: cols.hop.unsigned_abs() * self.channels,
            tap: first_tap * self.channels,
            step: cols.tap_step * self.channels,
        })
    }
}

/// A row of taps under `P` pixels.
pub(super) struct KernelRow<'a, const P: usize> {
    /// The source from the leftmost tap on.
    pub lines: [&'a [f32]; P],
    last: usize,
    back: bool,
    hop: usize,
    tap: usize,
    step: usize,
}

impl<const P: usize> KernelRow<'_, P> {
    /// Where the weights of tap `i` start, and its elements in each line.
    #[inline(always)]
    pub const fn tap(&self, i: usize) -> (usize, usize) {
        let hops = if self.back { self.last - i } else { i };
        (self.tap + i * self.step, hops * self.hop)
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
