//! Gaussian blur over rows and columns, the border repeated.
//!
//! Weights are exp(-i^2 / (2 sigma^2)) for |i| <= floor(4 sigma + 0.5), divided
//! by their sum. One row at a time: first down the columns into a row of
//! scratch, then along it, so the scratch is one row and the weights.

use crate::error::Error;
use crate::tensor::Shape;

/// Where the weights end, in standard deviations.
const TRUNCATE: f32 = 4.0;

/// Radius (standard deviation) with which a picture hides what it shows:
/// a twenty-fifth of its shorter side, rounded; 0 below 13 pixels.
#[must_use]
pub const fn blur_radius(short_side: usize) -> usize {
    // No half can occur, 25 being odd, so half-to-even and half-up agree.
    (short_side + 12) / 25
}

/// Scratch of both blurs, in elements.
#[must_use]
pub fn blur_scratch(shape: Shape, sigma: f32) -> usize {
    shape.row() + half_width(sigma) + 1
}

fn half_width(sigma: f32) -> usize {
    (TRUNCATE * sigma + 0.5) as usize
}

/// Blurs u8 pixels of any number of channels; the result is rounded, halves up.
///
/// # Errors
/// [`Error::BufferTooSmall`] for data, `out` (`shape.len()` each) or `scratch`
/// ([`blur_scratch`]); [`Error::BadParameter`] for a sigma that is not positive and finite.
pub fn blur_pixels(
    shape: Shape,
    data: &[u8],
    sigma: f32,
    scratch: &mut [f32],
    out: &mut [u8],
) -> Result<(), Error> {
    let round = |value: f32| (value + 0.5) as u8;
    blur(shape, data, sigma, scratch, out, f32::from, round)
}

/// As [`blur_pixels`], for numbers of any range.
///
/// # Errors
/// As [`blur_pixels`].
pub fn blur_tensor(
    shape: Shape,
    data: &[f32],
    sigma: f32,
    scratch: &mut [f32],
    out: &mut [f32],
) -> Result<(), Error> {
    blur(shape, data, sigma, scratch, out, |v| v, |v| v)
}

fn blur<T: Copy>(
    shape: Shape,
    data: &[T],
    sigma: f32,
    scratch: &mut [f32],
    out: &mut [T],
    load: impl Fn(T) -> f32,
    store: impl Fn(f32) -> T,
) -> Result<(), Error> {
    if !(sigma > 0.0 && sigma.is_finite()) {
        return Err(Error::BadParameter("sigma of a blur"));
    }
    enough(shape.len(), data.len())?;
    enough(shape.len(), out.len())?;
    let need = blur_scratch(shape, sigma);
    enough(need, scratch.len())?;
    let (blurred, weights) = scratch
        .split_at_mut_checked(shape.row())
        .ok_or(Error::Internal)?;
    let weights = weights
        .get_mut(..=half_width(sigma))
        .ok_or(Error::Internal)?;
    gaussian(weights, sigma);
    let rows = out.chunks_exact_mut(shape.row().max(1)).take(shape.h);
    for (y, out) in rows.enumerate() {
        down(shape, data, y, weights, blurred, &load);
        along(shape, blurred, weights, out, &store);
    }
    Ok(())
}

/// Weights of the centre and one side.
fn gaussian(weights: &mut [f32], sigma: f32) {
    let weight = |i: usize| {
        let distance = i as f64 / f64::from(sigma);
        libm::exp(-0.5 * distance * distance)
    };
    let sides: f64 = (1..weights.len()).map(weight).sum();
    let total = 1.0 + 2.0 * sides;
    for (i, out) in weights.iter_mut().enumerate() {
        *out = (weight(i) / total) as f32;
    }
}

/// The two places at distance `i` from `at` on a side of `length`, the border repeated.
fn neighbours(at: usize, i: usize, length: usize) -> [usize; 2] {
    [at.saturating_sub(i), (at + i).min(length.saturating_sub(1))]
}

/// Row `y`, blurred across rows.
fn down<T: Copy>(
    shape: Shape,
    data: &[T],
    y: usize,
    weights: &[f32],
    out: &mut [f32],
    load: &impl Fn(T) -> f32,
) {
    let row = |y: usize| data.get(y * shape.row()..).unwrap_or_default();
    for (i, weight) in weights.iter().enumerate() {
        if i == 0 {
            for (out, value) in out.iter_mut().zip(row(y)) {
                *out = weight * load(*value);
            }
            continue;
        }
        let [above, below] = neighbours(y, i, shape.h);
        let pairs = row(above).iter().zip(row(below));
        for (out, (above, below)) in out.iter_mut().zip(pairs) {
            *out += weight * (load(*above) + load(*below));
        }
    }
}

/// One row, blurred across columns.
fn along<T>(shape: Shape, row: &[f32], weights: &[f32], out: &mut [T], store: &impl Fn(f32) -> T) {
    let value = |x: usize, c: usize| row.get(x * shape.c + c).copied().unwrap_or(0.0);
    for (x, pixel) in out.chunks_exact_mut(shape.c.max(1)).enumerate() {
        for (c, out) in pixel.iter_mut().enumerate() {
            let mut sum = 0.0;
            for (i, weight) in weights.iter().enumerate() {
                let [left, right] = neighbours(x, i, shape.w);
                sum += if i == 0 {
                    weight * value(x, c)
                } else {
                    weight * (value(left, c) + value(right, c))
                };
            }
            *out = store(sum);
        }
    }
}

