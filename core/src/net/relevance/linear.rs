//! The rules of layers that are linear in their input. One denominator is the
//! sum of a few terms; each term is the layer with changed weights, applied to
//! a part of the input.

use super::Range;
use super::layer::{Change, Layer, taken};
use super::room::Room;
use crate::classifier::Rule;
use crate::error::Error;
use crate::net::ops::{self, Operand, Saved};
use crate::relevance::{LayerRelevance, LayerRule};
use crate::tensor::Values;

/// A part of the input.
#[derive(Clone, Copy)]
enum Part {
    /// a
    All,
    /// a+
    Positive,
    /// a-
    Negative,
    /// 1
    Ones,
    /// - least pixel
    MinusLow,
    /// - greatest pixel
    MinusHigh,
}

#[derive(Clone, Copy)]
struct Term {
    part: Part,
    change: Change,
    bias: bool,
}

/// Outputs that are meant.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Any,
    Positive,
    Negative,
}

/// Terms over one denominator.
struct Side {
    terms: [Option<Term>; 3],
    factor: f32,
    when: When,
}

/// How a layer shares its relevance.
#[derive(Clone, Copy)]
pub(in crate::net) struct Setting {
    pub rule: LayerRule,
    pub epsilon: f32,
    /// Whether biases count in z+ and alpha-beta.
    pub bias: bool,
    /// Of a layer that reads the picture.
    pub range: Option<Range>,
}

const fn term(part: Part, change: Change, bias: bool) -> Option<Term> {
    Some(Term { part, change, bias })
}

const fn side(factor: f32, when: When, terms: [Option<Term>; 3]) -> Option<Side> {
    Some(Side {
        terms,
        factor,
        when,
    })
}

/// The sides of a rule.
fn sides(setting: &Setting) -> [Option<Side>; 2] {
    use Change::{Negative, One, Plain, Positive, RaiseNegative, RaisePositive, Square};
    let only = |terms| [side(1.0, When::Any, terms), None];
    // Products above 0, and below.
    let above = [
        term(Part::Positive, Positive, setting.bias),
        term(Part::Negative, Negative, false),
        None,
    ];
    let below = [
        term(Part::Positive, Negative, setting.bias),
        term(Part::Negative, Positive, false),
        None,
    ];
    match setting.rule {
        LayerRule::Epsilon => only([term(Part::All, Plain, true), None, None]),
        LayerRule::ZPlus => only(above),
        LayerRule::AlphaBeta(alpha) => [
            side(alpha, When::Any, above),
            side(1.0 - alpha, When::Any, below).filter(|_| alpha > 1.0),
        ],
        LayerRule::Gamma(gamma) => {
            let raised = |a, b| {
                [
                    term(Part::Positive, a, true),
                    term(Part::Negative, b, false),
                    None,
                ]
            };
            let (up, down) = (RaisePositive(gamma), RaiseNegative(gamma));
            [
                side(1.0, When::Positive, raised(up, down)),
                side(1.0, When::Negative, raised(down, up)),
            ]
        }
        LayerRule::WSquare => only([term(Part::Ones, Square, false), None, None]),
        LayerRule::Flat => only([term(Part::Ones, One, false), None, None]),
        LayerRule::ZBox => match setting.range {
            Some(_) => only([
                term(Part::All, Plain, false),
                term(Part::MinusLow, Positive, false),
                term(Part::MinusHigh, Negative, false),
            ]),
            None => only([term(Part::Ones, Square, false), None, None]),
        },
    }
}

/// Writes a part of the input; whether any of it is not 0.
fn fill(part: Part, from: &Values<'_>, c: usize, range: Option<Range>, out: &mut [f32]) -> bool {
    let [low, high] = range.unwrap_or_default();
    let pixels = |out: &mut [f32], values: [f32; 4]| {
        for pixel in out.chunks_exact_mut(c.max(1)) {
            for (out, v) in pixel.iter_mut().zip(values) {
                *out = -v;
            }
        }
    };
    match part {
        Part::Ones => out.fill(1.0),
        Part::MinusLow => pixels(out, low),
        Part::MinusHigh => pixels(out, high),
        Part::All => copy(from, out, |x| x),
        Part::Positive => copy(from, out, |x| if x > 0.0 { x } else { 0.0 }),
        Part::Negative => copy(from, out, |x| if x < 0.0 { x } else { 0.0 }),
    }
    out.iter().any(|&x| x != 0.0)
}

fn copy(from: &Values<'_>, out: &mut [f32], f: impl Fn(f32) -> f32) {
    for (out, x) in out.iter_mut().zip(from.iter()) {
        *out = f(x);
    }
}

/// `z + epsilon * sign(z)`, where the sign of 0 is 1.
pub(super) fn stabilised(z: f32, epsilon: f32) -> f32 {
    if z < 0.0 { z - epsilon } else { z + epsilon }
}

/// `r / (z + s)`, and what the stabiliser took; nothing where it divides by 0.
pub(super) fn divided(r: f32, z: f32, epsilon: f32) -> (f32, f64) {
    let by = stabilised(z, epsilon);
    if by == 0.0 {
        return (0.0, r.into());
    }
    let message = r / by;
    (message, f64::from(message) * (f64::from(by) - f64::from(z)))
}

