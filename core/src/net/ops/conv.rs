//! Convolution as tiles: `P` target pixels times `B` blocks of 8 target
//! channels are summed at once, each in its own accumulator, so that SIMD
//! never crosses a sum. Forward, the sum starts from the bias and runs over
//! kernel rows, kernel columns and input channels; backward it starts from 0,
//! runs over kernel rows, columns and output channels, and is added to the
//! gradient.

use super::packing::LANES;
use super::spans::{Axis, Span};
use super::tile::{Finish, Region, Seen, Spot, Tile, Walk, finish, start};
use super::{Node, Rows, SawNan};
use crate::error::Error;
#[cfg(target_arch = "x86_64")]
use crate::net::arch::wide::Wide;
use crate::net::arch::{Isa, Kernel, Simd};
use crate::net::op::{Geometry, Op};
use crate::tensor::Shape;

/// One convolution, forward or (with transposed weights) backward.
pub(super) struct Convolution<'a> {
    /// What is read.
    pub source: Rows<'a>,
    /// Its channels.
    pub source_c: usize,
    /// Blocks of target channels, group by group: `[ky][kx][source channel][lane]`.
    pub weights: &'a [f32],
    /// Where sums start, one a target channel; empty for 0.
    pub bias: &'a [f32],
    /// Groups.
    pub groups: usize,
    /// Rows of the window.
    pub rows: Axis,
    /// Columns of the window.
    pub cols: Axis,
    /// What is written.
    pub target: &'a mut [f32],
    /// Elements of one target row.
    pub target_row: usize,
    /// Target channels.
    pub target_c: usize,
    /// How it is written.
    pub finish: Finish,
}

/// The channels that a tile is about.
pub(super) struct Part {
    /// Where its weights start.
    pub weights: usize,
    /// Weights of one block.
    pub block: usize,
    /// First source channel.
    source: usize,
    /// Source channels.
    inputs: usize,
    /// First target channel.
    pub target: usize,
    /// Target channel behind the group's last.
    pub end: usize,
}

