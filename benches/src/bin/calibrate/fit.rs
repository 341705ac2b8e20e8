//! Prices that explain measurements: least squares of relative errors, no
//! price below 0.

use std::collections::BTreeMap;

use foveola::budget::Counts;

/// One measurement.
pub struct Row {
    pub name: String,
    pub counts: Counts,
    pub instructions: f64,
}

impl Row {
    /// Relative error of what these prices predict.
    pub fn error(&self, prices: &BTreeMap<String, f64>) -> f64 {
        self.counts.at(prices) / self.instructions - 1.0
    }

    /// Whether it is about a plain pass.
    pub fn is_plain(&self) -> bool {
        self.name.ends_with(" classify")
    }

    /// Whether it is about one node.
    pub fn is_lap(&self) -> bool {
        self.name.contains("ward.")
    }
}

/// Keeps apart what measurements cannot, as a share of a column's norm.
const RIDGE: f64 = 1e-9;

/// Instructions that count as an error of their own: what takes less is not
/// what a network takes its time with.
const LITTLE: f64 = 400.0;

/// What a whole question counts as much as: each of its nodes is one more row.
const WHOLE: f64 = 5.0;

/// The prices. Names for which `used` does not hold are free; what `known`
/// names has that price (or none, if it has none).
pub fn fit(
    rows: &[&Row],
    known: &BTreeMap<String, Option<f64>>,
    used: impl Fn(&str) -> bool,
) -> BTreeMap<String, f64> {
    let mut index = BTreeMap::new();
    for (name, _) in rows.iter().flat_map(|row| row.counts.iter()) {
        if used(name) && !known.contains_key(name) {
            let next = index.len();
            index.entry(name.to_owned()).or_insert(next);
        }
    }
    let prices = known
        .iter()
        .filter_map(|(name, p)| Some((name.clone(), (*p)?)));
    let prices: BTreeMap<String, f64> = prices.collect();
    let little = if known.is_empty() { 0.0 } else { LITTLE };
    let weight = |row: &Row| match row.is_lap() || known.is_empty() {
        true => 1.0 / (row.instructions + little),
        false => WHOLE / row.instructions,
    };
    let weights: Vec<f64> = rows.iter().map(|row| weight(row)).collect();
    let n = index.len();
    let mut columns = vec![vec![0.0; rows.len()]; n];
    for (i, row) in rows.iter().enumerate() {
        for (name, count) in row.counts.iter() {
            if let Some(&j) = index.get(name) {
                columns[j][i] = count * weights[i];
            }
        }
    }
    let norms: Vec<f64> = columns.iter().map(|c| dot(c, c).sqrt()).collect();
    for (column, norm) in columns.iter_mut().zip(&norms) {
        column.iter_mut().for_each(|v| *v /= norm);
    }
    let rest = rows
        .iter()
        .map(|row| row.instructions - row.counts.at(&prices));
    let rest: Vec<f64> = rest
        .zip(&weights)
        .map(|(rest, weight)| rest * weight)
        .collect();
    let right: Vec<f64> = columns.iter().map(|c| dot(c, &rest)).collect();
    let gram: Vec<Vec<f64>> = columns
        .iter()
        .enumerate()
        .map(|(i, a)| {
            let row = columns.iter().enumerate();
            row.map(|(j, b)| dot(a, b) + if i == j { RIDGE } else { 0.0 })
                .collect()
        })
        .collect();
    let solution = non_negative(&gram, &right);
    let priced = index
        .into_iter()
        .map(|(name, j)| (name, solution[j] / norms[j]));
    priced.filter(|(_, price)| *price > 0.0).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `gram x = right` with no `x` below 0, by block principal pivoting (Kim and
/// Park 2011, SIAM J. Sci. Comput. 33, algorithm 1).
fn non_negative(gram: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let n = right.len();
    let mut passive = vec![true; n];
    let (mut best, mut patience) = (n + 1, 3);
    for _ in 0..100 {
        let x = solve(gram, right, &passive);
        let gradient = |i: usize| dot(&gram[i], &x) - right[i];
        let wrong: Vec<usize> = (0..n)
            .filter(|&i| {
                if passive[i] {
                    x[i] < 0.0
                } else {
                    gradient(i) < -1e-9
                }
            })
            .collect();
        if wrong.is_empty() {
            return x;
        }
        if wrong.len() < best {
            (best, patience) = (wrong.len(), 3);
        } else if patience > 0 {
            patience -= 1;
        }
        let flipped: &[usize] = match patience {
            0 => &wrong[wrong.len() - 1..],
            _ => &wrong,
        };
        flipped.iter().for_each(|&i| passive[i] = !passive[i]);
    }
    let x = solve(gram, right, &passive);
    descend(gram, right, x.into_iter().map(|v| v.max(0.0)).collect())
}

/// From `x` down to where no unknown by itself leads further down: where
/// columns are so alike that pivoting goes round in circles.
fn descend(gram: &[Vec<f64>], right: &[f64], mut x: Vec<f64>) -> Vec<f64> {
    let mut slope: Vec<f64> = gram
        .iter()
        .zip(right)
        .map(|(row, r)| dot(row, &x) - r)
        .collect();
    for _ in 0..4_000 {
        let mut most = 0.0_f64;
        for i in 0..x.len() {
            let to = (x[i] - slope[i] / gram[i][i]).max(0.0);
            let step = to - x[i];
            if step != 0.0 {
                x[i] = to;
                slope
                    .iter_mut()
                    .zip(&gram[i])
                    .for_each(|(s, g)| *s += g * step);
                most = most.max(step.abs());
            }
        }
        if most < 1e-9 {
            break;
        }
    }
    x
}

/// Cholesky on the passive unknowns; the others are 0.
fn solve(gram: &[Vec<f64>], right: &[f64], passive: &[bool]) -> Vec<f64> {
    let places: Vec<usize> = (0..right.len()).filter(|&i| passive[i]).collect();
    let n = places.len();
    let mut l = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let rest = gram[places[i]][places[j]] - dot(&l[i][..j], &l[j][..j]);
            l[i][j] = if i == j {
                rest.max(1e-14).sqrt()
            } else {
                rest / l[j][j]
            };
        }
    }
    let mut y = vec![0.0; n];
    for i in 0..n {
        y[i] = (right[places[i]] - dot(&l[i][..i], &y[..i])) / l[i][i];
    }
    let mut x = vec![0.0; right.len()];
    for i in (0..n).rev() {
        let later: f64 = (i + 1..n).map(|k| l[k][i] * x[places[k]]).sum();
        x[places[i]] = (y[i] - later) / l[i][i];
    }
    x
}
