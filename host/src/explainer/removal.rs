//! What becomes of every class when the segments that speak against one are
//! taken away: the test of a signed map that a person understands at once.

use foveola_core::{Mask, Masked, Score};
use image::{Rgb, RgbImage};
use serde::Serialize;

use super::map::percent;
use super::setting::Setting;
use super::{ExplainError, Explainer, SaliencyMap, wanted};
use crate::method_spec::Parameters;
use crate::photo::Photo;
use crate::report::overlay::luma;
use crate::report::sheet::{self, Cell};

const FOR: Rgb<u8> = Rgb([0, 170, 60]);
const AGAINST: Rgb<u8> = Rgb([215, 40, 40]);
/// Brightness of what is left out.
const DIMMED: f32 = 0.35;

/// A picture without what speaks against a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Removal {
    /// The map, `METHOD.TARGET`.
    pub map: String,
    /// The class.
    pub target: usize,
    /// Share of the picture that was taken away, 0 to 1.
    pub removed: f64,
    /// Probability of every class before.
    pub before: Vec<f32>,
    /// Probability of every class after.
    pub after: Vec<f32>,
    #[serde(skip)]
    heading: String,
    #[serde(skip)]
    pixels: Vec<f32>,
}

impl Explainer {
    /// Takes away what speaks against the class of each signed map over
    /// segments and classifies again; `None` for other maps, and where nothing
    /// speaks against the class.
    ///
    /// # Errors
    /// A model that does not start, or fails on this picture.
    pub fn without_opposing(
        &mut self,
        photo: &Photo,
        maps: &[SaliencyMap],
    ) -> Result<Vec<Option<Removal>>, ExplainError> {
        let specs: Vec<_> = maps.iter().map(|map| map.spec.clone()).collect();
        let running = self.start(&wanted(&specs))?;
        let mut all = Vec::new();
        for map in maps {
            let signed = match &map.spec.parameters {
                Parameters::Segmented(segmented) => segmented.is_signed(),
                _ => false,
            };
            let keep: Vec<f32> = map
                .pixels
                .iter()
                .map(|v| f32::from(u8::from(*v >= 0.0)))
                .collect();
            if !signed || keep.iter().all(|kept| *kept == 1.0) {
                all.push(None);
                continue;
            }
            let setting = Setting::new(&map.spec, photo, running)?;
            let hidden = Masked {
                picture: photo.picture(),
                fill: setting.fill_of_segments(),
                mask: Mask::Soft(&keep),
            };
            let classifier = &mut *running.classifier;
            let mut ask = |x: &Masked<'_>| {
                let mut scores = vec![0.0; classifier.classes()];
                let asked = classifier.classify(x, Score::Probability, &mut scores);
                asked.map(|()| scores).map_err(ExplainError::Classifier)
            };
            let hides = keep.iter().filter(|kept| **kept == 0.0).count();
            all.push(Some(Removal {
                map: map.stem(),
                target: map.target,
                removed: hides as f64 / keep.len().max(1) as f64,
                before: ask(&Masked::whole(photo.picture()))?,
                after: ask(&hidden)?,
                heading: map.heading(),
                pixels: map.pixels.clone(),
            }));
        }
        Ok(all)
    }
}

impl Removal {
    /// How every class's certainty moved, the furthest first, at most five.
    pub fn moves(&self, name: impl Fn(usize) -> String) -> Vec<String> {
        let mut order: Vec<usize> = (0..self.before.len()).collect();
        let moved = |class: &usize| (self.after[*class] - self.before[*class]).abs();
        order.sort_by(|a, b| moved(b).total_cmp(&moved(a)));
        let told = order.into_iter().take(5).map(|class| {
            let (before, after) = (percent(self.before[class]), percent(self.after[class]));
            format!("{} {before} -> {after}", name(class))
        });
        told.collect()
    }

    /// In words.
    pub fn sentence(&self, name: impl Fn(usize) -> String) -> String {
        format!(
            "{}: without the {:.0} % of the picture that speak against it: {}.",
            self.map,
            100.0 * self.removed,
            self.moves(name).join(", ")
        )
    }

    /// Input; segments that speak for the class; for and against in green and
    /// red; what was classified again.
    pub fn picture(&self, photo: &Photo, name: impl Fn(usize) -> String) -> RgbImage {
        let (before, after) = (self.before[self.target], self.after[self.target]);
        let cell = |panel, title: &str, caption: String| Cell {
            panel,
            title: String::from(title),
            caption,
        };
        let most = self.pixels.iter().map(|v| v.abs()).fold(0.0, f32::max);
        let coloured = |v: f32, pixel: Rgb<u8>| {
            let ink = if v > 0.0 { FOR } else { AGAINST };
            let alpha = if most > 0.0 {
                0.65 * v.abs() / most
            } else {
                0.0
            };
            mix(Rgb([luma(pixel); 3]), ink, alpha)
        };
        let shown = |keep: fn(f32) -> bool| {
            move |v: f32, pixel: Rgb<u8>| match keep(v) {
                true => pixel,
                false => Rgb([(f32::from(luma(pixel)) * DIMMED) as u8; 3]),
            }
        };
        let cells = [
            cell(photo.display().clone(), "Input", percent(before)),
            cell(
                self.paint(photo, shown(|v| v > 0.0)),
                "Speaks for it",
                String::new(),
            ),
            cell(
                self.paint(photo, coloured),
                "For (green), against (red)",
                String::new(),
            ),
            cell(
                self.paint(photo, shown(|v| v >= 0.0)),
                "Without what is against",
                format!("{}: {}", percent(after), self.moves(name).join(", ")),
            ),
        ];
        sheet::draw(&format!("{}: {}", self.map, self.heading), &cells, 4)
    }

    fn paint(&self, photo: &Photo, ink: impl Fn(f32, Rgb<u8>) -> Rgb<u8>) -> RgbImage {
        let mut picture = photo.display().clone();
        for (pixel, value) in picture.pixels_mut().zip(&self.pixels) {
            *pixel = ink(*value, *pixel);
        }
        picture
    }
}

fn mix(under: Rgb<u8>, over: Rgb<u8>, alpha: f32) -> Rgb<u8> {
    let mut out = under;
    for (o, c) in out.0.iter_mut().zip(over.0) {
        *o = (f32::from(*o) * (1.0 - alpha) + f32::from(c) * alpha).round() as u8;
    }
    out
}
