//! Layers with changed weights.

use crate::error::Error;
use crate::net::arch::Isa;
use crate::net::int8::RealChannels;
use crate::net::op::{Activation, Op};
use crate::net::ops::packing::LANES;
use crate::net::ops::{Node, one_by_one};
use crate::tensor::Shape;

/// What becomes of a weight.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Change {
    /// w
    Plain,
    /// w+
    Positive,
    /// w-
    Negative,
    /// w + gamma w+
    RaisePositive(f32),
    /// w + gamma w-
    RaiseNegative(f32),
    /// w²
    Square,
    /// 1
    One,
}

impl Change {
    #[inline(always)]
    pub fn of(self, w: f32) -> f32 {
        let positive = if w > 0.0 { w } else { 0.0 };
        let negative = if w < 0.0 { w } else { 0.0 };
        match self {
            Self::Plain => w,
            Self::Positive => positive,
            Self::Negative => negative,
            Self::RaisePositive(gamma) => w + gamma * positive,
            Self::RaiseNegative(gamma) => w + gamma * negative,
            Self::Square => w * w,
            Self::One => 1.0,
        }
    }
}

/// Where the weights come from.
#[derive(Clone, Copy)]
pub(in crate::net) enum Weights<'a> {
    /// Packed for the kernels, and biases or none.
    Real(&'a [f32], &'a [f32]),
    /// Of an int8 node.
    Stored(RealChannels<'a>),
}

/// A batch normalisation that is a part of the layer before it.
#[derive(Clone, Copy)]
pub(in crate::net) struct Norm<'a> {
    /// Factor of each channel.
    pub scale: &'a [f32],
    /// What is added; empty for nothing.
    pub shift: &'a [f32],
}

/// A layer that is linear in its input.
#[derive(Clone, Copy)]
pub(in crate::net) struct Layer<'a> {
    pub op: Op,
    pub input: Shape,
    pub output: Shape,
    pub weights: Weights<'a>,
    pub norm: Option<Norm<'a>>,
    pub isa: Isa,
}

/// Where the filter of a channel lies among packed weights.
struct Filter {
    first: usize,
    step: usize,
    len: usize,
}

impl<'a> Layer<'a> {
    /// Input channels of a group by taps, output channels of a group.
    fn filter(&self, c: usize) -> Filter {
        let channels = self.output.c.max(1);
        let taps = |kernel: [u16; 2]| usize::from(kernel[0]) * usize::from(kernel[1]);
        let blocked = |len: usize, outputs: usize| {
            let outputs = outputs.max(1);
            let (group, lane) = (c / outputs, c % outputs);
            let block = group * outputs.next_multiple_of(LANES) + lane / LANES * LANES;
            Filter {
                first: block * len + lane % LANES,
                step: LANES,
                len,
            }
        };
        match self.op {
            Op::Conv { geometry, groups } => {
                let groups = usize::from(groups).max(1);
                blocked(
                    taps(geometry.kernel) * (self.input.c / groups),
                    self.output.c / groups,
                )
            }
            Op::Dense => blocked(self.input.len(), self.output.c),
            Op::Depthwise { geometry } => Filter {
                first: c,
                step: channels,
                len: taps(geometry.kernel),
            },
            _ => Filter {
                first: c,
                step: channels,
                len: 1,
            },
        }
    }

    /// The weights after `change`, in `room` unless they are there already.
    fn changed<'r>(&self, change: Change, room: &'r mut [f32]) -> Option<&'r [f32]>
    where
        'a: 'r,
    {
        match (self.weights, self.norm) {
            (Weights::Real(weights, _), None) if change == Change::Plain => return Some(weights),
            (Weights::Real(weights, _), None) => {
                for (out, &w) in room.iter_mut().zip(weights) {
                    *out = change.of(w);
                }
                return Some(room);
            }
            _ => {}
        }
        room.fill(0.0);
        for c in 0..self.output.c {
            let Filter { first, step, len } = self.filter(c);
            let norm = self.norm.map_or(Some(1.0), |n| n.scale.get(c).copied())?;
            let to = room.get_mut(first..)?.iter_mut().step_by(step.max(1));
            let to = to.take(len);
            match self.weights {
                Weights::Real(weights, _) => {
                    let from = weights.get(first..)?.iter().step_by(step.max(1));
                    to.zip(from).for_each(|(to, &w)| *to = change.of(w * norm));
                }
                Weights::Stored(channels) => {
                    let scale = channels.scale(c)? * norm;
                    let from = channels.steps(c)?;
                    to.zip(from).for_each(|(to, w)| *to = change.of(w * scale));
                }
            }
        }
        Some(room)
    }

    /// The biases after `change`, in `room` unless they are there already;
    /// empty where there are none.
    fn biases<'r>(&self, change: Change, room: &'r mut [f32]) -> Option<&'r [f32]>
    where
        'a: 'r,
    {
        if let (Weights::Real(_, bias), None) = (self.weights, self.norm)
            && (bias.is_empty() || change == Change::Plain)
        {
            return Some(bias);
        }
        for (c, out) in room.iter_mut().enumerate() {
            let own = match self.weights {
                Weights::Real(_, bias) => bias.get(c).copied().unwrap_or(0.0),
                Weights::Stored(channels) => channels.bias(c)?,
            };
            *out = change.of(match self.norm {
                None => own,
                Some(norm) => own * norm.scale.get(c)? + norm.shift.get(c).unwrap_or(&0.0),
            });
        }
        Some(room)
    }

    /// What [`Layer::node`] leaves out: a batch normalisation computes what it
    /// computed forward, bit for bit, if its layer is not changed otherwise.
    /// Sums near 0 would not survive another rounding.
    pub(super) fn norm_of(&self, change: Change) -> Option<Norm<'a>> {
        self.norm.filter(|_| change == Change::Plain)
    }

    /// The layer after `change`, without its activation and without
    /// [`Layer::norm_of`].
    pub(super) fn node<'r>(
        &self,
        change: Change,
        bias: bool,
        (weights, biases): (&'r mut [f32], &'r mut [f32]),
    ) -> Result<Node<'r>, Error>
    where
        'a: 'r,
    {
        let changed = Self {
            norm: self.norm.filter(|_| change != Change::Plain),
            ..*self
        };
        let biases = match bias {
            true => changed.biases(change, biases),
            false => Some(&[][..]),
        };
        Ok(Node {
            op: self.op,
            activation: Activation::None,
            input: self.input,
            output: self.output,
            weights: changed.changed(change, weights).ok_or(Error::Internal)?,
            bias: biases.ok_or(Error::Internal)?,
        })
    }
}

impl Norm<'_> {
    /// `x * scale`, and `+ shift` if `shifted`.
    pub(super) fn apply(&self, values: &mut [f32], shifted: bool) {
        for pixel in values.chunks_exact_mut(self.scale.len().max(1)) {
            for (x, scale) in pixel.iter_mut().zip(self.scale) {
                *x *= scale;
            }
            for (x, shift) in pixel.iter_mut().zip(self.shift).filter(|_| shifted) {
                *x += shift;
            }
        }
    }
}

/// What biases get of a message to a layer's output.
pub(super) fn taken(bias: &[f32], message: &[f32]) -> f64 {
    let mut all = 0.0;
    for pixel in one_by_one(message.chunks_exact(bias.len().max(1))) {
        for (&m, &b) in pixel.iter().zip(bias) {
            all += f64::from(m) * f64::from(b);
        }
    }
    all
}
