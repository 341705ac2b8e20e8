//! Plain loops: what every machine can do.

use super::super::super::counts::{Counts, Kernel};
use super::{Integral, Sliding};
use foveola_core::net::op::Op;

/// Output channels of a block, and what plain loops of a depthwise convolution
/// take at once.
const BLOCK: usize = 8;
const CHUNK: usize = 16;

/// Bytes of patches that are read again and again.
const NEAR: usize = 32 << 10;

/// A `Conv` or `Dense`.
pub fn convolution(counts: &mut Counts, node: &Integral<'_>, s: &Sliding) {
    if s.in_place() {
        let name = if node.op == Op::Dense {
            "dense8"
        } else {
            "dots8"
        };
        dots(&mut Kernel::new(counts, name), node, s);
    } else {
        definition(&mut Kernel::new(counts, "taps8"), node, s);
    }
}

/// Patches that lie in the input, times filters.
fn dots(k: &mut Kernel<'_>, node: &Integral<'_>, s: &Sliding) {
    let len = s.len();
    let most = (NEAR / len.max(1)).max(2);
    let blocks = s.outputs.div_ceil(BLOCK);
    let pairs = s.outputs / BLOCK * (BLOCK / 2) + (s.outputs % BLOCK).div_ceil(2);
    let (whole, rest) = (s.outputs / BLOCK, s.outputs % BLOCK);
    let place = if s.is_flat(node) { "flat" } else { "placed" };
    for call in node.calls() {
        let pixels = call.len() * s.output.w;
        k.n("call", 1);
        k.n("group", s.groups);
        for count in super::blocks(pixels, most) {
            k.n("batch", s.groups);
            k.n("block", s.groups * blocks);
            for (p, tiles) in [(2, count / 2), (1, count % 2)] {
                let tiles = tiles * s.groups;
                k.n(&format!("tile{p}"), tiles * blocks);
                k.n(&format!("{place}{p}"), tiles * blocks);
                k.n(&format!("pair{p}"), tiles * pairs);
                k.n(&format!("step{p}"), tiles * pairs * len);
                k.n(&format!("rest{p}"), tiles * pairs * (len % 4));
            }
            k.n("store", count * s.groups * whole);
            k.n("end", count * s.groups * usize::from(rest > 0));
            k.n("end.element", count * s.groups * rest);
            k.n("element", count * s.groups * s.outputs);
        }
    }
}

/// Every sum from its definition.
fn definition(k: &mut Kernel<'_>, node: &Integral<'_>, s: &Sliding) {
    let [h, w] = s.kernel;
    let across = s.all_inside(1, 0..s.output.w);
    for call in node.calls() {
        let pixels = call.len() * s.output.w;
        let lines = s.all_inside(0, call.clone());
        let (shown, all) = (lines * across, pixels * h * w);
        let c = s.output.c;
        k.n("call", 1);
        k.n("pixel", pixels);
        k.n("channel", pixels * c);
        k.n("line", lines * s.output.w * c);
        k.n("line.out", (call.len() * h - lines) * s.output.w * c);
        k.n("tap.out", (all - shown) * c);
        k.each("shown", shown * c, s.inputs);
        k.each("hidden", (all - shown) * c, s.inputs);
    }
}

/// Every sum of a `Depthwise` from its definition, 16 channels at a time.
pub fn depthwise(counts: &mut Counts, node: &Integral<'_>, s: &Sliding) {
    let mut k = Kernel::new(counts, "each8");
    let [h, w] = s.kernel;
    let across = s.all_inside(1, 0..s.output.w);
    let c = s.output.c;
    for call in node.calls() {
        let pixels = call.len() * s.output.w;
        let lines = s.all_inside(0, call.clone());
        let (shown, all) = (lines * across, pixels * h * w);
        k.n("call", 1);
        k.n("row", call.len());
        k.n("pixel", pixels);
        for live in super::blocks(c, CHUNK) {
            k.n("chunk", pixels);
            k.n("line", pixels * h);
            k.n("tap", all);
            k.each("shown", shown, live);
            k.each("hidden", all - shown, live);
            k.each("start", pixels, live);
            k.n("element", pixels * live);
        }
    }
}
