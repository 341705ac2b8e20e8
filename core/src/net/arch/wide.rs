//! Vectors of sixteen lanes, for the kernels that gain most from them.

use super::Simd;

/// Four int8 weights of each of sixteen channels.
pub(in crate::net) type Quads = [[i8; 4]; 16];

/// Sixteen f32 at once, with the arithmetic of the same type's [`Simd`]. A
/// value of such a type is the proof that its instructions exist, so its
/// methods are safe.
pub(in crate::net) trait Wide: Simd {
    /// Sixteen f32.
    type W: Copy;

    fn fill(self, x: f32) -> Self::W;

    /// Up to 16 elements, zeros behind them.
    fn read(self, from: &[f32]) -> Self::W;

    fn read_all(self, from: &[f32; 16]) -> Self::W;

    /// Two blocks of 8.
    fn read_two(self, low: &[f32; 8], high: &[f32; 8]) -> Self::W;

    /// Writes up to 16 elements.
    fn write(self, v: Self::W, to: &mut [f32]);

    fn write_all(self, v: Self::W, to: &mut [f32; 16]);

    /// `sum + a * b`
    fn add_products(self, sum: Self::W, a: Self::W, b: Self::W) -> Self::W;

    fn sum(self, a: Self::W, b: Self::W) -> Self::W;

    fn products(self, a: Self::W, b: Self::W) -> Self::W;

    /// `a > b ? a : b`
    fn largest(self, a: Self::W, b: Self::W) -> Self::W;

    /// `a < b ? a : b`
    fn smallest(self, a: Self::W, b: Self::W) -> Self::W;

    /// `x > 0 ? x : other`
    fn positives_or(self, x: Self::W, other: Self::W) -> Self::W;

    /// `seen`, and a bit for each of the first `live` lanes that hold NaN.
    fn nans(self, seen: u16, v: Self::W, live: usize) -> u16;
}
