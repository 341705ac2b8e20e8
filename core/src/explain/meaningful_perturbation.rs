//! Meaningful perturbation (Fong and Vedaldi 2017, arXiv 1704.03296, eq. 3 and 5):
//! the smallest smooth part of the picture whose loss takes the class away.
//!
//! A mask m of few cells, in 0..1 and enlarged bilinearly, mixes picture and fill,
//! m x + (1 - m) fill. Minimised is
//! f(m) + sparsity * mean(1 - m) + smoothness * mean |grad m|^3, from m = 1 on, by
//! Adam (Kingma and Ba 2015, arXiv 1412.6980) with m cut to 0..1 after every step.
//! The map is 1 - m: what had to go. Beside it: `score` at the end and `kept`, the
//! mean of m. Weights are of means over the cells, so they do not depend on the
//! grid (the paper's are of sums); there is no jitter: maps are the same twice.
//!
//! With `against` the score is f - f_against and the search ends at the first mask
//! behind which that class has the best score of all: what has to go until the
//! picture becomes the other class. Steps are then along the slope itself, at most
//! `rate` for a cell: what matters most goes first, where Adam moves all alike. Beside the map: `became`, 1 if it did, else 0,
//! and `steps`, those that it took. A picture that is of that class from the
//! beginning has no map.
//!
//! Where the classifier has gradients, a step takes 1 forward and 1 backward. Where
//! it has none, the gradient is estimated from `pairs` of masks m + c d and m - c d,
//! d = +-1 at random (Spall 1992, simultaneous perturbation), c = 0.1: 2 `pairs`
//! forwards a step, on fewer cells, and with `against` 1 more. Default score: probability. Targets one after
//! the other. Scratch: classes, a picture, a mask and 6 numbers a cell.

use super::integrated_gradients::subtract;
use super::pass::{Passes, front, fronts, prepare, score_of};
use super::{Cost, Method, Outcome, Progress, Query, between, place, upsample_bilinear};
use crate::classifier::{At, Classifier, Rule, Score};
use crate::error::Error;
use crate::mask::{Fill, Mask, Masked};
use crate::picture::MAX_CHANNELS;
use crate::rng::{self, Purpose};
use crate::tensor::Shape;

/// Most cells along a side.
const MOST: usize = 64;

/// Exponent of the smoothness, the paper's.
const POWER: i32 = 3;

/// Half the distance of a pair of masks.
const REACH: f32 = 0.1;

/// Adam's memory of the gradient and of its square.
const MEMORY: [f32; 2] = [0.9, 0.999];

/// The smallest smooth part of the picture whose loss takes the class away.
#[derive(Clone, Copy, Debug)]
pub struct MeaningfulPerturbation<'a> {
    /// What takes the picture's place; the paper's is a blur.
    pub fill: Fill<'a>,
    /// Rows and columns of the mask, each up to the picture's; `None`: 28 with
    /// gradients, 8 without.
    pub grid: Option<[usize; 2]>,
    /// Steps, at least 1.
    pub steps: u32,
    /// Adam's rate, above 0.
    pub rate: f32,
    /// Weight of what is taken away, at least 0.
    pub sparsity: f32,
    /// Weight of the mask's slopes, at least 0.
    pub smoothness: f32,
    /// Pairs of masks a step without gradients, at least 1.
    pub pairs: u32,
    /// The class that the picture is to become; `None`: any other.
    pub against: Option<usize>,
}

impl Default for MeaningfulPerturbation<'_> {
    fn default() -> Self {
        Self {
            fill: Fill::Colour([0.0; MAX_CHANNELS]),
            grid: None,
            steps: 300,
            rate: 0.1,
            sparsity: 0.05,
            smoothness: 0.2,
            pairs: 8,
            against: None,
        }
    }
}

/// The memory of a run.
struct Room<'s> {
    scores: &'s mut [f32],
    /// Picture minus fill.
    difference: &'s mut [f32],
    /// The mask, enlarged.
    pixels: &'s mut [f32],
    mask: &'s mut [f32],
    slope: &'s mut [f32],
    mean: &'s mut [f32],
    square: &'s mut [f32],
    /// A mask beside the mask, and its direction.
    beside: &'s mut [f32],
    sign: &'s mut [f32],
}

impl<'s> Room<'s> {
    const fn len(classes: usize, input: Shape, cells: usize) -> usize {
        classes + input.len() + input.area() + 6 * cells
    }

