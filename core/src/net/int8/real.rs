//! Weights and biases of an int8 node as real numbers, channel by channel.

use super::Node8;
use super::channels::Channels;
use crate::net::op::Op;

/// The filters of a `Conv`, `Depthwise` or `Dense`.
#[derive(Clone, Copy)]
pub(in crate::net) struct RealChannels<'a> {
    node: Node8<'a>,
    channels: Channels<'a>,
}

impl<'a> RealChannels<'a> {
    pub fn of(node: &Node8<'a>) -> Option<Self> {
        Some(Self {
            node: *node,
            channels: Channels::of(node)?,
        })
    }

    /// Real value of one step of channel `c`'s weights.
    pub fn scale(&self, c: usize) -> Option<f32> {
        self.channels.scale(&self.node, c)
    }

    /// Weights of channel `c` in steps, `[tap][input channel]`.
    pub fn steps(&self, c: usize) -> Option<impl Iterator<Item = f32> + 'a> {
        let len = self.channels.filters.len();
        let (first, step) = match self.node.op {
            Op::Depthwise { .. } => (c, self.node.output.c.max(1)),
            _ => (c * len, 1),
        };
        let stored = self.channels.weights.get(first..)?.iter();
        let zero = i16::from(self.node.weights_zero_point);
        let steps = stored.step_by(step).take(len);
        Some(steps.map(move |&w| f32::from(i16::from(w) - zero)))
    }

    /// Bias of channel `c`: what is stored has the input's zero point folded in.
    pub fn bias(&self, c: usize) -> Option<f32> {
        let zero = f64::from(self.node.input_quant.zero_point);
        let sum: f64 = self.steps(c)?.map(f64::from).sum();
        let steps = f64::from(*self.channels.bias.get(c)?) + zero * sum;
        let step = f64::from(self.scale(c)?) * f64::from(self.node.input_quant.scale);
        Some((steps * step) as f32)
    }
}
