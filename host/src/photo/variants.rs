//! The usual ways to bring a photo to a network's input: the one that the card
//! states, and those that people confuse it with.
//!
//! A [`Variant`] is one choice each of colour, resize rule, orientation and
//! numbers. [`variants`] lists them all, those with the fewest changes first,
//! so the first one that reproduces an input names what was done to it.

use std::collections::HashMap;
use std::rc::Rc;

use foveola_core::Shape;
use image::RgbImage;

use super::{Intake, frame, swap_red_and_blue};
use crate::card::{Card, Channels, Resize};
use crate::graph::{InputType, Layout};
use crate::report::overlay::luma;

/// How the five and six bits of a colour become eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Widening {
    /// Low bits 0.
    Zeros,
    /// The high bits once more.
    Repeated,
    /// The nearest number to value * 255 / most.
    Scaled,
}

/// What becomes of the colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Colour {
    /// What the card says.
    Card,
    /// Red and blue change places.
    RedBlueSwapped,
    /// Luma in every channel.
    Luma,
    /// Stored as RGB565 and read again.
    Rgb565 {
        /// With the two bytes of a pixel in the wrong order.
        swapped: bool,
        /// How it is read.
        widening: Widening,
    },
}

/// How a picture gets the network's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// What the card says, by the triangle filter of [`foveola_core::picture::resize`].
    Card,
    /// Another rule of cards, by the same filter.
    Other(Resize),
    /// The pixel at the lower corner of the step: floor(i * from / to).
    NearestCorner,
    /// The pixel under the centre: floor((i + 1/2) * from / to).
    NearestCentre,
    /// Linear between two neighbours, centres on centres, without a filter.
    BilinearHalfPixel,
    /// Linear between two neighbours at i * from / to.
    BilinearCorner,
    /// Linear between two neighbours, first on first and last on last.
    BilinearAligned,
    /// The mean of all pixels that a step covers.
    Area,
    /// The upper left part, not resized; black outside the picture.
    UpperLeft,
}

/// How the pixels lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// As the model takes them.
    Model,
    /// Channel by channel where the model takes pixel by pixel, or the other way about.
    OtherLayout,
    /// Left and right change places.
    Mirrored,
    /// Top and bottom change places.
    UpsideDown,
    /// Rows and columns change places.
    Transposed,
}

/// How a pixel 0..255 becomes a number: (pixel - mean) * scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numbers {
    /// What the card says.
    Card,
    /// The card's scale without its mean.
    WithoutMean,
    /// The card's mean without its scale.
    WithoutScale,
    /// A usual pair.
    Usual(&'static str, [f32; 3], [f32; 3]),
    /// The byte taken for a signed one: 128 and more become negative.
    SignedByte,
}

/// The pairs that networks are trained with.
const USUAL: [Numbers; 8] = [
    Numbers::Usual("0 to 255", [0.0; 3], [1.0; 3]),
    Numbers::Usual("0 to 1", [0.0; 3], [1.0 / 255.0; 3]),
    Numbers::Usual("-1 to 1, by 127.5", [127.5; 3], [1.0 / 127.5; 3]),
    Numbers::Usual("-1 to 1, by 128", [128.0; 3], [1.0 / 128.0; 3]),
    Numbers::Usual("-128 to 127", [128.0; 3], [1.0; 3]),
    Numbers::Usual(
        "ImageNet's mean and deviation",
        [123.675, 116.28, 103.53],
        [1.0 / 58.395, 1.0 / 57.12, 1.0 / 57.375],
    ),
    Numbers::Usual(
        "less ImageNet's mean, blue first",
        [103.939, 116.779, 123.68],
        [1.0; 3],
    ),
    Numbers::Usual(
        "less ImageNet's mean, red first",
        [123.68, 116.779, 103.939],
        [1.0; 3],
    ),
];

/// One way to prepare a photo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variant {
    /// Colours.
    pub colour: Colour,
    /// Resize rule.
    pub rule: Rule,
    /// Orientation and layout.
    pub order: Order,
    /// Numbers.
    pub numbers: Numbers,
}

/// A part of a variant that is not as the card says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Aspect {
    /// The two bytes of an RGB565 pixel.
    ByteOrder,
    /// Colours cut to RGB565.
    Depth,
    /// The order of the channels, or colour against grey.
    Channels,
    /// The resize rule.
    Resize,
    /// Layout or orientation.
    Layout,
    /// Mean or scale.
    Range,
    /// Signed against unsigned bytes.
    Sign,
}

