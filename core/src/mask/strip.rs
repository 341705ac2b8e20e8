//! RISE masks strip by strip of a row: loops without branches, of which compilers
//! make vectors. The same bits as pixel by pixel.

use super::grid::Row;
use crate::picture::MAX_CHANNELS;

/// Pixels of a strip.
const STRIP: usize = 64;

/// Pixels that are mixed at once.
const FOUR: usize = 4;

impl Row {
    /// The weights of the pixels from column `first` on.
    pub(super) fn put(&self, first: usize, out: &mut [f32]) {
        let (mut x, mut rest) = (first, out);
        while !rest.is_empty() {
            let end = self.axis.end(x, x + rest.len());
            let (run, behind) = rest.split_at_mut((end - x).min(rest.len()));
            self.put_run(x, run);
            (x, rest) = (end, behind);
        }
    }

    /// Pixels from column `first` on that lie behind the same cell.
    fn put_run(&self, first: usize, out: &mut [f32]) {
        let (cell, _) = self.axis.locate(first);
        let (a, b) = (self.cell(cell), self.cell(cell + 1));
        if a == b || cell == self.axis.last {
            out.fill(a);
            return;
        }
        // Vectors have conversions from signed numbers alone.
        for (x, out) in (first as i32..).zip(out) {
            *out = a + (b - a) * (self.axis.place(x) - cell as f32);
        }
    }
}

/// Mixes a row of pixels with one colour: `m * pixel + (1 - m) * colour`, exactly the
/// pixel where m is 1 and the colour where it is 0. `false`, and nothing done, for a
/// colour that is not finite and for other than 1 or 3 channels.
pub(super) fn mix(
    weights: &Row,
    colour: &[f32; MAX_CHANNELS],
    channels: usize,
    out: &mut [f32],
) -> bool {
    let [a, b, c, _] = *colour;
    match channels {
        1 if a.is_finite() => mix_row::<1, 4>(weights, &[a; 4], out),
        3 if [a, b, c].iter().all(|value| value.is_finite()) => {
            mix_row::<3, 12>(weights, &[a, b, c, a, b, c, a, b, c, a, b, c], out);
        }
        _ => return false,
    }
    true
}

/// `N` is the number of values of four pixels.
fn mix_row<const C: usize, const N: usize>(weights: &Row, colour: &[f32; N], out: &mut [f32]) {
    let mut strip = [0.0; STRIP];
    for (i, out) in out.chunks_mut(STRIP * C).enumerate() {
        weights.put(i * STRIP, &mut strip);
        let (weights, _) = strip.as_chunks::<FOUR>();
        let (fours, rest) = out.as_chunks_mut::<N>();
        for (values, weights) in fours.iter_mut().zip(weights) {
            mix_four::<C, N>(values, weights, colour);
        }
        if let Some(weights) = weights.get(fours.len()) {
            let mut last = [0.0; N];
            for (last, value) in last.iter_mut().zip(&*rest) {
                *last = *value;
            }
            mix_four::<C, N>(&mut last, weights, colour);
            rest.copy_from_slice(last.get(..rest.len()).unwrap_or(&[]));
        }
    }
}

#[inline(always)]
fn mix_four<const C: usize, const N: usize>(
    values: &mut [f32; N],
    weights: &[f32; FOUR],
    colour: &[f32; N],
) {
    let mut spread = [0.0; N];
    for (spread, weight) in spread.as_chunks_mut::<C>().0.iter_mut().zip(weights) {
        *spread = [*weight; C];
    }
    for ((value, weight), hidden) in values.iter_mut().zip(spread).zip(colour) {
        let mixed = weight * *value + (1.0 - weight) * hidden;
        let mixed = if weight == 0.0 { *hidden } else { mixed };
        *value = if weight == 1.0 { *value } else { mixed };
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::super::{Fill, Grid, Mask, Masked, Sequence};
    use crate::picture::Picture;
    use crate::tensor::Shape;
    use std::vec;
    use std::vec::Vec;

    /// Masks whose cells end within strips and at their ends.
    fn grids() -> impl Iterator<Item = Grid> {
        let sides = [1u16, 2, 5, 7, 10, 64];
        sides.into_iter().flat_map(|cells| {
            (0..12).map(move |sample| Grid {
                seed: 0x5eed,
                sample,
                cells,
                keep: 0.5,
                mindspore: sample % 3 == 0,
                sequence: Sequence::Random,
            })
        })
    }

    const SHAPES: [Shape; 5] = [
        Shape::new(5, 1, 3),
        Shape::new(9, 7, 1),
        Shape::new(6, 64, 3),
        Shape::new(11, 131, 3),
        Shape::new(7, 203, 1),
    ];

    #[test]
    fn weights_are_those_of_single_pixels() {
        for (grid, shape) in grids().flat_map(|grid| SHAPES.map(|shape| (grid, shape))) {
            for y in 0..shape.h {
                let single: Vec<f32> = grid.weights(shape, y).take(shape.w).collect();
                for first in [0, shape.w / 3] {
                    let mut strip = vec![f32::NAN; shape.w - first];
                    grid.row(shape, y).put(first, &mut strip);
                    assert_eq!(bits(&strip), bits(&single[first..]), "{grid:?} {shape:?}");
                }
            }
        }
    }

    /// A colour as a picture takes the other way, pixel by pixel.
    #[test]
    fn mixtures_are_those_of_single_pixels() {
        let colour = [-0.0, 0.25, -1.5, 0.0];
        for (grid, shape) in grids().flat_map(|grid| SHAPES.map(|shape| (grid, shape))) {
            let data: Vec<f32> = (0..shape.len())
                .map(|i| [-0.0, 0.0, 1.0, -2.5, 0.3][i % 5])
                .collect();
            let flat: Vec<f32> = (0..shape.len()).map(|i| colour[i % shape.c]).collect();
            let tensor = |data| Picture::Tensor { shape, data };
            let masked = |fill| Masked {
                picture: tensor(&data),
                fill,
                mask: Mask::Grid(grid),
            };
            let fills = [Fill::Colour(colour), Fill::Picture(tensor(&flat))];
            for y in 0..shape.h {
                let [mixed, single] = fills.map(|fill| {
                    let mut row = vec![f32::NAN; shape.row()];
                    masked(fill).row(y, &mut row).unwrap();
                    bits(&row)
                });
                assert_eq!(mixed, single, "{grid:?} {shape:?} row {y}");
            }
        }
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }
}
