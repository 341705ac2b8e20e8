//! The stages before the network: which way of preparing the photo gives what
//! was found.

use foveola_core::Shape;
use image::RgbImage;

use super::{Cause, Kind};
use crate::card::{Card, Channels, OutputActivation, Resize};
use crate::graph::{InputType, Layout};
use crate::photo::Intake;
use crate::photo::variants::{
    Aspect, Numbers, Order, Preparation, Rule, Variant, stored, variants,
};

/// Places that are tried before all are.
const SAMPLES: usize = 512;

impl From<Aspect> for Kind {
    fn from(aspect: Aspect) -> Self {
        match aspect {
            Aspect::ByteOrder => Self::ByteSwap,
            Aspect::Depth => Self::ColourDepth,
            Aspect::Channels => Self::ChannelOrder,
            Aspect::Resize => Self::ResizeRule,
            Aspect::Layout => Self::Layout,
            Aspect::Range => Self::Mean,
            Aspect::Sign => Self::Sign,
        }
    }
}

/// An input that differs.
pub struct Prepared<'a> {
    /// The photo, as the other side decoded it where that is known.
    pub photo: &'a RgbImage,
    /// What the network takes.
    pub intake: Intake<'a>,
    /// What the input should be, model space, HWC.
    pub expected: &'a [f32],
    /// What it is.
    pub found: &'a [f32],
    /// The input of the previous picture, if it is known.
    pub previous: Option<&'a [f32]>,
}

impl Prepared<'_> {
    /// What two numbers may be apart and still count as equal.
    fn slack(&self) -> f32 {
        match self.intake.input_type {
            InputType::I8 | InputType::U8 => 0.0,
            _ => {
                let largest = self.expected.iter().chain(self.found);
                1e-4 * largest.fold(0.0, |most: f32, v| most.max(v.abs()))
            }
        }
    }

    /// One step of a byte, in model space.
    fn step(&self) -> f32 {
        let scale = self.intake.card.normalisation().scale;
        match self.intake.input_type {
            InputType::I8 | InputType::U8 => 1.0,
            _ => scale.iter().fold(0.0, |most: f32, s| most.max(s.abs())),
        }
    }

    /// How many of `places` a candidate misses by more than `slack`, at most `limit`.
    fn misses(
        &self,
        places: impl Iterator<Item = usize>,
        value: &dyn Fn(usize) -> f32,
        slack: f32,
        limit: usize,
    ) -> usize {
        let near = |i: &usize| (value(*i) - self.found[*i]).abs() <= slack;
        places.filter(|i| !near(i)).take(limit).count()
    }

    fn sample(&self) -> Vec<usize> {
        let length = self.found.len();
        (0..length)
            .step_by(length.div_ceil(SAMPLES).max(1))
            .collect()
    }

    fn is(&self, sample: &[usize], value: &dyn Fn(usize) -> f32, slack: f32) -> bool {
        self.misses(sample.iter().copied(), value, slack, 1) == 0
            && self.misses(0..self.found.len(), value, slack, 1) == 0
    }
}

/// Why the input tensor differs.
pub fn prepared(at: &Prepared<'_>) -> Vec<Cause> {
    if let Some(cause) = stale(at) {
        return vec![cause];
    }
    let made = Preparation::new(at.photo, at.intake);
    let made = made.and_then(|mut preparation| {
        let all = variants(at.intake.card);
        let exact = matching(at, &mut preparation, &all, at.slack());
        let close = at.step() * 1.01;
        let line = at.slack().max(at.step() * 1e-3);
        exact
            .or_else(|| affine(at, &mut preparation, &all, line))
            .or_else(|| nearly(matching(at, &mut preparation, &all, close)?))
            .or_else(|| nearly(affine(at, &mut preparation, &all, close)?))
    });
    made.unwrap_or_else(|| {
        vec![Cause {
            unexplained: at.found.len(),
            ..Cause::new(Kind::Unknown, linear_words(at))
        }]
    })
}

fn nearly(mut causes: Vec<Cause>) -> Option<Vec<Cause>> {
    for cause in &mut causes {
        cause.text += " (to within one step of a pixel)";
    }
    Some(causes)
}

