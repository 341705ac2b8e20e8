//! Mean over whole axes.
//!
//! Source: TFLite `reference/integer_ops/mean.h`: the sum of the stored numbers
//! without their zero points, then one factor that also divides.

use super::Node8;
use crate::tensor::Shape;

/// Elements whose sums are kept at once.
const CHUNK: usize = 32;

/// Elements that one mean is made of.
pub(super) const fn count(axes: [bool; 3], input: Shape) -> usize {
    let [y, x, c] = axes;
    let h = if y { input.h } else { 1 };
    let w = if x { input.w } else { 1 };
    h * w * if c { input.c } else { 1 }
}

/// Mean over the marked axes.
pub(super) fn mean(node: &Node8<'_>, axes: [bool; 3], x: &[i8], out: &mut [i8]) -> Option<()> {
    let [over_y, over_x, over_c] = axes;
    let (input, output) = (node.input, node.output);
    let factor = node.factor(0)?;
    let rows = if over_y { input.h } else { 1 };
    let cols = if over_x { input.w } else { 1 };
    let zero = i32::from(node.input_quant.zero_point) * count(axes, input) as i32;
    let mut out = out.iter_mut();
    for y in 0..output.h {
        for col in 0..output.w {
            let pixels = (0..rows)
                .flat_map(|j| (0..cols).map(move |i| ((y + j) * input.w + col + i) * input.c));
            for first in (0..input.c).step_by(if over_c { input.c.max(1) } else { CHUNK }) {
                let sums = if over_c {
                    let mut sums = [0; CHUNK];
                    *sums.first_mut()? = total(x, input.c, pixels.clone())?;
                    sums
                } else {
                    sums(x, first, pixels.clone())?
                };
                let live = if over_c { 1 } else { input.c - first };
                for (sum, out) in sums.into_iter().take(live).zip(&mut out) {
                    *out = node.store(factor.apply(sum - zero));
                }
            }
        }
    }
    Some(())
}

/// Sums of the channels from `first` on over pixels that start at the given elements.
fn sums(x: &[i8], first: usize, pixels: impl Iterator<Item = usize>) -> Option<[i32; CHUNK]> {
    let mut sums = [0; CHUNK];
    for pixel in pixels {
        for (sum, &x) in sums.iter_mut().zip(x.get(pixel + first..)?) {
            *sum += i32::from(x);
        }
    }
    Some(sums)
}

/// Sum of whole pixels.
fn total(x: &[i8], channels: usize, pixels: impl Iterator<Item = usize>) -> Option<i32> {
    let mut sum = 0;
    for pixel in pixels {
        let pixel = x.get(pixel..)?.get(..channels)?;
        sum += pixel.iter().map(|&x| i32::from(x)).sum::<i32>();
    }
    Some(sum)
}
