use super::super::imputation::tests::exact;
use super::*;
use std::collections::BTreeMap;

fn wave(len: usize, step: f32) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * step).sin()).collect()
}

/// Fills solved by elimination, scores added up by hand.
#[test]
fn road_without_noise() {
    let shape = Shape::new(5, 6, 1);
    let (x, evidence) = (wave(30, 1.3), wave(30, 0.7));
    let weights = [wave(30, 2.1)];
    let mut net = Net::linear(shape, &weights);
    let own = subject(shape, &x, &evidence);
    let metric = Road {
        steps: 3,
        noise: 0.0,
        score: Score::Logit,
    };
    let mut order: Vec<usize> = (0..30).collect();
    order.sort_by(|a, b| evidence[*b].total_cmp(&evidence[*a]));
    let mean = |most_relevant: bool| {
        // A quarter, a half and three quarters of 30, rounded.
        let scores = [8, 15, 23].map(|count| {
            let mut removed = [false; 30];
            for rank in 0..count {
                removed[order[if most_relevant { rank } else { 29 - rank }]] = true;
            }
            let filled = exact(5, 6, &x, &removed);
            let pairs = filled.iter().zip(&weights[0]);
            pairs.map(|(v, w)| v * f64::from(*w)).sum::<f64>()
        });
        scores.iter().sum::<f64>() / 3.0
    };
    let (found, seen) = run(&metric, &mut net, &own);
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-3, "{a} {b}");
    near(seen.parts[0].1, mean(true));
    near(seen.parts[1].1, mean(false));
    near(found.value().unwrap(), (mean(false) - mean(true)) / 2.0);
    assert_eq!(seen.points.iter().filter(|p| p.0 == "morf").count(), 3);
}

/// The noise of a removed pixel has the stated deviation, and depends on the seed alone.
#[test]
fn road_roughens_what_it_fills() {
    let shape = Shape::new(40, 40, 1);
    let (mut x, evidence) = (vec![0.0; 1600], wave(1600, 0.7));
    x[0] = 1.0;
    let spread = |noise: f32, seed: u64| {
        let squares = RefCell::new(Vec::new());
        let mut net = Net::new(shape, 1, |x, _| {
            let sum: f64 = x[100..].iter().map(|v| f64::from(*v).powi(2)).sum();
            squares.borrow_mut().push(sum);
            sum
        });
        let own = Subject {
            seed,
            ..subject(shape, &x, &evidence)
        };
        let metric = Road {
            steps: 1,
            noise,
            ..Road::default()
        };
        let found = value(&metric, &mut net, &own);
        drop(net);
        (found, squares.into_inner()[0])
    };
    // About half of 1500 pixels are removed.
    let (found, sum) = spread(0.1, 3);
    let removed = evidence[100..].iter().filter(|e| **e > 0.0).count() as f64;
    let deviation = (sum / removed).sqrt();
    assert!((deviation - 0.1).abs() < 0.01, "{deviation}");
    assert_eq!(spread(0.1, 3).0, found);
    assert_ne!(spread(0.1, 4).0, found);
    let grey = vec![0.5; 1600];
    let mut net = Net::new(shape, 1, |x, _| f64::from(x[0]));
    let own = subject(shape, &grey, &evidence);
    let found = undefined(&Road::default(), &mut net, &own);
    assert_eq!(found, "the picture is of one colour");
}

use core::cell::RefCell;

/// In a linear network the exact gradient says all: 0. Twice the gradient is
/// wrong by the change itself, unless it is scaled.
#[test]
fn infidelity_of_a_linear_network() {
    let shape = Shape::new(6, 5, 2);
    let (x, weights) = (wave(60, 0.9), [wave(60, 1.7)]);
    let double: Vec<f32> = weights[0].iter().map(|w| 2.0 * w).collect();
    let stored = wave(60 * 11, 0.31);
    let mut net = Net::linear(shape, &weights);
    let with = |map, scale, perturbation| {
        let metric = Infidelity {
            perturbation,
            scale,
            ..Infidelity::default()
        };
        let own = Subject {
            fill: Fill::Colour([0.5, -0.25, 0.0, 0.0]),
            attribution: Attribution {
                shape,
                values: map,
                score: Score::Logit,
            },
            ..subject(shape, &x, &[0.0; 30])
        };
        value(&metric, &mut net, &own)
    };
    let mut with = with;
    for perturbation in [
        Perturbation::Square(0.4),
        Perturbation::Gaussian(0.3),
        Perturbation::Stored(&stored),
    ] {
        assert!(with(&weights[0], false, perturbation) < 1e-9);
        assert!(with(&double, false, perturbation) > 1e-4);
        assert!(with(&double, true, perturbation) < 1e-9);
    }
    let changes = stored.chunks_exact(60).map(|i| {
        let pairs = i.iter().zip(&weights[0]);
        pairs.map(|(i, w)| f64::from(i * w)).sum::<f64>().powi(2)
    });
    let expected = changes.sum::<f64>() / 11.0;
    close(
        with(&double, false, Perturbation::Stored(&stored)),
        expected,
    );
}

