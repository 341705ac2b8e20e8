//! RISE masks: a random grid of cells, upsampled bilinearly and shifted
//! (Petsiuk et al. 2018, arXiv 1806.07421, section 3.2).

use crate::error::Error;
use crate::quasi::MAX_DIMENSIONS;
use crate::rng::{self, Purpose};
use crate::tensor::Shape;

/// Most cells along each side of a [`Grid`].
pub const MAX_CELLS: u16 = 64;

/// Pixels by which MindSpore's masks are larger than the picture.
const MINDSPORE_MARGIN: usize = 10;

/// Coordinate `dimension` of point `index` of a sequence under a seed, in 0..1
/// without 1; [`crate::quasi::scrambled_sobol`] is one.
pub type Points = fn(seed: u64, index: u32, dimension: usize) -> f32;

/// Where the numbers of a [`Grid`] come from.
#[derive(Clone, Copy, Debug, Default)]
pub enum Sequence {
    /// Philox: cells are independent of each other, and masks too.
    #[default]
    Random,
    /// Mask `sample` is a point of a sequence that fills its cube evenly: over many
    /// masks each cell is kept as often as it should be, and so is each pair.
    /// Coordinates 0 and 1 are the shifts of rows and columns, the others the
    /// cells, row by row; there are [`MAX_DIMENSIONS`], enough for 15 cells a side.
    Even(Points),
}

/// Coordinates that are no cells.
const SHIFTS: usize = 2;

/// A RISE mask. It is a pure function of its numbers, so it needs no memory.
///
/// With s cells along each side and L pixels, the paper's geometry upsamples
/// the grid to (s + 1) * ceil(L / s) pixels with half-pixel centres and the edge
/// repeated, and cuts L pixels at a random shift below ceil(L / s).
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Key of the random numbers.
    pub seed: u64,
    /// Which mask of the sequence.
    pub sample: u32,
    /// Cells along each side, 1 to [`MAX_CELLS`].
    pub cells: u16,
    /// Probability that a cell is kept, 0..1.
    pub keep: f32,
    /// MindSpore's geometry (upsampled to L + 10, shift of 0..=10 pixels)
    /// instead of the paper's.
    pub mindspore: bool,
    /// Where its numbers come from.
    pub sequence: Sequence,
}

/// Where the pixels of one axis lie in the grid.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    /// Pixels from the upsampled grid's begin to the mask's.
    shift: usize,
    /// Cells a pixel.
    ratio: f32,
    /// Last cell.
    pub(super) last: usize,
}

impl Axis {
    /// The shift is that of coordinate `axis`, 0 for rows and 1 for columns.
    fn new(grid: &Grid, side: usize, axis: usize) -> Self {
        let (unshifted, shifts) = Self::unshifted(grid, side);
        Self {
            shift: grid.shift(axis, shifts),
            ..unshifted
        }
    }

    /// The axis at shift 0, and how many shifts there are.
    #[inline(always)]
    fn unshifted(grid: &Grid, side: usize) -> (Self, usize) {
        let cells = usize::from(grid.cells.max(1));
        let (upsampled, shifts) = if grid.mindspore {
            (side + MINDSPORE_MARGIN, MINDSPORE_MARGIN + 1)
        } else {
            let cell = side.div_ceil(cells);
            ((cells + 1) * cell, cell)
        };
        let axis = Self {
            shift: 0,
            ratio: cells as f32 / upsampled as f32,
            last: cells - 1,
        };
        (axis, shifts)
    }

    /// How much of their cells two pixels share: the product of their weights,
    /// summed over cells.
    fn shared(&self, one: usize, other: usize) -> f64 {
        let place = |at| {
            let (cell, share) = self.locate(at);
            (cell, f64::from(share))
        };
        let ((a, s), (b, t)) = (place(one), place(other));
        if a == b {
            (1.0 - s) * (1.0 - t) + s * t
        } else if a + 1 == b {
            s * (1.0 - t)
        } else if b + 1 == a {
            t * (1.0 - s)
        } else {
            0.0
        }
    }

    /// The cell at or before pixel `at`, and how far the pixel is towards the next.
    pub(super) fn locate(&self, at: usize) -> (usize, f32) {
        let place = self.place_of((at + self.shift) as f32);
        let cell = (place as usize).min(self.last);
        if cell == self.last {
            (cell, 0.0)
        } else {
            (cell, place - cell as f32)
        }
    }

