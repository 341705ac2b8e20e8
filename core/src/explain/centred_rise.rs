//! RISE, centred: what keeping a pixel adds to the mean score, and how many
//! masks that takes (Petsiuk et al. 2018, arXiv 1806.07421).
//!
//! RISE's map is the mean score of the masks that keep a pixel, a large constant
//! with the evidence on top, and uneven coverage times that constant is its
//! strongest noise. Here each pixel's sum is divided by the sum of its own mask
//! weights and the mean score is subtracted,
//! sum_i (f_i - f) M_i / sum_i M_i with f = sum_i f_i |M_i| / sum_i |M_i|, so the map
//! is signed and its mean, weighted by coverage, is 0.
//!
//! With a `tolerance` masks fall to two halves, 64 by turns. Their maps' correlation r
//! foretells that of the whole map with one of as many other masks, 2 r / (1 + r)
//! (Spearman and Brown 1910); once that is within the tolerance of 1 for every
//! target the method ends. Beside the map: `agreement`, that number, and `masks`.
//!
//! All targets share the passes. Default score: probability. Cost: N forward at most;
//! scratch: RISE's with coverage, and with a tolerance one more map a target and coverage.

use super::pass::{Passes, fronts, prepare, unless_stopped};
use super::rise::{differs, nothing_yet};
use super::{Cost, Method, Outcome, Progress, Query, Rise};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::{MaskSums, Masked};
use crate::tensor::Shape;

/// Masks that go to one half before the other's turn.
const TURN: usize = 64;

/// What keeping a pixel adds to the mean score.
#[derive(Clone, Copy, Debug, Default)]
pub struct CentredRise<'a> {
    /// The masks; its divisor does not matter.
    pub rise: Rise<'a>,
    /// How far from 1 the agreement may be that ends the masks, above 0, below 1;
    /// `None` asks all masks.
    pub tolerance: Option<f32>,
}

impl CentredRise<'_> {
    fn check(&self) -> Result<(), Error> {
        let tolerance = self.tolerance.unwrap_or(0.5);
        if tolerance > 0.0 && tolerance < 1.0 {
            Ok(())
        } else {
            Err(Error::BadParameter("tolerance of RISE"))
        }
    }

    const fn halves(&self) -> usize {
        if self.tolerance.is_some() { 2 } else { 1 }
    }
}

/// Sums of one half: the maps of all targets and their coverage.
struct Half<'s> {
    maps: &'s mut [f32],
    coverage: &'s mut [f32],
}

/// Pearson's correlation of two maps, each divided by its own coverage.
fn correlation([a, cover_a]: [&[f32]; 2], [b, cover_b]: [&[f32]; 2]) -> Option<f64> {
    let value = |sum: &f32, cover: &f32| {
        let cover = if *cover > 0.0 { *cover } else { 1.0 };
        f64::from(*sum) / f64::from(cover)
    };
    let pairs = || {
        let a = a.iter().zip(cover_a).map(|(s, c)| value(s, c));
        a.zip(b.iter().zip(cover_b).map(|(s, c)| value(s, c)))
    };
    let count = a.len() as f64;
    let (sum_a, sum_b) = pairs().fold((0.0, 0.0), |(x, y), (a, b)| (x + a, y + b));
    let (mean_a, mean_b) = (sum_a / count, sum_b / count);
    let [mut aa, mut bb, mut ab] = [0.0; 3];
    for (a, b) in pairs() {
        let (a, b) = (a - mean_a, b - mean_b);
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / libm::sqrt(aa * bb))
}

/// What the correlation of two halves foretells of the whole.
fn foretold(r: f64) -> f64 {
    if r > 0.0 { 2.0 * r / (1.0 + r) } else { 0.0 }
}

