//! A channel of a layer as a mask (Score-CAM): enlarged bilinearly, row by row, so
//! it needs no memory, and brought to 0..1 by the least and greatest value of
//! what is enlarged.

use crate::error::Error;
use crate::tensor::Shape;

/// One channel of an activation, as a mask of pictures of one shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Enlarged<'a> {
    values: &'a [f32],
    shape: Shape,
    channel: usize,
    least: f32,
    spread: f32,
    corners: bool,
    to: Shape,
}

impl<'a> Enlarged<'a> {
    /// Channel `channel` of an activation (HWC). With `corners` the corners of
    /// both grids fall together; without, their edges do and centres are half a
    /// pixel inside, the edge repeated. `to` is the pictures' shape.
    #[must_use]
    pub fn new(
        values: &'a [f32],
        shape: Shape,
        channel: usize,
        (to, corners): (Shape, bool),
    ) -> Self {
        let mut enlarged = Self {
            values,
            shape,
            channel,
            least: 0.0,
            spread: 0.0,
            corners,
            to,
        };
        let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
        for y in 0..to.h {
            for value in enlarged.row(y).take(to.w) {
                least = if value < least { value } else { least };
                greatest = if value > greatest { value } else { greatest };
            }
        }
        (enlarged.least, enlarged.spread) = (least, greatest - least);
        enlarged
    }

    /// Whether all places of a channel are the same: then its mask hides everything.
    #[must_use]
    pub fn is_constant(values: &[f32], shape: Shape, channel: usize) -> bool {
        let places = values.chunks_exact(shape.c.max(1));
        let mut values = places.map(|place| place.get(channel));
        let first = values.next().flatten();
        values.all(|value| value == first)
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
        match self.channel < self.shape.c && !self.spread.is_nan() {
            true => Ok(()),
            false => Err(Error::BadParameter("channel of a mask")),
        }
    }

    /// Weights of the pixels of row `y`, from left to right, without end.
    #[cfg(foveola_inside)]
    pub(super) fn weights(&self, y: usize) -> impl Iterator<Item = f32> {
        let (least, spread) = (self.least, self.spread);
        self.row(y).map(move |value| match spread > 0.0 {
            true => (value - least) / spread,
            false => 0.0,
        })
    }

    /// The enlarged values of row `y`, from left to right, without end.
    fn row(&self, y: usize) -> impl Iterator<Item = f32> + use<'a> {
        let channel = *self;
        let (above, below, down) = channel.place(y, channel.shape.h, channel.to.h);
        (0..).map(move |x| {
            let (left, right, along) = channel.place(x, channel.shape.w, channel.to.w);
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
            between(upper, lower, down)
        })
    }

    /// One place.
    fn value(&self, y: usize, x: usize) -> f32 {
        let index = (y * self.shape.w + x) * self.shape.c + self.channel;
        self.values.get(index).copied().unwrap_or(0.0)
    }

    /// Where pixel `at` of `to` lies between two of `from` places.
    fn place(&self, at: usize, from: usize, to: usize) -> (usize, usize, f32) {
        let last = from.saturating_sub(1);
        let (ratio, centre) = (self.ratio(from, to), self.centre());
        let place = (at as f32 + centre) * ratio - centre;
        let place = if place > 0.0 { place } else { 0.0 };
        let first = (place as usize).min(last);
        (first, (first + 1).min(last), place - first as f32)
    }

    /// Places from one pixel to the next.
    fn ratio(&self, from: usize, to: usize) -> f32 {
        match self.corners {
            true if to > 1 => from.saturating_sub(1) as f32 / (to - 1) as f32,
            true => 0.0,
            false => from as f32 / to as f32,
        }
    }

    /// How far a pixel's centre lies inside its edge: pixel `at` of a side lies
    /// at place `(at + centre) * ratio - centre`.
    #[must_use]
    pub const fn centre(&self) -> f32 {
        if self.corners { 0.0 } else { 0.5 }
    }

    /// Places from one pixel to the next along columns and rows.
    #[must_use]
    pub fn ratios(&self) -> [f32; 2] {
        let (from, to) = (self.shape, self.to);
        [self.ratio(from.h, to.h), self.ratio(from.w, to.w)]
    }

    /// The activation, its shape, and which of its channels this is.
    #[must_use]
    pub const fn channel(&self) -> (&'a [f32], Shape, usize) {
        (self.values, self.shape, self.channel)
    }

    /// Least value of the enlarged channel, and greatest minus least.
    #[must_use]
    pub const fn range(&self) -> [f32; 2] {
        [self.least, self.spread]
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
        let channel = Enlarged::new(&VALUES, SHAPE, 0, (to, corners));
        channel.check().unwrap();
        (0..to.h)
            .flat_map(|y| channel.weights(y).take(to.w))
            .collect()
    }

    /// The enlarged map, then brought to 0..1 by its own ends, which lie inside
    /// those of the channel.
    #[test]
    fn half_a_pixel_inside_is_the_upsampling_of_maps() {
        let (to, channel) = (Shape::new(5, 4, 3), [2.0, 9.0, 4.0, 6.0, 4.0, 2.0]);
        let mut values = VALUES;
        for (place, value) in values.chunks_exact_mut(2).zip(channel) {
            place[0] = value;
        }
        let mut expected = [0.0; 20];
        upsample_bilinear(&channel, [2, 3], [5, 4], &mut expected).unwrap();
        let least = expected.iter().copied().fold(f32::INFINITY, f32::min);
        let greatest = expected.iter().copied().fold(0.0, f32::max);
        assert!(greatest < 8.0);
        let mask = Enlarged::new(&values, SHAPE, 0, (to, false));
        let found = (0..5).flat_map(|y| mask.weights(y).take(4));
        for (found, expected) in found.zip(expected) {
            let expected = (expected - least) / (greatest - least);
            assert!((found - expected).abs() < 1e-6 && (0.0..=1.0).contains(&found));
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
        let to = (Shape::new(3, 5, 1), false);
        assert!(Enlarged::is_constant(&VALUES, SHAPE, 1));
        assert!(!Enlarged::is_constant(&VALUES, SHAPE, 0));
        let hides = Enlarged::new(&VALUES, SHAPE, 1, to);
        assert!((0..3).all(|y| hides.weights(y).take(5).all(|w| w == 0.0)));
        let wrong = Err(Error::BadParameter("channel of a mask"));
        assert_eq!(Enlarged::new(&VALUES, SHAPE, 2, to).check(), wrong);
        let short = Err(Error::BufferTooSmall { need: 12, have: 11 });
        assert_eq!(Enlarged::new(&VALUES[1..], SHAPE, 0, to).check(), short);
    }
}
