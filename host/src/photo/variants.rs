//! The usual ways to bring a photo to a network's input: the one that the card
//! states, and those that people confuse it with.
//!
//! A [`Variant`] is one choice each of colour, resize rule, orientation and
//! numbers. [`variants`] lists them all, those with the fewest changes first,
//! so the first one that reproduces an input names what was done to it.

mod pixels;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::rc::Rc;

use foveola_core::Shape;
use image::RgbImage;

use pixels::{recoloured, reordered, resized};

use super::{Intake, swap_red_and_blue};
use crate::card::{Card, Channels, Resize};
use crate::graph::InputType;
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
