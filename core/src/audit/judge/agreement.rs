//! How much a map agrees with a stored one.

use super::Enlarged;
use crate::audit::policy::layout::MAX_CELLS;
use crate::audit::policy::{Agreement, Measure};

/// The agreement, or `None` where the map is the same everywhere.
///
/// Spearman's correlation of the cells, equal values sharing their mean rank
/// (C. Spearman, American Journal of Psychology 15, 1904); ranks are doubled
/// and so whole numbers, whose sums are exact. Or the share of the strongest
/// tenth of cells (rounded up, the first among equals) that both maps have.
pub fn of(wanted: &Agreement<'_>, map: &Enlarged<'_>) -> Option<f32> {
    let mut cells = [0.0; MAX_CELLS];
    let mut stored = [0.0; MAX_CELLS];
    let [rows, columns] = wanted.grid;
    let cells = cells.get_mut(..rows * columns)?;
    let stored = stored.get_mut(..rows * columns)?;
    reduce(map, wanted.grid, cells);
    for (to, from) in stored.iter_mut().zip(wanted.cells()) {
        *to = from;
    }
    match wanted.measure {
        Measure::Spearman => spearman(cells, stored),
        Measure::TopTenth => top_tenth(cells, stored),
    }
}

/// Which of `cells` cells number `at` of `side` lies in.
fn cell(at: usize, side: usize, cells: usize) -> usize {
    (at * cells).checked_div(side).unwrap_or(0)
}

/// The mean of each cell.
pub fn reduce(map: &Enlarged<'_>, [rows, columns]: [usize; 2], cells: &mut [f32]) {
    let (h, w) = (map.input.h, map.input.w);
    for y in 0..h {
        let first = cell(y, h, rows) * columns;
        map.weights(y, &mut |x, weight| {
            if let Some(sum) = cells.get_mut(first + cell(x, w, columns)) {
                *sum += weight;
            }
        });
    }
    let count = |index: usize, side: usize, cells: usize| {
        (0..side)
            .filter(|&at| cell(at, side, cells) == index)
            .count()
    };
    for (row, cells) in cells.chunks_exact_mut(columns.max(1)).enumerate() {
        let high = count(row, h, rows);
        for (column, sum) in cells.iter_mut().enumerate() {
            let area = high * count(column, w, columns);
            if area > 0 {
                *sum /= area as f32;
            }
        }
    }
}

/// Twice the rank of a value, from 0, less the mean of that.
fn rank(values: &[f32], value: f32) -> i64 {
    let below = values.iter().filter(|other| **other < value).count();
    let equal = values.iter().filter(|other| **other == value).count();
    (2 * below + equal) as i64 - values.len() as i64
}

fn spearman(a: &[f32], b: &[f32]) -> Option<f32> {
    let (mut both, mut first, mut second) = (0_i64, 0_i64, 0_i64);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (rank(a, *x), rank(b, *y));
        both += x * y;
        first += x * x;
        second += y * y;
    }
    if first == 0 || second == 0 {
        return None;
    }
    let spread = libm::sqrt(first as f64) * libm::sqrt(second as f64);
    Some((both as f64 / spread) as f32)
}

/// Whether cell `index` is among the strongest tenth.
fn is_strong(values: &[f32], index: usize, value: f32) -> bool {
    let before = |(i, other): (usize, &f32)| *other > value || (*other == value && i < index);
    let stronger = values.iter().enumerate().filter(|&pair| before(pair));
    stronger.count() < values.len().div_ceil(10)
}

fn top_tenth(a: &[f32], b: &[f32]) -> Option<f32> {
    let first = a.first()?;
    if a.iter().all(|value| value == first) {
        return None;
    }
    let pairs = a.iter().zip(b).enumerate();
    let common = pairs.filter(|&(i, (x, y))| is_strong(a, i, *x) && is_strong(b, i, *y));
    Some(common.count() as f32 / a.len().div_ceil(10).max(1) as f32)
}
