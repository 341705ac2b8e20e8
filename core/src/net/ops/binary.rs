//! Operators on two tensors that broadcast against each other: arithmetic and
//! PReLU. Each axis of an operand has the output's size or 1.

use super::activation::{pass, record};
use super::{Node, Operand, Saved};
use crate::classifier::Rule;
use crate::error::Error;
use crate::net::op::{Arithmetic, Op};
use crate::tensor::Shape;

/// Where the pixels of a broadcast operand lie.
#[derive(Clone, Copy)]
struct Steps {
    y: usize,
    x: usize,
    c: usize,
}

impl Steps {
    /// One "pixel" holds the whole tensor if nothing is broadcast.
    fn of(shape: Shape, flat: bool) -> Self {
        if flat {
            return Self {
                y: 0,
                x: 0,
                c: shape.len(),
            };
        }
        Self {
            y: if shape.h == 1 { 0 } else { shape.row() },
            x: if shape.w == 1 { 0 } else { shape.c },
            c: shape.c,
        }
    }

    fn pixel<'a, T>(&self, data: &'a [T], y: usize, x: usize) -> Option<&'a [T]> {
        data.get(y * self.y + x * self.x..)?.get(..self.c)
    }

    fn pixel_mut<'a, T>(&self, data: &'a mut [T], y: usize, x: usize) -> Option<&'a mut [T]> {
        data.get_mut(y * self.y + x * self.x..)?.get_mut(..self.c)
    }
}

/// Rows and columns to walk: those of `output`, or one pixel if all shapes agree.
fn grid(output: Shape, shapes: &[Shape]) -> (usize, usize, bool) {
    let flat = shapes.iter().all(|&shape| shape == output);
    if flat {
        (1, 1, true)
    } else {
        (output.h, output.w, false)
    }
}

/// `out = f(a, b)`.
pub(in crate::net) fn zip_into<T: Copy>(
    output: Shape,
    out: &mut [T],
    a: &Operand<'_, T>,
    b: &Operand<'_, T>,
    f: impl Fn(T, T) -> T,
) -> Option<()> {
    let (h, w, flat) = grid(output, &[a.shape, b.shape]);
    let [to, from_a, from_b] = [output, a.shape, b.shape].map(|shape| Steps::of(shape, flat));
    for y in 0..h {
        for x in 0..w {
            let out = to.pixel_mut(out, y, x)?;
            let a = from_a.pixel(a.data, y, x)?;
            let b = from_b.pixel(b.data, y, x)?;
            zip_pixel(out, a, b, &f);
        }
    }
    Some(())
}

#[inline(always)]
fn zip_pixel<T: Copy>(out: &mut [T], a: &[T], b: &[T], f: &impl Fn(T, T) -> T) {
    match (a, b) {
        (&[a], b) => {
            for (out, &b) in out.iter_mut().zip(b) {
                *out = f(a, b);
            }
        }
        (a, &[b]) => {
            for (out, &a) in out.iter_mut().zip(a) {
                *out = f(a, b);
            }
        }
        (a, b) => {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = f(a, b);
            }
        }
    }
}

/// Arithmetic or PReLU. Gate bits of a PReLU go to `keep`.
pub(in crate::net) fn forward(
    node: &Node<'_>,
    inputs: &[Operand<'_>],
    out: &mut [f32],
    keep: &mut [u8],
) -> Option<()> {
    let (a, b) = (inputs.first()?, inputs.get(1)?);
    let output = node.output;
    match node.op {
        Op::Binary(Arithmetic::Add) => zip_into(output, out, a, b, |a, b| a + b),
        Op::Binary(Arithmetic::Sub) => zip_into(output, out, a, b, |a, b| a - b),
        Op::Binary(Arithmetic::Mul) => zip_into(output, out, a, b, |a, b| a * b),
        Op::Binary(Arithmetic::Div) => zip_into(output, out, a, b, |a, b| a / b),
        Op::PRelu => {
            record(keep, a.data, |x| x > 0.0);
            zip_into(
                output,
                out,
                a,
                b,
                |x, slope| if x > 0.0 { x } else { slope * x },
            )
        }
        _ => None,
    }
}

/// A gradient on its way to one operand.
pub(in crate::net) struct Backward<'a, T = f32> {
    pub output: Shape,
    pub gradient: &'a [f32],
    pub a: Operand<'a, T>,
    pub b: Operand<'a, T>,
    /// Shape of the operand.
    pub input: Shape,
}