impl Variant {
    /// As the card says.
    pub const CARD: Self = Self {
        colour: Colour::Card,
        rule: Rule::Card,
        order: Order::Model,
        numbers: Numbers::Card,
    };

    /// What is not as the card says, with words for it.
    pub fn changes(&self, card: &Card) -> Vec<(Aspect, String)> {
        let colour = match self.colour {
            Colour::Card => None,
            Colour::RedBlueSwapped => Some((Aspect::Channels, red_blue(card))),
            Colour::Luma => Some((Aspect::Channels, "grey in every channel".to_owned())),
            Colour::Rgb565 { swapped: true, .. } => Some((
                Aspect::ByteOrder,
                "the two bytes of each RGB565 pixel are swapped".to_owned(),
            )),
            Colour::Rgb565 { .. } => {
                Some((Aspect::Depth, "the colours were cut to RGB565".to_owned()))
            }
        };
        let rule = self.rule.words().map(|words| (Aspect::Resize, words));
        let order = self.order.words();
        let order = order.map(|words| (Aspect::Layout, words.to_owned()));
        [colour, rule, order, self.numbers.words(card)]
            .into_iter()
            .flatten()
            .collect()
    }

    fn count(&self) -> usize {
        usize::from(self.colour != Colour::Card)
            + usize::from(self.rule != Rule::Card)
            + usize::from(self.order != Order::Model)
            + usize::from(self.numbers != Numbers::Card)
    }
}

fn red_blue(card: &Card) -> String {
    let (stated, found) = match card.channels.blue_first() {
        true => ("blue", "red"),
        false => ("red", "blue"),
    };
    format!("{found} comes first where the card says {stated}")
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 11] = [
        Self::Card,
        Self::Other(Resize::Squash),
        Self::Other(Resize::Crop),
        Self::Other(Resize::Letterbox),
        Self::NearestCorner,
        Self::NearestCentre,
        Self::BilinearHalfPixel,
        Self::BilinearCorner,
        Self::BilinearAligned,
        Self::Area,
        Self::UpperLeft,
    ];

    fn words(self) -> Option<String> {
        let words = match self {
            Self::Card => return None,
            Self::Other(Resize::Squash) => "squashed, by a triangle filter",
            Self::Other(Resize::Crop) => "the centre cropped, by a triangle filter",
            Self::Other(Resize::Letterbox) => "letterboxed, by a triangle filter",
            Self::NearestCorner => "the nearest pixel, counted from the corner",
            Self::NearestCentre => "the nearest pixel, counted from the centre",
            Self::BilinearHalfPixel => "bilinear without a filter, centres aligned",
            Self::BilinearCorner => "bilinear without a filter, upper left corners aligned",
            Self::BilinearAligned => "bilinear without a filter, all corners aligned",
            Self::Area => "the mean of each area",
            Self::UpperLeft => "the upper left part, not resized",
        };
        Some(words.to_owned())
    }
}

impl Order {
    const ALL: [Self; 5] = [
        Self::Model,
        Self::OtherLayout,
        Self::Mirrored,
        Self::UpsideDown,
        Self::Transposed,
    ];

    const fn words(self) -> Option<&'static str> {
        match self {
            Self::Model => None,
            Self::OtherLayout => Some("NHWC and NCHW are confused"),
            Self::Mirrored => Some("left and right are swapped"),
            Self::UpsideDown => Some("top and bottom are swapped"),
            Self::Transposed => Some("rows and columns are swapped"),
        }
    }
}

impl Numbers {
    fn words(self, card: &Card) -> Option<(Aspect, String)> {
        let words = match self {
            Self::Card => return None,
            Self::SignedByte => {
                let words = "the pixel's byte is taken for a signed one";
                return Some((Aspect::Sign, words.to_owned()));
            }
            Self::WithoutMean => "the card's mean is not subtracted".to_owned(),
            Self::WithoutScale => "the card's scale is not applied".to_owned(),
            Self::Usual(words, ..) => format!("the numbers are {words}"),
        };
        let stated = format!("the card says mean {:?}, scale {:?}", card.mean, card.scale);
        Some((Aspect::Range, format!("{words}; {stated}")))
    }

    /// Mean and scale, one a channel; `None` for [`Numbers::SignedByte`].
    pub fn of(self, card: &Card) -> Option<[[f32; 4]; 2]> {
        let n = card.normalisation();
        let wide = |[a, b, c]: [f32; 3]| [a, b, c, 0.0];
        Some(match self {
            Self::Card => [n.mean, n.scale],
            Self::WithoutMean => [[0.0; 4], n.scale],
            Self::WithoutScale => [n.mean, [1.0; 4]],
            Self::Usual(_, mean, scale) => [wide(mean), wide(scale)],
            Self::SignedByte => return None,
        })
    }
}

