//! Convolutions in vectors of sixteen channels: the same sums in the same
//! order as in vectors of eight, in larger tiles.

use super::SawNan;
use super::activation::shows_nan;
use super::conv::{Convolution, Part};
use super::depthwise::Depthwise;
use super::packing::LANES;
use super::tile::{Finish, Region, Spot, Tile, Walk};
use crate::net::arch::wide::Wide;
use crate::net::op::Activation;

/// Channels of a vector.
pub(super) const SIXTEEN: usize = 2 * LANES;

/// Bytes of weights that stay near while all pixels pass by; with more, each
/// part of the weights meets all pixels before the next one is read.
pub(super) const NEAR: usize = 256 << 10;

/// Pixels that meet all weights at once where these are few.
pub(super) const BATCH: usize = 96;

impl Convolution<'_> {
    /// Whether NaN was seen; `None` if a buffer does not fit.
    #[inline(always)]
    pub fn by_sixteen<W: Wide>(mut self, wide: W) -> Option<SawNan> {
        let blocks = self.blocks();
        let near = size_of_val(self.weights) <= NEAR;
        let step = if near { blocks.max(1) } else { self.step() };
        let mut seen = 0;
        for group in 0..self.groups.max(1) {
            for first in (0..blocks).step_by(step) {
                let parts = (group, first, (first + step).min(blocks));
                for rows in self.rows.spans() {
                    for cols in self.cols.spans() {
                        let region = Region { rows, cols };
                        if !self.finish.is_idle(&region) {
                            let batch = if near { BATCH } else { usize::MAX };
                            self.region_wide(wide, &region, batch, parts, &mut seen)?;
                        }
                    }
                }
            }
        }
        Some(seen != 0)
    }

    /// Blocks of a tile: many for the few pixels of a dense layer.
    #[inline(always)]
    fn step(&self) -> usize {
        match self.rows.count() * self.cols.count() {
            1 => 8,
            _ => 4,
        }
    }

    /// Batch by batch of pixels, the blocks `first..end` of a group.
    #[inline(always)]
    fn region_wide<W: Wide>(
        &mut self,
        wide: W,
        region: &Region,
        batch: usize,
        (group, first, end): (usize, usize, usize),
        seen: &mut u16,
    ) -> Option<()> {
        let mut all = Walk::new(*region);
        let step = self.step();
        while !all.done() {
            let batch = all.part(batch);
            let mut done = first;
            while done < end {
                let part = self.part(group, done);
                let left = end - done;
                let at = (&part, left, region);
                done += if step > 4 && left > 6 {
                    self.sixteens::<W, 1, 4>(wide, at, &mut batch.clone(), seen)?;
                    8
                } else if left > 2 {
                    self.long::<W, 2>(wide, at, batch.clone(), seen)?;
                    4
                } else {
                    self.long::<W, 1>(wide, at, batch.clone(), seen)?;
                    2
                };
            }
        }
        Some(())
    }

    /// Tiles of many pixels times `B` vectors of channels.
    #[inline(always)]
    fn long<W: Wide, const B: usize>(
        &mut self,
        wide: W,
        at: (&Part, usize, &Region),
        mut walk: Walk,
        seen: &mut u16,
    ) -> Option<()> {
        while !walk.done() {
            match walk.left() {
                1 => self.sixteens::<W, 1, B>(wide, at, &mut walk, seen)?,
                2..=3 => self.sixteens::<W, 3, B>(wide, at, &mut walk, seen)?,
                4..=6 => self.sixteens::<W, 6, B>(wide, at, &mut walk, seen)?,
                7..=9 | 13..=18 => self.sixteens::<W, 9, B>(wide, at, &mut walk, seen)?,
                _ => self.sixteens::<W, 12, B>(wide, at, &mut walk, seen)?,
            }
        }
        Some(())
    }

    /// The next tile.
    #[inline(always)]
    fn sixteens<W: Wide, const P: usize, const B: usize>(
        &mut self,
        wide: W,
        (part, blocks, region): (&Part, usize, &Region),
        walk: &mut Walk,
        seen: &mut u16,
    ) -> Option<()> {
        // Not taken apart: its copy would wait for what has just been written.
        let tile: Tile<P> = walk.tile(self.target_row, self.target_c);
        let at = (part, blocks, region);
        let sums = match self.even::<W, P, B>(wide, at, &tile.spots) {
            Some(sums) => sums,
            None => self.window::<W, P, B>(wide, at, &tile.spots)?,
        };
        let lanes = (part.end - part.target).min(B * SIXTEEN);
        for (sums, spot) in sums.iter().zip(&tile.spots).take(tile.filled) {
            let target = self.target.get_mut(spot.target + part.target..)?;
            finish(wide, target.get_mut(..lanes)?, sums, self.finish, seen);
        }
        Some(())
    }

    /// The sums of a tile, by value as [`multiply`] has it.
    #[inline(always)]
    fn window<W: Wide, const P: usize, const B: usize>(
        &self,
        wide: W,
        (part, blocks, region): (&Part, usize, &Region),
        spots: &[Spot; P],
    ) -> Option<[[W::W; B]; P]> {
        let bias = self.bias.get(part.target..part.end).unwrap_or(&[]);
        let mut sums = [start::<W, B>(wide, bias); P];
        for j in 0..region.rows.taps {
            let row = self.kernel_row(part, region, j, spots)?;
            for i in 0..row.runs {
                let (x, weights) = row.run(i)?;
                let weights = blocks_of::<B>(weights, part.block, blocks, row.len)?;
                sums = multiply(wide, sums, &x, &weights, row.len)?;
            }
        }
        Some(sums)
    }
}

