//! Activation maximisation: a picture that a class (or a unit of the network) finds most
//! of itself in (Simonyan et al. 2013, arXiv 1312.6034, section 2: arg max over x of
//! f(x) - lambda |x|^2; regularised as in Yosinski et al. 2015, arXiv 1506.06579, by
//! decay and blur, and by the jitter of Mordvintsev et al. 2015, "Inceptionism").
//!
//! From noise around the middle of the range (or from the picture itself) each step
//! goes up the gradient of f, scaled to a root mean square of 1:
//! x <- (1 - decay) (x + rate r g / rms(g)), with r the range, x measured from
//! its middle and cut to the range. The gradient is taken with the picture rolled
//! by up to `jitter` pixels each way, so that nothing settles on the grid of a
//! network's strides; every `blur_every` steps the picture is blurred. The range is
//! what pixels can be, for each channel; for pictures that are tensors it is the
//! picture's own, for all channels.
//!
//! The map is the picture x in model space, its sign that of the numbers in it. Beside
//! the map: `score_before` and `score`, at the beginning and in the end. Papers
//! decay by a term of the gradient; shrinking after the step is the same to first
//! order. Random numbers: the start, the jitter. Default score: logit, which unlike a
//! probability has no ceiling. Targets one after the other. Cost: `steps` + 2 forward and
//! `steps` backward a target; scratch: two pictures, a blurred row and classes.

use super::pass::{Passes, fronts, prepare, score_of};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::picture::blur::{blur_scratch, blur_tensor};
use crate::picture::{MAX_CHANNELS, Picture};
use crate::rng::{self, Purpose};
use crate::tensor::Shape;

/// Deviation of the noise that it starts from, as a share of the range.
const NOISE: f32 = 0.1;

/// A picture of what a class looks like to the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActivationMaximisation {
    /// Steps up the gradient, at least 1.
    pub steps: u32,
    /// Root mean square of a step as a share of the range, above 0.
    pub rate: f32,
    /// Share by which each step shrinks the picture towards the middle, 0 to 1.
    pub decay: f32,
    /// Most pixels by which the picture is rolled each way.
    pub jitter: u16,
    /// Deviation of the blur in pixels; 0 for none.
    pub blur: f32,
    /// Steps from one blur to the next, at least 1.
    pub blur_every: u32,
    /// Whether it starts from the picture instead of noise.
    pub from_picture: bool,
}

impl Default for ActivationMaximisation {
    fn default() -> Self {
        Self {
            steps: 128,
            rate: 0.02,
            decay: 0.005,
            jitter: 4,
            blur: 0.5,
            blur_every: 4,
            from_picture: false,
        }
    }
}

/// The values that pictures can have, channel by channel.
struct Range {
    least: [f32; MAX_CHANNELS],
    most: [f32; MAX_CHANNELS],
}

impl Range {
    fn of(query: &Query<'_>) -> Result<Self, Error> {
        let (mut least, mut most) = (query.picture.colour(0.0), query.picture.colour(255.0));
        if let Picture::Tensor { shape, data } = query.picture {
            let data = data.get(..shape.len()).unwrap_or(data);
            let start = (f32::INFINITY, f32::NEG_INFINITY);
            let (low, high) = data.iter().fold(start, |(low, high), &v| {
                (
                    if v < low { v } else { low },
                    if v > high { v } else { high },
                )
            });
            if !(low.is_finite() && high.is_finite()) {
                return Err(Error::PictureNotFinite);
            }
            (least, most) = ([low; MAX_CHANNELS], [high; MAX_CHANNELS]);
        }
        for (least, most) in least.iter_mut().zip(&mut most) {
            if *least > *most {
                core::mem::swap(least, most);
            }
        }
        Ok(Self { least, most })
    }

    /// Least and greatest value of a channel; tensors of many channels have one range.
    fn channel(&self, c: usize) -> (f32, f32) {
        let of = |all: &[f32; MAX_CHANNELS]| {
            let [first, ..] = *all;
            all.get(c).copied().unwrap_or(first)
        };
        (of(&self.least), of(&self.most))
    }
}

fn cut(value: f32, least: f32, most: f32) -> f32 {
    if value < least {
        least
    } else if value > most {
        most
    } else {
        value
    }
}

