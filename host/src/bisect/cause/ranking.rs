//! Which hypothesis holds what was found.

use foveola_core::Shape;

use super::{Cause, Kind};

/// Places that are tried before all are.
const SAMPLES: usize = 256;
/// Largest share of the wrong values that a hypothesis which is still worth
/// naming leaves unexplained.
const UNEXPLAINED: f64 = 0.1;

/// Hypotheses about one tensor.
pub struct Ranking<'a> {
    expected: &'a [i8],
    found: &'a [i8],
    wrong: Vec<usize>,
    sample: Vec<usize>,
    exact: Vec<Cause>,
    /// Exact ones that wait for others.
    late: Vec<Cause>,
    best: Option<Cause>,
}

impl<'a> Ranking<'a> {
    /// None yet.
    pub fn new(expected: &'a [i8], found: &'a [i8]) -> Self {
        let length = expected.len().min(found.len());
        let wrong: Vec<usize> = (0..length).filter(|&i| expected[i] != found[i]).collect();
        let spread = |count: usize| {
            let step = count.div_ceil(SAMPLES).max(1);
            (0..count).step_by(step)
        };
        let of_wrong = spread(wrong.len()).map(|i| wrong[i]);
        let sample = of_wrong.chain(spread(length)).collect();
        Self {
            expected,
            found,
            wrong,
            sample,
            exact: Vec::new(),
            late: Vec::new(),
            best: None,
        }
    }

    /// Places of the values that differ.
    pub fn wrong(&self) -> &[usize] {
        &self.wrong
    }

    /// Compares what a hypothesis computes with what was found. Few values say
    /// whether all are worth the time.
    pub fn consider(&mut self, cause: impl FnOnce() -> Cause, value: impl Fn(usize) -> i8) {
        let misses = |i: &&usize| value(**i) != self.found[**i];
        let most = self.sample.len() / 8;
        if self.sample.iter().filter(misses).nth(most).is_some() {
            return;
        }
        let limit = (self.wrong.len() as f64 * UNEXPLAINED) as usize;
        let limit = self.best.as_ref().map_or(limit, |best| best.unexplained);
        let all = 0..self.found.len();
        let missed = all.filter(|&i| value(i) != self.found[i]);
        let missed = missed.take(limit + 1).count();
        if missed == 0 {
            self.exact.push(cause());
        } else if missed <= limit && self.best.as_ref().is_none_or(|b| missed < b.unexplained) {
            let unexplained = missed;
            self.best = Some(Cause {
                unexplained,
                ..cause()
            });
        }
    }

    /// The same, but where it explains everything it comes after others that do,
    /// until [`Ranking::promote`].
    pub fn consider_late(&mut self, cause: impl FnOnce() -> Cause, value: impl Fn(usize) -> i8) {
        let before = self.exact.len();
        self.consider(cause, value);
        self.late.extend(self.exact.drain(before..));
    }

    /// Lets those that wait take their place now.
    pub fn promote(&mut self) {
        self.exact.append(&mut self.late);
    }

    /// Adds a cause that explains everything.
    pub fn add_exact(&mut self, cause: Cause) {
        self.exact.push(cause);
    }

    /// Adds a cause of which nobody can say what values it would leave, unless
    /// there is a better one.
    pub fn add_vague(&mut self, cause: Cause) {
        if self.best.is_none() {
            self.best = Some(cause);
        }
    }

    /// Whether everything is explained.
    pub fn is_explained(&self) -> bool {
        !self.exact.is_empty()
    }

    /// The causes that explain everything, one of a kind; or the best one; or
    /// what the differences look like.
    pub fn finish(self, shape: Shape) -> Vec<Cause> {
        let mut causes: Vec<Cause> = Vec::new();
        for cause in self.exact {
            if causes.iter().all(|c| c.kind != cause.kind) {
                causes.push(cause);
            }
        }
        if !causes.is_empty() {
            return causes;
        }
        let unknown = Cause {
            unexplained: self.wrong.len(),
            ..Cause::new(
                Kind::Unknown,
                evidence(self.expected, self.found, &self.wrong, shape),
            )
        };
        vec![self.best.unwrap_or(unknown)]
    }
}

/// What differences look like that no hypothesis explains.
fn evidence(expected: &[i8], found: &[i8], wrong: &[usize], shape: Shape) -> String {
    let apart = |&i: &usize| i32::from(found[i]) - i32::from(expected[i]);
    let sum: i32 = wrong.iter().map(apart).sum();
    let above = wrong.iter().filter(|&i| apart(i) > 0).count();
    let one = wrong.iter().filter(|&i| apart(i).abs() == 1).count();
    let channels: std::collections::BTreeSet<usize> = wrong.iter().map(|i| i % shape.c).collect();
    let border = |&&i: &&usize| {
        let (y, x) = (i / shape.row(), i / shape.c % shape.w);
        y == 0 || x == 0 || y + 1 == shape.h || x + 1 == shape.w
    };
    let count = wrong.len().max(1);
    format!(
        "{} of {} channels, {} % of the wrong values on the border, {} % too large, {} % by one \
         step, mean difference {:.2} steps",
        channels.len(),
        shape.c,
        wrong.iter().filter(border).count() * 100 / count,
        above * 100 / count,
        one * 100 / count,
        f64::from(sum) / count as f64,
    )
}
