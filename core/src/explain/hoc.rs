//! HOC, hierarchical occlusion counterfactual: the smallest regions that are
//! enough for a class, as a tree of boxes (MindSpore XAI 1.5).
//!
//! Layer 0 reveals large boxes of a hidden picture, greedily the one that helps
//! most, until the score reaches a threshold. Each deeper layer looks inside one
//! box at a time for smaller boxes that help as much. (Or the other way round:
//! boxes cover the picture until the score is gone.) The result is the tree, cut
//! at the deepest layer whose boxes alone reach the threshold.
//!
//! With a `beam` of more than 1 a search keeps as many sets of boxes of each size
//! and ends with the best: fewer boxes, for as many times the passes. With `minimal`
//! boxes of the finest layer are dropped at the end, one after the other, as long as
//! the threshold holds: then each that is left is needed. (Both are ours;
//! MindSpore's search is greedy.)
//!
//! The map says for each pixel which is the deepest layer that shows it, from 1;
//! 0 = none. Default score: probability. Cost: depends on the picture.

#[cfg(foveola_edits)]
mod beam;
#[cfg(foveola_edits)]
mod minimal;
mod search;
#[cfg(test)]
mod tests;

use super::pass::{Passes, front, prepare};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::{Fill, Window};
use crate::picture::{MAX_CHANNELS, Picture};
use crate::tensor::Shape;
use core::cell::RefCell;
use search::{Question, Searcher};

/// Most layers of boxes.
pub const MAX_LAYERS: usize = 8;

/// Layers of the automatic windows, at most.
const AUTO_LAYERS: usize = 3;

/// Smallest automatic window, in pixels.
const AUTO_WINDOW: usize = 28;

/// What boxes do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They reveal a hidden picture until the score is at least the threshold.
    #[default]
    Reveal,
    /// They cover the picture until the score is at most the threshold.
    Cover,
}

/// Parameters of a search.
#[derive(Clone, Copy, Debug)]
pub struct Hoc<'a> {
    /// What boxes do.
    pub mode: Mode,
    /// Score that decides.
    pub threshold: f32,
    /// Side of the square boxes of each layer in pixels, descending, the first
    /// below the picture's short side. Empty: half of the short side, then halves,
    /// rounded down, as long as 28 pixels remain, 3 layers at most.
    pub windows: &'a [usize],
    /// Distance of neighbouring boxes of each layer, 1 to the window. Empty: a
    /// fifth of the window, rounded down.
    pub strides: &'a [usize],
    /// What hides the picture.
    pub fill: Fill<'a>,
    /// Sets of boxes that grow side by side, at least 1; 1 is greedy. Each
    /// takes a place of [`Storage::steps`] for each of its boxes.
    pub beam: usize,
    /// Whether boxes that the others make unnecessary are dropped at the end.
    /// (Programs for Armv6-M and Armv7-M leave out both.)
    pub minimal: bool,
}

impl Default for Hoc<'_> {
    fn default() -> Self {
        Self {
            mode: Mode::Reveal,
            threshold: 0.5,
            windows: &[],
            strides: &[],
            fill: Fill::Colour([0.0; MAX_CHANNELS]),
            beam: 1,
            minimal: false,
        }
    }
}

/// A box of the tree. Steps lie layer by layer; children of one step lie side by
/// side, in the order in which they were found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Layer, from 0.
    pub layer: usize,
    /// The box, all channels.
    pub window: Window,
    /// Score after this step, when it was found.
    pub probability: f32,
    /// What this step changed.
    pub change: f32,
    /// Index of the step that this one refines; `None` in layer 0.
    pub parent: Option<usize>,
    /// Index of the first child.
    pub first_child: usize,
    /// Number of children; 0 for a leaf.
    pub children: usize,
}

impl Step {
    /// A place in [`Storage`] that is not in use.
    pub const UNUSED: Self = Self {
        layer: 0,
        window: UNUSED_WINDOW,
        probability: 0.0,
        change: 0.0,
        parent: None,
        first_child: 0,
        children: 0,
    };

    /// Whether layer `layer` shows this box: it belongs to it, or is a leaf above.
    #[must_use]
    pub const fn shown_in(&self, layer: usize) -> bool {
        self.layer == layer || (self.layer < layer && self.children == 0)
    }
}

/// A place in [`Storage`] that is not in use.
pub const UNUSED_WINDOW: Window = Window {
    y: 0,
    x: 0,
    c: 0,
    h: 0,
    w: 0,
    d: 0,
};

/// Memory of a search: as many steps and as many boxes as the tree may have.
/// A search seldom finds more than a hundred.
#[derive(Debug)]
pub struct Storage<'s> {
    /// The tree.
    pub steps: &'s mut [Step],
    /// The boxes of the picture under work.
    pub boxes: &'s mut [Window],
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRegion {
    /// The score of the picture as it is does not exceed the threshold.
    OriginalNotAboveThreshold,
    /// No layer of boxes reaches the threshold.
    NotFound,
    /// The short side is below 56 pixels, too small for automatic windows.
    TooSmall,
    /// Stopped before the first layer was there.
    Stopped,
}

