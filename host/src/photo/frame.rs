//! The resize rules of a card, on the one integer resize of `core`, and where
//! they bring a place of the file.

use foveola_core::metric::region::{Outline, rasterise};
use foveola_core::picture::resize::{
    Crop, premultiply, resize_bilinear, resize_scratch, unpremultiply,
};
use foveola_core::{Error, Shape};

use crate::card::Resize;

/// How the file's pixels lie in the network's input: the part of the file that
/// is shown, scaled to a part of the input. Rows come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    file: [usize; 2],
    input: [usize; 2],
    /// First row and column of the part that is shown.
    begin: [usize; 2],
    /// Rows and columns of it.
    part: [usize; 2],
    /// First row and column of the input that it fills.
    to: [usize; 2],
    /// Rows and columns that it fills.
    filled: [usize; 2],
}

impl Frame {
    /// Rows and columns of an upright file, brought to an input by a rule.
    pub fn new(file: [usize; 2], input: [usize; 2], rule: Resize) -> Self {
        let mut frame = Self {
            file,
            input,
            begin: [0; 2],
            part: file,
            to: [0; 2],
            filled: input,
        };
        let ([h, w], [to_h, to_w]) = (file, input.map(|side| side.max(1)));
        let wide = w * to_h > h * to_w;
        match rule {
            Resize::Squash => {}
            Resize::Crop => {
                frame.part = match wide {
                    true => [h, (h * to_w / to_h).max(1)],
                    false => [(w * to_h / to_w).max(1), w],
                };
                frame.begin = std::array::from_fn(|i| (file[i] - frame.part[i]) / 2);
            }
            Resize::Letterbox => {
                let rounded = |a: usize, b: usize, by: usize| ((2 * a * b + by) / (2 * by)).max(1);
                frame.filled = match wide {
                    true => [rounded(h, to_w, w).min(to_h), to_w],
                    false => [to_h, rounded(w, to_h, h).min(to_w)],
                };
                frame.to = std::array::from_fn(|i| (input[i] - frame.filled[i]) / 2);
            }
        }
        frame
    }

    /// What is as large as the input and lies in it as it is.
    pub fn whole(input: [usize; 2]) -> Self {
        Self::new(input, input, Resize::Squash)
    }

    /// Width and height of the file in pixels.
    pub fn file_size(&self) -> [u32; 2] {
        [self.file[1] as u32, self.file[0] as u32]
    }

    /// Where a point of the file, x and y in pixels, lies in the input, in its
    /// pixels; outside of it if the network does not see the point.
    pub fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let along = |at: f32, i: usize| {
            let step = self.filled[i] as f64 / self.part[i].max(1) as f64;
            (self.to[i] as f64 + (f64::from(at) - self.begin[i] as f64) * step) as f32
        };
        [along(x, 1), along(y, 0)]
    }

    /// The part of a box of the file that the network sees: x, y, width and
    /// height in pixels of the input; `None` if it sees nothing of it.
    pub fn area(&self, [x, y, w, h]: [f32; 4]) -> Option<[f32; 4]> {
        let (from, to) = (self.point([x, y]), self.point([x + w, y + h]));
        let seen = |at: f32, i: usize| {
            let least = self.to[i] as f32;
            at.clamp(least, least + self.filled[i] as f32)
        };
        let ([left, top], [right, bottom]) = (
            [seen(from[0], 1), seen(from[1], 0)],
            [seen(to[0], 1), seen(to[1], 0)],
        );
        (right > left && bottom > top).then_some([left, top, right - left, bottom - top])
    }

    /// The same as shares of the input's width and height.
    pub fn share(&self, area: [f32; 4]) -> Option<[f32; 4]> {
        let [h, w] = self.input.map(|side| side as f32);
        self.area(area)
            .map(|[x, y, width, height]| [x / w, y / h, width / w, height / h])
    }

    /// A mask of the input, 1 where a pixel's centre lies in one of the
    /// outlines, which are given in the file's pixels: boxes as x, y, width,
    /// height; corners as x, y. What the network does not see is cut off.
    ///
    /// # Errors
    /// An outline that is none.
    pub fn region(&self, boxes: &[[f32; 4]], polygons: &[&[[f32; 2]]]) -> Result<Vec<u8>, Error> {
        let moved: Vec<Vec<[f32; 2]>> = polygons
            .iter()
            .map(|corners| corners.iter().map(|corner| self.point(*corner)).collect())
            .collect();
        let boxes = boxes.iter().filter_map(|area| self.area(*area));
        let polygons = moved.iter().map(|corners| Outline::Polygon(corners));
        let outlines: Vec<Outline<'_>> = boxes.map(Outline::Box).chain(polygons).collect();
        let [rows, columns] = self.input;
        let mut mask = vec![0; rows * columns];
        rasterise(&outlines, self.input, &mut mask)?;
        let inside = |at: usize, i: usize| (self.to[i]..self.to[i] + self.filled[i]).contains(&at);
        for (i, pixel) in mask.iter_mut().enumerate() {
            if !(inside(i / columns, 0) && inside(i % columns, 1)) {
                *pixel = 0;
            }
        }
        Ok(mask)
    }
}

