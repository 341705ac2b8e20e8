//! How alike two maps are.

/// Spearman's rank correlation, equal values sharing their mean rank; `None`
/// where one map has the same value everywhere, or the lengths differ.
///
/// Source: C. Spearman, "The Proof and Measurement of Association between Two
/// Things", American Journal of Psychology 15, 1904.
pub fn spearman(a: &[f32], b: &[f32]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    (spread > 0.0).then(|| product(&a, &b) / spread)
}

/// The share of `a`'s strongest tenth of pixels that is among `b`'s too. Pixels
/// with a map's least value are never among its strongest, so the smaller of
/// both sets is what counts; `None` if one is empty.
pub fn top_tenth_overlap(a: &[f32], b: &[f32]) -> Option<f64> {
    let (a, b) = (top_tenth(a), top_tenth(b));
    let common = a.iter().filter(|i| b.binary_search(i).is_ok()).count();
    let all = a.len().max(b.len());
    (!a.is_empty() && !b.is_empty()).then(|| common as f64 / all as f64)
}

fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let rank = first as f64 + (equal.len() as f64 - 1.0) / 2.0;
        for &i in equal {
            ranks[i] = rank;
        }
        first += equal.len();
    }
    ranks
}

/// Indices of the strongest tenth, ascending.
fn top_tenth(values: &[f32]) -> Vec<usize> {
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let mut order: Vec<usize> = (0..values.len()).filter(|&i| values[i] > least).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]).then(i.cmp(&j)));
    order.truncate(values.len().div_ceil(10));
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_correlation_is_spearmans() {
        // By hand: rho = 1 - 6 * sum d^2 / (n (n^2 - 1)), here sum d^2 = 8, n = 5.
        let rho = spearman(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 1.0, 40.0, 50.0, 30.0]);
        assert!((rho.expect("spread") - (1.0 - 6.0 * 8.0 / 120.0)).abs() < 1e-12);
        // scipy.stats.spearmanr([1, 2, 2, 3], [1, 3, 2, 3]) = 0.833333.
        let rho = spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 3.0, 2.0, 3.0]);
        assert!((rho.expect("spread") - 0.833_333_333).abs() < 1e-8);
        let down = spearman(&[1.0, 5.0, 9.0], &[3.0, 0.0, -8.0]);
        assert!((down.expect("spread") + 1.0).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 2.0], &[3.0, 3.0]), None);
    }

    #[test]
    fn overlap_counts_common_pixels() {
        let up: Vec<f32> = (0..100_u8).map(f32::from).collect();
        let mut other = up.clone();
        other.swap(99, 0);
        other.swap(98, 1);
        assert_eq!(top_tenth_overlap(&up, &up), Some(1.0));
        assert_eq!(top_tenth_overlap(&up, &other), Some(0.8));
        let down: Vec<f32> = up.iter().map(|v| -v).collect();
        assert_eq!(top_tenth_overlap(&up, &down), Some(0.0));
        assert_eq!(top_tenth_overlap(&up, &[1.0; 100]), None);
    }
}
