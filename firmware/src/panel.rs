//! What a small display shows: the map over the picture on the left, a few
//! short lines on the right, or below where the display is narrow.

use core::convert::Infallible;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_6X10;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::{Baseline, Text};

use crate::heat_map::{Heat, HeatMap};

/// Height of a line of text.
const LINE: i32 = 11;

/// A map and what is said about it.
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a, C> {
    /// The map over its picture, drawn where it says.
    pub heat_map: HeatMap<'a, C>,
    /// Lines, the first one on top: class, method, verdict.
    pub lines: &'a [&'a str],
    /// Where the first line begins.
    pub text: Point,
    /// Colour of the text.
    pub ink: C,
}

impl<C: Heat> Drawable for Panel<'_, C> {
    type Color = C;
    type Output = ();

    fn draw<D: DrawTarget<Color = C>>(&self, target: &mut D) -> Result<(), D::Error> {
        self.heat_map.draw(target)?;
        lines(target, self.lines, self.text, self.ink)
    }
}

/// Draws lines of text from `corner` downwards.
///
/// # Errors
/// The display's own.
pub fn lines<D: DrawTarget>(
    target: &mut D,
    lines: &[&str],
    corner: Point,
    ink: D::Color,
) -> Result<(), D::Error> {
    let area = target.bounding_box();
    let mut drawn = Ok(());
    let mut dot = |point| {
        if drawn.is_ok() {
            drawn = target.draw_iter([Pixel(point, ink)]);
        }
    };
    write(
        Page {
            dot: &mut dot,
            area,
        },
        lines,
        corner,
    );
    drawn
}

/// Tells where letters have ink. One program writes them for displays of every kind
/// and colour: letters are the largest part of a panel's code.
struct Page<'d> {
    dot: &'d mut dyn FnMut(Point),
    area: Rectangle,
}

impl Dimensions for Page<'_> {
    fn bounding_box(&self) -> Rectangle {
        self.area
    }
}

impl DrawTarget for Page<'_> {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        let inked = pixels.into_iter().filter(|pixel| pixel.1.is_on());
        inked.for_each(|pixel| (self.dot)(pixel.0));
        Ok(())
    }
}

fn write(mut page: Page<'_>, lines: &[&str], mut corner: Point) {
    let style = MonoTextStyle::new(&FONT_6X10, BinaryColor::On);
    for line in lines {
        let text = Text::with_baseline(line, corner, style, Baseline::Top);
        let Ok(_) = text.draw(&mut page);
        corner.y += LINE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat_map::Pixels;
    use embedded_graphics::mock_display::MockDisplay;
    use embedded_graphics::pixelcolor::Gray4;
    use foveola_core::Shape;

    #[test]
    fn map_and_lines() {
        let picture = Pixels {
            shape: Shape::new(2, 2, 1),
            data: &[0; 4],
        };
        let panel = Panel {
            heat_map: HeatMap::new(picture, &[0.0, 1.0, 2.0, 3.0], [2, 2], Point::zero()),
            lines: &["I"],
            text: Point::new(3, 0),
            ink: Gray4::WHITE,
        };
        let mut display = MockDisplay::new();
        panel.draw(&mut display).expect("it never fails");
        display.assert_pattern(&[
            "03      ", "7A  FFF ", "     F  ", "     F  ", "     F  ", "     F  ", "     F  ",
            "    FFF ",
        ]);
    }
}
