//! A heat map over a picture, for any display that embedded-graphics knows.
//!
//! The colours are viridis: bright where the map is high. Where the map has
//! its lowest value, the picture shows as it is, in grey; the higher, the more
//! of the colour. A map without differences shows the grey picture alone, so
//! that nothing looks like evidence where there is none.

use core::marker::PhantomData;

use embedded_graphics::pixelcolor::{Gray4, Gray8, Rgb565, raw::RawU16};
use embedded_graphics::prelude::*;
use foveola_core::Shape;
use micromath::F32Ext;

/// Viridis, from dark to bright, as RGB565.
static VIRIDIS: [u16; 256] = include!(concat!(env!("OUT_DIR"), "/viridis.rs"));

/// Most that a colour covers of the picture, of 256.
const OPACITY: u32 = 192;

/// A colour of a display, made from a grey picture and a heat.
pub trait Heat: PixelColor {
    /// The colour of a pixel: `grey` is the picture's, `heat` 0 (none) to 255.
    fn heat(grey: u8, heat: u8) -> Self;
}

impl Heat for Rgb565 {
    fn heat(grey: u8, heat: u8) -> Self {
        let tint = VIRIDIS.get(usize::from(heat)).copied().unwrap_or(0);
        let tint = Self::from(RawU16::new(tint));
        let share = u32::from(heat) * OPACITY / 255;
        let mix = |grey: u8, tint: u8| {
            ((u32::from(grey) * (256 - share) + u32::from(tint) * share) >> 8) as u8
        };
        let (r, g, b) = (grey >> 3, grey >> 2, grey >> 3);
        Self::new(mix(r, tint.r()), mix(g, tint.g()), mix(b, tint.b()))
    }
}

impl Heat for Gray8 {
    /// The picture at a third of its light, the heat above it.
    fn heat(grey: u8, heat: u8) -> Self {
        Self::new(((u16::from(grey) + 2 * u16::from(heat)) / 3) as u8)
    }
}

impl Heat for Gray4 {
    fn heat(grey: u8, heat: u8) -> Self {
        Self::new(Gray8::heat(grey, heat).luma() >> 4)
    }
}

/// Pixels of a picture, HWC, u8.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// Rows, columns, channels.
    pub shape: Shape,
    /// `shape.len()` bytes; what is missing is black.
    pub data: &'a [u8],
}

impl Pixels<'_> {
    /// Mean of a pixel's first three channels.
    fn grey(&self, y: usize, x: usize) -> u8 {
        let begin = (y * self.shape.w + x) * self.shape.c;
        let colours = self.shape.c.clamp(1, 3);
        let pixel = self.data.get(begin..begin + colours).unwrap_or(&[0]);
        let sum: u32 = pixel.iter().map(|v| u32::from(*v)).sum();
        (sum / colours as u32) as u8
    }
}

/// A map of one channel at its own resolution, stretched over a picture.
#[derive(Clone, Copy, Debug)]
pub struct HeatMap<'a, C> {
    picture: Pixels<'a>,
    map: &'a [f32],
    size: [usize; 2],
    range: Option<(f32, f32)>,
    corner: Point,
    colour: PhantomData<C>,
}

impl<'a, C: Heat> HeatMap<'a, C> {
    /// A `map` of `size` rows and columns over a picture, its upper left pixel at `corner`.
    #[must_use]
    pub fn new(picture: Pixels<'a>, map: &'a [f32], size: [usize; 2], corner: Point) -> Self {
        let values = || map.iter().copied().filter(|v| v.is_finite());
        let low = values().fold(f32::INFINITY, |a, b| if b < a { b } else { a });
        let high = values().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        let complete = size[0] > 0 && size[1] > 0 && map.len() >= size[0] * size[1];
        Self {
            picture,
            map,
            size,
            range: (complete && low < high).then_some((low, high)),
            corner,
            colour: PhantomData,
        }
    }

    fn value(&self, y: usize, x: usize) -> f32 {
        self.map.get(y * self.size[1] + x).copied().unwrap_or(0.0)
    }

