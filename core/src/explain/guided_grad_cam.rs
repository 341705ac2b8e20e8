//! Guided Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391, section 3.2):
//! guided backpropagation times the positive part of Grad-CAM, enlarged to the
//! picture.
//!
//! Enlarged bilinearly with half-pixel centres, or each pixel as the place that
//! it lies in (`nearest`, Captum's default). Default score: logit. Cost: 2
//! forwards, 2 backwards a target; scratch: Grad-CAM's, the layer's places, one
//! number a pixel.

use super::gradient::{NOT_REACHED, backpropagate};
use super::pass::{Passes, fronts, judge, prepare};
use super::{Cost, GradCam, Method, Outcome, Progress, Query, upsample_bilinear, upsample_nearest};
use crate::classifier::{At, Classifier, Rule};
use crate::error::Error;
use crate::tensor::Shape;

/// Guided backpropagation where Grad-CAM sees evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuidedGradCam {
    /// Grad-CAM's layer; there is no default.
    pub layer: Option<At>,
    /// Whether a pixel takes the value of the place that it lies in.
    pub nearest: bool,
}

/// Steps of one of two runs, counted on.
struct Part<'p, 's> {
    passes: &'p mut Passes<'s>,
    stopped: bool,
}

impl Progress for Part<'_, '_> {
    fn step(&mut self, _done: u64, _total: u64) -> bool {
        self.stopped |= self.passes.step().is_err();
        !self.stopped
    }
}

impl GuidedGradCam {
    const fn grad_cam(&self) -> GradCam {
        GradCam {
            layer: self.layer,
            relu: true,
        }
    }

    /// Multiplies a map of the picture with Grad-CAM's, enlarged into `pixels`.
    fn multiply(
        &self,
        (cam, from): (&[f32], Shape),
        (map, to): (&mut [f32], Shape),
        pixels: &mut [f32],
    ) -> Result<(), Error> {
        let (from, sides) = ([from.h, from.w], [to.h, to.w]);
        match self.nearest {
            true => upsample_nearest(cam, from, sides, pixels)?,
            false => upsample_bilinear(cam, from, sides, pixels)?,
        }
        for (pixel, weight) in map.chunks_exact_mut(to.c.max(1)).zip(pixels) {
            for value in pixel {
                *value *= *weight;
            }
        }
        Ok(())
    }
}

impl Method for GuidedGradCam {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        self.grad_cam().map_shape(classifier)?;
        Ok(classifier.input())
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let cam = self.grad_cam().cost(classifier, targets)?;
        let places = self.grad_cam().map_shape(classifier)?.len();
        Ok(Cost {
            forward: 2,
            backward: 2 * targets as u64,
            scratch: cam.scratch + targets * places + classifier.input().area(),
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
        let (cam, targets) = (self.grad_cam(), query.targets.len());
        let (from, to) = (cam.map_shape(classifier)?, classifier.input());
        let own = cam.cost(classifier, targets)?.scratch;
        let (cams, rest) = fronts(scratch, targets * from.len(), to.area() + own)?;
        let (pixels, own) = rest
            .split_at_mut_checked(to.area())
            .ok_or(Error::Internal)?;
        let mut passes = Passes::new(progress, 2 * (1 + targets as u64));
        let mut part = Part {
            passes: &mut passes,
            stopped: false,
        };
        cam.explain(classifier, query, cams, outcomes, own, &mut part)?;
        if part.stopped {
            prepare(query, classifier.classes(), to, maps, outcomes)?
                .1
                .fill(NOT_REACHED);
            return Ok(());
        }
        let rule = Rule::Guided;
        backpropagate(rule, classifier, query, maps, outcomes, &mut part)?;
        let mut cams = cams.chunks_exact(from.len().max(1));
        // By reference, or the two would be counted by a division.
        let maps = maps.chunks_exact_mut(to.len().max(1)).zip(cams.by_ref());
        for ((map, cam), outcome) in maps.zip(outcomes) {
            if matches!(outcome, Outcome::Ok | Outcome::Flat) {
                self.multiply((cam, from), (map, to), pixels)?;
                *outcome = judge(map);
            }
        }
        Ok(())
    }
}