#[test]
fn infidelity_needs_something_to_say() {
    let own = subject(SHAPE, &X, &S);
    let mut still = Net::new(SHAPE, 2, |_, _| 0.5);
    let metric = Infidelity::default();
    assert_eq!(
        undefined(&metric, &mut still, &own),
        "the score never moves"
    );
    let flat = subject(SHAPE, &X, &[0.0; 16]);
    assert_eq!(undefined(&metric, &mut example(), &flat), "the map is flat");
    let none = Infidelity {
        perturbation: Perturbation::Stored(&[]),
        ..metric
    };
    let mut scratch = [0.0; 99];
    let mut silent = crate::explain::Silent;
    let found = none.score(
        &mut example(),
        &own,
        &mut Finished,
        &mut scratch,
        &mut silent,
    );
    let error = Error::BadParameter("perturbations of infidelity");
    assert_eq!(found, Err(error));
}

/// Entropy of the differences, counted in a map.
fn bits(x: &[f32], shape: Shape, least: f32, most: f32) -> f64 {
    let byte = |v: f32| ((v - least) / (most - least) * 255.0).round() as i32;
    let mut counts = BTreeMap::new();
    for row in x.chunks_exact(shape.row()) {
        for (i, value) in row.iter().enumerate() {
            let left = if i < shape.c {
                0
            } else {
                byte(row[i - shape.c])
            };
            *counts
                .entry((byte(*value) - left).rem_euclid(256))
                .or_insert(0.0) += 1.0;
        }
    }
    let n = x.len() as f64;
    counts.values().map(|c: &f64| -c / n * (c / n).log2()).sum()
}

/// A network that knows the class from half of the picture on: the area is
/// what lies right of that, and half of the step.
#[test]
fn pic_counts_information() {
    let shape = Shape::new(10, 20, 2);
    let x: Vec<f32> = wave(400, 2.3).iter().map(|v| v + 2.0).collect();
    let evidence = wave(200, 0.7);
    let mut net = Net::new(shape, 2, |x, k| {
        let shown = x.iter().filter(|v| **v > 0.0).count();
        let p = if shown >= 200 { 0.8 } else { 0.2 };
        if k == 0 { p } else { 1.0 - p }
    });
    let own = subject(shape, &x, &evidence);
    let mut order: Vec<usize> = (0..200).collect();
    order.sort_by(|a, b| evidence[*b].total_cmp(&evidence[*a]));
    let most = x.iter().copied().fold(0.0, f32::max);
    let level = |count: usize| {
        let mut shown = vec![0.0; 400];
        for &i in &order[..count] {
            shown[2 * i..2 * i + 2].copy_from_slice(&x[2 * i..2 * i + 2]);
        }
        bits(&shown, shape, 0.0, most)
    };
    let share = |count: usize| (level(count) - level(0)) / (level(200) - level(0));
    // A third of the pixels do not show it, a half do.
    let expected = 1.0 - f64::midpoint(share(68).max(share(42)), share(100));
    assert!(share(100) > share(68) && share(150) > share(100) && share(150) < 1.0);
    for measure in [Measure::Softmax, Measure::Accuracy] {
        let (found, seen) = run(&Pic { measure }, &mut net, &own);
        close(found.value().unwrap(), expected);
        assert_eq!(seen.points.len(), 15);
    }
    let other = Subject { target: 1, ..own };
    let found = undefined(&Pic::default(), &mut net, &other);
    assert_eq!(found, "the fill scores as high as the picture");
    let filled = Subject {
        fill: Fill::Picture(own.picture),
        ..own
    };
    let found = undefined(&Pic::default(), &mut net, &filled);
    assert_eq!(found, "the fill holds as much information as the picture");
}
