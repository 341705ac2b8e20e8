//! Sobol attribution (Fel et al. 2021, arXiv 2111.04138, eq. 7: Jansen's
//! estimator of the total order index).
//!
//! Weights of the segments are random variables m in 0..1; with f(x behind m),
//! ST_i = E[(f(A) - f(C_i))^2] / (2 Var f(A)): the share of the score's variance in
//! which segment i has a part, alone or with others. Rows A and B are the two
//! halves of scrambled Sobol points in 2 x segments dimensions, C_i is A with weight i
//! of B; Var divides by N - 1. Values are at least 0 and say nothing of the
//! direction; they sum to 1 for a sum of the segments, to more with interactions.
//! Beside the map: `variance` of the score.
//!
//! The paper upsamples the weights of a grid; here pixels have their segment's
//! weight. f(B), which only first order indices need, is not asked. A design of
//! one's own gives the N rows, A's weights and then B's; points that are not spread
//! evenly over 0..1, each column by itself, belong to another distribution of m.
//! All targets share the passes. Default score: probability. Cost: N (segments + 1)
//! forward; scratch: 32 rows of one weight a segment, classes, targets x (segments
//! + 1), f64 storage: 2 a target. Stopped, the whole rows count.

use core::cell::RefCell;

use super::pass::{Passes, fronts, prepare, score_of, unless_stopped};
use super::segmented::Cut;
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::mask::Fill;
use crate::quasi::{MAX_DIMENSIONS, scrambled_sobol};
use crate::segment::Segments;
use crate::tensor::Shape;

/// Share of the score's variance that a segment takes part in.
#[derive(Debug)]
pub struct Sobol<'a, 's> {
    /// The segments, 1 to half of [`MAX_DIMENSIONS`].
    pub segments: Segments<'a>,
    /// What hides them.
    pub fill: Fill<'a>,
    /// Rows N, at least 2; best a power of two. The paper's is 32.
    pub designs: u32,
    /// These rows instead of scrambled Sobol points: 2 x segments weights 0..1 each,
    /// A's and then B's, row by row.
    pub design: Option<&'a [f32]>,
    /// Two numbers a target.
    pub storage: RefCell<&'s mut [f64]>,
}

impl Sobol<'_, '_> {
    /// Number of rows.
    fn rows(&self) -> Result<usize, Error> {
        let dimensions = 2 * self.segments.count();
        let rows = match self.design {
            Some(design) if !design.len().is_multiple_of(dimensions.max(1)) => {
                return Err(Error::BadParameter("design of segments"));
            }
            Some(design) => design.len() / dimensions.max(1),
            None if dimensions > MAX_DIMENSIONS => {
                return Err(Error::BadParameter("number of segments"));
            }
            None => self.designs as usize,
        };
        match rows {
            0 | 1 => Err(Error::BadParameter("number of designs")),
            rows => Ok(rows),
        }
    }

    /// Weights of mask `i`: row i / (d + 1) of A, one of them from B unless it is
    /// the first.
    fn weigh(&self, seed: u64, i: usize, weights: &mut [f32]) -> Result<(), Error> {
        let d = weights.len();
        let (row, changed) = (i / (d + 1), (i % (d + 1)).checked_sub(1));
        for (s, weight) in weights.iter_mut().enumerate() {
            let dimension = if changed == Some(s) { d + s } else { s };
            *weight = match self.design {
                Some(design) => point(design, 2 * d * row + dimension)?,
                None => scrambled_sobol(seed, row as u32, dimension),
            };
        }
        Ok(())
    }
}

/// A weight of a design that someone made.
fn point(design: &[f32], at: usize) -> Result<f32, Error> {
    let point = design.get(at).filter(|point| (0.0..=1.0).contains(*point));
    point
        .copied()
        .ok_or(Error::BadParameter("design of segments"))
}

