//! What a display of 128 x 64 pixels should show of a failure, drawn here with
//! embedded-graphics' own letters.

use std::convert::Infallible;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_6X10;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};

pub const COLUMNS: usize = 128;
pub const ROWS: usize = 64;

/// White pixels.
struct Grid(Vec<bool>);

impl OriginDimensions for Grid {
    fn size(&self) -> Size {
        Size::new(COLUMNS as u32, ROWS as u32)
    }
}

impl DrawTarget for Grid {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<BinaryColor>>,
    {
        for Pixel(at, colour) in pixels {
            if at.x < COLUMNS as i32 {
                self.0[at.y as usize * COLUMNS + at.x as usize] = colour.is_on();
            }
        }
        Ok(())
    }
}

/// FAIL, and below it the reason in lines of 20 letters.
pub fn failure(reason: &str) -> Vec<bool> {
    let mut grid = Grid(vec![false; COLUMNS * ROWS]);
    let style = MonoTextStyle::new(&FONT_6X10, BinaryColor::On);
    let lines = reason.as_bytes().chunks(20).take(4);
    let lines = lines.map(|line| std::str::from_utf8(line).expect("ASCII"));
    for (i, line) in std::iter::once("FAIL").chain(lines).enumerate() {
        let at = Point::new(2, 2 + 11 * i as i32);
        let text = Text::with_baseline(line, at, style, Baseline::Top);
        let Ok(_) = text.draw(&mut grid);
    }
    grid.0
}

/// A picture as `#` and `.`, for messages.
pub fn shown(pixels: &[bool]) -> String {
    let letter = |p: &bool| if *p { '#' } else { '.' };
    let rows = pixels
        .chunks(COLUMNS)
        .map(|row| row.iter().map(letter).collect::<String>() + "\n");
    rows.collect()
}
