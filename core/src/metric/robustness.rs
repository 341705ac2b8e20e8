//! Robustness (MindSpore XAI 1.5): does the map stay where the prediction does?

use super::pass::cut;
use super::perturb::{Change, Noise, changes, distance};
use super::subject::{Refusal, settle};
use super::table::parameter;
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::Masked;
use crate::picture::Picture;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "robustness",
    summary: "whether the map stays where noise leaves the prediction as it is",
    family: Family::Robustness,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Maps,
    per_class: true,
    paper: "robustness, MindSpore XAI 1.5",
    parameters: &[
        parameter(
            "radius",
            "0.2",
            "largest change of an input element, in model space",
        ),
        parameter("samples", "10", "changed pictures that are explained"),
        parameter(
            "compat",
            "none",
            "mindspore: noise is drawn once, whatever the prediction becomes",
        ),
    ],
};

/// Draws of one sample until its prediction stays.
const DRAWS: u32 = 3;
/// Largest distance of the probabilities of a prediction that stays.
const STAYS: f64 = 0.1;

/// exp(-s), s being the greatest |S(x') - S(x)| / |S(x)| over noisy pictures
/// x', S the evidence. Noise is drawn anew, at most 3 times, until the
/// probabilities of all classes move by no more than 0.1 (Euclid's norm); else
/// the last draw counts, and the part `moved` says for how many samples.
/// MindSpore XAI asks for the probabilities of x in the place of x', so that
/// its check never selects anything: `mindspore` leaves it out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Robustness<'a> {
    /// What changes the picture.
    pub noise: Noise<'a>,
    /// Whether the first draw counts.
    pub mindspore: bool,
}

impl Default for Robustness<'_> {
    fn default() -> Self {
        Self {
            noise: Noise::random(0.2, 10),
            mindspore: false,
        }
    }
}

impl Robustness<'_> {
    /// Draws a sample again until the prediction stays; answers the length of
    /// the noise and whether it does.
    fn draw(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        sample: u32,
        out: &mut [f32],
        (own, scores): (&[f32], &mut [f32]),
    ) -> Result<(f64, bool), Error> {
        let mut length = 0.0;
        for draw in 0..DRAWS {
            length = self.noise.add(subject, (sample, draw), out)?;
            let changed = Picture::Tensor {
                shape: subject.picture.shape(),
                data: out,
            };
            classifier.classify(&Masked::whole(changed), Score::Probability, scores)?;
            if distance(own, scores.iter()) <= STAYS {
                return Ok((length, true));
            }
        }
        Ok((length, false))
    }

    fn measure(
        &self,
        (classifier, explain): (&mut dyn Classifier, &mut dyn Explain),
        subject: &Subject<'_>,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<f64, Refusal> {
        super::pass::check(classifier, subject)?;
        let (own, rest) = cut(scratch, classifier.classes())?;
        let (scores, rest) = cut(rest, classifier.classes())?;
        if !self.mindspore {
            let whole = Masked::whole(subject.picture);
            classifier.classify(&whole, Score::Probability, own)?;
        }
        let (mut most, mut moved) = (0.0, 0);
        let mut sink = |change: Change| {
            let relative = change.map / change.length;
            most = if relative > most { relative } else { most };
        };
        let mut draw = |classifier: &mut dyn Classifier, sample, out: &mut [f32]| {
            if self.mindspore {
                return self.noise.add(subject, (sample, 0), out);
            }
            let (length, stays) = self.draw(classifier, subject, sample, out, (own, scores))?;
            moved += u32::from(!stays);
            Ok(length)
        };
        let asked = (&mut *classifier, &mut *explain);
        let both = (&mut draw as _, &mut sink as _);
        changes(&self.noise, asked, subject, rest, witness, both)?;
        witness.part("moved", f64::from(moved));
        Ok(libm::exp(-most))
    }
}

impl Metric for Robustness<'_> {
    fn cost(&self, input: Shape, classes: usize, explanation: Cost) -> Cost {
        let maps = self.noise.cost(input, explanation);
        let checks = match self.mindspore {
            true => 0,
            false => 1 + u64::from(DRAWS) * u64::from(self.noise.samples),
        };
        Cost {
            forward: maps.forward + checks,
            scratch: maps.scratch + 2 * classes,
            ..maps
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        settle(self.measure((classifier, explain), subject, scratch, witness))
    }
}
