//! `Depthwise`: each channel by its own filter.
//!
//! Source: TFLite `reference/integer_ops/depthwise_conv.h`.

use super::channels::Channels;
use super::conv::under;
use super::{Node8, Rows8};
use crate::net::arch::Isa;
use crate::net::op::Geometry;

/// Channels whose sums are kept at once.
const CHUNK: usize = 16;

/// Output rows `y..`, as many as `out` holds.
pub(super) fn forward_rows(
    node: &Node8<'_>,
    geometry: Geometry,
    source: Rows8<'_>,
    y: usize,
    out: &mut [i8],
    _isa: Isa,
) -> Option<()> {
    let channels = Channels::of(node)?;
    let output = node.output;
    for (row, y) in out.chunks_exact_mut(output.row().max(1)).zip(y..) {
        for (pixel, x) in row.chunks_exact_mut(output.c.max(1)).zip(0..) {
            for (out, first) in pixel.chunks_mut(CHUNK).zip((0..).step_by(CHUNK)) {
                let sums = sums(node, &channels, geometry, source, [y, x, first])?;
                for ((out, sum), c) in out.iter_mut().zip(sums).zip(first..) {
                    *out = node.store(channels.requantise(c, sum)?);
                }
            }
        }
    }
    Some(())
}

/// Sums of the channels from `first` on at one pixel.
fn sums(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    geometry: Geometry,
    source: Rows8<'_>,
    [y, x, first]: [usize; 3],
) -> Option<[i32; CHUNK]> {
    let input = node.input;
    let [h, w] = geometry.kernel.map(usize::from);
    let zero_w = i32::from(node.weights_zero_point);
    let mut taps = channels.weights.chunks_exact(input.c.max(1));
    let mut sums = [0; CHUNK];
    for (sum, bias) in sums.iter_mut().zip(channels.bias.get(first..)?) {
        *sum = *bias;
    }
    for ky in 0..h {
        let row = under(geometry, 0, y, ky, input.h);
        for kx in 0..w {
            let weights = taps.next()?.get(first..)?.iter();
            let col = under(geometry, 1, x, kx, input.w);
            if let Some((row, col)) = row.zip(col) {
                let x = source.line(row as isize)?.get(col * input.c + first..)?;
                for ((sum, &x), &w) in sums.iter_mut().zip(x).zip(weights) {
                    *sum = sum.wrapping_add(i32::from(x) * (i32::from(w) - zero_w));
                }
            } else {
                let x = i32::from(node.input_quant.zero_point);
                for (sum, &w) in sums.iter_mut().zip(weights) {
                    *sum = sum.wrapping_add(x * (i32::from(w) - zero_w));
                }
            }
        }
    }
    Some(sums)
}
