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

/// Numbers of scratch of [`flatten_pixels`] and [`flatten_tensor`].
#[must_use]
pub const fn flatten_scratch(segments: usize, channels: usize) -> usize {
    segments * (channels + 1)
}

/// Writes a picture of u8 with each segment in its mean colour, rounded, halves
/// away from 0. `data` and `out` have `channels` elements a pixel.
///
/// # Errors
/// [`Error::BufferTooSmall`] for scratch below [`flatten_scratch`].
pub fn flatten_pixels(
    segments: &Segments<'_>,
    channels: usize,
    data: &[u8],
    scratch: &mut [f64],
    out: &mut [u8],
) -> Result<(), Error> {
    let means = means(segments, channels, data, scratch)?;
    paint_means(segments, channels, means, out, |mean| {
        libm::round(mean) as u8
    });
    Ok(())
}

/// As [`flatten_pixels`] for a tensor; its means are rounded to f32 only.
///
/// # Errors
/// As [`flatten_pixels`].
pub fn flatten_tensor(
    segments: &Segments<'_>,
    channels: usize,
    data: &[f32],
    scratch: &mut [f64],
    out: &mut [f32],
) -> Result<(), Error> {
    let means = means(segments, channels, data, scratch)?;
    paint_means(segments, channels, means, out, |mean| mean as f32);
    Ok(())
}

/// The mean of each channel of each segment, segment by segment.
fn means<'s, T: Copy + Into<f64>>(
    segments: &Segments<'_>,
    channels: usize,
    data: &[T],
    scratch: &'s mut [f64],
) -> Result<&'s [f64], Error> {
    let (count, channels) = (segments.count(), channels.max(1));
    let (sums, pixels) = fronts(scratch, count * channels, count)?;
    sums.fill(0.0);
    pixels.fill(0.0);
    for (label, pixel) in segments.labels.iter().zip(data.chunks_exact(channels)) {
        let of = sums.chunks_exact_mut(channels).nth(usize::from(*label));
        for (sum, value) in of.into_iter().flatten().zip(pixel) {
            *sum += (*value).into();
        }
        if let Some(pixels) = pixels.get_mut(usize::from(*label)) {
            *pixels += 1.0;
        }
    }
    for (sums, pixels) in sums.chunks_exact_mut(channels).zip(pixels) {
        for sum in sums {
            *sum /= *pixels;
        }
    }
    Ok(sums)
}

fn paint_means<T>(
    segments: &Segments<'_>,
    channels: usize,
    means: &[f64],
    out: &mut [T],
    round: impl Fn(f64) -> T,
) {
    let channels = channels.max(1);
    for (label, pixel) in segments.labels.iter().zip(out.chunks_exact_mut(channels)) {
        let of = means.chunks_exact(channels).nth(usize::from(*label));
        for (out, mean) in pixel.iter_mut().zip(of.unwrap_or_default()) {
            *out = round(*mean);
        }
    }
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
