//! RISE masks: a random grid of cells, upsampled bilinearly and shifted
//! (Petsiuk et al. 2018, arXiv 1806.07421, section 3.2).

use crate::error::Error;
use crate::rng::{self, Purpose};
use crate::tensor::Shape;

/// Most cells along each side of a [`Grid`].
pub const MAX_CELLS: u16 = 64;

/// Pixels by which MindSpore's masks are larger than the picture.
const MINDSPORE_MARGIN: usize = 10;

/// A RISE mask. It is a pure function of its numbers, so it needs no memory.
///
/// With s cells along each side and L pixels, the paper's geometry upsamples
/// the grid to (s + 1) * ceil(L / s) pixels with half-pixel centres and the edge
/// repeated, and cuts L pixels at a random shift below ceil(L / s).
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

/// Where the pixels of one axis lie in the grid.
#[derive(Clone, Copy)]
struct Axis {
    /// Pixels from the upsampled grid's begin to the mask's.
    shift: usize,
    /// Cells a pixel.
    ratio: f32,
    /// Last cell.
    last: usize,
}

impl Axis {
    fn new(grid: &Grid, side: usize, word: u32) -> Self {
        let cells = usize::from(grid.cells.max(1));
        let (upsampled, shifts) = if grid.mindspore {
            (side + MINDSPORE_MARGIN, MINDSPORE_MARGIN + 1)
        } else {
            let cell = side.div_ceil(cells);
            ((cells + 1) * cell, cell)
        };
        Self {
            shift: rng::below(word, shifts as u32) as usize,
            ratio: cells as f32 / upsampled as f32,
            last: cells - 1,
        }
    }

    /// The cell at or before pixel `at`, and how far the pixel is towards the next.
    fn locate(&self, at: usize) -> (usize, f32) {
        let place = ((at + self.shift) as f32 + 0.5) * self.ratio - 0.5;
        let place = if place > 0.0 { place } else { 0.0 };
        let cell = (place as usize).min(self.last);
        if cell == self.last {
            (cell, 0.0)
        } else {
            (cell, place - cell as f32)
        }
    }
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
        if !(0.0..=1.0).contains(&self.keep) {
            return Err(Error::BadParameter("share of kept cells"));
        }
        Ok(())
    }

    /// Weights of the pixels of row `y`, from left to right, without end.
    pub(super) fn weights(&self, shape: Shape, y: usize) -> impl Iterator<Item = f32> + use<> {
        let shift = rng::words(self.seed, self.sample, 0, 0, Purpose::RiseShift);
        let [rows_word, columns_word, ..] = shift;
        let (above, share) = Axis::new(self, shape.h, rows_word).locate(y);
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
        let axis = Axis::new(self, shape.w, columns_word);
        (0..).map(move |x| {
            let (cell, share) = axis.locate(x);
            let value = |i: usize| cells.get(i).copied().unwrap_or(0.0);
            between(value(cell), value(cell + 1), share)
        })
    }

    /// One row of cells, one bit a cell: 1 = kept.
    fn cell_row(&self, row: usize) -> u64 {
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

    #[test]
    fn all_or_nothing_is_exact() {
        for (keep, value) in [(1.0, 1.0), (0.0, 0.0)] {
            let grid = Grid {
                seed: 3,
                sample: 4,
                cells: 5,
                keep,
                mindspore: false,
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