impl NoRegion {
    /// The reason in words.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::OriginalNotAboveThreshold => {
                "the score of the picture as it is does not exceed the threshold"
            }
            Self::NotFound => {
                "no boxes reach the threshold, or the hidden picture does so without any"
            }
            Self::TooSmall => "the picture's short side is below 56 pixels: give windows",
            Self::Stopped => "stopped before the first layer was found",
        }
    }
}

/// A found tree: the first [`Region::steps`] of the storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Number of steps.
    pub steps: usize,
    /// Number of layers.
    pub layers: usize,
    /// Score of each layer's picture, the first [`Region::layers`] are in use.
    pub probabilities: [f32; MAX_LAYERS],
    /// Forward passes done.
    pub passes: u64,
    /// Whether the search came to its end. If it was stopped, only layer 0 is there.
    pub complete: bool,
}

impl Region {
    /// Score of each layer's picture.
    pub fn probabilities(&self) -> impl Iterator<Item = f32> + '_ {
        self.probabilities.iter().take(self.layers).copied()
    }

    /// Boxes that layer `layer` shows: its own, and the leaves above.
    pub fn layer<'s>(
        &self,
        steps: &'s [Step],
        layer: usize,
    ) -> impl Iterator<Item = &'s Step> + use<'s> {
        let steps = steps.iter().take(self.steps);
        steps.filter(move |step| step.shown_in(layer))
    }

    /// Writes for each pixel the deepest layer that shows it, from 1; 0 = none.
    /// `map` has one element a pixel.
    pub fn map(&self, steps: &[Step], shape: Shape, map: &mut [f32]) {
        map.fill(0.0);
        for layer in 0..self.layers {
            for step in self.layer(steps, layer) {
                let window = step.window.cut(shape);
                let rows = map.chunks_exact_mut(shape.w.max(1));
                for row in rows.skip(window.y).take(window.h) {
                    for value in row.iter_mut().skip(window.x).take(window.w) {
                        *value = (layer + 1) as f32;
                    }
                }
            }
        }
    }
}

/// Windows and strides of all layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Levels {
    windows: [usize; MAX_LAYERS],
    strides: [usize; MAX_LAYERS],
    count: usize,
}

impl Levels {
    fn new(windows: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut levels = Self {
            windows: [1; MAX_LAYERS],
            strides: [1; MAX_LAYERS],
            count: 0,
        };
        let places = levels.windows.iter_mut().zip(&mut levels.strides);
        for ((window, stride), given) in places.zip(windows) {
            (*window, *stride) = given;
            levels.count += 1;
        }
        levels
    }

    fn level(&self, layer: usize) -> (usize, usize) {
        let window = self.windows.get(layer).copied().unwrap_or(1);
        (window, self.strides.get(layer).copied().unwrap_or(1).max(1))
    }

    /// Boxes of a layer along a side of `length`.
    fn positions(&self, layer: usize, length: usize) -> usize {
        let (window, stride) = self.level(layer);
        length.saturating_sub(window).div_ceil(stride) + 1
    }
}

/// Where box `i` of `count` begins on a side: in steps, the last at the end.
fn position(begin: usize, length: usize, level: (usize, usize), i: usize, count: usize) -> usize {
    let (window, stride) = level;
    if i + 1 < count {
        begin + i * stride
    } else {
        begin + length.saturating_sub(window)
    }
}