/// Where an element of a rolled picture comes from.
#[derive(Clone, Copy)]
struct Roll {
    shape: Shape,
    by: [usize; 2],
}

impl Roll {
    fn new(shape: Shape, jitter: u16, seed: u64, step: u32) -> Self {
        let words = rng::words(seed, step, 0, 0, Purpose::Jitter);
        let sides = [shape.h.max(1), shape.w.max(1)];
        let mut by = [0; 2];
        for ((by, side), word) in by.iter_mut().zip(sides).zip(words) {
            // 0 to 2 jitter, less jitter, on a ring.
            let ahead = rng::below(word, 2 * u32::from(jitter) + 1) as usize;
            *by = (ahead + side - usize::from(jitter) % side) % side;
        }
        Self { shape, by }
    }

    fn source(&self, i: usize) -> usize {
        let Shape { h, w, c } = self.shape;
        let (h, w, c) = (h.max(1), w.max(1), c.max(1));
        let (y, x, channel) = (i / c / w, i / c % w, i % c);
        let [down, along] = self.by;
        ((y + down) % h * w + (x + along) % w) * c + channel
    }
}

/// The memory of a run, beside the map, which is the picture.
struct Room<'s> {
    scores: &'s mut [f32],
    /// The picture rolled, or blurred.
    rolled: &'s mut [f32],
    gradient: &'s mut [f32],
    blur: &'s mut [f32],
}

impl ActivationMaximisation {
    fn check(&self) -> Result<(), Error> {
        let sizes = self.rate > 0.0 && self.rate.is_finite() && (0.0..=1.0).contains(&self.decay);
        let blur = self.blur >= 0.0 && self.blur.is_finite() && self.blur_every > 0;
        if sizes && blur && self.steps > 0 {
            Ok(())
        } else {
            Err(Error::BadParameter("parameters of activation maximisation"))
        }
    }

    fn blur_len(&self, shape: Shape) -> usize {
        if self.blur > 0.0 {
            blur_scratch(shape, self.blur)
        } else {
            0
        }
    }

    /// Where it begins.
    fn start(&self, query: &Query<'_>, range: &Range, x: &mut [f32]) -> Result<(), Error> {
        let shape = query.picture.shape();
        let (c, w) = (shape.c.max(1), shape.w.max(1));
        if self.from_picture {
            for (i, out) in x.iter_mut().enumerate() {
                *out = query.picture.value(i / c / w, i / c % w, i % c)?;
            }
            return Ok(());
        }
        for (block, four) in x.chunks_mut(4).enumerate() {
            let words = rng::words(query.seed, 0, 0, block as u32, Purpose::StartNoise);
            for (k, (out, normal)) in four.iter_mut().zip(rng::four_normals(words)).enumerate() {
                let (least, most) = range.channel((4 * block + k) % c);
                let middle = least + (most - least) / 2.0;
                *out = middle + NOISE * (most - least) * normal;
                *out = cut(*out, least, most);
            }
        }
        Ok(())
    }

