//! The audit of a job: frames judged by the policy of the model that the board
//! keeps.

use core::cell::RefCell;
use core::fmt;

use embedded_graphics::pixelcolor::Rgb565;
use embedded_graphics::prelude::*;
use foveola_core::audit::judge::split_code;
use foveola_core::explain::strongest_channel;
use foveola_core::wire::fault::Fault;
use foveola_core::wire::message::{End, Ended};
use foveola_core::wire::server::{Judged, Platform};

use super::answer::Answer;
use super::files::Folder;
use super::screen::{BELOW, COLUMNS, save};
use super::{Failure, Job};
use crate::board::Board;
use crate::board::pool::Pool;
use crate::canvas::Canvas;
use crate::program::meter::Meter;
use crate::program::station::{Camera, Station, server};
use crate::program::verdict;

/// Pixels of the largest file that is drawn, words below the picture included.
const MOST: usize = 224 * (224 + BELOW);

/// Memory to draw a verdict.
struct Easel<'e> {
    folder: Folder<'e>,
    pixels: &'e mut [Rgb565],
    strongest: &'e mut [f32],
    row: &'e mut [[u8; 3]],
    drawn: u32,
}

/// Judges all frames.
#[inline(never)]
pub fn run<B: Board>(
    meter: &mut Meter<B>,
    pool: &mut Pool<'_>,
    linked: &[u8],
    folder: Folder<'_>,
    job: &Job<'_>,
    answer: &mut Answer,
) -> Result<(), Failure> {
    let _ = B::UART.ok_or(Failure::NoLink)?;
    let flash = meter.board().flash().map(RefCell::new);
    let mut pool = pool.scope();
    let update = job.model.map(|name| folder.read_all(name, &mut pool));
    let update = update.transpose()?;
    let most = if job.screen { MOST } else { 0 };
    let mut easel = Easel {
        folder,
        pixels: pool.take(most, Rgb565::BLACK)?,
        strongest: pool.take(most, 0.0)?,
        row: pool.take(if job.screen { 224 } else { 0 }, [0; 3])?,
        drawn: 0,
    };
    let mut shows = |judged: &Judged<'_>| easel.draw(judged);
    let mut station = Station::new(meter, &mut pool, flash.as_ref(), folder.frames())?;
    station.shows = Some(&mut shows);
    let mut server = server(&mut station, &mut pool, linked)?;
    if let Some(file) = update {
        let taken = station.offer(&mut server, file);
        match taken {
            Ok(()) => answer.line(format_args!("update=kept"))?,
            Err(fault) => answer.line(format_args!("update={}", Words(fault)))?,
        }
    }
    let mut rate = Rate::default();
    for number in 0.. {
        let ended = match server.audit(number == 0, &mut station) {
            Ok(ended) => ended,
            // No more frames.
            Err(Fault::Unsupported) => break,
            Err(fault) => {
                answer.line(format_args!("verdict.{number}=none {}", Words(fault)))?;
                break;
            }
        };
        tell(answer, number, &ended)?;
        rate.take(number, &ended);
    }
    if let Some(rate) = rate.thousandths() {
        answer.line(format_args!("rate={rate}"))?;
    }
    export(folder, &mut station)?;
    answer.line(format_args!("done=1"))
}

/// Instructions of the frames behind the first one.
#[derive(Default)]
struct Rate {
    frames: u64,
    instructions: u64,
}

impl Rate {
    const fn take(&mut self, number: u32, ended: &Ended<'_>) {
        if number > 0 {
            self.frames += 1;
            self.instructions += ended.instructions;
        }
    }

    /// Frames that 10^9 instructions judge, in thousandths.
    const fn thousandths(&self) -> Option<u64> {
        (self.frames * 1_000_000_000_000).checked_div(self.instructions)
    }
}

fn tell(answer: &mut Answer, number: u32, ended: &Ended<'static>) -> Result<(), Failure> {
    match ended.end {
        End::Judged(0, _) => answer.line(format_args!("verdict.{number}=pass"))?,
        End::Judged(code, _) => {
            let (rule, reason) = split_code(code);
            let reason = reason.map_or("unknown", |reason| reason.word());
            answer.line(format_args!("verdict.{number}=fail {rule} {reason}"))?;
        }
        End::Failed(fault) => {
            answer.line(format_args!("verdict.{number}=none {}", Words(fault)))?;
        }
        _ => answer.line(format_args!("verdict.{number}=none"))?,
    }
    if let End::Judged(_, inside) = ended.end {
        let inside = (1000.0 * inside + 0.5) as u32;
        answer.line(format_args!("class.{number}={}", ended.target))?;
        answer.line(format_args!("inside.{number}={inside}"))?;
    }
    let Ended {
        instructions,
        stack,
        arena,
        ..
    } = *ended;
    answer.line(format_args!(
        "cost.{number}=instructions={instructions} stack={stack} arena={arena}"
    ))
}

/// Writes the log, signed.
fn export<B: Board, C: Camera<B>>(
    folder: Folder<'_>,
    station: &mut Station<'_, B, C>,
) -> Result<(), Failure> {
    folder.create(format_args!("log.bin"), |mut file| {
        let (mut offset, mut piece) = (0, [0; 256]);
        loop {
            let total = station.log(offset, &mut piece).unwrap_or(0);
            let left = total.saturating_sub(offset) as usize;
            if left == 0 {
                return Ok(());
            }
            let part = piece.get(..left).unwrap_or(&piece);
            file.put(part)?;
            offset += part.len() as u32;
        }
    })
}

impl Easel<'_> {
    /// Draws a verdict; what is too large, or cannot be written, is not drawn.
    fn draw(&mut self, judged: &Judged<'_>) {
        let number = self.drawn;
        self.drawn += 1;
        let columns = judged.shape.w.max(COLUMNS);
        let rows = judged.shape.h + BELOW;
        let cells = judged.map_shape.h * judged.map_shape.w;
        let (Some(pixels), Some(strongest), Some(row)) = (
            self.pixels.get_mut(..columns * rows),
            self.strongest.get_mut(..cells),
            self.row.get_mut(..columns),
        ) else {
            return;
        };
        let map = match judged.map_shape.c {
            1 => judged.map,
            _ if strongest_channel(judged.map, judged.map_shape, strongest).is_ok() => {
                strongest.iter_mut().for_each(|value| *value = value.abs());
                strongest
            }
            _ => &[],
        };
        pixels.fill(Rgb565::BLACK);
        let mut canvas = Canvas::new(pixels, columns);
        let text = Point::new(1, judged.shape.h as i32 + 2);
        verdict::draw(&mut canvas, judged, map, text, Rgb565::WHITE);
        let name = format_args!("verdict{number}.ppm");
        if save(&canvas, row, self.folder, name).is_err() {
            defmt::error!("verdict{=u32}.ppm cannot be written", number);
        }
    }
}

/// A fault in words.
struct Words<'f>(Fault<'f>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.error(), self.0) {
            (Some(error), _) => error.fmt(f),
            (None, Fault::Denied(reason)) => f.write_str(reason),
            (None, Fault::NoModel) => f.write_str("no model"),
            (None, Fault::TooLarge { room }) => write!(f, "there is room for {room} bytes"),
            (None, Fault::OtherModel) => f.write_str("another model was announced"),
            _ => f.write_str("it failed"),
        }
    }
}
