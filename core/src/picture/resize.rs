//! The one integer resize: the bytes of Pillow's `Image.resize(size, BILINEAR)`.
//!
//! A triangle filter, as wide as the step when shrinking, along rows and then
//! along columns, each with weights of 22 fractional bits and rounded to bytes.
//! A side that keeps its length is left alone. As in Pillow 13, columns come
//! first if the height loses more than twice the pixels that the width loses;
//! older versions always begin with rows.

use crate::error::Error;
use crate::tensor::Shape;

/// Fractional bits of a weight.
const PRECISION: u32 = 32 - 8 - 2;

/// A part of a picture of u8 pixels, HWC.
#[derive(Clone, Copy, Debug)]
pub struct Crop<'a> {
    /// The whole picture's pixels.
    pub data: &'a [u8],
    /// The whole picture's shape.
    pub shape: Shape,
    /// First row and first column of the part.
    pub begin: [usize; 2],
    /// Rows and columns of the part.
    pub size: [usize; 2],
}

impl<'a> Crop<'a> {
    /// All of a picture.
    #[must_use]
    pub const fn whole(data: &'a [u8], shape: Shape) -> Self {
        Self {
            data,
            shape,
            begin: [0, 0],
            size: [shape.h, shape.w],
        }
    }

    /// Shape of the part.
    const fn part(&self) -> Shape {
        let [h, w] = self.size;
        Shape::new(h, w, self.shape.c)
    }

    fn check(&self) -> Result<(), Error> {
        let [y, x] = self.begin;
        let [h, w] = self.size;
        let inside = |begin: usize, length: usize, side: usize| {
            length > 0 && begin.checked_add(length).is_some_and(|end| end <= side)
        };
        if !(inside(y, h, self.shape.h) && inside(x, w, self.shape.w)) || self.shape.c == 0 {
            return Err(Error::BadParameter("part of a picture to resize"));
        }
        enough(self.shape.len(), self.data.len())
    }

    /// Row `y` of the part.
    fn row(&self, y: usize) -> &'a [u8] {
        let [top, left] = self.begin;
        let begin = (top + y) * self.shape.row() + left * self.shape.c;
        let end = begin + self.part().row();
        self.data.get(begin..end).unwrap_or_default()
    }
}

/// Scratch of [`resize_bilinear`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeScratch {
    /// Bytes for the picture between the two directions.
    pub bytes: usize,
    /// Weights of one output column or row.
    pub weights: usize,
}

/// Scratch for a picture of `size` (rows, columns) and `channels`, resized to `target`.
#[must_use]
pub fn resize_scratch(size: [usize; 2], channels: usize, target: [usize; 2]) -> ResizeScratch {
    let ([h, w], [to_h, to_w]) = (size, target);
    let between = match (h != to_h && w != to_w, columns_first(size, target)) {
        (false, _) => 0,
        (true, false) => h * to_w,
        (true, true) => to_h * w,
    };
    ResizeScratch {
        bytes: between * channels,
        weights: taps(h, to_h).max(taps(w, to_w)),
    }
}

/// Resizes a part of a picture to `target` (rows, columns), as if it had been cut
/// out first. Channels are independent: bring colours with alpha into
/// [`premultiply`]d form before and back after, as Pillow does for `RGBA`.
///
/// # Errors
/// [`Error::BadParameter`] for a part outside the picture or an empty target;
/// [`Error::BufferTooSmall`] for data, scratch ([`resize_scratch`]) or `out`
/// (`target` pixels).
pub fn resize_bilinear(
    source: &Crop<'_>,
    target: [usize; 2],
    bytes: &mut [u8],
    weights: &mut [i32],
    out: &mut [u8],
) -> Result<(), Error> {
    source.check()?;
    let [to_h, to_w] = target;
    if to_h == 0 || to_w == 0 {
        return Err(Error::BadParameter("size of a picture"));
    }
    let part = source.part();
    let need = resize_scratch(source.size, part.c, target);
    enough(need.bytes, bytes.len())?;
    enough(need.weights, weights.len())?;
    enough(to_h * to_w * part.c, out.len())?;
    match (part.w == to_w, part.h == to_h) {
        (true, true) => {
            let rows = out.chunks_exact_mut(part.row().max(1));
            for (y, out) in rows.take(to_h).enumerate() {
                copy(source.row(y), out);
            }
        }
        (false, true) => rows(source, to_w, weights, out),
        (true, false) => columns(source, to_h, weights, out),
        (false, false) if columns_first(source.size, target) => {
            columns(source, to_h, weights, bytes);
            let between = Crop::whole(bytes, Shape::new(to_h, part.w, part.c));
            rows(&between, to_w, weights, out);
        }
        (false, false) => {
            rows(source, to_w, weights, bytes);
            let between = Crop::whole(bytes, Shape::new(part.h, to_w, part.c));
            columns(&between, to_h, weights, out);
        }
    }
    Ok(())
}

