//! Average pooling. (The largest value needs no arithmetic; see `ops::pool`.)
//!
//! Source: TFLite `reference/integer_ops/pooling.h`: the mean of the stored
//! numbers, halves away from zero; of uint8 numbers as the model stores them.

use super::{Node8, Rows8};
use crate::net::ops::pool::{Divisor, pixels, taps};

/// `sum / count`, rounded to nearest, halves away from zero.
#[inline(always)]
pub(super) fn mean(sum: i32, count: i32) -> i32 {
    let half = count / 2;
    let nudged = if sum > 0 { sum + half } else { sum - half };
    nudged.checked_div(count).unwrap_or(0)
}

/// Channels whose sums are kept at once.
const CHUNK: usize = 32;

/// Mean of each window of the output rows from row `y` on, as many as `out`
/// holds; padding that counts is the zero point.
pub(super) fn average(node: &Node8<'_>, source: Rows8<'_>, y: usize, out: &mut [i8]) -> Option<()> {
    let (input, output) = (node.input, node.output);
    let (geometry, divisor) = Divisor::of(node.op, input)?;
    let [low, high] = node.range;
    let origin = *node.words.first()?;
    let rows = out.len().checked_div(output.row())?;
    pixels(geometry, (input, output), (y, rows), |region, spot| {
        let out = out.get_mut(spot.target..)?.get_mut(..output.c)?;
        let count = divisor.at(region) as i32;
        let padded = count - (region.rows.taps * region.cols.taps) as i32;
        let padding = padded * i32::from(node.input_quant.zero_point);
        for (out, first) in out.chunks_mut(CHUNK).zip((0..).step_by(CHUNK)) {
            let mut sums = [padding; CHUNK];
            taps(region, spot, 0, (&source, input.c), |_, from| {
                let x = source.data.get(from + first..)?;
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum += i32::from(x);
                }
                Some(())
            })?;
            for (out, sum) in out.iter_mut().zip(sums) {
                let mean = mean(sum - origin * count, count) + origin;
                *out = super::clip(mean, low, high);
            }
        }
        Some(())
    })
}
