//! Input gradient of `Conv` and `Dense`. With scratch, the weights are
//! transposed into blocks of input channels, and the gradient is one more
//! [`Convolution`]; without, or for few pixels, the packed weights are read as
//! they lie.

use super::conv::{Convolution, pointwise};
#[cfg(target_arch = "x86_64")]
use super::neighbours::Neighbours;
use super::packing::LANES;
use super::spans::Axis;
use super::tile::{Finish, Region, Spot, Walk};
use super::walk::Window;
use super::{Node, Rows};
use crate::error::Error;
use crate::net::arch::{Isa, products};
use crate::net::op::Op;
use crate::tensor::Shape;

/// Sizes of a `Conv` or `Dense`, both ways.
pub(in crate::net) struct Sizes {
    groups: usize,
    /// Input channels, all groups.
    inputs: usize,
    /// Output channels, all groups.
    outputs: usize,
    /// Target rows and columns (input), source row elements (output).
    rows: Axis,
    cols: Axis,
    source_row: usize,
    source_h: usize,
    target_row: usize,
}

/// Whose gradient is wanted, and of what it is made.
#[derive(Clone, Copy)]
pub(in crate::net) enum Part<'a> {
    /// All of it, from all of the output's.
    Whole(&'a [f32]),
    /// Row `y` of the input, from rows of the output's.
    Row(usize, Rows<'a>),
}

impl<'a> Part<'a> {
    /// Rows of the output's gradient.
    pub fn source(self, output: Shape) -> Rows<'a> {
        match self {
            Self::Whole(data) => Rows::whole(data, output),
            Self::Row(_, rows) => rows,
        }
    }

    /// The wanted rows, of an axis that has them all.
    pub const fn rows(self, all: Axis) -> Axis {
        match self {
            Self::Whole(_) => all,
            Self::Row(y, _) => all.only(y),
        }
    }
}

impl Sizes {
    pub fn of(op: Op, input: Shape, output: Shape) -> Option<Self> {
        if let Some([pixels, inputs, outputs, groups]) = pointwise(op, input, output) {
            return Some(Self {
                groups: groups.max(1),
                inputs,
                outputs,
                rows: Axis::pointwise(1),
                cols: Axis::pointwise(pixels),
                source_row: pixels * outputs,
                source_h: 1,
                target_row: 0,
            });
        }
        let Op::Conv { geometry, groups } = op else {
            return None;
        };
        Some(Self {
            groups: usize::from(groups).max(1),
            inputs: input.c,
            outputs: output.c,
            rows: Axis::backward(geometry, 0, output.h, input.h),
            cols: Axis::backward(geometry, 1, output.w, input.w),
            source_row: output.row(),
            source_h: output.h,
            target_row: input.row(),
        })
    }

    /// As [`Sizes::of`], for that part of the gradient; and what it is read from.
    pub fn part<'a>(
        op: Op,
        input: Shape,
        output: Shape,
        part: Part<'a>,
    ) -> Option<(Self, Rows<'a>)> {
        let whole = Self::of(op, input, output)?;
        let (y, source) = match part {
            Part::Whole(data) => {
                let source = whole.source(data);
                return Some((whole, source));
            }
            Part::Row(y, source) => (y, source),
        };
        if pointwise(op, input, output).is_none() {
            let rows = whole.rows.only(y);
            return Some((Self { rows, ..whole }, source));
        }
        // The row by itself, as a picture of one row.
        let start = source.start(y)?;
        let data = source.data.get(start..)?.get(..source.row)?;
        let single = Self {
            cols: Axis::pointwise(input.w),
            source_row: source.row,
            ..whole
        };
        Some((single, Rows::one(data)))
    }

    /// Channels of one group: input, output.
    pub fn group(&self) -> (usize, usize) {
        // Never 0; said again where an optimiser for size sees it.
        let groups = self.groups.max(1);
        (self.inputs / groups, self.outputs / groups)
    }

    /// How its pixels are walked.
    pub const fn window<'a>(&self, source: Rows<'a>) -> Window<'a> {
        Window {
            rows: self.rows,
            cols: self.cols,
            source,
            source_c: self.outputs,
            target_row: self.target_row,
            target_c: self.inputs,
        }
    }

    /// Input channels, all groups.
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Output channels, all groups.
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    pub fn taps(&self) -> usize {
        self.rows.kernel() * self.cols.kernel()
    }

    /// Elements of the transposed weights: for each group and block of 8 input
    /// channels `[tap][output channel][lane]`.
    pub fn transposed(&self) -> usize {
        let (inputs, outputs) = self.group();
        self.groups * inputs.next_multiple_of(LANES) * self.taps() * outputs
    }

    /// Adds the input gradient, from transposed weights.
    pub fn backward(
        &self,
        weights: &[f32],
        source: Rows<'_>,
        grad_in: &mut [f32],
        isa: Isa,
    ) -> Result<(), Error> {
        let pixels = grad_in.len() / self.inputs.max(1);
        let kernel = Convolution {
            source,
            source_c: self.outputs,
            weights,
            bias: &[],
            groups: self.groups,
            rows: self.rows,
            cols: self.cols,
            target: grad_in,
            target_row: self.target_row,
            target_c: self.inputs,
            finish: Finish::Add,
        };
        // Where pixels read their own place there is one row of them.
        let done = match self.target_row {
            0 => kernel.pointwise(isa, pixels),
            _ => isa.run(kernel),
        };
        done.map(|_| ()).ok_or(Error::Internal)
    }

    fn source<'a>(&self, data: &'a [f32]) -> Rows<'a> {
        Rows {
            data,
            row: self.source_row,
            modulo: self.source_h,
        }
    }
}

