//! Arm's DSP extension: `net::int8::dsp`.

use super::super::super::counts::{Counts, Kernel};
use super::{Integral, Sliding, blocks, columns};
use foveola_core::net::op::Op;

/// Most elements of a patch, and items of four of them.
const MOST: usize = 576;
const ITEMS: usize = MOST / 4;

/// Most rows of a kernel whose patches are runs.
const RUNS: usize = 8;

/// A tile's words, triplets and lines.
const WORDS: usize = 160;
const TRIPLETS: usize = 28;
const LINES: usize = 24;

/// Whether a sum of such a factor may be requantised in the short way.
fn is_short(bias: i32, multiplier: i32, shift: i8) -> bool {
    let fits = multiplier >= 1 << 30 && (-31..0).contains(&shift);
    bias.unsigned_abs() < 3 << 29 && (fits || (multiplier, shift) == (0, 0))
}

fn all_short(node: &Integral<'_>) -> bool {
    let mut factors = node.factors();
    factors.all(|(bias, multiplier, shift)| is_short(bias, multiplier, shift))
}

/// Whether it takes a sum; one half needs no rounding.
pub fn takes_sum(factors: &[(i32, i8); 3]) -> bool {
    let [a, b, sum] = *factors;
    let takes = |(multiplier, shift)| is_short(0, multiplier, shift);
    [a, b].into_iter().all(|f| f == (1 << 30, 0) || takes(f)) && takes(sum)
}

pub fn takes(node: &Integral<'_>, s: &Sliding) -> bool {
    let len = s.len();
    matches!(node.op, Op::Conv { .. })
        && (1..=MOST).contains(&len)
        && len.next_multiple_of(4) - len <= s.output.c
        && node.weights_zero_point == 0
        && all_short(node)
}

pub fn takes_depthwise(node: &Integral<'_>, s: &Sliding) -> bool {
    s.kernel == [3; 2]
        && s.dilation == [1; 2]
        && s.output.c >= 4
        && (1..=8).contains(&s.stride[0])
        && (1..=2).contains(&s.stride[1])
        && all_short(node)
}

/// Patches of pairs of pixels, then channels by twos.
pub fn convolution(counts: &mut Counts, node: &Integral<'_>, s: &Sliding) {
    let mut k = Kernel::new(counts, "conv8");
    let fours = s.len().div_ceil(4);
    let most = (ITEMS / fours.max(1)).max(1) * 2;
    let pairs = s.outputs.div_ceil(2);
    for call in node.calls() {
        let pixels = call.len() * s.output.w;
        k.n("call", 1);
        k.n("group", s.groups);
        k.n("fetch", s.groups * call.len());
        k.n("fetch.line", s.groups * call.len() * s.kernel[0]);
        let mut first = 0;
        for count in blocks(pixels, most) {
            let tiles = s.groups * pairs * count.div_ceil(2);
            k.n("chunk", s.groups);
            k.n("pair", s.groups * pairs);
            k.n("start", s.groups * pairs * usize::from(count > 1));
            k.n("start.odd", s.groups * pairs * (count % 2));
            k.n("tile", tiles);
            k.n("four", tiles * fours);
            k.n("turn", tiles * fours.div_ceil(4));
            for pixel in first..first + count {
                let twice = pixel + 1 == first + count && count % 2 == 1;
                let times = s.groups * (1 + usize::from(twice));
                let place = [
                    call.start + pixel / s.output.w.max(1),
                    pixel % s.output.w.max(1),
                ];
                widen_patch(&mut k, s, place, times);
            }
            first += count;
        }
        limit(&mut k, node, pixels * s.output.c);
    }
}

/// The patch of a pixel, `times` over.
fn widen_patch(k: &mut Kernel<'_>, s: &Sliding, [y, x]: [usize; 2], times: usize) {
    let len = s.len();
    k.n("patch", times);
    if s.in_place() {
        widen(k, len, times);
        return;
    }
    let [h, w] = s.kernel;
    let (c, inside) = (s.input.c, s.inside(0, y));
    let runs = s.groups == 1 && s.dilation == [1; 2] && h <= RUNS;
    if !runs {
        k.n("gather", times);
        pad(k, len, times);
        let shown = inside * s.inside(1, x);
        k.n("gather.line", times * h);
        k.n("gather.tap", times * h * w);
        k.each("gather.shown", times * shown, s.inputs);
        k.each("gather.hidden", times * (h * w - shown), s.inputs);
    } else if inside == h && s.inside(1, x) == w {
        if (w * c).is_multiple_of(4) {
            k.n("runs", times);
            (0..h).for_each(|_| widen(k, w * c, times));
            return;
        }
        k.n("pushes", times);
        push(k, w * c, times * h);
    } else {
        let [before, shown] = columns(x * s.stride[1], w, s.pad[1], s.input.w);
        k.n("border", times);
        k.n("border.line", times * h);
        pad(k, w * c, times * (h - inside));
        pad(k, before * c, times * inside);
        push(k, shown * c, times * inside);
        pad(k, (w - before - shown) * c, times * inside);
    }
    widen(k, len, times);
}

