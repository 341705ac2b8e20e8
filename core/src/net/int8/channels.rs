//! The numbers that a node with weights has for each output channel.

use super::Node8;
use super::fixed::apply_once;
use super::packing::{Filters, channels};
use crate::net::arch::int8::Requantise;
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

    /// What the sums of up to 8 channels from `first` on are requantised by;
    /// idle places repeat the last channel.
    #[inline(always)]
    pub fn requantisation(
        &self,
        node: &Node8<'_>,
        first: usize,
        count: usize,
    ) -> Option<Requantise> {
        let [low, high] = node.range;
        let mut by = Requantise {
            bias: [0; 8],
            multiplier: [0; 8],
            shift: [0; 8],
            zero_point: node.output_quant.zero_point.into(),
            range: [low.into(), high.into()],
        };
        let places = by.bias.iter_mut().zip(&mut by.multiplier);
        for (((bias, multiplier), shift), i) in places.zip(&mut by.shift).zip(0..) {
            let c = first + count.saturating_sub(1).min(i);
            *bias = *self.bias.get(c)?;
            *multiplier = *self.multiplier.get(c)?;
            *shift = (*self.shift.get(c)?).into();
        }
        Some(by)
    }

    /// The filter of channel `c`: a run of weights, or every C-th of them in a `Depthwise`.
    #[inline(always)]
    pub fn filter(&self, c: usize) -> Option<&'a [i8]> {
        let len = self.filters.len();
        self.weights.get(c * len..)?.get(..len)
    }
}
