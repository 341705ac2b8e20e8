//! A round mask: a Gaussian window around a point, kept or hidden.

use crate::error::Error;
#[cfg(foveola_inside)]
use crate::tensor::Shape;

/// Weights exp(-(dy^2 / h^2 + dx^2 / w^2) / (2 width^2)), with dy and dx from the
/// centre of the window to that of a pixel, or 1 less those. A pure function of
/// its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// Row and column of the centre, as shares of the sides.
    pub centre: [f32; 2],
    /// Deviation as a share of each side, above 0: round in a square picture.
    pub width: f32,
    /// Whether the window hides instead of keeps.
    pub hides: bool,
}

impl Spot {
    /// Whether the numbers are in range.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn check(&self) -> Result<(), Error> {
        let [y, x] = self.centre;
        match y.is_finite() && x.is_finite() && self.width > 0.0 && self.width.is_finite() {
            true => Ok(()),
            false => Err(Error::BadParameter("spot")),
        }
    }

    /// What pixel `at` of a side that is `length` long has of the window, for the
    /// side of the rows (0) or that of the columns (1).
    pub(crate) fn along(&self, side: usize, at: usize, length: usize) -> f32 {
        let centre = self.centre.get(side).copied().unwrap_or(0.0);
        let apart = (at as f32 + 0.5) / length as f32 - centre;
        libm::expf(-(apart * apart) / (2.0 * self.width * self.width))
    }

    /// Weights of the pixels of row `y`, from left to right.
    #[cfg(foveola_inside)]
    pub(super) fn weights(self, shape: Shape, y: usize) -> impl Iterator<Item = f32> {
        let row = self.along(0, y, shape.h);
        (0..shape.w).map(move |x| {
            let weight = row * self.along(1, x, shape.w);
            if self.hides { 1.0 - weight } else { weight }
        })
    }
}