/// The agreement of one target's halves; 1 for a score that no mask moves.
fn agreement(halves: &[Half<'_>; 2], t: usize, area: usize, range: &[f32]) -> f64 {
    if !differs(range) {
        return 1.0;
    }
    let [a, b] = halves.each_ref().map(|half| {
        let map = half.maps.get(t * area..(t + 1) * area);
        [map.unwrap_or_default(), &*half.coverage]
    });
    correlation(a, b).map_or(0.0, foretold)
}

/// Divides by coverage and subtracts the mean score.
fn centre(map: &mut [f32], coverage: &[f32]) {
    let add = |sum: f64, value: &f32| sum + f64::from(*value);
    let (scores, weights) = (map.iter().fold(0.0, add), coverage.iter().fold(0.0, add));
    let mean = if weights > 0.0 { scores / weights } else { 0.0 };
    for (value, &cover) in map.iter_mut().zip(coverage) {
        *value = if cover > 0.0 {
            (f64::from(*value) / f64::from(cover) - mean) as f32
        } else {
            0.0
        };
    }
}

impl Method for CentredRise<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        self.rise.map_shape(classifier)
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.check()?;
        let input = classifier.input();
        let sums = input.area() + (self.halves() - 1) * input.area() * (targets + 1);
        Ok(Cost {
            forward: self.rise.count(input)? as u64,
            backward: 0,
            scratch: classifier.classes() + input.w + 2 * targets + sums,
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
        self.check()?;
        let (input, classes) = (classifier.input(), classifier.classes());
        let count = self.rise.count(input)?;
        let (area, targets) = (input.area(), query.targets);
        let shape = Shape::new(input.h, input.w, 1);
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let other = (self.halves() - 1) * area * targets.len();
        let covers = self.halves() * area;
        let ranges = 2 * targets.len();
        let (scores, rest) = fronts(scratch, classes, input.w + ranges + other + covers)?;
        let (row, rest) = fronts(rest, input.w, ranges + other + covers)?;
        let (ranges, rest) = fronts(rest, ranges, other + covers)?;
        let (other, covers) = fronts(rest, other, covers)?;
        let (cover, other_cover) = covers.split_at_mut_checked(area).ok_or(Error::Internal)?;
        other.fill(0.0);
        cover.fill(0.0);
        other_cover.fill(0.0);
        for range in ranges.as_chunks_mut::<2>().0 {
            *range = [f32::INFINITY, f32::NEG_INFINITY];
        }
        let mut halves = [
            Half {
                maps,
                coverage: cover,
            },
            Half {
                maps: other,
                coverage: other_cover,
            },
        ];
        let mut passes = Passes::new(progress, count as u64);
        let score = query.score.unwrap_or(Score::Probability);
        let turn = if self.tolerance.is_some() {
            TURN
        } else {
            count
        };
        let mut begin = 0;
        while begin < count && passes.done == begin as u64 {
            let more = turn.min(count - begin);
            let at = (begin / turn.max(1)) % self.halves();
            let half = halves.get_mut(at).ok_or(Error::Internal)?;
            let mut sums = MaskSums {
                targets,
                maps: half.maps,
                coverage: half.coverage,
                ranges: &mut *ranges,
                row: &mut *row,
            };
            let view = |i: usize| Masked {
                picture: query.picture,
                fill: self.rise.fill,
                mask: self.rise.mask(query.seed, begin + i, area),
            };
            let mut after = || passes.step();
            let asked = classifier.weigh_masks(more, &view, score, scores, &mut sums, &mut after);
            unless_stopped(asked)?;
            begin += more;
            let Some(tolerance) = self.tolerance.filter(|_| at == 1) else {
                continue;
            };
            let each = ranges.as_chunks::<2>().0.iter().enumerate();
            let least = each.map(|(t, range)| agreement(&halves, t, area, range));
            if least.fold(1.0, f64::min) >= 1.0 - f64::from(tolerance) {
                passes.total = passes.done;
                break;
            }
        }
        self.finish(&mut halves, (area, ranges), outcomes, &mut passes);
        Ok(())
    }
}

impl CentredRise<'_> {
    /// Brings the halves together in the first.
    fn finish(
        &self,
        halves: &mut [Half<'_>; 2],
        (area, ranges): (usize, &[f32]),
        outcomes: &mut [Outcome],
        passes: &mut Passes<'_>,
    ) {
        for (t, range) in ranges.as_chunks::<2>().0.iter().enumerate() {
            if self.tolerance.is_some() {
                passes.note(t, "agreement", agreement(halves, t, area, range));
            }
            passes.note(t, "masks", passes.done as f64);
        }
        let [first, second] = halves;
        for (sum, more) in first.maps.iter_mut().zip(second.maps.iter()) {
            *sum += more;
        }
        for (sum, more) in first.coverage.iter_mut().zip(second.coverage.iter()) {
            *sum += more;
        }
        let maps = first.maps.chunks_exact_mut(area.max(1)).zip(outcomes);
        for ((map, outcome), range) in maps.zip(ranges.as_chunks::<2>().0) {
            centre(map, first.coverage);
            *outcome = match passes.judge(map) {
                Outcome::Ok if !differs(range) => Outcome::Flat,
                Outcome::Partial { .. } if !differs(range) => nothing_yet(map),
                outcome => outcome,
            };
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::StoredMasks;
    use crate::explain::nets::{Figures, Net, StopAfter, close, explain, tensor};
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(6, 9, 1);

    fn wave(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    fn query(x: &[f32]) -> Query<'_> {
        Query {
            picture: tensor(SHAPE, x),
            targets: &[0],
            score: None,
            seed: 7,
        }
    }

    /// sum (f - mean f) m / sum m in f64, from masks that are written out.
    #[test]
    fn stored_masks_in_closed_form() {
        let masks: Vec<f32> = (0..5 * 54).map(|i| (i * 89 % 256) as f32 / 255.0).collect();
        let (x, weights) = (wave(54, 0.7), [wave(54, 1.9)]);
        let method = CentredRise {
            rise: Rise {
                stored: Some(StoredMasks::Floats(&masks)),
                ..Rise::default()
            },
            tolerance: None,
        };
        let mut net = Net::linear(SHAPE, &weights);
        let (found, _) = explain(&method, &mut net, &query(&x), &mut Figures::default()).unwrap();
        let masks: Vec<&[f32]> = masks.chunks_exact(54).collect();
        let score = |m: &[f32]| -> f64 {
            let each = (0..54).map(|i| f64::from(weights[0][i] * m[i] * x[i]));
            each.sum()
        };
        let size = |m: &[f32]| -> f64 { m.iter().map(|m| f64::from(*m)).sum() };
        let mean = masks.iter().map(|m| score(m) * size(m)).sum::<f64>()
            / masks.iter().map(|m| size(m)).sum::<f64>();
        let value = |p: usize| {
            let weight: f64 = masks.iter().map(|m| f64::from(m[p])).sum();
            let sum: f64 = masks
                .iter()
                .map(|m| (score(m) - mean) * f64::from(m[p]))
                .sum();
            (sum / weight) as f32
        };
        close(&found[0], &(0..54).map(value).collect::<Vec<_>>(), 1e-5);
    }

    /// A score of one pixel needs few masks for the same map; the agreement that
    /// is told is about the correlation with a map of other masks.
    #[test]
    fn it_stops_where_halves_agree() {
        let x = vec![1.0; 54];
        let net = || Net::new(SHAPE, 1, |x, _| f64::from(x[22]) + 0.3 * f64::from(x[50]));
        let rise = |masks| Rise {
            masks,
            ..Rise::default()
        };
        let run = |masks, tolerance, seed| {
            let method = CentredRise {
                rise: rise(masks),
                tolerance,
            };
            let (mut net, mut notes) = (net(), Figures::default());
            let query = Query { seed, ..query(&x) };
            let (map, outcomes) = explain(&method, &mut net, &query, &mut notes).unwrap();
            (map[0].clone(), outcomes[0], net.passes, notes)
        };
        let (stopped, outcome, passes, notes) = run(20_000, Some(0.1), 1);
        assert_eq!(outcome, Outcome::Ok);
        assert!(passes < 4000 && passes.is_multiple_of(2 * TURN), "{passes}");
        let told = notes.of(0, "agreement");
        assert!(told >= 0.9 && notes.of(0, "masks") == passes as f64);
        let (other, ..) = run(passes as u32, None, 2);
        let ones = vec![1.0; 54];
        let true_agreement = correlation([&stopped, &ones], [&other, &ones]).unwrap();
        assert!(
            (true_agreement - told).abs() < 0.12,
            "{true_agreement} {told}"
        );
        // The same masks without halves: the same map but for rounding.
        let (whole, ..) = run(passes as u32, None, 1);
        close(&stopped, &whole, 1e-5);
        let strongest = (0..54)
            .max_by(|a, b| whole[*a].total_cmp(&whole[*b]))
            .unwrap();
        assert!([13, 21, 22, 23, 31].contains(&strongest), "{strongest}");
    }

    #[test]
    fn stopping_flat_and_bad_parameters() {
        let x = wave(54, 0.7);
        let mut net = Net::new(SHAPE, 1, |_, _| 0.7);
        let rise = Rise {
            masks: 300,
            ..Rise::default()
        };
        let with = |tolerance| CentredRise { rise, tolerance };
        let silent = &mut Figures::default();
        let (_, outcomes) = explain(&with(Some(0.2)), &mut net, &query(&x), silent).unwrap();
        assert_eq!((outcomes, net.passes), (vec![Outcome::Flat], 2 * TURN));
        let mut sum = Net::new(SHAPE, 1, |x, _| x.iter().map(|x| f64::from(*x)).sum());
        for tolerance in [None, Some(1e-6)] {
            let stop = &mut StopAfter(200);
            let (_, outcomes) = explain(&with(tolerance), &mut sum, &query(&x), stop).unwrap();
            let partial = Outcome::Partial {
                done: 200,
                total: 300,
            };
            assert_eq!(outcomes, [partial]);
        }
        for tolerance in [0.0, 1.0, f32::NAN] {
            let error = explain(&with(Some(tolerance)), &mut sum, &query(&x), silent);
            assert_eq!(error, Err(Error::BadParameter("tolerance of RISE")));
        }
    }
}
