//! How sure a mean is.

use super::order::sort;
use crate::rng::{below, philox4x32_10};

/// Samples that are drawn.
pub const RESAMPLES: usize = 2000;

/// Sets the random numbers apart from others of the same seed: `BOOT` in ASCII.
const BOOT: u32 = 0x424F_4F54;

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether 0 lies outside: a difference that is hardly chance.
    #[must_use]
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// Percentile bootstrap of the mean (B. Efron, Annals of Statistics 7, 1979):
/// of [`RESAMPLES`] samples of the same size drawn with replacement, the middle
/// 95 %. `None` with fewer than two values, or one that is not finite.
/// `scratch` holds the means of the samples.
#[must_use]
pub fn of_mean(values: &[f64], seed: u64, scratch: &mut [f64; RESAMPLES]) -> Option<Interval> {
    interval(values.len(), &|i| values.get(i).copied(), seed, scratch)
}

/// As [`of_mean`], of the differences `a - b` of two methods on the same
/// pictures: value i of both belongs to picture i. `None` also for different
/// numbers of values.
#[must_use]
pub fn of_difference(
    a: &[f64],
    b: &[f64],
    seed: u64,
    scratch: &mut [f64; RESAMPLES],
) -> Option<Interval> {
    if a.len() != b.len() {
        return None;
    }
    let difference = |i| Some(a.get(i)? - b.get(i)?);
    interval(a.len(), &difference, seed, scratch)
}

fn interval(
    n: usize,
    value: &dyn Fn(usize) -> Option<f64>,
    seed: u64,
    means: &mut [f64; RESAMPLES],
) -> Option<Interval> {
    let mut sum = 0.0;
    for i in 0..n {
        sum += value(i).filter(|v| v.is_finite())?;
    }
    let count = u32::try_from(n).ok().filter(|&n| n > 1)?;
    for (resample, mean) in (0..).zip(means.iter_mut()) {
        *mean = resampled(count, value, seed, resample)?;
    }
    sort(means, &|a, b| a < b);
    let at = |share: f64| means.get(libm::round(share * (RESAMPLES - 1) as f64) as usize);
    Some(Interval {
        mean: sum / n as f64,
        low: *at(0.025)?,
        high: *at(0.975)?,
    })
}

/// Mean of as many values, drawn with replacement.
fn resampled(
    n: u32,
    value: &dyn Fn(usize) -> Option<f64>,
    seed: u64,
    resample: u32,
) -> Option<f64> {
    let key = [seed as u32 ^ BOOT, (seed >> 32) as u32];
    let mut sum = 0.0;
    for block in 0..n.div_ceil(4) {
        let words = philox4x32_10([resample, block, 0, 0], key);
        for word in words.into_iter().take((n - 4 * block) as usize) {
            sum += value(below(word, n) as usize)?;
        }
    }
    Some(sum / f64::from(n))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use std::vec::Vec;

    /// SciPy 1.17.1: `bootstrap((v,), numpy.mean, n_resamples=200000,
    /// method='percentile')` gives the ends that 2000 samples estimate.
    #[test]
    fn ends_are_scipys() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(i * i % 61) / 10.0).collect();
        let found = of_mean(&values, 7, &mut [0.0; RESAMPLES]).unwrap();
        assert!((found.mean - 3.0483333333333333).abs() < 1e-12);
        assert!((found.low - 2.578).abs() < 0.04, "{found:?}");
        assert!((found.high - 3.518).abs() < 0.04, "{found:?}");
    }

    /// Noise that both share cancels: the interval of the differences is
    /// narrow where those of the means are wide.
    #[test]
    fn pairs_are_drawn_together() {
        let a: Vec<f64> = (0..50).map(|i| f64::from(i * 37 % 50)).collect();
        let b: Vec<f64> = a.iter().map(|v| v - 0.25).collect();
        let scratch = &mut [0.0; RESAMPLES];
        let found = of_difference(&a, &b, 0, scratch).unwrap();
        let ends = [found.mean, found.low, found.high];
        assert_eq!(ends, [0.25; 3]);
        assert!(found.excludes_zero());
        assert!(!of_difference(&a, &a, 0, scratch).unwrap().excludes_zero());
    }

    #[test]
    fn too_little_gives_none() {
        let scratch = &mut [0.0; RESAMPLES];
        assert_eq!(of_mean(&[], 0, scratch), None);
        assert_eq!(of_mean(&[1.0], 0, scratch), None);
        assert_eq!(of_mean(&[1.0, f64::NAN], 0, scratch), None);
        assert_eq!(of_difference(&[1.0, 2.0], &[1.0], 0, scratch), None);
        let same = of_mean(&[2.0, 2.0], 0, scratch).unwrap();
        assert_eq!([same.mean, same.low, same.high], [2.0; 3]);
    }
}
