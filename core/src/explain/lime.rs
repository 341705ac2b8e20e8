//! LIME for pictures (Ribeiro et al. 2016, arXiv 1602.04938, eq. 1-2; the numbers
//! of lime 0.2.0.1).
//!
//! N masks z hide segments by fair coins, the first keeps all. A ridge
//! b = argmin sum_i w_i (f(z_i) - b_0 - b z_i)^2 + alpha |b|^2 with a free
//! intercept b_0 weighs each mask by w = sqrt(exp(-d^2 / kernel^2)),
//! d = 1 - sqrt(|z| / segments), its cosine distance to all ones. A segment's
//! value is its coefficient: above 0 speaks for the class. Reported beside the
//! map: the weighted R2, the intercept, and what the linear model says of the
//! whole picture (`local_prediction`).
//!
//! All targets share the passes. Default score: probability. Cost: N forward;
//! scratch: 32 rows of one weight a segment and the classes, f64 storage of
//! [`Lime::storage`]: sums, which do not grow with N. lime first picks the 100 000 strongest
//! segments by another ridge; this keeps all segments, which is the same.

use core::cell::RefCell;

use super::pass::{Passes, front, prepare, score_of, unless_stopped};
use super::regression::{NO_SOLUTION, Sums, coefficients};
use super::segmented::{Cut, coins, given, rows_of};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::mask::Fill;
use crate::segment::Segments;
use crate::tensor::Shape;

/// A linear model of the score around the picture.
#[derive(Debug)]
pub struct Lime<'a, 's> {
    /// The segments.
    pub segments: Segments<'a>,
    /// What hides them; lime's is each segment's mean colour.
    pub fill: Fill<'a>,
    /// Number of masks, at least 1.
    pub samples: u32,
    /// Width of the kernel, above 0; lime's is 0.25.
    pub kernel: f64,
    /// Weight of the ridge, at least 0; lime's is 1.
    pub alpha: f64,
    /// These masks instead of coins: one byte a segment, 0 or 1, mask by mask.
    pub design: Option<&'a [u8]>,
    /// [`Lime::storage`] numbers.
    pub storage: RefCell<&'s mut [f64]>,
}

/// lime's weight of a mask that keeps `kept` of `segments`.
fn proximity(kept: f64, segments: usize, kernel: f64) -> f64 {
    let distance = 1.0 - libm::sqrt(kept / segments.max(1) as f64);
    libm::sqrt(libm::exp(-distance * distance / (kernel * kernel)))
}

impl Lime<'_, '_> {
    /// Numbers of storage for so many segments and targets.
    #[must_use]
    pub const fn storage(segments: usize, targets: usize) -> usize {
        Sums::storage(segments, targets)
    }

    fn count(&self) -> Result<usize, Error> {
        let fits = |x: f64| x.is_finite() && x >= 0.0;
        if !fits(self.kernel) || self.kernel == 0.0 {
            return Err(Error::BadParameter("kernel of LIME"));
        }
        if !fits(self.alpha) {
            return Err(Error::BadParameter("alpha of LIME"));
        }
        match (self.design, self.samples) {
            (Some(design), _) => rows_of(design, self.segments.count()),
            (None, 0) => Err(Error::BadParameter("number of samples")),
            (None, samples) => Ok(samples as usize),
        }
    }

    fn row(&self, seed: u64, i: usize, weights: &mut [f32]) -> Result<(), Error> {
        match self.design {
            Some(design) => return given(design, i, weights),
            None if i == 0 => weights.fill(1.0),
            None => coins(seed, i as u32, weights),
        }
        Ok(())
    }
}

