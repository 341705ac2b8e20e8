//! Reductions over whole axes: mean, and the largest value of each channel.

use crate::tensor::Shape;

/// Where the output element of an input pixel lies, when the marked axes shrink to 1.
fn place(axes: [bool; 3], output: Shape, y: usize, x: usize) -> usize {
    let [no_y, no_x, _] = axes;
    let y = if no_y { 0 } else { y };
    let x = if no_x { 0 } else { x };
    y * output.row() + x * output.c
}

/// Elements that one mean is made of.
fn count(axes: [bool; 3], input: Shape) -> f32 {
    let [y, x, c] = axes;
    let of = |marked: bool, size: usize| if marked { size } else { 1 };
    (of(y, input.h) * of(x, input.w) * of(c, input.c)) as f32
}

/// Mean over the marked axes: summed in HWC order, then divided.
pub(in crate::net) fn mean_forward(
    axes: [bool; 3],
    input: Shape,
    output: Shape,
    data: &[f32],
    out: &mut [f32],
) -> Option<()> {
    out.fill(0.0);
    let [_, _, over_c] = axes;
    let mut pixels = data.chunks_exact(input.c.max(1));
    for y in 0..input.h {
        for x in 0..input.w {
            let out = out
                .get_mut(place(axes, output, y, x)..)?
                .get_mut(..output.c)?;
            let pixel = pixels.next()?;
            if let ([out], true) = (&mut *out, over_c) {
                for v in pixel {
                    *out += v;
                }
            } else {
                for (out, v) in out.iter_mut().zip(pixel) {
                    *out += v;
                }
            }
        }
    }
    let count = count(axes, input);
    for out in out {
        *out /= count;
    }
    Some(())
}

/// Shares each mean's gradient among its elements.
pub(in crate::net) fn mean_backward(
    axes: [bool; 3],
    input: Shape,
    output: Shape,
    grad_out: &[f32],
    grad_in: &mut [f32],
) -> Option<()> {
    let count = count(axes, input);
    let mut pixels = grad_in.chunks_exact_mut(input.c.max(1));
    for y in 0..input.h {
        for x in 0..input.w {
            let g = grad_out.get(place(axes, output, y, x)..)?.get(..output.c)?;
            let pixel = pixels.next()?;
            if let ([g], [_, _, true]) = (g, axes) {
                for to in pixel {
                    *to += g / count;
                }
            } else {
                for (to, g) in pixel.iter_mut().zip(g) {
                    *to += g / count;
                }
            }
        }
    }
    Some(())
}

/// Largest value of each channel and, if `keep` has room, its pixel (u32, little
/// endian); the first one wins among equals.
pub(in crate::net) fn max_forward<T: Copy + PartialOrd>(
    input: Shape,
    data: &[T],
    out: &mut [T],
    keep: &mut [u8],
) {
    let (winners, _) = keep.as_chunks_mut::<4>();
    for (pixel, index) in data.chunks_exact(input.c.max(1)).zip(0_u32..) {
        for (c, (out, &x)) in out.iter_mut().zip(pixel).enumerate() {
            if index == 0 || x > *out {
                *out = x;
                if let Some(winner) = winners.get_mut(c) {
                    *winner = index.to_le_bytes();
                }
            }
        }
    }
}

/// Gives each channel's gradient to its winner.
pub(in crate::net) fn max_backward(
    input: Shape,
    grad_out: &[f32],
    keep: &[u8],
    grad_in: &mut [f32],
) -> Option<()> {
    let (winners, _) = keep.as_chunks::<4>();
    for (c, &g) in grad_out.iter().enumerate() {
        let pixel = u32::from_le_bytes(*winners.get(c)?) as usize;
        let pixel = grad_in.get_mut(pixel.checked_mul(input.c)?..)?;
        *pixel.get_mut(c)? += g;
    }
    Some(())
}
