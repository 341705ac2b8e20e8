//! HSIC attribution (Novello et al. 2022, arXiv 2206.06219): how much the score
//! depends on whether a segment shows, by the Hilbert-Schmidt independence
//! criterion (Gretton et al. 2005).
//!
//! N masks hide segments by fair coins. With K_ab = 1/2 - (m_a - m_b)^2 of a
//! segment's coins (equal 1/2, else -1/2), L_ab = exp(-(y_a - y_b)^2 / (2 w^2)) of the
//! scores and H the centring matrix, a segment's value is tr(K H L H) / (N - 1)^2:
//! 0 if score and segment are independent, more the more they depend, without a
//! direction. K = s s' / 2 with s = +-1, so the trace is (H s)' L (H s) / 2 and no
//! matrix is stored. w is the median distance of the scores of N / 2 disjoint
//! pairs of masks (the paper takes a median; pairs keep memory at N). Beside the
//! map: `width`. A design of one's own gives the masks instead of the coins.
//!
//! All targets share the passes. Default score: probability. Cost: N forward, then N^2 /
//! 2 exponentials a target; scratch: 32 rows of one weight a segment, classes, N a target and N / 2.

use super::pass::{Passes, front, fronts, prepare, score_of, unless_stopped};
use super::segmented::{BATCH, Cut, coins, given, rows_of};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::mask::Fill;
use crate::metric::order::sort;
use crate::segment::Segments;
use crate::tensor::Shape;

/// Fewest masks.
const LEAST: usize = 4;

/// How much the score depends on a segment.
#[derive(Clone, Copy, Debug)]
pub struct Hsic<'a> {
    /// The segments.
    pub segments: Segments<'a>,
    /// What hides them.
    pub fill: Fill<'a>,
    /// Number of masks, at least 4; the paper's is about 500.
    pub samples: u32,
    /// These masks instead of coins: one byte a segment, 0 or 1, mask by mask.
    pub design: Option<&'a [u8]>,
}

impl Hsic<'_> {
    /// Number of masks.
    fn count(&self) -> Result<usize, Error> {
        let count = match self.design {
            Some(design) => rows_of(design, self.segments.count())?,
            None => self.samples as usize,
        };
        if count < LEAST {
            return Err(Error::BadParameter("number of samples"));
        }
        Ok(count)
    }

    /// Mask `i`.
    fn row(&self, seed: u64, i: usize, weights: &mut [f32]) -> Result<(), Error> {
        match self.design {
            Some(design) => given(design, i, weights),
            None => {
                coins(seed, i as u32, weights);
                Ok(())
            }
        }
    }

    /// Rows of coins that the sums need, and the mean coin of each segment.
    const fn rows(&self) -> usize {
        4 * self.segments.count()
    }

    /// tr(K H L H) / (N - 1)^2 of each segment.
    fn depend<'r>(
        &self,
        seed: u64,
        scores: &[f32],
        width: f32,
        rows: &'r mut [f32],
    ) -> Result<&'r [f32], Error> {
        let segments = self.segments.count();
        let (means, rest) = fronts(rows, segments, 3 * segments)?;
        let (values, rest) = fronts(rest, segments, 2 * segments)?;
        let (first, second) = fronts(rest, segments, segments)?;
        means.fill(0.0);
        values.fill(0.0);
        let count = scores.len() as f32;
        for i in 0..scores.len() {
            self.row(seed, i, first)?;
            for (mean, kept) in means.iter_mut().zip(first.iter()) {
                *mean += kept / count;
            }
        }
        // H s = 2 (m - mean m): (H s)' L (H s) / 2 = 2 sum_ab L_ab (m_a - mean)(m_b - mean).
        let share = 2.0 / ((count - 1.0) * (count - 1.0));
        for (a, score_a) in scores.iter().enumerate() {
            self.row(seed, a, first)?;
            for (b, score_b) in scores.iter().enumerate().take(a + 1) {
                self.row(seed, b, second)?;
                let distance = (score_a - score_b) / width;
                let twice = if a == b { 1.0 } else { 2.0 };
                let kernel = twice * share * libm::expf(-0.5 * distance * distance);
                let pairs = first.iter().zip(second.iter()).zip(means.iter());
                for (value, ((a, b), mean)) in values.iter_mut().zip(pairs) {
                    *value += kernel * (a - mean) * (b - mean);
                }
            }
        }
        Ok(values)
    }
}

