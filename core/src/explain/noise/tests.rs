#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic

use super::*;
use crate::explain::nets::{Curved, StopAfter, explain, tensor};
use crate::explain::{Method, Silent, SmoothGrad, SquareGrad, VarGrad};
use std::vec;
use std::vec::Vec;

const SHAPE: Shape = Shape::new(2, 3, 1);
const X: [f32; 6] = [-1.0, 1.0, 0.5, 0.25, -0.75, 0.0];

/// f = sum of x^3.
fn cubes() -> Curved<'static> {
    Curved::new(
        SHAPE,
        |x| x.iter().map(|v| v * v * v).sum(),
        |x| x.iter().map(|v| 3.0 * v * v).collect(),
    )
}

#[derive(Default)]
struct Errors(Vec<f32>);

impl Progress for Errors {
    fn step(&mut self, _: u64, _: u64) -> bool {
        true
    }

    fn companion(&mut self, map: usize, name: &'static str, values: &[f32]) {
        assert_eq!((map, name), (0, "standard_error"));
        self.0 = values.to_vec();
    }
}

fn query() -> Query<'static> {
    Query {
        picture: tensor(SHAPE, &X),
        targets: &[0],
        score: None,
        seed: 7,
    }
}

fn run(method: &dyn Method) -> (Vec<f32>, Vec<f32>) {
    let mut errors = Errors::default();
    let (maps, _) = explain(method, &mut cubes(), &query(), &mut errors).unwrap();
    (maps[0].clone(), errors.0)
}

/// E (3 (x+e)^2)^k for e normal: moments of the normal distribution.
fn moment(x: f64, sigma: f64, power: u32) -> f64 {
    let (v, a) = (sigma * sigma, x * x);
    match power {
        1 => 3.0 * (a + v),
        _ => 9.0 * (a * a + 6.0 * a * v + 3.0 * v * v),
    }
}

/// SmoothGrad of x^3 is 3 x^2 + 3 sigma^2; mean square and variance likewise
/// from the moments of the normal distribution. The differences are judged by
/// the standard errors that the methods themselves tell, which must be of the
/// size that theory asks for.
#[test]
fn cubes_have_known_moments() {
    let noise = Noise {
        samples: 4000,
        share: 0.2,
        stored: None,
    };
    let sigma = 0.2 * 2.0;
    let (mean, mean_error) = run(&SmoothGrad { noise });
    let (square, square_error) = run(&SquareGrad { noise });
    let (variance, variance_error) = run(&VarGrad { noise });
    for (i, x) in X.iter().enumerate() {
        let x = f64::from(*x);
        let (first, second) = (moment(x, sigma, 1), moment(x, sigma, 2));
        let spread = second - first * first;
        let cases = [
            (mean[i], mean_error[i], first),
            (square[i], square_error[i], second),
            (variance[i], variance_error[i], spread),
        ];
        for (k, (found, error, exact)) in cases.into_iter().enumerate() {
            let z = (f64::from(found) - exact) / f64::from(error);
            assert!(z.abs() < 4.0, "{k} at {x}: {found} {exact} {error}");
        }
        let theory = (spread / 4000.0).sqrt();
        assert!((f64::from(mean_error[i]) / theory - 1.0).abs() < 0.15);
        let identity = f64::from(variance[i]) + f64::from(mean[i]) * f64::from(mean[i]);
        assert!((identity / f64::from(square[i]) - 1.0).abs() < 1e-3);
    }
}

/// The error of a variance, from four stored samples by the plain formulas.
#[test]
fn stored_noise_by_the_plain_formulas() {
    let stored: Vec<f32> = (0..24)
        .map(|i| ((i * 11) % 17) as f32 / 8.0 - 1.0)
        .collect();
    let noise = Noise {
        stored: Some(&stored),
        ..Noise::default()
    };
    let (mean, mean_error) = run(&SmoothGrad { noise });
    let (square, square_error) = run(&SquareGrad { noise });
    let (variance, variance_error) = run(&VarGrad { noise });
    for i in 0..6 {
        let g: Vec<f64> = (0..4)
            .map(|s| 3.0 * (f64::from(X[i]) + f64::from(stored[s * 6 + i])).powi(2))
            .collect();
        let average = |f: &dyn Fn(f64) -> f64| g.iter().map(|g| f(*g)).sum::<f64>() / 4.0;
        let m = average(&|g| g);
        let var = average(&|g| (g - m).powi(2));
        let q = average(&|g| g * g);
        let fourth = average(&|g| (g - m).powi(4));
        let cases = [
            (mean[i], m),
            (mean_error[i], (var / 3.0).sqrt()),
            (square[i], q),
            (
                square_error[i],
                (average(&|g| (g * g - q).powi(2)) / 3.0).sqrt(),
            ),
            (variance[i], var),
            (
                variance_error[i],
                ((fourth - var * var).max(0.0) / 4.0).sqrt(),
            ),
        ];
        for (k, (found, exact)) in cases.into_iter().enumerate() {
            let error = (f64::from(found) - exact).abs();
            assert!(
                error <= 2e-4 * exact.abs().max(1.0),
                "{k} {i}: {found} {exact}"
            );
        }
    }
}

#[test]
fn seeds_stops_and_bad_numbers() {
    let noise = Noise {
        samples: 10,
        ..Noise::default()
    };
    let method = SmoothGrad { noise };
    let all = run(&method).0;
    assert_eq!(all, run(&method).0);
    let other = Query { seed: 8, ..query() };
    let (maps, _) = explain(&method, &mut cubes(), &other, &mut Silent).unwrap();
    assert_ne!(maps[0], all);
    // A forward and a backward a sample: stopped after four samples.
    let (maps, outcomes) = explain(&method, &mut cubes(), &query(), &mut StopAfter(8)).unwrap();
    assert_eq!(outcomes, [Outcome::Partial { done: 8, total: 20 }]);
    let four = Noise {
        samples: 4,
        ..noise
    };
    assert_eq!(maps[0], run(&SmoothGrad { noise: four }).0);
    let refused = Err(Error::BadParameter("noise"));
    for bad in [
        Noise {
            samples: 0,
            ..noise
        },
        Noise {
            share: -0.1,
            ..noise
        },
        Noise {
            share: f32::NAN,
            ..noise
        },
        Noise {
            stored: Some(&[0.0; 5]),
            ..noise
        },
    ] {
        assert_eq!(SmoothGrad { noise: bad }.cost(&mut cubes(), 1), refused);
    }
    // The gradient of a linear network does not vary.
    let mut linear = Curved::new(SHAPE, |x| x.iter().sum(), |x| vec![1.0; x.len()]);
    let (maps, outcomes) = explain(&VarGrad { noise }, &mut linear, &query(), &mut Silent).unwrap();
    assert_eq!((outcomes[0], maps[0][0]), (Outcome::Flat, 0.0));
}
