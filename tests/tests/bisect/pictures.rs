//! Photos, and what engines that prepare them wrongly make of them.

use foveola_core::Shape;
use image::{Rgb, RgbImage};

use super::networks::{Network, Random};
use foveola::graph::InputType;

/// A photo of soft shapes and noise.
pub fn photo(random: &mut Random, width: u32, height: u32) -> RgbImage {
    let waves: Vec<[f64; 4]> = (0..3)
        .map(|_| {
            let [a, b] = [0, 1].map(|_| random.real(0.05, 0.6));
            [a, b, random.real(0.0, 6.0), random.real(40.0, 100.0)]
        })
        .collect();
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([0, 1, 2].map(|c: usize| {
            let [a, b, phase, size] = waves[c];
            let wave = (f64::from(x) * a + f64::from(y) * b + phase).sin() * size;
            (128.0 + wave + random.real(-25.0, 25.0)).clamp(0.0, 255.0) as u8
        }))
    })
}

/// A fault between the photo and the input tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wrong {
    ByteSwap { widen: bool },
    Bgr,
    Mean([f32; 3], [f32; 3]),
    Resize(Rule),
}

/// Resize rules that the card does not say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Nearest,
    NearestCentre,
    HalfPixel,
    Aligned,
    Corner,
    Crop,
    Letterbox,
}

/// Pixels of the network's size as an engine with this fault prepares them.
pub fn pixels(photo: &RgbImage, to: Shape, wrong: Wrong) -> RgbImage {
    match wrong {
        Wrong::ByteSwap { widen } => byte_swapped(photo, widen),
        Wrong::Bgr => RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
            let Rgb([r, g, b]) = *photo.get_pixel(x, y);
            Rgb([b, g, r])
        }),
        Wrong::Mean(..) => photo.clone(),
        Wrong::Resize(rule) => resized(photo, to, rule),
    }
}

/// RGB565, high byte first where low byte first is meant.
fn byte_swapped(photo: &RgbImage, widen: bool) -> RgbImage {
    RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
        let Rgb([r, g, b]) = *photo.get_pixel(x, y);
        let high = (r & 0xF8) | (g >> 5);
        let low = ((g << 3) & 0xE0) | (b >> 3);
        // Read as (low, high).
        let (r, g, b) = (low >> 3, (low & 7) << 3 | high >> 5, high & 0x1F);
        match widen {
            true => Rgb([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2]),
            false => Rgb([r << 3, g << 2, b << 3]),
        }
    })
}

fn resized(photo: &RgbImage, to: Shape, rule: Rule) -> RgbImage {
    let (w, h) = (photo.width() as i64, photo.height() as i64);
    let (tw, th) = (to.w as i64, to.h as i64);
    let at = |x: i64, y: i64, c: usize| {
        let (x, y) = (x.clamp(0, w - 1) as u32, y.clamp(0, h - 1) as u32);
        f64::from(photo.get_pixel(x, y).0[c])
    };
    let linear = |x: f64, y: f64, c: usize| {
        let (x, y) = (x.clamp(0.0, (w - 1) as f64), y.clamp(0.0, (h - 1) as f64));
        let (x0, y0) = (x.floor(), y.floor());
        let (fx, fy) = (x - x0, y - y0);
        let (x0, y0) = (x0 as i64, y0 as i64);
        let top = at(x0, y0, c) * (1.0 - fx) + at(x0 + 1, y0, c) * fx;
        let bottom = at(x0, y0 + 1, c) * (1.0 - fx) + at(x0 + 1, y0 + 1, c) * fx;
        (top * (1.0 - fy) + bottom * fy + 0.5).floor()
    };
    let ratio = |from: i64, to: i64| from as f64 / to as f64;
    let (sx, sy) = (ratio(w, tw), ratio(h, th));
    RgbImage::from_fn(to.w as u32, to.h as u32, |x, y| {
        let (px, py) = (f64::from(x), f64::from(y));
        Rgb([0, 1, 2].map(|c| {
            let value = match rule {
                Rule::Nearest => at((px * sx) as i64, (py * sy) as i64, c),
                Rule::NearestCentre => at(((px + 0.5) * sx) as i64, ((py + 0.5) * sy) as i64, c),
                Rule::HalfPixel => linear((px + 0.5) * sx - 0.5, (py + 0.5) * sy - 0.5, c),
                Rule::Corner => linear(px * sx, py * sy, c),
                Rule::Aligned => linear(px * ratio(w - 1, tw - 1), py * ratio(h - 1, th - 1), c),
                // The caller gives photos that need no scaling for these.
                Rule::Crop => at(i64::from(x) + (w - tw) / 2, i64::from(y) + (h - th) / 2, c),
                Rule::Letterbox => {
                    let (x, y) = (i64::from(x) - (tw - w) / 2, i64::from(y) - (th - h) / 2);
                    match (0..w).contains(&x) && (0..h).contains(&y) {
                        true => at(x, y, c),
                        false => 0.0,
                    }
                }
            };
            value as u8
        }))
    })
}

/// The size of a photo that shows a rule.
pub fn size_for(random: &mut Random, to: Shape, rule: Rule) -> (u32, u32) {
    let (w, h) = (to.w as u32, to.h as u32);
    let more = |random: &mut Random| random.within(5, 40) as u32;
    match rule {
        Rule::Crop => (w + 2 * random.within(2, 9) as u32, h),
        Rule::Letterbox => (w, h - 2 * random.within(1, 3) as u32),
        _ => (w + more(random), h + more(random)),
    }
}

/// The input tensor in the model's own space, HWC.
pub fn input(network: &Network, pixels: &RgbImage, wrong: Option<Wrong>) -> Vec<f32> {
    let (mean, scale) = match wrong {
        Some(Wrong::Mean(mean, scale)) => (mean, scale),
        _ => ([network.card.mean[0]; 3], [network.card.scale[0]; 3]),
    };
    let kind = network.graph.input_type;
    let number = |(i, &p): (usize, &u8)| {
        let x = (f32::from(p) - mean[i % 3]) * scale[i % 3];
        match kind {
            InputType::I8 => x.round().clamp(-128.0, 127.0),
            _ => x,
        }
    };
    pixels.as_raw().iter().enumerate().map(number).collect()
}
