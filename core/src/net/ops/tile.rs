//! Tiles: the pixels and channels whose sums are kept in registers at once.

use super::activation::{has_nan, limit_lanes, shows_nan};
use super::packing::LANES;
use super::spans::Span;
use crate::net::arch::Simd;
use crate::net::op::Activation;

/// What becomes of a sum.
#[derive(Clone, Copy)]
pub(in crate::net) enum Finish {
    /// It replaces the target, after the activation.
    Store(Activation),
    /// It is added to the target.
    Add,
}

impl Finish {
    /// Whether pixels that see nothing stay as they are.
    pub const fn is_idle(self, region: &Region) -> bool {
        matches!(self, Self::Add) && region.is_blind()
    }
}

/// Lanes in which NaN was seen.
pub(in crate::net) struct Seen<S: Simd>(S::V);

impl<S: Simd> Seen<S> {
    #[inline(always)]
    pub fn nothing(simd: S) -> Self {
        Self(simd.splat(0.0))
    }

    /// Whether there was any.
    #[inline(always)]
    pub fn any(&self, simd: S) -> bool {
        has_nan(&simd.store(self.0))
    }
}

/// Pixels that see the same taps: a span of rows by a span of columns.
#[derive(Clone, Copy)]
pub(in crate::net) struct Region {
    pub rows: Span,
    pub cols: Span,
}

impl Region {
    /// Whether no tap of these pixels lies inside the source.
    pub const fn is_blind(&self) -> bool {
        self.rows.taps == 0 || self.cols.taps == 0
    }
}

/// Where one pixel reads and writes.
#[derive(Clone, Copy, Default)]
pub(in crate::net) struct Spot {
    /// Source row under its first tap.
    pub row: isize,
    /// Source column under its first tap.
    pub col: isize,
    /// First target element.
    pub target: usize,
}

/// The pixels of one tile. Places from `filled` on repeat the last pixel and are not written.
pub(in crate::net) struct Tile<const P: usize> {
    pub spots: [Spot; P],
    pub filled: usize,
}

/// Walks the pixels of a region, row by row.
#[derive(Clone)]
pub(in crate::net) struct Walk {
    region: Region,
    y: usize,
    x: usize,
    left: usize,
}

impl Walk {
    #[inline(always)]
    pub fn new(region: Region) -> Self {
        Self {
            region,
            y: 0,
            x: 0,
            left: region.rows.count * region.cols.count,
        }
    }

    /// Whether the next pixels are worth a tile of `pixels`. With idle places it still
    /// beats few single pixels, whose sums wait for themselves.
    #[inline(always)]
    pub fn fills(&self, pixels: usize) -> bool {
        self.left > 1 && self.left > pixels / 3
    }

    /// The walk of the next pixels, at most `pixels`; goes on behind them.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub fn part(&mut self, pixels: usize) -> Self {
        let mut part = self.clone();
        part.left = self.left.min(pixels);
        self.left -= part.left;
        let width = self.region.cols.count.max(1);
        let at = self.y * width + self.x + part.left;
        (self.y, self.x) = (at / width, at % width);
        part
    }

    /// Pixels that are left.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Whether all pixels are done.
    #[inline(always)]
    pub fn done(&self) -> bool {
        self.left == 0
    }

    /// The next pixels.
    #[inline(always)]
    pub fn tile<const P: usize>(&mut self, target_row: usize, target_c: usize) -> Tile<P> {
        let Region { rows, cols } = self.region;
        let filled = self.left.min(P);
        self.left -= filled;
        let mut spots = [Spot::default(); P];
        let mut last = Spot::default();
        for (i, spot) in spots.iter_mut().enumerate() {
            if i < filled {
                last = Spot {
                    row: rows.from + self.y as isize * rows.from_step,
                    col: cols.from + self.x as isize * cols.from_step,
                    target: (rows.to + self.y * rows.to_step) * target_row
                        + (cols.to + self.x * cols.to_step) * target_c,
                };
                self.x += 1;
                if self.x == cols.count {
                    self.x = 0;
                    self.y += 1;
                }
            }
            *spot = last;
        }
        Tile { spots, filled }
    }
}

/// Hands the sums of one pixel to as many target channels.
#[inline(always)]
pub(in crate::net) fn finish<S: Simd, const B: usize>(
    simd: S,
    target: &mut [f32],
    sums: &[S::V; B],
    finish: Finish,
    seen: &mut Seen<S>,
) {
    let (whole, rest) = target.as_chunks_mut::<LANES>();
    let mut sums = sums.iter();
    for (target, &sums) in whole.iter_mut().zip(&mut sums) {
        *target = simd.store(result(simd, target, sums, finish, seen));
    }
    if let (Some(&sums), false) = (sums.next(), rest.is_empty()) {
        // Idle lanes may hold anything; they must not be seen.
        let mut live = [0.0; LANES];
        for ((live, sum), _) in live.iter_mut().zip(simd.store(sums)).zip(&*rest) {
            *live = sum;
        }
        let before = widen(rest);
        let after = simd.store(result(simd, &before, simd.load(&live), finish, seen));
        for (target, after) in rest.iter_mut().zip(after) {
            *target = after;
        }
    }
}

/// What 8 target channels become.
#[inline(always)]
fn result<S: Simd>(
    simd: S,
    before: &[f32; LANES],
    sums: S::V,
    finish: Finish,
    seen: &mut Seen<S>,
) -> S::V {
    match finish {
        Finish::Add => simd.add_product(simd.load(before), sums, simd.splat(1.0)),
        Finish::Store(activation) => {
            let limited = limit_lanes(simd, activation, sums);
            let telling = if shows_nan(activation) { limited } else { sums };
            seen.0 = simd.note_nan(seen.0, telling);
            limited
        }
    }
}

/// Sums before the first product: `bias`, or 0 where there is none.
#[inline(always)]
pub(in crate::net) fn start<S: Simd, const B: usize>(simd: S, bias: &[f32]) -> [S::V; B] {
    let mut sums = [simd.splat(0.0); B];
    let (whole, rest) = bias.as_chunks();
    let mut sum = sums.iter_mut();
    for (bias, sum) in whole.iter().zip(&mut sum) {
        *sum = simd.load(bias);
    }
    if let (Some(sum), false) = (sum.next(), rest.is_empty()) {
        *sum = simd.load(&widen(rest));
    }
    sums
}

/// Up to 8 values, zeros behind them.
#[inline(always)]
pub(in crate::net) fn widen(values: &[f32]) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for (out, v) in out.iter_mut().zip(values) {
        *out = *v;
    }
    out
}
