//! Operators that move elements and compute nothing: concatenation, slices,
//! channel shuffle, padding.

use super::activation::settle;
use super::{Node, one_by_one};
use crate::net::op::PadMode;
use crate::tensor::Shape;

/// How an input of a `Concat` lies in its output: elements of one run of the
/// input, of the output from one run to the next, and before the run.
pub(in crate::net) fn runs(
    axis: u8,
    offset: usize,
    input: Shape,
    output: Shape,
) -> (usize, usize, usize) {
    match axis {
        0 => (input.len(), output.len(), offset * output.row()),
        1 => (input.row(), output.row(), offset * output.c),
        _ => (input.c, output.c, offset),
    }
}

/// Copies one input to its place and applies the activation there; reports NaN.
pub(in crate::net) fn concat(
    node: &Node<'_>,
    axis: u8,
    offset: usize,
    data: &[f32],
    out: &mut [f32],
) -> Option<bool> {
    let (run, period, before) = runs(axis, offset, node.input, node.output);
    let mut seen = false;
    for (out, x) in out
        .chunks_exact_mut(period.max(1))
        .zip(one_by_one(data.chunks_exact(run.max(1))))
    {
        let out = out.get_mut(before..)?.get_mut(..run)?;
        for (out, x) in out.iter_mut().zip(x) {
            *out = *x;
        }
        seen |= settle(node.activation, out);
    }
    Some(seen)
}

/// Adds the part of the gradient that belongs to one input.
pub(in crate::net) fn concat_backward(
    node: &Node<'_>,
    axis: u8,
    offset: usize,
    grad_out: &[f32],
    grad_in: &mut [f32],
) -> Option<()> {
    let (run, period, before) = runs(axis, offset, node.input, node.output);
    for (to, g) in grad_in
        .chunks_exact_mut(run.max(1))
        .zip(one_by_one(grad_out.chunks_exact(period.max(1))))
    {
        add(to, g.get(before..)?.get(..run)?);
    }
    Some(())
}

fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += *from;
    }
}

/// Calls `visit` with each output pixel of a slice and the first input element that it takes.
fn sliced(
    start: [u16; 3],
    step: [u16; 3],
    input: Shape,
    output: Shape,
    mut visit: impl FnMut(usize, usize) -> Option<()>,
) -> Option<()> {
    let [first_y, first_x, first_c] = start.map(usize::from);
    let [step_y, step_x, _] = step.map(usize::from);
    for y in 0..output.h {
        for x in 0..output.w {
            let pixel = (first_y + y * step_y) * input.row() + (first_x + x * step_x) * input.c;
            visit((y * output.w + x) * output.c, pixel + first_c)?;
        }
    }
    Some(())
}

/// Every `step`-th element.
pub(in crate::net) fn slice<T: Copy>(
    start: [u16; 3],
    step: [u16; 3],
    (input, output): (Shape, Shape),
    data: &[T],
    out: &mut [T],
) -> Option<()> {
    let step_c = usize::from(step[2]).max(1);
    sliced(start, step, input, output, |to, from| {
        let out = out.get_mut(to..)?.get_mut(..output.c)?;
        for (out, x) in out.iter_mut().zip(data.get(from..)?.iter().step_by(step_c)) {
            *out = *x;
        }
        Some(())
    })
}

/// Adds the gradient to the elements that the slice took.
pub(in crate::net) fn slice_backward(
    start: [u16; 3],
    step: [u16; 3],
    (input, output): (Shape, Shape),
    grad_out: &[f32],
    grad_in: &mut [f32],
) -> Option<()> {
    let step_c = usize::from(step[2]).max(1);
    sliced(start, step, input, output, |from, to| {
        let g = grad_out.get(from..)?.get(..output.c)?;
        for (to, g) in grad_in.get_mut(to..)?.iter_mut().step_by(step_c).zip(g) {
            *to += g;
        }
        Some(())
    })
}