/// A run of weights of two blocks.
pub(super) type Two<'a> = [&'a [[f32; LANES]]; 2];

/// The runs of `len` weights of `B` times two blocks, of which there are
/// `blocks`; what lies behind them repeats the last.
#[inline(always)]
pub(super) fn blocks_of<const B: usize>(
    weights: &[f32],
    block: usize,
    blocks: usize,
    len: usize,
) -> Option<[Two<'_>; B]> {
    let mut out: [Two<'_>; B] = [[&[]; 2]; B];
    for (i, out) in out.as_flattened_mut().iter_mut().enumerate() {
        let from = i.min(blocks.saturating_sub(1)) * block;
        *out = weights.get(from..)?.as_chunks().0.get(..len)?;
    }
    Some(out)
}

/// `sums[p][b] + x[p] * weights[b]` over `len` source elements. Sums go in and out by value:
/// in an array that is read by index elsewhere they would be kept in memory, not registers.
#[inline(always)]
pub(super) fn multiply<W: Wide, const P: usize, const B: usize>(
    wide: W,
    from: [[W::W; B]; P],
    x: &[&[f32]; P],
    weights: &[Two<'_>; B],
    len: usize,
) -> Option<[[W::W; B]; P]> {
    let mut sums = from;
    for i in 0..len {
        let mut lanes = [wide.fill(0.0); B];
        for (lanes, [low, high]) in lanes.iter_mut().zip(weights) {
            *lanes = wide.read_two(low.get(i)?, high.get(i)?);
        }
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = wide.fill(*x.get(i)?);
            for (sum, &w) in sums.iter_mut().zip(&lanes) {
                *sum = wide.add_products(*sum, x, w);
            }
        }
    }
    Some(sums)
}

/// Sums before the first product: `bias`, or 0 where there is none.
#[inline(always)]
pub(super) fn start<W: Wide, const B: usize>(wide: W, bias: &[f32]) -> [W::W; B] {
    let mut sums = [wide.fill(0.0); B];
    for (sum, bias) in sums.iter_mut().zip(bias.chunks(SIXTEEN)) {
        *sum = wide.read(bias);
    }
    sums
}

/// Hands the sums of one pixel to as many target channels.
#[inline(always)]
fn finish<W: Wide, const B: usize>(
    wide: W,
    target: &mut [f32],
    sums: &[W::W; B],
    finish: Finish,
    seen: &mut u16,
) {
    let (whole, rest) = target.as_chunks_mut::<SIXTEEN>();
    let mut sums = sums.iter();
    for (target, &sums) in whole.iter_mut().zip(&mut sums) {
        let after = match finish {
            Finish::Add => wide.sum(wide.read_all(target), sums),
            Finish::Store(activation) => result(wide, sums, activation, SIXTEEN, seen),
        };
        wide.write_all(after, target);
    }
    if let (Some(&sums), false) = (sums.next(), rest.is_empty()) {
        // Idle lanes may hold anything; they must not be seen.
        let after = match finish {
            Finish::Add => wide.sum(wide.read(rest), sums),
            Finish::Store(activation) => result(wide, sums, activation, rest.len(), seen),
        };
        wide.write(after, rest);
    }
}

/// What sums become, of which the first `live` lanes count.
#[inline(always)]
fn result<W: Wide>(
    wide: W,
    sums: W::W,
    activation: Activation,
    live: usize,
    seen: &mut u16,
) -> W::W {
    let limited = match activation {
        Activation::Relu => wide.largest(sums, wide.fill(0.0)),
        Activation::Clip { lo, hi } => {
            wide.smallest(wide.largest(sums, wide.fill(lo)), wide.fill(hi))
        }
        Activation::LeakyRelu { slope } => {
            wide.positives_or(sums, wide.products(sums, wide.fill(slope)))
        }
        _ => sums,
    };
    let telling = if shows_nan(activation) { limited } else { sums };
    *seen = wide.nans(*seen, telling, live);
    limited
}

impl Depthwise<'_> {
    /// Whether NaN was seen; `None` if a buffer does not fit.
    #[inline(always)]
    pub fn by_sixteen<W: Wide>(mut self, wide: W) -> Option<SawNan> {
        let mut seen = 0;
        for rows in self.rows.spans() {
            for cols in self.cols.spans() {
                let region = Region { rows, cols };
                if self.finish.is_idle(&region) {
                    continue;
                }
                let mut walk = Walk::new(region);
                while !walk.done() {
                    if walk.fills(4) {
                        let tile = walk.tile::<4>(self.target_row, self.channels);
                        self.pixels_wide(wide, &region, &tile, &mut seen)?;
                    } else {
                        let tile = walk.tile::<1>(self.target_row, self.channels);
                        self.pixels_wide(wide, &region, &tile, &mut seen)?;
                    }
                }
            }
        }
        Some(seen != 0)
    }

    /// All channels of `P` pixels.
    #[inline(always)]
    fn pixels_wide<W: Wide, const P: usize>(
        &mut self,
        wide: W,
        region: &Region,
        tile: &Tile<P>,
        seen: &mut u16,
    ) -> Option<()> {
        let mut first = 0;
        while self.channels - first >= 4 * SIXTEEN {
            self.sixteens::<W, P, 4>(wide, region, tile, first, seen)?;
            first += 4 * SIXTEEN;
        }
        if self.channels - first >= 2 * SIXTEEN {
            self.sixteens::<W, P, 2>(wide, region, tile, first, seen)?;
            first += 2 * SIXTEEN;
        }
        if self.channels - first >= SIXTEEN {
            self.sixteens::<W, P, 1>(wide, region, tile, first, seen)?;
            first += SIXTEEN;
        }
        if self.channels > first {
            self.rest(wide, region, tile, first, seen)?;
        }
        Some(())
    }

    /// `B` vectors of channels from `first` on.
    #[inline(always)]
    fn sixteens<W: Wide, const P: usize, const B: usize>(
        &mut self,
        wide: W,
        region: &Region,
        tile: &Tile<P>,
        first: usize,
        seen: &mut u16,
    ) -> Option<()> {
        let sums = self.window::<W, P, B>(wide, region, &tile.spots, first)?;
        for (sums, spot) in sums.iter().zip(&tile.spots).take(tile.filled) {
            let target = self.target.get_mut(spot.target + first..)?;
            let target = target.get_mut(..B * SIXTEEN)?;
            finish(wide, target, sums, self.finish, seen);
        }
        Some(())
    }

    /// The sums of a tile, by value as [`multiply`] has it.
    #[inline(always)]
    fn window<W: Wide, const P: usize, const B: usize>(
        &self,
        wide: W,
        region: &Region,
        spots: &[Spot; P],
        first: usize,
    ) -> Option<[[W::W; B]; P]> {
        let mut sums = [start::<W, B>(wide, self.bias.get(first..).unwrap_or(&[])); P];
        for j in 0..region.rows.taps {
            let row = self.kernel_row(region, j, spots)?;
            for i in 0..region.cols.taps {
                let (tap, at) = row.tap(i);
                let mut weights = [wide.fill(0.0); B];
                let from = vectors::<B>(self.weights, tap + first)?;
                for (weights, from) in weights.iter_mut().zip(from) {
                    *weights = wide.read_all(from);
                }
                for (sums, line) in sums.iter_mut().zip(&row.lines) {
                    let x = vectors::<B>(line, at + first)?;
                    for ((sum, x), w) in sums.iter_mut().zip(x).zip(weights) {
                        *sum = wide.add_products(*sum, wide.read_all(x), w);
                    }
                }
            }
        }
        Some(sums)
    }

    /// The channels from `first` on, fewer than 16.
    #[inline(always)]
    fn rest<W: Wide, const P: usize>(
        &mut self,
        wide: W,
        region: &Region,
        tile: &Tile<P>,
        first: usize,
        seen: &mut u16,
    ) -> Option<()> {
        let count = self.channels - first;
        let sums = self.window_rest::<W, P>(wide, region, &tile.spots, first)?;
        for (&sum, spot) in sums.iter().zip(&tile.spots).take(tile.filled) {
            let target = self.target.get_mut(spot.target + first..)?;
            finish(wide, target.get_mut(..count)?, &[sum], self.finish, seen);
        }
        Some(())
    }

    /// As [`Self::window`], of the channels from `first` on.
    #[inline(always)]
    fn window_rest<W: Wide, const P: usize>(
        &self,
        wide: W,
        region: &Region,
        spots: &[Spot; P],
        first: usize,
    ) -> Option<[W::W; P]> {
        let count = self.channels - first;
        let [bias] = start::<W, 1>(wide, self.bias.get(first..).unwrap_or(&[]));
        let mut sums = [bias; P];
        for j in 0..region.rows.taps {
            let row = self.kernel_row(region, j, spots)?;
            for i in 0..region.cols.taps {
                let (tap, at) = row.tap(i);
                let weights = wide.read(self.weights.get(tap + first..)?.get(..count)?);
                for (sum, line) in sums.iter_mut().zip(&row.lines) {
                    let x = wide.read(line.get(at + first..)?.get(..count)?);
                    *sum = wide.add_products(*sum, x, weights);
                }
            }
        }
        Some(sums)
    }
}

/// `B` vectors from `at` on.
#[inline(always)]
fn vectors<const B: usize>(from: &[f32], at: usize) -> Option<&[[f32; SIXTEEN]; B]> {
    from.get(at..)?.as_chunks().0.first_chunk()
}
