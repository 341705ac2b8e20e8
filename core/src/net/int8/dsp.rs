//! `Conv` and `Depthwise` with the DSP extension of Arm's microcontrollers.

mod convolution;
mod depthwise;

use super::Node8;
use super::channels::Channels;
use crate::net::arch::dsp::{self, Dsp};

pub(super) use convolution::{convolve, takes};

/// Whether all sums of a node may be requantised in the short way.
fn is_short(channels: &Channels<'_>) -> bool {
    let factors = channels.multiplier.iter().zip(channels.shift);
    channels
        .bias
        .iter()
        .zip(factors)
        .all(|(&bias, (&multiplier, &shift))| dsp::is_short(bias, multiplier, shift))
}

/// Limits what a node has made to its range.
fn limit(dsp: Dsp, node: &Node8<'_>, out: &mut [i8]) {
    if node.range != [i8::MIN, i8::MAX] {
        dsp.limit(node.range, out);
    }
}