impl Method for Hsic<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        self.segments.check(input)?;
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.segments.check(classifier.input())?;
        let samples = self.count()?;
        let cost = Cut::cost(classifier, self.segments.count(), samples as u64);
        Ok(Cost {
            scratch: cost.scratch + targets * samples + samples / 2,
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
        let samples = self.count()?;
        let (maps, outcomes) = prepare(query, classifier.classes(), shape, maps, outcomes)?;
        let targets = query.targets;
        let asking = Cut::scratch(classifier.classes(), self.segments.count());
        let (scores, rest) = fronts(scratch, targets.len() * samples, asking + samples / 2)?;
        let (distances, rest) = fronts(rest, samples / 2, asking)?;
        let cut = Cut::new(query, self.fill, self.segments);
        let mut passes = Passes::new(progress, samples as u64);
        let mut row = |i: usize, weights: &mut [f32]| self.row(query.seed, i, weights);
        let mut sink = |i: usize, _: &[f32], found: &[f32]| {
            for (scores, &target) in scores.chunks_exact_mut(samples.max(1)).zip(targets) {
                if let Some(score) = scores.get_mut(i) {
                    *score = score_of(found, target)?;
                }
            }
            passes.step()
        };
        unless_stopped(cut.ask(classifier, (0, samples), &mut row, rest, &mut sink))?;
        let done = passes.done as usize;
        let each = maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        let each = each.zip(scores.chunks_exact(samples.max(1))).enumerate();
        for (t, ((map, outcome), scores)) in each {
            let scores = scores.get(..done).unwrap_or_default();
            let width = width(scores, distances);
            if width > 0.0 {
                let rows = front(rest, self.rows())?;
                let values = self.depend(query.seed, scores, width, rows)?;
                self.segments
                    .paint(|s| values.get(s).copied().unwrap_or(0.0), map);
            }
            *outcome = passes.judge(map);
            passes.note(t, "width", f64::from(width));
        }
        Ok(())
    }
}

// The rows of coins lie where the masks were.
const _: () = assert!(BATCH >= 4);

