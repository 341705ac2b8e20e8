//! FullGrad (Srinivas and Fleuret 2019, arXiv 1905.00780, eq. 8): input times
//! gradient, and bias times gradient at every node that adds a bias, each as a
//! picture; all of them together.
//!
//! psi brings one channel to a picture: its magnitude, brought to 0..1 over all
//! places and channels of the node, enlarged bilinearly. The map is the sum of
//! psi over the input's channels and all channels of all nodes whose output has
//! rows and columns (dense layers have no place, as in the authors' code). At
//! least 0.
//!
//! Signed and unscaled, these parts sum to the score where all functions are
//! piecewise linear through 0 (ReLU, pools); how far they miss it, biases of
//! dense layers included, is told as `completeness_error`. Batch normalisation
//! counts as the bias that it was folded into. Other functions (a clipped ReLU's
//! upper bound, hard-swish) have implicit biases that are left out, and int8
//! networks are refused: their biases are merged with zero points.
//! Default score: logit. Cost: 1 forward, 1 backward a target; scratch: a number
//! a place of each node, three a node, two a pixel.

use super::gradient::NOT_REACHED;
use super::pass::{Passes, fronts, judge, prepare, score_of};
use super::{Cost, Method, Outcome, Progress, Query, upsample_bilinear};
use crate::classifier::{At, BiasPiece, Classifier, Layers, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::picture::Picture;
use crate::tensor::Shape;

/// Evidence of the input and of every bias on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FullGrad;

/// Numbers of a node before the sums of its places: least and greatest magnitude.
const HEAD: usize = 2;

/// The sums of magnitudes of one node.
struct Sums<'s> {
    least: &'s mut f32,
    greatest: &'s mut f32,
    places: &'s mut [f32],
}

impl Sums<'_> {
    fn clear(&mut self) {
        *self.least = f32::INFINITY;
        *self.greatest = f32::NEG_INFINITY;
        self.places.fill(0.0);
    }

    /// Adds the magnitude of element `index` of `channels` channels.
    fn add(&mut self, index: usize, channels: usize, value: f32) {
        let size = libm::fabsf(value);
        *self.least = if size < *self.least {
            size
        } else {
            *self.least
        };
        *self.greatest = if size > *self.greatest {
            size
        } else {
            *self.greatest
        };
        let place = index.checked_div(channels).unwrap_or(0);
        if let Some(sum) = self.places.get_mut(place) {
            *sum += size;
        }
    }

    /// Adds what was summed, brought to 0..1 and enlarged, to the map.
    fn show(
        &mut self,
        shape: Shape,
        to: Shape,
        enlarged: &mut [f32],
        map: &mut [f32],
    ) -> Result<(), Error> {
        let spread = *self.greatest - *self.least;
        if shape.h * shape.w <= 1 || spread.is_nan() || spread <= 0.0 {
            return Ok(());
        }
        let level = shape.c as f32 * *self.least;
        for place in &mut *self.places {
            *place = (*place - level) / spread;
        }
        upsample_bilinear(self.places, [shape.h, shape.w], [to.h, to.w], enlarged)?;
        for (out, value) in map.iter_mut().zip(enlarged) {
            *out += *value;
        }
        Ok(())
    }
}

/// The memory of a run.
struct Room<'s> {
    /// Where the sums of each node begin.
    starts: &'s mut [f32],
    /// The sums of the nodes.
    nodes: &'s mut [f32],
    /// The sums of the input.
    input: &'s mut [f32],
    /// A picture.
    enlarged: &'s mut [f32],
}

/// Nodes that add a bias, and the numbers that their sums take.
fn extent(layers: &dyn Layers) -> Result<(usize, usize), Error> {
    let (mut nodes, mut numbers) = (0, 0);
    while let Some(shape) = layers.bias_shape(nodes)? {
        numbers += HEAD + shape.area();
        nodes += 1;
    }
    Ok((nodes, numbers))
}

