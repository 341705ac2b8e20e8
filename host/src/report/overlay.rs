//! The picture a person looks at: photo and heat map side by side, a colour
//! bar with numbers, and in the margin what was asked, how, and at what cost.

use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};

use super::canvas::{Canvas, FAINT_INK, INK, Type, shorten, wrap};
use super::colour::{ColourScale, short_number};

/// Shortest side of a panel that shows a picture.
const PANEL: u32 = 336;
/// From this side on a picture is scaled smoothly; below, its pixels stay visible.
const SMOOTH_FROM: u32 = 96;
const MARGIN: u32 = 14;
const BAR: u32 = 16;
const NUMBERS: u32 = 64;
/// Boxes over a map.
const BOX: Rgb<u8> = Rgb([0, 160, 60]);

/// What an overlay shows.
#[derive(Clone, Debug)]
pub struct Figure<'a> {
    /// The picture as the network sees it.
    pub picture: &'a RgbImage,
    /// One value a pixel of the picture, row by row.
    pub map: &'a [f32],
    /// Class and score.
    pub heading: String,
    /// Method, parameters and cost, one line each.
    pub lines: Vec<String>,
    /// What the map says, in words; below the panels.
    pub sentence: String,
    /// Why there is no map to paint, e.g. `flat map: no evidence`.
    pub reason: Option<String>,
}

/// By how much a picture of this size is enlarged for people.
pub fn enlargement(width: u32, height: u32) -> u32 {
    PANEL.div_ceil(width.max(height).max(1)).max(1)
}

/// A picture enlarged by a whole factor: smoothly if it is large, with its
/// pixels visible if it is tiny.
pub fn enlarge(picture: &RgbImage, factor: u32) -> RgbImage {
    let (w, h) = picture.dimensions();
    let filter = match w.max(h) >= SMOOTH_FROM {
        true => FilterType::CatmullRom,
        false => FilterType::Nearest,
    };
    match factor {
        1 => picture.clone(),
        _ => resize(picture, w * factor, h * factor, filter),
    }
}

/// The picture with the map over it, enlarged as [`enlarge`] does. Without a
/// scale (nothing to see) the picture comes back grey.
pub fn blend(picture: &RgbImage, map: &[f32], scale: Option<&ColourScale>) -> RgbImage {
    let (w, h) = picture.dimensions();
    let factor = enlargement(w, h);
    let mut panel = enlarge(picture, factor);
    let smooth = w.max(h) >= SMOOTH_FROM;
    for (x, y, pixel) in panel.enumerate_pixels_mut() {
        let grey = luma(*pixel);
        let Some(scale) = scale else {
            *pixel = Rgb([grey; 3]);
            continue;
        };
        let value = match smooth {
            true => sample(map, w, h, x, y, factor),
            false => at(map, w, x / factor, y / factor),
        };
        let alpha = scale.opacity(value);
        *pixel = mix(Rgb([grey; 3]), scale.colour(value), alpha);
    }
    panel
}

/// Value of the map at an enlarged pixel, bilinear with half-pixel centres.
fn sample(map: &[f32], w: u32, h: u32, x: u32, y: u32, factor: u32) -> f32 {
    let place = |p: u32, side: u32| {
        let f = ((p as f32 + 0.5) / factor as f32 - 0.5).clamp(0.0, (side - 1) as f32);
        (f as u32, (f as u32 + 1).min(side - 1), f.fract())
    };
    let (x0, x1, fx) = place(x, w);
    let (y0, y1, fy) = place(y, h);
    let row = |y: u32| at(map, w, x0, y) * (1.0 - fx) + at(map, w, x1, y) * fx;
    row(y0) * (1.0 - fy) + row(y1) * fy
}

fn at(map: &[f32], w: u32, x: u32, y: u32) -> f32 {
    map.get((y * w + x) as usize).copied().unwrap_or(0.0)
}

