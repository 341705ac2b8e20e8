//! Pixels times weights: convolutions whose every pixel reads the one at its own place,
//! in vectors of sixteen channels. The same sums in the same order as a [`Convolution`]
//! by itself; what that works out for each tile, windows and borders, is not needed.

use super::SawNan;
use super::activation::shows_nan;
use super::conv::Convolution;
use super::packing::LANES;
use super::tile::Finish;
use super::wide::{BATCH, NEAR, SIXTEEN, Two, blocks_of, multiply, start};
use crate::net::arch::wide::Wide;
use crate::net::arch::{Isa, Kernel, Simd};
use crate::net::op::Activation;

/// Pixels of the largest tile.
const MOST: usize = 12;

/// A convolution of one row of pixels with a window of one pixel, in one group.
struct Product<'a>(Convolution<'a>);

/// Runs `kernel`, whose window is one pixel where `pixels` says of how many.
pub(super) fn run(kernel: Convolution<'_>, isa: Isa, pixels: usize) -> Option<SawNan> {
    if kernel.groups <= 1 && pixels > 1 {
        isa.run(Product(kernel))
    } else {
        isa.run(kernel)
    }
}

impl Kernel for Product<'_> {
    /// Whether NaN was seen; `None` if a buffer does not fit.
    type Output = Option<SawNan>;

    #[inline(always)]
    fn run<S: Simd, const P: usize, const B: usize>(self, simd: S) -> Option<SawNan> {
        self.0.run::<S, P, B>(simd)
    }

    #[inline(always)]
    fn run_wide<W: Wide>(self, wide: W) -> Option<SawNan> {
        let Convolution {
            source,
            weights,
            bias,
            target,
            finish,
            ..
        } = self.0;
        let channels = Channels {
            inputs: self.0.source_c,
            outputs: self.0.target_c,
            weights,
            bias,
            finish,
        };
        channels.all_pixels(wide, source.data, target)
    }
}

/// What all pixels share.
struct Channels<'a> {
    inputs: usize,
    outputs: usize,
    weights: &'a [f32],
    bias: &'a [f32],
    finish: Finish,
}

