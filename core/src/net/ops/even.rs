//! Tiles whose pixels lie as many elements apart in one row of the source as it takes
//! to know when compiling: those of a layer that reads a picture of three channels.
//! One slice a row serves all pixels; the sums and their order are those of other tiles.

use super::conv::{Convolution, Part};
use super::tile::{Region, Spot};
use super::wide::{Two, blocks_of, start};
use crate::net::arch::wide::Wide;

/// Elements from pixel to pixel at strides 1 and 2.
const SINGLE: usize = 3;
const DOUBLE: usize = 6;

/// Fewer pixels do not pay.
const FEWEST: usize = 6;

impl Convolution<'_> {
    /// The sums of a tile; `None` where its pixels do not lie so.
    #[inline(always)]
    pub(super) fn even<W: Wide, const P: usize, const B: usize>(
        &self,
        wide: W,
        at: (&Part, usize, &Region),
        spots: &[Spot; P],
    ) -> Option<[[W::W; B]; P]> {
        let (part, _, region) = at;
        let step = usize::try_from(region.cols.from_step).ok()? * self.source_c;
        let (Some(first), Some(last)) = (spots.first(), spots.last()) else {
            return None;
        };
        let apart = (P as isize - 1) * region.cols.from_step;
        let lies = last.row == first.row && last.col == first.col + apart;
        if P < FEWEST || !lies || !self.is_merged(part, region) {
            return None;
        }
        match step {
            SINGLE => self.even_window::<W, P, B, SINGLE>(wide, at, *first),
            DOUBLE => self.even_window::<W, P, B, DOUBLE>(wide, at, *first),
            _ => None,
        }
    }

    #[inline(always)]
    fn even_window<W: Wide, const P: usize, const B: usize, const STEP: usize>(
        &self,
        wide: W,
        (part, blocks, region): (&Part, usize, &Region),
        first: Spot,
    ) -> Option<[[W::W; B]; P]> {
        let bias = self.bias.get(part.target..part.end).unwrap_or(&[]);
        let mut sums = [start::<W, B>(wide, bias); P];
        for j in 0..region.rows.taps {
            let row = self.kernel_row(part, region, j, &[first])?;
            let ([_], weights) = row.run(0)?;
            let weights = blocks_of::<B>(weights, part.block, blocks, row.len)?;
            let [line] = row.lines;
            let line = line.get(..(row.len + P * STEP).saturating_sub(1))?;
            sums = multiply::<W, P, B, STEP>(wide, sums, line, &weights, row.len)?;
        }
        Some(sums)
    }
}

/// `sums[p][b] + line[p * STEP ..] * weights[b]` over `len` source elements; `None`
/// if the line ends before.
#[inline(always)]
fn multiply<W: Wide, const P: usize, const B: usize, const STEP: usize>(
    wide: W,
    from: [[W::W; B]; P],
    line: &[f32],
    weights: &[Two<'_>; B],
    len: usize,
) -> Option<[[W::W; B]; P]> {
    let mut sums = from;
    for i in 0..len {
        let mut lanes = [wide.fill(0.0); B];
        for (lanes, [low, high]) in lanes.iter_mut().zip(weights) {
            *lanes = wide.read_two(low.get(i)?, high.get(i)?);
        }
        let x: &[[f32; STEP]; P] = line.get(i..)?.as_chunks().0.first_chunk()?;
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = wide.fill(*x.first()?);
            for (sum, &w) in sums.iter_mut().zip(&lanes) {
                *sum = wide.add_products(*sum, x, w);
            }
        }
    }
    Some(sums)
}
