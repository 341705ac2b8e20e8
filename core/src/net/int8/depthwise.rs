//! `Depthwise`: each channel by its own filter.
//!
//! Vectors take 16 channels and two taps at a time; without vectors, or for a
//! large kernel, plain loops do the same.
//!
//! Source: TFLite `reference/integer_ops/depthwise_conv.h`.

use super::channels::Channels;
use super::conv::under;
use super::{Node8, Rows8};
use crate::net::arch::Isa;
use crate::net::arch::int8::{IntegerKernel, Integers, Requantise};
use crate::net::op::Geometry;

/// Channels whose sums are kept at once.
pub(super) const CHUNK: usize = 16;

/// Most pairs of taps whose weights are kept at hand: a 5x5 kernel.
const PAIRS: usize = 13;

/// Output rows `y..`, as many as `out` holds.
pub(super) fn forward_rows(
    node: &Node8<'_>,
    geometry: Geometry,
    source: Rows8<'_>,
    y: usize,
    out: &mut [i8],
    isa: Isa,
) -> Option<()> {
    let depthwise = Depthwise {
        node,
        channels: Channels::of(node)?,
        geometry,
        source,
        y,
    };
    #[cfg(foveola_helium)]
    if let Some(helium) = isa.helium()
        && depthwise.takes_helium(helium)
    {
        return depthwise.with_helium(helium, out);
    }
    #[cfg(foveola_dsp)]
    if let Some(dsp) = isa.dsp()
        && depthwise.takes_dsp()
    {
        return depthwise.with_dsp(dsp, out);
    }
    if isa.has_vectors() && depthwise.channels.filters.taps <= 2 * PAIRS {
        isa.run_integers(Vectors { depthwise, out })
    } else {
        depthwise.plain(0, out)
    }
}

pub(super) struct Depthwise<'a> {
    pub node: &'a Node8<'a>,
    pub channels: Channels<'a>,
    pub geometry: Geometry,
    pub source: Rows8<'a>,
    /// First output row.
    pub y: usize,
}

impl<'a> Depthwise<'a> {
    /// Channels from `from` on, every sum from its definition.
    pub fn plain(&self, from: usize, out: &mut [i8]) -> Option<()> {
        let output = self.node.output;
        for (row, y) in out.chunks_exact_mut(output.row().max(1)).zip(self.y..) {
            for (pixel, x) in row.chunks_exact_mut(output.c.max(1)).zip(0..) {
                let chunks = pixel.get_mut(from..)?.chunks_mut(CHUNK);
                for (out, first) in chunks.zip((from..).step_by(CHUNK)) {
                    let sums = self.sums([y, x, first])?;
                    for ((out, sum), c) in out.iter_mut().zip(sums).zip(first..) {
                        *out = self.node.store(self.channels.requantise(c, sum)?);
                    }
                }
            }
        }
        Some(())
    }

    /// Sums of the channels from `first` on at one pixel.
    pub fn sums(&self, [y, x, first]: [usize; 3]) -> Option<[i32; CHUNK]> {
        let input = self.node.input;
        let [h, w] = self.geometry.kernel.map(usize::from);
        let zero = i32::from(self.node.weights_zero_point);
        let mut taps = self.channels.weights.chunks_exact(input.c.max(1));
        let mut sums = [0; CHUNK];
        for (sum, bias) in sums.iter_mut().zip(self.channels.bias.get(first..)?) {
            *sum = *bias;
        }
        for ky in 0..h {
            let row = under(self.geometry, 0, y, ky, input.h);
            for kx in 0..w {
                let weights = taps.next()?.get(first..)?.iter();
                let col = under(self.geometry, 1, x, kx, input.w);
                if let Some((row, col)) = row.zip(col) {
                    let x = self.source.line(row as isize)?;
                    let x = x.get(col * input.c + first..)?;
                    for ((sum, &x), &w) in sums.iter_mut().zip(x).zip(weights) {
                        *sum = sum.wrapping_add(i32::from(x) * (i32::from(w) - zero));
                    }
                } else {
                    let x = i32::from(self.node.input_quant.zero_point);
                    for (sum, &w) in sums.iter_mut().zip(weights) {
                        *sum = sum.wrapping_add(x * (i32::from(w) - zero));
                    }
                }
            }
        }
        Some(sums)
    }
}

