//! One row of a masked picture at a time.

use super::{Fill, Mask, Masked, Window};
#[cfg(target_arch = "x86_64")]
use super::{Grid, strip};
use crate::error::Error;
use crate::picture::{MAX_CHANNELS, Picture};
use crate::tensor::Shape;
use core::ops::Range;

impl Mask<'_> {
    /// Whether the mask fits a picture of this shape.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] for too few weights, [`Error::BadParameter`]
    /// for a RISE mask with numbers out of range.
    pub fn check(&self, shape: Shape) -> Result<(), Error> {
        match *self {
            Self::Keep | Self::Windows { .. } => Ok(()),
            Self::Grid(grid) => grid.check(),
            Self::Soft(weights) => enough(shape.area(), weights.len()),
            Self::SoftBytes(weights) => enough(shape.area(), weights.len()),
            Self::Ranked { ranks, .. } => enough(shape.area(), ranks.len()),
            #[cfg(foveola_inside)]
            Self::Even(weight) => even(weight).map(|_| ()),
            #[cfg(foveola_inside)]
            Self::Enlarged(channel) => channel.check(),
            #[cfg(foveola_inside)]
            Self::Segments { labels, .. } => enough(shape.area(), labels.len()),
            #[cfg(foveola_inside)]
            Self::Spot(spot) => spot.check(),
            #[cfg(not(foveola_inside))]
            Self::Even(_) | Self::Enlarged(_) | Self::Segments { .. } | Self::Spot(_) => {
                Err(LEFT_OUT)
            }
        }
    }

    /// Writes the weights of the pixels of row `y` (1 = kept) into the first
    /// `shape.w` elements of `out`. A box that takes only some channels counts
    /// for the whole pixel.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] for a short mask or `out`,
    /// [`Error::BadParameter`] for a weight outside 0..1.
    pub fn row(&self, shape: Shape, y: usize, out: &mut [f32]) -> Result<(), Error> {
        let out = front(out, shape.w)?;
        match *self {
            Self::Keep => out.fill(1.0),
            Self::Windows {
                boxes,
                extra,
                reveal,
            } => {
                out.fill(if reveal { 0.0 } else { 1.0 });
                for window in touching(boxes, extra, shape, y) {
                    for weight in out.iter_mut().skip(window.x).take(window.w) {
                        *weight = if reveal { 1.0 } else { 0.0 };
                    }
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Grid(grid) => grid.row(shape, y).put(0, out),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Grid(grid) => put(out, grid.weights(shape, y)),
            Self::Soft(weights) => put(out, soft(weights, shape, y)?.iter().copied()),
            Self::SoftBytes(weights) => put(out, soft_bytes(weights, shape, y)?),
            Self::Ranked {
                ranks,
                from,
                to,
                reveal,
            } => put(out, ranked(ranks, from..to, reveal, shape, y)?),
            #[cfg(foveola_inside)]
            Self::Even(weight) => out.fill(even(weight)?),
            #[cfg(foveola_inside)]
            Self::Enlarged(channel) => put(out, channel.weights(y)),
            #[cfg(foveola_inside)]
            Self::Segments { labels, weights } => put(out, segments(labels, weights, shape, y)?),
            #[cfg(foveola_inside)]
            Self::Spot(spot) => put(out, spot.weights(shape, y)),
            #[cfg(not(foveola_inside))]
            Self::Even(_) | Self::Enlarged(_) | Self::Segments { .. } | Self::Spot(_) => {
                return Err(LEFT_OUT);
            }
        }
        Ok(())
    }
}

impl Masked<'_> {
    /// Height, width and channels.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.picture.shape()
    }

    /// Whether picture, fill and mask fit together and the network's input.
    /// (Whether their values are finite shows when a row is written.)
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::BufferTooSmall`] for short data, or
    /// [`Error::BadParameter`] for u8 pixels with too many channels and for RISE
    /// masks with numbers out of range.
    pub fn check(&self, input: Shape) -> Result<(), Error> {
        self.picture.check(input)?;
        if let Fill::Picture(other) = self.fill {
            other.check(input)?;
        }
        self.mask.check(input)
    }

    /// Writes row `y` in model space, pixel by pixel, into the first
    /// `w * c` elements of `out`: `m * picture + (1 - m) * fill`. Where m is 1
    /// (or 0) these are exactly the picture's (the fill's) bits.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] for a short `out`, picture, fill or mask;
    /// [`Error::PictureNotFinite`] for NaN or infinity in what shows of picture
    /// or fill; [`Error::BadParameter`] for a weight outside 0..1.
    pub fn row(&self, y: usize, out: &mut [f32]) -> Result<(), Error> {
        let shape = self.shape();
        let out = front(out, shape.row())?;
        let whole = Window::whole(shape);
        let picture = Source::Picture(self.picture);
        let fill = Source::of(self.fill);
        match self.mask {
            Mask::Keep => picture.write(y, whole, shape, out),
            Mask::Windows {
                boxes,
                extra,
                reveal,
            } => {
                let (inside, outside) = if reveal {
                    (picture, fill)
                } else {
                    (fill, picture)
                };
                outside.write(y, whole, shape, out)?;
                for window in touching(boxes, extra, shape, y) {
                    inside.write(y, window, shape, out)?;
                }
                Ok(())
            }
            #[cfg(target_arch = "x86_64")]
            Mask::Grid(grid) if self.mix(y, &grid, out)? => Ok(()),
            Mask::Grid(grid) => self.blend(y, grid.weights(shape, y), out),
            Mask::Soft(weights) => self.blend(y, soft(weights, shape, y)?.iter().copied(), out),
            Mask::SoftBytes(weights) => self.blend(y, soft_bytes(weights, shape, y)?, out),
            Mask::Ranked {
                ranks,
                from,
                to,
                reveal,
            } => self.blend(y, ranked(ranks, from..to, reveal, shape, y)?, out),
            #[cfg(foveola_inside)]
            Mask::Even(weight) => self.blend(y, core::iter::repeat(even(weight)?), out),
            #[cfg(foveola_inside)]
            Mask::Enlarged(channel) => self.blend(y, channel.weights(y), out),
            #[cfg(foveola_inside)]
            Mask::Segments { labels, weights } => {
                self.blend(y, segments(labels, weights, shape, y)?, out)
            }
            #[cfg(foveola_inside)]
            Mask::Spot(spot) => self.blend(y, spot.weights(shape, y), out),
            #[cfg(not(foveola_inside))]
            Mask::Even(_) | Mask::Enlarged(_) | Mask::Segments { .. } | Mask::Spot(_) => {
                Err(LEFT_OUT)
            }
        }
    }

    /// Writes row `y` behind a RISE mask; `false` where there is no better way than
    /// pixel by pixel.
    #[cfg(target_arch = "x86_64")]
    fn mix(&self, y: usize, grid: &Grid, out: &mut [f32]) -> Result<bool, Error> {
        let Fill::Colour(colour) = self.fill else {
            return Ok(false);
        };
        let shape = self.shape();
        self.picture.write(y, Window::whole(shape), out)?;
        Ok(strip::mix(&grid.row(shape, y), &colour, shape.c, out))
    }

    /// A row with one weight a pixel.
    fn blend(
        &self,
        y: usize,
        weights: impl Iterator<Item = f32>,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let shape = self.shape();
        Source::Picture(self.picture).write(y, Window::whole(shape), shape, out)?;
        let fill = Source::of(self.fill);
        let pixels = out.chunks_exact_mut(shape.c.max(1)).zip(weights);
        for (x, (pixel, weight)) in pixels.enumerate() {
            if weight == 1.0 {
                continue;
            }
            for (c, value) in pixel.iter_mut().enumerate() {
                let hidden = fill.value(y, x, c, shape)?;
                *value = if weight == 0.0 {
                    hidden
                } else {
                    weight * *value + (1.0 - weight) * hidden
                };
            }
        }
        Ok(())
    }
}

/// What fills a part of a row.
#[derive(Clone, Copy)]
enum Source<'a> {
    Picture(Picture<'a>),
    Colour([f32; MAX_CHANNELS]),
}

impl<'a> Source<'a> {
    const fn of(fill: Fill<'a>) -> Self {
        match fill {
            Fill::Colour(colour) => Self::Colour(colour),
            Fill::Picture(picture) => Self::Picture(picture),
        }
    }

    /// Writes the columns and channels of `window` (cut to the picture) into row `y`.
    fn write(&self, y: usize, window: Window, shape: Shape, out: &mut [f32]) -> Result<(), Error> {
        match *self {
            Self::Colour(colour) => {
                for c in window.c..window.c + window.d {
                    let value = finite(channel_colour(&colour, c, shape))?;
                    let column = out.iter_mut().skip(window.x * shape.c + c);
                    for element in column.step_by(shape.c.max(1)).take(window.w) {
                        *element = value;
                    }
                }
                Ok(())
            }
            Self::Picture(picture) => picture.write(y, window, out),
        }
    }

    /// One element.
    fn value(&self, y: usize, x: usize, c: usize, shape: Shape) -> Result<f32, Error> {
        match *self {
            Self::Colour(colour) => finite(channel_colour(&colour, c, shape)),
            Self::Picture(picture) => picture.value(y, x, c),
        }
    }
}

/// A fill's value for channel `c`.
fn channel_colour(colour: &[f32; MAX_CHANNELS], c: usize, shape: Shape) -> f32 {
    let own = if shape.c > MAX_CHANNELS { 0 } else { c };
    colour.get(own).copied().unwrap_or(0.0)
}

fn finite(value: f32) -> Result<f32, Error> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Error::PictureNotFinite)
    }
}

/// The boxes that row `y` meets, cut at the border.
fn touching<'a>(
    boxes: &'a [Window],
    extra: Option<Window>,
    shape: Shape,
    y: usize,
) -> impl Iterator<Item = Window> + 'a {
    let cut = boxes.iter().copied().chain(extra);
    cut.map(move |window| window.cut(shape))
        .filter(move |window| window.touches(y))
}

/// Row `y` of a mask with one f32 weight a pixel.
fn soft(weights: &[f32], shape: Shape, y: usize) -> Result<&[f32], Error> {
    let row = mask_row(weights, shape, y)?;
    if row.iter().all(|w| (0.0..=1.0).contains(w)) {
        Ok(row)
    } else {
        Err(Error::BadParameter("weight of a mask"))
    }
}

/// These masks are for methods that no board's program has.
#[cfg(not(foveola_inside))]
const LEFT_OUT: Error = Error::BadParameter("mask");

/// The weight of all pixels.
#[cfg(foveola_inside)]
fn even(weight: f32) -> Result<f32, Error> {
    if (0.0..=1.0).contains(&weight) {
        Ok(weight)
    } else {
        Err(Error::BadParameter("weight of a mask"))
    }
}

/// Row `y` of a mask with one byte a pixel.
fn soft_bytes(
    weights: &[u8],
    shape: Shape,
    y: usize,
) -> Result<impl Iterator<Item = f32> + '_, Error> {
    let row = mask_row(weights, shape, y)?;
    Ok(row.iter().map(|byte| f32::from(*byte) / 255.0))
}

/// Row `y` of a mask of ranks: 1 where the picture shows.
fn ranked(
    ranks: &[u32],
    inside: Range<u32>,
    reveal: bool,
    shape: Shape,
    y: usize,
) -> Result<impl Iterator<Item = f32> + '_, Error> {
    let row = mask_row(ranks, shape, y)?;
    Ok(row.iter().map(move |rank| {
        if inside.contains(rank) == reveal {
            1.0
        } else {
            0.0
        }
    }))
}

/// Row `y` of a mask of segments.
#[cfg(foveola_inside)]
fn segments<'m>(
    labels: &'m [u16],
    weights: &'m [f32],
    shape: Shape,
    y: usize,
) -> Result<impl Iterator<Item = f32> + 'm, Error> {
    let row = mask_row(labels, shape, y)?;
    let weight = |label: &u16| weights.get(usize::from(*label)).copied();
    let fits = |label: &u16| weight(label).is_some_and(|w| (0.0..=1.0).contains(&w));
    if row.iter().all(fits) {
        Ok(row.iter().map(move |label| weight(label).unwrap_or(1.0)))
    } else {
        Err(Error::BadParameter("weight of a mask"))
    }
}

fn mask_row<T>(weights: &[T], shape: Shape, y: usize) -> Result<&[T], Error> {
    let begin = y * shape.w;
    weights
        .get(begin..begin + shape.w)
        .ok_or(Error::BufferTooSmall {
            need: begin + shape.w,
            have: weights.len(),
        })
}

fn put(out: &mut [f32], values: impl Iterator<Item = f32>) {
    for (element, value) in out.iter_mut().zip(values) {
        *element = value;
    }
}

const fn enough(need: usize, have: usize) -> Result<(), Error> {
    if have < need {
        Err(Error::BufferTooSmall { need, have })
    } else {
        Ok(())
    }
}

fn front(out: &mut [f32], need: usize) -> Result<&mut [f32], Error> {
    let have = out.len();
    out.get_mut(..need)
        .ok_or(Error::BufferTooSmall { need, have })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::mask::{Grid, Sequence};
    use crate::picture::Normalisation;
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(4, 6, 3);

    const NORMALISATION: Normalisation = Normalisation {
        mean: [1.5, -2.0, 127.0, f32::NAN],
        scale: [0.25, 3.0, 0.01, f32::NAN],
    };

    fn pixels(step: usize) -> Vec<u8> {
        (0..SHAPE.len()).map(|i| (i * step % 251) as u8).collect()
    }

    fn model(pixels: &[u8]) -> Vec<f32> {
        let value = |(i, p): (usize, &u8)| {
            let c = i % SHAPE.c;
            (f32::from(*p) - NORMALISATION.mean[c]) * NORMALISATION.scale[c]
        };
        pixels.iter().enumerate().map(value).collect()
    }

    fn picture(data: &[u8]) -> Picture<'_> {
        Picture::Pixels {
            shape: SHAPE,
            data,
            normalisation: &NORMALISATION,
        }
    }

    fn all(masked: &Masked<'_>) -> Result<Vec<f32>, Error> {
        masked.check(SHAPE)?;
        let mut out = vec![0.0; SHAPE.len()];
        for (y, row) in out.chunks_exact_mut(SHAPE.row()).enumerate() {
            masked.row(y, row)?;
        }
        Ok(out)
    }

    const BOXES: [Window; 3] = [
        Window {
            y: 1,
            x: 4,
            c: 1,
            h: 1,
            w: 1,
            d: 1,
        },
        Window {
            y: 3,
            x: 5,
            c: 0,
            h: 9,
            w: usize::MAX,
            d: 3,
        },
        Window {
            y: 9,
            x: 9,
            c: 9,
            h: 1,
            w: 1,
            d: 1,
        },
    ];

    const EXTRA: Window = Window {
        y: 0,
        x: 1,
        c: 1,
        h: 2,
        w: 2,
        d: 2,
    };

    /// Which elements the boxes above hold, written out by hand.
    fn in_boxes(y: usize, x: usize, c: usize) -> bool {
        (y, x, c) == (1, 4, 1) || (y, x) == (3, 5) || (y < 2 && (x == 1 || x == 2) && c > 0)
    }

    #[test]
    fn boxes_cover_and_reveal() {
        let (data, other) = (pixels(7), pixels(11));
        let (shown, hidden) = (model(&data), model(&other));
        let colour = [0.5, -1.0, 9.0, 0.0];
        for reveal in [false, true] {
            let mask = Mask::Windows {
                boxes: &BOXES,
                extra: Some(EXTRA),
                reveal,
            };
            for fill in [Fill::Picture(picture(&other)), Fill::Colour(colour)] {
                let masked = Masked {
                    picture: picture(&data),
                    fill,
                    mask,
                };
                let out = all(&masked).unwrap();
                for (i, value) in out.iter().enumerate() {
                    let (y, x, c) = (i / 18, i / 3 % 6, i % 3);
                    let fill = match fill {
                        Fill::Picture(_) => hidden[i],
                        Fill::Colour(colour) => colour[c],
                    };
                    let show = in_boxes(y, x, c) == reveal;
                    let expected = if show { shown[i] } else { fill };
                    assert_eq!(value.to_bits(), expected.to_bits(), "{y} {x} {c} {reveal}");
                }
            }
        }
    }

    #[test]
    fn whole_pictures_keep_their_bits() {
        let data = pixels(7);
        let expected = model(&data);
        assert_eq!(all(&Masked::whole(picture(&data))).unwrap(), expected);
        let values: Vec<f32> = expected.iter().map(|v| -v * 1e-40).collect();
        let tensor = Picture::Tensor {
            shape: SHAPE,
            data: &values,
        };
        let out = all(&Masked::whole(tensor)).unwrap();
        assert!(
            out.iter()
                .zip(&values)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
    }

    fn with_even(data: &[u8], other: &[u8]) -> Vec<f32> {
        let masked = Masked {
            picture: picture(data),
            fill: Fill::Picture(picture(other)),
            mask: Mask::Even(0.25),
        };
        let outside = Masked {
            mask: Mask::Even(1.25),
            ..masked
        };
        assert_eq!(
            outside.check(SHAPE),
            Err(Error::BadParameter("weight of a mask"))
        );
        all(&masked).unwrap()
    }

    #[test]
    fn weights_blend() {
        let (data, other) = (pixels(7), pixels(11));
        let (shown, hidden) = (model(&data), model(&other));
        let bytes: Vec<u8> = (0..24).map(|i| [0, 255, 51, 200][i % 4]).collect();
        let weights: Vec<f32> = bytes.iter().map(|b| f32::from(*b) / 255.0).collect();
        let even = with_even(&data, &other);
        for (i, value) in even.into_iter().enumerate() {
            let expected = 0.25 * f64::from(shown[i]) + 0.75 * f64::from(hidden[i]);
            assert!((f64::from(value) - expected).abs() < 1e-4);
        }
        for mask in [Mask::Soft(&weights), Mask::SoftBytes(&bytes)] {
            let masked = Masked {
                picture: picture(&data),
                fill: Fill::Picture(picture(&other)),
                mask,
            };
            let out = all(&masked).unwrap();
            for (i, value) in out.into_iter().enumerate() {
                let m = f64::from(bytes[i / 3]) / 255.0;
                let expected = m * f64::from(shown[i]) + (1.0 - m) * f64::from(hidden[i]);
                assert!((f64::from(value) - expected).abs() < 1e-4);
                if m == 0.0 || m == 1.0 {
                    assert_eq!(value, if m == 0.0 { hidden[i] } else { shown[i] });
                }
            }
            let mut row = [9.0; 6];
            mask.row(SHAPE, 2, &mut row).unwrap();
            assert_eq!(row, weights[12..18]);
        }
        let mut row = [9.0; 6];
        let mask = Mask::Windows {
            boxes: &BOXES,
            extra: Some(EXTRA),
            reveal: true,
        };
        mask.row(SHAPE, 1, &mut row).unwrap();
        assert_eq!(row, [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
    }

    /// Ranks as a hand would deal them out: every fifth pixel is next.
    #[test]
    fn ranks_cover_and_reveal() {
        let (data, other) = (pixels(7), pixels(11));
        let (shown, hidden) = (model(&data), model(&other));
        let ranks: Vec<u32> = (0..24).map(|i| i * 5 % 24).collect();
        for reveal in [false, true] {
            let mask = Mask::Ranked {
                ranks: &ranks,
                from: 3,
                to: 9,
                reveal,
            };
            let masked = Masked {
                picture: picture(&data),
                fill: Fill::Picture(picture(&other)),
                mask,
            };
            let inside = |i: usize| [3, 4, 5, 6, 7, 8].contains(&(i * 5 % 24));
            for (i, value) in all(&masked).unwrap().into_iter().enumerate() {
                let show = inside(i / 3) == reveal;
                assert_eq!(
                    value,
                    if show { shown[i] } else { hidden[i] },
                    "{i} {reveal}"
                );
            }
            let mut row = [9.0; 6];
            mask.row(SHAPE, 2, &mut row).unwrap();
            let expected = |x: usize| f32::from(u8::from(inside(12 + x) == reveal));
            assert_eq!(row, [0, 1, 2, 3, 4, 5].map(expected));
            assert_eq!(
                mask.check(Shape::new(5, 5, 3)),
                Err(Error::BufferTooSmall { need: 25, have: 24 })
            );
        }
    }

    /// Segments are a soft mask that repeats a weight for all of their pixels.
    #[test]
    fn segments_weigh_their_pixels() {
        let (data, other) = (pixels(7), pixels(11));
        let labels: Vec<u16> = (0..24).map(|i| [2, 0, 1][i * 7 % 3]).collect();
        let weights = [0.0, 1.0, 0.25];
        let soft: Vec<f32> = labels
            .iter()
            .map(|l| [0.0, 1.0, 0.25][usize::from(*l)])
            .collect();
        let masked = |mask| Masked {
            picture: picture(&data),
            fill: Fill::Picture(picture(&other)),
            mask,
        };
        let of = |labels, weights| masked(Mask::Segments { labels, weights });
        let found = all(&of(&labels, &weights)).unwrap();
        assert_eq!(found, all(&masked(Mask::Soft(&soft))).unwrap());
        let mut row = [9.0; 6];
        of(&labels, &weights).mask.row(SHAPE, 1, &mut row).unwrap();
        assert_eq!(row, soft[6..12]);
        let short = Err(Error::BufferTooSmall { need: 24, have: 23 });
        assert_eq!(all(&of(&labels[1..], &weights)), short);
        let bad = Err(Error::BadParameter("weight of a mask"));
        assert_eq!(all(&of(&labels, &weights[..2])), bad);
        assert_eq!(all(&of(&labels, &[0.0, 1.0, f32::NAN])), bad);
    }

    #[test]
    fn one_colour_for_many_channels() {
        let shape = Shape::new(1, 2, 6);
        let data = [1.0; 12];
        let masked = Masked {
            picture: Picture::Tensor { shape, data: &data },
            fill: Fill::Colour([3.0, 4.0, 5.0, 6.0]),
            mask: Mask::Soft(&[0.5, 0.0]),
        };
        let mut out = [0.0; 12];
        masked.row(0, &mut out).unwrap();
        assert_eq!(
            out,
            [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
        );
    }

    #[test]
    fn bad_input_is_an_error() {
        let data = [1.0, f32::NAN, 1.0, 1.0];
        let shape = Shape::new(2, 2, 1);
        let tensor = Picture::Tensor { shape, data: &data };
        let whole = Masked::whole(tensor);
        let mut out = [0.0; 2];
        assert_eq!(whole.row(0, &mut out), Err(Error::PictureNotFinite));
        assert_eq!(whole.row(1, &mut out), Ok(()));
        for value in [
            f32::INFINITY,
            f32::NEG_INFINITY,
            -f32::NAN,
            f32::MAX,
            f32::MIN,
        ] {
            let data = [0.0, value];
            let shape = Shape::new(1, 2, 1);
            let row = Masked::whole(Picture::Tensor { shape, data: &data }).row(0, &mut out);
            assert_eq!(row.is_ok(), value.is_finite(), "{value}");
        }
        let short = |need, have| Err(Error::BufferTooSmall { need, have });
        assert_eq!(whole.row(1, &mut out[1..]), short(2, 1));
        assert_eq!(whole.row(2, &mut out), short(6, 4));
        let wide = Shape::new(2, 3, 1);
        assert_eq!(
            whole.check(wide),
            Err(Error::ShapeMismatch {
                expected: wide,
                found: shape
            })
        );
        let with = |mask, fill| Masked {
            picture: tensor,
            fill,
            mask,
        };
        let black = Fill::Colour([0.0; 4]);
        assert_eq!(with(Mask::Soft(&[0.5; 3]), black).check(shape), short(4, 3));
        let weight = with(Mask::Soft(&[0.5, 1.0, 1.5, 1.0]), black);
        assert_eq!(
            weight.row(1, &mut out),
            Err(Error::BadParameter("weight of a mask"))
        );
        let infinite = with(Mask::Soft(&[0.5; 4]), Fill::Colour([f32::INFINITY; 4]));
        assert_eq!(infinite.row(1, &mut out), Err(Error::PictureNotFinite));
        let hidden = Mask::Grid(Grid {
            seed: 1,
            sample: 0,
            cells: 1,
            keep: 0.0,
            mindspore: false,
            sequence: Sequence::Random,
        });
        let infinite = with(hidden, Fill::Colour([f32::INFINITY; 4]));
        assert_eq!(infinite.row(1, &mut out), Err(Error::PictureNotFinite));
        let normalisation = Normalisation {
            scale: [f32::NAN; 4],
            ..Normalisation::IDENTITY
        };
        let pixels = Picture::Pixels {
            shape,
            data: &[1; 4],
            normalisation: &normalisation,
        };
        let whole = Masked::whole(pixels);
        assert_eq!(whole.row(0, &mut out), Err(Error::PictureNotFinite));
    }
}
