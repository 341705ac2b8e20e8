//! Kernel SHAP (Lundberg and Lee 2017, arXiv 1705.07874, theorem 2).
//!
//! Segments are players, f(segments of S kept) is what a coalition S earns. The
//! Shapley values minimise sum_S k(S) (f(S) - f(none) - sum_{s in S} b_s)^2 with
//! k(S) = (d - 1) / (C(d, |S|) |S| (d - |S|)) under sum b = f(all) - f(none). A
//! segment's value is its Shapley value: above 0 speaks for the class, and all of
//! them sum to what the picture scores above the fill (`efficiency`).
//!
//! If 2^d - 2 <= N, every coalition is asked once with its weight and the values
//! are exact. Else N coalitions are drawn: sizes by the kernel's mass, members
//! evenly, each followed by its complement (Covert and Lee 2021, arXiv 2012.01536),
//! which removes what even and odd sizes would add to the variance; the weights
//! are then equal. (shap enumerates the smallest and largest sizes first and
//! draws the rest.) Reported beside the map: the weighted R2, `intercept` f(none),
//! `local_prediction` f(all), and whether the values are `exact` (1) or not (0).
//! Stopped before all coalitions of an exact run, what was asked is used as it is.
//!
//! All targets share the passes. Default score: probability. Cost: 2 + the smaller
//! of N and 2^d - 2 forward; scratch: 32 rows of one weight a segment and the
//! classes; f64 storage of [`KernelShap::storage`], which does not grow with N.

use core::cell::RefCell;

use super::pass::{Passes, front, prepare, score_of, unless_stopped};
use super::regression::{NO_SOLUTION, Sums, coefficients};
use super::segmented::{Cut, given, rows_of};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::mask::Fill;
use crate::rng::{self, Purpose};
use crate::segment::Segments;
use crate::tensor::Shape;

/// Shapley values of segments.
#[derive(Debug)]
pub struct KernelShap<'a, 's> {
    /// The segments.
    pub segments: Segments<'a>,
    /// What hides them.
    pub fill: Fill<'a>,
    /// Most coalitions besides none and all, at least 1; `None`: 2 a segment and 2048.
    pub samples: Option<u32>,
    /// These coalitions instead, each weighted by the kernel; none and all are
    /// skipped. One byte a segment, 0 or 1.
    pub design: Option<&'a [u8]>,
    /// [`KernelShap::storage`] numbers.
    pub storage: RefCell<&'s mut [f64]>,
}

/// Which coalitions are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    All,
    Drawn,
    Given,
}

/// The kernel's weight of one coalition of `size` of `d`.
fn kernel(d: usize, size: usize) -> f64 {
    let size = size.min(d);
    if size == 0 || size == d {
        return 0.0;
    }
    let mut choose = 1.0;
    for i in 0..size.min(d - size) {
        choose *= (d - i) as f64 / (i + 1) as f64;
    }
    (d - 1) as f64 / (choose * size as f64 * (d - size) as f64)
}

/// A size from the kernel's mass of all coalitions of a size, 1 / (k (d - k)).
fn size(word: u32, d: usize) -> usize {
    let mass = |k: usize| 1.0 / (k * (d - k).max(1)) as f64;
    let total: f64 = (1..d).map(mass).sum();
    let mut left = (f64::from(word) + 0.5) / 4_294_967_296.0 * total;
    for k in 1..d {
        left -= mass(k);
        if left < 0.0 {
            return k;
        }
    }
    d.saturating_sub(1)
}

/// Coalition `i` of the draw: pairs of a coalition and its complement.
fn draw(seed: u64, i: usize, weights: &mut [f32]) {
    let (d, pair) = (weights.len(), (i / 2) as u32);
    let [word, ..] = rng::words(seed, pair, 0, 0, Purpose::CoalitionSize);
    let mut wanted = size(word, d);
    let (inside, outside) = if i.is_multiple_of(2) {
        (1.0, 0.0)
    } else {
        (0.0, 1.0)
    };
    let mut left = d;
    for (block, weights) in (0..).zip(weights.chunks_mut(4)) {
        let words = rng::words(seed, pair, 0, block, Purpose::Coalition);
        for (weight, word) in weights.iter_mut().zip(words) {
            // Of those left, each is as likely to be one of those still wanted.
            let joins = (rng::below(word, left as u32) as usize) < wanted;
            *weight = if joins { inside } else { outside };
            wanted -= usize::from(joins);
            left = left.saturating_sub(1);
        }
    }
}

