//! `Conv` and `Dense`.
//!
//! Source: TFLite `reference/integer_ops/conv.h`, `fully_connected.h`.

use super::channels::Channels;
use super::{Node8, Rows8};
use crate::net::arch::Isa;
use crate::net::op::{Geometry, Op};
use crate::tensor::Shape;

/// Position under tap `k` of output position `o` along an axis of `size`
/// positions; `None` in the padding.
#[inline(always)]
pub(super) fn under(g: Geometry, axis: usize, o: usize, k: usize, size: usize) -> Option<usize> {
    let of = |pair: [u16; 2]| pair.get(axis).map_or(0, |&v| usize::from(v));
    let at = (o * of(g.stride) + k * of(g.dilation)).checked_sub(of(g.pad))?;
    (at < size).then_some(at)
}

/// Output rows `y..` of a `Conv`, as many as `out` holds.
pub(super) fn forward_rows(
    node: &Node8<'_>,
    geometry: Geometry,
    source: Rows8<'_>,
    y: usize,
    out: &mut [i8],
    _scratch: &mut [u8],
    _isa: Isa,
) -> Option<()> {
    let channels = Channels::of(node)?;
    let output = node.output;
    for (row, y) in out.chunks_exact_mut(output.row().max(1)).zip(y..) {
        for (pixel, x) in row.chunks_exact_mut(output.c.max(1)).zip(0..) {
            for (c, out) in pixel.iter_mut().enumerate() {
                let sum = sum(node, &channels, geometry, source, [y, x, c])?;
                *out = node.store(channels.requantise(c, sum)?);
            }
        }
    }
    Some(())
}

/// Sum of one output element.
fn sum(
    node: &Node8<'_>,
    channels: &Channels<'_>,
    geometry: Geometry,
    source: Rows8<'_>,
    [y, x, c]: [usize; 3],
) -> Option<i32> {
    let input = node.input;
    let inputs = channels.filters.inputs;
    let first = c.checked_div(channels.filters.outputs)? * inputs;
    let [h, w] = geometry.kernel.map(usize::from);
    let mut taps = channels.filter(c)?.chunks_exact(inputs.max(1));
    let mut sum = *channels.bias.get(c)?;
    let zero_w = i32::from(node.weights_zero_point);
    for ky in 0..h {
        let row = under(geometry, 0, y, ky, input.h);
        for kx in 0..w {
            let weights = taps.next()?;
            let col = under(geometry, 1, x, kx, input.w);
            if let Some((row, col)) = row.zip(col) {
                let line = source.line(row as isize)?;
                let x = line.get(col * input.c + first..)?.get(..inputs)?;
                for (&x, &w) in x.iter().zip(weights) {
                    sum = sum.wrapping_add(i32::from(x) * (i32::from(w) - zero_w));
                }
            } else {
                let x = i32::from(node.input_quant.zero_point);
                for &w in weights {
                    sum = sum.wrapping_add(x * (i32::from(w) - zero_w));
                }
            }
        }
    }
    Some(sum)
}

/// A `Dense` as a 1x1 convolution of one pixel.
pub(super) fn as_conv<'m>(node: &Node8<'m>) -> (Node8<'m>, Geometry) {
    let one = Geometry {
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        pad: [0; 2],
    };
    match node.op {
        Op::Conv { geometry, .. } => (*node, geometry),
        _ => {
            let input = Shape::new(1, 1, node.input.len());
            let output = Shape::new(1, 1, node.output.len());
            let node = Node8 {
                input,
                output,
                ..*node
            };
            (node, one)
        }
    }
}

/// A whole `Conv` or `Dense`.
pub(super) fn forward(
    node: &Node8<'_>,
    x: &[i8],
    out: &mut [i8],
    scratch: &mut [u8],
    isa: Isa,
) -> Option<()> {
    let (node, geometry) = as_conv(node);
    let rows = Rows8::whole(x, node.input);
    forward_rows(&node, geometry, rows, 0, out, scratch, isa)
}

/// Bytes of scratch for the fastest variant.
pub(super) const fn scratch_len(_node: &Node8<'_>, _isa: Isa) -> usize {
    0
}
