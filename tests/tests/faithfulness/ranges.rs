//! Every metric that judges a finished map, on any network and any map: a
//! number in the range of its row, or a reason.

use foveola::metric_spec::MetricSpec;
use foveola_core::explain::{Cost, Silent};
use foveola_core::metric::{Attribution, Finished, METRICS, Needs, Scored, Subject};
use foveola_core::{Classifier, Error, Fill, Masked, Picture, Score, Shape};
use proptest::prelude::*;

/// A linear network with softmax; steep ones are saturated.
struct Linear {
    shape: Shape,
    weights: Vec<Vec<f32>>,
}

impl Classifier for Linear {
    fn input(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.weights.len()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        x.check(self.shape)?;
        let mut picture = vec![0.0; self.shape.len()];
        for (y, row) in picture.chunks_exact_mut(self.shape.row()).enumerate() {
            x.row(y, row)?;
        }
        let dot = |w: &Vec<f32>| w.iter().zip(&picture).map(|(w, x)| w * x).sum::<f32>();
        let logits: Vec<f32> = self.weights.iter().map(dot).collect();
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|l| (l - most).exp()).sum();
        for (out, logit) in out.iter_mut().zip(&logits) {
            *out = match score {
                Score::Logit => *logit,
                Score::Probability => (logit - most).exp() / sum,
            };
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Scene {
    shape: Shape,
    classes: usize,
    steep: f32,
    numbers: Vec<f32>,
    evidence: Vec<f32>,
    region: Vec<u8>,
    seed: u64,
}

/// Flat, all zero, with few different values, or any; up to a great size.
fn evidence(area: usize) -> impl Strategy<Value = Vec<f32>> {
    let few = prop::collection::vec((0u8..3).prop_map(f32::from), area);
    let any = prop::collection::vec(0.0f32..1.0, area);
    let great = prop::collection::vec(0.0f32..f32::MAX, area);
    prop_oneof![
        Just(vec![0.0; area]),
        (0.0f32..9.0).prop_map(move |v| vec![v; area]),
        few,
        any,
        great
    ]
}

fn scene() -> impl Strategy<Value = Scene> {
    let shape = (1usize..8, 1usize..8, 1usize..4).prop_map(|(h, w, c)| Shape::new(h, w, c));
    let steep = prop_oneof![Just(0.0f32), Just(1.0), Just(1e4)];
    (shape, 1usize..4, steep, any::<u64>()).prop_flat_map(|(shape, classes, steep, seed)| {
        let numbers = prop::collection::vec(-1.0f32..1.0, (classes + 3) * shape.len());
        let region = prop::collection::vec(0u8..2, shape.area());
        (numbers, evidence(shape.area()), region).prop_map(move |(numbers, evidence, region)| {
            Scene {
                shape,
                classes,
                steep,
                numbers,
                evidence,
                region,
                seed,
            }
        })
    })
}

impl Scene {
    fn values(&self, i: usize) -> &[f32] {
        &self.numbers[i * self.shape.len()..][..self.shape.len()]
    }

    fn picture(&self, i: usize) -> Picture<'_> {
        Picture::Tensor {
            shape: self.shape,
            data: self.values(i),
        }
    }

    fn score(&self, spec: &MetricSpec) -> Result<Scored, Error> {
        let scaled = |k: usize| self.values(3 + k).iter().map(|w| self.steep * w).collect();
        let mut net = Linear {
            shape: self.shape,
            weights: (0..self.classes).map(scaled).collect(),
        };
        let subject = Subject {
            picture: self.picture(0),
            fill: Fill::Picture(self.picture(1)),
            target: self.seed as usize % self.classes,
            evidence: &self.evidence,
            attribution: Attribution {
                shape: Shape::new(self.shape.h, self.shape.w, 1),
                values: &self.evidence,
                score: Score::Probability,
            },
            region: Some(&self.region),
            backgrounds: &[self.picture(1), self.picture(2)],
            seed: self.seed,
        };
        let none = Cost {
            forward: 0,
            backward: 0,
            scratch: 0,
        };
        spec.with_metric(|metric| {
            let cost = metric.cost(self.shape, self.classes, none);
            let mut scratch = vec![f32::NAN; cost.scratch];
            metric.score(&mut net, &subject, &mut Finished, &mut scratch, &mut Silent)
        })
    }
}

fn specs() -> impl Iterator<Item = MetricSpec> {
    let finished = METRICS.iter().filter(|row| {
        matches!(
            row.needs,
            Needs::Map | Needs::Scores | Needs::Region | Needs::Additive
        )
    });
    let more = [
        "pic:measure=accuracy",
        "background-swap:keep=region",
        "infidelity:perturbation=gaussian",
        "deletion:compat=mindspore",
        "insertion:compat=mindspore",
        "road:score=logit",
    ];
    let names = finished.map(|row| row.name).chain(more);
    names.map(|name| name.parse().expect("a metric"))
}

/// Metrics whose number does not come from the evidence.
const WITHOUT_EVIDENCE: [&str; 3] = ["sufficient-region", "background-swap", "completeness"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_number_in_range_or_a_reason(scene in scene()) {
        let first = scene.evidence[0];
        let flat = scene.evidence.iter().all(|v| *v == first);
        for spec in specs() {
            match scene.score(&spec) {
                Ok(Scored::Value(value)) => {
                    let [least, most] = spec.row.range;
                    prop_assert!(value >= least && value <= most, "{spec}: {value}");
                    let faithful = spec.row.needs == Needs::Scores
                        && !WITHOUT_EVIDENCE.contains(&spec.row.name);
                    prop_assert!(!flat || !faithful, "{spec}: {value} of a flat map");
                }
                Ok(Scored::Undefined(reason)) => prop_assert!(!reason.is_empty()),
                Err(error) => prop_assert!(false, "{spec}: {error}"),
            }
        }
    }
}