    fn new(
        scratch: &'s mut [f32],
        classes: usize,
        input: Shape,
        cells: usize,
    ) -> Result<Self, Error> {
        let scratch = front(scratch, Self::len(classes, input, cells))?;
        let rest = scratch.len() - classes;
        let (scores, rest_of) = fronts(scratch, classes, rest)?;
        let (difference, rest_of) = fronts(rest_of, input.len(), rest - input.len())?;
        let (pixels, rest_of) = fronts(rest_of, input.area(), 6 * cells)?;
        let (mask, rest_of) = fronts(rest_of, cells, 5 * cells)?;
        let (slope, rest_of) = fronts(rest_of, cells, 4 * cells)?;
        let (mean, rest_of) = fronts(rest_of, cells, 3 * cells)?;
        let (square, rest_of) = fronts(rest_of, cells, 2 * cells)?;
        let (beside, sign) = fronts(rest_of, cells, cells)?;
        Ok(Self {
            scores,
            difference,
            pixels,
            mask,
            slope,
            mean,
            square,
            beside,
            sign,
        })
    }
}

/// What a step finds: the score at its mask, and whether that is the other class.
#[derive(Clone, Copy, Default)]
struct Found {
    score: f32,
    became: bool,
}

/// How a search ended, after so many steps.
struct Ended {
    found: Found,
    steps: u32,
    stopped: bool,
}

/// One target's search.
struct Search<'q> {
    query: Query<'q>,
    target: usize,
    against: Option<usize>,
    fill: Fill<'q>,
    score: Score,
    input: Shape,
    grid: [usize; 2],
}

