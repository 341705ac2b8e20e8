//! AISE, adaptive input sampling for explanation (`OpenVINO` XAI 1.1, Intel 2024,
//! class `AISEClassification`; there is no paper of its own).
//!
//! Gaussian windows K of a few widths look for the place that decides: for each width
//! the centre u of K that is best for s(u) = f(x behind K) - f(x behind 1 - K), what
//! the window keeps less what is left without it, is sought by DIRECT (Jones,
//! Perttunen and Stuckman 1993, J. Optim. Theory Appl. 79), which divides the picture
//! into ever smaller rectangles where that promises most. The map is the kernel
//! density of what was tried, sum over widths of sum_i (s_i - min s) K_i / max: each
//! width counts alike, and places that were tried more often for want of better
//! ones count for nothing where all s are below 0. Beside the map: `best`, the greatest
//! s, and its place, `row` and `column`, as shares of the sides.
//!
//! As there, widths are shares of each side and the optimiser's epsilon is 0.1. There
//! masks are scaled so that the nearest pixel has 1, and the map to a maximum of 1;
//! here neither is. Deterministic: no random numbers. Default score: probability.
//! Targets one after the other. Cost: 2 `samples` forward a width and target; scratch: a
//! map, a row, classes and 6 numbers a sample.

mod direct;

use super::pass::{Passes, fronts, prepare, score_of, unless_stopped};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::{Fill, Mask, Masked, Spot};
use crate::picture::MAX_CHANNELS;
use crate::tensor::Shape;
use direct::{NUMBERS, Pieces, centre};

/// Widths of the windows, `OpenVINO` XAI's.
const WIDTHS: [f32; 3] = [0.1, 0.175, 0.25];

/// Where a few Gaussian windows keep the class, and hide it.
#[derive(Clone, Copy, Debug)]
pub struct Aise<'a> {
    /// Deviations of the windows as shares of the picture's sides, above 0.
    pub widths: &'a [f32],
    /// Centres tried with each width, at least 1.
    pub samples: u32,
    /// How much better than the best, as a share of it, a place must promise to
    /// be that a smaller rectangle is looked into: 0 is local, 1 global.
    pub epsilon: f32,
    /// What shows where a window hides.
    pub fill: Fill<'a>,
}

impl Default for Aise<'_> {
    fn default() -> Self {
        Self {
            widths: &WIDTHS,
            samples: 50,
            epsilon: 0.1,
            fill: Fill::Colour([0.0; MAX_CHANNELS]),
        }
    }
}

/// The memory of a run.
struct Room<'s> {
    scores: &'s mut [f32],
    pieces: &'s mut [f32],
    values: &'s mut [f32],
    /// The sum of one width.
    sum: &'s mut [f32],
    row: &'s mut [f32],
}

impl<'s> Room<'s> {
    const fn len(classes: usize, samples: usize, input: Shape) -> usize {
        classes + (NUMBERS + 1) * samples + input.area() + input.w
    }

    fn new(
        scratch: &'s mut [f32],
        classes: usize,
        samples: usize,
        input: Shape,
    ) -> Result<Self, Error> {
        let rest = Self::len(classes, samples, input) - classes;
        let (scores, all) = fronts(scratch, classes, rest)?;
        let rest = rest - NUMBERS * samples;
        let (pieces, all) = fronts(all, NUMBERS * samples, rest)?;
        let (values, all) = fronts(all, samples, rest - samples)?;
        let (sum, row) = fronts(all, input.area(), input.w)?;
        Ok(Self {
            scores,
            pieces,
            values,
            sum,
            row,
        })
    }
}

/// The best place so far: its value and its centre.
type Best = Option<(f32, [f32; 2])>;

