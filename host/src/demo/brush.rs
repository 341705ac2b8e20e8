//! Drawing with smooth edges, in arithmetic that gives the same bytes on every
//! machine: f32 sums, products, quotients and comparisons only.

use foveola_core::rng::{below, philox4x32_10, unit};

use super::scene::SIDE;

/// Red, green, blue, 0 to 255.
pub type Colour = [f32; 3];

/// Samples along each side of a pixel.
const SAMPLES: usize = 3;

/// Last word of the counter for scenes; `core`'s own purposes are small numbers.
const SCENES: u32 = 0x5CE0_0000;

/// What a stream of random numbers is for. Each has its own, so a scene with
/// snow or without a pole is otherwise the same scene.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// Sky, ground, what stands on it, light.
    Backdrop = 0,
    /// The pole.
    Pole = 1,
    /// Noise of each pixel: index = row, block = column.
    Noise = 2,
    /// Whether there is snow.
    Snow = 3,
}

/// Random numbers of one scene, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Dice {
    seed: u64,
    sample: u32,
    stream: Stream,
    drawn: u32,
}

impl Dice {
    /// The stream of a scene.
    pub const fn new(seed: u64, sample: u32, stream: Stream) -> Self {
        Self {
            seed,
            sample,
            stream,
            drawn: 0,
        }
    }

    /// The four words at one place of the stream.
    pub const fn at(&self, index: u32, block: u32) -> [u32; 4] {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let purpose = SCENES + self.stream as u32;
        philox4x32_10([self.sample, index, block, purpose], key)
    }

    /// The next word.
    pub const fn word(&mut self) -> u32 {
        let [word, ..] = self.at(self.drawn, 0);
        self.drawn += 1;
        word
    }

    /// A number from `low` to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * unit(self.word())
    }

    /// An integer from 0 to `n` - 1.
    pub const fn below(&mut self, n: u32) -> u32 {
        below(self.word(), n)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        unit(self.word()) < probability
    }

    /// A colour near `middle`: lighter or darker by up to `light`, and each
    /// channel off by up to `tint`.
    pub fn colour(&mut self, middle: Colour, light: f32, tint: f32) -> Colour {
        let shift = self.between(-light, light);
        middle.map(|c| c + shift + self.between(-tint, tint))
    }
}

/// A number in -1..1 that belongs to a cell of a texture.
pub const fn grain(x: i32, y: i32, salt: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77) ^ salt;
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    2.0 * unit(h ^ (h >> 15)) - 1.0
}

/// Smooth noise in -1..1 with cells of side 1.
pub fn mottle(x: f32, y: f32, salt: u32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (cx, cy) = (fx as i32, fy as i32);
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (ease(x - fx), ease(y - fy));
    let row = |y: i32| {
        let (a, b) = (grain(cx, y, salt), grain(cx + 1, y, salt));
        a + (b - a) * tx
    };
    let (a, b) = (row(cy), row(cy + 1));
    a + (b - a) * ty
}

/// From `a` at 0 to `b` at 1.
pub fn blend(a: Colour, b: Colour, t: f32) -> Colour {
    let [r, g, bl] = a;
    let [r1, g1, b1] = b;
    [r + (r1 - r) * t, g + (g1 - g) * t, bl + (b1 - bl) * t]
}

/// All channels times `factor`.
pub fn shade(colour: Colour, factor: f32) -> Colour {
    colour.map(|c| c * factor)
}

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelBox {
    /// Left column.
    pub x: usize,
    /// Top row.
    pub y: usize,
    /// Columns.
    pub w: usize,
    /// Rows.
    pub h: usize,
}

impl PixelBox {
    /// Whether a pixel lies inside.
    pub const fn contains(&self, x: usize, y: usize) -> bool {
        x >= self.x && x < self.x + self.w && y >= self.y && y < self.y + self.h
    }

    /// Pixels inside.
    pub const fn area(&self) -> usize {
        self.w * self.h
    }
}

/// A picture being drawn.
#[derive(Clone, Debug)]
pub struct Sheet {
    pixels: Vec<Colour>,
}

impl Sheet {
    /// Draws every pixel anew: `colour(x, y)` at its centre.
    pub fn new(colour: impl Fn(f32, f32) -> Colour) -> Self {
        let at = |i: usize| colour((i % SIDE) as f32 + 0.5, (i / SIDE) as f32 + 0.5);
        Self {
            pixels: (0..SIDE * SIDE).map(at).collect(),
        }
    }

    /// Draws a shape with smooth edges: `colour(x, y)` is `None` outside it.
    /// Returns the box of the pixels that it touches.
    pub fn paint(&mut self, colour: impl Fn(f32, f32) -> Option<Colour>) -> Option<PixelBox> {
        let mut touched: Option<[usize; 4]> = None;
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            let (x, y) = (i % SIDE, i / SIDE);
            let Some((over, cover)) = average(x, y, &colour) else {
                continue;
            };
            *pixel = blend(*pixel, over, cover);
            let [left, top, right, bottom] = touched.unwrap_or([x, y, x, y]);
            touched = Some([left.min(x), top.min(y), right.max(x), bottom.max(y)]);
        }
        touched.map(|[left, top, right, bottom]| PixelBox {
            x: left,
            y: top,
            w: right - left + 1,
            h: bottom - top + 1,
        })
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> &[Colour] {
        &self.pixels
    }
}

/// Mean colour of the samples of a pixel that lie inside a shape, and their share.
fn average(
    x: usize,
    y: usize,
    colour: &impl Fn(f32, f32) -> Option<Colour>,
) -> Option<(Colour, f32)> {
    let mut sum = [0.0; 3];
    let mut hits = 0.0;
    for s in 0..SAMPLES * SAMPLES {
        let place = |p: usize, k: usize| p as f32 + (k as f32 + 0.5) / SAMPLES as f32;
        let (sx, sy) = (place(x, s % SAMPLES), place(y, s / SAMPLES));
        if let Some(c) = colour(sx, sy) {
            sum.iter_mut().zip(c).for_each(|(a, v)| *a += v);
            hits += 1.0;
        }
    }
    (hits > 0.0).then(|| (sum.map(|v| v / hits), hits / (SAMPLES * SAMPLES) as f32))
}
