//! Random numbers, and values with the corners of f32 among them.

use foveola_core::rng;

/// What the values of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of magnitude 0.25..2 times a scale, either sign.
    Usual,
    /// Small whole numbers, 0 of both signs among them: many are equal.
    Whole,
    /// Subnormal, either sign.
    Subnormal,
    /// A bit of all of these, and the smallest normal number.
    Mixed,
    /// Near the largest number: sums and products become infinite.
    Huge,
}

/// Words of Philox4x32-10, one after the other.
#[derive(Clone, Debug)]
pub struct Random {
    key: [u32; 2],
    stream: u32,
    at: u32,
}

impl Random {
    pub fn new(seed: u64, stream: u32) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            stream,
            at: 0,
        }
    }

    fn word(&mut self) -> u32 {
        // The last word keeps this apart from the numbers that methods draw.
        let words = rng::philox4x32_10([self.at / 4, self.stream, 0, 0xF0F0], self.key);
        self.at += 1;
        words[(self.at as usize - 1) % 4]
    }

    /// `0..1`
    pub fn unit(&mut self) -> f32 {
        rng::unit(self.word())
    }

    /// `0..n`
    pub fn below(&mut self, n: usize) -> usize {
        rng::below(self.word(), n as u32) as usize
    }

    /// `low..=high`
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True once in `n` times.
    pub fn chance(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn sign(&mut self) -> f32 {
        if self.chance(2) { -1.0 } else { 1.0 }
    }

    /// Kinds of values, usual ones most often.
    pub fn kind(&mut self) -> Kind {
        match self.below(64) {
            0..=43 => Kind::Usual,
            44..=49 => Kind::Whole,
            50 | 51 => Kind::Subnormal,
            52..=62 => Kind::Mixed,
            _ => Kind::Huge,
        }
    }

    pub fn values(&mut self, kind: Kind, len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|_| self.value(kind, scale)).collect()
    }

    fn value(&mut self, kind: Kind, scale: f32) -> f32 {
        let sign = self.sign();
        sign * match kind {
            Kind::Usual => scale * (0.25 + 1.75 * self.unit()),
            Kind::Whole => self.below(3) as f32,
            Kind::Subnormal => f32::from_bits(1 + self.below((1 << 23) - 1) as u32),
            Kind::Huge => 1e37 + 3e38 * self.unit(),
            Kind::Mixed => match self.below(9) {
                0 => 0.0,
                1 => f32::MIN_POSITIVE,
                2 => self.value(Kind::Subnormal, scale),
                3 => 1e-20 * self.unit(),
                _ => self.value(Kind::Usual, scale),
            },
        }
    }
}