/// Luma as ITU-R 601-2 weighs it, in 16-bit fixed point.
pub fn luma(Rgb([r, g, b]): Rgb<u8>) -> u8 {
    let sum = u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

fn mix(under: Rgb<u8>, over: Rgb<u8>, alpha: f32) -> Rgb<u8> {
    let mut out = under;
    for (o, c) in out.0.iter_mut().zip(over.0) {
        *o = (f32::from(*o) * (1.0 - alpha) + f32::from(c) * alpha).round() as u8;
    }
    out
}

/// Draws the whole figure.
pub fn draw(figure: &Figure<'_>) -> RgbImage {
    draw_boxed(figure, &[])
}

/// Draws the whole figure with boxes in both panels: x, y, width, height in
/// pixels of the picture.
pub fn draw_boxed(figure: &Figure<'_>, boxes: &[[f32; 4]]) -> RgbImage {
    let scale = ColourScale::of(figure.map).filter(|_| figure.reason.is_none());
    let (w, h) = figure.picture.dimensions();
    let factor = enlargement(w, h);
    let (w, h) = (w * factor, h * factor);
    let (mut canvas, top) = margins(figure, w, h);
    let right = 2 * MARGIN + w;
    let overlay = blend(figure.picture, figure.map, scale.as_ref());
    canvas.paste(&enlarge(figure.picture, factor), MARGIN, top);
    canvas.paste(&overlay, right, top);
    match (&scale, &figure.reason) {
        (Some(scale), _) => bar(&mut canvas, scale, right + w + MARGIN / 2, top, h),
        (None, reason) => {
            let text = reason.as_deref().unwrap_or("nothing to see");
            notice(&mut canvas, text, right, top, w, h);
        }
    }
    for left in [MARGIN, right] {
        for scaled in boxes.iter().map(|b| b.map(|side| side * factor as f32)) {
            let [x, y, width, height] = scaled.map(|side| side.round().max(0.0) as u32);
            canvas.outline(left + x, top + y, width, height, 3, BOX);
        }
    }
    canvas.into_image()
}

/// The figure with a picture of the same size in the place of the map.
pub fn draw_beside(figure: &Figure<'_>, other: &RgbImage) -> RgbImage {
    let (w, h) = figure.picture.dimensions();
    let factor = enlargement(w, h);
    let (w, h) = (w * factor, h * factor);
    let (mut canvas, top) = margins(figure, w, h);
    canvas.paste(&enlarge(figure.picture, factor), MARGIN, top);
    canvas.paste(&enlarge(other, factor), 2 * MARGIN + w, top);
    canvas.into_image()
}

/// The sheet with its text, around two panels of this size; and where they begin.
fn margins(figure: &Figure<'_>, w: u32, h: u32) -> (Canvas, u32) {
    let width = 2 * w + 3 * MARGIN + BAR + NUMBERS;
    let text_width = width - 2 * MARGIN;
    let fits = Type::Body.fits(text_width);
    let below = wrap(&figure.sentence, fits);
    let lines: Vec<String> = figure.lines.iter().flat_map(|l| wrap(l, fits)).collect();
    let heading = shorten(&figure.heading, Type::Heading.fits(text_width));
    let first = MARGIN + Type::Heading.line();
    let top = first + lines.len() as u32 * Type::Body.line() + 6;
    let bottom = top + h + 10;
    let height = bottom + below.len() as u32 * Type::Body.line() + MARGIN;
    let mut canvas = Canvas::new(width, height);
    canvas.text(&heading, MARGIN, MARGIN, Type::Heading, INK);
    write_lines(&mut canvas, &lines, first, FAINT_INK);
    write_lines(&mut canvas, &below, bottom, INK);
    (canvas, top)
}

fn write_lines(canvas: &mut Canvas, lines: &[String], y: u32, ink: Rgb<u8>) {
    for (i, line) in lines.iter().enumerate() {
        let y = y + i as u32 * Type::Body.line();
        canvas.text(line, MARGIN, y, Type::Body, ink);
    }
}

/// The colour bar, its numbers to the right of it.
fn bar(canvas: &mut Canvas, scale: &ColourScale, x: u32, y: u32, height: u32) {
    let last = height.saturating_sub(1).max(1);
    for row in 0..height {
        let place = 1.0 - row as f32 / last as f32;
        let value = scale.low + place * (scale.high - scale.low);
        canvas.fill(x, y + row, BAR, 1, scale.colour(value));
    }
    canvas.outline(x, y, BAR, height, 1, FAINT_INK);
    let ticks = scale.ticks();
    let steps = ticks.len() as u32 - 1;
    for (i, value) in ticks.into_iter().enumerate() {
        let at = i as u32 * last / steps;
        let text = at.saturating_sub(6).min(height.saturating_sub(13));
        canvas.fill(x + BAR, y + at, 4, 1, FAINT_INK);
        let beyond = match (scale.clipped, i) {
            (true, 0) => ">",
            (true, n) if n as u32 == steps && scale.diverging => "<",
            _ => "",
        };
        let number = format!("{beyond}{}", short_number(value));
        canvas.text(&number, x + BAR + 6, y + text, Type::Body, INK);
    }
}

/// A few words in the middle of a panel.
fn notice(canvas: &mut Canvas, text: &str, x: u32, y: u32, w: u32, h: u32) {
    let lines = wrap(text, Type::Body.fits(w - 24));
    let longest = lines.iter().map(|l| l.chars().count()).max().unwrap_or(0) as u32;
    let (bw, bh) = (
        longest * Type::Body.advance() + 16,
        lines.len() as u32 * Type::Body.line() + 10,
    );
    let (bx, by) = (
        x + (w.saturating_sub(bw)) / 2,
        y + (h.saturating_sub(bh)) / 2,
    );
    canvas.fill(bx, by, bw, bh, super::canvas::PAPER);
    for (i, line) in lines.iter().enumerate() {
        let y = by + 5 + i as u32 * Type::Body.line();
        canvas.text(line, bx + 8, y, Type::Body, INK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(picture: &RgbImage, map: &[f32]) -> RgbImage {
        draw(&Figure {
            picture,
            map,
            heading: String::from("Egyptian cat  57.0 %"),
            lines: vec![String::from("Grad-CAM  2 passes")],
            sentence: String::from("72 % of the evidence lies in the centre; 3 % on the border."),
            reason: None,
        })
    }

    fn colourful(image: &RgbImage) -> usize {
        let spread = |p: &Rgb<u8>| p.0.iter().max().unwrap() - p.0.iter().min().unwrap();
        image.pixels().filter(|p| spread(p) > 60).count()
    }

    #[test]
    fn tiny_pictures_are_enlarged_at_least_three_times() {
        assert_eq!(enlargement(28, 28), 12);
        assert_eq!(enlargement(32, 20), 11);
        assert!(enlargement(96, 96) >= 3);
        assert_eq!(enlargement(2000, 1000), 1);
    }

    #[test]
    fn a_flat_map_is_not_painted() {
        let grey = RgbImage::from_pixel(8, 8, Rgb([90; 3]));
        assert_eq!(colourful(&figure(&grey, &[1.0; 64])), 0);
        let mut map = [0.0; 64];
        map[9] = 1.0;
        assert!(colourful(&figure(&grey, &map)) > 1000);
    }

    #[test]
    fn the_strongest_pixel_is_where_the_map_says() {
        let grey = RgbImage::from_pixel(8, 4, Rgb([128; 3]));
        let mut map = [0.0; 32];
        map[8 + 5] = 1.0;
        let panel = blend(&grey, &map, ColourScale::of(&map).as_ref());
        let factor = enlargement(8, 4);
        let yellow = |x: u32, y: u32| {
            let Rgb([r, _, b]) = *panel.get_pixel(x * factor + 1, y * factor + 1);
            r > b
        };
        assert!(yellow(5, 1));
        assert!(!yellow(1, 1) && !yellow(5, 2));
    }

    #[test]
    fn wide_and_high_pictures_fit() {
        for (w, h) in [(400, 3), (3, 400), (1, 1)] {
            let picture = RgbImage::from_pixel(w, h, Rgb([10, 20, 30]));
            let mut map = vec![0.0; (w * h) as usize];
            map[0] = 1.0;
            figure(&picture, &map);
        }
    }
}
