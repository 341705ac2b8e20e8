//! One saliency map with everything that is known about it.

use std::collections::BTreeMap;

use foveola_core::explain::{MapKind, Outcome, strongest_channel, upsample_bilinear};
use foveola_core::{Error, Score, Shape};
use image::RgbImage;
use serde_json::Value;

use super::answer::is_elements;
use super::figures::{self, Companions, Figures};
use super::{LayerBalance, Region, StoppedBy};
use crate::method_spec::{MethodSpec, Parameters};
use crate::photo::Photo;
use crate::report::overlay::{Figure, draw, draw_beside};
use crate::report::sentence::{Evidence, Whereabouts};

/// Passes through the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// Forward passes.
    pub forward: u64,
    /// Backward passes.
    pub backward: u64,
}

impl Passes {
    /// All of them.
    pub const fn total(self) -> u64 {
        self.forward + self.backward
    }
}

/// From this probability on, rounding may swallow what a method looks for.
const SATURATED: f32 = 0.999_99;

/// A map: raw, signed, not normalised.
#[derive(Clone, Debug)]
pub struct SaliencyMap {
    /// The method that made it, its layer named.
    pub spec: MethodSpec,
    /// The parameters that were used.
    pub parameters: BTreeMap<&'static str, Value>,
    /// The score that it explains.
    pub score: Score,
    /// The class that it explains.
    pub target: usize,
    /// The class's label, and what it is held against.
    pub label: String,
    /// The class that it is held against.
    pub against: Option<usize>,
    /// The class's probability, or the unit's value.
    pub probability: f32,
    /// Whether it explains a unit of a layer instead of a class.
    pub unit: bool,
    /// 1 for the first map of this method and class, 2 for the second, ..
    pub repeat: usize,
    /// Shape of `values`: the method's own resolution.
    pub shape: Shape,
    /// The map as the method made it, HWC.
    pub values: Vec<f32>,
    /// Height and width of the network's input.
    pub size: [usize; 2],
    /// One value a pixel of the network's input, row by row.
    pub pixels: Vec<f32>,
    /// What became of it.
    pub outcome: Outcome,
    /// What ended its method before the last pass, if anything did.
    pub stopped: Option<StoppedBy>,
    /// Passes of the method, all of its classes together (HOC: this class's own).
    pub passes: Passes,
    /// Time of the method, all of its classes together.
    pub seconds: f64,
    /// The tree of HOC.
    pub region: Option<Region>,
    /// Numbers that the method found beside the map, by name.
    pub figures: Figures,
    /// What each layer did with relevance, last layer first; empty but for LRP.
    pub balance: Vec<LayerBalance>,
    /// Maps of the same shape that the method made beside it, by name.
    pub companions: Companions,
}

impl SaliencyMap {
    /// Fills `pixels` for a network input: the strongest channel of each
    /// element, or the layer enlarged; a map of all channels that was computed
    /// once is repeated for each in `values`.
    pub(crate) fn shown_at(mut self, input: Shape, kind: MapKind) -> Self {
        let pixels = pixels(&self.values, self.shape, input, kind);
        debug_assert!(pixels.is_ok(), "a map has the shape that its method states");
        self.pixels = pixels.unwrap_or_else(|_| vec![0.0; input.area()]);
        self.size = [input.h, input.w];
        if is_elements(kind) && self.shape.c == 1 && input.c > 1 {
            let repeat = |v: &f32| std::iter::repeat_n(*v, input.c);
            self.values = self.values.iter().flat_map(repeat).collect();
            self.shape = input;
        }
        self
    }

    /// What of the map counts as evidence.
    pub fn evidence(&self) -> Evidence {
        evidence_of(self.spec.row.name)
    }

    /// The evidence: one weight of at least 0 a pixel of the network's input,
    /// row by row. This is what metrics rank.
    pub fn weights(&self) -> Vec<f32> {
        let weights = self.evidence().weigh(&self.pixels);
        weights.into_iter().map(|weight| weight as f32).collect()
    }

    /// Where the evidence lies; `None` without any.
    pub fn whereabouts(&self) -> Option<Whereabouts> {
        let [h, w] = self.size;
        Whereabouts::of(&self.pixels, h, w, self.evidence())
    }

    /// The class and its probability: `Egyptian cat, 57.0 %`.
    pub fn heading(&self) -> String {
        format!("{}, {}", self.label, self.strength())
    }

    /// The class's probability, or the unit's value.
    fn strength(&self) -> String {
        match self.unit {
            true => format!("value {:.3}", self.probability),
            false => percent(self.probability),
        }
    }

    /// The map in one plain sentence.
    pub fn sentence(&self) -> String {
        let name = format!(
            "{}, {} ({})",
            self.spec.title(),
            self.label,
            self.strength()
        );
        format!("{name}: {}.", self.statement())
    }

    /// The sentence without the map's name.
    pub fn statement(&self) -> String {
        match self.outcome {
            Outcome::Flat => self.flat(),
            Outcome::Undefined(reason) => format!("there is no map, because {reason}"),
            Outcome::Ok => self.findings(),
            Outcome::Partial { done, total } => format!(
                "{} (partial: {done} of {total} passes{})",
                self.findings(),
                self.ended_by()
            ),
        }
    }