/// The median distance of disjoint pairs; their mean where it is 0.
fn width(scores: &[f32], distances: &mut [f32]) -> f32 {
    let pairs = scores.as_chunks::<2>().0;
    let count = pairs.len();
    for (distance, [a, b]) in distances.iter_mut().zip(pairs) {
        *distance = libm::fabsf(a - b);
    }
    let distances = distances.get_mut(..count).unwrap_or_default();
    // They are equal where their bits are, so no order among equals shows.
    sort(distances, &|a: &f32, b| a.total_cmp(b).is_lt());
    match distances.get(count / 2) {
        Some(median) if *median > 0.0 => *median,
        _ => distances.iter().sum::<f32>() / count.max(1) as f32,
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::nets::{Figures, Net, StopAfter, close, explain, tensor};
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(2, 5, 1);

    fn labels() -> Vec<u16> {
        (0..10).map(|i| i / 2).collect()
    }

    fn net() -> Net<'static> {
        Net::new(SHAPE, 2, |x, k| match k {
            0 => f64::from(3.0 * x[0] - x[4]),
            _ => 0.25,
        })
    }

    fn query(x: &[f32]) -> Query<'_> {
        Query {
            picture: tensor(SHAPE, x),
            targets: &[0, 1],
            score: None,
            seed: 6,
        }
    }

    /// tr(K H L H) / (N - 1)^2 with matrices, in f64.
    #[test]
    fn matrices_written_out() {
        let (labels, x, n) = (labels(), [1.0; 10], 60);
        let method = Hsic {
            segments: Segments::new(&labels),
            fill: Fill::Colour([0.0; 4]),
            samples: n as u32,
            design: None,
        };
        let mut figures = Figures::default();
        let (found, outcomes) = explain(&method, &mut net(), &query(&x), &mut figures).unwrap();
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Flat]);
        let mut m = vec![[0.0; 5]; n];
        for (i, row) in m.iter_mut().enumerate() {
            coins(6, i as u32, row);
        }
        let y: Vec<f64> = m.iter().map(|m| f64::from(3.0 * m[0] - m[2])).collect();
        let w = figures.of(0, "width");
        let h = |a: usize, b: usize| f64::from(u8::from(a == b)) - 1.0 / n as f64;
        let square = |f: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
            (0..n).map(|a| (0..n).map(|b| f(a, b)).collect()).collect()
        };
        let times = |p: &[Vec<f64>], q: &[Vec<f64>]| {
            square(&|a, b| (0..n).map(|c| p[a][c] * q[c][b]).sum())
        };
        let (centre, l) = (
            square(&h),
            square(&|a, b| (-(y[a] - y[b]).powi(2) / (2.0 * w * w)).exp()),
        );
        let hlh = times(&times(&centre, &l), &centre);
        for s in 0..5 {
            let k = square(&|a, b| 0.5 - f64::from(m[a][s] - m[b][s]).powi(2));
            let trace: f64 = (0..n).map(|a| times(&k, &hlh)[a][a]).sum();
            let expected = (trace / ((n - 1) * (n - 1)) as f64) as f32;
            close(&found[0][2 * s..2 * s + 1], &[expected], 1e-5);
        }
        // Segments 1, 3 and 4 do not matter.
        let of = |s: usize| found[0][2 * s];
        assert!([1, 3, 4].iter().all(|s| of(*s) < 0.25 * of(0)) && of(2) < of(0));
    }

    /// The coins that would have been thrown give the same bits. All corners and a
    /// score of the first segment alone: half of the pairs of masks are 1 apart, which is the
    /// width, so its value is N^2 (1 - e^-1/2) / (4 (N - 1)^2), and 0 is the others'.
    #[test]
    fn designs_of_ones_own() {
        let (labels, x) = (labels(), [1.0; 10]);
        let ask = |net: &mut Net<'_>, design: Option<&[u8]>| {
            let method = Hsic {
                segments: Segments::new(&labels),
                fill: Fill::Colour([0.0; 4]),
                samples: 40,
                design,
            };
            explain(&method, net, &query(&x), &mut Figures::default()).map(|found| found.0)
        };
        let mut thrown = [[0.0; 5]; 40];
        for (row, i) in thrown.iter_mut().zip(0..) {
            coins(6, i, row);
        }
        let thrown: Vec<u8> = thrown.iter().flatten().map(|m| *m as u8).collect();
        let built = ask(&mut net(), None).unwrap();
        assert_eq!(ask(&mut net(), Some(&thrown)).unwrap(), built);
        let corners: Vec<u8> = (0..32)
            .flat_map(|row| (0..5).map(move |bit| row >> bit & 1))
            .collect();
        let mut sum = Net::new(SHAPE, 2, |x, k| f64::from(x[0] + 3.0 * x[4] * k as f32));
        let found = ask(&mut sum, Some(&corners)).unwrap();
        assert_eq!(sum.passes, 32);
        let expected = 1024.0 * (1.0 - (-0.5f32).exp()) / (4.0 * 961.0);
        close(&found[0][..2], &[expected; 2], 1e-5);
        close(&found[0][2..], &[0.0; 8], 1e-5);
        let bad = |name| Err(Error::BadParameter(name));
        let mut refused = |design: &[u8]| ask(&mut sum, Some(design));
        assert_eq!(refused(&[1; 21]), bad("design of segments"));
        assert_eq!(refused(&[2; 20]), bad("design of segments"));
        assert_eq!(refused(&[1; 15]), bad("number of samples"));
    }

    #[test]
    fn stopping_and_bad_parameters() {
        let (labels, x) = (labels(), [1.0; 10]);
        let hsic = |samples| Hsic {
            segments: Segments::new(&labels),
            fill: Fill::Colour([0.0; 4]),
            samples,
            design: None,
        };
        let ask =
            |samples, stop| explain(&hsic(samples), &mut net(), &query(&x), &mut StopAfter(stop));
        let (cut, outcomes) = ask(40, 24).unwrap();
        assert_eq!(
            outcomes[0],
            Outcome::Partial {
                done: 24,
                total: 40
            }
        );
        assert_eq!(cut[0], ask(24, 99).unwrap().0[0]);
        assert_eq!(ask(3, 9), Err(Error::BadParameter("number of samples")));
    }
}