impl Method for Sobol<'_, '_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        self.segments.check(input)?;
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.segments.check(classifier.input())?;
        let d = self.segments.count();
        let cost = Cut::cost(classifier, d, self.rows()? as u64 * (d as u64 + 1));
        Ok(Cost {
            scratch: cost.scratch + targets * (2 * d + 1),
            ..cost
        })
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
        let rows = self.rows()?;
        let (maps, outcomes) = prepare(query, classifier.classes(), shape, maps, outcomes)?;
        let (targets, d) = (query.targets, self.segments.count());
        let mut storage = self.storage.try_borrow_mut().map_err(|_| Error::BadOrder)?;
        let (need, have) = (2 * targets.len(), storage.len());
        let moments = storage.get_mut(..need);
        let moments = moments.ok_or(Error::BufferTooSmall { need, have })?;
        moments.fill(0.0);
        let asking = Cut::scratch(classifier.classes(), d);
        let (sums, rest) = fronts(scratch, targets.len() * (2 * d + 1), asking)?;
        sums.fill(0.0);
        let cut = Cut::new(query, self.fill, self.segments);
        let count = rows * (d + 1);
        let mut passes = Passes::new(progress, count as u64);
        let mut row = |i: usize, weights: &mut [f32]| self.weigh(query.seed, i, weights);
        let mut sink = |i: usize, _: &[f32], scores: &[f32]| {
            let each = sums.chunks_exact_mut(2 * d + 1).zip(targets);
            for ((sums, &target), moments) in each.zip(moments.as_chunks_mut::<2>().0) {
                take(sums, moments, (i, d), score_of(scores, target)?)?;
            }
            passes.step()
        };
        let asked = cut.ask(classifier, (0, count), &mut row, rest, &mut sink);
        unless_stopped(asked)?;
        let rows = (passes.done / (d as u64 + 1)) as f64;
        let each = maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        let each = each.zip(sums.chunks_exact(2 * d + 1));
        let each = each.zip(moments.as_chunks::<2>().0).enumerate();
        for (t, (((map, outcome), sums), [mean, squares])) in each {
            let variance = if rows > 1.0 {
                squares / (rows - 1.0)
            } else {
                0.0
            };
            let index = |s: usize| {
                let sum = f64::from(sums.get(1 + s).copied().unwrap_or(0.0));
                (sum / (2.0 * rows * variance)) as f32
            };
            let moved = variance > 1e-12 * mean * mean;
            if moved {
                self.segments.paint(index, map);
            }
            *outcome = passes.judge(map);
            passes.note(t, "variance", variance);
        }
        Ok(())
    }
}

