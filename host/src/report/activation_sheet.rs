//! A layer's channels side by side.

use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};

use super::canvas::{Canvas, FAINT_INK, INK, Type, shorten};
use super::colour::{ColourScale, short_number};
use crate::activations::LayerValues;

/// Least side of a channel's picture.
const LEAST: u32 = 56;
/// Largest side of it.
const LARGEST: u32 = 224;
const GAP: u32 = 10;
/// Width that the sheet aims at.
const WIDTH: u32 = 1280;
/// A channel in which every value is the same.
const FLAT: Rgb<u8> = Rgb([222, 222, 226]);

/// What the colours of a channel span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Span {
    /// Each channel its own values: what it looks for is seen
    #[default]
    Unit,
    /// All channels the layer's values: which one is strong is seen
    Shared,
}

/// Rows and columns that one channel is drawn as, and how many cells there are.
/// A layer without rows and columns is one cell, its channels row by row.
fn cells(layer: &LayerValues) -> (usize, usize, usize) {
    let shape = layer.shape;
    if shape.area() > 1 {
        return (shape.h, shape.w, shape.c);
    }
    let columns = (shape.c as f64).sqrt().ceil().max(1.0) as usize;
    (shape.c.div_ceil(columns), columns, 1)
}

/// Pixels of one value.
fn zoom(rows: usize, columns: usize) -> u32 {
    let side = rows.max(columns).max(1) as u32;
    (LEAST.div_ceil(side)).max(1)
}

/// Draws every channel under a heading, with its number and greatest value.
pub fn draw(layer: &LayerValues, span: Span) -> RgbImage {
    let (rows, columns, count) = cells(layer);
    let zoom = zoom(rows, columns);
    let fit = |side: usize| (side as u32 * zoom).min(LARGEST);
    let (w, h) = (fit(columns), fit(rows));
    let across = (WIDTH / (w + GAP)).clamp(1, count.max(1) as u32);
    let down = (count as u32).div_ceil(across);
    let caption = Type::Body.line() + 2;
    let top = 2 * GAP + Type::Heading.line() + Type::Body.line();
    let width = (GAP + across * (w + GAP)).max(480);
    let mut canvas = Canvas::new(width, top + down * (h + caption + GAP));
    heading(&mut canvas, layer, span, width);
    let all = ColourScale::of(&layer.values);
    for c in 0..count {
        let values = match count {
            1 => layer.values.clone(),
            _ => layer.channel(c),
        };
        let scale = match span {
            Span::Unit => ColourScale::of(&values),
            Span::Shared => all,
        };
        let (i, j) = (c as u32 / across, c as u32 % across);
        let (x, y) = (GAP + j * (w + GAP), top + i * (h + caption + GAP));
        let picture = channel(&values, rows, columns, scale);
        canvas.paste(&resize(&picture, w, h, FilterType::Nearest), x, y);
        let text = format!("{c}: {}", short_number(greatest(&values)));
        let text = shorten(&text, Type::Body.fits(w + GAP));
        canvas.text(&text, x, y + h + 1, Type::Body, FAINT_INK);
    }
    canvas.into_image()
}

fn heading(canvas: &mut Canvas, layer: &LayerValues, span: Span, width: u32) {
    let (shape, fits) = (layer.shape, width - 2 * GAP);
    let title = shorten(&layer.name, Type::Heading.fits(fits));
    canvas.text(&title, GAP, GAP, Type::Heading, INK);
    let colours = match span {
        Span::Unit => "colours: each channel its own range; below it its greatest value",
        Span::Shared => "colours: one range for all; below each its greatest value",
    };
    let text = format!(
        "{}, {} channels of {} x {}, {}; {colours}",
        layer.op,
        shape.c,
        shape.h,
        shape.w,
        range(&layer.values)
    );
    let text = shorten(&text, Type::Body.fits(fits));
    let y = GAP + Type::Heading.line();
    canvas.text(&text, GAP, y, Type::Body, FAINT_INK);
}

fn greatest(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Least and greatest value.
fn range(values: &[f32]) -> String {
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let most = greatest(values);
    match least == most {
        true => format!("all {}", short_number(least)),
        false => format!("{}..{}", short_number(least), short_number(most)),
    }
}

fn channel(values: &[f32], rows: usize, columns: usize, scale: Option<ColourScale>) -> RgbImage {
    let mut picture = RgbImage::from_pixel(columns as u32, rows as u32, FLAT);
    for (pixel, value) in picture.pixels_mut().zip(values) {
        if let Some(scale) = &scale {
            *pixel = scale.colour(*value);
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use foveola_core::Shape;

    fn layer(shape: Shape, values: Vec<f32>) -> LayerValues {
        LayerValues {
            name: String::from("features/3"),
            op: String::from("Conv+Relu"),
            shape,
            values,
        }
    }

    /// Channel 1 is ten times as strong as channel 0 and otherwise equal: alike
    /// with their own ranges, not with one for both.
    #[test]
    fn ranges_are_each_channels_own_or_shared() {
        let values = (0..32).map(|i| (i / 2) as f32 * if i % 2 == 0 { 1.0 } else { 10.0 });
        let layer = layer(Shape::new(4, 4, 2), values.collect());
        let cell = |page: &RgbImage, c: u32| {
            let top = 2 * GAP + Type::Heading.line() + Type::Body.line();
            let x = GAP + c * (LEAST + GAP);
            image::imageops::crop_imm(page, x, top, LEAST, LEAST).to_image()
        };
        let own = draw(&layer, Span::Unit);
        assert_eq!(cell(&own, 0), cell(&own, 1));
        let shared = draw(&layer, Span::Shared);
        assert_ne!(cell(&shared, 0), cell(&shared, 1));
        assert_eq!(cell(&shared, 1), cell(&own, 1));
    }

    #[test]
    fn a_vector_is_one_cell() {
        let values = (0..10).map(|i| i as f32).collect();
        let layer = layer(Shape::new(1, 1, 10), values);
        assert_eq!(cells(&layer), (3, 4, 1));
        draw(&layer, Span::Unit);
    }
}