/// Scratch with which [`backward`] is fastest: 0 where so few pixels share the
/// weights that transposing them does not pay.
pub(super) fn scratch_len(node: &Node<'_>, isa: Isa) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let Some(neighbours) = neighbours(node, isa) {
        return neighbours.weights_len(node);
    }
    let _ = isa;
    match Sizes::of(node.op, node.input, node.output) {
        Some(sizes) if node.output.area() > 2 => sizes.transposed(),
        _ => 0,
    }
}

#[cfg(target_arch = "x86_64")]
fn neighbours(node: &Node<'_>, isa: Isa) -> Option<Neighbours> {
    Neighbours::of(node).filter(|_| isa.has_vectors())
}

/// Adds the input gradient of a `Conv` or `Dense`, or a row of it. `laid_out`:
/// whether `scratch` is as the last call for this node left it.
pub(super) fn backward(
    node: &Node<'_>,
    part: Part<'_>,
    grad_in: &mut [f32],
    (scratch, laid_out): (&mut [f32], bool),
    isa: Isa,
) -> Result<(), Error> {
    let found = Sizes::part(node.op, node.input, node.output, part);
    let (sizes, source) = found.ok_or(Error::Internal)?;
    let need = scratch_len(node, isa);
    match scratch.get_mut(..need) {
        #[cfg(target_arch = "x86_64")]
        Some(weights) if let Some(neighbours) = neighbours(node, isa) => {
            if !laid_out {
                neighbours.lay_out(node, weights).ok_or(Error::Internal)?;
            }
            let rows = (sizes.rows, source);
            let done = neighbours.backward(node, rows, weights, grad_in, isa);
            done.ok_or(Error::Internal)
        }
        Some(weights) if need > 0 => {
            if !laid_out {
                transpose(&sizes, node.weights, weights).ok_or(Error::Internal)?;
            }
            sizes.backward(weights, source, grad_in, isa)
        }
        _ => in_place(&sizes, node.weights, source, grad_in).ok_or(Error::Internal),
    }
}

/// From blocks of output channels, `[group][block][tap][input][lane]`, to
/// blocks of input channels, `[group][block][tap][output][lane]`.
fn transpose(sizes: &Sizes, packed: &[f32], out: &mut [f32]) -> Option<()> {
    let (inputs, outputs) = sizes.group();
    let taps = sizes.taps();
    let (in_blocks, out_blocks) = (inputs.div_ceil(LANES), outputs.div_ceil(LANES));
    let (packed, _) = packed.as_chunks::<LANES>();
    let (out, _) = out.as_chunks_mut::<LANES>();
    for group in 0..sizes.groups {
        for tap in 0..taps {
            for block in 0..in_blocks {
                let to = ((group * in_blocks + block) * taps + tap) * outputs;
                let target = out.get_mut(to..)?.get_mut(..outputs)?;
                for (b, target) in target.chunks_mut(LANES).enumerate() {
                    let from = ((group * out_blocks + b) * taps + tap) * inputs + block * LANES;
                    let lanes = (inputs - block * LANES).min(LANES);
                    let source = packed.get(from..)?.get(..lanes)?;
                    swap(source, target);
                }
            }
        }
    }
    Some(())
}

/// `target[i][j] = source[j][i]`, 0 where `source` has no row `j`.
fn swap(source: &[[f32; LANES]], target: &mut [[f32; LANES]]) {
    if let (Some(source), Some(target)) = (source.first_chunk(), target.first_chunk_mut())
        && products::transpose(source, target).is_some()
    {
        return;
    }
    let mut square = [[0.0; LANES]; LANES];
    for (row, source) in square.iter_mut().zip(source) {
        *row = *source;
    }
    for (i, target) in target.iter_mut().enumerate() {
        for (t, row) in target.iter_mut().zip(&square) {
            *t = row.get(i).copied().unwrap_or(0.0);
        }
    }
}