/// Brings pixels of `shape` to `target` (rows, columns) by `rule`.
pub(super) fn fit(
    mut pixels: Vec<u8>,
    shape: Shape,
    target: [usize; 2],
    rule: Resize,
) -> Result<Vec<u8>, Error> {
    let alpha = shape.c == 4;
    if alpha {
        premultiply(&mut pixels);
    }
    let frame = Frame::new([shape.h, shape.w], target, rule);
    let part = Crop {
        begin: frame.begin,
        size: frame.part,
        ..Crop::whole(&pixels, shape)
    };
    let mut out = frame.pad(scale(&part, frame.filled)?, shape.c);
    if alpha {
        unpremultiply(&mut out);
    }
    Ok(out)
}

fn scale(source: &Crop<'_>, target: [usize; 2]) -> Result<Vec<u8>, Error> {
    let channels = source.shape.c;
    let need = resize_scratch(source.size, channels, target);
    let mut bytes = vec![0; need.bytes];
    let mut weights = vec![0; need.weights];
    let mut out = vec![0; target[0] * target[1] * channels];
    resize_bilinear(source, target, &mut bytes, &mut weights, &mut out)?;
    Ok(out)
}

impl Frame {
    /// Black (opaque where there is alpha) around what is filled.
    fn pad(&self, inner: Vec<u8>, channels: usize) -> Vec<u8> {
        if self.filled == self.input {
            return inner;
        }
        let ([to_h, to_w], [top, left]) = (self.input, self.to);
        let mut black = [0; 4];
        black[3] = u8::MAX;
        let mut out: Vec<u8> = black[..channels.min(4)]
            .iter()
            .copied()
            .cycle()
            .take(to_h * to_w * channels)
            .collect();
        let length = self.filled[1] * channels;
        for (y, row) in inner.chunks_exact(length).enumerate() {
            let at = ((top + y) * to_w + left) * channels;
            out[at..at + length].copy_from_slice(row);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose left half is 10 and whose right half is 200.
    fn halves(h: usize, w: usize) -> (Vec<u8>, Shape) {
        let row = |x: usize| if x < w / 2 { 10 } else { 200 };
        let pixels = (0..h * w).map(|i| row(i % w)).collect();
        (pixels, Shape::new(h, w, 1))
    }

    #[test]
    fn crop_keeps_the_middle() {
        let (pixels, shape) = halves(4, 12);
        let out = fit(pixels, shape, [4, 4], Resize::Crop).unwrap();
        assert_eq!(out[..4], [10, 10, 200, 200]);
    }

    #[test]
    fn letterbox_keeps_everything_and_fills_with_black() {
        let (pixels, shape) = halves(2, 8);
        let out = fit(pixels, shape, [8, 8], Resize::Letterbox).unwrap();
        let rows: Vec<&[u8]> = out.chunks(8).collect();
        assert_eq!(rows[2], [0; 8]);
        assert_eq!(rows[3], [10, 10, 10, 10, 200, 200, 200, 200]);
        assert_eq!(rows[4], rows[3]);
        assert_eq!(rows[5], [0; 8]);
    }

    #[test]
    fn letterbox_of_a_long_strip_keeps_one_row() {
        let (pixels, shape) = halves(1, 64);
        let out = fit(pixels, shape, [4, 8], Resize::Letterbox).unwrap();
        assert_eq!(out.iter().filter(|&&v| v > 0).count(), 8);
    }

    fn near(found: Option<[f32; 4]>, expected: [f32; 4]) {
        let found = found.expect("seen");
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-4, "{found:?} is not {expected:?}");
        }
    }

