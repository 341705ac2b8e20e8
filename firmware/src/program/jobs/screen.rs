//! Maps drawn: into files, and on the board's panel.

use core::fmt::{self, Write as _};

use embedded_graphics::pixelcolor::{Gray4, Rgb565, Rgb888};
use embedded_graphics::prelude::*;
use foveola_core::explain::{Outcome, strongest_channel};
use foveola_core::{Picture, Shape};
use heapless::{String, Vec};
use zerocopy::IntoBytes;

use super::files::Folder;
use super::{Failure, Work};
use crate::board::Board;
use crate::board::pool::Pool;
use crate::canvas::Canvas;
use crate::heat_map::{Heat, HeatMap, Pixels};
use crate::panel::Panel;
use crate::program::notice::{Greys, PANEL, fail};

/// Rows of a file below the picture: three lines of text.
pub const BELOW: usize = 36;

/// Columns of a file, at least.
pub const COLUMNS: usize = 96;

/// A line on a panel: ten letters of 6 pixels beside a picture of 64, more below one.
type Words = String<16>;

/// What is drawn of a method's answer.
pub struct Answered<'d> {
    pub number: usize,
    pub method: &'d str,
    pub target: usize,
    pub outcome: Outcome,
    pub map: &'d [f32],
    pub shape: Shape,
}

impl<B: Board> Work<'_, '_, B> {
    /// Draws a map into a file, if the job asks for it, and on the panel, if
    /// the board has one.
    pub(super) fn draw(&mut self, pool: Pool<'_>, answered: &Answered<'_>) -> Result<(), Failure> {
        // A tensor in model space has no pixels to show.
        let data = match self.picture {
            Picture::Pixels { data, .. } => data,
            Picture::Tensor { .. } => &[],
        };
        let panel = self.meter.board().panel();
        if !self.job.screen && panel.is_none() {
            return Ok(());
        }
        let mut pool = pool;
        let Shape { h, w, c } = answered.shape;
        let map = if c == 1 {
            answered.map
        } else {
            let strongest = pool.take(h * w, 0.0)?;
            strongest_channel(answered.map, answered.shape, strongest)?;
            for value in strongest.iter_mut() {
                *value = if *value < 0.0 { -*value } else { *value };
            }
            &*strongest
        };
        let drawing = Drawing {
            picture: Pixels {
                shape: self.model.input(),
                data,
            },
            map,
            size: [h, w],
            lines: self.words(answered),
        };
        if self.job.screen {
            drawing.to_file(&mut pool, self.folder, answered.number)?;
        }
        if panel.is_some() {
            self.meter.board().show(drawing.to_panel().data());
        }
        Ok(())
    }

    /// Class, method and verdict. What is too long for a line is cut.
    fn words(&self, answered: &Answered<'_>) -> Vec<Words, 3> {
        let mut class = Words::new();
        match self.model.label(answered.target) {
            Some(label) => push(&mut class, label),
            None => {
                let _ = write!(class, "class {}", answered.target);
            }
        }
        let mut method = Words::new();
        push(&mut method, answered.method.split(':').next().unwrap_or(""));
        let mut verdict = Words::new();
        push(
            &mut verdict,
            match answered.outcome {
                Outcome::Ok => "",
                Outcome::Flat => "no evidence",
                Outcome::Undefined(_) => "no map",
                Outcome::Partial { .. } => "stopped",
            },
        );
        Vec::from_array([class, method, verdict])
    }
}

fn push(words: &mut Words, text: &str) {
    for letter in text.chars() {
        if words.push(letter).is_err() {
            break;
        }
    }
}

/// Says in a file, `fail.ppm`, what a panel would say.
pub fn fail_to_file(
    pool: &mut Pool<'_>,
    folder: Folder<'_>,
    failure: &Failure,
) -> Result<(), Failure> {
    let mut pool = pool.scope();
    let [columns, rows] = PANEL;
    let pixels = pool.take(columns * rows, Rgb565::BLACK)?;
    let row = pool.take(columns, [0u8; 3])?;
    let mut canvas = Canvas::new(pixels, columns);
    fail(&mut canvas, failure, Rgb565::WHITE);
    save(&canvas, row, folder, format_args!("fail.ppm"))
}

/// Writes a canvas as PPM, with a row's memory.
pub fn save(
    canvas: &Canvas<'_>,
    row: &mut [[u8; 3]],
    folder: Folder<'_>,
    name: fmt::Arguments<'_>,
) -> Result<(), Failure> {
    let Size { width, height } = canvas.size();
    let mut header = String::<32>::new();
    let _ = writeln!(header, "P6 {width} {height} 255");
    folder.create(name, |mut file| {
        file.put(header.as_bytes())?;
        for pixels in canvas.rows() {
            for (bytes, pixel) in row.iter_mut().zip(pixels) {
                let colour = Rgb888::from(*pixel);
                *bytes = [colour.r(), colour.g(), colour.b()];
            }
            file.put(row.as_bytes())?;
        }
        Ok(())
    })
}

struct Drawing<'d> {
    picture: Pixels<'d>,
    map: &'d [f32],
    size: [usize; 2],
    lines: Vec<Words, 3>,
}

impl Drawing<'_> {
    fn on<D: DrawTarget<Color: Heat>>(&self, target: &mut D, text: Point, ink: D::Color) {
        let lines: Vec<&str, 3> = self.lines.iter().map(String::as_str).collect();
        let panel = Panel {
            heat_map: HeatMap::new(self.picture, self.map, self.size, Point::zero()),
            lines: &lines,
            text,
            ink,
        };
        // Drawing in memory cannot fail.
        let _ = panel.draw(target);
    }

    fn to_file(
        &self,
        pool: &mut Pool<'_>,
        folder: Folder<'_>,
        number: usize,
    ) -> Result<(), Failure> {
        let Shape { h, w, .. } = self.picture.shape;
        let columns = w.max(COLUMNS);
        let pixels = pool.take(columns * (h + BELOW), Rgb565::BLACK)?;
        let row = pool.take(columns, [0u8; 3])?;
        let mut canvas = Canvas::new(pixels, columns);
        self.on(&mut canvas, Point::new(1, h as i32 + 2), Rgb565::WHITE);
        save(&canvas, row, folder, format_args!("screen{number}.ppm"))
    }

    /// Its own function, so that 4 KB of stack are gone when a method runs.
    #[inline(never)]
    fn to_panel(&self) -> Greys {
        let mut greys = Greys::new();
        let column = self.picture.shape.w as i32 + 2;
        self.on(&mut greys, Point::new(column, 2), Gray4::WHITE);
        greys
    }
}
