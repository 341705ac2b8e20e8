#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
use super::*;
use crate::explain::CentredRise;
use crate::explain::StoredMasks;
use crate::explain::nets::{Figures, Net, StopAfter, explain, tensor};
use crate::mask::Sequence;
use crate::quasi::scrambled_sobol;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

const SHAPE: Shape = Shape::new(16, 24, 1);
const CELLS: u16 = 4;

fn adjusted<'a>(masks: u32, tolerance: Option<f32>) -> AdjustedRise<'a, 'static> {
    let rise = Rise {
        masks,
        grid: CELLS,
        keep: 0.4,
        ..Rise::default()
    };
    of(rise, tolerance, 2)
}

fn of<'a>(rise: Rise<'a>, tolerance: Option<f32>, targets: usize) -> AdjustedRise<'a, 'static> {
    let storage = vec![9.0; AdjustedRise::storage(rise.grid, SHAPE, targets)];
    AdjustedRise {
        rise,
        tolerance,
        storage: RefCell::new(Box::leak(storage.into_boxed_slice())),
    }
}

fn query(x: &[f32]) -> Query<'_> {
    Query {
        picture: tensor(SHAPE, x),
        targets: &[0],
        score: None,
        seed: 7,
    }
}

/// Keeps numbers and maps beside the map.
#[derive(Default)]
struct Told {
    figures: Figures,
    error: Vec<f32>,
}

impl Progress for Told {
    fn step(&mut self, _: u64, _: u64) -> bool {
        true
    }

    fn note(&mut self, target: usize, name: &'static str, value: f64) {
        self.figures.note(target, name, value);
    }

    fn companion(&mut self, _: usize, name: &'static str, values: &[f32]) {
        assert_eq!(name, "standard_error");
        self.error = values.to_vec();
    }
}

/// The covariance of a mask's weights at two places along an axis, per variance of a
/// cell, from the paper's definition: s cells enlarged to (s + 1) * ceil(L / s) pixels,
/// bilinear with half-pixel centres, cut at every shift below ceil(L / s).
fn shared(side: usize, cells: usize, a: usize, b: usize) -> f64 {
    let cell = side.div_ceil(cells);
    let weight = |at: usize, k: usize| {
        let place = (at as f64 + 0.5) * cells as f64 / ((cells + 1) * cell) as f64 - 0.5;
        let place = place.clamp(0.0, (cells - 1) as f64);
        (1.0 - (place - k as f64).abs()).max(0.0)
    };
    let at_shift = |s: usize| -> f64 {
        let each = 0..cells;
        each.map(|k| weight(a + s, k) * weight(b + s, k)).sum()
    };
    (0..cell).map(at_shift).sum::<f64>() / cell as f64
}

fn block_weights() -> Vec<f64> {
    (0..16).map(|i| (f64::from(i) * 1.7).sin()).collect()
}

/// A score that is linear in the means of blocks: each pixel has its block's weight,
/// 4 x 6 pixels a block.
fn linear(x: &[f32], nonlinear: f64) -> f64 {
    let weights = block_weights();
    let each = x.iter().enumerate();
    let sum: f64 = each
        .map(|(p, x)| weights[p / 24 / 4 * 4 + p % 24 / 6] * f64::from(*x) / 24.0)
        .sum();
    0.5 + sum + nonlinear * (40.0 * sum).sin()
}

/// What RISE converges to, less the mean score: Cov(f, M) / E\[M\].
fn expectation() -> Vec<f32> {
    let weights = block_weights();
    let value = |p: usize| -> f64 {
        let each = 0..384;
        let sum = each.map(|q: usize| {
            let weight = weights[q / 24 / 4 * 4 + q % 24 / 6] / 24.0;
            weight * shared(16, 4, p / 24, q / 24) * shared(24, 4, p % 24, q % 24)
        });
        0.6 * sum.sum::<f64>()
    };
    (0..384).map(|p| value(p) as f32).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |(a, b): (&f32, &f32)| f64::from(a - b) * f64::from(a - b);
    (a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64).sqrt()
}