    #[test]
    fn squash_scales_both_sides() {
        let frame = Frame::new([200, 400], [50, 40], Resize::Squash);
        near(frame.area([40.0, 20.0, 80.0, 100.0]), [4.0, 5.0, 8.0, 25.0]);
        near(frame.share([0.0, 0.0, 400.0, 200.0]), [0.0, 0.0, 1.0, 1.0]);
        near(frame.area([380.0, 0.0, 80.0, 20.0]), [38.0, 0.0, 2.0, 5.0]);
        assert_eq!(frame.area([400.0, 0.0, 80.0, 20.0]), None);
        assert_eq!(frame.file_size(), [400, 200]);
    }

    /// Of 400 columns the middle 200 are seen, from 100 on, at half the size.
    #[test]
    fn crop_cuts_boxes_at_its_edge() {
        let frame = Frame::new([200, 400], [100, 100], Resize::Crop);
        near(
            frame.area([120.0, 40.0, 60.0, 20.0]),
            [10.0, 20.0, 30.0, 10.0],
        );
        near(
            frame.area([50.0, 0.0, 100.0, 200.0]),
            [0.0, 0.0, 25.0, 100.0],
        );
        assert_eq!(frame.area([0.0, 0.0, 100.0, 200.0]), None);
    }

    /// 200 rows become 50, between 25 rows of black above and below.
    #[test]
    fn letterbox_keeps_boxes_out_of_the_black() {
        let frame = Frame::new([200, 400], [100, 100], Resize::Letterbox);
        near(
            frame.area([40.0, 20.0, 80.0, 100.0]),
            [10.0, 30.0, 20.0, 25.0],
        );
        near(
            frame.area([0.0, -50.0, 400.0, 999.0]),
            [0.0, 25.0, 100.0, 50.0],
        );
    }

    /// A frame puts a pixel where the resize itself does: a white place in
    /// black, by every rule and in awkward sizes.
    #[test]
    fn boxes_lie_where_the_resize_brings_their_pixels() {
        let file = Shape::new(90, 150, 1);
        let area = [60.0, 30.0, 30.0, 24.0];
        for rule in [Resize::Squash, Resize::Crop, Resize::Letterbox] {
            for target in [[30, 30], [31, 64], [57, 23], [200, 190]] {
                let bright = |i: usize| {
                    let (x, y) = ((i % 150) as f32, (i / 150) as f32);
                    let inside = (60.0..90.0).contains(&x) && (30.0..54.0).contains(&y);
                    if inside { 255 } else { 0 }
                };
                let pixels: Vec<u8> = (0..file.len()).map(bright).collect();
                let seen = fit(pixels, file, target, rule).unwrap();
                let frame = Frame::new([90, 150], target, rule);
                let mask = frame.region(&[area], &[]).unwrap();
                assert!(mask.contains(&1));
                for (i, (value, inside)) in seen.iter().zip(&mask).enumerate() {
                    // Half of both sides meet at a corner, which has a quarter.
                    let agree = match inside {
                        1 => *value > 50,
                        _ => *value < 140,
                    };
                    assert!(agree, "{rule:?} {target:?} pixel {i}: {value}");
                }
            }
        }
    }

    /// A triangle under its diagonal, letterboxed: columns 2 to 5 of 8.
    #[test]
    fn outlines_are_filled_and_cut() {
        let frame = Frame::new([8, 4], [8, 8], Resize::Letterbox);
        let triangle: &[[f32; 2]] = &[[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]];
        let mask = frame.region(&[], &[triangle]).unwrap();
        for (i, inside) in mask.iter().enumerate() {
            let (x, y) = (i % 8, i / 8);
            let seen = (2..6).contains(&x);
            // The diagonal itself passes through centres.
            if !seen || x - 2 + y != 7 {
                assert_eq!(*inside == 1, seen && x - 2 + y < 7, "{x} {y}");
            }
        }
    }
}