/// Whether the height loses more than twice the pixels that the width loses.
fn columns_first([h, w]: [usize; 2], [to_h, to_w]: [usize; 2]) -> bool {
    h > to_h && (w <= to_w || (h - to_h) / 2 + (h - to_h) % 2 > w - to_w)
}

/// Multiplies the colours of RGBA (or BGRA) pixels by their alpha, rounded as
/// Pillow's conversion from `RGBA` to `RGBa`.
pub fn premultiply(data: &mut [u8]) {
    for [a, b, c, alpha] in data.as_chunks_mut::<4>().0 {
        for colour in [a, b, c] {
            let product = u32::from(*colour) * u32::from(*alpha) + 128;
            *colour = (((product >> 8) + product) >> 8) as u8;
        }
    }
}

/// Takes [`premultiply`] back, as Pillow's conversion from `RGBa` to `RGBA`.
pub fn unpremultiply(data: &mut [u8]) {
    for [a, b, c, alpha] in data.as_chunks_mut::<4>().0 {
        let alpha = u32::from(*alpha);
        for colour in [a, b, c] {
            let raised = u32::from(*colour) * 255;
            // Without alpha the colour cannot be known and stays as it is.
            *colour = raised
                .checked_div(alpha)
                .map_or(*colour, |v| v.min(255) as u8);
        }
    }
}

/// The window of one output column or row.
struct Taps {
    first: usize,
    count: usize,
}

/// Reach of the filter: one output step, at least one input pixel.
fn support(from: usize, to: usize) -> f64 {
    let step = from as f64 / to as f64;
    if step > 1.0 { step } else { 1.0 }
}

/// Most weights of a window when `from` pixels become `to`.
fn taps(from: usize, to: usize) -> usize {
    libm::ceil(support(from, to)) as usize * 2 + 1
}

/// Writes the weights of output `at` and says which input pixels they are for.
fn fill_weights(from: usize, to: usize, at: usize, weights: &mut [i32]) -> Taps {
    let support = support(from, to);
    let centre = (at as f64 + 0.5) * (from as f64 / to as f64);
    // The casts truncate and stop at 0, as the clipping of the window needs.
    let first = (centre - support + 0.5) as usize;
    let end = ((centre + support + 0.5) as usize).min(from);
    let count = end.saturating_sub(first);
    let narrowing = 1.0 / support;
    let weight = |i: usize| {
        let distance = libm::fabs(((i + first) as f64 - centre + 0.5) * narrowing);
        if distance < 1.0 { 1.0 - distance } else { 0.0 }
    };
    let mut total = 0.0;
    for i in 0..count {
        total += weight(i);
    }
    for (i, out) in weights.iter_mut().take(count).enumerate() {
        let share = if total == 0.0 { 0.0 } else { weight(i) / total };
        *out = (0.5 + share * f64::from(1 << PRECISION)) as i32;
    }
    Taps { first, count }
}