impl Hoc<'_> {
    /// Windows and strides for a picture; `None` if it is too small for automatic ones.
    #[inline(never)]
    fn levels(&self, input: Shape) -> Result<Option<Levels>, Error> {
        let short_side = input.h.min(input.w);
        if self.windows.is_empty() {
            if !self.strides.is_empty() {
                return Err(Error::BadParameter("strides of HOC without windows"));
            }
            let halves = core::iter::successors(Some(short_side / 2), |w| Some(w / 2));
            let windows = halves.take_while(|w| *w >= AUTO_WINDOW).take(AUTO_LAYERS);
            let levels = Levels::new(windows.map(|w| (w, w / 5)));
            return Ok((levels.count > 0).then_some(levels));
        }
        let mut larger = short_side;
        for &window in self.windows {
            if window == 0 || window >= larger || self.windows.len() > MAX_LAYERS {
                return Err(Error::BadParameter("windows of HOC"));
            }
            larger = window;
        }
        let windows = self.windows.iter().copied();
        if self.strides.is_empty() {
            return Ok(Some(Levels::new(windows.map(|w| (w, (w / 5).max(1))))));
        }
        let mut pairs = windows.zip(self.strides.iter().copied());
        let fits = self.strides.len() == self.windows.len()
            && pairs
                .clone()
                .all(|(window, stride)| stride > 0 && stride <= window);
        if !fits {
            return Err(Error::BadParameter("strides of HOC"));
        }
        Ok(Some(Levels::new(pairs.by_ref())))
    }

    /// Searches for the smallest region of one target. The tree lies in the
    /// storage; `scratch` holds one score a class. Progress counts up to what is
    /// known to come, which grows as the search goes.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for windows, strides or a threshold that is NaN,
    /// [`Error::BufferTooSmall`] if the tree outgrows the storage, a target out
    /// of range, and what the classifier reports.
    #[inline(never)]
    pub fn search(
        &self,
        classifier: &mut dyn Classifier,
        (picture, target, score): (Picture<'_>, usize, Score),
        storage: &mut Storage<'_>,
        scratch: &mut [f32],
        progress: &mut dyn Progress,
    ) -> Result<Result<Region, NoRegion>, Error> {
        let classes = classifier.classes();
        if target >= classes {
            return Err(Error::TargetOutOfRange { target, classes });
        }
        if self.threshold.is_nan() {
            return Err(Error::BadParameter("threshold of HOC"));
        }
        if self.beam == 0 || (cfg!(not(foveola_edits)) && (self.beam > 1 || self.minimal)) {
            return Err(Error::BadParameter("beam of HOC"));
        }
        let input = classifier.input();
        let Some(levels) = self.levels(input)? else {
            return Ok(Err(NoRegion::TooSmall));
        };
        let scores = front(scratch, classes)?;
        let question = Question {
            picture,
            target,
            score,
            fill: self.fill,
            reveal: self.mode == Mode::Reveal,
            threshold: self.threshold,
            levels: &levels,
            #[cfg(foveola_edits)]
            beam: self.beam,
            #[cfg(foveola_edits)]
            minimal: self.minimal,
        };
        let passes = Passes::new(progress, u64::MAX);
        Searcher::new(classifier, question, storage, scores, passes).run()
    }

    /// Forward passes for one target, at most: each layer finds all of its boxes
    /// in all boxes above.
    pub(crate) fn most_passes(&self, input: Shape) -> Result<u64, Error> {
        let Some(levels) = self.levels(input)? else {
            return Ok(0);
        };
        let (mut jobs, mut passes) = (1u64, 1 + levels.count as u64);
        let (mut h, mut w) = (input.h, input.w);
        for layer in 0..levels.count {
            let boxes = (levels.positions(layer, h) * levels.positions(layer, w)) as u64;
            let sweeps = boxes.saturating_mul(boxes + 1) / 2;
            let sweeps = sweeps.saturating_mul(self.beam as u64);
            passes = passes.saturating_add(jobs.saturating_mul(sweeps + 1));
            jobs = jobs.saturating_mul(boxes);
            (h, w) = (levels.level(layer).0, levels.level(layer).0);
        }
        if self.minimal {
            // Of n boxes in the end n, n - 1, .. are tried, then the layers again.
            let drops = jobs.saturating_mul(jobs.saturating_add(1)) / 2;
            passes = passes.saturating_add(drops.saturating_add(levels.count as u64));
        }
        Ok(passes)
    }
}

/// A search with its storage, as a [`Method`]; its maps come from [`Region::map`].
#[derive(Debug)]
pub struct HocMethod<'a, 's> {
    /// Parameters.
    pub hoc: Hoc<'a>,
    /// Memory; after a call it holds the tree of the last target.
    pub storage: RefCell<Storage<'s>>,
}

impl Method for HocMethod<'_, '_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        self.hoc.levels(input)?;
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let most = self.hoc.most_passes(classifier.input())?;
        Ok(Cost {
            forward: most.saturating_mul(targets as u64),
            backward: 0,
            scratch: classifier.classes(),
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
        let (shape, classes) = (self.map_shape(classifier)?, classifier.classes());
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let mut storage = self.storage.try_borrow_mut().map_err(|_| Error::BadOrder)?;
        let score = query.score.unwrap_or(Score::Probability);
        let maps = maps.chunks_exact_mut(shape.len().max(1));
        for ((map, outcome), &target) in maps.zip(outcomes).zip(query.targets) {
            let question = (query.picture, target, score);
            let found = self
                .hoc
                .search(classifier, question, &mut storage, scratch, progress)?;
            *outcome = match found {
                Err(none) => Outcome::Undefined(none.reason()),
                Ok(region) => {
                    region.map(storage.steps, shape, map);
                    judge(&region, map)
                }
            };
        }
        Ok(())
    }
}

fn judge(region: &Region, map: &mut [f32]) -> Outcome {
    if region.complete {
        return super::pass::judge(map);
    }
    Outcome::Partial {
        done: region.passes,
        total: region.passes + 1,
    }
}
