//! Helium: `net::int8::helium`.

use super::super::super::counts::{Counts, Kernel};
use super::{Integral, Sliding, blocks, columns};
use foveola_core::net::op::Op;

/// Elements of a strip, and those that may be written behind its end.
const STRIP: usize = 2048;
const SLACK: usize = 16;

/// Lanes of a vector of int8, channels at once, most elements of a patch, and
/// of one of several runs that are no whole vectors.
const LANES: usize = 16;
const BATCH: usize = 32;
const MOST: usize = 656;
const MOST_NARROW: usize = 320;

fn is_right(multiplier: i32, shift: i8) -> bool {
    shift < 0 || (multiplier, shift) == (0, 0)
}

fn all_right(node: &Integral<'_>) -> bool {
    let mut factors = node.factors();
    factors.all(|(_, multiplier, shift)| is_right(multiplier, shift))
}

/// Whether it takes a sum; one half is a whole with a shift.
pub fn takes_sum(factors: &[(i32, i8); 3]) -> bool {
    let [a, b, sum] = *factors;
    let takes = |(multiplier, shift)| is_right(multiplier, shift);
    [a, b].into_iter().all(|f| f == (1 << 30, 0) || takes(f)) && takes(sum)
}

/// Rows and columns of the largest tile whose pixels, of `size` elements, fit.
fn tile(s: &Sliding, size: usize) -> Option<[usize; 2]> {
    let [height, kernel] = s.kernel;
    let [down, right] = s.stride;
    let pixels = (STRIP - SLACK) / size.max(1);
    let fitting = (pixels / height).checked_sub(kernel)? / right + 1;
    let width = match fitting < s.output.w {
        true => fitting & !3,
        false => s.output.w,
    };
    let columns = width.checked_sub(1)? * right + kernel;
    Some([(pixels / columns).checked_sub(height)? / down + 1, width])
}

pub fn takes(node: &Integral<'_>, s: &Sliding) -> bool {
    let (run, len, c) = (s.kernel[1] * s.input.c, s.len(), s.output.c);
    let narrow = s.kernel[0] > 1 && !run.is_multiple_of(LANES);
    let most = if narrow { MOST_NARROW } else { MOST };
    matches!(node.op, Op::Conv { groups: 1, .. })
        && (1..=most).contains(&len)
        && len.next_multiple_of(LANES) - len <= c
        && c >= 2
        && 3 * c < usize::from(u16::MAX)
        && s.dilation == [1; 2]
        && node.weights_zero_point == 0
        && (s.in_place() || tile(s, s.input.c).is_some())
        && all_right(node)
}

pub fn takes_depthwise(node: &Integral<'_>, s: &Sliding) -> bool {
    let weights = &node.bytes[..node.bytes.len() - s.output.c];
    s.kernel == [3; 2]
        && s.dilation == [1; 2]
        && (1..=2).contains(&s.stride[1])
        && node.weights_zero_point == 0
        && tile(s, LANES).is_some()
        && weights.iter().all(|w| *w > i8::MIN)
        && all_right(node)
}

/// Four pixels at a time, channels by twos in batches.
pub fn convolution(counts: &mut Counts, node: &Integral<'_>, s: &Sliding) {
    let mut k = Kernel::new(counts, "conv8");
    let c = s.output.c;
    let mut batches: Vec<usize> = blocks(c & !1, BATCH).collect();
    batches.extend((c % 2 == 1).then_some(2));
    for call in node.calls() {
        k.n("call", 1);
        for channels in &batches {
            k.n("batch", 1);
            k.n("constants", channels.div_ceil(4));
            if s.in_place() {
                let (lines, pixels) = match s.is_flat(node) {
                    true => (1, call.len() * s.output.w),
                    false => (call.len(), s.output.w),
                };
                k.n("point", 1);
                pixel_row(&mut k, s, pixels, *channels, lines);
            } else if let Some([rows, width]) = tile(s, s.input.c) {
                for y in call.clone().step_by(rows) {
                    for x in (0..s.output.w).step_by(width) {
                        let size = [rows.min(call.end - y), width.min(s.output.w - x)];
                        let channels_of = [s.input.c, s.input.c];
                        fill(&mut k, s, [y, x], size, channels_of);
                        pixel_row(&mut k, s, size[1], *channels, size[0]);
                    }
                }
            }
        }
        limit(&mut k, node, call.len() * s.output.row());
    }
}

