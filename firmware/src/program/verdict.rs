//! What a picture was judged to be, as a display shows it: picture, map, class,
//! PASS or FAIL, and why.

use core::convert::Infallible;
use core::fmt::Write as _;

use embedded_graphics::pixelcolor::Gray4;
use embedded_graphics::prelude::*;
use foveola_core::audit::judge::split_code;
use foveola_core::wire::server::Judged;
use heapless::String;

use super::notice::Greys;
use crate::board::Board;
use crate::heat_map::{Heat, HeatMap, Pixels};
use crate::panel::{Panel, lines};

/// A line beside a picture of 64 pixels has ten letters, more below one.
pub type Words = String<16>;

/// Class, verdict, and why or how much of the evidence lies inside.
pub fn words(judged: &Judged<'_>) -> [Words; 3] {
    let mut class = Words::new();
    match judged.label {
        Some(label) => label.chars().for_each(|letter| {
            // What is too long for a line is cut.
            let _ = class.push(letter);
        }),
        None => {
            let _ = write!(class, "class {}", judged.class);
        }
    }
    let mut verdict = Words::new();
    let mut why = Words::new();
    // All of it fits.
    if judged.code == 0 {
        let share = (100.0 * judged.inside + 0.5) as u32;
        let _ = verdict.push_str("PASS");
        let _ = write!(why, "{share} % inside");
    } else {
        let reason = split_code(judged.code).1;
        let _ = verdict.push_str("FAIL");
        let _ = why.push_str(reason.map_or("unknown", |reason| reason.word()));
    }
    [class, verdict, why]
}

/// Draws it; `map` has one channel, or is empty where there is none.
pub fn draw<D: DrawTarget<Color: Heat, Error = Infallible>>(
    target: &mut D,
    judged: &Judged<'_>,
    map: &[f32],
    text: Point,
    ink: D::Color,
) {
    let words = words(judged);
    let said = words.each_ref().map(|line| line.as_str());
    let size = [judged.map_shape.h, judged.map_shape.w];
    if map.is_empty() {
        let Ok(()) = lines(target, &said, text, ink);
        return;
    }
    let picture = Pixels {
        shape: judged.shape,
        data: judged.picture,
    };
    let panel = Panel {
        heat_map: HeatMap::new(picture, map, size, Point::zero()),
        lines: &said,
        text,
        ink,
    };
    let Ok(()) = panel.draw(target);
}

/// Shows it on the panel, if the board has one. A map of several channels would
/// need memory to be shown; then words alone are.
#[inline(never)]
pub fn on_panel<B: Board>(board: &mut B, judged: &Judged<'_>) {
    if board.panel().is_none() {
        return;
    }
    let map = match judged.map_shape.c {
        1 => judged.map,
        _ => &[],
    };
    let column = judged.shape.w.min(64) as i32 + 2;
    let mut greys = Greys::new();
    draw(&mut greys, judged, map, Point::new(column, 2), Gray4::WHITE);
    board.show(greys.data());
}
