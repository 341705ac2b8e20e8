//! How far two maps rank the picture alike.

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

/// Spearman's rank correlation, equal values sharing their mean rank.
pub fn spearman(a: &[f32], b: &[f32]) -> Option<f64> {
    let nan = |values: &[f32]| values.iter().any(|v| v.is_nan());
    if a.len() != b.len() || nan(a) || nan(b) {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let sum = |x: &[f64], y: &[f64]| -> f64 {
        let products = x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle));
        products.sum()
    };
    let spread = (sum(&a, &a) * sum(&b, &b)).sqrt();
    (spread > 0.0).then(|| sum(&a, &b) / spread)
}

/// Ranks from 0; values that are equal (0 and -0 as well) share theirs.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let mean = first as f64 + (group.len() as f64 - 1.0) / 2.0;
        group.iter().for_each(|&i| ranks[i] = mean);
        first += group.len();
    }
    ranks
}

fn top_tenth(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() || a.is_empty() {
        return 0.0;
    }
    let (a, b) = (strongest(a), strongest(b));
    let both = a.iter().filter(|i| b.binary_search(i).is_ok()).count();
    both as f64 / a.len() as f64
}

/// Places of the strongest tenth, the first ones among equals, in order.
fn strongest(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    order.truncate(values.len().div_ceil(10));
    order.sort_unstable();
    order
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
