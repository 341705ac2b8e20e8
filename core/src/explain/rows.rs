//! Gradients at the input without a map: handed on row by row as the backward
//! pass makes them, for machines whose memory cannot hold rows, columns and
//! channels in f32. The numbers are those of [`Gradient`](super::Gradient),
//! [`Deconvolution`](super::Deconvolution) and
//! [`GuidedBackprop`](super::GuidedBackprop).

use super::gradient::NOT_REACHED;
use super::pass::{NOT_FINITE, Passes, score_of};
use super::{Outcome, Progress, Query};
use crate::classifier::{At, Classifier, Pieces, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;

/// Hands the derivative of the score of the query's first target, by `rule`,
/// to `sink`: pieces in order, HWC. Where the outcome is undefined, the map is
/// 0 everywhere, whatever `sink` was handed.
///
/// # Errors
/// As [`Method::explain`](super::Method::explain), and what `sink` reports.
pub fn gradient_rows(
    rule: Rule,
    classifier: &mut dyn Classifier,
    query: &Query<'_>,
    sink: &mut Pieces<'_>,
    progress: &mut dyn Progress,
) -> Result<Outcome, Error> {
    let classes = classifier.classes();
    let target = *query.targets.first().ok_or(Error::Internal)?;
    if target >= classes {
        return Err(Error::TargetOutOfRange { target, classes });
    }
    let layers = classifier.layers().ok_or(Error::NotWhiteBox)?;
    let score = query.score.unwrap_or(Score::Logit);
    let mut passes = Passes::new(progress, 2);
    layers.run(&Masked::whole(query.picture), At::Input, rule)?;
    if passes.step().is_err() {
        return Ok(NOT_REACHED);
    }
    score_of(layers.scores(score)?, target)?;
    let mut seen = Seen::default();
    layers.backward_pieces(&[(target, 1.0)], score, &mut |first, piece| {
        seen.look(piece);
        sink(first, piece)
    })?;
    // All is done; there is nothing left to stop.
    let _ = passes.step();
    Ok(seen.outcome())
}

/// What the values seen so far say together.
#[derive(Default)]
struct Seen {
    first: Option<f32>,
    differs: bool,
    not_finite: bool,
}

impl Seen {
    fn look(&mut self, values: &[f32]) {
        let first = *self
            .first
            .get_or_insert(values.first().copied().unwrap_or(0.0));
        for value in values {
            self.differs |= *value != first;
            self.not_finite |= !value.is_finite();
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self {
                not_finite: true, ..
            } => NOT_FINITE,
            Self { differs: true, .. } => Outcome::Ok,
            _ => Outcome::Flat,
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::nets::{StopAfter, Tiny, tensor};
    use crate::explain::{GuidedBackprop, Silent, nets};
    use crate::tensor::Shape;
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(4, 4, 1);

    fn rows(net: &mut Tiny, x: &[f32], progress: &mut dyn Progress) -> (Vec<f32>, Outcome) {
        let query = Query {
            picture: tensor(SHAPE, x),
            targets: &[1],
            score: None,
            seed: 0,
        };
        let mut found = vec![];
        let mut sink = |first: usize, piece: &[f32]| {
            assert_eq!(first, found.len());
            found.extend_from_slice(piece);
            Ok(())
        };
        let outcome = gradient_rows(Rule::Guided, net, &query, &mut sink, progress).unwrap();
        (found, outcome)
    }

    /// The method itself is held to its definition; these are its numbers.
    #[test]
    fn the_pieces_are_the_map() {
        let x: Vec<f32> = (0..16).map(|i| ((i * 7) % 16) as f32 - 7.5).collect();
        let class = |k: i32| (0..16).map(|i| ((i * 5 + k * 3) % 11 - 5) as f32).collect();
        let mut net = Tiny::new(SHAPE, false, (0..3).map(class).collect());
        let (found, outcome) = rows(&mut net, &x, &mut Silent);
        let map = nets::maps(&GuidedBackprop, &mut net, tensor(SHAPE, &x), &[1]);
        assert_eq!((&found, outcome), (&map[0], Outcome::Ok));
        let (none, outcome) = rows(&mut net, &x, &mut StopAfter(1));
        assert_eq!((none.len(), outcome), (0, NOT_REACHED));
    }

    #[test]
    fn flat_and_undefined_maps_are_told() {
        let x = [1.0; 16];
        let mut flat = Tiny::new(SHAPE, false, vec![vec![2.0; 16]; 2]);
        assert_eq!(rows(&mut flat, &x, &mut Silent).1, Outcome::Flat);
        let mut seen = Seen::default();
        seen.look(&[1.0, f32::NAN]);
        seen.look(&[2.0]);
        assert_eq!(seen.outcome(), NOT_FINITE);
    }
}