impl Search<'_> {
    fn view<'v>(&'v self, pixels: &'v [f32]) -> Masked<'v> {
        Masked {
            picture: self.query.picture,
            fill: self.fill,
            mask: Mask::Soft(pixels),
        }
    }

    /// The mask (or the one beside it) at the picture's size, cut to 0..1.
    fn enlarge(&self, cells: &[f32], pixels: &mut [f32]) -> Result<(), Error> {
        upsample_bilinear(cells, self.grid, [self.input.h, self.input.w], pixels)?;
        for pixel in pixels {
            *pixel = pixel.clamp(0.0, 1.0);
        }
        Ok(())
    }

    /// What is minimised: the score, less that of the other class.
    fn value(&self, scores: &[f32]) -> Result<f32, Error> {
        let score = score_of(scores, self.target)?;
        let against = self.against.map(|class| score_of(scores, class));
        Ok(score - against.transpose()?.unwrap_or(0.0))
    }

    /// Whether the other class has the best score.
    fn became(&self, scores: &[f32]) -> bool {
        let best = self.against.and_then(|class| scores.get(class));
        let above = |best: &f32| scores.iter().all(|score| score <= best);
        best.is_some_and(above) && self.value(scores).is_ok_and(|value| value < 0.0)
    }

    /// The score behind a mask and, in `slope`, its derivative by every cell.
    fn exact(&self, classifier: &mut dyn Classifier, room: &mut Room<'_>) -> Result<Found, Error> {
        self.enlarge(room.mask, room.pixels)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        layers.run(&self.view(room.pixels), At::Input, Rule::Gradient)?;
        let scores = layers.scores(self.score)?;
        let (score, became) = (self.value(scores)?, self.became(scores));
        room.slope.fill(0.0);
        let (slope, difference) = (&mut *room.slope, &*room.difference);
        let (c, w) = (self.input.c, self.input.w);
        let mut sink = |begin: usize, values: &[f32]| {
            let pairs = values.iter().zip(difference.iter().skip(begin));
            for (i, (gradient, difference)) in pairs.enumerate() {
                let pixel = (begin + i) / c.max(1);
                let place = (pixel / w.max(1), pixel % w.max(1));
                self.share(place, gradient * difference, slope);
            }
            Ok(())
        };
        let rival = self.against.unwrap_or(self.target);
        let seed = [(self.target, 1.0), (rival, -1.0)];
        let pairs = if self.against.is_some() { 2 } else { 1 };
        let seed = seed.get(..pairs).ok_or(Error::Internal)?;
        layers.backward_pieces(seed, self.score, &mut sink)?;
        Ok(Found { score, became })
    }

    /// Gives a pixel's derivative to the cells that it is enlarged from.
    fn share(&self, (y, x): (usize, usize), value: f32, slope: &mut [f32]) {
        let [rows, columns] = self.grid;
        let (above, below, down) = place(y, rows, self.input.h);
        let (left, right, along) = place(x, columns, self.input.w);
        for (row, by_row) in [(above, 1.0 - down), (below, down)] {
            for (column, by_column) in [(left, 1.0 - along), (right, along)] {
                if let Some(cell) = slope.get_mut(row * columns + column) {
                    *cell += value * by_row * by_column;
                }
            }
        }
    }

    /// The mean score of pairs of masks and, in `slope`, the derivative that they show.
    fn estimated(
        &self,
        classifier: &mut dyn Classifier,
        (step, pairs): (u32, u32),
        room: &mut Room<'_>,
    ) -> Result<Found, Error> {
        room.slope.fill(0.0);
        let mut became = false;
        if self.against.is_some() {
            self.enlarge(room.mask, room.pixels)?;
            classifier.classify(&self.view(room.pixels), self.score, room.scores)?;
            became = self.became(room.scores);
        }
        let mut sum = 0.0;
        for pair in 0..pairs {
            let (seed, purpose) = (self.query.seed, Purpose::MaskDirection);
            for (block, signs) in (0..).zip(room.sign.chunks_mut(32)) {
                let [word, ..] = rng::words(seed, step, pair, block, purpose);
                for (bit, sign) in signs.iter_mut().enumerate() {
                    *sign = if word >> bit & 1 == 1 { 1.0 } else { -1.0 };
                }
            }
            let mut ends = [0.0; 2];
            for (end, way) in ends.iter_mut().zip([REACH, -REACH]) {
                let cells = room.beside.iter_mut().zip(room.mask.iter());
                for ((beside, mask), sign) in cells.zip(room.sign.iter()) {
                    *beside = mask + way * sign;
                }
                self.enlarge(room.beside, room.pixels)?;
                classifier.classify(&self.view(room.pixels), self.score, room.scores)?;
                *end = self.value(room.scores)?;
            }
            let [more, less] = ends;
            let rise = (more - less) / (2.0 * REACH * pairs as f32);
            for (slope, sign) in room.slope.iter_mut().zip(room.sign.iter()) {
                *slope += rise * sign;
            }
            sum += (more + less) / (2 * pairs) as f32;
        }
        Ok(Found { score: sum, became })
    }

    /// Adds the derivatives of sparsity and smoothness.
    fn penalise(&self, sparsity: f32, smoothness: f32, room: &mut Room<'_>) {
        let [rows, columns] = self.grid;
        let each = 1.0 / room.mask.len().max(1) as f32;
        let at = |mask: &[f32], y: usize, x: usize| mask.get(y * columns + x).copied();
        for slope in room.slope.iter_mut() {
            *slope -= sparsity * each;
        }
        for y in 0..rows {
            for x in 0..columns {
                for (ny, nx) in [(y + 1, x), (y, x + 1)] {
                    if ny >= rows || nx >= columns {
                        continue;
                    }
                    let ends = at(room.mask, y, x).zip(at(room.mask, ny, nx));
                    let rise = ends.map_or(0.0, |(a, b)| b - a);
                    let steep = POWER as f32 * rise * libm::fabsf(rise) * smoothness * each;
                    for (place, change) in [(ny * columns + nx, steep), (y * columns + x, -steep)] {
                        if let Some(slope) = room.slope.get_mut(place) {
                            *slope += change;
                        }
                    }
                }
            }
        }
    }
}

/// One step along the slope, `rate` where that is steepest, cut to 0..1.
fn follow(rate: f32, room: &mut Room<'_>) {
    let steeper = |most: f32, slope: &f32| {
        let size = libm::fabsf(*slope);
        if size > most { size } else { most }
    };
    let most = room.slope.iter().fold(0.0, steeper);
    if most > 0.0 {
        for (mask, slope) in room.mask.iter_mut().zip(room.slope.iter()) {
            *mask = (*mask - rate * (slope / most)).clamp(0.0, 1.0);
        }
    }
}

