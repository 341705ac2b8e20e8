//! Gradient of a convolution without vectors, as outer products: each gradient
//! of an output that is not 0 adds its multiple of a row of weights to the
//! sums of a few input channels, which stay in registers. Behind a ReLU most
//! gradients are 0.

use super::convolution::Conv;
use crate::net::arch::products::{Stored, add_multiples, widen};
use crate::net::ops::conv_backward::Sizes;
use crate::net::ops::walk::Pixels;

/// Most input channels whose sums are kept at once.
const MOST: usize = 16;

/// Most f32 elements of weights that are written out at a time, unless those
/// of four input channels are more.
const ROOM: usize = 4096;

/// Input channels whose sums are kept at once: as many as there are, but their
/// weights should not take much room.
fn lanes(sizes: &Sizes) -> usize {
    let (inputs, outputs) = sizes.group();
    let mut lanes = MOST;
    while lanes > 4 && (inputs <= lanes / 2 || lanes * sizes.taps() * outputs > ROOM) {
        lanes /= 2;
    }
    lanes
}

/// f32 elements of weights that are written out at a time.
pub(super) fn weights_len(sizes: &Sizes) -> usize {
    let (_, outputs) = sizes.group();
    lanes(sizes) * sizes.taps() * outputs
}

/// Adds the input gradient.
pub(super) fn add(conv: &Conv<'_>, grad_in: &mut [f32], weights: &mut [f32]) -> Option<()> {
    match lanes(&conv.sizes) {
        16 => add_by::<16>(conv, grad_in, weights),
        8 => add_by::<8>(conv, grad_in, weights),
        _ => add_by::<4>(conv, grad_in, weights),
    }
}

fn add_by<const N: usize>(conv: &Conv<'_>, grad_in: &mut [f32], weights: &mut [f32]) -> Option<()> {
    let (inputs, outputs) = conv.sizes.group();
    let (weights, _) = weights.as_chunks_mut::<N>();
    let live = Live::of(conv);
    let mut from = 0;
    while from < conv.sizes.inputs() {
        let group = from.checked_div(inputs)?;
        let count = (inputs - (from - group * inputs)).min(N);
        let part = Chunk {
            outputs: group * outputs..(group + 1) * outputs,
            within: from - group * inputs,
        };
        part.widen(conv, &live, weights)?;
        part.add(conv, grad_in, weights, from..from + count)?;
        from += count;
    }
    Some(())
}

/// Most output channels of which it is kept whether they are live.
const MOST_KEPT: usize = 512;

/// Output channels that have a gradient other than +0. The weights of others
/// are never read.
struct Live {
    bits: [u32; MOST_KEPT / 32],
}

impl Live {
    fn of(conv: &Conv<'_>) -> Self {
        let outputs = conv.sizes.outputs();
        let (inputs, _) = conv.sizes.group();
        let data = conv.source.data;
        let pixels = data.len() / outputs.max(1);
        // To look at many pixels costs more than few weights do.
        if 2 * pixels > conv.sizes.taps() * inputs {
            let bits = [u32::MAX; MOST_KEPT / 32];
            return Self { bits };
        }
        let mut bits = [0; MOST_KEPT / 32];
        for (bits, first) in bits.iter_mut().zip((0..outputs).step_by(32)) {
            for c in first..outputs.min(first + 32) {
                let column = data.get(c..).unwrap_or(&[]).iter();
                let live = column.step_by(outputs.max(1)).any(|g| g.to_bits() != 0);
                *bits |= u32::from(live) << (c - first);
            }
        }
        Self { bits }
    }

    /// Whether channel `c` may be live.
    fn has(&self, c: usize) -> bool {
        let bits = self.bits.get(c / 32);
        bits.is_none_or(|bits| bits >> (c % 32) & 1 != 0)
    }
}

/// Some input channels of a group.
struct Chunk {
    /// The group's output channels.
    outputs: core::ops::Range<usize>,
    /// Number of the first input channel within the group.
    within: usize,
}

impl Chunk {
    /// Writes their weights, `[tap][output channel]`.
    fn widen<const N: usize>(
        &self,
        conv: &Conv<'_>,
        live: &Live,
        out: &mut [[f32; N]],
    ) -> Option<()> {
        let outputs = self.outputs.len();
        for (c, place) in self.outputs.clone().zip(0..) {
            if !live.has(c) {
                continue;
            }
            let out = out.get_mut(place..)?;
            let scale = conv.scale(c)?;
            let stored = conv.stored(c, self.within)?;
            let widened = match conv.zero() {
                0 => widen(stored, scale, out, outputs),
                _ => None,
            };
            if widened.is_none() {
                widen_plainly(stored, (conv.zero().into(), scale), out, outputs)?;
            }
        }
        Some(())
    }

    fn add<const N: usize>(
        &self,
        conv: &Conv<'_>,
        grad_in: &mut [f32],
        weights: &[[f32; N]],
        channels: core::ops::Range<usize>,
    ) -> Option<()> {
        let count = self.outputs.len();
        let lanes = channels.len();
        let flat = weights.as_flattened();
        conv.window()
            .runs(flat, count * N, self.outputs.start, |pixels| {
                let target = grad_in.get_mut(pixels.target + channels.start..)?;
                let done = add_multiples::<N>(pixels.run, target, pixels.taps, count, lanes);
                done.or_else(|| add_plainly::<N>(pixels, target, count, lanes))
            })
    }
}

/// Writes rows of weights in f32, `outputs` rows apart.
fn widen_plainly<const N: usize>(
    stored: Stored<'_>,
    (zero, scale): (f32, f32),
    out: &mut [[f32; N]],
    outputs: usize,
) -> Option<()> {
    let places = out.iter_mut().step_by(outputs.max(1));
    for (lanes, row) in places.zip(0..stored.rows) {
        // Lanes that stand for nothing get whatever follows: their sums go nowhere.
        let from = stored.weights.get(row * stored.step..)?;
        for (lane, &w) in lanes.iter_mut().zip(from) {
            *lane = (f32::from(w) - zero) * scale;
        }
    }
    Some(())
}

/// Adds each gradient's multiple of its weights.
fn add_plainly<const N: usize>(
    pixels: &Pixels<'_, '_>,
    target: &mut [f32],
    count: usize,
    lanes: usize,
) -> Option<()> {
    for p in 0..pixels.run.pixels {
        let mut sums = [0.0; N];
        for (gradient, weights) in pixels.taps {
            let source = p * pixels.run.source_step;
            let gradient = gradient.get(source..)?.get(..count)?;
            let (weights, _) = weights.as_chunks::<N>();
            for (g, weights) in gradient.iter().zip(weights) {
                // As an integer, +0 is told apart without the floating-point unit.
                if g.to_bits() == 0 {
                    continue;
                }
                for (sum, w) in sums.iter_mut().zip(weights) {
                    *sum += g * w;
                }
            }
        }
        let target = target
            .get_mut(p * pixels.run.target_step..)?
            .get_mut(..lanes)?;
        for (target, sum) in target.iter_mut().zip(sums) {
            *target += sum;
        }
    }
    Some(())
}
