//! The smallest sufficient region as one figure: the share of the picture in
//! the boxes of HOC's finest layer, which alone are enough for the class. It
//! says how much the network needs, whatever the map is.

use core::cell::RefCell;

use super::pass::{check, cut};
use super::table::{baseline, parameter};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::hoc::{Region, Step, Storage};
use crate::explain::{Cost, Hoc};
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "sufficient-region",
    summary: "share of the picture in the smallest boxes that are enough for the class",
    family: Family::Complexity,
    range: [0.0, 1.0],
    better: Better::Lower,
    needs: Needs::Scores,
    per_class: true,
    paper: "hierarchical occlusion counterfactual, MindSpore XAI 1.5",
    parameters: &[
        parameter("threshold", "0.5", "probability that is enough"),
        parameter(
            "windows",
            "halves of the short side, 28 pixels or more",
            "side of the boxes of each layer, descending, with /",
        ),
        parameter(
            "strides",
            "a fifth of each window",
            "distance of neighbouring boxes of each layer, with /",
        ),
        baseline("blur"),
    ],
};

/// Share of the picture that is enough.
#[derive(Debug)]
pub struct SufficientRegion<'a, 's> {
    /// Probability that is enough.
    pub threshold: f32,
    /// As [`Hoc::windows`].
    pub windows: &'a [usize],
    /// As [`Hoc::strides`].
    pub strides: &'a [usize],
    /// Memory of the search.
    pub storage: RefCell<Storage<'s>>,
}

impl<'a> SufficientRegion<'a, '_> {
    fn hoc(&self) -> Hoc<'a> {
        Hoc {
            threshold: self.threshold,
            windows: self.windows,
            strides: self.strides,
            ..Hoc::default()
        }
    }
}

impl Metric for SufficientRegion<'_, '_> {
    fn cost(&self, input: Shape, classes: usize, _explanation: Cost) -> Cost {
        Cost {
            forward: self.hoc().most_passes(input).unwrap_or(0),
            backward: 0,
            scratch: input.area() + classes,
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        let input = check(classifier, subject)?;
        let (scores, scratch) = cut(scratch, classifier.classes())?;
        let (marks, _) = cut(scratch, input.area())?;
        let mut storage = self.storage.try_borrow_mut().map_err(|_| Error::BadOrder)?;
        let hoc = Hoc {
            fill: subject.fill,
            ..self.hoc()
        };
        let question = (subject.picture, subject.target, Score::Probability);
        let found = hoc.search(classifier, question, &mut storage, scores, witness)?;
        match found {
            Err(none) => Ok(Scored::Undefined(none.reason())),
            Ok(region) if !region.complete => Err(Error::Stopped),
            Ok(region) => {
                let last = region.layers.saturating_sub(1);
                let inside = share(&region, storage.steps, last, input, marks);
                if let Some(probability) = region.probabilities().last() {
                    witness.part("probability", f64::from(probability));
                }
                Ok(Scored::finite(inside))
            }
        }
    }
}

/// Share of the picture in the boxes of a layer.
fn share(region: &Region, steps: &[Step], layer: usize, input: Shape, marks: &mut [f32]) -> f64 {
    marks.fill(0.0);
    for step in region.layer(steps, layer) {
        let window = step.window.cut(input);
        let rows = marks.chunks_exact_mut(input.w.max(1));
        for row in rows.skip(window.y).take(window.h) {
            let inside = row.iter_mut().skip(window.x).take(window.w);
            inside.for_each(|mark| *mark = 1.0);
        }
    }
    let inside = marks.iter().filter(|mark| **mark > 0.0).count();
    inside as f64 / input.area() as f64
}