    /// Heat at a pixel of the picture, bilinear with half-pixel centres.
    fn heat(&self, y: usize, x: usize) -> u8 {
        let Some((low, high)) = self.range else {
            return 0;
        };
        let [h, w] = self.size;
        let (above, below, down) = place(y, h, self.picture.shape.h);
        let (left, right, along) = place(x, w, self.picture.shape.w);
        let between = |a: f32, b: f32, share: f32| a + (b - a) * share;
        let upper = between(self.value(above, left), self.value(above, right), along);
        let lower = between(self.value(below, left), self.value(below, right), along);
        let value = between(upper, lower, down);
        F32Ext::round((value - low) / (high - low) * 255.0).clamp(0.0, 255.0) as u8
    }
}

/// Where output `at` of `to` lies between two of `from` inputs.
fn place(at: usize, from: usize, to: usize) -> (usize, usize, f32) {
    let place = ((at as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
    let first = F32Ext::floor(place) as usize;
    (first, (first + 1).min(from - 1), place - first as f32)
}

impl<C> Dimensions for HeatMap<'_, C> {
    fn bounding_box(&self) -> embedded_graphics::primitives::Rectangle {
        let Shape { h, w, .. } = self.picture.shape;
        let size = Size::new(w as u32, h as u32);
        embedded_graphics::primitives::Rectangle::new(self.corner, size)
    }
}

impl<C: Heat> Drawable for HeatMap<'_, C> {
    type Color = C;
    type Output = ();

    fn draw<D: DrawTarget<Color = C>>(&self, target: &mut D) -> Result<(), D::Error> {
        let Shape { h, w, .. } = self.picture.shape;
        let places = (0..h).flat_map(|y| (0..w).map(move |x| (y, x)));
        let colours = places.map(|(y, x)| C::heat(self.picture.grey(y, x), self.heat(y, x)));
        target.fill_contiguous(&self.bounding_box(), colours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_graphics::mock_display::MockDisplay;

    /// Black and white pixels in the same places as the map's values.
    const CHESS: [u8; 8] = [0, 255, 0, 255, 255, 0, 255, 0];

    fn chess() -> Pixels<'static> {
        Pixels {
            shape: Shape::new(2, 4, 1),
            data: &CHESS,
        }
    }

    fn drawn<C: Heat>(map: &[f32], size: [usize; 2], corner: Point) -> MockDisplay<C> {
        let mut display = MockDisplay::new();
        let heat_map = HeatMap::<C>::new(chess(), map, size, corner);
        heat_map.draw(&mut display).expect("it never fails");
        display
    }

    /// A ramp over black and white: (grey + 2 heat) / 3, 4 bits of it.
    #[test]
    fn grey_in_patterns() {
        let ramp = [-1.0, 0.0, 1.0, 2.0, -1.0, 0.0, 1.0, 2.0];
        let display = drawn::<Gray4>(&ramp, [2, 4], Point::new(1, 1));
        display.assert_pattern(&["     ", " 087F", " 53CA"]);
    }

    #[test]
    fn flat_and_broken_maps_show_the_picture() {
        for map in [&[3.0; 8][..], &[f32::NAN; 8], &[1.0, 2.0]] {
            let display = drawn::<Gray8>(map, [2, 4], Point::zero());
            for (i, grey) in CHESS.into_iter().enumerate() {
                let at = Point::new((i % 4) as i32, (i / 4) as i32);
                assert_eq!(display.get_pixel(at), Some(Gray8::new(grey / 3)));
            }
        }
    }

    /// A coarse map is stretched as `core` does it.
    #[test]
    fn stretched_like_core() {
        let map = [0.0, 1.0];
        let mut wanted = [0.0; 8];
        foveola_core::explain::upsample_bilinear(&map, [1, 2], [2, 4], &mut wanted)
            .expect("it fits");
        let heat_map = HeatMap::<Gray8>::new(chess(), &map, [1, 2], Point::zero());
        for (i, wanted) in wanted.into_iter().enumerate() {
            let found = f32::from(heat_map.heat(i / 4, i % 4)) / 255.0;
            assert!((found - wanted).abs() < 0.003, "{i}: {found} {wanted}");
        }
    }

    /// The ends of viridis: (68, 1, 84) and (253, 231, 37).
    #[test]
    fn colours() {
        assert_eq!(VIRIDIS[0], (68 >> 3) << 11 | 84 >> 3);
        assert_eq!(VIRIDIS[255], (253 >> 3) << 11 | (231 >> 2) << 5 | 37 >> 3);
        assert_eq!(Rgb565::heat(255, 0), Rgb565::WHITE);
        // Three quarters of the brightest colour over black.
        assert_eq!(Rgb565::heat(0, 255), Rgb565::new(23, 42, 3));
    }
}