const ROUND: i32 = 1 << (PRECISION - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Along the rows: column by column, so that one window of weights is enough.
fn rows(source: &Crop<'_>, to_w: usize, weights: &mut [i32], out: &mut [u8]) {
    let part = source.part();
    let channels = part.c.max(1);
    for x in 0..to_w {
        let Taps { first, count } = fill_weights(part.w, to_w, x, weights);
        let weights = weights.get(..count).unwrap_or_default();
        let out_rows = out.chunks_exact_mut((to_w * channels).max(1));
        for (y, out) in out_rows.take(part.h).enumerate() {
            let window = source.row(y).get(first * channels..).unwrap_or_default();
            let pixel = out.iter_mut().skip(x * channels).take(channels);
            for (c, out) in pixel.enumerate() {
                let column = window.iter().skip(c).step_by(channels);
                let mut sum = ROUND;
                for (weight, value) in weights.iter().zip(column) {
                    sum = sum.wrapping_add(weight.wrapping_mul(i32::from(*value)));
                }
                *out = to_byte(sum);
            }
        }
    }
}

/// Along the columns.
fn columns(source: &Crop<'_>, to_h: usize, weights: &mut [i32], out: &mut [u8]) {
    let part = source.part();
    let out_rows = out.chunks_exact_mut(part.row().max(1));
    for (y, out) in out_rows.take(to_h).enumerate() {
        let Taps { first, count } = fill_weights(part.h, to_h, y, weights);
        let weights = weights.get(..count).unwrap_or_default();
        for (i, out) in out.iter_mut().enumerate() {
            let mut sum = ROUND;
            for (k, weight) in weights.iter().enumerate() {
                let value = source.row(first + k).get(i).copied().unwrap_or(0);
                sum = sum.wrapping_add(weight.wrapping_mul(i32::from(value)));
            }
            *out = to_byte(sum);
        }
    }
}

fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

const fn enough(need: usize, have: usize) -> Result<(), Error> {
    if have < need {
        Err(Error::BufferTooSmall { need, have })
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// The generator of `fixtures/resize.py`.
    fn picture(mut state: u32, len: usize) -> Vec<u8> {
        let mut held = 0;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if !(state >> 8).is_multiple_of(4) {
                held = (state >> 24) as u8;
            }
            held
        };
        (0..len).map(next).collect()
    }

    fn resize(source: &Crop<'_>, target: [usize; 2]) -> Vec<u8> {
        let need = resize_scratch(source.size, source.shape.c, target);
        let mut out = vec![0; target[0] * target[1] * source.shape.c];
        let (mut bytes, mut weights) = (vec![0; need.bytes], vec![0; need.weights]);
        resize_bilinear(source, target, &mut bytes, &mut weights, &mut out).unwrap();
        out
    }

    /// Every line of the fixture, whose bytes are Pillow's.
    #[test]
    fn bytes_are_pillows() {
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        let lines = include_str!("../../fixtures/resize.txt").lines();
        let mut wrong = vec![];
        for line in lines.filter(|line| !line.starts_with('#')) {
            let (mode, numbers) = line.split_once(' ').unwrap();
            let n: Vec<usize> = numbers.split(' ').map(|n| n.parse().unwrap()).collect();
            let channels = [("L", 1), ("RGB", 3), ("CMYK", 4), ("RGBA", 4)];
            let c = channels.iter().find(|(name, _)| *name == mode).unwrap().1;
            let shape = Shape::new(n[1], n[2], c);
            let mut data = picture(n[0] as u32, shape.len());
            let (size, target) = ([n[5], n[6]], [n[7], n[8]]);
            // Pillow leaves the pixels alone if nothing is resized.
            let alpha = mode == "RGBA" && size != target;
            if alpha {
                premultiply(&mut data);
            }
            let begin = [n[3], n[4]];
            let source = Crop {
                data: &data,
                shape,
                begin,
                size,
            };
            let mut out = resize(&source, target);
            if alpha {
                unpremultiply(&mut out);
            }
            if crc.checksum(&out) as usize != n[9] {
                wrong.push(line);
            }
        }
        assert!(
            wrong.is_empty(),
            "{} lines, first {}",
            wrong.len(),
            wrong[0]
        );
    }

    #[test]
    fn bad_input_is_an_error() {
        let data = [7; 12];
        let shape = Shape::new(2, 2, 3);
        let run = |size, target, bytes: usize, weights: usize, out: usize| {
            let source = Crop {
                data: &data,
                shape,
                begin: [0, 1],
                size,
            };
            let (mut bytes, mut weights) = (vec![0; bytes], vec![0; weights]);
            resize_bilinear(&source, target, &mut bytes, &mut weights, &mut vec![0; out])
        };
        let part = Err(Error::BadParameter("part of a picture to resize"));
        assert_eq!(run([2, 2], [4, 4], 99, 99, 99), part);
        assert_eq!(run([3, 1], [4, 4], 99, 99, 99), part);
        assert_eq!(run([0, 1], [4, 4], 99, 99, 99), part);
        assert_eq!(run([usize::MAX, 1], [4, 4], 99, 99, 99), part);
        let size = Err(Error::BadParameter("size of a picture"));
        assert_eq!(run([2, 1], [0, 4], 99, 99, 99), size);
        let short = |need, have| Err(Error::BufferTooSmall { need, have });
        assert_eq!(run([2, 1], [4, 4], 23, 3, 48), short(24, 23));
        assert_eq!(run([2, 1], [4, 4], 24, 2, 48), short(3, 2));
        assert_eq!(run([2, 1], [4, 4], 24, 3, 47), short(48, 47));
        assert_eq!(run([2, 1], [4, 4], 24, 3, 48), Ok(()));
    }
}