    /// One step up.
    fn step(
        &self,
        classifier: &mut dyn Classifier,
        (query, target, step): (&Query<'_>, usize, u32),
        range: &Range,
        (x, room): (&mut [f32], &mut Room<'_>),
    ) -> Result<(), Error> {
        let shape = query.picture.shape();
        let score = query.score.unwrap_or(Score::Logit);
        let roll = Roll::new(shape, self.jitter, query.seed, step);
        for (i, out) in room.rolled.iter_mut().enumerate() {
            *out = x.get(roll.source(i)).copied().unwrap_or(0.0);
        }
        let data = &*room.rolled;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let rolled = Masked::whole(Picture::Tensor { shape, data });
        layers.run(&rolled, At::Input, Rule::Gradient)?;
        let (gradient, mut squares) = (&mut *room.gradient, 0.0);
        layers.backward_pieces(&[(target, 1.0)], score, &mut |first, piece| {
            for (i, value) in piece.iter().enumerate() {
                squares += f64::from(*value) * f64::from(*value);
                if let Some(place) = gradient.get_mut(roll.source(first + i)) {
                    *place = *value;
                }
            }
            Ok(())
        })?;
        let rms = libm::sqrt(squares / x.len().max(1) as f64) as f32;
        if rms > 0.0 {
            self.climb(range, shape.c.max(1), rms, (x, gradient));
        }
        if self.blur > 0.0 && (step + 1).is_multiple_of(self.blur_every) {
            blur_tensor(shape, x, self.blur, room.blur, room.rolled)?;
            for (x, blurred) in x.iter_mut().zip(room.rolled.iter()) {
                *x = *blurred;
            }
        }
        Ok(())
    }

    fn climb(&self, range: &Range, c: usize, rms: f32, (x, gradient): (&mut [f32], &[f32])) {
        for (i, (x, slope)) in x.iter_mut().zip(gradient).enumerate() {
            let (least, most) = range.channel(i % c);
            let middle = least + (most - least) / 2.0;
            let moved = *x + self.rate * (most - least) * (slope / rms) - middle;
            let moved = middle + (1.0 - self.decay) * moved;
            *x = cut(moved, least, most);
        }
    }

    /// The whole ascent of one target; its scores at both ends, and whether it was stopped.
    fn ascend(
        &self,
        classifier: &mut dyn Classifier,
        (query, target): (&Query<'_>, usize),
        range: &Range,
        (x, room): (&mut [f32], &mut Room<'_>),
        passes: &mut Passes<'_>,
    ) -> Result<([f32; 2], bool), Error> {
        let shape = query.picture.shape();
        let score = query.score.unwrap_or(Score::Logit);
        let ask = |classifier: &mut dyn Classifier, data: &[f32], out: &mut [f32]| {
            let masked = Masked::whole(Picture::Tensor { shape, data });
            classifier.classify(&masked, score, out)?;
            score_of(out, target)
        };
        self.start(query, range, x)?;
        let before = ask(classifier, x, room.scores)?;
        let mut state = passes.step();
        for step in 0..self.steps {
            if state.is_err() {
                break;
            }
            self.step(classifier, (query, target, step), range, (x, room))?;
            state = passes.steps(2);
        }
        let after = ask(classifier, x, room.scores)?;
        let stopped = match state {
            Ok(()) => passes.step() == Err(Error::Stopped),
            Err(Error::Stopped) => true,
            Err(error) => return Err(error),
        };
        Ok(([before, after], stopped))
    }
}

impl Method for ActivationMaximisation {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        Ok(classifier.input())
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.check()?;
        classifier.layers().ok_or(Error::NotWhiteBox)?;
        let (input, targets) = (classifier.input(), targets as u64);
        Ok(Cost {
            forward: targets * (u64::from(self.steps) + 2),
            backward: targets * u64::from(self.steps),
            scratch: classifier.classes() + 2 * input.len() + self.blur_len(input),
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
        let (shape, classes) = (classifier.input(), classifier.classes());
        let cost = self.cost(classifier, query.targets.len())?;
        query.picture.check(shape)?;
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let rest = 2 * shape.len() + self.blur_len(shape);
        let (scores, all) = fronts(scratch, classes, rest)?;
        let (rolled, all) = fronts(all, shape.len(), rest - shape.len())?;
        let (gradient, blur) = fronts(all, shape.len(), rest - 2 * shape.len())?;
        let mut room = Room {
            scores,
            rolled,
            gradient,
            blur,
        };
        let range = Range::of(query)?;
        let mut passes = Passes::new(progress, cost.forward + cost.backward);
        let each = 2 * u64::from(self.steps) + 2;
        let maps = maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        for (t, ((map, outcome), &target)) in maps.zip(query.targets).enumerate() {
            let begun = passes.done;
            let about = (query, target);
            let climbed = self.ascend(classifier, about, &range, (map, &mut room), &mut passes);
            let ([before, after], stopped) = climbed?;
            passes.note(t, "score_before", f64::from(before));
            passes.note(t, "score", f64::from(after));
            *outcome = match super::pass::judge(map) {
                Outcome::Ok if stopped => Outcome::Partial {
                    done: passes.done - begun,
                    total: each,
                },
                outcome => outcome,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::nets::{Curved, Figures, StopAfter, Tiny, close, explain, tensor};
    use crate::picture::Normalisation;
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(4, 6, 1);

    const PLAIN: ActivationMaximisation = ActivationMaximisation {
        steps: 5,
        rate: 0.02,
        decay: 0.0,
        jitter: 0,
        blur: 0.0,
        blur_every: 1,
        from_picture: true,
    };

    fn query(x: &[f32]) -> Query<'_> {
        Query {
            picture: tensor(SHAPE, x),
            targets: &[0],
            score: None,
            seed: 3,
        }
    }

    fn gains() -> Vec<f32> {
        (0..24)
            .map(|i| [0.4, -0.1, 0.0, 0.3, 0.02][i * 7 % 5])
            .collect()
    }

    /// On a linear score every step is rate r g / rms(g), whatever the jitter, and with
    /// decay x - middle shrinks as (1 - decay)^t.
    #[test]
    fn a_linear_score_in_closed_form() {
        let x: Vec<f32> = (0..24).map(|i| 1.0 + (i * 5 % 24) as f32 / 23.0).collect();
        let gains = gains();
        let rms = (gains.iter().map(|g| g * g).sum::<f32>() / 24.0).sqrt();
        let mut net = Tiny::new(SHAPE, false, vec![gains.clone()]);
        for (decay, jitter) in [(0.0, 0), (0.1, 0)] {
            let method = ActivationMaximisation {
                decay,
                jitter,
                ..PLAIN
            };
            let mut notes = Figures::default();
            let (map, outcomes) = explain(&method, &mut net, &query(&x), &mut notes).unwrap();
            assert_eq!(outcomes, [Outcome::Ok]);
            let expected: Vec<f32> = x
                .iter()
                .zip(&gains)
                .map(|(x, g)| {
                    let mut moved = x - 1.5;
                    for _ in 0..5 {
                        moved = ((1.0 - decay) * (moved + 0.02 * g / rms)).clamp(-0.5, 0.5);
                    }
                    1.5 + moved
                })
                .collect();
            close(&map[0], &expected, 1e-5);
            let dot = |x: &[f32]| -> f32 { x.iter().zip(&gains).map(|(x, g)| x * g).sum() };
            assert!((notes.of(0, "score_before") - f64::from(dot(&x))).abs() < 1e-4);
            assert!((notes.of(0, "score") - f64::from(dot(&expected))).abs() < 1e-4);
        }
    }

    /// Every second step ends with a blur.
    #[test]
    fn blurs_come_in_their_turn() {
        let x: Vec<f32> = (0..24).map(|i| 1.0 + (i * 5 % 24) as f32 / 23.0).collect();
        let gains = gains();
        let rms = (gains.iter().map(|g| g * g).sum::<f32>() / 24.0).sqrt();
        let mut expected = x.clone();
        let mut scratch = vec![0.0; blur_scratch(SHAPE, 0.8)];
        for step in 1..=5 {
            for (x, g) in expected.iter_mut().zip(&gains) {
                *x = (*x + 0.02 * g / rms).clamp(1.0, 2.0);
            }
            if step % 2 == 0 {
                let sharp = expected.clone();
                blur_tensor(SHAPE, &sharp, 0.8, &mut scratch, &mut expected).unwrap();
            }
        }
        let mut net = Tiny::new(SHAPE, false, vec![gains]);
        let method = ActivationMaximisation {
            blur: 0.8,
            blur_every: 2,
            ..PLAIN
        };
        let (map, _) = explain(&method, &mut net, &query(&x), &mut Figures::default()).unwrap();
        close(&map[0], &expected, 1e-5);
    }

    /// Rolling by a step and back is nothing for a score that does not see it.
    #[test]
    fn a_roll_goes_there_and_back() {
        for step in 0..40 {
            let roll = Roll::new(SHAPE, 9, 5, step);
            let mut all: Vec<usize> = (0..24).map(|i| roll.source(i)).collect();
            assert_eq!(all[7] / 6, (all[1] / 6 + 1) % 4);
            all.sort_unstable();
            assert_eq!(all, (0..24).collect::<Vec<_>>());
        }
        let mut net = Curved::new(
            SHAPE,
            |x| x.iter().map(|x| -(x - 0.7) * (x - 0.7)).sum(),
            |x| x.iter().map(|x| -2.0 * (x - 0.7)).collect(),
        );
        let x: Vec<f32> = (0..24).map(|i| i as f32 / 23.0).collect();
        let mut run = |jitter| {
            let method = ActivationMaximisation { jitter, ..PLAIN };
            explain(&method, &mut net, &query(&x), &mut Figures::default())
                .unwrap()
                .0
        };
        let (still, rolled) = (run(0), run(3));
        close(&still[0], &rolled[0], 1e-6);
    }

    /// From noise up a hill with one top: there, and never out of the range; the same
    /// with the same seed.
    #[test]
    fn it_climbs_from_noise() {
        let top = |i: usize| f64::from((i * 7 % 24) as u32) / 23.0;
        let mut net = Curved::new(
            SHAPE,
            move |x| (0..24).map(|i| -(x[i] - top(i)).powi(2)).sum(),
            move |x| (0..24).map(|i| -2.0 * (x[i] - top(i))).collect(),
        );
        let x: Vec<f32> = (0..24).map(|i| i as f32 / 23.0).collect();
        let method = ActivationMaximisation {
            steps: 60,
            rate: 0.01,
            from_picture: false,
            ..PLAIN
        };
        let mut run = |seed, steps| {
            let mut notes = Figures::default();
            let query = Query { seed, ..query(&x) };
            let method = ActivationMaximisation { steps, ..method };
            let (map, _) = explain(&method, &mut net, &query, &mut notes).unwrap();
            (
                map[0].clone(),
                notes.of(0, "score_before"),
                notes.of(0, "score"),
            )
        };
        let mut last = run(3, 1).1;
        for steps in [5, 15, 30, 60] {
            let (map, _, score) = run(3, steps);
            assert!(score > last && map.iter().all(|v| (0.0..=1.0).contains(v)));
            last = score;
        }
        assert!(last > -0.01, "{last}");
        assert_eq!(run(3, 9), run(3, 9));
        assert_ne!(run(3, 9).0, run(4, 9).0);
    }

    /// Pixels have a range of their own in every channel.
    #[test]
    fn pixels_bound_every_channel() {
        let shape = Shape::new(2, 3, 2);
        let normalisation = Normalisation {
            mean: [0.0, 255.0, 0.0, 0.0],
            scale: [1.0 / 255.0, -0.01, 1.0, 1.0],
        };
        let data = [128; 12];
        let query = Query {
            picture: Picture::Pixels {
                shape,
                data: &data,
                normalisation: &normalisation,
            },
            targets: &[0],
            score: None,
            seed: 3,
        };
        let mut net = Tiny::new(shape, false, vec![vec![1.0; 12]]);
        let method = ActivationMaximisation {
            steps: 400,
            blur: 0.5,
            blur_every: 40,
            ..PLAIN
        };
        let (map, _) = explain(&method, &mut net, &query, &mut Figures::default()).unwrap();
        for pixel in map[0].chunks_exact(2) {
            assert!(
                (pixel[0] - 1.0).abs() < 1e-5 && (pixel[1] - 2.55).abs() < 1e-5,
                "{pixel:?}"
            );
        }
    }

    #[test]
    fn stopping_and_bad_parameters() {
        let x: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let mut net = Tiny::new(SHAPE, false, vec![gains()]);
        let stop = &mut StopAfter(4);
        let (_, outcomes) = explain(&PLAIN, &mut net, &query(&x), stop).unwrap();
        assert_eq!(outcomes, [Outcome::Partial { done: 5, total: 12 }]);
        let mut error = |method: ActivationMaximisation| {
            explain(&method, &mut net, &query(&x), &mut Figures::default()).unwrap_err()
        };
        let bad = Error::BadParameter("parameters of activation maximisation");
        assert_eq!(error(ActivationMaximisation { steps: 0, ..PLAIN }), bad);
        assert_eq!(
            error(ActivationMaximisation {
                rate: f32::NAN,
                ..PLAIN
            }),
            bad
        );
        assert_eq!(
            error(ActivationMaximisation {
                decay: 1.5,
                ..PLAIN
            }),
            bad
        );
        assert_eq!(
            error(ActivationMaximisation {
                blur_every: 0,
                ..PLAIN
            }),
            bad
        );
    }
}
