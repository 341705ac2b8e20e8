//! Gradient of a `Depthwise` without vectors, from weights in f32.

use crate::net::arch::products::{Tap, add_channelwise};
use crate::net::ops::walk::{Pixels, Window};

/// Channels whose sums are kept at once.
const LANES: usize = 8;

/// Adds the input gradient; `weights` in HWC order.
pub(super) fn add(window: &Window<'_>, weights: &[f32], grad_in: &mut [f32]) -> Option<()> {
    let channels = window.target_c;
    let window = Window { ..*window };
    window.runs(weights, channels, 0, |pixels| {
        let target = grad_in.get_mut(pixels.target..)?;
        let whole = channels - channels % LANES;
        let done = match add_channelwise(pixels.run, target, pixels.taps, whole) {
            Some(()) => whole,
            None => 0,
        };
        add_plainly(pixels, target, done, channels)
    })
}

/// Adds the channels from `first` to `end`.
fn add_plainly(
    pixels: &Pixels<'_, '_>,
    target: &mut [f32],
    first: usize,
    end: usize,
) -> Option<()> {
    if first == end {
        return Some(());
    }
    for p in 0..pixels.run.pixels {
        let target = target.get_mut(p * pixels.run.target_step..)?;
        let target = target.get_mut(first..end)?;
        let source = p * pixels.run.source_step;
        for (target, c) in target.iter_mut().zip(first..) {
            *target += one(pixels.taps, source + c, c)?;
        }
    }
    Some(())
}

/// Sum of one channel.
fn one(taps: &[Tap<'_>], source: usize, channel: usize) -> Option<f32> {
    let mut sum = 0.0;
    for (gradient, weights) in taps {
        sum += gradient.get(source)? * weights.get(channel)?;
    }
    Some(sum)
}
