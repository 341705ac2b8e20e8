//! A picture that text and boxes are drawn on.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_9X18_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Dimensions, DrawTarget, Drawable, Point, Primitive, Size};
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use image::{Rgb, RgbImage};

/// Paper.
pub const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
/// Text.
pub const INK: Rgb<u8> = Rgb([24, 24, 27]);
/// Text of less weight.
pub const FAINT_INK: Rgb<u8> = Rgb([96, 96, 104]);

/// A text size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Headings, 9x18 bold.
    Heading,
    /// Everything else, 7x13.
    Body,
}

impl Type {
    const fn font(self) -> &'static MonoFont<'static> {
        match self {
            Self::Heading => &FONT_9X18_BOLD,
            Self::Body => &FONT_7X13,
        }
    }

    /// Width of one character in pixels.
    pub const fn advance(self) -> u32 {
        let font = self.font();
        font.character_size.width + font.character_spacing
    }

    /// Height of one line in pixels, with a little air.
    pub const fn line(self) -> u32 {
        self.font().character_size.height + 3
    }

    /// Characters that fit a width.
    pub const fn fits(self, width: u32) -> usize {
        (width / self.advance()) as usize
    }
}

/// An RGB picture as a drawing surface.
pub struct Canvas {
    image: RgbImage,
}

impl Canvas {
    /// An empty sheet of paper.
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            image: RgbImage::from_pixel(width, height, PAPER),
        }
    }

    /// Pastes `picture` with its upper left corner at (`x`, `y`); what lies
    /// outside is cut.
    pub fn paste(&mut self, picture: &RgbImage, x: u32, y: u32) {
        image::imageops::replace(&mut self.image, picture, i64::from(x), i64::from(y));
    }

    /// One line of text, its upper left corner at (`x`, `y`).
    pub fn text(&mut self, text: &str, x: u32, y: u32, size: Type, ink: Rgb<u8>) {
        let style = MonoTextStyle::new(size.font(), colour(ink));
        let at = Point::new(x as i32, y as i32);
        let text = latin(text);
        let Ok(_) = Text::with_baseline(&text, at, style, Baseline::Top).draw(self);
    }

    /// The outline of a box, `line` pixels wide, inside the box.
    pub fn outline(&mut self, x: u32, y: u32, w: u32, h: u32, line: u32, ink: Rgb<u8>) {
        let style = embedded_graphics::primitives::PrimitiveStyleBuilder::new()
            .stroke_color(colour(ink))
            .stroke_width(line)
            .stroke_alignment(embedded_graphics::primitives::StrokeAlignment::Inside)
            .build();
        let area = Rectangle::new(Point::new(x as i32, y as i32), Size::new(w, h));
        let Ok(()) = area.into_styled(style).draw(self);
    }

    /// A filled box.
    pub fn fill(&mut self, x: u32, y: u32, w: u32, h: u32, ink: Rgb<u8>) {
        let area = Rectangle::new(Point::new(x as i32, y as i32), Size::new(w, h));
        let style = PrimitiveStyle::with_fill(colour(ink));
        let Ok(()) = area.into_styled(style).draw(self);
    }

    /// The finished picture.
    pub fn into_image(self) -> RgbImage {
        self.image
    }
}

impl From<RgbImage> for Canvas {
    fn from(image: RgbImage) -> Self {
        Self { image }
    }
}

impl Dimensions for Canvas {
    fn bounding_box(&self) -> Rectangle {
        let size = Size::new(self.image.width(), self.image.height());
        Rectangle::new(Point::zero(), size)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        for Pixel(at, ink) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y)) else {
                continue;
            };
            if let Some(pixel) = self.image.get_pixel_mut_checked(x, y) {
                *pixel = Rgb([ink.r(), ink.g(), ink.b()]);
            }
        }
        Ok(())
    }
}

fn colour(ink: Rgb<u8>) -> Rgb888 {
    let Rgb([r, g, b]) = ink;
    Rgb888::new(r, g, b)
}

/// The font knows Latin-1; a few signs beyond it have a stand-in there.
fn latin(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{2212}' | '\u{2013}' | '\u{2014}' => '-',
            '\u{2018}' | '\u{2019}' => '\'',
            c if (c as u32) < 32 => ' ',
            c if (c as u32) < 256 => c,
            _ => '?',
        })
        .collect()
}

/// Breaks text into lines of at most `width` characters, at spaces where possible.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(width) {
            let last = lines
                .last_mut()
                .filter(|l| l.is_empty() || l.chars().count() + 1 + piece.len() <= width);
            match last {
                Some(line) => {
                    if !line.is_empty() {
                        line.push(' ');
                    }
                    line.extend(piece);
                }
                None => lines.push(piece.iter().collect()),
            }
        }
    }
    lines
}

/// At most `width` characters of a text; what is cut shows as `..`.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    let kept: String = text.chars().take(width.saturating_sub(2)).collect();
    format!("{}..", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_inside() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("abcdefgh i", 3), ["abc", "def", "gh", "i"]);
        assert_eq!(shorten("Egyptian cat", 8), "Egypti..");
        assert_eq!(shorten("cat", 3), "cat");
    }

    #[test]
    fn text_stays_inside_and_leaves_ink() {
        let mut canvas = Canvas::new(30, 16);
        canvas.text("Hi, long text", 1, 1, Type::Body, INK);
        let image = canvas.into_image();
        assert!(image.pixels().any(|p| *p == INK));
        assert!(image.pixels().any(|p| *p == PAPER));
    }
}
