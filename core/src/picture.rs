//! A picture as the network's input: u8 pixels or a tensor in model space.

pub mod blur;
pub mod resize;

use crate::error::Error;
use crate::mask::Window;
use crate::tensor::Shape;

/// Most channels a picture may have.
pub const MAX_CHANNELS: usize = 4;

/// From pixel to model space, channel by channel: `(pixel - mean) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// Subtracted first, in pixel units (0..255).
    pub mean: [f32; MAX_CHANNELS],
    /// Multiplied afterwards.
    pub scale: [f32; MAX_CHANNELS],
}

impl Normalisation {
    /// Model space is pixel space.
    pub const IDENTITY: Self = Self {
        mean: [0.0; MAX_CHANNELS],
        scale: [1.0; MAX_CHANNELS],
    };

    /// Mean and scale of channel `c`.
    pub(crate) fn of(&self, c: usize) -> Option<(f32, f32)> {
        Some((*self.mean.get(c)?, *self.scale.get(c)?))
    }
}

/// The network's input before masking, HWC, channels in the model's order.
#[derive(Clone, Copy, Debug)]
pub enum Picture<'a> {
    /// u8 pixels, normalised when they are read.
    Pixels {
        /// Height, width, channels (1 to [`MAX_CHANNELS`]).
        shape: Shape,
        /// `shape.len()` bytes.
        data: &'a [u8],
        /// How a pixel becomes the model's number.
        normalisation: &'a Normalisation,
    },
    /// Values in model space, any number of channels.
    Tensor {
        /// Height, width, channels.
        shape: Shape,
        /// `shape.len()` values.
        data: &'a [f32],
    },
}

impl Picture<'_> {
    /// One number for all channels, in pixel space where the picture has
    /// pixels, as a colour in model space.
    #[must_use]
    pub fn colour(&self, number: f32) -> [f32; MAX_CHANNELS] {
        let Self::Pixels { normalisation, .. } = self else {
            return [number; MAX_CHANNELS];
        };
        let Normalisation { mean, scale } = normalisation;
        let mut colour = [0.0; MAX_CHANNELS];
        for ((out, mean), scale) in colour.iter_mut().zip(mean).zip(scale) {
            *out = (number - mean) * scale;
        }
        colour
    }

    /// Height, width and channels.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        match *self {
            Self::Pixels { shape, .. } | Self::Tensor { shape, .. } => shape,
        }
    }

    /// Whether the picture has this shape and all of its elements.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::BufferTooSmall`] for too little data,
    /// [`Error::BadParameter`] for u8 pixels of 0 or more than [`MAX_CHANNELS`] channels.
    pub fn check(&self, expected: Shape) -> Result<(), Error> {
        let found = self.shape();
        if found != expected {
            return Err(Error::ShapeMismatch { expected, found });
        }
        let have = match *self {
            Self::Pixels { shape, .. } if shape.c == 0 || shape.c > MAX_CHANNELS => {
                return Err(Error::BadParameter("channels of a picture"));
            }
            Self::Pixels { data, .. } => data.len(),
            Self::Tensor { data, .. } => data.len(),
        };
        let need = found.len();
        if have < need {
            return Err(Error::BufferTooSmall { need, have });
        }
        Ok(())
    }

    /// One element in model space.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] outside the data, [`Error::PictureNotFinite`].
    pub fn value(&self, y: usize, x: usize, c: usize) -> Result<f32, Error> {
        let shape = self.shape();
        let index = (y * shape.w + x) * shape.c + c;
        let value = match *self {
            Self::Pixels {
                data,
                normalisation,
                ..
            } => data
                .get(index)
                .zip(normalisation.of(c))
                .map(|(pixel, (mean, scale))| (f32::from(*pixel) - mean) * scale),
            Self::Tensor { data, .. } => data.get(index).copied(),
        };
        match value {
            Some(value) if value.is_finite() => Ok(value),
            Some(_) => Err(Error::PictureNotFinite),
            None => Err(self.outside(index)),
        }
    }

    /// Writes the columns and channels of `window` (which lies inside the
    /// picture) of row `y` to their places in the row `out`.
    pub(crate) fn write(&self, y: usize, window: Window, out: &mut [f32]) -> Result<(), Error> {
        let shape = self.shape();
        let begin = y * shape.row();
        let end = begin + shape.row();
        let outside = self.outside(end);
        let finite = match *self {
            Self::Tensor { data, .. } => {
                let row = data.get(begin..end).ok_or(outside)?;
                copy(row, out, window, shape)
            }
            Self::Pixels {
                data,
                normalisation,
                ..
            } => {
                let row = data.get(begin..end).ok_or(outside)?;
                normalise(row, out, window, shape, normalisation)
            }
        };
        if finite {
            Ok(())
        } else {
            Err(Error::PictureNotFinite)
        }
    }

    const fn outside(&self, end: usize) -> Error {
        let have = match *self {
            Self::Pixels { data, .. } => data.len(),
            Self::Tensor { data, .. } => data.len(),
        };
        Error::BufferTooSmall { need: end, have }
    }
}