impl Aise<'_> {
    fn check(&self) -> Result<(), Error> {
        let wide = |width: &f32| *width > 0.0 && width.is_finite();
        let fits = !self.widths.is_empty() && self.widths.iter().all(wide);
        let share = self.epsilon.is_finite() && self.epsilon >= 0.0;
        if fits && share && self.samples > 0 {
            Ok(())
        } else {
            Err(Error::BadParameter("parameters of AISE"))
        }
    }

    const fn passes(&self) -> u64 {
        2 * self.samples as u64 * self.widths.len() as u64
    }

    /// Tries centres for one width; the error that ended it, and how many it was.
    fn search(
        &self,
        classifier: &mut dyn Classifier,
        (query, target): (&Query<'_>, usize),
        width: f32,
        room: &mut Room<'_>,
        passes: &mut Passes<'_>,
    ) -> (usize, Result<(), Error>) {
        let mut pieces = Pieces::new(room.pieces, room.values, self.epsilon);
        let score = query.score.unwrap_or(Score::Probability);
        loop {
            let fresh = pieces.divide();
            if fresh.is_empty() {
                return (fresh.end, Ok(()));
            }
            let (first, count) = (fresh.start, fresh.len());
            let (all, values) = pieces.parts();
            let view = |i: usize| Masked {
                picture: query.picture,
                fill: self.fill,
                mask: Mask::Spot(Spot {
                    centre: centre(all, first + i / 2),
                    width,
                    hides: i % 2 == 1,
                }),
            };
            let (mut kept, mut done) = (0.0, first);
            let mut sink = |i: usize, scores: &[f32]| {
                let score = score_of(scores, target)?;
                if i.is_multiple_of(2) {
                    kept = score;
                } else if let Some(value) = values.get_mut(first + i / 2) {
                    *value = kept - score;
                    done = first + i / 2 + 1;
                }
                passes.step()
            };
            let asked = classifier.classify_batch(2 * count, &view, score, room.scores, &mut sink);
            if asked.is_err() {
                return (done, asked);
            }
            pieces.settle(fresh);
        }
    }

    /// Adds what one width found to a map.
    fn add(
        &self,
        width: f32,
        count: usize,
        shape: Shape,
        room: &mut Room<'_>,
        map: &mut [f32],
    ) -> Best {
        room.sum.fill(0.0);
        let mut best: Best = None;
        let tried = |i| direct::tried(room.pieces, room.values, i).1;
        let less = |least: f32, value: f32| if value < least { value } else { least };
        let least = (0..count).map(tried).fold(f32::INFINITY, less);
        for i in 0..count {
            let (centre, value) = direct::tried(room.pieces, room.values, i);
            if best.is_none_or(|(most, _)| value > most) {
                best = Some((value, centre));
            }
            let spot = Spot {
                centre,
                width,
                hides: false,
            };
            for (x, weight) in room.row.iter_mut().enumerate() {
                *weight = spot.along(1, x, shape.w);
            }
            let rows = room.sum.chunks_exact_mut(shape.w.max(1)).enumerate();
            for (y, row) in rows {
                let share = (value - least) * spot.along(0, y, shape.h);
                for (sum, weight) in row.iter_mut().zip(room.row.iter()) {
                    *sum += share * weight;
                }
            }
        }
        let more = |most: f32, value: &f32| if *value > most { *value } else { most };
        let most = room.sum.iter().fold(0.0, more);
        let scale = if most > 0.0 { 1.0 / most } else { 1.0 };
        for (value, sum) in map.iter_mut().zip(room.sum.iter()) {
            *value += scale * sum;
        }
        best
    }
}