impl KernelShap<'_, '_> {
    /// Numbers of storage for so many segments and targets.
    #[must_use]
    pub const fn storage(segments: usize, targets: usize) -> usize {
        Sums::storage(segments, targets) + 2 * targets
    }

    /// Which coalitions, and how many.
    fn plan(&self) -> Result<(Plan, usize), Error> {
        let d = self.segments.count();
        if d < 2 {
            return Err(Error::BadParameter("number of segments"));
        }
        if let Some(design) = self.design {
            return Ok((Plan::Given, rows_of(design, d)?));
        }
        let usual = || (2 * d + 2048) as u32;
        let samples = self.samples.unwrap_or_else(usual);
        if samples == 0 {
            return Err(Error::BadParameter("number of samples"));
        }
        let all = (d < 32).then(|| (1u64 << d) - 2);
        Ok(match all {
            Some(all) if all <= u64::from(samples) => (Plan::All, all as usize),
            _ => (Plan::Drawn, samples as usize),
        })
    }

    /// Mask 0 keeps all, mask 1 none, then come the coalitions.
    fn row(&self, plan: Plan, seed: u64, i: usize, weights: &mut [f32]) -> Result<(), Error> {
        let Some(i) = i.checked_sub(2) else {
            weights.fill(if i == 0 { 1.0 } else { 0.0 });
            return Ok(());
        };
        match plan {
            Plan::All => {
                for (s, weight) in weights.iter_mut().enumerate() {
                    *weight = ((i + 1) >> s & 1) as f32;
                }
            }
            Plan::Drawn => draw(seed, i, weights),
            Plan::Given => given(self.design.unwrap_or_default(), i, weights)?,
        }
        Ok(())
    }
}

/// Keeps a target's scores of the whole and of the hidden picture.
fn keep(ends: &mut [f64], i: usize, targets: &[usize], scores: &[f32]) -> Result<(), Error> {
    for (end, &target) in ends.as_chunks_mut::<2>().0.iter_mut().zip(targets) {
        let score = f64::from(score_of(scores, target)?);
        let [whole, none] = end;
        *if i == 0 { whole } else { none } = score;
    }
    Ok(())
}