impl<T: Copy> Backward<'_, T> {
    /// Adds `f(element, gradient, a, b)` to the operand's gradient.
    pub fn add(&self, grad_in: &mut [f32], f: impl Fn(usize, f32, T, T) -> f32) -> Option<()> {
        let (h, w, flat) = grid(self.output, &[self.a.shape, self.b.shape, self.input]);
        let [from, from_a, from_b, to] = [self.output, self.a.shape, self.b.shape, self.input]
            .map(|shape| Steps::of(shape, flat));
        for y in 0..h {
            for x in 0..w {
                let first = y * from.y + x * from.x;
                let g = from.pixel(self.gradient, y, x)?;
                let a = from_a.pixel(self.a.data, y, x)?;
                let b = from_b.pixel(self.b.data, y, x)?;
                let to = to.pixel_mut(grad_in, y, x)?;
                if [a.len(), b.len(), to.len()] == [g.len(); 3] {
                    for ((((to, &g), &a), &b), i) in to.iter_mut().zip(g).zip(a).zip(b).zip(first..)
                    {
                        *to += f(i, g, a, b);
                    }
                    continue;
                }
                for (c, &g) in g.iter().enumerate() {
                    let value = f(first + c, g, *at(a, c)?, *at(b, c)?);
                    *to.get_mut(if to.len() == 1 { 0 } else { c })? += value;
                }
            }
        }
        Some(())
    }
}

fn at<T>(values: &[T], c: usize) -> Option<&T> {
    values.get(if values.len() == 1 { 0 } else { c })
}

/// Adds the gradient of operand `part`.
pub(in crate::net) fn backward(
    node: &Node<'_>,
    part: usize,
    rule: Rule,
    grad_out: &[f32],
    saved: &Saved<'_>,
    grad_in: &mut [f32],
) -> Result<(), Error> {
    // Stands in where an operand's value is not read.
    let any = Operand {
        shape: node.output,
        data: grad_out,
    };
    let [a, b] = saved.inputs;
    let (reads_a, reads_b) = reads(node.op, part);
    if (reads_a && a.is_none()) || (reads_b && b.is_none()) {
        return Err(Error::Internal);
    }
    let way = Backward {
        output: node.output,
        gradient: grad_out,
        a: a.filter(|_| reads_a).unwrap_or(any),
        b: b.filter(|_| reads_b).unwrap_or(any),
        input: node.input,
    };
    share(node.op, part, rule, &way, saved.keep, grad_in).ok_or(Error::Internal)
}

/// Adds the derivative of the operator with respect to operand `part`.
fn share(
    op: Op,
    part: usize,
    rule: Rule,
    way: &Backward<'_>,
    keep: &[u8],
    grad_in: &mut [f32],
) -> Option<()> {
    let open = |i: usize| {
        keep.get(i / 8)
            .is_some_and(|byte| (byte >> (i % 8)) & 1 != 0)
    };
    match (op, part) {
        (Op::Binary(Arithmetic::Sub), 1) => way.add(grad_in, |_, g, _, _| -g),
        (Op::Binary(Arithmetic::Add | Arithmetic::Sub), _) => way.add(grad_in, |_, g, _, _| g),
        (Op::Binary(Arithmetic::Mul), 0) => way.add(grad_in, |_, g, _, b| g * b),
        (Op::Binary(Arithmetic::Mul), _) => way.add(grad_in, |_, g, a, _| g * a),
        (Op::Binary(Arithmetic::Div), 0) => way.add(grad_in, |_, g, _, b| g / b),
        (Op::Binary(Arithmetic::Div), _) => way.add(grad_in, |_, g, a, b| -(g * (a / b)) / b),
        (Op::PRelu, 0) => way.add(grad_in, |i, g, _, slope| pass(rule, g, open(i), slope)),
        (Op::PRelu, _) => way.add(grad_in, |i, g, x, _| if open(i) { 0.0 } else { g * x }),
        _ => None,
    }
}

/// Whether the gradient of operand `part` reads the values of operands 0 and 1.
fn reads(op: Op, part: usize) -> (bool, bool) {
    match (op, part) {
        (Op::Binary(Arithmetic::Mul | Arithmetic::Div) | Op::PRelu, 0) => (false, true),
        (Op::Binary(Arithmetic::Mul) | Op::PRelu, _) => (true, false),
        (Op::Binary(Arithmetic::Div), _) => (true, true),
        _ => (false, false),
    }
}
