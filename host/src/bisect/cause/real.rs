//! Layers in f32: what is left out shows, the rest is evidence.

use foveola_core::Shape;
use foveola_core::net::op::{Activation, Op};

use super::softmax::{Across, shares};
use super::{Cause, Kind};

/// A node in f32 that differs.
pub struct RealScene<'a> {
    /// What it computes.
    pub op: Op,
    /// What follows.
    pub activation: Activation,
    /// Its first input.
    pub input: &'a [f32],
    /// Shape of the output.
    pub shape: Shape,
    /// What it should hold.
    pub expected: &'a [f32],
    /// What it holds.
    pub found: &'a [f32],
    /// Largest difference that counts as none.
    pub slack: f32,
}

impl RealScene<'_> {
    fn near(&self, a: f32, b: f32) -> bool {
        (a - b).abs() <= self.slack
    }

    fn all(&self, near: impl Fn(usize) -> bool) -> bool {
        (0..self.found.len()).all(near)
    }
}

/// Why a node in f32 differs.
pub fn real_layer(scene: &RealScene<'_>) -> Vec<Cause> {
    let causes = match (scene.op, scene.activation) {
        (Op::Softmax, _) => softmax(scene),
        (_, Activation::Relu) => clamp(scene, 0.0, f32::INFINITY),
        (_, Activation::Clip { lo, hi }) => clamp(scene, lo, hi),
        _ => None,
    };
    causes.map_or_else(|| vec![evidence(scene)], |cause| vec![cause])
}

/// Bounds that are not there: limited by them, what was found is right.
fn clamp(scene: &RealScene<'_>, low: f32, high: f32) -> Option<Cause> {
    let limited = |i: usize| scene.found[i].max(low).min(high);
    let right = scene.all(|i| scene.near(limited(i), scene.expected[i]));
    let outside = scene.found.iter().any(|v| *v < low - scene.slack);
    let which = if outside { "lower" } else { "upper" };
    let text = format!("the {which} bound of the activation ({low} to {high}) is missing");
    right.then(|| Cause::new(Kind::Clamp, text))
}

fn softmax(scene: &RealScene<'_>) -> Option<Cause> {
    let c = scene.shape.c.max(1);
    let input: Vec<f64> = scene.input.iter().map(|&v| v.into()).collect();
    let once = shares(&input, c, Across::Channels, 1.0);
    let ways = [
        ("the softmax is left out", input.clone()),
        (
            "the softmax is done twice",
            shares(&once, c, Across::Channels, 1.0),
        ),
        (
            "the softmax goes across pixels, not channels",
            shares(&input, c, Across::Pixels, 1.0),
        ),
        (
            "the softmax has base 2",
            shares(&input, c, Across::Channels, std::f64::consts::LN_2),
        ),
        (
            "the logarithm of the softmax is given",
            once.iter().map(|p| p.ln()).collect(),
        ),
    ];
    let holds = |values: &[f64]| {
        let most = values.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        let near = |i: usize| (values[i] - f64::from(scene.found[i])).abs() <= 1e-4 * most;
        scene.all(near)
    };
    let found = ways.iter().find(|(_, values)| holds(values))?;
    Some(Cause::new(Kind::Softmax, found.0))
}

fn evidence(scene: &RealScene<'_>) -> Cause {
    let wrong = |i: &usize| !scene.near(scene.expected[*i], scene.found[*i]);
    let places: Vec<usize> = (0..scene.found.len()).filter(wrong).collect();
    let channels: std::collections::BTreeSet<usize> =
        places.iter().map(|i| i % scene.shape.c.max(1)).collect();
    let text = match channels.first() {
        Some(channel) if channels.len() == 1 && scene.shape.c > 1 => {
            format!("only output channel {channel} differs: its weights or its bias")
        }
        _ => format!(
            "{} of {} channels differ; causes in f32 layers are told apart only for clamps and \
             softmax",
            channels.len(),
            scene.shape.c
        ),
    };
    Cause {
        unexplained: places.len(),
        ..Cause::new(Kind::Unknown, text)
    }
}
