//! Scenes with one utility pole each, and the box that it stands in.

use super::backdrop;
use super::brush::{Colour, Dice, PixelBox, Stream};
use super::pole::Pole;

/// Side of a scene in pixels.
pub const SIDE: usize = 64;

/// What a pole is made of: the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A trunk.
    Wood,
    /// A cast mast.
    Concrete,
    /// A lattice.
    Steel,
}

impl Kind {
    /// In class order.
    pub const ALL: [Self; 3] = [Self::Wood, Self::Concrete, Self::Steel];

    /// Its label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Wood => "wood",
            Self::Concrete => "concrete",
            Self::Steel => "steel",
        }
    }
}

/// When snow lies on the ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snow {
    /// In one scene of three, whatever the pole: it says nothing about the class.
    Anywhere,
    /// Exactly where the pole is of concrete: a cue that gives the class away.
    WithConcrete,
    /// Exactly where it is not: who relied on the cue is wrong now.
    Swapped,
}

/// A scene.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Height x width x RGB.
    pub pixels: Vec<u8>,
    /// The class.
    pub kind: Kind,
    /// The smallest box around every pixel that the pole touches.
    pub pole: PixelBox,
    /// First row of the ground.
    pub horizon: usize,
    /// Whether snow lies on it.
    pub snow: bool,
}

/// Scene number `index` of a seed. Classes take turns; snow changes the ground
/// and nothing else.
pub fn draw(seed: u64, index: u32, snow: Snow) -> Scene {
    let kind = Kind::ALL[index as usize % Kind::ALL.len()];
    let mut plan = Plan::new(seed, index, kind, snow);
    let pole = plan.pole;
    let touched = plan.sheet.paint(|x, y| pole.colour(x, y));
    Scene {
        pixels: plan.develop(),
        kind,
        // A pole always covers something: its foot stands in the picture.
        pole: touched.unwrap_or(PixelBox {
            x: 0,
            y: 0,
            w: SIDE,
            h: SIDE,
        }),
        horizon: plan.horizon,
        snow: plan.snow,
    }
}

/// The pixels of [`draw`]'s scene without its pole; all else stays as it is.
pub fn draw_without_pole(seed: u64, index: u32, snow: Snow) -> Vec<u8> {
    let kind = Kind::ALL[index as usize % Kind::ALL.len()];
    Plan::new(seed, index, kind, snow).develop()
}

/// A scene before its pole is drawn.
struct Plan {
    sheet: super::brush::Sheet,
    pole: Pole,
    horizon: usize,
    snow: bool,
    exposure: Exposure,
    noise: Dice,
}

/// Light over the whole picture.
struct Exposure {
    contrast: f32,
    gain: Colour,
    noise: f32,
}

impl Plan {
    fn new(seed: u64, index: u32, kind: Kind, snow: Snow) -> Self {
        let stream = |stream| Dice::new(seed, index, stream);
        let mut dice = stream(Stream::Backdrop);
        let concrete = kind == Kind::Concrete;
        let snow = match snow {
            Snow::Anywhere => stream(Stream::Snow).below(3) == 0,
            Snow::WithConcrete => concrete,
            Snow::Swapped => !concrete,
        };
        let horizon = 34 + dice.below(11) as usize;
        let pole = Pole::new(kind, horizon as f32, &mut stream(Stream::Pole));
        let brightness = dice.between(0.72, 1.12);
        let exposure = Exposure {
            contrast: dice.between(0.75, 1.1),
            gain: [(); 3].map(|()| brightness * dice.between(0.94, 1.06)),
            noise: dice.between(2.0, 7.0),
        };
        Self {
            sheet: backdrop::draw(horizon as f32, snow, pole.wires(), &mut dice),
            pole,
            horizon,
            snow,
            exposure,
            noise: stream(Stream::Noise),
        }
    }

    /// Light, noise, and bytes.
    fn develop(&self) -> Vec<u8> {
        let Exposure {
            contrast,
            gain,
            noise,
        } = &self.exposure;
        let mut bytes = Vec::with_capacity(3 * SIDE * SIDE);
        for (i, colour) in self.sheet.pixels().iter().enumerate() {
            let words = self.noise.at((i / SIDE) as u32, (i % SIDE) as u32);
            for ((c, gain), word) in colour.iter().zip(gain).zip(words) {
                // The sum of four bytes: near enough to a normal distribution.
                let sum: u32 = word.to_le_bytes().into_iter().map(u32::from).sum();
                let error = (sum as f32 - 510.0) / 148.0;
                let value = ((c - 128.0) * contrast + 128.0) * gain + noise * error;
                bytes.push((value + 0.5) as u8);
            }
        }
        bytes
    }
}
