//! Parameter randomisation (Adebayo et al. 2018, arXiv 1810.03292): does the
//! map depend on what the network has learnt?

use super::agreement::{spearman, ssim};
use super::order::integers;
use super::pass::{Passes, check, cut};
use super::subject::{Refusal, ranking, settle};
use super::table::parameter;
use super::{
    Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness, baseline,
};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::Cost;
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "randomisation",
    summary: "how like the map is to those of the network with random weights",
    family: Family::Sensitivity,
    range: [-1.0, 1.0],
    better: Better::Lower,
    needs: Needs::Weights,
    per_class: true,
    paper: "Adebayo et al. 2018, arXiv 1810.03292",
    parameters: &[
        parameter(
            "order",
            "cascading",
            "cascading: the layers from the output down, one more each time; \
             or independent: each alone",
        ),
        parameter("similarity", "spearman", "spearman or ssim"),
        parameter("layers", "64", "most layers, counted from the output"),
    ],
};

/// What says how like two maps are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Similarity {
    /// Spearman's rank correlation.
    #[default]
    Spearman,
    /// Structural similarity, see [`ssim`].
    Ssim,
}

/// Similarity of the evidence to that of the network whose weight layers are
/// random: cascading, that of the last network, in which all layers are;
/// independent, the mean over the layers. 1 is a map that the weights do not
/// matter to. Maps that are flat or undefined count for nothing but the part
/// `flat`; the curves `spearman` and `ssim` show every depth, as a share of the
/// layers. The parts `random-spearman` and `random-ssim` are the similarity of
/// two random maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Randomisation {
    /// Whether layers stay random when the next one becomes so.
    pub cascading: bool,
    /// Which similarity is the score.
    pub similarity: Similarity,
    /// Most layers, counted from the output.
    pub layers: u32,
}

impl Default for Randomisation {
    fn default() -> Self {
        Self {
            cascading: true,
            similarity: Similarity::Spearman,
            layers: 64,
        }
    }
}

/// Compares maps with one map.
struct Comparison<'s> {
    own: &'s [f32],
    sides: [usize; 2],
    order: &'s mut [f32],
}

impl Comparison<'_> {
    /// Spearman and SSIM; NaN where there is none.
    fn with(&mut self, map: &[f32]) -> Result<[f64; 2], Error> {
        let ranks = spearman(self.own, map, integers(self.order)?)?;
        let structure = ssim(self.own, map, self.sides);
        Ok([ranks, structure].map(|s| s.value().unwrap_or(f64::NAN)))
    }
}

impl Randomisation {
    fn measure(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<f64, Refusal> {
        let input = check(classifier, subject)?;
        if self.layers == 0 {
            return Err(Error::BadParameter("layers to randomise").into());
        }
        let own = ranking(subject, input)?;
        let (found, rest) = cut(scratch, 2 * self.layers as usize)?;
        let (map, rest) = cut(rest, input.area())?;
        let (order, rest) = cut(rest, 2 * input.area())?;
        let (other, _) = cut(rest, input.area())?;
        let sides = [input.h, input.w];
        let mut comparison = Comparison { own, sides, order };
        let layers = self.each(subject, explain, (found, map), &mut comparison, witness)?;
        baseline::random(subject.seed, 0, map);
        baseline::random(subject.seed, 1, other);
        let mut random = Comparison {
            own: other,
            ..comparison
        };
        let [ranks, structure] = random.with(map)?;
        part(witness, "random-spearman", ranks);
        part(witness, "random-ssim", structure);
        let found = found.as_chunks::<2>().0.get(..layers).unwrap_or(&[]);
        self.judge(found, witness)
    }

    /// Fills in the similarities of each depth and answers how many there are.
    fn each(
        &self,
        subject: &Subject<'_>,
        explain: &mut dyn Explain,
        (found, map): (&mut [f32], &mut [f32]),
        comparison: &mut Comparison<'_>,
        witness: &mut dyn Witness,
    ) -> Result<usize, Refusal> {
        let mut passes = Passes::new(witness, self.layers as usize);
        let (picture, target) = (subject.picture, subject.target);
        for (depth, pair) in found.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let seed = subject.seed;
            match explain.randomised(depth, self.cascading, seed, picture, target, map) {
                Err(Error::NotWhiteBox) => {
                    return Err(Refusal::Undefined(
                        "the weights cannot be changed here: give the ONNX or TFLite file",
                    ));
                }
                Ok(Some(true)) => *pair = comparison.with(map)?.map(|v| v as f32),
                Ok(Some(false)) => *pair = [f32::NAN; 2],
                Ok(None) => return Ok(depth),
                Err(error) => return Err(error.into()),
            }
            passes.step()?;
        }
        Ok(found.len() / 2)
    }

    fn judge(&self, found: &[[f32; 2]], witness: &mut dyn Witness) -> Result<f64, Refusal> {
        let (mut sum, mut count, mut last) = (0.0, 0_u32, None);
        for (depth, &[ranks, structure]) in found.iter().enumerate() {
            let share = (depth + 1) as f64 / found.len() as f64;
            for (name, value) in [("spearman", ranks), ("ssim", structure)] {
                if value.is_finite() {
                    witness.point(name, share, f64::from(value));
                }
            }
            let value = f64::from(match self.similarity {
                Similarity::Spearman => ranks,
                Similarity::Ssim => structure,
            });
            if value.is_finite() {
                sum += value;
                count += 1;
                last = Some(value);
            }
        }
        witness.part("layers", found.len() as f64);
        witness.part("flat", (found.len() as u32 - count).into());
        let last = last.ok_or(Refusal::Undefined("no random network gives a map"))?;
        Ok(if self.cascading {
            last
        } else {
            sum / f64::from(count)
        })
    }
}

/// Shows a number if there is one.
fn part(witness: &mut dyn Witness, name: &'static str, value: f64) {
    if value.is_finite() {
        witness.part(name, value);
    }
}

impl Metric for Randomisation {
    fn cost(&self, input: Shape, _classes: usize, explanation: Cost) -> Cost {
        let layers = u64::from(self.layers);
        Cost {
            forward: layers * explanation.forward,
            backward: layers * explanation.backward,
            scratch: 2 * self.layers as usize + 4 * input.area(),
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
        settle(self.measure(classifier, subject, explain, scratch, witness))
    }
}
