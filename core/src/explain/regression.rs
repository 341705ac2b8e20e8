//! Weighted least squares of several targets on one indicator a segment, in f64.
//!
//! Only sums are kept, so memory does not grow with the number of samples:
//! G = sum w z z', sum w z, sum w, and sum w z y, sum w y, sum w y^2 of each
//! target. LIME solves (G - W m m' + alpha I) b = sum w z (y - mean y) with m the
//! mean of z (a ridge whose intercept is free); Kernel SHAP solves G b = c under
//! sum b = f(1) - f(0). One Cholesky factor of G serves all targets.

use super::pass::front;
use crate::error::Error;

/// A pivot below this share of its diagonal element is rounding.
const SINGULAR: f64 = 1e-11;

/// Why there is no solution.
pub(super) const NO_SOLUTION: &str = "too few different masks to tell the segments apart";

/// Sums over samples.
pub(super) struct Sums<'s> {
    segments: usize,
    /// Lower triangle, row by row.
    gram: &'s mut [f64],
    factor: &'s mut [f64],
    z: &'s mut [f64],
    /// Target by target: sum w z y of each segment, then sum w y and sum w y^2.
    y: &'s mut [f64],
    solution: &'s mut [f64],
    other: &'s mut [f64],
    weight: f64,
}

/// How well a linear model fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    pub(super) intercept: f64,
    /// Weighted share of the variance that the model explains; 0 without any variance.
    pub(super) r2: f64,
}