    /// What stopped it, as the end of a sentence's part.
    fn ended_by(&self) -> String {
        let words = |by: StoppedBy| format!(", then {}", by.words());
        self.stopped.map(words).unwrap_or_default()
    }

    fn flat(&self) -> String {
        let text = "the map is flat, so there is no evidence";
        let saturated = self.probability > SATURATED || self.probability < 1.0 - SATURATED;
        match (self.score, saturated && !self.unit) {
            (Score::Probability, true) => {
                format!("{text} (the probability is saturated; the logit may tell more)")
            }
            _ => String::from(text),
        }
    }

    fn findings(&self) -> String {
        let lies = match self.whereabouts() {
            Some(found) => found.sentence(),
            None => String::from("nothing speaks for the class"),
        };
        let found = match &self.region {
            Some(region) => Some(region.statement()),
            None => figures::statement(self.spec.row.name, &self.figures),
        };
        if let (Some(found), true) = (&found, self.paints()) {
            return found.clone();
        }
        match found {
            Some(found) => format!("{found}; {lies}"),
            None => lies,
        }
    }

    /// Why there is nothing to paint, if so.
    pub fn reason(&self) -> Option<String> {
        match self.outcome {
            Outcome::Flat => Some(String::from("flat map: no evidence")),
            Outcome::Undefined(reason) => Some(format!("no map: {reason}")),
            _ => None,
        }
    }

    /// Method, parameters and cost, one line each.
    pub fn lines(&self) -> Vec<String> {
        let shown = |(key, value): (&&str, &Value)| match value {
            Value::String(text) => format!("{key} {text}"),
            Value::Array(list) => {
                let sides: Vec<String> = list.iter().map(Value::to_string).collect();
                format!("{key} {}", sides.join("/"))
            }
            Value::Number(number) => format!(
                "{key} {}",
                number
                    .as_f64()
                    .map_or(number.to_string(), |n| n.to_string())
            ),
            other => format!("{key} {other}"),
        };
        let parameters: Vec<String> = self.parameters.iter().map(shown).collect();
        let resolution = format!("map {}x{}", self.shape.h, self.shape.w);
        let cost = match self.passes.backward {
            0 => format!("{} forward passes", self.passes.forward),
            back => format!("{} forward + {back} backward passes", self.passes.forward),
        };
        let of = score_name(self.score);
        let title = format!("{} of the {of}: {resolution}, {cost}", self.spec.title());
        match parameters.is_empty() {
            true => vec![title],
            false => vec![title, parameters.join(", ")],
        }
    }

    /// Whether the map is an input of the network instead of evidence.
    pub const fn paints(&self) -> bool {
        matches!(self.spec.parameters, Parameters::Ascent(_))
    }

    /// What the method painted instead of a map: an input of the network.
    pub fn painting(&self, photo: &Photo) -> Option<RgbImage> {
        let there = self.reason().is_none() && self.shape == photo.shape();
        (self.paints() && there).then(|| photo.paint(&self.values))
    }

    /// The overlay on the picture that was explained.
    pub fn overlay(&self, photo: &Photo) -> RgbImage {
        let figure = Figure {
            picture: photo.display(),
            map: &self.pixels,
            heading: self.heading(),
            lines: self.lines(),
            sentence: self.sentence(),
            reason: self.reason(),
        };
        match self.painting(photo) {
            Some(painting) => draw_beside(&figure, &painting),
            None => draw(&figure),
        }
    }

    /// `METHOD.TARGET`, with the number of the repeat from the second on.
    pub fn stem(&self) -> String {
        match self.repeat {
            1 => format!("{}.{}", self.spec.row.name, self.target),
            n => format!("{}.{}.{n}", self.spec.row.name, self.target),
        }
    }

    /// Name of the overlay's file.
    pub fn file_name(&self) -> String {
        format!("{}.png", self.stem())
    }
}

/// What of the maps of a method counts as evidence.
pub fn evidence_of(method: &str) -> Evidence {
    match method {
        "gradient" | "deconvolution" | "guided-backprop" | "smooth-grad" | "var-grad"
        | "square-grad" | "guided-grad-cam" => Evidence::Magnitude,
        // AISE's windows seldom keep more than they leave: its level is arbitrary, too.
        "rise" | "recipro-cam" | "aise" => Evidence::AboveLeast,
        _ => Evidence::Positive,
    }
}

/// A map as one value a pixel of the network's input: the strongest channel of
/// each element, or the layer enlarged.
pub(super) fn pixels(
    values: &[f32],
    shape: Shape,
    input: Shape,
    kind: MapKind,
) -> Result<Vec<f32>, Error> {
    let mut pixels = vec![0.0; input.area()];
    match is_elements(kind) {
        true => strongest_channel(values, shape, &mut pixels)?,
        false => {
            let from = [shape.h, shape.w];
            upsample_bilinear(values, from, [input.h, input.w], &mut pixels)?;
        }
    }
    Ok(pixels)
}

/// A kind of score in one word.
pub const fn score_name(score: Score) -> &'static str {
    match score {
        Score::Logit => "logit",
        Score::Probability => "probability",
    }
}

/// A probability for people.
pub fn percent(probability: f32) -> String {
    format!("{:.1} %", 100.0 * probability)
}
