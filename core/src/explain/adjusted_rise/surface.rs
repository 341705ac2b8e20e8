//! Maps from one weight a block: what masks of a grid have in common with the means
//! of their blocks.

use super::{MOST_CELLS, Rise};
use crate::error::Error;
use crate::mask::Grid;
use crate::tensor::Shape;

/// Covariances along one axis, per variance of a cell.
struct Side<'s> {
    /// One row a pixel, one element a block.
    pixels: &'s mut [f64],
    /// Mean over pixels of the product of two blocks' elements, row by row.
    squares: &'s mut [f64],
    /// Mean over pixels.
    mean: &'s mut [f64],
}

impl<'s> Side<'s> {
    const fn storage(cells: usize, side: usize) -> usize {
        cells * (side + cells + 1)
    }

    fn new(grid: &Grid, side: usize, storage: &'s mut [f64]) -> Result<Self, Error> {
        let cells = usize::from(grid.cells);
        let split =
            |from: &'s mut [f64], n: usize| from.split_at_mut_checked(n).ok_or(Error::Internal);
        let (pixels, rest) = split(storage, side * cells)?;
        let (squares, mean) = split(rest, cells * cells)?;
        grid.covariance(side, pixels);
        squares.fill(0.0);
        mean.fill(0.0);
        let share = 1.0 / side.max(1) as f64;
        for pixel in pixels.chunks_exact(cells.max(1)) {
            for (mean, a) in mean.iter_mut().zip(pixel) {
                *mean += a * share;
            }
            for (squares, a) in squares.chunks_exact_mut(cells.max(1)).zip(pixel) {
                for (square, b) in squares.iter_mut().zip(pixel) {
                    *square += a * b * share;
                }
            }
        }
        Ok(Self {
            pixels,
            squares,
            mean,
        })
    }

    fn rows(&self, cells: usize) -> impl Iterator<Item = &[f64]> {
        self.pixels.chunks_exact(cells.max(1))
    }

    fn square(&self, cells: usize, a: usize, b: usize) -> f64 {
        self.squares.get(a * cells + b).copied().unwrap_or(0.0)
    }

    fn mean(&self, a: usize) -> f64 {
        self.mean.get(a).copied().unwrap_or(0.0)
    }
}

/// Both axes of a picture.
pub(super) struct Surface<'s> {
    cells: usize,
    /// Share of cells that are not kept.
    hidden: f64,
    width: usize,
    down: Side<'s>,
    across: Side<'s>,
}

impl<'s> Surface<'s> {
    pub(super) const fn storage(cells: usize, input: Shape) -> usize {
        Side::storage(cells, input.h) + Side::storage(cells, input.w)
    }

    pub(super) fn new(
        rise: &Rise<'_>,
        input: Shape,
        storage: &'s mut [f64],
    ) -> Result<Self, Error> {
        let grid = rise.grid(0, 0);
        let cells = usize::from(grid.cells);
        let (down, across) = storage
            .split_at_mut_checked(Side::storage(cells, input.h))
            .ok_or(Error::Internal)?;
        Ok(Self {
            cells,
            hidden: 1.0 - f64::from(grid.keep),
            width: input.w.max(1),
            down: Side::new(&grid, input.h, down)?,
            across: Side::new(&grid, input.w, across)?,
        })
    }

    /// Variance over the pixels of a map whose weights have products `of(i, j)`.
    pub(super) fn variance(&self, of: &dyn Fn(usize, usize) -> f64) -> f64 {
        let (cells, mut sum) = (self.cells, 0.0);
        let place = |i: usize| (i / cells, i % cells);
        let mean = |(row, column)| self.down.mean(row) * self.across.mean(column);
        for i in 0..cells * cells {
            let (row, column) = place(i);
            for j in 0..cells * cells {
                let (row_j, column_j) = place(j);
                let square = self.down.square(cells, row, row_j)
                    * self.across.square(cells, column, column_j);
                sum += of(i, j) * (square - mean((row, column)) * mean((row_j, column_j)));
            }
        }
        sum * self.hidden * self.hidden
    }

    /// The map of one weight a block.
    pub(super) fn paint(&self, weights: &[f64], map: &mut [f32]) {
        let rows = map.chunks_exact_mut(self.width);
        for (out, down) in rows.zip(self.down.rows(self.cells)) {
            let mut line = [0.0; MOST_CELLS];
            for (weights, share) in weights.chunks_exact(self.cells.max(1)).zip(down) {
                for (sum, weight) in line.iter_mut().zip(weights) {
                    *sum += weight * share;
                }
            }
            for (out, across) in out.iter_mut().zip(self.across.rows(self.cells)) {
                let value: f64 = across.iter().zip(&line).map(|(a, b)| a * b).sum();
                *out = (self.hidden * value) as f32;
            }
        }
    }

    /// Each pixel's standard deviation where the weights' covariance is `noise`
    /// times `inverse`, row by row.
    pub(super) fn deviation(&self, inverse: &[f64], noise: f64, out: &mut [f32]) {
        let rows = out.chunks_exact_mut(self.width);
        for (out, down) in rows.zip(self.down.rows(self.cells)) {
            let mut line = [0.0; MOST_CELLS * MOST_CELLS];
            self.along(inverse, down, &mut line);
            for (out, across) in out.iter_mut().zip(self.across.rows(self.cells)) {
                let row =
                    |line: &[f64]| -> f64 { across.iter().zip(line).map(|(a, b)| a * b).sum() };
                let rows = line.chunks_exact(self.cells.max(1));
                let square: f64 = rows.zip(across).map(|(line, a)| a * row(line)).sum();
                let square = if square > 0.0 { square * noise } else { 0.0 };
                *out = (self.hidden * libm::sqrt(square)) as f32;
            }
        }
    }

    /// Covariance of the weights of columns in one row of pixels.
    fn along(&self, inverse: &[f64], down: &[f64], line: &mut [f64]) {
        let (cells, blocks) = (self.cells.max(1), (self.cells * self.cells).max(1));
        for (i, row) in inverse.chunks_exact(blocks).enumerate() {
            let Some(a) = down.get(i / cells) else {
                continue;
            };
            let Some(line) = line.get_mut(i % cells * cells..) else {
                continue;
            };
            for (row, b) in row.chunks_exact(cells).zip(down) {
                for (sum, value) in line.iter_mut().zip(row) {
                    *sum += a * b * value;
                }
            }
        }
    }
}
