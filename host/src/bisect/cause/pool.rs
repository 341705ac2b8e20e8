//! Pools with one thing wrong.

use foveola_core::Shape;
use foveola_core::net::op::Op;
use foveola_core::net::quant::Factor;

use super::rounding::{RealRule, Rounding};
use super::window::{Taps, confused};
use super::{Cause, Kind, Ranking, Scene, finishing};

/// How a mean is rounded.
const MEANS: [RealRule; 5] = [
    ("cut off towards 0", f64::trunc),
    ("rounded downwards", f64::floor),
    ("rounded, halves to even", f64::round_ties_even),
    ("rounded, halves upwards", |x| (x + 0.5).floor()),
    ("rounded, halves away from 0", f64::round),
];

/// Tries everything that can go wrong with a pool.
pub(super) fn try_all(scene: &Scene<'_>, ranking: &mut Ranking<'_>) {
    match scene.node.op {
        Op::MaxPool(geometry) => windows(scene, ranking, geometry.into(), largest),
        Op::AveragePool { geometry, .. } => average(scene, ranking, geometry.into()),
        Op::Mean { axes } => mean(scene, ranking, axes),
        _ => {}
    }
}

fn bounded(scene: &Scene<'_>, x: i32) -> i8 {
    let [low, high] = scene.node.range;
    x.max(low.into()).min(high.into()) as i8
}

fn windows(
    scene: &Scene<'_>,
    ranking: &mut Ranking<'_>,
    taps: Taps,
    value: fn(&Scene<'_>, Taps, usize) -> i32,
) {
    // Pools keep their scale: the value is the result itself.
    let zero = scene.output_zero();
    finishing(scene, ranking, &|i| value(scene, taps, i) - zero);
    for (wrong, kind, words) in confused(taps, scene.node.input, scene.node.output) {
        ranking.consider(
            || Cause::new(kind, words),
            |i| bounded(scene, value(scene, wrong, i)),
        );
    }
}

/// The elements under a window.
fn under<'s>(scene: &'s Scene<'_>, taps: Taps, index: usize) -> impl Iterator<Item = i32> + 's {
    let Shape { h, w, c } = scene.node.input;
    let output = scene.node.output;
    let (y, x) = (index / output.row(), index / output.c % output.w);
    let channel = index % output.c;
    let [kernel_h, kernel_w] = taps.kernel;
    let places = (0..kernel_h * kernel_w).filter_map(move |tap| {
        let row = taps.under(0, y, tap / kernel_w, h)?;
        let column = taps.under(1, x, tap % kernel_w, w)?;
        Some((row * w + column) * c + channel)
    });
    places.map(|place| i32::from(scene.inputs[0][place]))
}

fn largest(scene: &Scene<'_>, taps: Taps, index: usize) -> i32 {
    under(scene, taps, index).max().unwrap_or(-128)
}

/// Sum and number of the elements under a window.
fn total(scene: &Scene<'_>, taps: Taps, index: usize) -> (i32, i32) {
    under(scene, taps, index).fold((0, 0), |(sum, count), x| (sum + x, count + 1))
}

/// The stored number that the node's means are rounded from.
fn origin(scene: &Scene<'_>) -> i32 {
    scene.node.words.first().copied().unwrap_or(0)
}

/// The mean, rounded as seen from `origin`.
fn rounded_from(origin: i32, (sum, count): (i32, i32), round: fn(f64) -> f64) -> i32 {
    let count = count.max(1);
    round(f64::from(sum - origin * count) / f64::from(count)) as i32 + origin
}

fn rounded(scene: &Scene<'_>, taps: Taps, index: usize) -> i32 {
    rounded_from(origin(scene), total(scene, taps, index), f64::round)
}

fn average(scene: &Scene<'_>, ranking: &mut Ranking<'_>, taps: Taps) {
    for (words, round) in MEANS {
        for from in [origin(scene), scene.input_zero(), -128] {
            let text = || Cause::new(Kind::Rounding, format!("means are {words}"));
            ranking.consider(text, |i| {
                bounded(scene, rounded_from(from, total(scene, taps, i), round))
            });
        }
    }
    let size = (taps.kernel[0] * taps.kernel[1]) as i32;
    for (words, filler) in [
        ("padding counts as zero points", scene.input_zero()),
        ("padding counts as 0", 0),
    ] {
        ranking.consider(
            || Cause::new(Kind::Padding, words),
            |i| {
                let (sum, count) = total(scene, taps, i);
                let whole = (sum + (size - count) * filler, size);
                bounded(scene, rounded_from(origin(scene), whole, f64::round))
            },
        );
    }
    windows(scene, ranking, taps, rounded);
}

/// Sums over the marked axes, by output element, and how many elements each has.
fn sums(scene: &Scene<'_>, axes: [bool; 3]) -> (Vec<i32>, usize) {
    let (input, output) = (scene.node.input, scene.node.output);
    let sides = [input.h, input.w, input.c];
    let count = (0..3).filter(|&a| axes[a]).map(|a| sides[a]).product();
    let mut sums = vec![0_i32; output.len()];
    for (i, &x) in scene.inputs[0].iter().enumerate() {
        let place = [i / input.row(), i / input.c % input.w, i % input.c];
        let [y, column, c] = [0, 1, 2].map(|a| if axes[a] { 0 } else { place[a] });
        sums[(y * output.w + column) * output.c + c] += i32::from(x);
    }
    (sums, count)
}

fn mean(scene: &Scene<'_>, ranking: &mut Ranking<'_>, axes: [bool; 3]) {
    let [multiplier, shift] = [0, 1].map(|i| scene.node.words.get(i).copied().unwrap_or(0));
    let shift = shift as i8;
    let factor = Factor { multiplier, shift };
    let zero = scene.input_zero();
    let (sums, count) = sums(scene, axes);
    let less = |i: usize, zero: i32| sums[i] - zero * count as i32;
    let finish = |x: i32| bounded(scene, x.saturating_add(scene.output_zero()));
    for rule in Rounding::ALL.into_iter().filter(|r| *r != Rounding::Twice) {
        let text = || Cause::new(Kind::Rounding, format!("means are {}", rule.words()));
        ranking.consider(text, |i| finish(rule.scale(factor, less(i, zero))));
    }
    let ratio = f64::from(scene.node.input_quant.scale) / f64::from(scene.node.output_quant.scale);
    for (words, round) in MEANS {
        let text = || Cause::new(Kind::Rounding, format!("means are {words}"));
        let real = |i: usize| f64::from(less(i, zero)) / count as f64 * ratio;
        ranking.consider(text, |i| finish(round(real(i)) as i32));
        let stored = |i: usize| f64::from(sums[i]) / count as f64;
        let text = || {
            let words = format!("means of the stored numbers are {words}");
            Cause::new(Kind::Rounding, words)
        };
        ranking.consider(text, |i| bounded(scene, round(stored(i)) as i32));
    }
    finishing(scene, ranking, &|i| factor.apply(less(i, zero)));
    for other in (-128..128).filter(|&z| z != zero) {
        let text = || {
            let words = format!("the input's zero point is {other}, not {zero}");
            Cause::new(Kind::ZeroPoint, words)
        };
        ranking.consider(text, |i| finish(factor.apply(less(i, other))));
    }
}