/// One step of Adam, cut to 0..1.
fn descend(step: u32, rate: f32, room: &mut Room<'_>) {
    let [first, second] = MEMORY;
    let time = (step + 1) as f32;
    let (fade, fade_square) = (
        1.0 - libm::powf(first, time),
        1.0 - libm::powf(second, time),
    );
    let cells = room.mask.iter_mut().zip(room.slope.iter());
    let memory = room.mean.iter_mut().zip(room.square.iter_mut());
    for ((mask, slope), (mean, square)) in cells.zip(memory) {
        *mean = between(*slope, *mean, first);
        *square = between(slope * slope, *square, second);
        let size = libm::sqrtf(*square / fade_square) + 1e-8;
        *mask = (*mask - rate * (*mean / fade) / size).clamp(0.0, 1.0);
    }
}

impl MeaningfulPerturbation<'_> {
    fn check(&self, input: Shape, white: bool) -> Result<[usize; 2], Error> {
        let fits = |x: f32, above: bool| x.is_finite() && x >= 0.0 && (x > 0.0 || !above);
        let numbers = fits(self.rate, true) && fits(self.sparsity, false);
        if !numbers || !fits(self.smoothness, false) || self.steps == 0 || self.pairs == 0 {
            return Err(Error::BadParameter("parameters of meaningful perturbation"));
        }
        let usual = if white { 28 } else { 8 };
        let [rows, columns] = self
            .grid
            .unwrap_or([usual.min(input.h), usual.min(input.w)]);
        let inside = |n: usize, side: usize| n > 0 && n <= side && n <= MOST;
        if inside(rows, input.h) && inside(columns, input.w) {
            Ok([rows, columns])
        } else {
            Err(Error::BadParameter("grid of meaningful perturbation"))
        }
    }

    /// Passes of one step.
    const fn passes(&self, white: bool) -> u64 {
        match (white, self.against) {
            (true, _) => 2,
            (false, None) => 2 * self.pairs as u64,
            (false, Some(_)) => 2 * self.pairs as u64 + 1,
        }
    }

    fn search(
        &self,
        search: &Search<'_>,
        classifier: &mut dyn Classifier,
        room: &mut Room<'_>,
        passes: &mut Passes<'_>,
    ) -> Result<Ended, Error> {
        let white = classifier.layers().is_some();
        room.mask.fill(1.0);
        room.mean.fill(0.0);
        room.square.fill(0.0);
        let mut ended = Ended {
            found: Found::default(),
            steps: 0,
            stopped: false,
        };
        for step in 0..self.steps {
            ended.found = if white {
                search.exact(classifier, room)?
            } else {
                search.estimated(classifier, (step, self.pairs), room)?
            };
            if !ended.found.became {
                search.penalise(self.sparsity, self.smoothness, room);
                if self.against.is_some() {
                    follow(self.rate, room);
                } else {
                    descend(step, self.rate, room);
                }
                ended.steps = step + 1;
            }
            match passes.steps(self.passes(white)) {
                Err(Error::Stopped) => ended.stopped = !ended.found.became,
                done => done?,
            }
            if ended.found.became || ended.stopped {
                break;
            }
        }
        Ok(ended)
    }

    /// What became of a map; the numbers beside it.
    fn judge(
        &self,
        (t, before, white): (usize, u64, bool),
        ended: &Ended,
        (mask, map): (&[f32], &mut [f32]),
        passes: &mut Passes<'_>,
    ) -> Outcome {
        let cells = mask.len().max(1) as f64;
        let kept = mask.iter().map(|m| f64::from(*m)).sum::<f64>() / cells;
        passes.note(t, "score", f64::from(ended.found.score));
        passes.note(t, "kept", kept);
        if self.against.is_some() {
            passes.note(t, "became", f64::from(u8::from(ended.found.became)));
            passes.note(t, "steps", f64::from(ended.steps));
        }
        if ended.stopped {
            return Outcome::Partial {
                done: passes.done - before,
                total: u64::from(self.steps) * self.passes(white),
            };
        }
        if ended.found.became && ended.steps == 0 {
            return Outcome::Undefined("the picture is of the other class already");
        }
        super::pass::judge(map)
    }
}

