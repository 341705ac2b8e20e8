//! Dropout on int8 numbers, in the real domain.
//!
//! Behind weights the sum itself is divided by the share of kept elements: its
//! factor grows, so it is rounded as often as without dropout, and limited
//! only then. With everything kept the bytes are those of the usual kernels.
//! Elsewhere what is stored is divided. A dropped element is the real 0.

use super::channels::Channels;
use super::conv::{as_conv, sum};
use super::depthwise::{CHUNK, Depthwise};
use super::fixed::{divide_by_power, doubling_high};
use super::patches::Patches;
use super::{Node8, Rows8, clip};
use crate::classifier::Saturation;
use crate::net::dropout::DropMask;
use crate::net::op::{Activation, Op};
use crate::net::quant::{Factor, Quantisation};

/// Output rows of a `Conv`, `Depthwise` or `Dense` from `y` on, as many as
/// `out` holds, and what saturated. `data` are the input's rows or a ring of them.
pub(in crate::net) fn forward_dropped(
    node: &Node8<'_>,
    data: &[i8],
    y: usize,
    mask: DropMask,
    out: &mut [i8],
) -> Option<Saturation> {
    let (node, geometry) = match node.op {
        Op::Depthwise { geometry } => (*node, geometry),
        _ => as_conv(node),
    };
    let row = node.input.row();
    let modulo = data.len().checked_div(row)?;
    let source = Rows8 { data, row, modulo };
    let channels = Channels::of(&node)?;
    let mut sums = Sums {
        node: &node,
        channels,
        mask,
        open: open_ends(&node),
        seen: Saturation::default(),
    };
    let first = y * node.output.row();
    if let Op::Depthwise { .. } = node.op {
        let depthwise = Depthwise {
            node: &node,
            channels,
            geometry,
            source,
            y,
        };
        sums.depthwise(&depthwise, first, out)?;
    } else {
        let patches = Patches::new(&node, geometry, source, y, channels.filters.inputs);
        sums.convolution(&patches, first, out)?;
    }
    Some(sums.seen)
}

/// Sums on their way to stored numbers.
struct Sums<'a> {
    node: &'a Node8<'a>,
    channels: Channels<'a>,
    mask: DropMask,
    /// Whether int8 and not the activation ends the range, below and above.
    open: [bool; 2],
    seen: Saturation,
}

impl Sums<'_> {
    fn convolution(&mut self, patches: &Patches<'_>, first: usize, out: &mut [i8]) -> Option<()> {
        let mut keeps = self.mask.from(first);
        let pixels = out.chunks_exact_mut(self.node.output.c.max(1));
        for (pixel, out) in pixels.enumerate() {
            for (c, out) in out.iter_mut().enumerate() {
                *out = match keeps.next()? {
                    true => {
                        let sum = sum(self.node, &self.channels, patches, pixel, c)?;
                        self.kept(c, sum)?
                    }
                    false => self.dropped(),
                };
            }
        }
        Some(())
    }

    fn depthwise(&mut self, from: &Depthwise<'_>, first: usize, out: &mut [i8]) -> Option<()> {
        let mut keeps = self.mask.from(first);
        let output = self.node.output;
        for (row, y) in out.chunks_exact_mut(output.row().max(1)).zip(from.y..) {
            for (pixel, x) in row.chunks_exact_mut(output.c.max(1)).zip(0..) {
                for (out, first) in pixel.chunks_mut(CHUNK).zip((0..).step_by(CHUNK)) {
                    let sums = from.sums([y, x, first])?;
                    for ((out, sum), c) in out.iter_mut().zip(sums).zip(first..) {
                        *out = match keeps.next()? {
                            true => self.kept(c, sum)?,
                            false => self.dropped(),
                        };
                    }
                }
            }
        }
        Some(())
    }

    /// The real 0, limited by the activation.
    fn dropped(&self) -> i8 {
        self.node.store(0)
    }

    fn kept(&mut self, c: usize, sum: i32) -> Option<i8> {
        let zero_point = i32::from(self.node.output_quant.zero_point);
        let factor = widened(self.channels.factor(c)?, self.mask.keep);
        let raised = match self.channels.once {
            true => round_once(factor, sum),
            false => round_twice(factor, sum),
        };
        let place = raised.saturating_add(zero_point);
        let before = self.channels.requantise(c, sum)?.saturating_add(zero_point);
        self.seen.of += 1;
        self.seen.saturated += u64::from(is_pushed_out(place, before, self.open));
        let [low, high] = self.node.range;
        Some(clip(place, low, high))
    }
}

