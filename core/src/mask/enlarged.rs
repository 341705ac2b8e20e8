//! A channel of a layer as a mask (Score-CAM): brought to 0..1 by its least and
//! greatest value and enlarged bilinearly, row by row, so it needs no memory.

use crate::error::Error;
use crate::tensor::Shape;

/// One channel of an activation, as a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Enlarged<'a> {
    values: &'a [f32],
    shape: Shape,
    channel: usize,
    least: f32,
    spread: f32,
    corners: bool,
}

impl<'a> Enlarged<'a> {
    /// Channel `channel` of an activation (HWC). With `corners` the corners of
    /// both grids fall together; without, their edges do and centres are half a
    /// pixel inside, the edge repeated.
    #[must_use]
    pub fn new(values: &'a [f32], shape: Shape, channel: usize, corners: bool) -> Self {
        let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
        for place in values.chunks_exact(shape.c.max(1)) {
            let value = place.get(channel).copied().unwrap_or(0.0);
            least = if value < least { value } else { least };
            greatest = if value > greatest { value } else { greatest };
        }
        Self {
            values,
            shape,
            channel,
            least,
            spread: greatest - least,
            corners,
        }
    }

    /// Whether all places are the same: then the mask hides everything.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.spread <= 0.0
    }

    /// Whether there are values.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], [`Error::BadParameter`] for a channel that
    /// does not exist or values that are not finite.
    pub fn check(&self) -> Result<(), Error> {
        let (need, have) = (self.shape.len(), self.values.len());
        if have < need {
            return Err(Error::BufferTooSmall { need, have });
        }
        match self.channel < self.shape.c && self.spread.is_finite() {
            true => Ok(()),
            false => Err(Error::BadParameter("channel of a mask")),
        }
    }

    /// Weights of the pixels of row `y`, from left to right, without end.
    pub(super) fn weights(&self, to: Shape, y: usize) -> impl Iterator<Item = f32> {
        let channel = *self;
        let (above, below, down) = channel.place(y, channel.shape.h, to.h);
        (0..).map(move |x| {
            let (left, right, along) = channel.place(x, channel.shape.w, to.w);
            let upper = between(
                channel.value(above, left),
                channel.value(above, right),
                along,
            );
            let lower = between(
                channel.value(below, left),
                channel.value(below, right),
                along,
            );
            let weight = between(upper, lower, down);
            // Rounding may leave the range.
            let weight = if weight > 0.0 { weight } else { 0.0 };
            if weight < 1.0 { weight } else { 1.0 }
        })
    }

    /// One place, brought to 0..1.
    fn value(&self, y: usize, x: usize) -> f32 {
        let index = (y * self.shape.w + x) * self.shape.c + self.channel;
        let value = self.values.get(index).copied().unwrap_or(self.least);
        if self.is_constant() {
            return 0.0;
        }
        (value - self.least) / self.spread
    }

    /// Where pixel `at` of `to` lies between two of `from` places.
    fn place(&self, at: usize, from: usize, to: usize) -> (usize, usize, f32) {
        let last = from.saturating_sub(1);
        let place = match self.corners {
            true if to > 1 => at as f32 * (last as f32 / (to - 1) as f32),
            true => 0.0,
            false => (at as f32 + 0.5) * (from as f32 / to as f32) - 0.5,
        };
        let place = if place > 0.0 { place } else { 0.0 };
        let first = (place as usize).min(last);
        (first, (first + 1).min(last), place - first as f32)
    }
}

fn between(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::upsample_bilinear;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(2, 3, 2);

    /// Channel 0 runs from 2 to 6, channel 1 is constant.
    const VALUES: [f32; 12] = [2.0, 5.0, 4.0, 5.0, 6.0, 5.0, 6.0, 5.0, 4.0, 5.0, 2.0, 5.0];

    fn mask(to: Shape, corners: bool) -> Vec<f32> {
        let channel = Enlarged::new(&VALUES, SHAPE, 0, corners);
        channel.check().unwrap();
        (0..to.h)
            .flat_map(|y| channel.weights(to, y).take(to.w))
            .collect()
    }

    #[test]
    fn half_a_pixel_inside_is_the_upsampling_of_maps() {
        let to = Shape::new(5, 7, 3);
        let scaled = [0.0, 0.5, 1.0, 1.0, 0.5, 0.0];
        let mut expected = [0.0; 35];
        upsample_bilinear(&scaled, [2, 3], [5, 7], &mut expected).unwrap();
        for (found, expected) in mask(to, false).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
    }

    /// A ramp between corners stays a ramp: 5 columns of 3, 3 rows of 2.
    #[test]
    fn corners_on_corners() {
        let expected = [
            [0.0, 0.25, 0.5, 0.75, 1.0],
            [0.5, 0.5, 0.5, 0.5, 0.5],
            [1.0, 0.75, 0.5, 0.25, 0.0],
        ];
        assert_eq!(mask(Shape::new(3, 5, 1), true), *expected.as_flattened());
    }

    #[test]
    fn constant_channels_and_wrong_numbers() {
        assert!(Enlarged::new(&VALUES, SHAPE, 1, false).is_constant());
        assert!(!Enlarged::new(&VALUES, SHAPE, 0, false).is_constant());
        let wrong = Err(Error::BadParameter("channel of a mask"));
        assert_eq!(Enlarged::new(&VALUES, SHAPE, 2, false).check(), wrong);
        let short = Err(Error::BufferTooSmall { need: 12, have: 11 });
        assert_eq!(Enlarged::new(&VALUES[1..], SHAPE, 0, false).check(), short);
    }
}
