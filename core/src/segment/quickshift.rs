//! Quickshift (Vedaldi and Soatto 2008, ECCV, "Quick shift and kernel methods
//! for mode seeking"), as LIME's picture explainer cuts.
//!
//! Every pixel has a Parzen density over (ratio L*a*b*, y, x) with a Gaussian of
//! width `kernel`, cut at 3 widths; it points to the nearest pixel in that window
//! whose density is higher (of equal density: that comes earlier), unless that is
//! farther than `max_distance`. Trees are segments. scikit-image breaks ties by
//! random noise on the densities; here the order of pixels does.
//! Cost: 2 HW (6 kernel + 1)^2 distances.

use super::{Colours, MAX_SEGMENTS, Workspace, colour, front, fronts};
use crate::error::Error;
use crate::tensor::Shape;

/// Parameters of quickshift; the defaults are LIME's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quickshift {
    /// Width of the Gaussian in pixels, above 0.
    pub kernel: f32,
    /// Longest step to a parent, above 0.
    pub max_distance: f32,
    /// Weight of colour against distance, 0 to 1.
    pub ratio: f32,
}

impl Default for Quickshift {
    fn default() -> Self {
        Self {
            kernel: 4.0,
            max_distance: 200.0,
            ratio: 0.2,
        }
    }
}

impl Quickshift {
    /// Numbers in [`Workspace`] for a picture.
    #[must_use]
    pub const fn numbers(shape: Shape) -> usize {
        4 * shape.area()
    }
}

/// Where pixels lie.
struct Field<'a> {
    lab: &'a [f32],
    shape: Shape,
    reach: usize,
}

impl Field<'_> {
    fn pixel(&self, at: usize) -> [f32; 3] {
        let found = self.lab.get(3 * at..).and_then(<[f32]>::first_chunk);
        found.copied().unwrap_or_default()
    }

    /// Calls `visit` with the place and squared distance of every pixel in the window of `at`.
    fn around(&self, at: usize, mut visit: impl FnMut(usize, f32)) {
        let Shape { h, w, .. } = self.shape;
        let (y, x) = (at / w.max(1), at % w.max(1));
        let [l, a, b] = self.pixel(at);
        for ny in y.saturating_sub(self.reach)..(y + self.reach + 1).min(h) {
            for nx in x.saturating_sub(self.reach)..(x + self.reach + 1).min(w) {
                let [nl, na, nb] = self.pixel(ny * w + nx);
                let (dy, dx) = (ny as f32 - y as f32, nx as f32 - x as f32);
                let colour = (nl - l) * (nl - l) + (na - a) * (na - a) + (nb - b) * (nb - b);
                visit(ny * w + nx, colour + dy * dy + dx * dx);
            }
        }
    }
}

/// Cuts a picture; returns the number of segments. Labels are numbered from 0
/// in the order in which rows meet them.
///
/// # Errors
/// [`Error::BadParameter`] for parameters out of range or more than
/// [`MAX_SEGMENTS`] segments, [`Error::BufferTooSmall`].
pub fn quickshift(
    colours: &Colours<'_>,
    parameters: &Quickshift,
    workspace: &mut Workspace<'_>,
    labels: &mut [u16],
) -> Result<usize, Error> {
    colours.check()?;
    let (shape, area) = (colours.shape, colours.shape.area());
    let Quickshift { kernel, .. } = *parameters;
    let fits = kernel > 0.0 && kernel <= 64.0 && parameters.max_distance > 0.0;
    if !fits || !(0.0..=1.0).contains(&parameters.ratio) {
        return Err(Error::BadParameter("parameters of quickshift"));
    }
    let (lab, density) = fronts(workspace.numbers, 3 * area, area)?;
    let (parents, numbers) = fronts(workspace.places, area, area)?;
    colour::all(colours, parameters.ratio, lab);
    let reach = libm::ceilf(3.0 * kernel) as usize;
    let field = Field { lab, shape, reach };
    for (at, out) in density.iter_mut().enumerate() {
        *out = 0.0;
        field.around(at, |_, squared| {
            *out += libm::expf(-squared / (2.0 * kernel * kernel));
        });
    }
    for (at, parent) in parents.iter_mut().enumerate() {
        *parent = higher(&field, density, at, parameters.max_distance) as u32;
    }
    number(parents, numbers, front(labels, area)?)
}

/// The nearest pixel of higher density, or the pixel itself.
fn higher(field: &Field<'_>, density: &[f32], at: usize, most: f32) -> usize {
    let own = density.get(at).copied().unwrap_or(0.0);
    let mut best = (most * most, at);
    field.around(at, |other, squared| {
        let theirs = density.get(other).copied().unwrap_or(0.0);
        let above = theirs > own || (theirs == own && other < at);
        if above && (squared < best.0 || (squared <= best.0 && best.1 == at)) {
            best = (squared, other);
        }
    });
    best.1
}

/// Follows parents to the roots and numbers the trees.
fn number(parents: &mut [u32], numbers: &mut [u32], labels: &mut [u16]) -> Result<usize, Error> {
    const OPEN: u32 = u32::MAX;
    numbers.fill(OPEN);
    let parent = |at: u32| parents.get(at as usize).copied().unwrap_or(at);
    let mut count = 0u32;
    for (at, label) in labels.iter_mut().enumerate() {
        let mut root = at as u32;
        // Densities rise along the way, so it ends.
        while parent(root) != root {
            root = parent(root);
        }
        let number = numbers.get_mut(root as usize).ok_or(Error::Internal)?;
        if *number == OPEN {
            *number = count;
            count += 1;
        }
        if *number as usize >= MAX_SEGMENTS {
            return Err(Error::BadParameter("number of segments"));
        }
        *label = *number as u16;
    }
    Ok(count as usize)
}
