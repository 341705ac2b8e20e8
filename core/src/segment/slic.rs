//! SLIC superpixels (Achanta et al. 2012, IEEE TPAMI 34(11), 2274-2282).
//!
//! k-means in (L*, a*, b*, x, y) with D^2 = d_lab^2 + (m / S)^2 d_xy^2, where
//! S = sqrt(HW / k), each centre looking 2S around itself; then every piece that
//! hangs together on its own and has less than a quarter of S^2 pixels joins a
//! neighbour. Centres start on the grid of [`grid_of`](super::grid_of) at the
//! place of least gradient in 3 x 3; ties go to the lower label. There is no
//! randomness. Cost: `iterations` x 4 HW distances.

use super::{Colours, MAX_SEGMENTS, Workspace, colour, front, fronts, grid_of};
use crate::error::Error;
use crate::tensor::Shape;

/// Parameters of SLIC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slic {
    /// About how many segments; at least 1.
    pub count: usize,
    /// Weight m of distance against colour, above 0: higher is more square.
    pub compactness: f32,
    /// Rounds of k-means.
    pub iterations: usize,
}

impl Default for Slic {
    fn default() -> Self {
        Self {
            count: 50,
            compactness: 10.0,
            iterations: 10,
        }
    }
}

/// Numbers of one centre: L*, a*, b*, y, x, then their sums and the pixels.
const CENTRE: usize = 11;

impl Slic {
    /// Numbers in [`Workspace`] for a picture.
    #[must_use]
    pub fn numbers(&self, shape: Shape) -> usize {
        let [rows, columns] = grid_of(shape, self.count);
        4 * shape.area() + CENTRE * rows * columns
    }
}

/// Cuts a picture; returns the number of segments. Labels are numbered from 0
/// in the order in which rows meet them.
///
/// # Errors
/// [`Error::BadParameter`] for parameters out of range, [`Error::BufferTooSmall`].
pub fn slic(
    colours: &Colours<'_>,
    parameters: &Slic,
    workspace: &mut Workspace<'_>,
    labels: &mut [u16],
) -> Result<usize, Error> {
    colours.check()?;
    let shape = colours.shape;
    let grid = grid_of(shape, parameters.count);
    let [rows, columns] = grid;
    let compact = parameters.compactness;
    if parameters.count == 0 || !(compact > 0.0 && compact.is_finite()) {
        return Err(Error::BadParameter("parameters of SLIC"));
    }
    if rows * columns > MAX_SEGMENTS {
        return Err(Error::BadParameter("number of segments"));
    }
    let labels = front(labels, shape.area())?;
    let (lab, rest) = fronts(
        workspace.numbers,
        3 * shape.area(),
        shape.area() + CENTRE * rows * columns,
    )?;
    let (nearest, centres) = fronts(rest, shape.area(), CENTRE * rows * columns)?;
    colour::all(colours, 1.0, lab);
    let step = libm::sqrtf(shape.area() as f32 / (rows * columns) as f32);
    start(lab, shape, grid, centres);
    for _ in 0..parameters.iterations.max(1) {
        assign(lab, shape, (step, compact), centres, nearest, labels);
        update(lab, shape, centres, labels);
    }
    let least = (step * step / 4.0) as usize;
    connect(shape, least, workspace.places, labels)
}

fn pixel(lab: &[f32], shape: Shape, y: usize, x: usize) -> [f32; 3] {
    let at = 3 * (y * shape.w + x);
    let found = lab.get(at..).and_then(<[f32]>::first_chunk);
    found.copied().unwrap_or_default()
}

fn squared(a: [f32; 3], b: [f32; 3]) -> f32 {
    let [x, y, z] = [0, 1, 2].map(|i: usize| {
        let d = a.get(i).unwrap_or(&0.0) - b.get(i).unwrap_or(&0.0);
        d * d
    });
    x + y + z
}

/// Change of colour around a pixel: |horizontal|^2 + |vertical|^2.
fn gradient(lab: &[f32], shape: Shape, y: usize, x: usize) -> f32 {
    let at = |y: usize, x: usize| pixel(lab, shape, y.min(shape.h - 1), x.min(shape.w - 1));
    squared(at(y, x + 1), at(y, x.saturating_sub(1)))
        + squared(at(y + 1, x), at(y.saturating_sub(1), x))
}

