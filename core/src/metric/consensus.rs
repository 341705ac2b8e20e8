//! What several methods agree on, and where they do not.

use super::agreement::{EMPTY, FLAT, NOT_FINITE, OTHER_SIZE, is_flat};
use super::order::each_rank;
use super::pass::enough;
use crate::error::Error;

/// Writes for each element the mean of its ranks in all maps, 0 for the
/// weakest and 1 for the strongest, equal values sharing their mean rank, into
/// `mean`, and the ranks' standard deviation into `deviation`: 0 where all maps
/// agree. The inner error says why there is none. `scratch` holds one word an
/// element.
///
/// # Errors
/// [`Error::BufferTooSmall`] for the other buffers.
pub fn consensus(
    maps: &[&[f32]],
    mean: &mut [f32],
    deviation: &mut [f32],
    scratch: &mut [u32],
) -> Result<Result<(), &'static str>, Error> {
    let n = maps.first().map_or(0, |map| map.len());
    if let Some(reason) = maps.iter().find_map(|map| unranked(map, n)) {
        return Ok(Err(reason));
    }
    if n == 0 {
        return Ok(Err(EMPTY));
    }
    for have in [mean.len(), deviation.len(), scratch.len()] {
        enough(n, have)?;
    }
    mean.fill(0.0);
    deviation.fill(0.0);
    for (count, map) in (1_u16..).zip(maps) {
        each_rank(map, scratch, |group, doubled| {
            let rank = f64::from(doubled) / (2 * (n - 1)) as f64;
            for &place in group {
                let place = place as usize;
                if let (Some(mean), Some(squares)) = (mean.get_mut(place), deviation.get_mut(place))
                {
                    add(rank, f64::from(count), mean, squares);
                }
            }
        })?;
    }
    for squares in deviation.iter_mut().take(n) {
        *squares = libm::sqrtf(*squares / maps.len() as f32);
    }
    Ok(Ok(()))
}

/// Welford's step (Technometrics 4, 1962): mean and sum of squared deviations
/// with one more value.
fn add(value: f64, count: f64, mean: &mut f32, squares: &mut f32) {
    let before = value - f64::from(*mean);
    let next = f64::from(*mean) + before / count;
    *squares = (f64::from(*squares) + before * (value - next)) as f32;
    *mean = next as f32;
}

/// Why a map has no ranks, if so.
fn unranked(map: &[f32], n: usize) -> Option<&'static str> {
    if map.len() != n {
        Some(OTHER_SIZE)
    } else if map.iter().any(|v| v.is_nan()) {
        Some(NOT_FINITE)
    } else if n > 0 && is_flat(map) {
        Some(FLAT)
    } else {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests may panic
mod tests {
    use super::*;
    use std::vec::Vec;

    /// NumPy: mean and standard deviation of `(scipy.stats.rankdata(m) - 1) / 119`.
    #[test]
    fn mean_and_deviation_of_ranks() {
        let a: Vec<f32> = (0..120)
            .map(|i| ((i * 37 + 11) % 101) as f32 / 4.0)
            .collect();
        let b: Vec<f32> = (0..120)
            .map(|i| ((i * 53 + 29) % 97) as f32 / 8.0)
            .collect();
        let c: Vec<f32> = a.iter().zip(&b).map(|(a, b)| 3.0 * a + b).collect();
        let (mut mean, mut deviation) = ([9.0; 120], [9.0; 120]);
        let found = consensus(&[&a, &b, &c], &mut mean, &mut deviation, &mut [0; 120]);
        assert_eq!(found, Ok(Ok(())));
        let means = [0.162_464_99, 0.616_246_5, 0.689_075_63, 0.467_787_11];
        let deviations = [0.096_445_63, 0.168_428_65, 0.205_180_88, 0.338_234_57];
        for i in 0..4 {
            assert!((mean[i] - means[i]).abs() < 1e-6);
            assert!((deviation[i] - deviations[i]).abs() < 1e-6);
        }
    }

    #[test]
    fn what_has_no_ranks_says_why() {
        let (mut mean, mut deviation) = ([0.0; 2], [0.0; 2]);
        let mut of =
            |maps: &[&[f32]]| consensus(maps, &mut mean, &mut deviation, &mut [0; 2]).unwrap();
        assert_eq!(of(&[]), Err(EMPTY));
        assert_eq!(of(&[&[], &[]]), Err(EMPTY));
        assert_eq!(of(&[&[1.0, 2.0], &[1.0]]), Err(OTHER_SIZE));
        assert_eq!(of(&[&[1.0, 2.0], &[1.0, f32::NAN]]), Err(NOT_FINITE));
        assert_eq!(of(&[&[1.0, 2.0], &[3.0, 3.0]]), Err(FLAT));
        let short = consensus(&[&[1.0, 2.0, 3.0]], &mut mean, &mut deviation, &mut [0; 3]);
        assert_eq!(short, Err(Error::BufferTooSmall { need: 3, have: 2 }));
    }
}