fn causes_of(variant: &Variant, card: &Card) -> Vec<Cause> {
    let changes = variant.changes(card).into_iter();
    changes
        .map(|(aspect, text)| Cause::new(aspect.into(), text))
        .collect()
}

/// The first variant that gives what was found.
fn matching(
    at: &Prepared<'_>,
    preparation: &mut Preparation<'_>,
    all: &[Variant],
    slack: f32,
) -> Option<Vec<Cause>> {
    let count = at.intake.shape.c;
    let sample = at.sample();
    let found = all.iter().skip(1).find(|variant| {
        let pixels = preparation.pixels(variant.colour, variant.rule, variant.order);
        let numbers = preparation.numbers(variant.numbers);
        at.is(&sample, &|i| numbers(i % count, pixels[i]), slack)
    });
    found.map(|variant| causes_of(variant, at.intake.card))
}

/// Mean and scale that no table lists: a line through what pixels became.
fn affine(
    at: &Prepared<'_>,
    preparation: &mut Preparation<'_>,
    all: &[Variant],
    slack: f32,
) -> Option<Vec<Cause>> {
    let count = at.intake.shape.c;
    let sample = at.sample();
    let plain = |v: &&Variant| v.numbers == Numbers::Card;
    for variant in all.iter().filter(plain) {
        let pixels = preparation.pixels(variant.colour, variant.rule, variant.order);
        let lines: Option<Vec<Line>> = (0..count).map(|c| Line::of(at, &pixels, c)).collect();
        let Some(lines) = lines else { continue };
        let value = |i: usize| {
            let Line { scale, mean } = lines[i % count];
            let real = (f64::from(pixels[i]) - mean) * scale;
            stored(real as f32, at.intake.input_type)
        };
        if at.is(&sample, &value, slack) {
            let mut causes = causes_of(variant, at.intake.card);
            causes.push(lines_cause(&lines, at.intake.card));
            return Some(causes);
        }
    }
    None
}

fn lines_cause(lines: &[Line], card: &Card) -> Cause {
    let text = |of: fn(&Line) -> f64| {
        let numbers: Vec<String> = lines.iter().map(|l| format!("{:.4}", of(l))).collect();
        numbers.join(", ")
    };
    let text = format!(
        "mean {} and scale {}; the card says mean {:?}, scale {:?}",
        text(|line| line.mean),
        text(|line| line.scale),
        card.mean,
        card.scale
    );
    Cause::new(Kind::Mean, text)
}

/// (pixel - mean) * scale
#[derive(Clone, Copy)]
struct Line {
    scale: f64,
    mean: f64,
}

