//! HOC's answer: a tree of boxes, and the layers that it makes.

use foveola_core::Shape;
use foveola_core::explain::hoc::{Mode, Region as Found, Step as CoreStep, Storage, UNUSED_WINDOW};
use foveola_core::explain::{Hoc, Outcome, Progress, Query};
use foveola_core::{Classifier, Error, Score, Window};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Raw};
use super::counting::Counting;
use super::map::percent;
use super::{Figures, Passes};

/// Steps that a tree may have.
const MOST_STEPS: usize = 1 << 15;

/// A box of the tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Layer, from 0.
    pub layer: usize,
    /// x, y, width, height.
    #[serde(rename = "box")]
    pub area: [usize; 4],
    /// Probability after this step.
    pub probability: f32,
    /// What this step changed.
    pub change: f32,
    /// The smaller boxes that refine it, in the order found.
    pub children: Vec<Step>,
}

/// One layer: a picture of boxes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Probability of the layer's picture.
    pub probability: f32,
    /// The boxes: x, y, width, height.
    pub boxes: Vec<[usize; 4]>,
}

/// What HOC found for one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Region {
    /// From the coarsest to the finest.
    pub layers: Vec<Layer>,
    /// The whole tree: the boxes of layer 0.
    pub tree: Vec<Step>,
    /// Whether boxes reveal the picture or cover it.
    #[serde(skip)]
    pub reveal: bool,
    /// The score that was searched for, which `probability` then stands for.
    #[serde(skip)]
    pub score: Score,
    /// Height and width of the picture.
    #[serde(skip)]
    pub picture: [usize; 2],
}

impl Region {
    /// Share of the picture inside the boxes of a layer, 0 to 1.
    pub fn area(&self, layer: usize) -> f64 {
        let [h, w] = self.picture;
        let boxes = self.layers.get(layer).map_or(&[][..], |l| &l.boxes);
        let mut inside = vec![false; h * w];
        for &[x, y, bw, bh] in boxes {
            for row in inside.chunks_exact_mut(w.max(1)).skip(y).take(bh) {
                row.iter_mut().skip(x).take(bw).for_each(|i| *i = true);
            }
        }
        inside.iter().filter(|i| **i).count() as f64 / (h * w).max(1) as f64
    }

    /// One layer in words.
    pub fn layer_statement(&self, layer: usize) -> String {
        let score = self.layers.get(layer).map_or(0.0, |l| l.probability);
        let score = match self.score {
            Score::Probability => percent(score),
            Score::Logit => format!("a logit of {score:.2}"),
        };
        let area = 100.0 * self.area(layer);
        match self.reveal {
            true => format!("{area:.0} % of the picture is enough for {score}"),
            false => format!("without {area:.0} % of the picture {score} is left"),
        }
    }

    /// The finest layer in words.
    pub fn statement(&self) -> String {
        self.layer_statement(self.layers.len().saturating_sub(1))
    }
}

const fn corners(window: &Window) -> [usize; 4] {
    [window.x, window.y, window.w, window.h]
}

/// Searches the region of each target.
pub fn search(
    hoc: Hoc<'_>,
    classifier: &mut Counting<'_>,
    query: &Query<'_>,
    progress: &mut dyn Progress,
) -> Result<Answer, Error> {
    let input = classifier.input();
    let mut steps = vec![CoreStep::UNUSED; MOST_STEPS];
    let mut boxes = vec![UNUSED_WINDOW; MOST_STEPS];
    let mut maps = Vec::new();
    for &target in query.targets {
        let mut storage = Storage {
            steps: &mut steps,
            boxes: &mut boxes,
        };
        let asked = (query, target);
        maps.push(search_one(&hoc, classifier, asked, &mut storage, progress)?);
    }
    Ok(Answer {
        shape: Shape::new(input.h, input.w, 1),
        passes: classifier.passes(),
        maps,
    })
}

fn search_one(
    hoc: &Hoc<'_>,
    classifier: &mut Counting<'_>,
    (query, target): (&Query<'_>, usize),
    storage: &mut Storage<'_>,
    progress: &mut dyn Progress,
) -> Result<Raw, Error> {
    let before = classifier.passes().forward;
    let score = query.score.unwrap_or(Score::Probability);
    let mut scratch = vec![0.0; classifier.classes()];
    let question = (query.picture, target, score);
    let found = hoc.search(classifier, question, storage, &mut scratch, progress)?;
    let shape = classifier.input();
    let mut values = vec![0.0; shape.area()];
    let (outcome, region) = match found {
        Err(none) => (Outcome::Undefined(none.reason()), None),
        Ok(found) => {
            found.map(storage.steps, shape, &mut values);
            let region = Region {
                reveal: hoc.mode == Mode::Reveal,
                score,
                picture: [shape.h, shape.w],
                ..collect(&found, storage.steps)
            };
            (judge(&found, &values), Some(region))
        }
    };
    let forward = classifier.passes().forward - before;
    Ok(Raw {
        values,
        outcome,
        stopped: None,
        region,
        figures: Figures::new(),
        passes: Some(Passes {
            forward,
            backward: 0,
        }),
        companions: super::Companions::new(),
    })
}

fn judge(found: &Found, values: &[f32]) -> Outcome {
    if !found.complete {
        return Outcome::Partial {
            done: found.passes,
            total: found.passes + 1,
        };
    }
    match values.iter().all(|v| *v == values[0]) {
        true => Outcome::Flat,
        false => Outcome::Ok,
    }
}

/// The layers and the tree; the rest is the caller's.
fn collect(found: &Found, steps: &[CoreStep]) -> Region {
    let layers = found.probabilities().enumerate();
    let layers = layers.map(|(i, probability)| Layer {
        probability,
        boxes: found.layer(steps, i).map(|s| corners(&s.window)).collect(),
    });
    let steps = &steps[..found.steps.min(steps.len())];
    let roots = steps.iter().filter(|s| s.parent.is_none());
    Region {
        layers: layers.collect(),
        tree: roots.map(|s| nested(s, steps)).collect(),
        reveal: true,
        score: Score::Probability,
        picture: [0, 0],
    }
}

/// Trees are as deep as there are layers, so this recursion is shallow.
fn nested(step: &CoreStep, steps: &[CoreStep]) -> Step {
    let children = steps.iter().skip(step.first_child).take(step.children);
    Step {
        layer: step.layer,
        area: corners(&step.window),
        probability: step.probability,
        change: step.change,
        children: children.map(|s| nested(s, steps)).collect(),
    }
}
