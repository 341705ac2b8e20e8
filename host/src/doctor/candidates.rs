//! The ways to prepare a photo that are worth a trial.

use crate::card::{Card, Channels, Resize};
use crate::graph::InputType;
use crate::model::OpenModel;
use crate::photo::variants::{Colour, Numbers, Order, Rule, Variant};

/// Mean and scale a channel.
type Pair = (&'static str, [f32; 3], [f32; 3]);

/// Of networks that take real numbers of three channels, red first.
const COLOURED: [Pair; 6] = [
    ("0 to 255", [0.0; 3], [1.0; 3]),
    ("0 to 1", [0.0; 3], [1.0 / 255.0; 3]),
    ("-1 to 1", [127.5; 3], [1.0 / 127.5; 3]),
    ("-128 to 127", [128.0; 3], [1.0; 3]),
    ("less ImageNet's mean", [123.675, 116.28, 103.53], [1.0; 3]),
    (
        "less ImageNet's mean, by its deviation",
        [123.675, 116.28, 103.53],
        [1.0 / 58.395, 1.0 / 57.12, 1.0 / 57.375],
    ),
];

/// Of networks that take real numbers of one channel.
const GREY: [Pair; 6] = [
    ("0 to 255", [0.0; 3], [1.0; 3]),
    ("0 to 1", [0.0; 3], [1.0 / 255.0; 3]),
    ("-1 to 1", [127.5; 3], [1.0 / 127.5; 3]),
    ("-128 to 127", [128.0; 3], [1.0; 3]),
    ("1 to 0, dark on light", [255.0; 3], [-1.0 / 255.0; 3]),
    ("255 to 0, dark on light", [255.0; 3], [-1.0; 3]),
];

/// Of networks that take integers.
const INTEGERS: [Pair; 3] = [
    ("-128 to 127", [128.0; 3], [1.0; 3]),
    ("0 to 255, saturated", [0.0; 3], [1.0; 3]),
    ("0 to 127", [0.0; 3], [0.5; 3]),
];

/// One way to prepare a photo.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// How.
    pub variant: Variant,
    /// In words.
    pub words: String,
    /// Whether it is what the card at hand says.
    pub stated: bool,
    channels: Channels,
    resize: Resize,
}

impl Candidate {
    /// The card for it, the rest of it as in `model`'s; `None` where no card
    /// can say it.
    pub fn card(&self, model: &Card) -> Option<Card> {
        let Numbers::Usual(_, mean, scale) = self.variant.numbers else {
            return None;
        };
        let sayable = self.variant.order == Order::Model && self.variant.colour != Colour::Luma;
        sayable.then(|| Card {
            resize: self.resize,
            channels: self.channels,
            mean: mean[..self.channels.count()].to_vec(),
            scale: scale[..self.channels.count()].to_vec(),
            ..model.clone()
        })
    }
}

/// What candidates change: the model's card with red first, in its plainest form.
/// `None` for networks that take no photos of one or three channels.
pub fn base(card: &Card) -> Option<Card> {
    let channels = match card.channels {
        Channels::Gray => Channels::Gray,
        Channels::Rgb | Channels::Bgr => Channels::Rgb,
        Channels::Rgba | Channels::Bgra => return None,
    };
    let count = channels.count();
    Some(Card {
        channels,
        mean: vec![0.0; count],
        scale: vec![1.0; count],
        ..card.clone()
    })
}

/// Everything worth a trial for this model; `base` is its card in its plainest form.
pub fn candidates(model: &OpenModel, base: &Card) -> Vec<Candidate> {
    let grey = base.channels.count() == 1;
    let integers = matches!(model.input_type, InputType::I8 | InputType::U8);
    let pairs: &[Pair] = match (integers, grey) {
        (true, _) => &INTEGERS,
        (false, true) => &GREY,
        (false, false) => &COLOURED,
    };
    let colours: &[Colour] = match grey {
        true => &[Colour::Card],
        false => &[Colour::Card, Colour::RedBlueSwapped, Colour::Luma],
    };
    let mut all = Vec::new();
    for &colour in colours {
        let mut numbers: Vec<Numbers> = pairs.iter().map(|pair| usual(pair, colour)).collect();
        if integers {
            numbers.push(Numbers::SignedByte);
        }
        for resize in [Resize::Squash, Resize::Crop, Resize::Letterbox] {
            let at = |numbers| candidate(colour, resize, Order::Model, numbers);
            all.extend(numbers.iter().copied().map(at));
        }
        if colour == Colour::Card {
            let at = |numbers| candidate(colour, Resize::Squash, Order::OtherLayout, numbers);
            all.extend(numbers.iter().copied().map(at));
        }
    }
    add_stated(&mut all, &model.card);
    all
}

/// A pair, in the order of the channels.
fn usual(&(words, mean, scale): &Pair, colour: Colour) -> Numbers {
    let turned = |[a, b, c]: [f32; 3]| match colour {
        Colour::RedBlueSwapped => [c, b, a],
        _ => [a, b, c],
    };
    Numbers::Usual(words, turned(mean), turned(scale))
}

fn candidate(colour: Colour, resize: Resize, order: Order, numbers: Numbers) -> Candidate {
    let channels = match colour {
        Colour::RedBlueSwapped => "BGR",
        Colour::Luma => "grey in every channel",
        _ => "RGB",
    };
    let range = match numbers {
        Numbers::Usual(words, ..) => words,
        _ => "bytes taken for signed ones",
    };
    let mut words = format!("{channels}, {range}, {}", name(resize));
    if order == Order::OtherLayout {
        words += ", NHWC and NCHW confused";
    }
    let variant = Variant {
        colour,
        rule: Rule::Other(resize),
        order,
        numbers,
    };
    Candidate {
        variant,
        words,
        stated: false,
        channels: match colour {
            Colour::RedBlueSwapped => Channels::Bgr,
            _ => Channels::Rgb,
        },
        resize,
    }
}

const fn name(resize: Resize) -> &'static str {
    match resize {
        Resize::Squash => "squash",
        Resize::Crop => "crop",
        Resize::Letterbox => "letterbox",
    }
}

/// Marks the candidate that the card at hand says, or adds it.
fn add_stated(all: &mut Vec<Candidate>, card: &Card) {
    let grey = card.channels.count() == 1;
    if grey {
        for candidate in all.iter_mut() {
            candidate.channels = Channels::Gray;
            candidate.words = candidate.words.replacen("RGB, ", "", 1);
        }
    }
    let says = |candidate: &Candidate| {
        candidate.card(card).is_some_and(|own| {
            let close = |a: &[f32], b: &[f32]| {
                let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * a.abs().max(1e-3);
                a.len() == b.len() && a.iter().zip(b).all(near)
            };
            own.channels == card.channels
                && own.resize == card.resize
                && close(&own.mean, &card.mean)
                && close(&own.scale, &card.scale)
        })
    };
    if let Some(same) = all.iter_mut().find(|candidate| says(candidate)) {
        same.stated = true;
        return;
    }
    let three = |list: &[f32], rest: f32| std::array::from_fn(|i| *list.get(i).unwrap_or(&rest));
    let numbers = Numbers::Usual(
        "mean and scale of the card",
        three(&card.mean, 0.0),
        three(&card.scale, 1.0),
    );
    let colour = match card.channels.blue_first() {
        true => Colour::RedBlueSwapped,
        false => Colour::Card,
    };
    let mut own = candidate(colour, card.resize, Order::Model, numbers);
    (own.stated, own.channels) = (true, card.channels);
    all.push(own);
}