    /// Cells from the grid's begin to a pixel that lies `shifted` pixels behind it.
    #[inline(always)]
    fn place_of(&self, shifted: f32) -> f32 {
        let place = (shifted + 0.5) * self.ratio - 0.5;
        if place > 0.0 { place } else { 0.0 }
    }

    /// Cells from the grid's begin to pixel `at`.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn place(&self, at: i32) -> f32 {
        self.place_of((at + self.shift as i32) as f32)
    }

    /// The first pixel behind `at`, not behind `end`, that lies behind another cell.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn end(&self, at: usize, end: usize) -> usize {
        let (cell, _) = self.locate(at);
        if cell == self.last {
            return end;
        }
        let guess = (cell as f32 + 1.5) / self.ratio - 0.5;
        let mut found = (guess as usize)
            .saturating_sub(self.shift)
            .clamp(at + 1, end);
        while found > at + 1 && self.locate(found - 1).0 != cell {
            found -= 1;
        }
        while found < end && self.locate(found).0 == cell {
            found += 1;
        }
        found
    }
}

/// A row of a mask: the weights of its cells, and where its pixels lie between them.
pub(super) struct Row {
    cells: [f32; MAX_CELLS as usize + 1],
    pub(super) axis: Axis,
}

impl Row {
    /// The weight of a cell.
    #[inline(always)]
    pub(super) fn cell(&self, i: usize) -> f32 {
        self.cells.get(i).copied().unwrap_or(0.0)
    }
}

/// The block of pixel `at` where `blocks` of them divide `side` pixels, and the
/// share of one pixel in that block.
pub(crate) fn block(at: usize, side: usize, blocks: usize) -> (usize, f32) {
    let side = side.max(1);
    let block = at * blocks / side;
    let begin = |block: usize| (block * side).div_ceil(blocks.max(1));
    let pixels = begin(block + 1) - begin(block);
    (block, 1.0 / pixels.max(1) as f32)
}

