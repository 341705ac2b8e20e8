//! ROAD's fill: every removed pixel becomes the weighted mean of its eight
//! neighbours, removed ones included (Rong et al. 2022, arXiv 2202.00449).
//!
//! Neighbours at a side weigh 1/6, at a corner 1/12; at the picture's edge the
//! weights are divided by their sum. With D the sum of a pixel's weights and W
//! the weights, that is the linear system `(D - W) u = W known`: symmetric and
//! positive definite wherever a known pixel is in sight, so the conjugate
//! gradient method solves it (Hestenes and Stiefel 1952), in a few vectors.

use super::pass::cut;
use crate::error::Error;
use crate::tensor::Shape;
use core::ops::Range;

const SIDE: f32 = 1.0 / 6.0;
const CORNER: f32 = 1.0 / 12.0;

/// What is left of the equations in the mean, as a share of the picture's range.
const TOLERANCE: f64 = 1e-6;

/// A picture with a frame of zeros, one pixel wide.
#[derive(Clone, Copy)]
struct Frame {
    h: usize,
    w: usize,
}

impl Frame {
    const fn stride(self) -> usize {
        self.w + 2
    }

    const fn len(self) -> usize {
        (self.h + 2) * (self.w + 2)
    }
}

/// Scratch of [`Fill::new`], in elements.
pub(super) const fn room(input: Shape) -> usize {
    let frame = Frame {
        h: input.h,
        w: input.w,
    };
    5 * frame.len()
}

/// Vectors of the solver, all framed.
pub(super) struct Fill<'s> {
    frame: Frame,
    channels: usize,
    /// 1 where a pixel is removed.
    removed: &'s mut [f32],
    /// The channel at work.
    values: &'s mut [f32],
    residual: &'s mut [f32],
    direction: &'s mut [f32],
    /// The system's matrix times the direction.
    image: &'s mut [f32],
}

impl<'s> Fill<'s> {
    pub(super) fn new(input: Shape, scratch: &'s mut [f32]) -> Result<Self, Error> {
        let frame = Frame {
            h: input.h,
            w: input.w,
        };
        let (all, _) = cut(scratch, room(input))?;
        all.fill(0.0);
        let (removed, rest) = cut(all, frame.len())?;
        let (values, rest) = cut(rest, frame.len())?;
        let (residual, rest) = cut(rest, frame.len())?;
        let (direction, image) = cut(rest, frame.len())?;
        Ok(Self {
            frame,
            channels: input.c,
            removed,
            values,
            residual,
            direction,
            image,
        })
    }

    /// Fills the pixels of these ranks in `picture` (HWC), which may hold
    /// anything there: the nearer to the solution, the sooner it is found.
    /// `range` is the difference of the greatest and the least value. `false`
    /// if no solution was found.
    pub(super) fn solve(
        &mut self,
        picture: &mut [f32],
        ranks: &[u32],
        gone: &Range<u32>,
        range: f64,
    ) -> bool {
        let marks = framed(self.removed, self.frame);
        for (mark, rank) in marks.zip(ranks) {
            *mark = if gone.contains(rank) { 1.0 } else { 0.0 };
        }
        let mut solved = true;
        for channel in 0..self.channels {
            let elements = picture.iter().skip(channel).step_by(self.channels.max(1));
            for (place, element) in framed(self.values, self.frame).zip(elements) {
                *place = *element;
            }
            solved &= self.channel(range);
            let elements = picture.iter_mut().skip(channel);
            let solution = framed(self.values, self.frame);
            for (element, value) in elements.step_by(self.channels.max(1)).zip(solution) {
                *element = *value;
            }
        }
        solved
    }

    /// Solves one channel.
    fn channel(&mut self, range: f64) -> bool {
        multiply(self.frame, self.values, self.removed, self.residual);
        let mut square = 0.0;
        for (residual, direction) in self.residual.iter_mut().zip(self.direction.iter_mut()) {
            *residual = -*residual;
            *direction = *residual;
            square += f64::from(*residual) * f64::from(*residual);
        }
        let limit = TOLERANCE * range;
        let enough = limit * limit * (self.frame.h * self.frame.w) as f64;
        // The method's iterations grow with the diameter of what is removed.
        for _ in 0..100 + 20 * (self.frame.h + self.frame.w) {
            if square <= enough {
                return true;
            }
            multiply(self.frame, self.direction, self.removed, self.image);
            square = self.advance(square);
        }
        square <= enough
    }

    /// One step along the direction; the new square of the residual.
    fn advance(&mut self, square: f64) -> f64 {
        let pairs = self.direction.iter().zip(self.image.iter());
        let curvature: f64 = pairs.map(|(d, i)| f64::from(*d) * f64::from(*i)).sum();
        let step = (square / curvature) as f32;
        let mut left = 0.0;
        let ends = self.values.iter_mut().zip(self.residual.iter_mut());
        let ways = self.direction.iter().zip(self.image.iter());
        for ((value, residual), (direction, image)) in ends.zip(ways) {
            *value += step * direction;
            *residual -= step * image;
            left += f64::from(*residual) * f64::from(*residual);
        }
        let turn = (left / square) as f32;
        for (direction, residual) in self.direction.iter_mut().zip(self.residual.iter()) {
            *direction = residual + turn * *direction;
        }
        left
    }
}