/// Channel shuffle.
pub(in crate::net) fn shuffle<T: Copy>(groups: u16, channels: usize, data: &[T], out: &mut [T]) {
    let groups = usize::from(groups).max(1);
    let (c, each) = (channels.max(1), (channels / groups).max(1));
    for (out, x) in out
        .chunks_exact_mut(c)
        .zip(one_by_one(data.chunks_exact(c)))
    {
        for (g, x) in x.chunks_exact(each).enumerate() {
            for (out, x) in out.iter_mut().skip(g).step_by(groups).zip(x) {
                *out = *x;
            }
        }
    }
}

/// Adds the gradient, each channel to where it came from.
pub(in crate::net) fn shuffle_backward(
    groups: u16,
    channels: usize,
    grad_out: &[f32],
    grad_in: &mut [f32],
) {
    let groups = usize::from(groups).max(1);
    let (c, each) = (channels.max(1), (channels / groups).max(1));
    for (to, from) in grad_in
        .chunks_exact_mut(c)
        .zip(one_by_one(grad_out.chunks_exact(c)))
    {
        for (g, to) in to.chunks_exact_mut(each).enumerate() {
            for (to, from) in to.iter_mut().zip(from.iter().skip(g).step_by(groups)) {
                *to += *from;
            }
        }
    }
}

/// Where padded index `i` of an axis takes its element from; `None` is the constant.
fn origin(i: usize, before: usize, size: usize, mode: PadMode) -> Option<usize> {
    let last = size.saturating_sub(1);
    match (i.checked_sub(before), mode) {
        (Some(i), _) if i < size => Some(i),
        (_, PadMode::Constant(_)) => None,
        (Some(_), PadMode::Edge) => Some(last),
        (None, PadMode::Edge) => Some(0),
        (Some(i), PadMode::Reflect) => Some(last.saturating_sub(i - last)),
        (None, PadMode::Reflect) => Some((before - i).min(last)),
    }
}

/// A `Pad`.
pub(in crate::net) struct Padding {
    pub before: [u16; 3],
    pub mode: PadMode,
    pub input: Shape,
    pub output: Shape,
}

impl Padding {
    /// Calls `visit` with the first output element of each pixel and the first
    /// input element of the pixel it shows, if it shows one.
    fn pixels(&self, mut visit: impl FnMut(usize, Option<usize>) -> Option<()>) -> Option<()> {
        let (input, output) = (self.input, self.output);
        let [top, left, _] = self.before.map(usize::from);
        for y in 0..output.h {
            let row = origin(y, top, input.h, self.mode);
            for x in 0..output.w {
                let col = origin(x, left, input.w, self.mode);
                let from = row.zip(col).map(|(y, x)| y * input.row() + x * input.c);
                visit((y * output.w + x) * output.c, from)?;
            }
        }
        Some(())
    }

    /// Input channel that output channel `c` shows, if it shows one.
    fn channel(&self, c: usize) -> Option<usize> {
        let [_, _, before] = self.before;
        origin(c, before.into(), self.input.c, self.mode)
    }

    /// The padded tensor.
    pub fn fill<T: Copy>(&self, constant: T, data: &[T], out: &mut [T]) -> Option<()> {
        self.pixels(|to, from| {
            let out = out.get_mut(to..)?.get_mut(..self.output.c)?;
            let pixel = match from {
                Some(from) => data.get(from..)?.get(..self.input.c)?,
                None => &[],
            };
            if pixel.len() == out.len() {
                for (out, x) in out.iter_mut().zip(pixel) {
                    *out = *x;
                }
                return Some(());
            }
            for (c, out) in out.iter_mut().enumerate() {
                let c = self.channel(c);
                *out = c.and_then(|c| pixel.get(c)).copied().unwrap_or(constant);
            }
            Some(())
        })
    }

    /// Adds the gradient to the elements that are shown.
    pub fn backward(&self, grad_out: &[f32], grad_in: &mut [f32]) -> Option<()> {
        self.pixels(|at, to| {
            let Some(to) = to else {
                return Some(());
            };
            let g = grad_out.get(at..)?.get(..self.output.c)?;
            let to = grad_in.get_mut(to..)?.get_mut(..self.input.c)?;
            for (c, g) in g.iter().enumerate() {
                if let Some(c) = self.channel(c) {
                    *to.get_mut(c)? += g;
                }
            }
            Some(())
        })
    }
}
