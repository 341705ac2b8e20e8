//! Segments: pictures cut into pieces that are kept or hidden as a whole.
//!
//! A piece is a label a pixel, row by row. [`grid`] cuts into rectangles,
//! [`slic`](slic()) and [`quickshift`](quickshift()) along colours; any other labels will do as well.
//! Everything is deterministic and works in memory of the caller.

mod colour;
mod quickshift;
mod slic;

use crate::error::Error;
use crate::picture::MAX_CHANNELS;
use crate::tensor::Shape;

pub use quickshift::{Quickshift, quickshift};
pub use slic::{Slic, slic};

/// Most segments of a picture: labels are u16.
pub const MAX_SEGMENTS: usize = 1 << 16;

/// Which segment each pixel belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments<'a> {
    labels: &'a [u16],
    count: usize,
}

impl<'a> Segments<'a> {
    /// Labels row by row, one a pixel; there are as many segments as the
    /// largest label plus 1 (one that no pixel belongs to changes nothing).
    #[must_use]
    pub fn new(labels: &'a [u16]) -> Self {
        let count = labels.iter().max().map_or(0, |last| usize::from(*last) + 1);
        Self { labels, count }
    }

    /// One label a pixel.
    #[must_use]
    pub const fn labels(&self) -> &'a [u16] {
        self.labels
    }

    /// Number of segments.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Whether there is exactly one label a pixel of a picture.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub const fn check(&self, shape: Shape) -> Result<(), Error> {
        if self.labels.len() == shape.area() && self.count > 0 {
            Ok(())
        } else {
            Err(Error::BadParameter("size of the segments"))
        }
    }

    /// Writes the value of each pixel's segment.
    pub(crate) fn paint(&self, values: impl Fn(usize) -> f32, map: &mut [f32]) {
        for (out, label) in map.iter_mut().zip(self.labels) {
            *out = values(usize::from(*label));
        }
    }
}

/// Colours for people: one byte a channel, pixel by pixel, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Colours<'a> {
    /// Rows, columns, 1 channel (grey) or 3 (sRGB).
    pub shape: Shape,
    /// `shape.len()` bytes.
    pub data: &'a [u8],
}

impl Colours<'_> {
    const fn check(&self) -> Result<(), Error> {
        let Shape { h, w, c } = self.shape;
        if h == 0 || w == 0 || (c != 1 && c != 3) || c > MAX_CHANNELS {
            return Err(Error::BadParameter("shape of the picture to cut"));
        }
        if self.data.len() < self.shape.len() {
            return Err(Error::BufferTooSmall {
                need: self.shape.len(),
                have: self.data.len(),
            });
        }
        Ok(())
    }
}

/// Memory of a cut.
#[derive(Debug)]
pub struct Workspace<'s> {
    /// As many as [`Slic::numbers`] or [`Quickshift::numbers`] say.
    pub numbers: &'s mut [f32],
    /// Two a pixel.
    pub places: &'s mut [u32],
}

/// Cuts a picture of `shape` into `rows` x `columns` rectangles, numbered row by
/// row. Row y belongs to rectangle `y * rows / h`, so sizes differ by 1 at most.
///
/// # Errors
/// [`Error::BadParameter`] for more rectangles than pixels along a side, none,
/// or more than [`MAX_SEGMENTS`]; [`Error::BufferTooSmall`].
pub fn grid(shape: Shape, [rows, columns]: [usize; 2], labels: &mut [u16]) -> Result<usize, Error> {
    let fits = |n: usize, side: usize| n > 0 && n <= side;
    if !fits(rows, shape.h) || !fits(columns, shape.w) || rows * columns > MAX_SEGMENTS {
        return Err(Error::BadParameter("number of segments"));
    }
    let labels = front(labels, shape.area())?;
    for (y, row) in labels.chunks_exact_mut(shape.w.max(1)).enumerate() {
        let above = y * rows / shape.h.max(1) * columns;
        for (x, label) in row.iter_mut().enumerate() {
            *label = (above + x * columns / shape.w.max(1)) as u16;
        }
    }
    Ok(rows * columns)
}

/// Rows and columns of a [`grid`] of about `count` rectangles that are nearly square.
#[must_use]
pub fn grid_of(shape: Shape, count: usize) -> [usize; 2] {
    let side = |n: f64, most: usize| (libm::round(n) as usize).clamp(1, most.max(1));
    let aspect = shape.h as f64 / shape.w.max(1) as f64;
    let rows = side(libm::sqrt(count as f64 * aspect), shape.h);
    [rows, side(count as f64 / rows as f64, shape.w)]
}

fn front<T>(buffer: &mut [T], need: usize) -> Result<&mut [T], Error> {
    let have = buffer.len();
    buffer
        .get_mut(..need)
        .ok_or(Error::BufferTooSmall { need, have })
}

/// The first `a` elements of a buffer and the `b` after them.
fn fronts<T>(buffer: &mut [T], a: usize, b: usize) -> Result<(&mut [T], &mut [T]), Error> {
    front(buffer, a + b)?
        .split_at_mut_checked(a)
        .ok_or(Error::Internal)
}

#[cfg(test)]
mod tests;