/// Takes one score of a target. The sums hold f(A), the finished rows' sums of
/// squared differences, and those of the row at work.
fn take(
    sums: &mut [f32],
    [mean, squares]: &mut [f64; 2],
    (i, d): (usize, usize),
    score: f32,
) -> Result<(), Error> {
    let (first, rest) = sums.split_first_mut().ok_or(Error::Internal)?;
    let (done, open) = rest.split_at_mut_checked(d).ok_or(Error::Internal)?;
    let Some(changed) = (i % (d + 1)).checked_sub(1) else {
        *first = score;
        return Ok(());
    };
    let difference = *first - score;
    if let Some(open) = open.get_mut(changed) {
        *open = difference * difference;
    }
    if changed + 1 == d {
        for (done, open) in done.iter_mut().zip(open) {
            *done += *open;
        }
        // Welford's mean and sum of squared distances from it.
        let rows = (i / (d + 1) + 1) as f64;
        let apart = f64::from(*first) - *mean;
        *mean += apart / rows;
        *squares += apart * (f64::from(*first) - *mean);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::nets::{Figures, Net, StopAfter, close, explain, tensor};
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(2, 4, 1);

    fn labels() -> Vec<u16> {
        (0..8).map(|i| i / 2).collect()
    }

    /// With a picture of ones behind 0 a pixel is its segment's weight.
    fn run(net: &mut Net<'_>, designs: u32, stop: u64) -> (Vec<Vec<f32>>, Vec<Outcome>) {
        let (labels, x) = (labels(), [1.0; 8]);
        let targets: Vec<usize> = (0..net.classes).collect();
        let mut storage = vec![9.0; 2 * targets.len()];
        let method = Sobol {
            segments: Segments::new(&labels),
            fill: Fill::Colour([0.0; 4]),
            designs,
            design: None,
            storage: RefCell::new(&mut storage),
        };
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &targets,
            score: None,
            seed: 4,
        };
        let (maps, outcomes) = explain(&method, net, &query, &mut StopAfter(stop)).unwrap();
        let first = |map: &Vec<f32>| vec![map[0], map[2], map[4], map[6]];
        (maps.iter().map(first).collect(), outcomes)
    }

    /// A sum of a_i m_i: ST_i = a_i^2 / sum a^2. Sobol's g function, prod (|4 m -
    /// 2| + a) / (1 + a): V_i = 1 / (3 (1 + a_i)^2), ST_i = V_i prod_{j != i} (1 + V_j) /
    /// (prod (1 + V_j) - 1).
    #[test]
    fn analytic_functions() {
        let a = [0.0, 1.0, 4.5, 9.0];
        let weights = [2.0, -1.0, 0.0, 0.5];
        let mut net = Net::new(SHAPE, 2, move |x, k| {
            let m = [x[0], x[2], x[4], x[6]].map(f64::from);
            let pairs = m.iter().zip(a).zip(weights);
            match k {
                0 => pairs.map(|((m, _), w)| w * m).sum(),
                _ => pairs
                    .map(|((m, a), _)| ((4.0 * m - 2.0).abs() + a) / (1.0 + a))
                    .product(),
            }
        });
        let (found, outcomes) = run(&mut net, 1024, u64::MAX);
        assert_eq!((net.passes, outcomes), (1024 * 5, vec![Outcome::Ok; 2]));
        let sum: Vec<f32> = weights.iter().map(|w| (w * w / 5.25) as f32).collect();
        close(&found[0], &sum, 0.01);
        let v = a.map(|a| 1.0 / (3.0 * (1.0 + a) * (1.0 + a)));
        let all: f64 = v.iter().map(|v| 1.0 + v).product();
        let total = v.map(|v| (v * all / (1.0 + v) / (all - 1.0)) as f32);
        close(&found[1], &total, 0.02);
    }

    fn given(design: &[f32], net: &mut Net<'_>) -> Result<Vec<Vec<f32>>, Error> {
        let (labels, x) = (labels(), [1.0; 8]);
        let mut storage = [9.0; 2];
        let method = Sobol {
            segments: Segments::new(&labels),
            fill: Fill::Colour([0.0; 4]),
            designs: 1,
            design: Some(design),
            storage: RefCell::new(&mut storage),
        };
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0],
            score: None,
            seed: 11,
        };
        explain(&method, net, &query, &mut StopAfter(u64::MAX)).map(|(maps, _)| maps)
    }

    /// The points that would have been drawn give the same bits; all pairs of
    /// corners, for a sum of a_i m_i, are ST_i = a_i^2 / sum a^2 but for the N / (N - 1)
    /// of the variance: the mean of (A_i - B_i)^2 is 1/2 and f(A) varies by sum a^2 / 4.
    #[test]
    fn designs_of_ones_own() {
        let product = || Net::new(SHAPE, 1, |x, _| f64::from(x[0] * x[2] + 0.3 * x[4]));
        let drawn: Vec<f32> = (0..16)
            .flat_map(|row| (0..8).map(move |dimension| scrambled_sobol(4, row, dimension)))
            .collect();
        let own = given(&drawn, &mut product()).unwrap();
        let built = run(&mut product(), 16, u64::MAX).0;
        assert_eq!(
            [own[0][0], own[0][2], own[0][4], own[0][6]][..],
            built[0][..]
        );
        let corners: Vec<f32> = (0..256)
            .flat_map(|row| (0..8).map(move |bit| (row >> bit & 1) as f32))
            .collect();
        let weights = [2.0, -1.0, 0.0, 0.5];
        let mut sum = Net::new(SHAPE, 1, move |x, _| {
            (0..4).map(|s| weights[s] * f64::from(x[2 * s])).sum()
        });
        let found = given(&corners, &mut sum).unwrap();
        assert_eq!(sum.passes, 256 * 5);
        for (s, w) in weights.iter().enumerate() {
            let expected = w * w / 5.25 * 255.0 / 256.0;
            close(&found[0][2 * s..2 * s + 1], &[expected as f32], 1e-5);
        }
        let bad = |name| Err(Error::BadParameter(name));
        let mut refused = |design: &[f32]| given(design, &mut sum);
        assert_eq!(refused(&[0.5; 20]), bad("design of segments"));
        assert_eq!(refused(&[1.5; 16]), bad("design of segments"));
        assert_eq!(refused(&[f32::NAN; 16]), bad("design of segments"));
        assert_eq!(refused(&[0.5; 8]), bad("number of designs"));
        assert_eq!(refused(&[]), bad("number of designs"));
    }

    #[test]
    fn stopping_flat_and_bad_parameters() {
        let net = || Net::new(SHAPE, 1, |x, _| f64::from(x[0] * x[2] + x[4]));
        let (cut, outcomes) = run(&mut net(), 16, 43);
        assert_eq!(
            outcomes,
            [Outcome::Partial {
                done: 43,
                total: 80
            }]
        );
        assert_eq!(cut, run(&mut net(), 8, u64::MAX).0);
        let mut constant = Net::new(SHAPE, 1, |_, _| 0.7);
        assert_eq!(run(&mut constant, 8, u64::MAX).1, [Outcome::Flat]);
        let (x, many) = ([1.0; 129], (0..129).collect::<Vec<u16>>());
        let shape = Shape::new(1, 129, 1);
        let mut wide = Net::new(shape, 1, |_, _| 0.0);
        let query = Query {
            picture: tensor(shape, &x),
            targets: &[0],
            score: None,
            seed: 4,
        };
        let mut error = |labels: &[u16], designs| {
            let mut storage = [0.0; 2];
            let method = Sobol {
                segments: Segments::new(labels),
                fill: Fill::Colour([0.0; 4]),
                designs,
                design: None,
                storage: RefCell::new(&mut storage),
            };
            explain(&method, &mut wide, &query, &mut Figures::default()).unwrap_err()
        };
        assert_eq!(error(&many, 8), Error::BadParameter("number of segments"));
        let one = [0; 129];
        assert_eq!(error(&one, 1), Error::BadParameter("number of designs"));
    }
}