/// Copies a box of one row; answers whether all of it is finite.
fn copy(row: &[f32], out: &mut [f32], window: Window, shape: Shape) -> bool {
    let channels = shape.c.max(1);
    // Loops without branches, of which compilers make vectors.
    #[cfg(target_arch = "x86_64")]
    if (window.x, window.w, window.d) == (0, shape.w, channels)
        && let Some(out) = out.get_mut(..row.len())
    {
        out.copy_from_slice(row);
        let largest = row.iter().map(|value| value.to_bits() & (u32::MAX >> 1));
        return largest.fold(0, u32::max) < f32::INFINITY.to_bits();
    }
    let pixels = row
        .chunks_exact(channels)
        .zip(out.chunks_exact_mut(channels));
    let mut finite = true;
    for (from, to) in pixels.skip(window.x).take(window.w) {
        let elements = from.iter().zip(to).skip(window.c).take(window.d);
        for (value, element) in elements {
            finite &= value.is_finite();
            *element = *value;
        }
    }
    finite
}

/// Normalises a box of one row; answers whether all of it is finite.
fn normalise(
    row: &[u8],
    out: &mut [f32],
    window: Window,
    shape: Shape,
    normalisation: &Normalisation,
) -> bool {
    let channels = shape.c.max(1);
    let whole = (window.x, window.w, window.d) == (0, shape.w, channels);
    match channels {
        1 if whole => normalise_pixels::<1>(row, out, normalisation),
        3 if whole => normalise_pixels::<3>(row, out, normalisation),
        _ => normalise_box(row, out, window, channels, normalisation),
    }
    let parameters = normalisation
        .mean
        .iter()
        .zip(&normalisation.scale)
        .take(channels);
    let mut extremes =
        parameters.map(|(mean, scale)| ((0.0 - mean) * scale, (255.0 - mean) * scale));
    extremes.all(|(low, high)| low.is_finite() && high.is_finite())
}

/// Whole pixels of so many channels.
fn normalise_pixels<const C: usize>(row: &[u8], out: &mut [f32], by: &Normalisation) {
    let (Some(mean), Some(scale)) = (by.mean.first_chunk::<C>(), by.scale.first_chunk::<C>())
    else {
        return;
    };
    let pixels = row.as_chunks::<C>().0.iter();
    for (from, to) in pixels.zip(out.as_chunks_mut::<C>().0) {
        for ((pixel, element), (mean, scale)) in from.iter().zip(to).zip(mean.iter().zip(scale)) {
            *element = (f32::from(*pixel) - mean) * scale;
        }
    }
}

/// The columns and channels of a box.
fn normalise_box(row: &[u8], out: &mut [f32], window: Window, channels: usize, by: &Normalisation) {
    let pixels = row
        .chunks_exact(channels.max(1))
        .zip(out.chunks_exact_mut(channels.max(1)));
    for (from, to) in pixels.skip(window.x).take(window.w) {
        let parameters = by.mean.iter().zip(&by.scale);
        let elements = from.iter().zip(to).zip(parameters);
        for ((pixel, element), (mean, scale)) in elements.skip(window.c).take(window.d) {
            *element = (f32::from(*pixel) - mean) * scale;
        }
    }
}
