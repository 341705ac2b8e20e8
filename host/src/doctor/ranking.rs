//! Which candidate answered best, and how surely.

use std::cmp::Ordering;

use super::Candidate;

/// A probability below this counts as this: one picture that a candidate gets
/// entirely wrong must not outweigh all others.
const FLOOR: f64 = 1e-6;

/// What a candidate made of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Whether its best class was the right one.
    pub right: bool,
    /// Logarithm of the right class's probability.
    pub likelihood: f64,
}

impl Evidence {
    /// From one probability a class. A probability that is no number is none.
    pub fn of(probabilities: &[f32], class: usize) -> Self {
        let own = probabilities.get(class).copied().unwrap_or(0.0);
        let above = |&p: &f32| p > own;
        Self {
            right: own > 0.0 && !probabilities.iter().any(above),
            likelihood: f64::from(own).max(FLOOR).ln(),
        }
    }
}

/// A candidate among the others.
#[derive(Debug)]
pub struct Ranked {
    /// Which.
    pub candidate: Candidate,
    /// Pictures it was tried on.
    pub pictures: usize,
    /// Right answers.
    pub right: usize,
    /// Mean logarithm of the right class's probability.
    pub likelihood: f64,
    /// How probable it is that two equal candidates differ as this one and the
    /// best one do: the smaller p of two sign tests, on right answers and on
    /// the probability of the right class. 1 for the best one.
    pub chance: f64,
}

impl Ranked {
    /// Whether the pictures do not tell it from the best one.
    pub fn ties(&self) -> bool {
        self.chance > 0.05
    }
}

fn right(seen: &[Evidence]) -> usize {
    seen.iter().filter(|e| e.right).count()
}

fn likelihood(seen: &[Evidence]) -> f64 {
    let sum: f64 = seen.iter().map(|e| e.likelihood).sum();
    sum / seen.len().max(1) as f64
}

/// The better one first: more right answers, then higher likelihood.
pub fn order(a: &[Evidence], b: &[Evidence]) -> Ordering {
    let by_answers = right(b).cmp(&right(a));
    by_answers.then_with(|| likelihood(b).total_cmp(&likelihood(a)))
}

/// Ranks candidates that saw the same pictures; `best` is what the best one of
/// all saw, on these pictures first.
pub fn rank(mut all: Vec<(Candidate, Vec<Evidence>)>, best: &[Evidence]) -> Vec<Ranked> {
    all.sort_by(|a, b| order(&a.1, &b.1));
    let ranked = |(candidate, seen): (Candidate, Vec<Evidence>)| Ranked {
        candidate,
        pictures: seen.len(),
        right: right(&seen),
        likelihood: likelihood(&seen),
        chance: chance(best, &seen),
    };
    all.into_iter().map(ranked).collect()
}

/// The smaller p of the two sign tests.
fn chance(best: &[Evidence], other: &[Evidence]) -> f64 {
    let pairs = || best.iter().zip(other);
    let count = |wins: &dyn Fn(&Evidence, &Evidence) -> bool| {
        pairs().filter(|(a, b)| wins(a, b)).count() as u64
    };
    let answers = sign_test(
        count(&|a, b| a.right && !b.right),
        count(&|a, b| b.right && !a.right),
    );
    let probabilities = sign_test(
        count(&|a, b| a.likelihood > b.likelihood),
        count(&|a, b| b.likelihood > a.likelihood),
    );
    answers.min(probabilities)
}

/// Two-sided p of so many wins and losses of a fair coin.
fn sign_test(wins: u64, losses: u64) -> f64 {
    let n = wins + losses;
    let mut term = 0.5f64.powi(n.min(1000) as i32);
    let mut tail = 0.0;
    for k in 0..=wins.min(losses) {
        tail += term;
        term *= (n - k) as f64 / (k + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of SciPy's `binomtest(k, n, 0.5)`.
    #[test]
    fn sign_test_is_the_binomial_one() {
        for (wins, losses, p) in [
            (0, 0, 1.0),
            (5, 0, 0.0625),
            (9, 1, 0.021484375),
            (6, 6, 1.0),
            (15, 5, 0.04138946533203125),
        ] {
            assert!(
                (sign_test(wins, losses) - p).abs() < 1e-12,
                "{wins} {losses}"
            );
            assert!(
                (sign_test(losses, wins) - p).abs() < 1e-12,
                "{wins} {losses}"
            );
        }
    }

    #[test]
    fn evidence_of_broken_and_tied_scores() {
        assert!(Evidence::of(&[0.25, 0.5, 0.25], 1).right);
        assert!(!Evidence::of(&[0.25, 0.5, 0.25], 0).right);
        let broken = Evidence::of(&[f32::NAN, 0.5], 0);
        assert!(!broken.right && broken.likelihood == FLOOR.ln());
        assert!(!Evidence::of(&[0.5], 3).right);
    }
}