impl Channels<'_> {
    /// Few weights meet the pixels batch by batch; of many, each part meets
    /// all pixels before the next one is read.
    #[inline(always)]
    fn all_pixels<W: Wide>(&self, wide: W, x: &[f32], target: &mut [f32]) -> Option<SawNan> {
        let pixels = target.len() / self.outputs.max(1);
        let near = size_of_val(self.weights) <= NEAR;
        let batch = if near { BATCH } else { pixels };
        let mut seen = 0;
        for first in (0..pixels).step_by(batch.max(1)) {
            let count = batch.min(pixels - first);
            let x = x.get(first * self.inputs..)?.get(..count * self.inputs)?;
            let target = target.get_mut(first * self.outputs..)?;
            let target = target.get_mut(..count * self.outputs)?;
            for channel in (0..self.outputs).step_by(2 * SIXTEEN) {
                if self.outputs - channel > SIXTEEN {
                    self.tiles::<W, 2>(wide, channel, count, x, target, &mut seen)?;
                } else {
                    self.tiles::<W, 1>(wide, channel, count, x, target, &mut seen)?;
                }
            }
        }
        Some(seen != 0)
    }

    /// `B` vectors of channels from `channel` on, of `left` pixels in tiles of about
    /// one size: a small one would wait for its own sums.
    #[inline(always)]
    fn tiles<W: Wide, const B: usize>(
        &self,
        wide: W,
        channel: usize,
        mut left: usize,
        mut x: &[f32],
        mut target: &mut [f32],
        seen: &mut u16,
    ) -> Option<()> {
        let blocks = self.outputs.div_ceil(LANES) - channel / LANES;
        let weights = self.weights.get(channel * self.inputs..)?;
        let weights = blocks_of::<B>(weights, self.inputs * LANES, blocks, self.inputs)?;
        let part = (channel, weights);
        while left > 0 {
            let pixels = left.div_ceil(left.div_ceil(MOST));
            let (here, behind) = x.split_at_checked(pixels * self.inputs)?;
            let (out, after) = target.split_at_mut_checked(pixels * self.outputs)?;
            match pixels {
                1 => self.tile::<W, 1, B>(wide, &part, here, out, seen)?,
                2 => self.tile::<W, 2, B>(wide, &part, here, out, seen)?,
                3 => self.tile::<W, 3, B>(wide, &part, here, out, seen)?,
                4 => self.tile::<W, 4, B>(wide, &part, here, out, seen)?,
                5 => self.tile::<W, 5, B>(wide, &part, here, out, seen)?,
                6 => self.tile::<W, 6, B>(wide, &part, here, out, seen)?,
                7 => self.tile::<W, 7, B>(wide, &part, here, out, seen)?,
                8 => self.tile::<W, 8, B>(wide, &part, here, out, seen)?,
                9 => self.tile::<W, 9, B>(wide, &part, here, out, seen)?,
                10 => self.tile::<W, 10, B>(wide, &part, here, out, seen)?,
                11 => self.tile::<W, 11, B>(wide, &part, here, out, seen)?,
                _ => self.tile::<W, MOST, B>(wide, &part, here, out, seen)?,
            }
            (x, target) = (behind, after);
            left -= pixels;
        }
        Some(())
    }

    /// `P` pixels times `B` vectors of channels.
    #[inline(always)]
    fn tile<W: Wide, const P: usize, const B: usize>(
        &self,
        wide: W,
        (channel, weights): &(usize, [Two<'_>; B]),
        x: &[f32],
        target: &mut [f32],
        seen: &mut u16,
    ) -> Option<()> {
        let mut lines: [&[f32]; P] = [&[]; P];
        for (i, line) in lines.iter_mut().enumerate() {
            *line = x.get(i * self.inputs..)?.get(..self.inputs)?;
        }
        let bias = self.bias.get(*channel..).unwrap_or(&[]);
        let sums = [start::<W, B>(wide, bias); P];
        let sums = multiply(wide, sums, &lines, weights, self.inputs)?;
        let to = Target {
            elements: target.get_mut(*channel..)?,
            row: self.outputs,
            lanes: (self.outputs - channel).min(B * SIXTEEN),
        };
        let zero = wide.fill(0.0);
        match self.finish {
            Finish::Add => to.add(wide, &sums),
            Finish::Store(Activation::Relu) => {
                to.store(wide, &sums, seen, false, |v| wide.largest(v, zero))
            }
            Finish::Store(Activation::Clip { lo, hi }) => {
                let (lo, hi) = (wide.fill(lo), wide.fill(hi));
                let limit = |v| wide.smallest(wide.largest(v, lo), hi);
                to.store(wide, &sums, seen, false, limit)
            }
            Finish::Store(activation @ Activation::LeakyRelu { slope }) => {
                let slope = wide.fill(slope);
                let limit = |v| wide.positives_or(v, wide.products(v, slope));
                to.store(wide, &sums, seen, shows_nan(activation), limit)
            }
            Finish::Store(_) => to.store(wide, &sums, seen, false, |v| v),
        }
    }
}

/// The channels of a tile, of all its pixels.
struct Target<'a> {
    elements: &'a mut [f32],
    /// Elements from one pixel to the next.
    row: usize,
    /// Channels of each.
    lanes: usize,
}

impl Target<'_> {
    /// Adds the sums to what is there.
    #[inline(always)]
    fn add<W: Wide, const P: usize, const B: usize>(
        self,
        wide: W,
        sums: &[[W::W; B]; P],
    ) -> Option<()> {
        for (i, sums) in sums.iter().enumerate() {
            let target = self.elements.get_mut(i * self.row..)?;
            let (whole, rest) = target.get_mut(..self.lanes)?.as_chunks_mut::<SIXTEEN>();
            for (target, &sum) in whole.iter_mut().zip(sums) {
                wide.write_all(wide.sum(wide.read_all(target), sum), target);
            }
            if let (Some(&sum), false) = (sums.get(whole.len()), rest.is_empty()) {
                wide.write(wide.sum(wide.read(rest), sum), rest);
            }
        }
        Some(())
    }

    /// Writes what `limit` makes of the sums; NaN is looked for behind it if `behind`,
    /// else before it. Idle lanes may hold anything; they are not seen.
    #[inline(always)]
    fn store<W: Wide, const P: usize, const B: usize>(
        self,
        wide: W,
        sums: &[[W::W; B]; P],
        seen: &mut u16,
        behind: bool,
        limit: impl Fn(W::W) -> W::W,
    ) -> Option<()> {
        let mut nan = *seen;
        for (i, sums) in sums.iter().enumerate() {
            let target = self.elements.get_mut(i * self.row..)?;
            let (whole, rest) = target.get_mut(..self.lanes)?.as_chunks_mut::<SIXTEEN>();
            for (target, &sum) in whole.iter_mut().zip(sums) {
                let after = limit(sum);
                nan = wide.nans(nan, if behind { after } else { sum }, SIXTEEN);
                wide.write_all(after, target);
            }
            if let (Some(&sum), false) = (sums.get(whole.len()), rest.is_empty()) {
                let after = limit(sum);
                nan = wide.nans(nan, if behind { after } else { sum }, rest.len());
                wide.write(after, rest);
            }
        }
        *seen = nan;
        Some(())
    }
}
