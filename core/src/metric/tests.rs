//! The metrics against numbers that were computed elsewhere.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::explain::nets::{Net, StopAfter, tensor};
use crate::picture::MAX_CHANNELS;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

mod correlations;
mod curves;
mod parts;
mod perturbed;

/// Keeps what a metric shows.
#[derive(Default)]
struct Seen {
    points: Vec<(String, f64, f64)>,
    parts: Vec<(String, f64)>,
    steps: Vec<(u64, u64)>,
}

impl Progress for Seen {
    fn step(&mut self, done: u64, total: u64) -> bool {
        self.steps.push((done, total));
        true
    }
}

impl Witness for Seen {
    fn point(&mut self, curve: &'static str, share: f64, score: f64) {
        self.points.push((curve.to_string(), share, score));
    }
    fn part(&mut self, name: &'static str, value: f64) {
        self.parts.push((name.to_string(), value));
    }
}

impl Witness for StopAfter {
    fn point(&mut self, _: &'static str, _: f64, _: f64) {}
    fn part(&mut self, _: &'static str, _: f64) {}
}

/// The 4x4 example of the numeric vectors: softmax over [2 sum(w x) - 3, 0].
const SHAPE: Shape = Shape::new(4, 4, 1);
const X: [f32; 16] = [
    0.2, 0.9, 0.4, 0.1, 0.7, 1.0, 0.8, 0.3, 0.1, 0.6, 0.5, 0.2, 0.0, 0.3, 0.2, 0.1,
];
const W: [f32; 16] = [
    0.1, 0.8, 0.2, 0.0, 0.6, 1.2, 0.5, 0.1, 0.2, 0.4, 0.3, 0.0, 0.0, 0.1, 0.1, 0.0,
];
const S: [f32; 16] = [
    0.10, 0.90, 0.30, 0.20, 0.80, 1.0, 0.70, 0.15, 0.25, 0.60, 0.40, 0.05, 0.02, 0.12, 0.08, 0.01,
];

fn example() -> Net<'static> {
    Net::new(SHAPE, 2, |x, k| {
        let sum: f64 = x
            .iter()
            .zip(W)
            .map(|(x, w)| f64::from(*x) * f64::from(w))
            .sum();
        let p = 1.0 / (1.0 + (3.0 - 2.0 * sum).exp());
        if k == 0 { p } else { 1.0 - p }
    })
}

/// The example's probability of a picture of which only these pixels show.
fn probability(shown: impl Fn(usize) -> bool) -> f64 {
    let kept = (0..16).filter(|i| shown(*i));
    let sum: f64 = kept.map(|i| f64::from(X[i]) * f64::from(W[i])).sum();
    1.0 / (1.0 + (3.0 - 2.0 * sum).exp())
}

fn undefined(metric: &dyn Metric, net: &mut Net<'_>, subject: &Subject<'_>) -> &'static str {
    match run(metric, net, subject).0 {
        Scored::Undefined(reason) => reason,
        Scored::Value(value) => panic!("{value}"),
    }
}

fn subject<'a>(shape: Shape, x: &'a [f32], evidence: &'a [f32]) -> Subject<'a> {
    Subject {
        picture: tensor(shape, x),
        fill: Fill::Colour([0.0; MAX_CHANNELS]),
        target: 0,
        evidence,
        attribution: Attribution {
            shape: Shape::new(shape.h, shape.w, 1),
            values: evidence,
            score: Score::Probability,
        },
        region: None,
        backgrounds: &[],
        seed: 7,
    }
}

/// The score in scratch of exactly the stated size; the passes are as stated.
fn run(metric: &dyn Metric, net: &mut Net<'_>, subject: &Subject<'_>) -> (Scored, Seen) {
    let none = Cost {
        forward: 0,
        backward: 0,
        scratch: 0,
    };
    let cost = metric.cost(net.shape, net.classes, none);
    let mut scratch = vec![f32::NAN; cost.scratch];
    let mut seen = Seen::default();
    net.passes = 0;
    let scored = metric
        .score(net, subject, &mut Finished, &mut scratch, &mut seen)
        .unwrap();
    if scored.value().is_some() {
        let passes = net.passes as u64;
        assert!(passes <= cost.forward, "{passes} of {}", cost.forward);
        assert_eq!(seen.steps.len(), net.passes);
        for (i, (done, total)) in (1..).zip(&seen.steps) {
            assert!(*done == i && *total <= cost.forward);
        }
    }
    if net.passes > 0 && scored.value().is_some() {
        let short = &mut scratch[1..];
        let error = metric.score(net, subject, &mut Finished, short, &mut seen);
        assert!(matches!(error, Err(Error::BufferTooSmall { .. })));
    }
    (scored, seen)
}

fn value(metric: &dyn Metric, net: &mut Net<'_>, subject: &Subject<'_>) -> f64 {
    run(metric, net, subject).0.value().unwrap()
}

fn close(found: f64, expected: f64) {
    let scale = expected.abs().max(1e-3);
    assert!(
        (found - expected).abs() < 1e-5 * scale,
        "{found} {expected}"
    );
}

#[test]
fn rows_are_in_order() {
    for (i, row) in METRICS.iter().enumerate() {
        assert!(METRICS[..i].iter().all(|other| other.name != row.name));
        assert!(row.range[0] < row.range[1], "{}", row.name);
        assert!(!row.summary.ends_with('.') && !row.paper.is_empty());
    }
}