impl<'s> Room<'s> {
    fn new(layers: &dyn Layers, input: Shape, scratch: &'s mut [f32]) -> Result<Self, Error> {
        let (nodes, numbers) = extent(layers)?;
        let (starts, rest) = fronts(scratch, nodes, numbers + HEAD + 2 * input.area())?;
        let (nodes, rest) = rest.split_at_mut_checked(numbers).ok_or(Error::Internal)?;
        let (input, enlarged) = rest
            .split_at_mut_checked(HEAD + input.area())
            .ok_or(Error::Internal)?;
        let mut at = 0;
        for (node, start) in starts.iter_mut().enumerate() {
            *start = at as f32;
            at += HEAD + layers.bias_shape(node)?.map_or(0, |shape| shape.area());
        }
        Ok(Self {
            starts,
            nodes,
            input,
            enlarged,
        })
    }

    /// Clears the sums.
    fn clear(&mut self, layers: &dyn Layers, input: Shape) -> Result<(), Error> {
        for (node, start) in self.starts.iter().enumerate() {
            let shape = layers.bias_shape(node)?.ok_or(Error::Internal)?;
            sums(self.nodes, *start, shape)?.clear();
        }
        sums(self.input, 0.0, input)?.clear();
        Ok(())
    }

    /// Adds all sums to the map.
    fn show(&mut self, layers: &dyn Layers, input: Shape, map: &mut [f32]) -> Result<(), Error> {
        for (node, start) in self.starts.iter().enumerate() {
            let shape = layers.bias_shape(node)?.ok_or(Error::Internal)?;
            let mut sums = sums(self.nodes, *start, shape)?;
            sums.show(shape, input, self.enlarged, map)?;
        }
        sums(self.input, 0.0, input)?.show(input, input, self.enlarged, map)
    }
}

/// The sums that begin at `start`.
fn sums(room: &mut [f32], start: f32, shape: Shape) -> Result<Sums<'_>, Error> {
    let own = room.get_mut(start as usize..);
    let own = own.and_then(|own| own.get_mut(..HEAD + shape.area()));
    let [least, greatest, places @ ..] = own.ok_or(Error::Internal)? else {
        return Err(Error::Internal);
    };
    Ok(Sums {
        least,
        greatest,
        places,
    })
}

/// Adds a piece of bias times gradient to its node's sums; answers what it adds
/// to the score.
fn take(piece: &BiasPiece<'_>, starts: &[f32], nodes: &mut [f32]) -> Result<f64, Error> {
    let start = starts.get(piece.node).ok_or(Error::Internal)?;
    let mut sums = sums(nodes, *start, piece.shape)?;
    let channels = piece.bias.len().max(1);
    let skipped = piece.first.checked_rem(channels).unwrap_or(0);
    let biases = piece.bias.iter().cycle().skip(skipped);
    let mut total = 0.0;
    for ((i, gradient), bias) in piece.gradient.iter().enumerate().zip(biases) {
        let value = gradient * bias;
        total += f64::from(value);
        sums.add(piece.first + i, piece.shape.c, value);
    }
    Ok(total)
}

/// As [`take`], for input times gradient.
fn take_input(
    picture: &Picture<'_>,
    (first, gradient): (usize, &[f32]),
    room: &mut [f32],
) -> Result<f64, Error> {
    let shape = picture.shape();
    let mut sums = sums(room, 0.0, shape)?;
    let mut total = 0.0;
    for (i, gradient) in (first..).zip(gradient) {
        let (place, c) = (i / shape.c.max(1), i % shape.c.max(1));
        let (y, x) = (place / shape.w.max(1), place % shape.w.max(1));
        let value = gradient * picture.value(y, x, c)?;
        total += f64::from(value);
        sums.add(i, shape.c, value);
    }
    Ok(total)
}