/// Centres on a grid, moved to the calmest of their 3 x 3 pixels.
fn start(lab: &[f32], shape: Shape, [rows, columns]: [usize; 2], centres: &mut [f32]) {
    for (i, centre) in centres.as_chunks_mut::<CENTRE>().0.iter_mut().enumerate() {
        let columns = columns.max(1);
        let cy = (2 * (i / columns) + 1) * shape.h / (2 * rows.max(1));
        let cx = (2 * (i % columns) + 1) * shape.w / (2 * columns);
        let mut best = (f32::INFINITY, cy, cx);
        for y in cy.saturating_sub(1)..(cy + 2).min(shape.h) {
            for x in cx.saturating_sub(1)..(cx + 2).min(shape.w) {
                let calm = gradient(lab, shape, y, x);
                if calm < best.0 {
                    best = (calm, y, x);
                }
            }
        }
        let (_, y, x) = best;
        let [l, a, b] = pixel(lab, shape, y, x);
        *centre = [l, a, b, y as f32, x as f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    }
}

/// Gives every pixel the nearest centre.
fn assign(
    lab: &[f32],
    shape: Shape,
    (step, compact): (f32, f32),
    centres: &[f32],
    nearest: &mut [f32],
    labels: &mut [u16],
) {
    nearest.fill(f32::INFINITY);
    let reach = 2.0 * step;
    let range = |at: f32, side: usize| {
        let low = at - reach;
        let low = if low > 0.0 { low as usize } else { 0 };
        low..((at + reach) as usize + 1).min(side)
    };
    let ratio = (compact / step) * (compact / step);
    for (i, centre) in centres.as_chunks::<CENTRE>().0.iter().enumerate() {
        let [l, a, b, cy, cx, ..] = *centre;
        for y in range(cy, shape.h) {
            for x in range(cx, shape.w) {
                let (dy, dx) = (y as f32 - cy, x as f32 - cx);
                let colour = squared(pixel(lab, shape, y, x), [l, a, b]);
                let distance = colour + ratio * (dy * dy + dx * dx);
                let at = y * shape.w + x;
                if let (Some(least), Some(label)) = (nearest.get_mut(at), labels.get_mut(at))
                    && distance < *least
                {
                    (*least, *label) = (distance, i as u16);
                }
            }
        }
    }
}

/// Moves every centre to the mean of its pixels.
fn update(lab: &[f32], shape: Shape, centres: &mut [f32], labels: &[u16]) {
    let centres = centres.as_chunks_mut::<CENTRE>().0;
    for (i, (label, lab)) in labels.iter().zip(lab.as_chunks::<3>().0).enumerate() {
        if let Some([_, _, _, _, _, l, a, b, y, x, n]) = centres.get_mut(usize::from(*label)) {
            let [pl, pa, pb] = *lab;
            *l += pl;
            *a += pa;
            *b += pb;
            *y += (i / shape.w.max(1)) as f32;
            *x += (i % shape.w.max(1)) as f32;
            *n += 1.0;
        }
    }
    for centre in centres {
        let [l0, a0, b0, y0, x0, l, a, b, y, x, n] = *centre;
        *centre = if n > 0.0 {
            [l / n, a / n, b / n, y / n, x / n, 0., 0., 0., 0., 0., 0.]
        } else {
            [l0, a0, b0, y0, x0, 0., 0., 0., 0., 0., 0.]
        };
    }
}

/// Not numbered yet; labels are below it.
const OPEN: u32 = u32::MAX;

/// Numbers the connected pieces; small ones join the piece before them.
fn connect(
    shape: Shape,
    least: usize,
    places: &mut [u32],
    labels: &mut [u16],
) -> Result<usize, Error> {
    let area = shape.area();
    let (numbers, queue) = fronts(places, area, area)?;
    numbers.fill(OPEN);
    let mut count = 0;
    for first in 0..area {
        if numbers.get(first) != Some(&OPEN) {
            continue;
        }
        let before = joined(shape, first, numbers);
        let size = flood(shape, first, count, labels, numbers, queue);
        match before {
            Some(before) if size < least => {
                for at in queue.iter().take(size) {
                    if let Some(number) = numbers.get_mut(*at as usize) {
                        *number = before;
                    }
                }
            }
            _ => count += 1,
        }
    }
    if count as usize > MAX_SEGMENTS {
        return Err(Error::BadParameter("number of segments"));
    }
    for (label, number) in labels.iter_mut().zip(numbers.iter()) {
        *label = *number as u16;
    }
    Ok(count as usize)
}

/// Number of the piece left of a pixel, or above it.
fn joined(shape: Shape, at: usize, numbers: &[u32]) -> Option<u32> {
    let left = (!at.is_multiple_of(shape.w.max(1))).then(|| at - 1);
    let beside = left.or_else(|| at.checked_sub(shape.w))?;
    numbers.get(beside).copied().filter(|n| *n != OPEN)
}

/// Numbers all pixels of a label that hang together; their places are the
/// first of the queue, whose number is returned.
fn flood(
    shape: Shape,
    first: usize,
    number: u32,
    labels: &[u16],
    numbers: &mut [u32],
    queue: &mut [u32],
) -> usize {
    let (mut done, mut known) = (0, 0);
    let meet = |at: usize, numbers: &mut [u32], queue: &mut [u32], known: &mut usize| {
        if labels.get(at) == labels.get(first)
            && let Some(open) = numbers.get_mut(at).filter(|n| **n == OPEN)
            && let Some(place) = queue.get_mut(*known)
        {
            (*open, *place) = (number, at as u32);
            *known += 1;
        }
    };
    meet(first, numbers, queue, &mut known);
    while done < known {
        let at = queue.get(done).map_or(0, |at| *at as usize);
        done += 1;
        let (w, x) = (shape.w.max(1), at % shape.w.max(1));
        if x > 0 {
            meet(at - 1, numbers, queue, &mut known);
        }
        if x + 1 < w {
            meet(at + 1, numbers, queue, &mut known);
        }
        if at >= w {
            meet(at - w, numbers, queue, &mut known);
        }
        if at + w < shape.area() {
            meet(at + w, numbers, queue, &mut known);
        }
    }
    known
}
