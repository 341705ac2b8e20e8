//! A policy applied to a picture on the host.

use foveola_core::audit::judge::{Judgement, Reason, judge};
use foveola_core::audit::policy::{Policy, Rule, Unit};
use foveola_core::explain::{strongest_channel, upsample_bilinear};
use foveola_core::{Score, Shape};
use image::RgbImage;

use super::bench::{Bench, RawMap};
use super::policy::PolicyError;
use crate::explainer::{ExplainError, best};
use crate::method_spec::MethodSpec;
use crate::photo::Photo;
use crate::report::overlay::{Figure, draw_boxed};

/// What a rule makes of one class's map.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The judgement.
    pub judgement: Judgement,
    /// The class that the map explains.
    pub target: usize,
    /// The method.
    pub method: MethodSpec,
    /// The map.
    pub map: RawMap,
    /// The region, in pixels: x, y, width, height.
    pub boxes: Vec<[f32; 4]>,
}

/// Holds a picture to every rule, in order.
///
/// # Errors
/// A network or method that fails.
pub fn judge_all(
    policy: &Policy<'_>,
    bench: &mut Bench,
    photo: &Photo,
) -> Result<Vec<Judged>, PolicyError> {
    let probabilities = bench.scores(photo, Score::Probability, 0);
    let best = best(&probabilities.map_err(ExplainError::Classifier)?);
    let mut all = Vec::new();
    for rule in policy.rules() {
        for target in rule.targets.classes(best) {
            all.push(one(policy, &rule, target, bench, photo)?);
        }
    }
    Ok(all)
}

fn one(
    policy: &Policy<'_>,
    rule: &Rule<'_>,
    target: usize,
    bench: &mut Bench,
    photo: &Photo,
) -> Result<Judged, PolicyError> {
    let map = bench.map(photo, &rule.explain(target), 0)?;
    let input = bench.file().input();
    let judged = judge(rule, &map.values, map.shape, input, map.outcome);
    let mut judgement = judged.map_err(ExplainError::Classifier)?;
    let most = policy.limits().ram.map_or(usize::MAX, |ram| ram as usize);
    if map.memory > most {
        judgement = Judgement::failed(rule.number, Reason::Memory);
    }
    Ok(Judged {
        judgement,
        target,
        method: bench.spec(&rule.call)?,
        map,
        boxes: pixels(rule, input),
    })
}

/// The boxes of a rule in pixels of the input.
fn pixels(rule: &Rule<'_>, input: Shape) -> Vec<[f32; 4]> {
    let [across, down] = match rule.unit {
        Unit::Pixels => [1.0, 1.0],
        Unit::Fractions => [input.w as f32, input.h as f32],
    };
    let scaled = rule.boxes.iter().map(|b| {
        let [x, y, w, h] = [b.x, b.y, b.w, b.h].map(|side| side.get());
        [x * across, y * down, w * across, h * down]
    });
    scaled.collect()
}

impl Judged {
    /// PASS or FAIL, and why.
    pub fn words(&self) -> String {
        match self.judgement.reason {
            None => String::from("PASS"),
            Some(reason) => format!("FAIL: {reason}"),
        }
    }

    /// The map over the picture, with the region's boxes.
    pub fn overlay(&self, photo: &Photo, label: &str) -> RgbImage {
        let input = photo.shape();
        let (shape, values) = (self.map.shape, &self.map.values);
        let mut pixels = vec![0.0; input.area()];
        let shown = match [shape.h, shape.w] == [input.h, input.w] {
            true => strongest_channel(values, shape, &mut pixels),
            false => upsample_bilinear(values, [shape.h, shape.w], [input.h, input.w], &mut pixels),
        };
        debug_assert!(shown.is_ok(), "a map has the shape that its method states");
        let flat = self.judgement.reason == Some(Reason::Flat);
        let judgement = &self.judgement;
        let figure = Figure {
            picture: photo.display(),
            map: &pixels,
            heading: format!("{label}: {}", self.words()),
            lines: vec![format!("rule {}, {}", judgement.rule, self.method)],
            sentence: format!(
                "{:.1} % of the evidence lies inside, {:.1} % in the border.",
                100.0 * judgement.inside,
                100.0 * judgement.border
            ),
            reason: flat.then(|| String::from("flat map: no evidence")),
        };
        draw_boxed(&figure, &self.boxes)
    }
}