const fn triangle(n: usize) -> usize {
    n * (n + 1) / 2
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Row `i` of a lower triangle, up to but without the diagonal.
fn row(l: &[f64], i: usize) -> &[f64] {
    l.get(triangle(i)..triangle(i) + i).unwrap_or_default()
}

fn at(l: &[f64], i: usize, j: usize) -> f64 {
    l.get(triangle(i) + j).copied().unwrap_or(0.0)
}

fn put(l: &mut [f64], i: usize, j: usize, value: f64) {
    if let Some(element) = l.get_mut(triangle(i) + j) {
        *element = value;
    }
}

/// Replaces the lower triangle of a symmetric matrix by its Cholesky factor;
/// `false` if it is not positive definite.
pub(super) fn cholesky(a: &mut [f64], n: usize) -> bool {
    for i in 0..n {
        for j in 0..i {
            let (left, right) = (row(a, i), row(a, j));
            let sum = at(a, i, j) - dot(left.get(..j).unwrap_or_default(), right);
            let pivot = at(a, j, j);
            put(a, i, j, if pivot > 0.0 { sum / pivot } else { 0.0 });
        }
        let diagonal = at(a, i, i);
        let pivot = diagonal - dot(row(a, i), row(a, i));
        let definite = pivot > SINGULAR * diagonal;
        if !definite {
            return false;
        }
        put(a, i, i, libm::sqrt(pivot));
    }
    true
}

/// Solves L L' x = b in place.
pub(super) fn substitute(l: &[f64], x: &mut [f64]) {
    for i in 0..x.len() {
        let sum = dot(row(l, i), x.get(..i).unwrap_or_default());
        if let Some(value) = x.get_mut(i) {
            *value = (*value - sum) / at(l, i, i);
        }
    }
    for i in (0..x.len()).rev() {
        let Some((before, [value, ..])) = x.split_at_mut_checked(i) else {
            continue;
        };
        *value /= at(l, i, i);
        for (earlier, factor) in before.iter_mut().zip(row(l, i)) {
            *earlier -= factor * *value;
        }
    }
}

impl<'s> Sums<'s> {
    /// Numbers of storage.
    pub(super) const fn storage(segments: usize, targets: usize) -> usize {
        2 * triangle(segments) + 3 * segments + targets * (segments + 2)
    }

    pub(super) fn new(
        segments: usize,
        targets: usize,
        storage: &'s mut [f64],
    ) -> Result<Self, Error> {
        let have = storage.len();
        let need = Self::storage(segments, targets);
        let storage = storage
            .get_mut(..need)
            .ok_or(Error::BufferTooSmall { need, have })?;
        storage.fill(0.0);
        let split =
            |from: &'s mut [f64], n: usize| from.split_at_mut_checked(n).ok_or(Error::Internal);
        let (gram, rest) = split(storage, triangle(segments))?;
        let (factor, rest) = split(rest, triangle(segments))?;
        let (z, rest) = split(rest, segments)?;
        let (solution, rest) = split(rest, segments)?;
        let (other, y) = split(rest, segments)?;
        Ok(Self {
            segments,
            gram,
            factor,
            z,
            y,
            solution,
            other,
            weight: 0.0,
        })
    }

    /// Takes one sample: the weights of the segments, its own weight, the score
    /// of each target less `shift` of it.
    pub(super) fn add(
        &mut self,
        row: &[f32],
        weight: f64,
        scores: impl Iterator<Item = Result<f64, Error>>,
    ) -> Result<(), Error> {
        for (i, a) in row.iter().enumerate().filter(|(_, a)| **a != 0.0) {
            let scaled = weight * f64::from(*a);
            let begin = triangle(i);
            let elements = self.gram.get_mut(begin..=begin + i).unwrap_or_default();
            for (sum, b) in elements.iter_mut().zip(row) {
                *sum += scaled * f64::from(*b);
            }
        }
        for (sum, a) in self.z.iter_mut().zip(row) {
            *sum += weight * f64::from(*a);
        }
        self.weight += weight;
        let each = self.y.chunks_exact_mut((self.segments + 2).max(1));
        for (sums, score) in each.zip(scores) {
            let y = score?;
            let (zy, rest) = sums
                .split_at_mut_checked(self.segments)
                .ok_or(Error::Internal)?;
            for (sum, a) in zy.iter_mut().zip(row) {
                *sum += weight * y * f64::from(*a);
            }
            if let [sum, squares] = rest {
                *sum += weight * y;
                *squares += weight * y * y;
            }
        }
        Ok(())
    }

    /// sum w z y, sum w y and sum w y^2 of a target.
    fn of(&self, target: usize) -> (&[f64], f64, f64) {
        let begin = target * (self.segments + 2);
        let sums = self.y.get(begin..begin + self.segments + 2);
        match sums.and_then(|s| s.split_last_chunk::<2>()) {
            Some((zy, [sum, squares])) => (zy, *sum, *squares),
            None => (&[], 0.0, 0.0),
        }
    }

    /// Factors the centred G + alpha I of the ridge.
    pub(super) fn factor_ridge(&mut self, alpha: f64) -> bool {
        if self.weight <= 0.0 {
            return false;
        }
        for i in 0..self.segments {
            let zi = self.z.get(i).copied().unwrap_or(0.0);
            for j in 0..=i {
                let zj = self.z.get(j).copied().unwrap_or(0.0);
                let ridge = if i == j { alpha } else { 0.0 };
                let centred = at(self.gram, i, j) - zi * zj / self.weight;
                put(self.factor, i, j, centred + ridge);
            }
        }
        cholesky(self.factor, self.segments)
    }

    /// Mean of the diagonal of the centred G, which a ridge's alpha is a share of.
    pub(super) fn diagonal(&self) -> f64 {
        let each = self.z.iter().enumerate();
        let sum: f64 = each
            .map(|(i, z)| at(self.gram, i, i) - z * z / self.weight)
            .sum();
        sum / self.segments.max(1) as f64
    }

    /// Inverse of what [`Sums::factor_ridge`] has factored, row by row; its trace.
    pub(super) fn inverse(&self, out: &mut [f64]) -> f64 {
        let mut trace = 0.0;
        for (i, row) in out.chunks_exact_mut(self.segments.max(1)).enumerate() {
            row.fill(0.0);
            if let Some(one) = row.get_mut(i) {
                *one = 1.0;
            }
            substitute(self.factor, row);
            trace += row.get(i).copied().unwrap_or(0.0);
        }
        trace
    }

    /// sum w (y - mean y)^2 of a target.
    pub(super) fn variation(&self, target: usize) -> f64 {
        let (_, sum, squares) = self.of(target);
        squares - sum * sum / self.weight
    }

    /// Coefficients of a target after [`Sums::factor_ridge`], and how they fit.
    pub(super) fn ridge(&mut self, target: usize) -> Result<(&[f64], Fit), Error> {
        let mut solution = core::mem::take(&mut self.solution);
        let (zy, sum, squares) = self.of(target);
        let mean = sum / self.weight;
        for ((out, zy), z) in solution.iter_mut().zip(zy).zip(self.z.iter()) {
            *out = zy - z * mean;
        }
        substitute(self.factor, solution);
        let intercept = mean - dot(solution, self.z) / self.weight;
        let error = self.error((zy, sum, squares), solution, intercept);
        let r2 = explained(error, squares - sum * mean);
        core::mem::swap(&mut self.solution, &mut solution);
        Ok((self.solution, Fit { intercept, r2 }))
    }

    /// Factors G.
    pub(super) fn factor(&mut self) -> bool {
        let (to, from) = (&mut *self.factor, &*self.gram);
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
        cholesky(self.factor, self.segments)
    }

    /// Coefficients of a target that sum to `total`, without intercept, after
    /// [`Sums::factor`], and how they fit.
    pub(super) fn constrained(
        &mut self,
        target: usize,
        total: f64,
    ) -> Result<(&[f64], Fit), Error> {
        let mut solution = core::mem::take(&mut self.solution);
        let mut other = core::mem::take(&mut self.other);
        let (zy, sum, squares) = self.of(target);
        for ((out, other), zy) in solution.iter_mut().zip(other.iter_mut()).zip(zy) {
            (*out, *other) = (*zy, 1.0);
        }
        substitute(self.factor, solution);
        substitute(self.factor, other);
        let (have, slope): (f64, f64) = (solution.iter().sum(), other.iter().sum());
        let multiplier = if slope > 0.0 {
            (total - have) / slope
        } else {
            0.0
        };
        for (out, other) in solution.iter_mut().zip(other.iter()) {
            *out += multiplier * other;
        }
        let error = self.error((zy, sum, squares), solution, 0.0);
        let r2 = explained(error, squares - sum * sum / self.weight);
        core::mem::swap(&mut self.solution, &mut solution);
        core::mem::swap(&mut self.other, &mut other);
        let fit = Fit { intercept: 0.0, r2 };
        Ok((self.solution, fit))
    }

    /// sum w (y - intercept - b z)^2.
    fn error(&self, (zy, sum, squares): (&[f64], f64, f64), b: &[f64], intercept: f64) -> f64 {
        let mut quadratic = 0.0;
        for (i, bi) in b.iter().enumerate() {
            quadratic += bi * (bi * at(self.gram, i, i) + 2.0 * dot(row(self.gram, i), b));
        }
        squares - 2.0 * dot(b, zy) - 2.0 * intercept * sum
            + quadratic
            + 2.0 * intercept * dot(b, self.z)
            + intercept * intercept * self.weight
    }
}

/// 1 - error / variance; 0 where the score never moved.
fn explained(error: f64, variance: f64) -> f64 {
    if variance > 0.0 {
        1.0 - error / variance
    } else {
        0.0
    }
}

/// The first elements of a buffer of f32, one a segment.
pub(super) fn coefficients<'m>(from: &[f64], to: &'m mut [f32]) -> Result<&'m [f32], Error> {
    let to = front(to, from.len())?;
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from as f32;
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A = L L' for L = [[2], [6, 1], [-8, 5, 3]] (Wikipedia's example).
    #[test]
    fn cholesky_by_hand() {
        let mut a = [4.0, 12.0, 37.0, -16.0, -43.0, 98.0];
        assert!(cholesky(&mut a, 3));
        assert_eq!(a, [2.0, 6.0, 1.0, -8.0, 5.0, 3.0]);
        // A (1, -2, 3) = (-68, -191, 364).
        let mut x = [-68.0, -191.0, 364.0];
        substitute(&a, &mut x);
        for (found, expected) in x.into_iter().zip([1.0, -2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-9, "{found}");
        }
        assert!(!cholesky(&mut [1.0, 2.0, 4.0], 2));
        assert!(!cholesky(&mut [0.0], 1));
        assert!(!cholesky(&mut [f64::NAN], 1));
    }
}