/// [`Depthwise`] with vectors: for each 16 channels, all pixels.
struct Vectors<'a> {
    depthwise: Depthwise<'a>,
    out: &'a mut [i8],
}

impl IntegerKernel for Vectors<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<I: Integers, const P: usize>(self, integers: I) -> Option<()> {
        let Self { depthwise, out } = self;
        for first in (0..depthwise.node.output.c).step_by(CHUNK) {
            Part::new(integers, &depthwise, first)?.run(integers, out)?;
        }
        Some(())
    }
}

/// Up to 16 channels.
struct Part<'a, I: Integers> {
    all: &'a Depthwise<'a>,
    first: usize,
    live: usize,
    weights: [I::Pair; PAIRS],
    pairs: usize,
    by: [Requantise; 2],
}

impl<'a, I: Integers> Part<'a, I> {
    #[inline(always)]
    fn new(integers: I, all: &'a Depthwise<'a>, first: usize) -> Option<Self> {
        let (node, channels) = (all.node, &all.channels);
        let c = node.output.c;
        let live = (c - first).min(CHUNK);
        let zero = node.weights_zero_point;
        let tap = |i: usize| {
            if i < channels.filters.taps {
                sixteen(channels.weights.get(i * c + first..)?, live)
            } else {
                Some([zero; 16])
            }
        };
        let mut weights = [integers.pair(&[0; 16], &[0; 16], 0); PAIRS];
        let pairs = channels.filters.taps.div_ceil(2);
        for (weights, i) in weights.iter_mut().zip(0..pairs) {
            *weights = integers.pair(&tap(2 * i)?, &tap(2 * i + 1)?, zero);
        }
        let second = (first + 8).min(c - 1);
        let by = [
            channels.requantisation(node, first, live.min(8))?,
            channels.requantisation(node, second, live.saturating_sub(8))?,
        ];
        Some(Self {
            all,
            first,
            live,
            weights,
            pairs,
            by,
        })
    }

    #[inline(always)]
    fn run(&self, integers: I, out: &mut [i8]) -> Option<()> {
        let (input, output) = (self.all.node.input, self.all.node.output);
        let geometry = self.all.geometry;
        let [_, stride] = geometry.stride.map(usize::from);
        let [_, pad] = geometry.pad.map(usize::from);
        let [_, w] = geometry.kernel.map(usize::from);
        let [_, dilation] = geometry.dilation.map(usize::from);
        let reach = w.saturating_sub(1) * dilation;
        let mut taps = Taps::of(self.all);
        for (row, y) in out.chunks_exact_mut(output.row().max(1)).zip(self.all.y..) {
            taps.move_to(self.all, y, self.first)?;
            for (pixel, x) in row.chunks_exact_mut(output.c.max(1)).zip(0..) {
                let col = (x * stride).wrapping_sub(pad);
                let inside = taps.inside && col < input.w && input.w - col > reach;
                let sums = if inside {
                    self.inside(integers, &taps, col * input.c)?
                } else {
                    self.at_border(integers, &taps, col)
                };
                let out = pixel.get_mut(self.first..)?.get_mut(..self.live)?;
                self.finish(integers, sums, out);
            }
        }
        Some(())
    }

    /// Sums of one pixel all of whose taps lie inside, the first of them in the
    /// column that starts at element `col`.
    #[inline(always)]
    fn inside(&self, integers: I, taps: &Taps, col: usize) -> Option<[I::Sums; 2]> {
        let data = self.all.source.data;
        let mut sums = [integers.nothing(); 2];
        let starts = taps.starts.as_chunks::<2>().0;
        for (weights, &[a, b]) in self.weights.iter().zip(starts).take(self.pairs) {
            let a = sixteen(data.get(a + col..)?, self.live)?;
            let b = sixteen(data.get(b + col..)?, self.live)?;
            sums = integers.add_pair(sums, &a, &b, weights);
        }
        Some(sums)
    }

