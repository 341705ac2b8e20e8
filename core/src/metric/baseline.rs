//! Evidence that knows nothing of the picture, to stand beside every score: a
//! method that is not better than these has not explained anything.

use crate::rng::{Purpose, unit, words};

/// Standard deviation of [`centre`] as a share of each side.
const SPREAD: f64 = 0.25;

/// Random evidence: uniform in 0..1 (1 excluded), pixel by pixel. Maps of
/// different `sample` are independent.
pub fn random(seed: u64, sample: u32, evidence: &mut [f32]) {
    for (block, weights) in (0..).zip(evidence.chunks_mut(4)) {
        let words = words(seed, sample, 0, block, Purpose::RandomMap);
        for (weight, word) in weights.iter_mut().zip(words) {
            *weight = unit(word);
        }
    }
}

/// Evidence in the middle of `rows` by `columns` pixels: a Gaussian whose
/// standard deviation is a quarter of each side, 1 at the centre.
pub fn centre([rows, columns]: [usize; 2], evidence: &mut [f32]) {
    let squared = |at: usize, side: usize| {
        let from_centre = (at as f64 + 0.5) / side as f64 - 0.5;
        from_centre * from_centre
    };
    let pixels = evidence.chunks_exact_mut(columns.max(1)).take(rows);
    for (y, row) in pixels.enumerate() {
        for (x, weight) in row.iter_mut().enumerate() {
            let distance = squared(y, rows) + squared(x, columns);
            *weight = libm::exp(-distance / (2.0 * SPREAD * SPREAD)) as f32;
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // tests may panic
mod tests {
    use super::*;

    /// Mean and variance of the uniform distribution, 1/2 and 1/12.
    #[test]
    fn random_is_uniform() {
        let mut map = [0.0; 4001];
        random(5, 0, &mut map);
        let mean = map.iter().sum::<f32>() / 4001.0;
        let variance = map.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / 4001.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.005, "{variance}");
        let mut other = [0.0; 4001];
        random(5, 1, &mut other);
        assert_ne!(map, other);
        random(5, 0, &mut other[..10]);
        assert_eq!(map[..10], other[..10]);
    }

    /// exp(-8 d^2) for d in shares of a side, by NumPy: centres of 3 columns
    /// lie at 0 and 1/3 from the middle, of 2 rows at 1/4.
    #[test]
    fn centre_is_a_gaussian() {
        let mut map = [9.0; 6];
        centre([2, 3], &mut map);
        let row = [0.249_352_2, 0.606_530_7, 0.249_352_2];
        for (found, expected) in map.iter().zip(row.iter().chain(&row)) {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
    }
}
