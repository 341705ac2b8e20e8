//! Input gradients against central differences of the naive evaluation.

use super::cases::{FAMILIES, case};
use super::naive::evaluate;
use super::{Case, Random};
use crate::Rule;
use crate::net::arch::Isa;
use std::vec::Vec;

/// d(seed . output) / d(input `part`, element `i`) by central differences.
fn slope(case: &Case, part: usize, i: usize, seed: &[f32]) -> f64 {
    const STEP: f64 = 1e-6;
    let moved = |by: f64| -> f64 {
        let mut x: Vec<Vec<f64>> = case
            .inputs
            .iter()
            .map(|x| x.iter().map(|&v| v.into()).collect())
            .collect();
        x[part][i] += by;
        let out = evaluate(case, &x);
        out.iter().zip(seed).map(|(o, &s)| o * f64::from(s)).sum()
    };
    (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
}

#[test]
fn every_gradient_is_the_slope_of_the_definition() {
    let mut random = Random(5);
    for family in 0..FAMILIES {
        for round in 0..60 {
            let case = case(family, &mut random);
            let seed = random.values(case.output.len());
            let part = random.below(case.shapes.len());
            let scratch = round % 2 == 0;
            let found = case.backward(part, Rule::Gradient, &seed, 3.0, Isa::detect(), scratch);
            let scale: f64 = found.iter().fold(1.0_f32, |m, g| m.max(g.abs())).into();
            for _ in 0..6 {
                let i = random.below(found.len());
                let wanted = slope(&case, part, i, &seed);
                let found = f64::from(found[i]) - 3.0;
                let error = (wanted - found).abs() / scale;
                assert!(
                    error < 3e-6,
                    "{found}, not {wanted}, at {part}/{i}: {seed:?} {case:?}"
                );
            }
        }
    }
}
