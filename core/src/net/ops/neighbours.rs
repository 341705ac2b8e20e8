//! Input gradient of a `Conv` with few input channels, as a first layer has
//! them. They leave most lanes of a vector idle, so the lanes are shared by
//! neighbouring columns of the input: `[column][channel]`. These read the same
//! columns of the output's gradient; where a column has no tap its weight is 0,
//! and adding such a product leaves the bits of a sum that began at +0.

use super::conv::Convolution;
use super::packing::{LANES, packed_index};
use super::spans::Axis;
use super::tile::Finish;
use super::{Node, Rows};
use crate::net::arch::Isa;
use crate::net::op::{Geometry, Op};

/// Lanes that are shared: two blocks of weights.
const SHARED: usize = 2 * LANES;

/// Stride, padding and kernel along the columns.
fn of_columns(g: Geometry) -> [usize; 3] {
    [g.stride, g.pad, g.kernel].map(|[_, cols]| usize::from(cols))
}

/// Neighbouring columns of a gradient.
pub(super) struct Neighbours {
    geometry: Geometry,
    /// How many share a vector.
    columns: usize,
    /// Columns of the output that any of them reads.
    taps: usize,
    /// The last of these for the first neighbours of a row.
    last: usize,
}

impl Neighbours {
    /// Of a node whose input channels leave room for another column; whole
    /// vectors must make up a row.
    pub fn of(node: &Node<'_>) -> Option<Self> {
        let Op::Conv { geometry, groups } = node.op else {
            return None;
        };
        let [stride, pad, kernel] = of_columns(geometry);
        let most = SHARED.checked_div(node.input.c)?;
        let fits = |&n: &usize| n.is_multiple_of(stride) && node.input.w.is_multiple_of(n);
        let columns = (2..=most).rev().find(fits)?;
        let last = (columns - 1 + pad) / stride;
        // The first column reads from here on, counted up to `last`.
        let first = kernel.saturating_sub(pad + 1) / stride;
        let taps = last + 1 + first;
        let is_plain = groups == 1 && geometry.dilation[1] == 1 && kernel > 1 && pad < kernel;
        is_plain.then_some(Self {
            geometry,
            columns,
            taps,
            last,
        })
    }

    /// Elements of its weights: `[block][kernel row][tap][output channel][lane]`.
    pub fn weights_len(&self, node: &Node<'_>) -> usize {
        self.blocks(node) * usize::from(self.geometry.kernel[0]) * self.taps * node.output.c * LANES
    }

    fn blocks(&self, node: &Node<'_>) -> usize {
        (self.columns * node.input.c).div_ceil(LANES)
    }

    /// Lays the node's weights out for it.
    pub fn lay_out(&self, node: &Node<'_>, out: &mut [f32]) -> Option<()> {
        let rows = usize::from(self.geometry.kernel[0]);
        let filter = rows * usize::from(self.geometry.kernel[1]) * node.input.c;
        let (out, _) = out.as_chunks_mut::<LANES>();
        for (i, out) in out.chunks_mut(node.output.c.max(1)).enumerate() {
            let (line, tap) = (i / self.taps, i % self.taps);
            let (block, row) = (line / rows, line % rows);
            let places = self.places(node.input.c, block, row, tap);
            for (output, lanes) in out.iter_mut().enumerate() {
                let first = packed_index(node.op, node.input, node.output, output * filter);
                for (lane, place) in lanes.iter_mut().zip(places) {
                    *lane = match place {
                        Some(place) => *node.weights.get(first + place * LANES)?,
                        None => 0.0,
                    };
                }
            }
        }
        Some(())
    }

    /// Which of a filter's weights the lanes of a block have.
    fn places(
        &self,
        inputs: usize,
        block: usize,
        row: usize,
        tap: usize,
    ) -> [Option<usize>; LANES] {
        let [stride, pad, kernel] = of_columns(self.geometry);
        let lanes = self.columns * inputs;
        core::array::from_fn(|lane| {
            let lane = block * LANES + lane;
            let (column, channel) = (lane.checked_div(inputs)?, lane.checked_rem(inputs)?);
            let k = (column + pad + tap * stride).checked_sub(self.last * stride)?;
            (k < kernel && lane < lanes).then_some((row * kernel + k) * inputs + channel)
        })
    }

    /// Adds rows of the gradient, from weights as [`Self::lay_out`] leaves them.
    pub fn backward(
        &self,
        node: &Node<'_>,
        (rows, source): (Axis, Rows<'_>),
        weights: &[f32],
        grad_in: &mut [f32],
        isa: Isa,
    ) -> Option<()> {
        let lanes = self.columns * node.input.c;
        let pace = self.columns / usize::from(self.geometry.stride[1]).max(1);
        let count = node.input.w / self.columns;
        let kernel = Convolution {
            source,
            source_c: node.output.c,
            weights,
            bias: &[],
            groups: 1,
            rows,
            cols: Axis::paced(pace, (self.last, self.taps), node.output.w, count),
            target: grad_in,
            target_row: node.input.row(),
            target_c: lanes,
            finish: Finish::Add,
        };
        isa.run(kernel).map(|_| ())
    }
}