const fn enough(need: usize, have: usize) -> Result<(), Error> {
    if have < need {
        Err(Error::BufferTooSmall { need, have })
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn radius_is_a_rounded_twenty_fifth() {
        let radii: Vec<_> = [12, 13, 37, 38, 56, 96, 112, 224].map(blur_radius).into();
        assert_eq!(radii, [0, 1, 1, 2, 2, 4, 4, 9]);
    }

    /// The centre row of a unit impulse in the middle of 9 x 9, sigma 1.
    #[test]
    fn impulse() {
        let shape = Shape::new(9, 9, 2);
        let mut data = vec![0.0; shape.len()];
        data[(4 * 9 + 4) * 2 + 1] = 1.0;
        let mut out = vec![9.0; shape.len()];
        let mut scratch = vec![0.0; blur_scratch(shape, 1.0)];
        blur_tensor(shape, &data, 1.0, &mut scratch, &mut out).unwrap();
        let expected = [
            5.34e-5,
            0.001_768_1,
            0.021_539_4,
            0.096_532_9,
            0.159_155_9,
            0.096_532_9,
            0.021_539_4,
            0.001_768_1,
            5.34e-5,
        ];
        for (x, value) in expected.into_iter().enumerate() {
            let found: f32 = out[(4 * 9 + x) * 2 + 1];
            assert!((found - value).abs() < 1e-7, "{x}: {found} {value}");
            assert_eq!(out[(4 * 9 + x) * 2], 0.0);
            let down: f32 = out[(x * 9 + 4) * 2 + 1];
            assert!((down - value).abs() < 1e-7, "{x}: {down} {value}");
        }
    }

    /// scipy 1.x `gaussian_filter1d(range, 2, mode="nearest", truncate=4)` in closed
    /// form: a ramp stays a ramp inside, and the sum over an edge-repeated border
    /// is the brute-force sum below.
    #[test]
    fn border_is_repeated_on_both_axes() {
        let shape = Shape::new(5, 7, 1);
        let data: Vec<f32> = (0..35).map(|i| ((i * 37) % 11) as f32).collect();
        let (sigma, k) = (1.5f64, 6i64);
        let weight = |i: i64| (-(i * i) as f64 / (2.0 * sigma * sigma)).exp();
        let total: f64 = (-k..=k).map(weight).sum();
        let mut out = vec![0.0; 35];
        let mut scratch = vec![0.0; blur_scratch(shape, 1.5)];
        blur_tensor(shape, &data, 1.5, &mut scratch, &mut out).unwrap();
        for y in 0..5i64 {
            for x in 0..7i64 {
                let mut sum = 0.0;
                for i in -k..=k {
                    for j in -k..=k {
                        let at = (y + i).clamp(0, 4) * 7 + (x + j).clamp(0, 6);
                        sum += weight(i) * weight(j) * f64::from(data[at as usize]);
                    }
                }
                let found = f64::from(out[(y * 7 + x) as usize]);
                assert!((found - sum / total / total).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn pixels_are_rounded() {
        let shape = Shape::new(3, 4, 3);
        let data: Vec<u8> = (0..36).map(|i| (i * 91 % 256) as u8).collect();
        let wide: Vec<f32> = data.iter().map(|v| f32::from(*v)).collect();
        let (mut out, mut exact) = (vec![0; 36], vec![0.0; 36]);
        let mut scratch = vec![0.0; blur_scratch(shape, 0.8)];
        blur_pixels(shape, &data, 0.8, &mut scratch, &mut out).unwrap();
        blur_tensor(shape, &wide, 0.8, &mut scratch, &mut exact).unwrap();
        for (byte, value) in out.iter().zip(exact) {
            assert_eq!(*byte, value.round() as u8);
        }
        let flat = [255u8; 36];
        blur_pixels(shape, &flat, 5.0, &mut vec![0.0; 99], &mut out).unwrap();
        assert_eq!(out, flat);
    }

    #[test]
    fn bad_input_is_an_error() {
        let shape = Shape::new(2, 2, 1);
        let data = [0.0; 4];
        let mut out = [0.0; 4];
        let run = |sigma, data: &[f32], scratch: usize, out: &mut [f32]| {
            blur_tensor(shape, data, sigma, &mut vec![0.0; scratch], out)
        };
        let sigma = Err(Error::BadParameter("sigma of a blur"));
        assert_eq!(run(0.0, &data, 99, &mut out), sigma);
        assert_eq!(run(f32::NAN, &data, 99, &mut out), sigma);
        let short = |need, have| Err(Error::BufferTooSmall { need, have });
        assert_eq!(run(1.0, &data[1..], 99, &mut out), short(4, 3));
        assert_eq!(run(1.0, &data, 6, &mut out), short(7, 6));
        assert_eq!(run(1.0, &data, 7, &mut out[1..]), short(4, 3));
    }
}