/// `a` to `b`: exact at equal ends, so that a region of kept cells is exactly 1.
fn between(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

impl Grid {
    /// Whether the numbers are in range.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for 0 or more than [`MAX_CELLS`] cells, or a
    /// probability outside 0..1.
    pub fn check(&self) -> Result<(), Error> {
        if self.cells == 0 || self.cells > MAX_CELLS {
            return Err(Error::BadParameter("cells of a RISE mask"));
        }
        let coordinates = usize::from(self.cells) * usize::from(self.cells) + SHIFTS;
        if matches!(self.sequence, Sequence::Even(_)) && coordinates > MAX_DIMENSIONS {
            return Err(Error::BadParameter("cells of a Sobol mask"));
        }
        if !(0.0..=1.0).contains(&self.keep) {
            return Err(Error::BadParameter("share of kept cells"));
        }
        Ok(())
    }

    /// Row `y`.
    #[inline(always)]
    pub(super) fn row(&self, shape: Shape, y: usize) -> Row {
        let (above, share) = Axis::new(self, shape.h, 0).locate(y);
        let upper = self.cell_row(above);
        let lower = if share > 0.0 {
            self.cell_row(above + 1)
        } else {
            upper
        };
        let mut cells = [0.0f32; MAX_CELLS as usize + 1];
        for (column, cell) in cells.iter_mut().enumerate() {
            let bit = |row: u64| (row.checked_shr(column as u32).unwrap_or(0) & 1) as f32;
            *cell = between(bit(upper), bit(lower), share);
        }
        let axis = Axis::new(self, shape.w, 1);
        Row { cells, axis }
    }

    /// Weights of the pixels of row `y`, from left to right, without end.
    pub(super) fn weights(&self, shape: Shape, y: usize) -> impl Iterator<Item = f32> + use<> {
        let row = self.row(shape, y);
        (0..).map(move |x| {
            let (cell, share) = row.axis.locate(x);
            between(row.cell(cell), row.cell(cell + 1), share)
        })
    }

    /// Covariance of the weight of each of `side` pixels along one axis with the mean
    /// weight of each of [`Grid::cells`] blocks of them, in variances of a cell, over
    /// all shifts: `out` has one row a pixel. Shifts of rows and columns are
    /// independent, so for a picture it is the product of both axes.
    pub(crate) fn covariance(&self, side: usize, out: &mut [f64]) {
        let blocks = usize::from(self.cells);
        let (unshifted, shifts) = Axis::unshifted(self, side);
        for (at, row) in out.chunks_exact_mut(blocks.max(1)).take(side).enumerate() {
            row.fill(0.0);
            for other in 0..side {
                let (block, share) = block(other, side, blocks);
                let shared = (0..shifts).map(|shift| Axis { shift, ..unshifted }.shared(at, other));
                if let Some(out) = row.get_mut(block) {
                    *out += shared.sum::<f64>() * f64::from(share) / shifts as f64;
                }
            }
        }
    }

    /// The shift along an axis, below `shifts`.
    fn shift(&self, axis: usize, shifts: usize) -> usize {
        match self.sequence {
            Sequence::Random => {
                let [rows, columns, ..] =
                    rng::words(self.seed, self.sample, 0, 0, Purpose::RiseShift);
                let word = if axis == 0 { rows } else { columns };
                rng::below(word, shifts as u32) as usize
            }
            Sequence::Even(point) => {
                let place = point(self.seed, self.sample, axis) * shifts as f32;
                (place as usize).min(shifts.saturating_sub(1))
            }
        }
    }

    /// One row of cells, one bit a cell: 1 = kept.
    fn cell_row(&self, row: usize) -> u64 {
        if let Sequence::Even(point) = self.sequence {
            let cells = usize::from(self.cells.min(MAX_CELLS));
            let first = SHIFTS + row * cells;
            let kept = |i: usize| u64::from(point(self.seed, self.sample, first + i) < self.keep);
            return (0..cells).fold(0, |bits, i| bits | kept(i) << i);
        }
        let mut bits = 0;
        for block in 0..u32::from(self.cells.min(MAX_CELLS)).div_ceil(4) {
            let words = rng::words(
                self.seed,
                self.sample,
                row as u32,
                block,
                Purpose::RiseCells,
            );
            for (i, word) in words.into_iter().enumerate() {
                let kept = u64::from(rng::unit(word) < self.keep);
                bits |= kept << (block * 4 + i as u32);
            }
        }
        bits
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn mask(grid: &Grid, shape: Shape) -> Vec<f32> {
        (0..shape.h)
            .flat_map(|y| grid.weights(shape, y).take(shape.w))
            .collect()
    }

    /// The whole upsampled grid in f64, then the cut: the definition, slowly.
    fn reference(grid: &Grid, shape: Shape) -> Vec<f64> {
        let s = i64::from(grid.cells);
        let cell = |y: i64, x: i64| {
            let (y, x) = (y.clamp(0, s - 1) as u32, x.clamp(0, s - 1) as u32);
            let words = rng::words(grid.seed, grid.sample, y, x / 4, Purpose::RiseCells);
            f64::from(u8::from(rng::unit(words[x as usize % 4]) < grid.keep))
        };
        let [dy, dx, ..] = rng::words(grid.seed, grid.sample, 0, 0, Purpose::RiseShift);
        let side = |l: usize, word: u32| {
            let l = l as i64;
            let c = (l + s - 1) / s;
            let (up, shifts) = if grid.mindspore {
                (l + 10, 11)
            } else {
                ((s + 1) * c, c)
            };
            (up, ((u64::from(word) * shifts as u64) >> 32) as i64)
        };
        let ((up_h, dy), (up_w, dx)) = (side(shape.h, dy), side(shape.w, dx));
        let mut out = vec![];
        for y in 0..shape.h as i64 {
            for x in 0..shape.w as i64 {
                let fy = ((y + dy) as f64 + 0.5) * s as f64 / up_h as f64 - 0.5;
                let fx = ((x + dx) as f64 + 0.5) * s as f64 / up_w as f64 - 0.5;
                let (y0, x0) = (fy.floor() as i64, fx.floor() as i64);
                let (ty, tx) = (fy - fy.floor(), fx - fx.floor());
                let row = |y: i64| cell(y, x0) * (1.0 - tx) + cell(y, x0 + 1) * tx;
                out.push(row(y0) * (1.0 - ty) + row(y0 + 1) * ty);
            }
        }
        out
    }

    const SIDES: [Shape; 4] = [
        Shape::new(40, 56, 3),
        Shape::new(1, 7, 1),
        Shape::new(33, 20, 1),
        Shape::new(5, 64, 1),
    ];

    #[test]
    fn rows_are_the_definition() {
        for (shape, cells) in SIDES.into_iter().zip([7, 1, 8, 64]) {
            for mindspore in [false, true] {
                for sample in 0..20 {
                    let grid = Grid {
                        seed: 0xdead_beef_0bad_cafe,
                        sample,
                        cells,
                        keep: 0.5,
                        mindspore,
                        sequence: Sequence::Random,
                    };
                    let pairs = mask(&grid, shape).into_iter().zip(reference(&grid, shape));
                    for (i, (found, expected)) in pairs.enumerate() {
                        assert!((0.0..=1.0).contains(&found));
                        let error = (f64::from(found) - expected).abs();
                        assert!(error < 2e-5, "{cells} {sample} {i}: {found} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn share_of_kept_cells_is_the_mean() {
        let shape = Shape::new(21, 28, 1);
        for keep in [0.1f32, 0.5, 0.8] {
            let mut sum = 0.0;
            for sample in 0..2000 {
                let grid = Grid {
                    seed: 1,
                    sample,
                    cells: 7,
                    keep,
                    mindspore: false,
                    sequence: Sequence::Random,
                };
                let mask = mask(&grid, shape);
                sum += f64::from(mask[10 * 28 + 9]) + f64::from(mask[0]);
            }
            // At most keep * (1 - keep) variance each: 5 sigma of 4000 draws.
            let sigma = f64::from(keep * (1.0 - keep) / 2000.0).sqrt();
            let mean = sum / 4000.0;
            assert!((mean - f64::from(keep)).abs() < 5.0 * sigma, "{mean}");
        }
    }

    /// Of 2^m even masks each cell is kept in its share to within one mask, and each
    /// pair nearly in the product; the mean of a pixel is the share.
    #[test]
    fn even_masks_are_kept_in_their_share() {
        let shape = Shape::new(21, 28, 1);
        let grid = |sample, cells| Grid {
            seed: 5,
            sample,
            cells,
            keep: 0.3,
            mindspore: false,
            sequence: Sequence::Even(crate::quasi::scrambled_sobol),
        };
        let mut cells = [0u32; 25];
        let mut pixels = vec![0.0; shape.area()];
        for sample in 0..1024 {
            let grid = grid(sample, 5);
            for row in 0..5 {
                let bits = grid.cell_row(row);
                for column in 0..5 {
                    cells[row * 5 + column] += (bits >> column & 1) as u32;
                }
            }
            for (sum, weight) in pixels.iter_mut().zip(mask(&grid, shape)) {
                *sum += f64::from(weight) / 1024.0;
            }
        }
        assert!(
            cells.iter().all(|kept| (306..=309).contains(kept)),
            "{cells:?}"
        );
        // Shifts are as even as the cells, so only their dependence is left.
        let worst = pixels.iter().map(|m| (m - 0.3).abs()).fold(0.0, f64::max);
        assert!(worst < 0.01, "{worst}");
        assert_eq!(grid(0, 15).check(), Ok(()));
        let error = Err(Error::BadParameter("cells of a Sobol mask"));
        assert_eq!(grid(0, 16).check(), error);
    }

    #[test]
    fn all_or_nothing_is_exact() {
        for (keep, value) in [(1.0, 1.0), (0.0, 0.0)] {
            let grid = Grid {
                seed: 3,
                sample: 4,
                cells: 5,
                keep,
                mindspore: false,
                sequence: Sequence::Random,
            };
            assert!(mask(&grid, SIDES[0]).iter().all(|m| *m == value));
        }
    }

    #[test]
    fn numbers_out_of_range() {
        let grid = |cells, keep| {
            Grid {
                seed: 0,
                sample: 0,
                cells,
                keep,
                mindspore: false,
                sequence: Sequence::Random,
            }
            .check()
        };
        let cells = Err(Error::BadParameter("cells of a RISE mask"));
        assert_eq!([grid(0, 0.5), grid(65, 0.5)], [cells; 2]);
        let keep = Err(Error::BadParameter("share of kept cells"));
        assert_eq!([grid(7, 1.5), grid(7, f32::NAN)], [keep; 2]);
        assert_eq!(grid(64, 1.0), Ok(()));
    }
}