impl Line {
    /// That of a channel, by least squares over the pixels that are not
    /// saturated; `None` where there are too few to tell.
    fn of(at: &Prepared<'_>, pixels: &[u8], channel: usize) -> Option<Self> {
        let ends = match at.intake.input_type {
            InputType::I8 => [-128.0, 127.0],
            InputType::U8 => [0.0, 255.0],
            _ => [f32::NEG_INFINITY, f32::INFINITY],
        };
        let (mut n, mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let mut seen = [false; 256];
        for i in (channel..pixels.len()).step_by(at.intake.shape.c) {
            let (p, v) = (f64::from(pixels[i]), f64::from(at.found[i]));
            if !ends.contains(&at.found[i]) {
                (n, x, y) = (n + 1.0, x + p, y + v);
                (xx, xy) = (xx + p * p, xy + p * v);
                seen[usize::from(pixels[i])] = true;
            }
        }
        let distinct = seen.iter().filter(|&&s| s).count();
        let scale = (n * xy - x * y) / (n * xx - x * x);
        if distinct < 8 || !scale.is_finite() || scale == 0.0 {
            return None;
        }
        let integers = matches!(at.intake.input_type, InputType::I8 | InputType::U8);
        // Rounding blurs the line of integers: a usual scale near it is meant.
        let usual = [1.0, 0.5, 0.25, 2.0, 127.0 / 255.0, 128.0 / 255.0];
        let near = |s: &f64| (s / scale - 1.0).abs() < 0.01;
        let scale = usual.into_iter().filter(|_| integers).find(near);
        let scale = scale.unwrap_or((n * xy - x * y) / (n * xx - x * x));
        let mean = x / n - y / n / scale;
        let mean = match integers {
            true => (mean * 2.0).round() / 2.0,
            false => mean,
        };
        Some(Self { scale, mean })
    }
}

/// An input that is the previous picture's, or was not written at all, in part
/// or as a whole.
fn stale(at: &Prepared<'_>) -> Option<Cause> {
    let slack = at.slack();
    let apart = |i: &usize| (at.expected[*i] - at.found[*i]).abs() > slack;
    let length = at.found.len();
    let first = (0..length).find(apart)?;
    let last = (0..length).rfind(apart)?;
    let run = &at.found[first..=last];
    let place = format!("elements {first} to {last} of {length}");
    if let Some(previous) = at.previous {
        let same = run.iter().zip(&previous[first..=last]);
        if same.clone().all(|(a, b)| (a - b).abs() <= slack) {
            let text = format!("{place} are the previous picture's");
            return Some(Cause::new(Kind::StaleBuffer, text));
        }
    }
    let constant = run.len() >= 16 && run.iter().all(|v| *v == run[0]);
    let differing = (first..=last).filter(apart).count();
    (constant && differing * 2 > run.len()).then(|| {
        let text = format!("{place} are all {}: nobody wrote them", run[0]);
        Cause::new(Kind::StaleBuffer, text)
    })
}

/// What is seen where no hypothesis holds.
fn linear_words(at: &Prepared<'_>) -> String {
    let pairs = || at.expected.iter().zip(at.found);
    let count = pairs().count().max(1) as f64;
    let mean = pairs().map(|(a, b)| f64::from(b - a)).sum::<f64>() / count;
    let size = pairs().map(|(a, b)| f64::from((b - a).abs())).sum::<f64>() / count;
    format!(
        "no usual way of preparing the photo gives it; mean difference {mean:.3}, mean size {size:.3}"
    )
}

/// Why the decoded photo differs.
pub fn decoded(expected: &RgbImage, found: &RgbImage) -> Vec<Cause> {
    let (width, height) = expected.dimensions();
    if (height, width) == found.dimensions() && width != height {
        let text = "width and height are swapped: the turn that the file asks for was not made";
        return vec![Cause::new(Kind::Layout, text)];
    }
    let unknown = |text: &str| {
        vec![Cause {
            unexplained: found.as_raw().len(),
            ..Cause::new(Kind::Unknown, text)
        }]
    };
    if expected.dimensions() != found.dimensions() {
        return unknown("it has another size");
    }
    let card = pixels_as_they_are(expected);
    let intake = Intake {
        shape: Shape::new(height as usize, width as usize, 3),
        layout: Layout::Nhwc,
        input_type: InputType::U8,
        card: &card,
    };
    let floats =
        |image: &RgbImage| -> Vec<f32> { image.as_raw().iter().map(|&p| f32::from(p)).collect() };
    let at = Prepared {
        photo: expected,
        intake,
        expected: &floats(expected),
        found: &floats(found),
        previous: None,
    };
    let fits = |v: &Variant| {
        let turned = v.order == Order::Transposed && width != height;
        v.rule == Rule::Card && v.numbers == Numbers::Card && !turned
    };
    let all: Vec<Variant> = variants(&card).into_iter().filter(fits).collect();
    let preparation = Preparation::new(expected, intake);
    let matched = preparation.and_then(|mut p| matching(&at, &mut p, &all, 0.0));
    let causes = matched.or_else(|| stale(&at).map(|cause| vec![cause]));
    causes.unwrap_or_else(|| unknown("no usual confusion of colours or orientation gives it"))
}

/// A card that neither resizes nor changes a pixel.
fn pixels_as_they_are(photo: &RgbImage) -> Card {
    Card {
        size: [photo.height() as usize, photo.width() as usize],
        resize: Resize::Squash,
        channels: Channels::Rgb,
        mean: vec![0.0; 3],
        scale: vec![1.0; 3],
        activation: OutputActivation::None,
        labels: Vec::new(),
    }
}