impl Method for MeaningfulPerturbation<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let (input, white) = (classifier.input(), classifier.layers().is_some());
        let [rows, columns] = self.check(input, white)?;
        let steps = u64::from(self.steps) * targets as u64;
        let backward = if white { steps } else { 0 };
        Ok(Cost {
            forward: steps * self.passes(white) - backward,
            backward,
            scratch: Room::len(classifier.classes(), input, rows * columns),
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
        let (input, classes) = (classifier.input(), classifier.classes());
        let white = classifier.layers().is_some();
        let grid = self.check(input, white)?;
        let [rows, columns] = grid;
        let shape = Shape::new(input.h, input.w, 1);
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let mut room = Room::new(scratch, classes, input, rows * columns)?;
        subtract(query, self.fill, room.difference)?;
        let cost = self.cost(classifier, query.targets.len())?;
        let mut passes = Passes::new(progress, cost.forward + cost.backward);
        if let Some(target) = self.against.filter(|class| *class >= classes) {
            return Err(Error::TargetOutOfRange { target, classes });
        }
        let maps = maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        for (t, ((map, outcome), &target)) in maps.zip(query.targets).enumerate() {
            let search = Search {
                query: *query,
                target,
                against: self.against,
                fill: self.fill,
                score: query.score.unwrap_or(Score::Probability),
                input,
                grid,
            };
            let before = passes.done;
            let ended = self.search(&search, classifier, &mut room, &mut passes)?;
            search.enlarge(room.mask, room.pixels)?;
            for (out, kept) in map.iter_mut().zip(room.pixels.iter()) {
                *out = 1.0 - kept;
            }
            let found = (&*room.mask, &mut *map);
            *outcome = self.judge((t, before, white), &ended, found, &mut passes);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::nets::{Figures, Net, StopAfter, Tiny, explain, tensor};
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(4, 6, 1);

    /// What a cell adds to a linear score of a picture of 1.5 over a fill of 0.5, which
    /// keeps every ReLU open.
    fn gains() -> Vec<f32> {
        (0..24)
            .map(|i| [0.4, -0.1, 0.0, 0.3, 0.02][i * 7 % 5])
            .collect()
    }

    fn method(smoothness: f32) -> MeaningfulPerturbation<'static> {
        MeaningfulPerturbation {
            fill: Fill::Colour([0.5; MAX_CHANNELS]),
            grid: Some([4, 6]),
            sparsity: 24.0 * 0.1,
            smoothness,
            ..MeaningfulPerturbation::default()
        }
    }

    fn query(x: &[f32]) -> Query<'_> {
        Query {
            picture: tensor(SHAPE, x),
            targets: &[0],
            score: Some(Score::Logit),
            seed: 3,
        }
    }

    /// On a linear score without smoothness a cell goes exactly if it gains more
    /// than its share of the sparsity: with gradients and without.
    #[test]
    fn a_linear_score_is_decided_cell_by_cell() {
        let (x, gains) = (vec![1.5; 24], gains());
        let expected: Vec<f32> = gains
            .iter()
            .map(|g| f32::from(u8::from(*g > 0.1)))
            .collect();
        let mut white = Tiny::new(SHAPE, false, vec![gains.clone()]);
        let mut notes = Figures::default();
        let (map, outcomes) = explain(&method(0.0), &mut white, &query(&x), &mut notes).unwrap();
        assert_eq!((&map[0], outcomes), (&expected, vec![Outcome::Ok]));
        let kept: f32 = expected.iter().map(|gone| 1.0 - gone).sum();
        assert!((notes.of(0, "kept") - f64::from(kept / 24.0)).abs() < 1e-6);
        let kept = gains.iter().zip(&expected);
        let score: f32 = kept.map(|(g, gone)| g * (1.5 - gone)).sum();
        assert!((notes.of(0, "score") - f64::from(score)).abs() < 1e-5);
        let weights = [gains];
        let mut black = Net::linear(SHAPE, &weights);
        let (map, _) = explain(&method(0.0), &mut black, &query(&x), &mut notes).unwrap();
        assert_eq!(black.passes, 300 * 16);
        for (found, expected) in map[0].iter().zip(&expected) {
            assert!((found - expected).abs() < 0.5, "{found} {expected}");
        }
    }

    /// Smoothness makes slopes shallower; coarse grids are enlarged.
    #[test]
    fn smoothness_and_grids() {
        let x = vec![1.5; 24];
        let mut white = Tiny::new(SHAPE, false, vec![gains()]);
        let mut run = |method: MeaningfulPerturbation<'_>| {
            explain(&method, &mut white, &query(&x), &mut Figures::default())
                .unwrap()
                .0[0]
                .clone()
        };
        let steep = |map: &[f32]| -> f32 { map.windows(2).map(|w| (w[1] - w[0]).powi(2)).sum() };
        assert!(steep(&run(method(50.0))) < 0.5 * steep(&run(method(0.0))));
        let coarse = run(MeaningfulPerturbation {
            grid: Some([2, 2]),
            ..method(0.0)
        });
        // Half-pixel centres: the outermost pixels have their cell's value.
        assert!(coarse.iter().all(|v| (0.0..=1.0).contains(v)));
        assert_eq!(coarse[0], coarse[1]);
    }

    /// Two linear classes over a fill of the same ends: the search ends where the other
    /// class is the best, with gradients and without, and goes no further.
    #[test]
    fn it_ends_where_the_other_class_is_the_best() {
        let (x, mine) = (vec![1.5; 24], gains());
        let other: Vec<f32> = mine.iter().map(|g| 0.05 - 0.1 * g).collect();
        let classes = [mine, other, vec![-1.0; 24]];
        let method = MeaningfulPerturbation {
            against: Some(1),
            sparsity: 0.0,
            rate: 0.02,
            ..method(0.0)
        };
        let value = |k: usize, map: &[f32]| -> f32 {
            let pairs = classes[k].iter().zip(map);
            pairs.map(|(g, gone)| g * (1.5 - gone)).sum()
        };
        let mut white = Tiny::new(SHAPE, false, classes.to_vec());
        let mut black = Net::linear(SHAPE, &classes);
        let nets: [&mut dyn Classifier; 2] = [&mut white, &mut black];
        for net in nets {
            let mut notes = Figures::default();
            let (map, outcomes) = explain(&method, net, &query(&x), &mut notes).unwrap();
            assert_eq!(outcomes, [Outcome::Ok]);
            let steps = notes.of(0, "steps");
            assert!(notes.of(0, "became") == 1.0 && steps < 300.0, "{steps}");
            // Just beyond the border: a step moves no cell by more than the rate.
            let beyond = value(1, &map[0]) - value(0, &map[0]);
            let step = 24.0 * 0.02 * 0.6;
            assert!(beyond > 0.0 && beyond < step, "{beyond}");
        }
        // Where a third class is above both, the other one never is the best.
        let [mine, other, _] = &classes;
        let third = [mine.clone(), other.clone(), vec![1.0; 24]];
        let mut white = Tiny::new(SHAPE, false, third.to_vec());
        let mut notes = Figures::default();
        explain(&method, &mut white, &query(&x), &mut notes).unwrap();
        assert_eq!((notes.of(0, "became"), notes.of(0, "steps")), (0.0, 300.0));
        let asked = |against, targets| {
            let method = MeaningfulPerturbation {
                against: Some(against),
                ..method
            };
            let mut white = Tiny::new(SHAPE, false, classes.to_vec());
            let query = Query {
                targets,
                ..query(&x)
            };
            explain(&method, &mut white, &query, &mut Figures::default())
        };
        let already = Outcome::Undefined("the picture is of the other class already");
        assert_eq!(asked(0, &[1]).unwrap().1, [already]);
        let range = Error::TargetOutOfRange {
            target: 3,
            classes: 3,
        };
        assert_eq!(asked(3, &[0]).unwrap_err(), range);
    }

    #[test]
    fn stopping_and_bad_parameters() {
        let x = vec![1.5; 24];
        let mut white = Tiny::new(SHAPE, false, vec![gains()]);
        let stop = &mut StopAfter(9);
        let (_, outcomes) = explain(&method(0.0), &mut white, &query(&x), stop).unwrap();
        let partial = Outcome::Partial {
            done: 10,
            total: 600,
        };
        assert_eq!(outcomes, [partial]);
        let mut error =
            |method| explain(&method, &mut white, &query(&x), &mut Figures::default()).unwrap_err();
        let bad = Error::BadParameter("parameters of meaningful perturbation");
        let usual = method(0.0);
        assert_eq!(error(MeaningfulPerturbation { steps: 0, ..usual }), bad);
        assert_eq!(error(MeaningfulPerturbation { rate: 0.0, ..usual }), bad);
        assert_eq!(
            error(MeaningfulPerturbation {
                sparsity: f32::NAN,
                ..usual
            }),
            bad
        );
        let grid = Error::BadParameter("grid of meaningful perturbation");
        let wide = Some([5, 6]);
        assert_eq!(
            error(MeaningfulPerturbation {
                grid: wide,
                ..usual
            }),
            grid
        );
    }
}
