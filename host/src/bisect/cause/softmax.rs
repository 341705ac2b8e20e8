//! Softmax, left out or done in another way.

use super::rounding::RealRule;
use super::{Cause, Kind, Ranking, Scene};

/// Across what the shares are taken.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Across {
    /// The channels of a pixel.
    Channels,
    /// The pixels of a channel.
    Pixels,
}

/// Tries everything that is done instead of a softmax.
pub(super) fn try_all(scene: &Scene<'_>, ranking: &mut Ranking<'_>) {
    let node = scene.node;
    let x = scene.inputs[0];
    let c = node.input.c.max(1);
    let real = x.iter().map(|&q| f64::from(node.input_quant.real(q)));
    let real: Vec<f64> = real.collect();
    let once = shares(&real, c, Across::Channels, 1.0);
    for (words, values) in others(scene, &real, &once) {
        try_stored(scene, ranking, words, &values);
    }
    let copied = || Cause::new(Kind::Softmax, "the softmax is left out: the input's bytes");
    ranking.consider(copied, |i| x[i]);
    try_stored(
        scene,
        ranking,
        "the softmax is computed in real numbers",
        &once,
    );
    let single: Vec<f64> = single_precision(scene).collect();
    try_stored(scene, ranking, "the softmax is computed in f32", &single);
    super::finishing(scene, ranking, &|i| {
        i32::from(scene.expected[i]) - scene.output_zero()
    });
}

/// What is computed instead, in words, and its values.
fn others(scene: &Scene<'_>, real: &[f64], once: &[f64]) -> [(&'static str, Vec<f64>); 9] {
    let x = scene.inputs[0];
    let c = scene.node.input.c.max(1);
    let across = |values: &[f64], factor| shares(values, c, Across::Channels, factor);
    let steps: Vec<f64> = x.iter().map(|&q| f64::from(q)).collect();
    let scale = f64::from(scene.node.input_quant.scale);
    let largest = (0..x.len()).map(|i| f64::from(u8::from(is_largest(x, c, i))));
    let sigmoid = real.iter().map(|v| 1.0 / (1.0 + (-v).exp()));
    [
        ("the softmax is left out", real.to_vec()),
        ("the softmax is done twice", across(once, 1.0)),
        (
            "the softmax goes across pixels, not channels",
            shares(real, c, Across::Pixels, 1.0),
        ),
        (
            "the softmax takes the stored numbers, without their scale",
            across(&steps, 1.0),
        ),
        ("the softmax applies the scale twice", across(real, scale)),
        (
            "the softmax has base 2",
            across(real, std::f64::consts::LN_2),
        ),
        ("a sigmoid stands for the softmax", sigmoid.collect()),
        (
            "the logarithm of the softmax is given",
            once.iter().map(|p| p.ln()).collect(),
        ),
        ("the largest value gets 1, the others 0", largest.collect()),
    ]
}

/// The values as the output stores them, by every rule of rounding.
fn try_stored(scene: &Scene<'_>, ranking: &mut Ranking<'_>, words: &str, values: &[f64]) {
    let step = f64::from(scene.node.output_quant.scale);
    let zero = f64::from(scene.output_zero());
    let rules: [RealRule; 4] = [
        ("", f64::round),
        (", halves to even", f64::round_ties_even),
        (", cut off", f64::floor),
        (", less one step where it would be 256", |x| {
            x.round().min(255.0)
        }),
    ];
    for (how, round) in rules {
        ranking.consider(
            || Cause::new(Kind::Softmax, format!("{words}{how}")),
            |i| (round(values[i] / step) + zero).clamp(-128.0, 127.0) as i8,
        );
    }
}

fn is_largest(x: &[i8], c: usize, i: usize) -> bool {
    let pixel = &x[i / c * c..][..c];
    pixel.iter().max() == Some(&x[i])
}

/// The softmax of `values` * `factor`.
pub(super) fn shares(values: &[f64], c: usize, across: Across, factor: f64) -> Vec<f64> {
    let pixels = values.len() / c;
    let group = |i: usize| -> Vec<usize> {
        match across {
            Across::Channels => (i / c * c..i / c * c + c).collect(),
            Across::Pixels => (0..pixels).map(|p| p * c + i % c).collect(),
        }
    };
    let share = |i: usize| {
        let group = group(i);
        let most = group.iter().map(|&j| values[j]).fold(f64::MIN, f64::max);
        let power = |j: usize| ((values[j] - most) * factor).exp();
        power(i) / group.iter().map(|&j| power(j)).sum::<f64>()
    };
    (0..values.len()).map(share).collect()
}

/// The softmax with every step in f32.
fn single_precision(scene: &Scene<'_>) -> impl Iterator<Item = f64> {
    let node = scene.node;
    let (c, x) = (node.input.c.max(1), scene.inputs[0]);
    (0..x.len()).map(move |i| {
        let pixel = &x[i / c * c..][..c];
        let most = pixel.iter().copied().max().unwrap_or(0);
        let power = |q: i8| {
            let steps = f32::from(i16::from(q) - i16::from(most));
            (steps * node.input_quant.scale).exp()
        };
        let sum: f32 = pixel.iter().map(|&q| power(q)).sum();
        f64::from(power(x[i]) / sum)
    })
}
