//! The numbers that a node with weights has for each output channel.

use super::Node8;
use super::fixed::apply_once;
use super::packing::{Filters, channels};
use crate::net::op::Op;
use crate::net::quant::Factor;

/// Weights, biases and factors of a `Conv`, `Depthwise` or `Dense`.
#[derive(Clone, Copy)]
pub(super) struct Channels<'a> {
    pub filters: Filters,
    pub weights: &'a [i8],
    pub bias: &'a [i32],
    pub multiplier: &'a [i32],
    pub shift: &'a [i8],
    /// Whether sums are rounded once instead of twice.
    pub once: bool,
}

impl<'a> Channels<'a> {
    pub fn of(node: &Node8<'a>) -> Option<Self> {
        let filters = Filters::of(node.op, node.input, node.output)?;
        let count = channels(node.op, node.output);
        let (bias, multiplier) = node.words.split_at_checked(count)?;
        let (weights, shift) = node
            .bytes
            .split_at_checked(node.bytes.len().checked_sub(count)?)?;
        let fits = multiplier.len() == count && weights.len() == filters.len() * count;
        fits.then_some(Self {
            filters,
            weights,
            bias,
            multiplier,
            shift,
            once: node.op == Op::Dense,
        })
    }

    /// Factor of channel `c`.
    #[inline(always)]
    pub fn factor(&self, c: usize) -> Option<Factor> {
        Some(Factor {
            multiplier: *self.multiplier.get(c)?,
            shift: *self.shift.get(c)?,
        })
    }

    /// What the sum of channel `c` is requantised to.
    #[inline(always)]
    pub fn requantise(&self, c: usize, sum: i32) -> Option<i32> {
        let factor = self.factor(c)?;
        Some(if self.once {
            apply_once(factor, sum)
        } else {
            factor.apply(sum)
        })
    }

    /// The filter of channel `c`: a run of weights, or every C-th of them in a `Depthwise`.
    #[inline(always)]
    pub fn filter(&self, c: usize) -> Option<&'a [i8]> {
        let len = self.filters.len();
        self.weights.get(c * len..)?.get(..len)
    }
}