/// Input channels whose sums are kept at once.
const CHUNK: usize = 32;

/// The gradient straight from the packed weights.
fn in_place(sizes: &Sizes, weights: &[f32], source: Rows<'_>, grad_in: &mut [f32]) -> Option<()> {
    let reader = InPlace {
        sizes,
        weights: weights.as_chunks().0,
        source,
    };
    sizes.pixels(grad_in, |region, spot, pixel| {
        reader.pixel(region, spot, pixel)
    })
}

impl Sizes {
    /// Calls `visit` with every input pixel that some output reads.
    #[inline(always)]
    pub fn pixels(
        &self,
        grad_in: &mut [f32],
        mut visit: impl FnMut(&Region, &Spot, &mut [f32]) -> Option<()>,
    ) -> Option<()> {
        for rows in self.rows.spans() {
            for cols in self.cols.spans() {
                let region = Region { rows, cols };
                if region.is_blind() {
                    continue;
                }
                let mut walk = Walk::new(region);
                while !walk.done() {
                    let [spot] = walk.tile(self.target_row, self.inputs).spots;
                    let pixel = grad_in.get_mut(spot.target..)?.get_mut(..self.inputs)?;
                    visit(&region, &spot, pixel)?;
                }
            }
        }
        Some(())
    }

    /// Calls `visit` with every tap of an input pixel: its index in the kernel,
    /// and the gradients of the output pixel that reads it there.
    #[inline(always)]
    pub fn visit_taps<'a>(
        &self,
        region: &Region,
        spot: &Spot,
        source: Rows<'a>,
        mut visit: impl FnMut(usize, &'a [f32]) -> Option<()>,
    ) -> Option<()> {
        let Region { rows, cols } = region;
        for j in 0..rows.taps {
            let line = source.line(spot.row + j as isize * rows.hop)?;
            let ky = (rows.tap + j * rows.tap_step) * self.cols.kernel();
            for i in 0..cols.taps {
                let col = usize::try_from(spot.col + i as isize * cols.hop).ok()?;
                let gradient = line.get(col * self.outputs..)?.get(..self.outputs)?;
                visit(ky + cols.tap + i * cols.tap_step, gradient)?;
            }
        }
        Some(())
    }
}

/// Reads packed weights against their order.
struct InPlace<'a> {
    sizes: &'a Sizes,
    weights: &'a [[f32; LANES]],
    source: Rows<'a>,
}

impl InPlace<'_> {
    /// Adds the gradient of one input pixel.
    fn pixel(&self, region: &Region, spot: &Spot, pixel: &mut [f32]) -> Option<()> {
        let (inputs, _) = self.sizes.group();
        for (group, target) in pixel.chunks_exact_mut(inputs.max(1)).enumerate() {
            for (chunk, target) in target.chunks_mut(CHUNK).enumerate() {
                let mut sums = [0.0; CHUNK];
                let part = sums.get_mut(..target.len())?;
                self.sum(region, spot, group, chunk * CHUNK, part)?;
                for (target, sum) in target.iter_mut().zip(part) {
                    *target += *sum;
                }
            }
        }
        Some(())
    }

    /// Sums of the input channels of `group` from `channel` on.
    fn sum(
        &self,
        region: &Region,
        spot: &Spot,
        group: usize,
        channel: usize,
        sums: &mut [f32],
    ) -> Option<()> {
        let (_, outputs) = self.sizes.group();
        let own = group * outputs..(group + 1) * outputs;
        let add =
            |tap, gradient: &[f32]| self.tap(group, tap, channel, gradient.get(own.clone())?, sums);
        self.sizes.visit_taps(region, spot, self.source, add)
    }

    /// Adds one tap's products with the gradients of one output pixel.
    fn tap(
        &self,
        group: usize,
        tap: usize,
        channel: usize,
        gradient: &[f32],
        sums: &mut [f32],
    ) -> Option<()> {
        let (inputs, outputs) = self.sizes.group();
        let first = group * outputs.div_ceil(LANES);
        for (block, gradient) in gradient.chunks(LANES).enumerate() {
            // A sum that starts from +0 stays the same bits when a zero product
            // is left out: weights are finite, and such a sum is never -0.
            if gradient.iter().all(|&g| g == 0.0) {
                continue;
            }
            let row = ((first + block) * self.sizes.taps() + tap) * inputs + channel;
            for (sum, weights) in sums.iter_mut().zip(self.weights.get(row..)?) {
                for (g, w) in gradient.iter().zip(weights) {
                    *sum += g * w;
                }
            }
        }
        Some(())
    }
}
