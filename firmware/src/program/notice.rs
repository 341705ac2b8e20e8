//! Panels, and what they say when there is no answer.

use core::convert::Infallible;
use core::fmt::{self, Write as _};

use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
use embedded_graphics::pixelcolor::Gray4;
use embedded_graphics::pixelcolor::raw::{BigEndian, RawU4};
use embedded_graphics::prelude::*;
use heapless::{String, Vec};

use super::failure::Failure;
use crate::board::Board;
use crate::panel::lines;

/// Columns and rows of the panels that are supported.
pub const PANEL: [usize; 2] = [128, 64];

/// A panel's picture, two pixels a byte, the left one in the upper half.
pub type Greys = Framebuffer<
    Gray4,
    RawU4,
    BigEndian,
    { PANEL[0] },
    { PANEL[1] },
    { buffer_size::<Gray4>(PANEL[0], PANEL[1]) },
>;

/// Letters of a line that is as wide as a panel, and lines below FAIL.
const LETTERS: usize = 20;
const REASON: usize = 4;

/// Where text begins on an empty panel.
const CORNER: Point = Point::new(2, 2);

/// FAIL on the first line of a display, then the reason.
pub fn fail<D: DrawTarget<Error = Infallible>>(target: &mut D, failure: &Failure, ink: D::Color) {
    let mut reason = String::<{ LETTERS * REASON }>::new();
    // What is too long for the display is cut.
    let _ = write!(Cut(&mut reason), "{failure}");
    let mut text = Vec::<&str, { REASON + 1 }>::from_iter(["FAIL"]);
    let mut rest = reason.as_str();
    while !rest.is_empty() && !text.is_full() {
        let (line, after) = rest.split_at_checked(LETTERS).unwrap_or((rest, ""));
        let _ = text.push(line);
        rest = after;
    }
    let Ok(()) = lines(target, &text, CORNER, ink);
}

/// Takes what there is room for.
struct Cut<'s, const N: usize>(&'s mut String<N>);

impl<const N: usize> fmt::Write for Cut<'_, N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let ascii = text.chars().filter(char::is_ascii);
        ascii.for_each(|letter| self.0.push(letter).unwrap_or_default());
        Ok(())
    }
}

/// Says on the panel, if the board has one, that there is no answer, and why.
#[inline(never)]
pub fn fail_on_panel<B: Board>(board: &mut B, failure: &Failure) {
    if board.panel().is_some() {
        let mut greys = Greys::new();
        fail(&mut greys, failure, Gray4::WHITE);
        board.show(greys.data());
    }
}
