//! Depthwise convolution: SIMD across channels, several pixels at once; the
//! sum of an element runs over kernel rows and columns, from the bias forward,
//! from 0 backward.

use super::packing::LANES;
use super::spans::Axis;
use super::tile::{Finish, Region, Seen, Spot, Walk, finish, start, widen};
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

impl Kernel for Depthwise<'_> {
    /// Whether NaN was seen; `None` if a buffer does not fit.
    type Output = Option<SawNan>;

    #[inline(always)]
    fn run<S: Simd, const P: usize, const B: usize>(mut self, simd: S) -> Option<SawNan> {
        let mut seen = Seen::default();
        for rows in self.rows.spans() {
            for cols in self.cols.spans() {
                let region = Region { rows, cols };
                let mut walk = Walk::new(region);
                while walk.fills(P) {
                    let (spots, filled) = walk.spots::<P>(self.target_row, self.channels);
                    self.pixels::<S, P, B>(simd, &region, &spots, filled, &mut seen)?;
                }
                while !walk.done() {
                    let (spots, filled) = walk.spots::<1>(self.target_row, self.channels);
                    self.pixels::<S, 1, B>(simd, &region, &spots, filled, &mut seen)?;
                }
            }
        }
        Some(seen.any())
    }
}

impl Depthwise<'_> {
    /// All channels of `P` pixels.
    #[inline(always)]
    fn pixels<S: Simd, const P: usize, const B: usize>(
        &mut self,
        simd: S,
        region: &Region,
        spots: &[Spot; P],
        filled: usize,
        seen: &mut Seen,
    ) -> Option<()> {
        let mut c = 0;
        while self.channels - c >= B * LANES {
            self.tile::<S, P, B>(simd, region, spots, filled, c, B * LANES, seen)?;
            c += B * LANES;
        }
        while self.channels - c >= LANES {
            self.tile::<S, P, 1>(simd, region, spots, filled, c, LANES, seen)?;
            c += LANES;
        }
        if c < self.channels {
            self.tile::<S, P, 1>(simd, region, spots, filled, c, self.channels - c, seen)?;
        }
        Some(())
    }

    /// `lanes` channels from `c` on of `P` pixels.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const B: usize>(
        &mut self,
        simd: S,
        region: &Region,
        spots: &[Spot; P],
        filled: usize,
        c: usize,
        lanes: usize,
        seen: &mut Seen,
    ) -> Option<()> {
        let Region { rows, cols } = region;
        let bias = self.bias.get(c..).unwrap_or(&[]);
        let mut sums = [start::<S, B>(simd, bias.get(..lanes).unwrap_or(&[])); P];
        for j in 0..rows.taps {
            let mut lines: [&[f32]; P] = [&[]; P];
            for (line, spot) in lines.iter_mut().zip(spots) {
                *line = self.source.line(spot.row + j as isize * rows.hop)?;
            }
            let ky = (rows.tap + j * rows.tap_step) * self.cols.kernel();
            for i in 0..cols.taps {
                let tap = ky + cols.tap + i * cols.tap_step;
                let w: [S::V; B] = load(simd, self.weights.get(tap * self.channels + c..)?, lanes)?;
                for ((sums, line), spot) in sums.iter_mut().zip(&lines).zip(spots) {
                    let col = usize::try_from(spot.col + i as isize * cols.hop).ok()?;
                    let x: [S::V; B] = load(simd, line.get(col * self.channels + c..)?, lanes)?;
                    for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                        *sum = simd.add_product(*sum, x, w);
                    }
                }
            }
        }
        for (sums, spot) in sums.iter().zip(spots).take(filled) {
            let target = self.target.get_mut(spot.target + c..)?;
            finish(simd, target.get_mut(..lanes)?, sums, self.finish, seen);
        }
        Some(())
    }
}

/// The first `lanes` elements, zeros behind them.
#[inline(always)]
fn load<S: Simd, const B: usize>(simd: S, from: &[f32], lanes: usize) -> Option<[S::V; B]> {
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

/// Adds the input gradient.
pub(super) fn backward(
    node: &Node<'_>,
    geometry: Geometry,
    grad_out: &[f32],
    grad_in: &mut [f32],
    isa: Isa,
) -> Result<(), Error> {
    let (input, output) = (node.input, node.output);
    let kernel = Depthwise {
        source: Rows::whole(grad_out, output),
        channels: input.c,
        weights: node.weights,
        bias: &[],
        rows: Axis::backward(geometry, 0, output.h, input.h),
        cols: Axis::backward(geometry, 1, output.w, input.w),
        target: grad_in,
        target_row: input.row(),
        finish: Finish::Add,
    };
    isa.run(kernel).map(|_| ()).ok_or(Error::Internal)
}