/// Whether a number left the range of int8 on the way from `before` to
/// `place`, at an end that is open.
fn is_pushed_out(place: i32, before: i32, [below, above]: [bool; 2]) -> bool {
    let (least, most) = (i32::from(i8::MIN), i32::from(i8::MAX));
    (below && place < least && before >= least) || (above && place > most && before <= most)
}

/// Whether int8 and not the activation ends a node's range, below and above.
fn open_ends(node: &Node8<'_>) -> [bool; 2] {
    let quant = node.output_quant;
    let steps = |real: f32| real / quant.scale + f32::from(quant.zero_point);
    match node.activation {
        Activation::Relu => [false, true],
        Activation::Clip { lo, hi } => [steps(lo) < -128.5, steps(hi) >= 127.5],
        _ => [true, true],
    }
}

/// `factor / keep`, its 31 bits rounded to nearest. Shifts end at 30: there
/// everything but 0 is far beyond int8.
fn widened(factor: Factor, keep: f32) -> Factor {
    const ONE: f64 = (1_u64 << 31) as f64;
    let mut shift = factor.shift;
    let mut multiplier = f64::from(factor.multiplier) / f64::from(keep);
    // A kept share of f32 is 2^-149 at least.
    for _ in 0..150 {
        if libm::round(multiplier) < ONE {
            break;
        }
        multiplier *= 0.5;
        shift = shift.saturating_add(1);
    }
    Factor {
        multiplier: libm::round(multiplier) as i32,
        shift: if shift < 30 { shift } else { 30 },
    }
}

/// As [`Factor::apply`], saturated where that would overflow.
fn round_twice(factor: Factor, x: i32) -> i32 {
    let shift = i32::from(factor.shift);
    let left = if shift > 0 { shift } else { 0 };
    let wide = i64::from(x) << (left & 31);
    let shifted = wide.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    let right = (left - shift).unsigned_abs();
    divide_by_power(doubling_high(shifted, factor.multiplier), right)
}

/// As [`super::fixed::apply_once`], saturated where that would overflow.
fn round_once(factor: Factor, x: i32) -> i32 {
    let places = (31 - i32::from(factor.shift)).unsigned_abs().clamp(1, 62);
    let product = i64::from(x) * i64::from(factor.multiplier);
    let wide = (product + (1 << (places - 1))) >> places;
    wide.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// Drops stored numbers from element `first` on; what saturated among those
/// that were not at the end of the range already.
pub(in crate::net) fn drop_stored(
    quant: Quantisation,
    mask: DropMask,
    first: usize,
    values: &mut [i8],
) -> Saturation {
    let zero_point = i32::from(quant.zero_point);
    let mut seen = Saturation::default();
    for (value, kept) in values.iter_mut().zip(mask.from(first)) {
        if !kept {
            *value = quant.zero_point;
            continue;
        }
        let before = i32::from(*value);
        let steps = (before - zero_point) as f64 / f64::from(mask.keep);
        // Halves away from 0; `as` saturates.
        let place = (libm::round(steps) as i32).saturating_add(zero_point);
        let inside = *value > i8::MIN && *value < i8::MAX;
        seen.of += 1;
        seen.saturated += u64::from(inside && is_pushed_out(place, before, [true; 2]));
        *value = clip(place, i8::MIN, i8::MAX);
    }
    seen
}