/// One call: the layer, its input, its rule.
struct Call<'c, 'a> {
    layer: &'c Layer<'a>,
    input: &'c Values<'c>,
    setting: &'c Setting,
}

/// Adds to `into` what the inputs of a layer get of `out`.
pub(in crate::net) fn linear(
    (layer, input, setting): (&Layer<'_>, &Values<'_>, &Setting),
    out: &[f32],
    into: &mut [f32],
    (room, scratch): (&mut Room<'_>, &mut [f32]),
    sums: &mut LayerRelevance,
) -> Result<(), Error> {
    let call = Call {
        layer,
        input,
        setting,
    };
    if let LayerRule::Gamma(_) = setting.rule {
        let plain = Term {
            part: Part::All,
            change: Change::Plain,
            bias: true,
        };
        call.forward(&plain, room, scratch)?;
        copy_all(room.term, room.sign);
    }
    for side in sides(setting).iter().flatten() {
        call.side(side, out, into, (&mut *room, &mut *scratch), sums)?;
    }
    Ok(())
}

impl Call<'_, '_> {
    fn side(
        &self,
        side: &Side,
        out: &[f32],
        into: &mut [f32],
        (room, scratch): (&mut Room<'_>, &mut [f32]),
        sums: &mut LayerRelevance,
    ) -> Result<(), Error> {
        let meant = |z: f32| match side.when {
            When::Any => true,
            When::Positive => z >= 0.0,
            When::Negative => z < 0.0,
        };
        if side.when != When::Any {
            let mut all = out.iter().zip(&*room.sign);
            if !all.any(|(&r, &z)| r != 0.0 && meant(z)) {
                return Ok(());
            }
        }
        room.total.fill(0.0);
        for term in side.terms.iter().flatten() {
            if self.forward(term, room, scratch)? {
                for (total, z) in room.total.iter_mut().zip(&*room.term) {
                    *total += z;
                }
            }
        }
        let mut sign = room.sign.iter();
        for ((message, &z), &r) in room.term.iter_mut().zip(&*room.total).zip(out) {
            let own = sign.next().copied().unwrap_or(0.0);
            let r = if meant(own) { side.factor * r } else { 0.0 };
            let (share, lost) = divided(r, z, self.setting.epsilon);
            *message = share;
            sums.epsilon += lost;
        }
        for term in side.terms.iter().flatten() {
            self.backward(term, into, (&mut *room, &mut *scratch), sums)?;
        }
        Ok(())
    }

    fn fill(&self, term: &Term, first: &mut [f32]) -> bool {
        let (c, range) = (self.layer.input.c, self.setting.range);
        fill(term.part, self.input, c, range, first)
    }

    /// The term's output; whether there is any.
    fn forward(
        &self,
        term: &Term,
        room: &mut Room<'_>,
        scratch: &mut [f32],
    ) -> Result<bool, Error> {
        if !self.fill(term, room.first) && !term.bias {
            return Ok(false);
        }
        let changed = (&mut *room.weights, &mut *room.bias);
        let node = self.layer.node(term.change, term.bias, changed)?;
        let operand = Operand {
            shape: self.layer.input,
            data: room.first,
        };
        let isa = self.layer.isa;
        ops::forward(&node, &[operand], 0, room.term, &mut [], scratch, isa)?;
        if let Some(norm) = self.layer.norm_of(term.change) {
            norm.apply(room.term, term.bias);
        }
        Ok(true)
    }

    /// Adds the term's share of what is sent back.
    fn backward(
        &self,
        term: &Term,
        into: &mut [f32],
        (room, scratch): (&mut Room<'_>, &mut [f32]),
        sums: &mut LayerRelevance,
    ) -> Result<(), Error> {
        if !self.fill(term, room.first) && !term.bias {
            return Ok(());
        }
        let changed = (&mut *room.weights, &mut *room.bias);
        let node = self.layer.node(term.change, term.bias, changed)?;
        // The sum has served its turn: here goes what is sent through the layer.
        copy_all(room.term, room.total);
        if let Some(norm) = self.layer.norm_of(term.change) {
            sums.bias += taken(norm.shift, room.term) * f64::from(u8::from(term.bias));
            norm.apply(room.total, false);
        }
        sums.bias += taken(node.bias, room.total);
        room.gradient.fill(0.0);
        ops::backward(
            &node,
            0,
            0,
            Rule::Gradient,
            room.total,
            &NOTHING,
            room.gradient,
            scratch,
            self.layer.isa,
        )?;
        sums.into += add_products(room.first, room.gradient, into);
        Ok(())
    }
}

/// For operators whose derivative reads no value.
pub(super) const NOTHING: Saved<'static> = Saved {
    inputs: [None; 2],
    output: None,
    keep: &[],
};

/// Adds `a * b`; returns the sum of what was added.
pub(super) fn add_products(a: &[f32], b: &[f32], into: &mut [f32]) -> f64 {
    let mut all = 0.0;
    for ((into, &a), &b) in into.iter_mut().zip(a).zip(b) {
        let share = a * b;
        *into += share;
        all += f64::from(share);
    }
    all
}

/// Copies as far as both reach; they are equally long.
fn copy_all(from: &[f32], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
