//! How far two maps rank the picture alike.

use foveola_core::metric::agreement;
use serde::{Deserialize, Serialize};

/// Agreement of two maps, beyond their bits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Spearman's rank correlation, -1..1; `None` where one of them is
    /// constant, has a NaN, or another size.
    pub spearman: Option<f64>,
    /// Share of the strongest tenth of the first one's elements that are among
    /// the strongest tenth of the second one's, 0..1.
    pub top_tenth: f64,
}

impl Agreement {
    /// Of two maps; `magnitude` says that evidence is what is far from 0.
    pub fn of(host: &[f32], device: &[f32], magnitude: bool) -> Self {
        let strength = |values: &[f32]| match magnitude {
            true => values.iter().map(|v| v.abs()).collect(),
            false => values.to_vec(),
        };
        Self {
            spearman: spearman(host, device),
            top_tenth: top_tenth(&strength(host), &strength(device)),
        }
    }
}

/// What two maps lack to the same ranking: 0 for the same bits, else one minus
/// Spearman's correlation, where there is none 1.
pub fn drift(from: &[f32], to: &[f32]) -> f64 {
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
    match from.len() == to.len() && from.iter().zip(to).all(same) {
        true => 0.0,
        false => 1.0 - spearman(from, to).unwrap_or(0.0),
    }
}

/// Spearman's rank correlation, equal values sharing their mean rank; `None`
/// where one map is constant, has a NaN, or another size.
pub fn spearman(a: &[f32], b: &[f32]) -> Option<f64> {
    let mut scratch = vec![0; 2 * a.len()];
    agreement::spearman(a, b, &mut scratch).ok()?.value()
}

fn top_tenth(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() || a.is_empty() {
        return 0.0;
    }
    let count = a.len().div_ceil(10);
    let common = agreement::common(a, b, count, &mut vec![0; 2 * a.len()]);
    common.map_or(0.0, |common| common as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NumPy's `corrcoef` of the mean ranks.
    #[test]
    fn spearman_with_ties() {
        let a = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        let b = [2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 1.0, 8.0];
        let found = spearman(&a, &b).unwrap();
        assert!((found - 0.198_853_681_209_924_64).abs() < 1e-12, "{found}");
        assert_eq!(spearman(&a, &[1.0; 8]), None);
        assert_eq!(spearman(&a, &b[..7]), None);
        assert_eq!(spearman(&[0.0, f32::NAN], &[1.0, 2.0]), None);
    }

    #[test]
    fn tenths() {
        let a: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let mut b = a.clone();
        b.swap(19, 0);
        let signed = Agreement::of(&a, &b, false);
        assert_eq!(signed.top_tenth, 0.5);
        let negative: Vec<f32> = a.iter().map(|v| -v).collect();
        assert_eq!(Agreement::of(&a, &negative, true).top_tenth, 1.0);
        assert_eq!(Agreement::of(&a, &negative, false).top_tenth, 0.0);
        assert_eq!(Agreement::of(&a, &negative, false).spearman, Some(-1.0));
    }

    #[test]
    fn drifts() {
        assert_eq!(drift(&[1.0, 1.0], &[1.0, 1.0]), 0.0, "flat, and the same");
        assert_eq!(drift(&[1.0, 1.0], &[2.0, 1.0]), 1.0);
        assert_eq!(drift(&[1.0, 2.0], &[5.0, 6.0]), 0.0);
        assert_eq!(drift(&[1.0, 2.0], &[6.0, 5.0]), 2.0);
    }
}