/// The pixels inside the frame, row by row.
fn framed(values: &mut [f32], frame: Frame) -> impl Iterator<Item = &mut f32> {
    let rows = values.chunks_exact_mut(frame.stride().max(1)).skip(1);
    rows.take(frame.h)
        .flat_map(move |row| row.iter_mut().skip(1).take(frame.w))
}

/// `out = (D - W) v` where a pixel is removed, 0 elsewhere.
fn multiply(frame: Frame, v: &[f32], removed: &[f32], out: &mut [f32]) {
    let stride = frame.stride().max(1);
    let three = v.windows((3 * stride).max(1)).step_by(stride);
    let marks = removed.chunks_exact(stride).skip(1);
    let rows = out.chunks_exact_mut(stride).skip(1).take(frame.h);
    for (y, ((row, marks), three)) in rows.zip(marks).zip(three).enumerate() {
        let Some((above, rest)) = three.split_at_checked(stride) else {
            continue;
        };
        let Some((here, below)) = rest.split_at_checked(stride) else {
            continue;
        };
        let beside = usize::from(y > 0) + usize::from(y + 1 < frame.h);
        let pixels = row.iter_mut().zip(marks).skip(1).take(frame.w);
        let near = threes(above).zip(threes(here)).zip(threes(below));
        for (x, ((out, mark), ((a, h), b))) in pixels.zip(near).enumerate() {
            let along = usize::from(x > 0) + usize::from(x + 1 < frame.w);
            let sum = (beside + along) as f32 * SIDE + (beside * along) as f32 * CORNER;
            let sides = a[1] + h[0] + h[2] + b[1];
            let corners = a[0] + a[2] + b[0] + b[2];
            *out = mark * (sum * h[1] - SIDE * sides - CORNER * corners);
        }
    }
}

/// Every value with its left and right neighbour.
fn threes(row: &[f32]) -> impl Iterator<Item = [f32; 3]> {
    let neighbours = row.iter().zip(row.iter().skip(1)).zip(row.iter().skip(2));
    neighbours.map(|((left, here), right)| [*left, *here, *right])
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
pub(super) mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// The same system, dense, by elimination in f64.
    pub(in super::super) fn exact(
        h: usize,
        w: usize,
        picture: &[f32],
        removed: &[bool],
    ) -> Vec<f64> {
        let n = h * w;
        let mut rows = vec![vec![0.0; n + 1]; n];
        for i in 0..n {
            if !removed[i] {
                (rows[i][i], rows[i][n]) = (1.0, f64::from(picture[i]));
                continue;
            }
            for j in 0..n {
                let (dy, dx) = ((i / w).abs_diff(j / w), (i % w).abs_diff(j % w));
                let weight = match (dy, dx) {
                    (0, 1) | (1, 0) => 1.0 / 6.0,
                    (1, 1) => 1.0 / 12.0,
                    _ => continue,
                };
                rows[i][j] = -weight;
                rows[i][i] += weight;
            }
        }
        for k in 0..n {
            let pivot = rows[k].clone();
            for (i, row) in rows.iter_mut().enumerate() {
                let factor = row[k] / pivot[k];
                if i != k && factor != 0.0 {
                    row.iter_mut()
                        .zip(&pivot)
                        .for_each(|(a, b)| *a -= factor * b);
                }
            }
        }
        (0..n).map(|k| rows[k][n] / rows[k][k]).collect()
    }

    fn solve(shape: Shape, picture: &mut [f32], ranks: &[u32], gone: Range<u32>, range: f64) {
        let mut scratch = vec![f32::NAN; room(shape)];
        let mut fill = Fill::new(shape, &mut scratch).unwrap();
        assert!(fill.solve(picture, ranks, &gone, range));
    }

    /// `spec/vectors`.
    #[test]
    fn one_missing_pixel() {
        let mut picture = [1.0, 2.0, 3.0, 4.0, 99.0, 6.0, 7.0, 8.0, 9.0];
        let ranks = [1, 2, 3, 4, 0, 5, 6, 7, 8];
        solve(Shape::new(3, 3, 1), &mut picture, &ranks, 0..1, 8.0);
        assert!((picture[4] - 5.0).abs() < 1e-5, "{picture:?}");
    }

    #[test]
    fn it_solves_the_system() {
        for (h, w) in [(7, 9), (1, 12), (12, 1), (2, 2), (5, 6)] {
            let n = h * w;
            let ranks: Vec<u32> = (0..n).map(|i| (i * 5 % n) as u32).collect();
            let one: Vec<f32> = (0..n).map(|i| (i as f32 * 1.3).sin()).collect();
            for gone in [0..1, 0..n as u32 / 2, 1..n as u32, 0..n as u32 - 1] {
                let removed: Vec<bool> = ranks.iter().map(|r| gone.contains(r)).collect();
                let both = |k: usize, v: f32| if k == 0 { v } else { 3.0 - 2.0 * v };
                let mut picture: Vec<f32> = (0..2 * n).map(|i| both(i % 2, one[i / 2])).collect();
                let before = picture.clone();
                solve(Shape::new(h, w, 2), &mut picture, &ranks, gone, 4.0);
                let expected = exact(h, w, &one, &removed);
                for (i, value) in picture.iter().enumerate() {
                    let expected = both(i % 2, expected[i / 2] as f32);
                    assert!(
                        (value - expected).abs() < 2e-4,
                        "{h}x{w} {i}: {value} {expected}"
                    );
                    assert!(removed[i / 2] || *value == before[i]);
                }
            }
        }
    }
}
