//! What a finished map is brought to: another resolution, one channel.

use crate::error::Error;
use crate::tensor::Shape;

/// Where output `at` of `to` lies between two of `from` inputs: half-pixel
/// centres, the edge repeated.
pub(crate) fn place(at: usize, from: usize, to: usize) -> (usize, usize, f32) {
    let place = (at as f32 + 0.5) * (from as f32 / to as f32) - 0.5;
    let place = if place > 0.0 { place } else { 0.0 };
    let last = from.saturating_sub(1);
    let first = (place as usize).min(last);
    (first, (first + 1).min(last), place - first as f32)
}

pub(crate) fn between(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

/// Resamples a map of one channel from `from` to `to` (rows, columns) bilinearly
/// with half-pixel centres, the edge repeated: what other tools call
/// `align_corners = False`. No value leaves the range of the map.
///
/// # Errors
/// [`Error::BadParameter`] for an empty side, [`Error::BufferTooSmall`] for
/// `map` or `out`.
pub fn upsample_bilinear(
    map: &[f32],
    from: [usize; 2],
    to: [usize; 2],
    out: &mut [f32],
) -> Result<(), Error> {
    let ([h, w], [to_h, to_w]) = (from, to);
    if h == 0 || w == 0 || to_h == 0 || to_w == 0 {
        return Err(Error::BadParameter("size of a map"));
    }
    enough(h * w, map.len())?;
    enough(to_h * to_w, out.len())?;
    let value = |y: usize, x: usize| map.get(y * w + x).copied().unwrap_or(0.0);
    for (y, row) in out.chunks_exact_mut(to_w).take(to_h).enumerate() {
        let (above, below, down) = place(y, h, to_h);
        for (x, out) in row.iter_mut().enumerate() {
            let (left, right, along) = place(x, w, to_w);
            let upper = between(value(above, left), value(above, right), along);
            let lower = between(value(below, left), value(below, right), along);
            *out = between(upper, lower, down);
        }
    }
    Ok(())
}

/// Resamples a map of one channel as [`upsample_bilinear`] does, each output
/// the input in whose place it lies: input row `y * h / to_h`, rounded down.
///
/// # Errors
/// As [`upsample_bilinear`].
pub fn upsample_nearest(
    map: &[f32],
    from: [usize; 2],
    to: [usize; 2],
    out: &mut [f32],
) -> Result<(), Error> {
    let ([h, w], [to_h, to_w]) = (from, to);
    if h == 0 || w == 0 || to_h == 0 || to_w == 0 {
        return Err(Error::BadParameter("size of a map"));
    }
    enough(h * w, map.len())?;
    enough(to_h * to_w, out.len())?;
    for (y, row) in out.chunks_exact_mut(to_w).take(to_h).enumerate() {
        let first = y * h / to_h * w;
        for (x, out) in row.iter_mut().enumerate() {
            *out = map.get(first + x * w / to_w).copied().unwrap_or(0.0);
        }
    }
    Ok(())
}

/// Reduces an attribution to every input element (HWC) to one value a pixel:
/// the signed value of largest magnitude over the channels, the first among equals.
///
/// # Errors
/// [`Error::BufferTooSmall`] for `map` (`shape.len()`) or `out` (`shape.area()`).
pub fn strongest_channel(map: &[f32], shape: Shape, out: &mut [f32]) -> Result<(), Error> {
    enough(shape.len(), map.len())?;
    enough(shape.area(), out.len())?;
    let pixels = map.chunks_exact(shape.c.max(1)).take(shape.area());
    for (out, pixel) in out.iter_mut().zip(pixels) {
        *out = strongest(pixel);
    }
    Ok(())
}

/// The signed value of largest magnitude, the first among equals; 0 for none.
pub(crate) fn strongest(pixel: &[f32]) -> f32 {
    let mut strongest = 0.0;
    for &value in pixel {
        if libm::fabsf(value) > libm::fabsf(strongest) {
            strongest = value;
        }
    }
    strongest
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

    #[test]
    fn bilinear_with_half_pixel_centres() {
        let mut out = [9.0; 16];
        let map = [0.0, 1.0, 0.5, 0.25];
        upsample_bilinear(&map, [2, 2], [4, 4], &mut out).unwrap();
        let expected = [
            [0.0, 0.25, 0.75, 1.0],
            [0.125, 0.296_875, 0.640_625, 0.8125],
            [0.375, 0.390_625, 0.421_875, 0.4375],
            [0.5, 0.4375, 0.3125, 0.25],
        ];
        assert_eq!(out, *expected.as_flattened());
    }

    /// A ramp stays a ramp between the outermost centres: f(x) = (x + 1/2) * from / to - 1/2.
    #[test]
    fn sides_keep_their_own_scale() {
        let mut out = [0.0; 2 * 9];
        upsample_bilinear(&[0.0, 1.0, 2.0], [1, 3], [2, 9], &mut out).unwrap();
        for (i, value) in out.into_iter().enumerate() {
            let exact = (((i % 9) as f32 + 0.5) / 3.0 - 0.5).clamp(0.0, 2.0);
            assert!((value - exact).abs() < 1e-6);
        }
        let short = |need, have| Err(Error::BufferTooSmall { need, have });
        assert_eq!(
            upsample_bilinear(&[0.0; 3], [2, 2], [2, 2], &mut out),
            short(4, 3)
        );
        assert_eq!(
            upsample_bilinear(&[0.0; 4], [2, 2], [4, 5], &mut out),
            short(20, 18)
        );
        let empty = Err(Error::BadParameter("size of a map"));
        assert_eq!(upsample_bilinear(&[], [0, 2], [4, 4], &mut out), empty);
    }

    #[test]
    fn nearest_is_the_place_it_lies_in() {
        let mut out = [9.0; 15];
        upsample_nearest(&[1.0, 2.0, 3.0, 4.0], [2, 2], [3, 5], &mut out).unwrap();
        let expected = [[1.0, 1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 1.0, 2.0, 2.0]];
        assert_eq!(out[..10], *expected.as_flattened());
        assert_eq!(out[10..], [3.0, 3.0, 3.0, 4.0, 4.0]);
    }

    #[test]
    fn strongest_channel_keeps_its_sign() {
        let map = [1.0, -3.0, 2.0, 2.0, -2.0, 1.0, 0.0, -0.5, 0.5];
        let mut out = [9.0; 3];
        strongest_channel(&map, Shape::new(1, 3, 3), &mut out).unwrap();
        assert_eq!(out, [-3.0, 2.0, -0.5]);
    }
}
