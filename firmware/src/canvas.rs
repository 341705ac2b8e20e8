//! A picture in memory that embedded-graphics can draw on.

use core::convert::Infallible;

use embedded_graphics::pixelcolor::Rgb565;
use embedded_graphics::prelude::*;

/// Pixels of the caller, row by row. What is drawn outside is dropped.
#[derive(Debug)]
pub struct Canvas<'a> {
    pixels: &'a mut [Rgb565],
    width: usize,
}

impl<'a> Canvas<'a> {
    /// A canvas of `width` columns and as many whole rows as there are pixels.
    #[must_use]
    pub const fn new(pixels: &'a mut [Rgb565], width: usize) -> Self {
        Self { pixels, width }
    }

    /// The rows, from the top.
    pub fn rows(&self) -> impl Iterator<Item = &[Rgb565]> {
        self.pixels.chunks_exact(self.width.max(1))
    }
}

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        let rows = self.pixels.len().checked_div(self.width).unwrap_or(0);
        Size::new(self.width as u32, rows as u32)
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb565;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb565>>,
    {
        for Pixel(at, colour) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) else {
                continue;
            };
            if x < self.width
                && let Some(pixel) = self.pixels.get_mut(y * self.width + x)
            {
                *pixel = colour;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};

    #[test]
    fn clips_what_lies_outside() {
        let mut pixels = [Rgb565::BLACK; 7];
        let mut canvas = Canvas::new(&mut pixels, 3);
        assert_eq!(canvas.size(), Size::new(3, 2));
        let square = Rectangle::new(Point::new(-1, 1), Size::new(3, 9));
        let style = PrimitiveStyle::with_fill(Rgb565::RED);
        square
            .into_styled(style)
            .draw(&mut canvas)
            .expect("it never fails");
        let rows: Vec<_> = canvas.rows().collect();
        let (b, r) = (Rgb565::BLACK, Rgb565::RED);
        assert_eq!(rows, [[b, b, b], [r, r, b]]);
    }
}