/// A linear score leaves nothing to chance: 100 masks have its closed form but for the
/// ridge, where the centred map is far away.
#[test]
fn a_linear_score_in_closed_form() {
    let x = vec![1.0; 384];
    let expected = expectation();
    let size = distance(&expected, &vec![0.0; 384]);
    let run = |method: &dyn Method| {
        let mut net = Net::new(SHAPE, 1, |x, _| linear(x, 0.0));
        let mut told = Told::default();
        let (found, outcomes) = explain(method, &mut net, &query(&x), &mut told).unwrap();
        assert_eq!(outcomes, [Outcome::Ok]);
        (found[0].clone(), told)
    };
    let (found, told) = run(&adjusted(100, None));
    assert!(
        distance(&found, &expected) < 0.01 * size,
        "{}",
        distance(&found, &expected) / size
    );
    assert!(told.figures.of(0, "r2") > 0.999 && told.figures.of(0, "agreement") > 0.999);
    let rise = adjusted(100, None).rise;
    let (centred, _) = run(&CentredRise {
        rise,
        tolerance: None,
    });
    assert!(distance(&centred, &expected) > 0.1 * size);
    let sequence = Sequence::Even(scrambled_sobol);
    let (even, _) = run(&of(Rise { sequence, ..rise }, None, 1));
    assert!(distance(&even, &expected) < 0.01 * size);
}

/// Over many seeds the error is the one that is told, pixel by pixel, and maps agree
/// with each other as is told.
#[test]
fn error_and_agreement_are_what_is_told() {
    let x = vec![1.0; 384];
    let expected = expectation();
    let mut maps = vec![];
    let (mut squares, mut told_squares, mut told_agreement) = (0.0, 0.0, 0.0);
    for seed in 0..40 {
        let mut net = Net::new(SHAPE, 1, |x, _| {
            // Noise that is a function of the picture.
            let key = x.iter().map(|x| f64::from(*x)).sum::<f64>();
            linear(x, 0.0) + 2.0 * (1e4 * key).sin()
        });
        let mut told = Told::default();
        let query = Query { seed, ..query(&x) };
        let (found, _) = explain(&adjusted(150, None), &mut net, &query, &mut told).unwrap();
        squares += distance(&found[0], &expected).powi(2) / 40.0;
        told_squares += distance(&told.error, &vec![0.0; 384]).powi(2) / 40.0;
        told_agreement += told.figures.of(0, "agreement") / 40.0;
        maps.push(found[0].clone());
    }
    let ratio = (squares / told_squares).sqrt();
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
    let pairs = maps.windows(2).map(|m| correlation(&m[0], &m[1]));
    let agreement = pairs.sum::<f64>() / 39.0;
    assert!((0.3..0.95).contains(&agreement), "{agreement}");
    assert!(
        (agreement - told_agreement).abs() < 0.05,
        "{agreement} {told_agreement}"
    );
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |x: &[f32]| x.iter().map(|x| f64::from(*x)).sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product = |a: &[f32], b: &[f32], [m, n]: [f64; 2]| -> f64 {
        let each = a.iter().zip(b);
        each.map(|(a, b)| (f64::from(*a) - m) * (f64::from(*b) - n))
            .sum()
    };
    product(a, b, [mean_a, mean_b])
        / (product(a, a, [mean_a; 2]) * product(b, b, [mean_b; 2])).sqrt()
}