/// Every colour.
fn colours(channels: Channels) -> Vec<Colour> {
    let mut all = vec![Colour::Card];
    if channels.count() >= 3 {
        all.extend([Colour::RedBlueSwapped, Colour::Luma]);
    }
    for swapped in [true, false] {
        let ways = [Widening::Zeros, Widening::Repeated, Widening::Scaled];
        all.extend(ways.map(|widening| Colour::Rgb565 { swapped, widening }));
    }
    all
}

/// Every variant for a card, those with the fewest changes first.
pub fn variants(card: &Card) -> Vec<Variant> {
    let mut numbers = vec![
        Numbers::Card,
        Numbers::WithoutMean,
        Numbers::WithoutScale,
        Numbers::SignedByte,
    ];
    numbers.extend(USUAL);
    let own = |rule: &Rule| *rule != Rule::Other(card.resize);
    let mut all = Vec::new();
    for colour in colours(card.channels) {
        for rule in Rule::ALL.into_iter().filter(own) {
            for order in Order::ALL {
                all.extend(numbers.iter().map(|&numbers| Variant {
                    colour,
                    rule,
                    order,
                    numbers,
                }));
            }
        }
    }
    all.sort_by_key(Variant::count);
    all
}

/// A decoded photo, and the pixels that were made of it so far.
pub struct Preparation<'a> {
    photo: &'a RgbImage,
    intake: Intake<'a>,
    made: HashMap<(Colour, Rule, Order), Rc<Vec<u8>>>,
}

impl<'a> Preparation<'a> {
    /// For networks of one or three channels; `None` for others, which take
    /// no photos or have alpha.
    pub fn new(photo: &'a RgbImage, intake: Intake<'a>) -> Option<Self> {
        let count = intake.card.channels.count();
        let takes = matches!(count, 1 | 3) && count == intake.shape.c;
        let whole = photo.width() > 0 && photo.height() > 0;
        (takes && whole).then(|| Self {
            photo,
            intake,
            made: HashMap::new(),
        })
    }

    /// Pixels at the network's size, HWC, channels in the model's order.
    pub fn pixels(&mut self, colour: Colour, rule: Rule, order: Order) -> Rc<Vec<u8>> {
        if let Some(made) = self.made.get(&(colour, rule, order)) {
            return Rc::clone(made);
        }
        let pixels = match order {
            Order::Model => self.upright(colour, rule),
            _ => {
                let upright = self.pixels(colour, rule, Order::Model);
                reordered(&upright, self.intake.shape, self.intake.layout, order)
            }
        };
        let pixels = Rc::new(pixels);
        self.made.insert((colour, rule, order), Rc::clone(&pixels));
        pixels
    }

    fn upright(&self, colour: Colour, rule: Rule) -> Vec<u8> {
        let (width, height) = self.photo.dimensions();
        let channels = self.intake.card.channels;
        let coloured = recoloured(self.photo.as_raw(), colour);
        let pixels = match channels.count() {
            1 => coloured
                .chunks_exact(3)
                .map(|p| luma(image::Rgb([p[0], p[1], p[2]])))
                .collect(),
            _ => coloured,
        };
        let from = Shape::new(height as usize, width as usize, self.intake.shape.c);
        let mut sized = resized(pixels, from, self.intake.shape, rule, self.intake.card);
        let swap = (colour == Colour::RedBlueSwapped) != channels.blue_first();
        if swap && channels.count() == 3 {
            swap_red_and_blue(&mut sized, 3);
        }
        sized
    }

    /// The network's input in model space, HWC. For a network that takes
    /// integers they are rounded and saturated.
    pub fn input(&mut self, variant: &Variant) -> Vec<f32> {
        let pixels = self.pixels(variant.colour, variant.rule, variant.order);
        let numbers = self.numbers(variant.numbers);
        let count = self.intake.shape.c;
        let value = |(i, &p): (usize, &u8)| numbers(i % count, p);
        pixels.iter().enumerate().map(value).collect()
    }

    /// The number for a pixel of a channel.
    pub fn numbers(&self, numbers: Numbers) -> impl Fn(usize, u8) -> f32 + use<> {
        let pair = numbers.of(self.intake.card);
        let kind = self.intake.input_type;
        move |channel, pixel| {
            let real = match pair {
                Some([mean, scale]) => (f32::from(pixel) - mean[channel]) * scale[channel],
                None => f32::from(pixel.cast_signed()),
            };
            stored(real, kind)
        }
    }
}

