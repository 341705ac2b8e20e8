//! Maps with their signs, at the size of the network's input.

use super::Attribution;
use super::pass::enough;
use crate::error::Error;
use crate::explain::upsample_bilinear;
use crate::tensor::Shape;

/// Writes one signed value a pixel: of maps of input elements the sum of the
/// channels, of others the map, brought to the input's size bilinearly.
pub(super) fn pixels(map: &Attribution<'_>, input: Shape, out: &mut [f32]) -> Result<(), Error> {
    let shape = map.shape;
    enough(shape.len(), map.values.len())?;
    enough(input.area(), out.len())?;
    if shape == input {
        let pixels = map.values.chunks_exact(input.c.max(1));
        for (out, pixel) in out.iter_mut().zip(pixels) {
            let sum: f64 = pixel.iter().map(|value| f64::from(*value)).sum();
            *out = sum as f32;
        }
        return Ok(());
    }
    if shape.c != 1 {
        return Err(Error::ShapeMismatch {
            expected: input,
            found: shape,
        });
    }
    upsample_bilinear(map.values, [shape.h, shape.w], [input.h, input.w], out)
}

/// Writes one signed value an element of the input: maps of input elements as
/// they are; of others the pixel's value, shared equally by its channels.
pub(super) fn elements(map: &Attribution<'_>, input: Shape, out: &mut [f32]) -> Result<(), Error> {
    enough(input.len(), out.len())?;
    if map.shape == input {
        enough(input.len(), map.values.len())?;
        for (out, value) in out.iter_mut().zip(map.values) {
            *out = *value;
        }
        return Ok(());
    }
    pixels(map, input, out)?;
    let channels = input.c.max(1);
    // From the last pixel on, so that none is overwritten before it is read.
    for pixel in (0..input.area()).rev() {
        let share = out.get(pixel).copied().unwrap_or(0.0) / channels as f32;
        let place = out.iter_mut().skip(pixel * channels).take(channels);
        place.for_each(|out| *out = share);
    }
    Ok(())
}

/// Why a signed map says nothing, if so.
pub(super) fn silent(map: &[f32]) -> Option<&'static str> {
    let first = map.first();
    if !map.iter().all(|value| value.is_finite()) {
        Some("the map is not finite")
    } else if map.iter().all(|value| Some(value) == first) {
        Some("the map is flat")
    } else {
        None
    }
}
