//! Which taps of a sliding window lie inside its source, pixel by pixel along
//! one axis. Neighbouring pixels with the same taps form one [`Span`], so
//! that kernels need no test in their inner loops.
//!
//! The same description serves both directions. Forward, the target is the
//! output and tap `k` of pixel `o` reads input `o * stride - pad + k * dilation`.
//! Backward, the target is the input and tap `k` of pixel `i` reads output
//! `(i + pad - k * dilation) / stride` where that division leaves no rest: the
//! pixels of one residue class modulo the stride share their taps.

use super::Rows;
use crate::net::op::Geometry;
use crate::tensor::Shape;

/// Pixels of one axis that see the same taps.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// First target pixel.
    pub to: usize,
    /// Target pixels from one to the next.
    pub to_step: usize,
    /// How many.
    pub count: usize,
    /// Source pixel under the first tap of the first pixel.
    pub from: isize,
    /// Source pixels from one target pixel to the next.
    pub from_step: isize,
    /// First tap, as index into the kernel.
    pub tap: usize,
    /// Kernel positions from one tap to the next.
    pub tap_step: usize,
    /// How many taps.
    pub taps: usize,
    /// Source pixels from one tap to the next.
    pub hop: isize,
}

/// One axis of a sliding window.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    source: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    first: usize,
    count: usize,
    backward: bool,
    /// Source pixels from one target pixel of a residue class to the next, backward.
    #[cfg(target_arch = "x86_64")]
    pace: usize,
}

impl Axis {
    /// From an input of `source` pixels to output pixels `first..first + count`
    /// along axis 0 (rows) or 1 (columns); targets count from `first`.
    pub fn forward(g: Geometry, axis: usize, source: usize, first: usize, count: usize) -> Self {
        let of = |pair: [u16; 2]| pair.get(axis).map_or(0, |&v| usize::from(v));
        Self {
            source,
            kernel: of(g.kernel),
            stride: of(g.stride).max(1),
            dilation: of(g.dilation).max(1),
            pad: of(g.pad),
            first,
            count,
            backward: false,
            #[cfg(target_arch = "x86_64")]
            pace: 1,
        }
    }

    /// From the gradient of an output of `source` pixels to that of `count` input pixels.
    pub fn backward(g: Geometry, axis: usize, source: usize, count: usize) -> Self {
        Self {
            backward: true,
            ..Self::forward(g, axis, source, 0, count)
        }
    }

    /// The one target pixel `first`, which then counts as pixel 0.
    pub const fn only(mut self, first: usize) -> Self {
        (self.first, self.count) = (first, 1);
        self
    }

    /// `count` pixels that each read their own source pixel.
    pub const fn pointwise(count: usize) -> Self {
        Self {
            source: count,
            kernel: 1,
            stride: 1,
            dilation: 1,
            pad: 0,
            first: 0,
            count,
            backward: false,
            #[cfg(target_arch = "x86_64")]
            pace: 1,
        }
    }

    /// `count` targets of which each reads `taps` pixels of `source`, last one
    /// first; the first target begins with pixel `last`, the next `pace` behind it.
    #[cfg(target_arch = "x86_64")]
    pub const fn paced(
        pace: usize,
        (last, taps): (usize, usize),
        source: usize,
        count: usize,
    ) -> Self {
        Self {
            source,
            kernel: taps,
            stride: 1,
            dilation: 1,
            pad: last,
            first: 0,
            count,
            backward: true,
            pace,
        }
    }

    #[cfg(target_arch = "x86_64")]
    const fn pace(&self) -> isize {
        self.pace as isize
    }

    #[cfg(not(target_arch = "x86_64"))]
    const fn pace(&self) -> isize {
        1
    }

    /// Taps of the kernel.
    pub const fn kernel(&self) -> usize {
        self.kernel
    }

    /// Target pixels.
    #[cfg(target_arch = "x86_64")]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// All target pixels, each in one span.
    #[inline(always)]
    pub fn spans(&self) -> Spans {
        Spans {
            axis: *self,
            class: 0,
            all: self.class(0),
            next: 0,
        }
    }