impl Method for Aise<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.check()?;
        let (input, classes) = (classifier.input(), classifier.classes());
        Ok(Cost {
            forward: self.passes() * targets as u64,
            backward: 0,
            scratch: Room::len(classes, self.samples as usize, input),
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
        self.check()?;
        let (input, classes) = (classifier.input(), classifier.classes());
        let shape = Shape::new(input.h, input.w, 1);
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let mut room = Room::new(scratch, classes, self.samples as usize, input)?;
        let total = self.passes() * query.targets.len() as u64;
        let mut passes = Passes::new(progress, total);
        let maps = maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        for (t, ((map, outcome), &target)) in maps.zip(query.targets).enumerate() {
            let (before, mut best) = (passes.done, None);
            let mut stopped = false;
            for &width in self.widths {
                let about = (query, target);
                let (count, asked) = self.search(classifier, about, width, &mut room, &mut passes);
                stopped = asked == Err(Error::Stopped);
                unless_stopped(asked)?;
                let found = self.add(width, count, shape, &mut room, map);
                let most = |best: Best| best.map_or(f32::NEG_INFINITY, |(value, _)| value);
                if most(found) > most(best) {
                    best = found;
                }
                if stopped {
                    break;
                }
            }
            if let Some((value, [row, column])) = best {
                passes.note(t, "best", f64::from(value));
                passes.note(t, "row", f64::from(row));
                passes.note(t, "column", f64::from(column));
            }
            *outcome = match (stopped, super::pass::judge(map)) {
                (true, Outcome::Ok | Outcome::Flat) => Outcome::Partial {
                    done: passes.done - before,
                    total: self.passes(),
                },
                (_, outcome) => outcome,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::nets::{Figures, Net, StopAfter, explain, tensor};
    use std::vec;
    use std::vec::Vec;

    /// Wider than high.
    const SHAPE: Shape = Shape::new(16, 24, 2);

    /// Two classes, each the mean of a round blob: at rows and columns 4, 18 and 11, 5.
    fn net() -> Net<'static> {
        let blob = |cy: f64, cx: f64| -> Vec<f64> {
            let each = (0..SHAPE.area()).map(|p| {
                let (y, x) = ((p / 24) as f64 - cy, (p % 24) as f64 - cx);
                (-(y * y + x * x) / 2.0).exp()
            });
            each.collect()
        };
        let blobs = [blob(4.0, 18.0), blob(11.0, 5.0)];
        Net::new(SHAPE, 2, move |x, k| {
            let weights = &blobs[k];
            let sum: f64 = weights.iter().sum();
            let pairs = weights.iter().zip(x.chunks_exact(2));
            pairs.map(|(w, x)| w * f64::from(x[0])).sum::<f64>() / sum
        })
    }

    fn query(x: &[f32]) -> Query<'_> {
        Query {
            picture: tensor(SHAPE, x),
            targets: &[0, 1],
            score: None,
            seed: 3,
        }
    }

    fn peak(map: &[f32]) -> [f32; 2] {
        let best = (0..map.len())
            .max_by(|a, b| map[*a].total_cmp(&map[*b]))
            .unwrap();
        [(best / 24) as f32, (best % 24) as f32]
    }

    /// On ones over zeros f(keep) - f(hide) is 2 f(keep) - 1 for a mean: greatest where the
    /// window has the blob in its middle.
    #[test]
    fn maps_peak_where_the_class_lies() {
        let x = vec![1.0; SHAPE.len()];
        let (mut net, mut notes) = (net(), Figures::default());
        let method = Aise::default();
        let (maps, outcomes) = explain(&method, &mut net, &query(&x), &mut notes).unwrap();
        assert_eq!(
            (outcomes, net.passes),
            (vec![Outcome::Ok; 2], 2 * 3 * 2 * 50)
        );
        for (t, centre) in [[4.0, 18.0], [11.0, 5.0]].into_iter().enumerate() {
            let found = peak(&maps[t]);
            let apart = (0..2).map(|i| (found[i] - centre[i]).abs());
            assert!(apart.clone().all(|d| d <= 1.5), "{found:?} {centre:?}");
            let place = [
                notes.of(t, "row") * 16.0 - 0.5,
                notes.of(t, "column") * 24.0 - 0.5,
            ];
            for (found, expected) in place.into_iter().zip(centre) {
                assert!((found - f64::from(expected)).abs() < 1.0, "{place:?}");
            }
            // All that is kept is 1, and the widest window hides most of the blob.
            assert!(notes.of(t, "best") > 0.8 && notes.of(t, "best") < 1.0);
        }
        let other = Query {
            seed: 4,
            ..query(&x)
        };
        let (again, _) = explain(&method, &mut net, &other, &mut notes).unwrap();
        assert_eq!(maps, again);
    }

    /// One width, the middle and the four thirds around it: sum (s - least) K in
    /// closed form, divided by its greatest value.
    #[test]
    fn five_windows_in_closed_form() {
        let x = vec![1.0; SHAPE.len()];
        let mut net = Net::new(SHAPE, 1, |x, _| {
            x.iter().step_by(2).map(|x| f64::from(*x)).sum::<f64>() / 384.0
        });
        let query = Query {
            targets: &[0],
            ..query(&x)
        };
        let method = Aise {
            widths: &[0.2],
            samples: 5,
            ..Aise::default()
        };
        let mut notes = Figures::default();
        let (maps, _) = explain(&method, &mut net, &query, &mut notes).unwrap();
        let third = 1.0 / 3.0;
        let centres = [
            [0.0, 0.0],
            [third, 0.0],
            [-third, 0.0],
            [0.0, third],
            [0.0, -third],
        ];
        let kernel = |p: usize, [cy, cx]: [f64; 2]| {
            let y = ((p / 24) as f64 + 0.5) / 16.0 - 0.5 - cy;
            let x = ((p % 24) as f64 + 0.5) / 24.0 - 0.5 - cx;
            (-(y * y + x * x) / (2.0 * 0.2 * 0.2)).exp()
        };
        // All that is kept is 1: f(keep) is the window's mean m, s is 2 m - 1.
        let values =
            centres.map(|c| 2.0 * (0..384).map(|p| kernel(p, c)).sum::<f64>() / 384.0 - 1.0);
        assert!((notes.of(0, "best") - values[0]).abs() < 1e-5);
        let least = values.into_iter().fold(f64::INFINITY, f64::min);
        let pairs = || centres.into_iter().zip(values);
        let expected = (0..384).map(|p| pairs().map(|(c, s)| (s - least) * kernel(p, c)).sum());
        let expected: Vec<f64> = expected.collect();
        let most = expected.iter().copied().fold(0.0, f64::max);
        for (found, expected) in maps[0].iter().zip(expected) {
            assert!(
                (f64::from(*found) - expected / most).abs() < 1e-4,
                "{found} {}",
                expected / most
            );
        }
    }

    #[test]
    fn stopping_flat_and_bad_parameters() {
        let x = vec![1.0; SHAPE.len()];
        let mut net = net();
        let method = Aise::default();
        let (_, outcomes) = explain(&method, &mut net, &query(&x), &mut StopAfter(31)).unwrap();
        let partial = |done| Outcome::Partial { done, total: 300 };
        // The second class begins after the first was stopped, and asks once.
        assert_eq!(outcomes, [partial(31), partial(1)]);
        let mut constant = Net::new(SHAPE, 2, |_, _| 0.7);
        let (_, outcomes) =
            explain(&method, &mut constant, &query(&x), &mut Figures::default()).unwrap();
        assert_eq!(outcomes, [Outcome::Flat; 2]);
        let mut error = |method| {
            explain(&method, &mut constant, &query(&x), &mut Figures::default()).unwrap_err()
        };
        let bad = Error::BadParameter("parameters of AISE");
        assert_eq!(
            error(Aise {
                samples: 0,
                ..method
            }),
            bad
        );
        assert_eq!(
            error(Aise {
                widths: &[],
                ..method
            }),
            bad
        );
        assert_eq!(
            error(Aise {
                widths: &[0.0],
                ..method
            }),
            bad
        );
        assert_eq!(
            error(Aise {
                epsilon: f32::NAN,
                ..method
            }),
            bad
        );
    }
}
