#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic

use super::*;
use crate::explain::nets::{Curved, Net, StopAfter, Tiny, close, explain, tensor};
use crate::explain::{Silent, nets};
use std::vec;
use std::vec::Vec;

/// f = x1^2 + x1 x2 + sin x3; its gradient.
fn mixed() -> Curved<'static> {
    Curved::new(
        Shape::new(1, 3, 1),
        |x| x[0] * x[0] + x[0] * x[1] + x[2].sin(),
        |x| vec![2.0 * x[0] + x[1], x[0], x[2].cos()],
    )
}

const X: [f32; 3] = [1.0, 2.0, 2.0];

fn ask(x: &[f32]) -> Query<'_> {
    Query {
        picture: tensor(Shape::new(1, 3, 1), x),
        targets: &[0],
        score: None,
        seed: 0,
    }
}

/// Keeps what a method tells.
#[derive(Default)]
struct Notes(Vec<(usize, &'static str, f64)>);

impl Progress for Notes {
    fn step(&mut self, _: u64, _: u64) -> bool {
        true
    }

    fn note(&mut self, map: usize, name: &'static str, value: f64) {
        self.0.push((map, name, value));
    }
}

fn run(quadrature: Quadrature, steps: u32, tolerance: Option<f32>) -> (Vec<f32>, f64, f64) {
    let method = IntegratedGradients {
        quadrature,
        steps,
        tolerance,
        ..IntegratedGradients::default()
    };
    let mut notes = Notes::default();
    let (maps, outcomes) = explain(&method, &mut mixed(), &ask(&X), &mut notes).unwrap();
    assert_eq!(outcomes, [Outcome::Ok]);
    let names: Vec<_> = notes.0.iter().map(|(map, name, _)| (*map, *name)).collect();
    assert_eq!(names, [(0, "completeness_error"), (0, "steps")]);
    let (error, steps) = (notes.0[0].2, notes.0[1].2);
    (maps[0].clone(), error, steps)
}

/// Sums worked out in f64 by another program (20 steps); the error of left and
/// right has opposite sign, that of the trapezoid is twice the middle's.
#[test]
fn known_sums() {
    let (map, error, steps) = run(Quadrature::Left, 20, None);
    close(&map, &[1.9, 0.95, 0.979_346_9], 1e-5);
    assert!(
        (error + 0.079_950_5).abs() < 1e-5 && steps == 20.0,
        "{error}"
    );
    let (map, error, _) = run(Quadrature::Middle, 20, None);
    close(&map, &[2.0, 1.0, 0.909_676_4], 1e-5);
    assert!((error - 3.79e-4).abs() < 2e-6, "{error}");
    let (_, right, _) = run(Quadrature::Right, 20, None);
    assert!(right > 0.07, "{right}");
    let (_, trapezoid, _) = run(Quadrature::Trapezoid, 20, None);
    assert!((trapezoid + 7.58e-4).abs() < 4e-6, "{trapezoid}");
    let (map, error, _) = run(Quadrature::GaussLegendre, 6, None);
    close(&map, &[2.0, 1.0, 0.909_297_4], 1e-6);
    assert!(error.abs() < 1e-6, "{error}");
}

/// Nodes and weights of five points (Abramowitz and Stegun, table 25.4), on 0..1.
#[test]
fn five_nodes() {
    let roots = [0.906_179_845_938_664, 0.538_469_310_105_683, 0.0];
    let weights = [
        0.236_926_885_056_189,
        0.478_628_670_499_366,
        0.568_888_888_888_889,
    ];
    for j in 0..5_u32 {
        let side = (j as usize).min(4 - j as usize);
        let sign = if j < 2 { -1.0 } else { 1.0 };
        let (x, w) = gauss_legendre(j, 5);
        assert!((x - (1.0 + sign * roots[side]) / 2.0).abs() < 1e-14, "{j}");
        assert!((w - weights[side] / 2.0).abs() < 1e-14, "{j}");
    }
    for n in [1, 2, 50, 777] {
        let sum: f64 = (0..n).map(|j| gauss_legendre(j, n).1).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{n}: {sum}");
    }
}

#[test]
fn steps_double_until_the_error_is_small() {
    let (_, loose, _) = run(Quadrature::Left, 10, None);
    assert!(loose.abs() > 0.1);
    let (_, error, steps) = run(Quadrature::Left, 10, Some(0.03));
    assert!(error.abs() <= 0.03 && steps == 80.0, "{error} {steps}");
    // Never below: five doublings are all.
    let (_, error, steps) = run(Quadrature::Left, 1, Some(1e-9));
    assert!(error.abs() > 1e-9 && steps == 32.0);
    let cost = IntegratedGradients {
        steps: 10,
        tolerance: Some(0.1),
        ..IntegratedGradients::default()
    };
    let cost = cost.cost(&mut mixed(), 3).unwrap();
    assert_eq!((cost.forward, cost.backward), (630 + 2, 1890));
}

/// From several baselines the mean of the single ones.
#[test]
fn baselines_are_averaged() {
    let fills = [0.0, 0.5, -1.0].map(|v| Fill::Colour([v; MAX_CHANNELS]));
    let of = |baselines: &[Fill<'_>]| {
        let method = IntegratedGradients {
            baselines,
            ..IntegratedGradients::default()
        };
        nets::maps(&method, &mut mixed(), tensor(Shape::new(1, 3, 1), &X), &[0]).remove(0)
    };
    let single: Vec<_> = fills.iter().map(|f| of(&[*f])).collect();
    let mean: Vec<f32> = (0..3)
        .map(|i| single.iter().map(|m| m[i]).sum::<f32>() / 3.0)
        .collect();
    close(&of(&fills), &mean, 1e-5);
    // f(x) - f(b) for each b.
    let f = |v: f64| v * v + v * v + v.sin();
    let rise = 1.0 + 2.0 + 2f64.sin() - (f(0.0) + f(0.5) + f(-1.0)) / 3.0;
    let sum: f64 = of(&fills).iter().map(|v| f64::from(*v)).sum();
    assert!((sum - rise).abs() < 1e-3, "{sum} {rise}");
}

/// Linear from 0: input times weight, whatever the points; non-square, two targets.
#[test]
fn linear_networks_need_one_step() {
    let shape = Shape::new(2, 3, 2);
    let x: Vec<f32> = (0..12).map(|i| i as f32 / 4.0 + 0.25).collect();
    let weights: Vec<Vec<f32>> = [3, 5]
        .map(|k| (0..12).map(|i| ((i * k) % 7) as f32 - 3.0).collect())
        .to_vec();
    let mut net = Tiny::new(shape, false, weights.clone());
    for (quadrature, steps) in [(Quadrature::Middle, 1), (Quadrature::GaussLegendre, 3)] {
        let method = IntegratedGradients {
            quadrature,
            steps,
            ..IntegratedGradients::default()
        };
        let found = nets::maps(&method, &mut net, tensor(shape, &x), &[1, 0]);
        for (map, class) in found.iter().zip([1, 0]) {
            let expected: Vec<f32> = weights[class].iter().zip(&x).map(|(w, x)| w * x).collect();
            close(map, &expected, 1e-5);
        }
    }
}

/// A stopped run is the mean over points from all parts of the path.
#[test]
fn stopped_runs_keep_their_scale() {
    let method = IntegratedGradients::default();
    let (maps, outcomes) = explain(&method, &mut mixed(), &ask(&X), &mut StopAfter(32)).unwrap();
    assert_eq!(
        outcomes,
        [Outcome::Partial {
            done: 32,
            total: 102
        }]
    );
    close(&maps[0], &[2.0, 1.0, 0.909_297_4], 0.1);
    let mut black = Net::new(Shape::new(1, 3, 1), 1, |_, _| 0.0);
    let refused = explain(&method, &mut black, &ask(&X), &mut Silent);
    assert_eq!(refused, Err(Error::NotWhiteBox));
    let none = IntegratedGradients { steps: 0, ..method };
    let wrong = Err(Error::BadParameter("steps of integrated gradients"));
    assert_eq!(none.cost(&mut mixed(), 1), wrong);
}

/// Stops after so many passes and keeps what is told.
struct Halted(u64, Notes);

impl Progress for Halted {
    fn step(&mut self, done: u64, _: u64) -> bool {
        done < self.0
    }

    fn note(&mut self, map: usize, name: &'static str, value: f64) {
        self.1.note(map, name, value);
    }
}

/// f = x1^2 + x1 x2: n left points miss the integral, (2, 1), by its n-th part,
/// so their sum misses the rise of 3 by 3 / n. Rounds of 10, 20 and 40 steps, a pass
/// forward and one back each, follow 2 at the ends.
#[test]
fn stopped_while_doubling_the_last_round_counts() {
    let mut quadratic = Curved::new(
        Shape::new(1, 3, 1),
        |x| x[0] * x[0] + x[0] * x[1],
        |x| vec![2.0 * x[0] + x[1], x[0], 0.0],
    );
    let mut run = |steps, tolerance, most| {
        let method = IntegratedGradients {
            quadrature: Quadrature::Left,
            steps,
            tolerance,
            ..IntegratedGradients::default()
        };
        let mut halted = Halted(most, Notes::default());
        let (maps, outcomes) = explain(&method, &mut quadratic, &ask(&X), &mut halted).unwrap();
        let figures: Vec<f64> = halted.1.0.iter().map(|note| note.2).collect();
        (maps[0].clone(), outcomes[0], figures)
    };
    for (most, done, steps) in [(22, 24, 10), (40, 40, 10), (62, 64, 20), (99, 100, 20)] {
        let (map, outcome, figures) = run(10, Some(0.1), most);
        let n = f64::from(steps);
        let total = if steps == 10 { 62 } else { 142 };
        assert_eq!(outcome, Outcome::Partial { done, total }, "{most}");
        let share = (1.0 - 1.0 / n) as f32;
        close(&map, &[2.0 * share, share, 0.0], 1e-6);
        assert!((figures[0] + 3.0 / n).abs() < 1e-6, "{figures:?}");
        assert_eq!(figures[1], n);
        assert_eq!(map, run(steps, None, 1000).0);
    }
    let (map, outcome, figures) = run(10, Some(0.1), 1000);
    assert_eq!((outcome, figures[1]), (Outcome::Ok, 40.0));
    close(&map, &[2.0 * 0.975, 0.975, 0.0], 1e-6);
    // In the first round it is the mean of what was seen, whatever the tolerance.
    assert_eq!(run(10, Some(0.1), 9), run(10, None, 9));
}

/// Every point is visited once.
#[test]
fn leaps_visit_all() {
    for points in [1, 2, 3, 50, 51, 64, 97] {
        let mut seen: Vec<u32> = (0..points).map(|i| leap(i, points)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..points).collect::<Vec<_>>());
    }
}