    /// Sums of one pixel whose first tap lies over column `col`, wrapping below 0.
    #[inline(always)]
    fn at_border(&self, integers: I, taps: &Taps, col: usize) -> [I::Sums; 2] {
        let input = self.all.node.input;
        let padding = [self.all.node.input_quant.zero_point; 16];
        let tap = |row: usize, right: usize| {
            let col = col.wrapping_add(right);
            if row == OUTSIDE || col >= input.w {
                return padding;
            }
            let from = self.all.source.data.get(row + col * input.c + self.first..);
            from.and_then(|from| sixteen(from, self.live))
                .unwrap_or(padding)
        };
        let mut sums = [integers.nothing(); 2];
        let places = taps.rows.as_chunks::<2>().0.iter();
        let places = places.zip(taps.right.as_chunks::<2>().0);
        for (weights, (&[row, next_row], &[a, b])) in
            self.weights.iter().zip(places).take(self.pairs)
        {
            sums = integers.add_pair(sums, &tap(row, a), &tap(next_row, b), weights);
        }
        sums
    }

    #[inline(always)]
    fn finish(&self, integers: I, sums: [I::Sums; 2], out: &mut [i8]) {
        let [low, high] = sums;
        let [by_low, by_high] = &self.by;
        if let Some(out) = out.first_chunk_mut::<16>() {
            let (halves, _) = out.as_chunks_mut::<8>();
            let results = [
                integers.requantise(low, by_low),
                integers.requantise(high, by_high),
            ];
            for (half, result) in halves.iter_mut().zip(results) {
                *half = result;
            }
            return;
        }
        let low = integers.requantise(low, by_low);
        let high = integers.requantise(high, by_high);
        for (out, result) in out.iter_mut().zip(low.into_iter().chain(high)) {
            *out = result;
        }
    }
}

/// Where the taps of a pixel lie. Idle places repeat the first tap.
struct Taps {
    /// First element of the tap's row, `OUTSIDE` in the padding.
    rows: [usize; 2 * PAIRS],
    /// Columns from the first tap.
    right: [usize; 2 * PAIRS],
    /// The element under the tap when the first tap lies over column 0, from
    /// the first channel on.
    starts: [usize; 2 * PAIRS],
    /// Whether all rows lie inside.
    inside: bool,
}

/// No row.
const OUTSIDE: usize = usize::MAX;

impl Taps {
    fn of(all: &Depthwise<'_>) -> Self {
        let [h, w] = all.geometry.kernel.map(usize::from);
        let [_, dilation] = all.geometry.dilation.map(usize::from);
        let mut right = [0; 2 * PAIRS];
        for (right, kx) in right.iter_mut().zip((0..h).flat_map(|_| 0..w)) {
            *right = kx * dilation;
        }
        Self {
            rows: [0; 2 * PAIRS],
            right,
            starts: [0; 2 * PAIRS],
            inside: true,
        }
    }

    /// Moves to output row `y`, for channels from `first` on.
    #[inline(always)]
    fn move_to(&mut self, all: &Depthwise<'_>, y: usize, first: usize) -> Option<()> {
        let input = all.node.input;
        let [h, w] = all.geometry.kernel.map(usize::from);
        self.inside = true;
        let mut each = self.rows.iter_mut().zip(&mut self.starts).zip(&self.right);
        for ky in 0..h {
            let row = match under(all.geometry, 0, y, ky, input.h) {
                Some(row) => all.source.start(row)?,
                None => OUTSIDE,
            };
            self.inside &= row != OUTSIDE;
            for ((tap, start), right) in (&mut each).take(w) {
                *tap = row;
                *start = row.wrapping_add(right * input.c + first);
            }
        }
        Some(())
    }
}

/// Sixteen elements, of which `live` count; zeros behind the end.
#[inline(always)]
fn sixteen(from: &[i8], live: usize) -> Option<[i8; 16]> {
    if let Some(whole) = from.first_chunk() {
        return Some(*whole);
    }
    let mut out = [0; 16];
    for (out, from) in out.iter_mut().zip(from.get(..live)?) {
        *out = *from;
    }
    Some(out)
}