impl Kernel for Convolution<'_> {
    /// Whether NaN was seen; `None` if a buffer does not fit.
    type Output = Option<SawNan>;

    #[inline(always)]
    fn run<S: Simd, const P: usize, const B: usize>(mut self, simd: S) -> Option<SawNan> {
        let blocks = self.blocks();
        let mut seen = Seen::nothing(simd);
        for group in 0..self.groups.max(1) {
            let mut done = 0;
            while done < blocks {
                let part = self.part(group, done);
                if blocks - done >= B {
                    self.regions::<S, P, B>(simd, &part, &mut seen)?;
                    done += B;
                } else {
                    self.regions::<S, P, 1>(simd, &part, &mut seen)?;
                    done += 1;
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

impl Convolution<'_> {
    /// Runs it, whose window is one pixel; of how many, `pixels` says.
    pub(super) fn pointwise(self, isa: Isa, pixels: usize) -> Option<SawNan> {
        #[cfg(target_arch = "x86_64")]
        return super::product::run(self, isa, pixels);
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = pixels;
            isa.run(self)
        }
    }

    /// Blocks of a group.
    #[inline(always)]
    pub(super) fn blocks(&self) -> usize {
        (self.target_c / self.groups.max(1)).div_ceil(LANES)
    }

    /// The channels of a group from block `first` on.
    #[inline(always)]
    pub(super) fn part(&self, group: usize, first: usize) -> Part {
        let groups = self.groups.max(1);
        let (inputs, outputs) = (self.source_c / groups, self.target_c / groups);
        let block = self.rows.kernel() * self.cols.kernel() * inputs * LANES;
        Part {
            weights: (group * self.blocks() + first) * block,
            block,
            source: group * inputs,
            inputs,
            target: group * outputs + first * LANES,
            end: (group + 1) * outputs,
        }
    }

    #[inline(always)]
    fn regions<S: Simd, const P: usize, const B: usize>(
        &mut self,
        simd: S,
        part: &Part,
        seen: &mut Seen<S>,
    ) -> Option<()> {
        for rows in self.rows.spans() {
            for cols in self.cols.spans() {
                let region = Region { rows, cols };
                if self.finish.is_idle(&region) {
                    continue;
                }
                let mut walk = Walk::new(region);
                while walk.fills(P) {
                    self.tile::<S, P, B>(simd, part, &region, &mut walk, seen)?;
                }
                while !walk.done() {
                    self.tile::<S, 1, B>(simd, part, &region, &mut walk, seen)?;
                }
            }
        }
        Some(())
    }

    #[inline(always)]
    fn tile<S: Simd, const P: usize, const B: usize>(
        &mut self,
        simd: S,
        part: &Part,
        region: &Region,
        walk: &mut Walk,
        seen: &mut Seen<S>,
    ) -> Option<()> {
        let Tile { spots, filled } = walk.tile::<P>(self.target_row, self.target_c);
        let bias = self.bias.get(part.target..part.end).unwrap_or(&[]);
        let mut sums = [start::<S, B>(simd, bias); P];
        for j in 0..region.rows.taps {
            let row = self.kernel_row(part, region, j, &spots)?;
            for i in 0..row.runs {
                let (x, weights) = row.run(i)?;
                multiply(simd, &mut sums, &x, weights, part.block, row.len)?;
            }
        }
        let lanes = (part.end - part.target).min(B * LANES);
        for (sums, spot) in sums.iter().zip(&spots).take(filled) {
            let target = self.target.get_mut(spot.target + part.target..)?;
            finish(simd, target.get_mut(..lanes)?, sums, self.finish, seen);
        }
        Some(())
    }

    /// Whether a row of taps reads elements without gaps.
    #[inline(always)]
    pub(super) const fn is_merged(&self, part: &Part, region: &Region) -> bool {
        region.cols.hop == 1 && part.inputs == self.source_c
    }

    /// What the `j`-th row of taps reads.
    #[inline(always)]
    pub(super) fn kernel_row<const P: usize>(
        &self,
        part: &Part,
        region: &Region,
        j: usize,
        spots: &[Spot; P],
    ) -> Option<KernelRow<'_, P>> {
        let Region { rows, cols } = region;
        let mut lines: [&[f32]; P] = [&[]; P];
        #[cfg(target_arch = "x86_64")]
        let mut seen: (isize, &[f32]) = (isize::MIN, &[]);
        for (line, spot) in lines.iter_mut().zip(spots) {
            let at = spot.row + j as isize * rows.hop;
            // Pixels of a tile mostly share their rows.
            #[cfg(target_arch = "x86_64")]
            if seen.0 != at {
                seen = (at, self.source.line(at)?);
            }
            #[cfg(target_arch = "x86_64")]
            let whole = seen.1;
            #[cfg(not(target_arch = "x86_64"))]
            let whole = self.source.line(at)?;
            let first = usize::try_from(spot.col + low(cols)).ok()? * self.source_c;
            *line = whole.get(first + part.source..)?;
        }
        // Neighbouring taps that read neighbouring pixels are one run of elements.
        let (runs, len) = if self.is_merged(part, region) {
            (1, cols.taps * part.inputs)
        } else {
            (cols.taps, part.inputs)
        };
        let ky = (rows.tap + j * rows.tap_step) * self.cols.kernel();
        let step = part.inputs * LANES;
        Some(KernelRow {
            lines,
            runs,
            len,
            weights: self.weights.get(part.weights + (ky + cols.tap) * step..)?,
            step: cols.tap_step * step,
            first: if cols.hop < 0 {
                runs.saturating_sub(1)
            } else {
                0
            },
            back: cols.hop < 0,
            hop: cols.hop.unsigned_abs() * self.source_c,
        })
    }
}

/// Source columns from the first tap to the leftmost one, not positive.
#[inline(always)]
pub(super) const fn low(cols: &Span) -> isize {
    if cols.hop < 0 && cols.taps > 0 {
        (cols.taps as isize - 1) * cols.hop
    } else {
        0
    }
}

/// A row of taps under `P` pixels, as runs of source elements.
pub(super) struct KernelRow<'a, const P: usize> {
    /// From the leftmost tap on.
    pub lines: [&'a [f32]; P],
    /// How many runs there are, each of `len` elements.
    pub runs: usize,
    pub len: usize,
    /// From the first run's on.
    weights: &'a [f32],
    /// Weights from one run to the next.
    step: usize,
    /// Place of the first run among them, and whether the next lies before it.
    first: usize,
    back: bool,
    /// Elements from one place to the next.
    hop: usize,
}

impl<'a, const P: usize> KernelRow<'a, P> {
    /// Run `i` of each pixel, and the weights from its first on.
    #[inline(always)]
    pub fn run(&self, i: usize) -> Option<([&'a [f32]; P], &'a [f32])> {
        let place = if self.back { self.first - i } else { i };
        let mut x: [&[f32]; P] = [&[]; P];
        for (x, line) in x.iter_mut().zip(&self.lines) {
            *x = line.get(place * self.hop..)?.get(..self.len)?;
        }
        Some((x, self.weights.get(i * self.step..)?))
    }
}

/// `sums[p][b] += x[p] * weights[b]` over `len` source elements.
#[inline(always)]
fn multiply<S: Simd, const P: usize, const B: usize>(
    simd: S,
    sums: &mut [[S::V; B]; P],
    x: &[&[f32]; P],
    weights: &[f32],
    block: usize,
    len: usize,
) -> Option<()> {
    let mut w: [&[[f32; LANES]]; B] = [&[]; B];
    for (b, w) in w.iter_mut().enumerate() {
        *w = weights.get(b * block..)?.as_chunks().0.get(..len)?;
    }
    for i in 0..len {
        let mut lanes = [simd.splat(0.0); B];
        for (lanes, w) in lanes.iter_mut().zip(&w) {
            *lanes = simd.load(w.get(i)?);
        }
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = simd.splat(*x.get(i)?);
            for (sum, &w) in sums.iter_mut().zip(&lanes) {
                *sum = simd.add_product(*sum, x, w);
            }
        }
    }
    Some(())
}

/// Output rows `y..` of a `Conv`, as many as `out` holds.
pub(super) fn forward_rows(
    node: &Node<'_>,
    geometry: Geometry,
    groups: u16,
    source: Rows<'_>,
    y: usize,
    out: &mut [f32],
    isa: Isa,
) -> Result<SawNan, Error> {
    let (input, output) = (node.input, node.output);
    let count = out.len() / output.row().max(1);
    let kernel = Convolution {
        source,
        source_c: input.c,
        weights: node.weights,
        bias: node.bias,
        groups: usize::from(groups),
        rows: Axis::forward(geometry, 0, input.h, y, count),
        cols: Axis::forward(geometry, 1, input.w, 0, output.w),
        target: out,
        target_row: output.row(),
        target_c: output.c,
        finish: Finish::Store(node.activation),
    };
    isa.run(kernel).ok_or(Error::Internal)
}

/// A `Conv` whose every output pixel reads the input pixel at its own place,
/// or a `Dense`: pixels, input and output channels, groups.
pub(super) fn pointwise(op: Op, input: Shape, output: Shape) -> Option<[usize; 4]> {
    match op {
        Op::Dense => Some([1, input.len(), output.len(), 1]),
        Op::Conv { geometry, groups }
            if geometry.kernel == [1, 1]
                && geometry.stride == [1, 1]
                && geometry.pad == [0, 0]
                && (input.h, input.w) == (output.h, output.w) =>
        {
            Some([input.area(), input.c, output.c, groups.into()])
        }
        _ => None,
    }
}

/// A whole `Conv` or `Dense`.
pub(super) fn forward(
    node: &Node<'_>,
    data: &[f32],
    out: &mut [f32],
    isa: Isa,
) -> Result<SawNan, Error> {
    if let Some([pixels, source_c, target_c, groups]) = pointwise(node.op, node.input, node.output)
    {
        let kernel = Convolution {
            source: Rows::one(data),
            source_c,
            weights: node.weights,
            bias: node.bias,
            groups,
            rows: Axis::pointwise(1),
            cols: Axis::pointwise(pixels),
            target: out,
            target_row: 0,
            target_c,
            finish: Finish::Store(node.activation),
        };
        return kernel.pointwise(isa, pixels).ok_or(Error::Internal);
    }
    let Op::Conv { geometry, groups } = node.op else {
        return Err(Error::Internal);
    };
    let rows = Rows::whole(data, node.input);
    forward_rows(node, geometry, groups, rows, 0, out, isa)
}