/// Four elements at a time, twice a turn, and a tail.
fn widen(k: &mut Kernel<'_>, len: usize, times: usize) {
    k.n("widen", times);
    k.n("widen.odd", times * (len / 4 % 2));
    k.n("widen.two", times * (len / 8));
    if !len.is_multiple_of(4) {
        k.n(&format!("widen.tail{}", len % 4), times);
    }
}

fn push(k: &mut Kernel<'_>, len: usize, times: usize) {
    k.n("push", times);
    k.n("push.word", times * (len / 4));
    k.n("push.byte", times * (len % 4));
}

fn pad(k: &mut Kernel<'_>, len: usize, times: usize) {
    k.n("pad", times);
    k.n("pad.some", times * usize::from(len > 0));
    k.n("pad.four", times * (len / 4));
    k.n("pad.byte", times * (len % 4));
}

/// Values limited four by four.
fn limit(k: &mut Kernel<'_>, node: &Integral<'_>, len: usize) {
    if node.is_limited() {
        k.n("limit", 1);
        k.n("limit.word", len / 4);
        k.n("limit.byte", len % 4);
    }
}

/// Rows and columns of the largest tiles of `height` rows.
fn tile(s: &Sliding, height: usize) -> [usize; 2] {
    let [down, right] = s.stride;
    let most = TRIPLETS.min(WORDS / 6) - 1;
    let width = s.output.w.min(most / right * 2).max(1);
    let triplets = width.div_ceil(2) * right + 1;
    let lines = (WORDS / 2 / triplets).min(LINES);
    let by_lines = lines.saturating_sub(3) / down + 1;
    [by_lines.min(TRIPLETS / triplets).min(height).max(1), width]
}

/// Four channels of a tile at a time.
pub fn depthwise(counts: &mut Counts, node: &Integral<'_>, s: &Sliding) {
    let mut k = Kernel::new(counts, "depthwise8");
    let mut own = Counts::default();
    for call in node.calls() {
        k.n("call", 1);
        let [rows, width] = tile(s, call.len());
        let mut tiles = Kernel::new(&mut own, "depthwise8");
        for y in call.clone().step_by(rows) {
            for x in (0..s.output.w).step_by(width) {
                let size = [rows.min(call.end - y), width.min(s.output.w - x)];
                one_tile(&mut tiles, s, [y, x], size);
            }
        }
        limit(&mut k, node, call.len() * s.output.row());
    }
    counts.merge(&own, 1.0);
}

fn one_tile(k: &mut Kernel<'_>, s: &Sliding, [y, x]: [usize; 2], [rows, width]: [usize; 2]) {
    let [down, right] = s.stride;
    let (c, fours) = (s.output.c, s.output.c.div_ceil(4));
    let triplets = width.div_ceil(2) * right + 1;
    let pitch = 2 * triplets;
    let [before, inside] = columns(x * right, pitch, s.pad[1], s.input.w);
    let seen = (rows - 1) * down + 3;
    let shown = (y * down..y * down + seen)
        .filter(|row| *row >= s.pad[0] && *row - s.pad[0] < s.input.h)
        .count();
    let lines = if inside > 0 { shown } else { 0 };
    k.n("tile", 1);
    k.n("look", seen);
    k.n("look.line", lines);
    k.n(
        "look.word",
        lines * (pitch - inside) + (seen - lines) * pitch,
    );
    k.n("look.before", lines * before);
    k.n("four", fours);
    k.n("line", fours * lines);
    k.n("line.two", fours * lines * (inside / 2));
    k.n("line.odd", fours * lines * (inside % 2));
    k.n("apart", fours * if down == 1 { 1 } else { rows });
    k.n("apart.two", fours * rows * triplets);
    k.n("channel", c);
    k.n("row", c * rows);
    k.n("row.odd", c * rows * (width % 2));
    k.n("row.one", c * rows * usize::from(width == 1));
    k.n(&format!("pair{right}"), c * rows * width.div_ceil(2));
}
