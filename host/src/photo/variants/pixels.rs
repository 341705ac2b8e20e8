//! Pixels recoloured, in another order, and at another size.

use foveola_core::Shape;

use super::{Colour, Order, Rule, Widening};
use crate::card::Card;
use crate::graph::Layout;
use crate::photo::frame;
use crate::report::overlay::luma;

/// RGB pixels in other colours.
pub(super) fn recoloured(rgb: &[u8], colour: Colour) -> Vec<u8> {
    let each = |of: fn([u8; 3], bool, Widening) -> [u8; 3], swapped, widening| {
        let pixels = rgb.as_chunks::<3>().0.iter();
        pixels.flat_map(|&p| of(p, swapped, widening)).collect()
    };
    match colour {
        Colour::Card | Colour::RedBlueSwapped => rgb.to_vec(),
        Colour::Luma => each(|p, _, _| [luma(image::Rgb(p)); 3], false, Widening::Zeros),
        Colour::Rgb565 { swapped, widening } => each(through_565, swapped, widening),
    }
}

/// A pixel stored as RGB565 and read again.
pub(super) fn through_565([r, g, b]: [u8; 3], swapped: bool, widening: Widening) -> [u8; 3] {
    let stored = u16::from(r >> 3) << 11 | u16::from(g >> 2) << 5 | u16::from(b >> 3);
    let read = if swapped { stored.swap_bytes() } else { stored };
    let widen = |value: u16, bits: u32| -> u8 {
        let high = value << (8 - bits);
        let most = (1 << bits) - 1;
        (match widening {
            Widening::Zeros => high,
            Widening::Repeated => high | value >> (2 * bits - 8),
            Widening::Scaled => (value * 255 + most / 2) / most,
        }) as u8
    };
    [
        widen(read >> 11, 5),
        widen(read >> 5 & 63, 6),
        widen(read & 31, 5),
    ]
}

/// Pixels of a shape in another order.
pub(super) fn reordered(pixels: &[u8], shape: Shape, layout: Layout, order: Order) -> Vec<u8> {
    let Shape { h, w, c } = shape;
    let area = h * w;
    let from = |i: usize| {
        let (y, x, ch) = (i / (w * c), i / c % w, i % c);
        match order {
            Order::Model => i,
            Order::Mirrored => (y * w + w - 1 - x) * c + ch,
            Order::UpsideDown => ((h - 1 - y) * w + x) * c + ch,
            // The transposed picture read row by row, whatever the sides.
            Order::Transposed => {
                let place = y * w + x;
                (place % h * w + place / h) * c + ch
            }
            // Planes read as pixels, or pixels read as planes.
            Order::OtherLayout if layout == Layout::Nhwc => i % area * c + i / area,
            Order::OtherLayout => ch * area + y * w + x,
        }
    };
    (0..pixels.len()).map(|i| pixels[from(i)]).collect()
}

/// Pixels of shape `from` at the size of `to`.
pub(super) fn resized(pixels: Vec<u8>, from: Shape, to: Shape, rule: Rule, card: &Card) -> Vec<u8> {
    let size = [to.h, to.w];
    let by_filter = |pixels, resize| frame::fit(pixels, from, size, resize).unwrap_or_default();
    let at = |y: usize, x: usize, c: usize| f64::from(pixels[(y * from.w + x) * from.c + c]);
    match rule {
        Rule::Card => by_filter(pixels, card.resize),
        Rule::Other(resize) => by_filter(pixels, resize),
        Rule::NearestCorner => nearest(from, to, 0.0, &at),
        Rule::NearestCentre => nearest(from, to, 0.5, &at),
        Rule::BilinearHalfPixel | Rule::BilinearCorner | Rule::BilinearAligned => {
            fill(to, |y, x, c| {
                let (y0, y1, fy) = between(rule, y, from.h, to.h);
                let (x0, x1, fx) = between(rule, x, from.w, to.w);
                let above = at(y0, x0, c) * (1.0 - fx) + at(y0, x1, c) * fx;
                let below = at(y1, x0, c) * (1.0 - fx) + at(y1, x1, c) * fx;
                above * (1.0 - fy) + below * fy
            })
        }
        Rule::Area => fill(to, |y, x, c| {
            let columns = covered(x, from.w, to.w);
            let row = |(row, share): (usize, f64)| -> f64 {
                let columns = columns.iter();
                share * columns.map(|(x, part)| part * at(row, *x, c)).sum::<f64>()
            };
            covered(y, from.h, to.h).into_iter().map(row).sum()
        }),
        Rule::UpperLeft => fill(to, |y, x, c| match y < from.h && x < from.w {
            true => at(y, x, c),
            false => 0.0,
        }),
    }
}

/// The pixel under a place of the step, `half` of it from its corner.
fn nearest(from: Shape, to: Shape, half: f64, at: &dyn Fn(usize, usize, usize) -> f64) -> Vec<u8> {
    let place = |i: usize, from: usize, to: usize| {
        let place = ((i as f64 + half) * from as f64 / to as f64) as usize;
        place.min(from - 1)
    };
    fill(to, |y, x, c| {
        at(place(y, from.h, to.h), place(x, from.w, to.w), c)
    })
}

fn fill(shape: Shape, value: impl Fn(usize, usize, usize) -> f64) -> Vec<u8> {
    let value = |i: usize| value(i / shape.row(), i / shape.c % shape.w, i % shape.c);
    let bytes = (0..shape.len()).map(|i| (value(i) + 0.5).floor().clamp(0.0, 255.0) as u8);
    bytes.collect()
}

/// The two neighbours of a place, and how far it is from the first.
fn between(rule: Rule, i: usize, from: usize, to: usize) -> (usize, usize, f64) {
    let step = from as f64 / to as f64;
    let place = match rule {
        Rule::BilinearHalfPixel => (i as f64 + 0.5) * step - 0.5,
        Rule::BilinearAligned if to > 1 => i as f64 * (from - 1) as f64 / (to - 1) as f64,
        _ => i as f64 * step,
    };
    let place = place.clamp(0.0, (from - 1) as f64);
    let first = place as usize;
    (first, (first + 1).min(from - 1), place - first as f64)
}

/// The pixels that step `i` covers, with their shares.
pub(super) fn covered(i: usize, from: usize, to: usize) -> Vec<(usize, f64)> {
    let step = from as f64 / to as f64;
    let (begin, end) = (i as f64 * step, (i + 1) as f64 * step);
    let last = (end.ceil() as usize).min(from);
    let share = |at: usize| {
        let inside = end.min(at as f64 + 1.0) - begin.max(at as f64);
        (at, inside.max(0.0) / step)
    };
    (begin as usize..last).map(share).collect()
}