impl Method for KernelShap<'_, '_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        self.segments.check(input)?;
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, _: usize) -> Result<Cost, Error> {
        self.segments.check(classifier.input())?;
        let masks = self.plan()?.1 as u64 + 2;
        Ok(Cut::cost(classifier, self.segments.count(), masks))
    }

    fn explain(
        &self,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        maps: &mut [f32],
        outcomes: &mut [Outcome],
        scratch: &mut [f32],
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let shape = self.map_shape(classifier)?;
        let (maps, outcomes) = prepare(query, classifier.classes(), shape, maps, outcomes)?;
        let ((plan, count), d) = (self.plan()?, self.segments.count());
        let targets = query.targets;
        let mut storage = self.storage.try_borrow_mut().map_err(|_| Error::BadOrder)?;
        let have = storage.len();
        let need = Self::storage(d, targets.len());
        let (ends, storage) = storage
            .split_at_mut_checked(2 * targets.len())
            .ok_or(Error::BufferTooSmall { need, have })?;
        let mut sums = Sums::new(d, targets.len(), storage)?;
        let cut = Cut::new(query, self.fill, self.segments);
        let mut passes = Passes::new(progress, count as u64 + 2);
        let mut row = |i: usize, weights: &mut [f32]| self.row(plan, query.seed, i, weights);
        let mut sink = |i: usize, weights: &[f32], scores: &[f32]| {
            if i < 2 {
                keep(ends, i, targets, scores)?;
                return passes.step();
            }
            let size = weights.iter().filter(|w| **w > 0.0).count();
            let weight = match plan {
                Plan::Drawn => 1.0,
                _ => kernel(d, size),
            };
            let above = ends.as_chunks::<2>().0.iter().zip(targets);
            let above = above.map(|([_, none], t)| Ok(f64::from(score_of(scores, *t)?) - none));
            sums.add(weights, weight, above)?;
            passes.step()
        };
        let asked = cut.ask(classifier, (0, count + 2), &mut row, scratch, &mut sink);
        unless_stopped(asked)?;
        let solved = sums.factor();
        let each = maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        for (t, ((map, outcome), [whole, none])) in each.zip(ends.as_chunks::<2>().0).enumerate() {
            if !solved {
                *outcome = Outcome::Undefined(NO_SOLUTION);
                continue;
            }
            let (found, fit) = sums.constrained(t, whole - none)?;
            let values = coefficients(found, front(scratch, d)?)?;
            self.segments
                .paint(|s| values.get(s).copied().unwrap_or(0.0), map);
            *outcome = passes.judge(map);
            let exact = plan == Plan::All && passes.done == passes.total;
            passes.note(t, "r2", fit.r2);
            passes.note(t, "intercept", *none);
            passes.note(t, "local_prediction", *whole);
            passes.note(t, "exact", f64::from(u8::from(exact)));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::Silent;
    use crate::explain::nets::{Figures, Net, StopAfter, close, explain, tensor};
    use std::vec;
    use std::vec::Vec;

    /// One pixel a segment, one channel; segment 1 of d = 3.. has two pixels.
    fn cut(d: usize) -> (Shape, Vec<u16>) {
        let labels: Vec<u16> = (0..=d)
            .map(|i| {
                [0, 1]
                    .get(i)
                    .copied()
                    .unwrap_or((i as u16).saturating_sub(1))
            })
            .collect();
        (Shape::new(1, d + 1, 1), labels)
    }

    fn shap<'a, 's>(labels: &'a [u16], storage: &'s mut [f64]) -> KernelShap<'a, 's> {
        KernelShap {
            segments: Segments::new(labels),
            fill: Fill::Colour([0.0; 4]),
            samples: None,
            design: None,
            storage: RefCell::new(storage),
        }
    }

    /// A game without any symmetry: what the kept set of segments earns.
    fn game(set: usize, k: usize) -> f64 {
        let bits = (set as f64 * 0.37 + k as f64).sin() + set.count_ones() as f64 * 0.3;
        if set == 0 { 0.2 } else { bits }
    }

    /// The set of kept segments, from a picture of ones.
    fn set(x: &[f32]) -> usize {
        let labels = cut(x.len() - 1).1;
        let kept = x.iter().zip(labels).filter(|(x, _)| **x == 1.0);
        kept.fold(0, |set, (_, label)| set | 1 << label)
    }

    /// Shapley's sum over all coalitions without s: |S|! (d - |S| - 1)! / d! times what s adds.
    fn shapley(d: usize, s: usize, k: usize) -> f64 {
        let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
        let without = (0..1usize << d).filter(|set| set >> s & 1 == 0);
        let adds = |set: usize| {
            let n = set.count_ones() as usize;
            factorial(n) * factorial(d - n - 1) / factorial(d)
                * (game(set | 1 << s, k) - game(set, k))
        };
        without.map(adds).sum()
    }

    fn values(map: &[f32]) -> Vec<f32> {
        let mut values = map.to_vec();
        values.remove(1);
        values
    }

    #[test]
    fn all_coalitions_give_shapley_values() {
        for d in 3..=8 {
            let (shape, labels) = cut(d);
            let x = vec![1.0; d + 1];
            let mut net = Net::new(shape, 2, |x, k| game(set(x), k));
            let query = Query {
                picture: tensor(shape, &x),
                targets: &[1, 0],
                score: None,
                seed: 0,
            };
            let mut storage = vec![9.0; KernelShap::storage(d, 2)];
            let method = shap(&labels, &mut storage);
            let mut figures = Figures::default();
            let (found, _) = explain(&method, &mut net, &query, &mut figures).unwrap();
            assert_eq!(net.passes, 1 << d);
            for (t, k) in [1, 0].into_iter().enumerate() {
                let expected: Vec<f32> = (0..d).map(|s| shapley(d, s, k) as f32).collect();
                close(&values(&found[t]), &expected, 2e-6);
                assert_eq!(figures.of(t, "exact"), 1.0);
                let ends = [
                    ("intercept", game(0, k)),
                    ("local_prediction", game((1 << d) - 1, k)),
                ];
                for (name, value) in ends {
                    assert!((figures.of(t, name) - value).abs() < 1e-6);
                }
            }
        }
    }

    /// Drawn coalitions: efficiency holds exactly, a player that adds nothing to
    /// anyone gets nothing, players that add the same get the same, within the
    /// error of the draw; on a sum of its players every draw is exact.
    #[test]
    fn axioms_of_drawn_coalitions() {
        let d = 12;
        let (shape, labels) = cut(d);
        let x = vec![1.0; d + 1];
        // Players 0 and 3 are alike, player 2 adds nothing, 5 and 6 only together.
        let earns = |set: usize| {
            let has = |s: usize| f64::from((set >> s & 1) as u8);
            has(0) + has(3) + has(5) * has(6) + 0.25 * has(7) * has(0) * has(3)
        };
        let mut net = Net::new(shape, 2, |x, k| match k {
            0 => earns(set(x)),
            _ => (0..d).map(|s| (set(x) >> s & 1) as f64 * s as f64).sum(),
        });
        let query = Query {
            picture: tensor(shape, &x),
            targets: &[0, 1],
            score: None,
            seed: 5,
        };
        let mut storage = vec![9.0; KernelShap::storage(d, 2)];
        let method = KernelShap {
            samples: Some(2000),
            ..shap(&labels, &mut storage)
        };
        let (found, _) = explain(&method, &mut net, &query, &mut Silent).unwrap();
        assert_eq!(net.passes, 2002);
        let b = values(&found[0]);
        assert!((b.iter().sum::<f32>() - 3.25).abs() < 1e-5);
        let third = 0.25 / 3.0;
        let expected = [1.0 + third, 0.0, 0.0, 1.0 + third, 0.0, 0.5, 0.5, third];
        close(&b[..8], &expected, 0.03);
        let sum: Vec<f32> = (0..d).map(|s| s as f32).collect();
        close(&values(&found[1]), &sum, 1e-4);
    }

    #[test]
    fn sizes_follow_the_kernel() {
        // d = 5: mass 1/4, 1/6, 1/6, 1/4 of 5/6.
        let mut counts = [0.0; 6];
        for i in 0..6000u32 {
            counts[size(i * 715_827, 5)] += 1.0 / 6000.0;
        }
        for (count, mass) in counts.into_iter().zip([0.0, 0.3, 0.2, 0.2, 0.3, 0.0]) {
            assert!(f64::abs(count - mass) < 0.01, "{counts:?}");
        }
        // C(5, 2) = 10: (5 - 1) / (10 * 2 * 3).
        assert!((kernel(5, 2) - 4.0 / 60.0).abs() < 1e-15);
        let (mut weights, mut other) = ([0.0; 9], [0.0; 9]);
        for i in 0..40 {
            draw(3, 2 * i, &mut weights);
            draw(3, 2 * i + 1, &mut other);
            assert!(weights.iter().zip(&other).all(|(a, b)| a + b == 1.0));
            let [word, ..] = rng::words(3, i as u32, 0, 0, Purpose::CoalitionSize);
            assert_eq!(weights.iter().sum::<f32>() as usize, size(word, 9));
        }
    }

    #[test]
    fn designs_stopping_and_bad_parameters() {
        let (shape, labels) = cut(4);
        let x = vec![1.0; 5];
        let mut net = Net::new(shape, 1, |x, k| game(set(x), k));
        let query = Query {
            picture: tensor(shape, &x),
            targets: &[0],
            score: None,
            seed: 0,
        };
        let mut storage = vec![9.0; KernelShap::storage(4, 1)];
        let design: Vec<u8> = (1..15)
            .flat_map(|i| (0..4).map(move |s| i >> s & 1))
            .collect();
        let method = KernelShap {
            design: Some(&design),
            ..shap(&labels, &mut storage)
        };
        let (found, _) = explain(&method, &mut net, &query, &mut Silent).unwrap();
        let expected: Vec<f32> = (0..4).map(|s| shapley(4, s, 0) as f32).collect();
        close(&values(&found[0]), &expected, 2e-6);
        let (_, outcomes) = explain(&method, &mut net, &query, &mut StopAfter(12)).unwrap();
        assert_eq!(
            outcomes,
            [Outcome::Partial {
                done: 12,
                total: 16
            }]
        );
        let (_, outcomes) = explain(&method, &mut net, &query, &mut StopAfter(4)).unwrap();
        assert_eq!(outcomes, [Outcome::Undefined(NO_SOLUTION)]);
        let mut error = |change: &dyn Fn(&mut KernelShap<'_, '_>)| {
            let mut storage = vec![0.0; KernelShap::storage(4, 1)];
            let mut method = shap(&labels, &mut storage);
            change(&mut method);
            explain(&method, &mut net, &query, &mut Silent).unwrap_err()
        };
        let bad = Error::BadParameter;
        assert_eq!(error(&|m| m.samples = Some(0)), bad("number of samples"));
        assert_eq!(
            error(&|m| m.design = Some(&[1, 2])),
            bad("design of segments")
        );
        assert_eq!(
            error(&|m| m.segments = Segments::new(&[0; 5])),
            bad("number of segments")
        );
        let short = Error::BufferTooSmall {
            need: KernelShap::storage(4, 1),
            have: 1,
        };
        let method = shap(&labels, &mut storage[..1]);
        assert_eq!(explain(&method, &mut net, &query, &mut Silent), Err(short));
    }
}