/// What a tile sees, `size` elements a pixel, copied to the strip.
fn fill(
    k: &mut Kernel<'_>,
    s: &Sliding,
    [y, x]: [usize; 2],
    [rows, width]: [usize; 2],
    [size, c]: [usize; 2],
) {
    let [height, kernel] = s.kernel;
    let [down, right] = s.stride;
    let all = (width - 1) * right + kernel;
    let [before, inside] = columns(x * right, all, s.pad[1], s.input.w);
    let seen = (rows - 1) * down + height;
    let shown = (y * down..y * down + seen)
        .filter(|row| *row >= s.pad[0] && *row - s.pad[0] < s.input.h)
        .count();
    let vectors = |elements: usize| elements.div_ceil(LANES);
    k.n("tile", 1);
    k.n("line", shown);
    k.n("line.out", seen - shown);
    k.n("fill", (seen - shown) * vectors(all * size));
    k.n("fill", shown * vectors(before * size));
    k.n("fill", shown * vectors((all - before - inside) * size));
    k.n("fill.some", shown * usize::from(before > 0));
    k.n("fill.some", shown * usize::from(all > before + inside));
    if size == c {
        k.n("copy", shown * vectors(inside * c));
    } else {
        k.n("pieces", shown);
        k.n("piece", shown * inside);
    }
}

/// `lines` runs of neighbouring pixels, so many channels of them.
fn pixel_row(k: &mut Kernel<'_>, s: &Sliding, pixels: usize, channels: usize, lines: usize) {
    let (run, len) = (s.kernel[1] * s.input.c, s.len());
    let fours = lines * pixels.div_ceil(4);
    k.n("pixels", lines);
    let places = 1 + usize::from(pixels > 4 && !pixels.is_multiple_of(4));
    k.n("places", lines * places);
    k.n("four", fours);
    k.n("run", fours * s.kernel[0]);
    k.n("run.vector", fours * s.kernel[0] * run.div_ceil(LANES));
    if s.kernel[0] > 1 && !run.is_multiple_of(LANES) {
        k.n("narrow", fours);
        k.n("narrow.vector", fours * len.div_ceil(LANES));
    } else if !run.is_multiple_of(LANES) {
        k.n("clear", fours);
    }
    let pairs = fours * (channels / 2);
    k.n("pair", pairs);
    k.n("pair.vector", pairs * len.div_ceil(LANES));
}

/// Values limited one by one.
fn limit(k: &mut Kernel<'_>, node: &Integral<'_>, len: usize) {
    if node.is_limited() {
        k.each("limit", 1, len);
    }
}

/// 16 channels at a time, or 8 of two pixels.
pub fn depthwise(counts: &mut Counts, node: &Integral<'_>, s: &Sliding) {
    let mut k = Kernel::new(counts, "depthwise8");
    let c = s.output.c;
    for call in node.calls() {
        k.n("call", 1);
        for live in blocks(c, LANES) {
            let twos = live <= 8 && s.stride[1] == 1 && c <= 128;
            let size = if twos { 8 } else { LANES };
            k.n("block", 1);
            k.n("block.some", usize::from(live < LANES));
            k.n("block.twos", usize::from(twos));
            let Some([rows, width]) = tile(s, size) else {
                continue;
            };
            for y in call.clone().step_by(rows) {
                for x in (0..s.output.w).step_by(width) {
                    let part = [rows.min(call.end - y), width.min(s.output.w - x)];
                    fill(&mut k, s, [y, x], part, [size, c]);
                    lines(&mut k, part, twos);
                }
            }
        }
        limit(&mut k, node, call.len() * s.output.row());
    }
}

fn lines(k: &mut Kernel<'_>, [rows, width]: [usize; 2], twos: bool) {
    if !twos {
        k.n("row", rows);
        k.n("pixel", rows * width);
        return;
    }
    k.n("row.twos", rows);
    k.n("row", rows * (usize::from(width > 1) + width % 2));
    k.n("row.last", rows * (width % 2));
    k.n("pixel", rows * width.div_ceil(2));
}