/// With a tolerance it ends at a whole turn, with the map of so many masks; a class
/// alone has the same map as one of two, in any batch.
#[test]
fn it_stops_where_it_agrees() {
    let x = vec![1.0; 384];
    let run = |masks, tolerance, targets: &[usize], backwards| {
        let mut net = Net::new(SHAPE, 2, |x, k| linear(x, 0.3 * k as f64));
        net.backwards = backwards;
        let query = Query {
            targets,
            ..query(&x)
        };
        let mut told = Figures::default();
        let method = adjusted(masks, tolerance);
        let (maps, outcomes) = explain(&method, &mut net, &query, &mut told).unwrap();
        assert!(outcomes.iter().all(|o| *o == Outcome::Ok));
        (maps, net.passes, told)
    };
    let (maps, passes, told) = run(20_000, Some(0.05), &[1], false);
    assert!(passes < 5000 && passes.is_multiple_of(TURN), "{passes}");
    assert!(told.of(0, "agreement") >= 0.95 && told.of(0, "masks") == passes as f64);
    let (both, ..) = run(passes as u32, None, &[0, 1], true);
    assert_eq!(both[1], maps[0]);
    let (_, quick, _) = run(20_000, Some(0.05), &[0], false);
    assert_eq!(quick, TURN);
}

#[test]
fn stopped_flat_and_few() {
    let x = vec![1.0; 384];
    let mut flat = Net::new(SHAPE, 1, |_, _| 0.7);
    let told = &mut Figures::default();
    let (_, outcomes) = explain(&adjusted(300, Some(0.2)), &mut flat, &query(&x), told).unwrap();
    assert_eq!((outcomes, flat.passes), (vec![Outcome::Flat], TURN));
    let mut net = Net::new(SHAPE, 1, |x, _| linear(x, 0.3));
    for tolerance in [None, Some(1e-6)] {
        let stop = &mut StopAfter(200);
        let method = adjusted(300, tolerance);
        let (_, outcomes) = explain(&method, &mut net, &query(&x), stop).unwrap();
        let [done, total] = [200, 300];
        assert_eq!(outcomes, [Outcome::Partial { done, total }]);
    }
    // One mask has no difference to see; of two or three any answer is finite.
    for masks in 1..4 {
        let (maps, outcomes) = explain(&adjusted(masks, None), &mut net, &query(&x), told).unwrap();
        assert!(maps[0].iter().all(|v| v.is_finite()));
        assert!(masks > 1 || outcomes == [Outcome::Flat]);
    }
    // More cells than pixels of a side: some blocks have none.
    let small = Shape::new(3, 24, 1);
    let x = vec![1.0; 72];
    let mut net = Net::new(small, 1, |x, _| f64::from(x[2]));
    let (maps, outcomes) = explain(
        &adjusted(200, None),
        &mut net,
        &Query {
            picture: tensor(small, &x),
            ..query(&x)
        },
        told,
    )
    .unwrap();
    assert_eq!(outcomes, [Outcome::Ok]);
    assert!(maps[0][2] > maps[0][20] + 0.1);
}

#[test]
fn bad_parameters() {
    let x = vec![1.0; 384];
    let mut net = Net::new(SHAPE, 1, |x, _| linear(x, 0.0));
    let mut error = |method: &AdjustedRise<'_, '_>| {
        let error = explain(method, &mut net, &query(&x), &mut Figures::default());
        error.unwrap_err()
    };
    for tolerance in [0.0, 1.0, f32::NAN] {
        let method = adjusted(9, Some(tolerance));
        assert_eq!(error(&method), Error::BadParameter("tolerance of RISE"));
    }
    let rise = adjusted(9, None).rise;
    let stored = Some(StoredMasks::Floats(&x));
    let method = of(Rise { stored, ..rise }, None, 1);
    assert_eq!(
        error(&method),
        Error::BadParameter("stored masks of adjusted RISE")
    );
    let method = of(Rise { grid: 13, ..rise }, None, 1);
    assert_eq!(
        error(&method),
        Error::BadParameter("cells of adjusted RISE")
    );
    let method = AdjustedRise {
        rise,
        tolerance: None,
        storage: RefCell::new(&mut []),
    };
    let need = AdjustedRise::storage(CELLS, SHAPE, 1);
    assert_eq!(error(&method), Error::BufferTooSmall { need, have: 0 });
}