    /// The pixels of one residue class, as if every tap were inside.
    fn class(&self, class: usize) -> Span {
        if !self.backward {
            return Span {
                to: 0,
                to_step: 1,
                count: self.count,
                from: (self.first * self.stride) as isize - self.pad as isize,
                from_step: self.stride as isize,
                tap: 0,
                tap_step: 1,
                taps: self.kernel,
                hop: self.dilation as isize,
            };
        }
        let common = gcd(self.stride, self.dilation).max(1);
        let tap_step = self.stride / common;
        let place = self.first + class + self.pad;
        let at = |k: usize| place as isize - (k * self.dilation) as isize;
        let tap = (0..self.kernel.min(tap_step))
            .find(|&k| at(k).unsigned_abs().is_multiple_of(self.stride));
        let taps = tap.map_or(0, |k| (self.kernel - k).div_ceil(tap_step.max(1)));
        let tap = tap.unwrap_or(0);
        let whole = (at(tap).unsigned_abs() / self.stride.max(1)) as isize;
        Span {
            to: class,
            to_step: self.stride,
            count: self
                .count
                .saturating_sub(class)
                .div_ceil(self.stride.max(1)),
            from: if at(tap) < 0 { -whole } else { whole },
            from_step: self.pace(),
            tap,
            tap_step,
            taps,
            hop: -((self.dilation / common) as isize),
        }
    }
}

fn gcd(mut a: usize, mut b: usize) -> usize {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

/// See [`Axis::spans`].
#[derive(Clone, Debug)]
pub struct Spans {
    axis: Axis,
    class: usize,
    all: Span,
    next: usize,
}

impl Iterator for Spans {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        while self.next >= self.all.count {
            self.class += 1;
            let classes = if self.axis.backward {
                self.axis.stride
            } else {
                1
            };
            if self.class >= classes.min(self.axis.count) {
                return None;
            }
            self.all = self.axis.class(self.class);
            self.next = 0;
        }
        let span = self.all.cut(self.next, self.axis.source);
        self.next += span.count.max(1);
        Some(span)
    }
}

impl Span {
    /// The span that starts at pixel `t` of `self`, limited to the taps inside `0..source`.
    fn cut(&self, t: usize, source: usize) -> Self {
        let source = source as isize;
        let reach = (self.taps as isize - 1) * self.hop;
        let (low, high) = if reach < 0 { (reach, 0) } else { (0, reach) };
        let enters = ceil(-(self.from + low), self.from_step);
        let leaves = ceil(source - (self.from + high), self.from_step).min(self.count);
        let mut span = *self;
        span.to += t * self.to_step;
        span.from += t as isize * self.from_step;
        if self.taps == 0 {
            span.count = self.count - t;
        } else if t >= enters && t < leaves {
            span.count = leaves - t;
        } else {
            span.count = 1;
            span.limit(source);
        }
        if span.taps == 0 {
            (span.from, span.tap) = (0, 0);
        }
        span
    }

    /// Drops the taps of the first pixel that lie outside `0..source`.
    fn limit(&mut self, source: isize) {
        let (before, behind) = if self.hop > 0 {
            (-self.from, source - self.from)
        } else {
            (self.from - source + 1, self.from + 1)
        };
        let hop = self.hop.abs();
        let skipped = ceil(before, hop).min(self.taps);
        self.taps = ceil(behind, hop).min(self.taps).saturating_sub(skipped);
        self.tap += skipped * self.tap_step;
        self.from += skipped as isize * self.hop;
    }
}

/// `a / b` rounded up, 0 where `a` is negative; `b` is positive.
fn ceil(a: isize, b: isize) -> usize {
    (a.max(0) as usize).div_ceil(b.unsigned_abs().max(1))
}

impl<'a, T> Rows<'a, T> {
    /// A whole tensor.
    pub(in crate::net) const fn whole(data: &'a [T], shape: Shape) -> Self {
        Self {
            data,
            row: shape.row(),
            modulo: shape.h,
        }
    }

    /// A tensor taken as one long row.
    pub(in crate::net) const fn one(data: &'a [T]) -> Self {
        Self {
            data,
            row: data.len(),
            modulo: 1,
        }
    }

    /// First element of row `y`.
    #[inline(always)]
    pub(in crate::net) fn start(&self, y: usize) -> Option<usize> {
        let y = if y < self.modulo {
            y
        } else {
            y.checked_rem(self.modulo)?
        };
        Some(y * self.row)
    }

    /// Row `y`.
    #[inline(always)]
    pub(in crate::net) fn line(&self, y: isize) -> Option<&'a [T]> {
        let start = self.start(usize::try_from(y).ok()?)?;
        self.data.get(start..)?.get(..self.row)
    }
}
