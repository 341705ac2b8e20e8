//! Feature ablation: what the score loses when a segment is hidden
//! (Zeiler and Fergus 2014, arXiv 1311.2901, with segments in the place of
//! windows; Captum's `FeatureAblation`).
//!
//! Segment s gets f(x) - f(x without s): above 0 speaks for the class. Every
//! pixel has its segment's value. All targets share the passes. Default score:
//! probability. Cost: 1 forward a segment and one more; scratch: 32 rows of one
//! weight a segment, classes, targets. Captum's numbers, on any segments.

use super::pass::{Passes, fronts, prepare, score_of, unless_stopped};
use super::segmented::Cut;
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::mask::Fill;
use crate::segment::Segments;
use crate::tensor::Shape;

/// What the score loses when a segment is hidden.
#[derive(Clone, Copy, Debug)]
pub struct FeatureAblation<'a> {
    /// The segments.
    pub segments: Segments<'a>,
    /// What hides them.
    pub fill: Fill<'a>,
}

impl Method for FeatureAblation<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        self.segments.check(input)?;
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.segments.check(classifier.input())?;
        let count = self.segments.count();
        let cost = Cut::cost(classifier, count, count as u64 + 1);
        Ok(Cost {
            scratch: cost.scratch + targets,
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
        let (maps, outcomes) = prepare(query, classifier.classes(), shape, maps, outcomes)?;
        let targets = query.targets;
        let count = self.segments.count();
        let asking = Cut::scratch(classifier.classes(), count);
        let (whole, rest) = fronts(scratch, targets.len(), asking)?;
        let cut = Cut::new(query, self.fill, self.segments);
        let mut passes = Passes::new(progress, count as u64 + 1);
        let labels = self.segments.labels();
        // Mask 0 keeps all; mask i hides segment i - 1.
        let mut row = |i: usize, weights: &mut [f32]| {
            for (s, weight) in weights.iter_mut().enumerate() {
                *weight = if s + 1 == i { 0.0 } else { 1.0 };
            }
            Ok(())
        };
        let mut sink = |i: usize, _: &[f32], scores: &[f32]| {
            let maps = maps.chunks_exact_mut(shape.len().max(1));
            for ((&target, whole), map) in targets.iter().zip(whole.iter_mut()).zip(maps) {
                let score = score_of(scores, target)?;
                if i == 0 {
                    *whole = score;
                    continue;
                }
                for (out, label) in map.iter_mut().zip(labels) {
                    if usize::from(*label) + 1 == i {
                        *out = *whole - score;
                    }
                }
            }
            passes.step()
        };
        unless_stopped(cut.ask(classifier, (0, count + 1), &mut row, rest, &mut sink))?;
        let maps = maps.chunks_exact_mut(shape.len().max(1));
        for (map, outcome) in maps.zip(outcomes) {
            *outcome = passes.judge(map);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::Silent;
    use crate::explain::nets::{Net, StopAfter, close, explain, maps, tensor};
    use crate::picture::MAX_CHANNELS;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(5, 7, 2);

    fn wave(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    fn labels() -> Vec<u16> {
        (0..35).map(|i| [3, 0, 2, 1, 1][i * i % 5]).collect()
    }

    fn method(labels: &[u16]) -> FeatureAblation<'_> {
        FeatureAblation {
            segments: Segments::new(labels),
            fill: Fill::Colour([0.25, -0.5, 0.0, 0.0]),
        }
    }

    /// On a linear model a segment's value is its sum of w (x - fill).
    #[test]
    fn a_linear_model_in_closed_form() {
        let (labels, x) = (labels(), wave(70, 0.7));
        let weights = [wave(70, 1.9), wave(70, 0.3)];
        let mut net = Net::linear(SHAPE, &weights);
        let found = maps(&method(&labels), &mut net, tensor(SHAPE, &x), &[1, 0]);
        assert_eq!(net.passes, 5);
        for (map, w) in found.iter().zip([&weights[1], &weights[0]]) {
            let sum = |label: u16| -> f32 {
                let inside = (0..70).filter(|i| labels[i / 2] == label);
                inside.map(|i| w[i] * (x[i] - [0.25, -0.5][i % 2])).sum()
            };
            let expected: Vec<f32> = labels.iter().map(|l| sum(*l)).collect();
            close(map, &expected, 1e-5);
        }
    }

    #[test]
    fn stopping_and_bad_segments() {
        let (labels, x) = (labels(), wave(70, 0.7));
        let weights = [wave(70, 1.9)];
        let mut net = Net::linear(SHAPE, &weights);
        let query = Query {
            picture: tensor(SHAPE, &x),
            targets: &[0],
            score: None,
            seed: 0,
        };
        let method = method(&labels);
        let (cut, outcomes) = explain(&method, &mut net, &query, &mut StopAfter(3)).unwrap();
        assert_eq!(outcomes, [Outcome::Partial { done: 3, total: 5 }]);
        let (whole, _) = explain(&method, &mut net, &query, &mut Silent).unwrap();
        for ((a, b), label) in cut[0].iter().zip(&whole[0]).zip(&labels) {
            assert_eq!(*a, if *label < 2 { *b } else { 0.0 });
        }
        let short = FeatureAblation {
            segments: Segments::new(&labels[1..]),
            fill: Fill::Colour([0.0; MAX_CHANNELS]),
        };
        let bad = Err(Error::BadParameter("size of the segments"));
        assert_eq!(explain(&short, &mut net, &query, &mut Silent), bad);
        let mut flat = Net::new(SHAPE, 1, |_, _| 0.5);
        let (_, outcomes) = explain(&method, &mut flat, &query, &mut Silent).unwrap();
        assert_eq!(outcomes, [Outcome::Flat]);
    }
}