/// What a network that takes integers makes of a number: the nearest one, halves
/// away from zero, saturated.
pub fn stored(real: f32, kind: InputType) -> f32 {
    match kind {
        InputType::I8 => real.round().clamp(-128.0, 127.0),
        InputType::U8 => real.round().clamp(0.0, 255.0),
        InputType::F32 | InputType::F16 => real,
    }
}

fn recoloured(rgb: &[u8], colour: Colour) -> Vec<u8> {
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
fn through_565([r, g, b]: [u8; 3], swapped: bool, widening: Widening) -> [u8; 3] {
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

fn reordered(pixels: &[u8], shape: Shape, layout: Layout, order: Order) -> Vec<u8> {
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
fn resized(pixels: Vec<u8>, from: Shape, to: Shape, rule: Rule, card: &Card) -> Vec<u8> {
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
fn covered(i: usize, from: usize, to: usize) -> Vec<(usize, f64)> {
    let step = from as f64 / to as f64;
    let (begin, end) = (i as f64 * step, (i + 1) as f64 * step);
    let last = (end.ceil() as usize).min(from);
    let share = |at: usize| {
        let inside = end.min(at as f64 + 1.0) - begin.max(at as f64);
        (at, inside.max(0.0) / step)
    };
    (begin as usize..last).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::OutputActivation;
    use crate::photo::Photo;

    fn card(channels: Channels) -> Card {
        Card {
            size: [6, 5],
            resize: Resize::Crop,
            channels,
            mean: vec![10.0, 20.0, 30.0],
            scale: vec![0.5, 0.25, 0.125],
            activation: OutputActivation::None,
            labels: Vec::new(),
        }
    }

    fn photo() -> RgbImage {
        RgbImage::from_fn(13, 9, |x, y| {
            image::Rgb([(x * 19) as u8, (y * 28) as u8, (x * y * 2) as u8])
        })
    }

    /// The plain variant is what the rest of the program makes of a photo.
    #[test]
    fn the_cards_variant_is_the_photo_itself() {
        for channels in [Channels::Rgb, Channels::Bgr, Channels::Gray] {
            let card = card(channels);
            let intake = Intake {
                shape: Shape::new(6, 5, channels.count()),
                layout: Layout::Nchw,
                input_type: InputType::F32,
                card: &card,
            };
            let image = photo();
            let made = Photo::from_image(&image.clone().into(), &intake).unwrap();
            let foveola_core::Picture::Pixels { data, .. } = made.picture() else {
                panic!("a photo has pixels");
            };
            let mut preparation = Preparation::new(&image, intake).unwrap();
            let pixels = preparation.pixels(Colour::Card, Rule::Card, Order::Model);
            assert_eq!(pixels.as_slice(), data, "{channels:?}");
            let input = preparation.input(&Variant::CARD);
            let n = card.normalisation();
            let wanted = |i: usize| {
                let c = i % channels.count();
                (f32::from(data[i]) - n.mean[c]) * n.scale[c]
            };
            assert!((0..data.len()).all(|i| input[i] == wanted(i)));
        }
    }

    #[test]
    fn the_fewest_changes_come_first_and_all_have_words() {
        let card = card(Channels::Rgb);
        let all = variants(&card);
        assert_eq!(all[0], Variant::CARD);
        assert!(all.is_sorted_by_key(Variant::count));
        assert!(all.iter().all(|v| v.changes(&card).len() == v.count()));
        assert_eq!(all.len(), 9 * 10 * 5 * 12);
    }

    /// Pure red is 0xF800; its bytes swapped, 0x00F8, are green 7 and blue 24.
    #[test]
    fn swapped_bytes_of_rgb565() {
        let red = [255, 0, 0];
        assert_eq!(through_565(red, true, Widening::Zeros), [0, 28, 192]);
        assert_eq!(through_565(red, false, Widening::Zeros), [248, 0, 0]);
        assert_eq!(through_565(red, false, Widening::Repeated), [255, 0, 0]);
        assert_eq!(through_565(red, false, Widening::Scaled), [255, 0, 0]);
    }

    #[test]
    fn an_area_is_covered_once() {
        for (from, to) in [(13, 5), (5, 13), (96, 96), (7, 1)] {
            for i in 0..to {
                let sum: f64 = covered(i, from, to).iter().map(|(_, share)| share).sum();
                assert!((sum - 1.0).abs() < 1e-9, "{from} {to} {i}");
            }
        }
    }
}