impl Method for Lime<'_, '_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        self.segments.check(input)?;
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, _: usize) -> Result<Cost, Error> {
        self.segments.check(classifier.input())?;
        let masks = self.count()? as u64;
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
        let (count, segments) = (self.count()?, self.segments.count());
        let mut storage = self.storage.try_borrow_mut().map_err(|_| Error::BadOrder)?;
        let mut sums = Sums::new(segments, query.targets.len(), &mut storage)?;
        let cut = Cut::new(query, self.fill, self.segments);
        let mut passes = Passes::new(progress, count as u64);
        let mut row = |i: usize, weights: &mut [f32]| self.row(query.seed, i, weights);
        let mut sink = |_: usize, weights: &[f32], scores: &[f32]| {
            let kept: f64 = weights.iter().map(|w| f64::from(*w)).sum();
            let weight = proximity(kept, segments, self.kernel);
            let score = |t: &usize| score_of(scores, *t).map(f64::from);
            sums.add(weights, weight, query.targets.iter().map(score))?;
            passes.step()
        };
        let asked = cut.ask(classifier, (0, count), &mut row, scratch, &mut sink);
        unless_stopped(asked)?;
        let solved = sums.factor_ridge(self.alpha);
        let each = maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        for (t, (map, outcome)) in each.enumerate() {
            if !solved {
                *outcome = Outcome::Undefined(NO_SOLUTION);
                continue;
            }
            let (found, fit) = sums.ridge(t)?;
            let local: f64 = fit.intercept + found.iter().sum::<f64>();
            let values = coefficients(found, front(scratch, segments)?)?;
            self.segments
                .paint(|s| values.get(s).copied().unwrap_or(0.0), map);
            *outcome = passes.judge(map);
            passes.note(t, "r2", fit.r2);
            passes.note(t, "intercept", fit.intercept);
            passes.note(t, "local_prediction", local);
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

    const SHAPE: Shape = Shape::new(4, 6, 2);

    fn wave(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    fn labels() -> Vec<u16> {
        (0..24).map(|i| [4, 0, 2, 1, 3][i * 3 % 5]).collect()
    }

    fn lime<'a, 's>(labels: &'a [u16], storage: &'s mut [f64]) -> Lime<'a, 's> {
        Lime {
            segments: Segments::new(labels),
            fill: Fill::Colour([0.25, -0.5, 0.0, 0.0]),
            samples: 200,
            kernel: 0.25,
            alpha: 0.0,
            design: None,
            storage: RefCell::new(storage),
        }
    }

    /// spec: cosine distance, width 0.25, 10 segments.
    #[test]
    fn weights_of_masks() {
        let cases = [
            (10.0, 1.0),
            (7.0, 0.807_801_0),
            (2.0, 0.086_762_4),
            (0.0, 3.354_63e-4),
        ];
        for (kept, expected) in cases {
            let found = proximity(kept, 10, 0.25);
            assert!(
                (found - expected).abs() < 1e-5 * expected,
                "{kept}: {found}"
            );
        }
    }

    /// Without a penalty the model of a linear score is the score itself.
    #[test]
    fn a_linear_model_in_closed_form() {
        let (labels, x) = (labels(), wave(48, 0.7));
        let weights = [wave(48, 1.9), wave(48, 0.3)];
        let mut net = Net::linear(SHAPE, &weights);
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[1, 0],
            score: None,
            seed: 3,
        };
        let mut storage = vec![9.0; Lime::storage(5, 2)];
        let method = lime(&labels, &mut storage);
        let mut figures = Figures::default();
        let (found, outcomes) = explain(&method, &mut net, &query, &mut figures).unwrap();
        assert_eq!((net.passes, outcomes), (200, vec![Outcome::Ok; 2]));
        for (t, (map, w)) in found.iter().zip([&weights[1], &weights[0]]).enumerate() {
            let sum = |label: u16| -> f32 {
                let inside = (0..48).filter(|i| labels[i / 2] == label);
                inside.map(|i| w[i] * (x[i] - [0.25, -0.5][i % 2])).sum()
            };
            let expected: Vec<f32> = labels.iter().map(|l| sum(*l)).collect();
            close(map, &expected, 1e-5);
            let hidden: f32 = (0..48).map(|i| w[i] * [0.25, -0.5][i % 2]).sum();
            let whole: f32 = (0..48).map(|i| w[i] * x[i]).sum();
            for (name, value) in [
                ("r2", 1.0),
                ("intercept", hidden),
                ("local_prediction", whole),
            ] {
                assert!(
                    (figures.of(t, name) - f64::from(value)).abs() < 1e-5,
                    "{name}"
                );
            }
        }
    }

    /// The ridge by hand: one segment on in {1, 0}, scores 3 and 1.
    #[test]
    fn one_segment_by_hand() {
        let labels = [0; 24];
        let x = [1.0; 48];
        let mut net = Net::new(SHAPE, 1, |x, _| f64::from(1.0 + 2.0 * x[0]));
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0],
            score: None,
            seed: 0,
        };
        let mut storage = vec![0.0; Lime::storage(1, 1)];
        let method = Lime {
            fill: Fill::Colour([0.0; 4]),
            design: Some(&[1, 0]),
            alpha: 0.5,
            kernel: 1.0,
            ..lime(&labels, &mut storage)
        };
        let (found, _) = explain(&method, &mut net, &query, &mut Silent).unwrap();
        // w = 1, e^-1/2; mean z = 1 / W; G = 1 - 1 / W; b = 2 G / (G + alpha).
        let w = 1.0 + (-0.5f64).exp();
        let gram = 1.0 - 1.0 / w;
        close(&found[0], &[(2.0 * gram / (gram + 0.5)) as f32; 24], 1e-6);
    }

    #[test]
    fn seeds_order_and_stopping() {
        let (labels, x) = (labels(), wave(48, 0.7));
        let mut net = Net::new(SHAPE, 2, |x, k| {
            x.iter().skip(k).map(|x| f64::from(*x)).sum::<f64>().tanh()
        });
        let mut query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0, 1],
            score: None,
            seed: 3,
        };
        let mut run = |samples, backwards, seed, stop| {
            (net.backwards, query.seed) = (backwards, seed);
            let mut storage = vec![0.0; Lime::storage(5, 2)];
            let method = Lime {
                samples,
                ..lime(&labels, &mut storage)
            };
            explain(&method, &mut net, &query, &mut StopAfter(stop)).unwrap()
        };
        let whole = run(70, false, 3, 1000);
        assert_eq!(run(70, true, 3, 1000), whole);
        assert_ne!(run(70, false, 4, 1000).0, whole.0);
        let (few, _) = run(45, false, 3, 1000);
        let (cut, outcomes) = run(70, false, 3, 45);
        assert_eq!(cut, few);
        assert_eq!(
            outcomes,
            [Outcome::Partial {
                done: 45,
                total: 70
            }; 2]
        );
        let (none, outcomes) = run(1, false, 3, 1000);
        assert_eq!(outcomes, [Outcome::Undefined(NO_SOLUTION); 2]);
        assert!(none.iter().flatten().all(|v| *v == 0.0));
    }

    #[test]
    fn bad_parameters() {
        let (labels, x) = (labels(), wave(48, 0.7));
        let mut net = Net::new(SHAPE, 1, |_, _| 0.0);
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0],
            score: None,
            seed: 3,
        };
        let mut error = |change: &dyn Fn(&mut Lime<'_, '_>)| {
            let mut storage = vec![0.0; Lime::storage(5, 1)];
            let mut method = lime(&labels, &mut storage);
            change(&mut method);
            explain(&method, &mut net, &query, &mut Silent).unwrap_err()
        };
        let bad = Error::BadParameter;
        assert_eq!(error(&|m| m.samples = 0), bad("number of samples"));
        assert_eq!(error(&|m| m.kernel = 0.0), bad("kernel of LIME"));
        assert_eq!(error(&|m| m.alpha = -1.0), bad("alpha of LIME"));
        assert_eq!(error(&|m| m.alpha = f64::NAN), bad("alpha of LIME"));
        let design = bad("design of segments");
        assert_eq!(error(&|m| m.design = Some(&[1; 9])), design);
        assert_eq!(error(&|m| m.design = Some(&[])), design);
        assert_eq!(error(&|m| m.design = Some(&[2; 10])), design);
        let short = Error::BufferTooSmall {
            need: Lime::storage(5, 1),
            have: 0,
        };
        let mut method = lime(&labels, &mut []);
        method.samples = 9;
        assert_eq!(explain(&method, &mut net, &query, &mut Silent), Err(short));
    }
}