/// One target's map from the last run; answers by how much the parts miss the score.
fn map(
    layers: &mut dyn Layers,
    query: &Query<'_>,
    target: usize,
    room: &mut Room<'_>,
    map: &mut [f32],
) -> Result<f64, Error> {
    let input = query.picture.shape();
    let score = query.score.unwrap_or(Score::Logit);
    let whole = score_of(layers.scores(score)?, target)?;
    room.clear(layers, input)?;
    let (mut of_input, mut of_biases) = (0.0, 0.0);
    let Room {
        starts,
        nodes,
        input: elements,
        ..
    } = room;
    layers.backward_biases(
        &[(target, 1.0)],
        score,
        &mut |first, piece| {
            of_input += take_input(&query.picture, (first, piece), elements)?;
            Ok(())
        },
        &mut |piece| {
            of_biases += take(piece, starts, nodes)?;
            Ok(())
        },
    )?;
    room.show(layers, input, map)?;
    Ok(of_input + of_biases - f64::from(whole))
}

impl Method for FullGrad {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let area = classifier.input().area();
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let (nodes, numbers) = extent(layers)?;
        Ok(Cost {
            forward: 1,
            backward: targets as u64,
            scratch: nodes + numbers + HEAD + 2 * area,
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
        let input = classifier.input();
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
        let mut room = Room::new(layers, input, scratch)?;
        let mut passes = Passes::new(progress, 1 + query.targets.len() as u64);
        layers.run(&Masked::whole(query.picture), At::Input, Rule::Gradient)?;
        let mut running = passes.step().is_ok();
        let maps = maps.chunks_exact_mut(shape.len().max(1));
        let all = maps.zip(outcomes).zip(query.targets).enumerate();
        for (i, ((out, outcome), &target)) in all {
            if !running {
                *outcome = NOT_REACHED;
                continue;
            }
            let error = map(layers, query, target, &mut room, out)?;
            passes.note(i, "completeness_error", error);
            *outcome = judge(out);
            running = passes.step().is_ok();
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::Silent;
    use crate::explain::nets::{Net, Tiny, close, explain, tensor};
    use std::vec;
    use std::vec::Vec;

    #[derive(Default)]
    struct Notes(Vec<f64>);

    impl Progress for Notes {
        fn step(&mut self, _: u64, _: u64) -> bool {
            true
        }

        fn note(&mut self, _: usize, name: &'static str, value: f64) {
            assert_eq!(name, "completeness_error");
            self.0.push(value);
        }
    }

    /// A dense layer with a bias has no place: the map is that of the input,
    /// and input and bias together make the score.
    #[test]
    fn parts_make_the_score() {
        let shape = Shape::new(2, 3, 2);
        let x: Vec<f32> = (0..12).map(|i| ((i * 5) % 7) as f32 - 2.0).collect();
        let weights: Vec<f32> = (0..12).map(|i| ((i * 3) % 5) as f32 - 1.5).collect();
        let mut net = Tiny::new(shape, false, vec![weights.clone(), vec![0.5; 12]]);
        net.bias = 0.75;
        let query = Query {
            picture: tensor(shape, &x),
            targets: &[0, 1],
            score: None,
            seed: 0,
        };
        let mut notes = Notes::default();
        let (maps, outcomes) = explain(&FullGrad, &mut net, &query, &mut notes).unwrap();
        assert_eq!(outcomes, [Outcome::Ok; 2]);
        assert_eq!(notes.0.len(), 2);
        assert!(
            notes.0.iter().all(|error| error.abs() < 1e-5),
            "{:?}",
            notes.0
        );
        let sizes: Vec<f32> = x
            .iter()
            .zip(&weights)
            .map(|(x, w)| (w * x.max(0.0)).abs())
            .collect();
        let least = sizes.iter().copied().fold(f32::INFINITY, f32::min);
        let spread = sizes.iter().copied().fold(0.0, f32::max) - least;
        let place = |p: &[f32]| p.iter().map(|v| (v - least) / spread).sum();
        let expected: Vec<f32> = sizes.chunks(2).map(place).collect();
        close(&maps[0], &expected, 1e-6);
        let mut black = Net::new(shape, 1, |_, _| 0.0);
        let refused = explain(&FullGrad, &mut black, &query, &mut Silent);
        assert_eq!(refused, Err(Error::NotWhiteBox));
    }
}
