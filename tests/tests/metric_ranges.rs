//! Every metric of the table, on maps and pictures of any kind: a number in
//! its row's range, or a reason why there is none.

use foveola::metric_spec::MetricSpec;
use foveola_core::explain::{Cost, Progress};
use foveola_core::metric::{Attribution, Explain, METRICS, Scored, Subject, Witness};
use foveola_core::{Classifier, Error, Fill, Masked, Picture, Score, Shape};
use proptest::prelude::*;

/// Softmax over weighted sums of the input.
struct Linear {
    shape: Shape,
    classes: usize,
    gain: f32,
}

impl Classifier for Linear {
    fn input(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        let mut row = vec![0.0; self.shape.row()];
        let mut sums = vec![0.0_f32; self.classes];
        for y in 0..self.shape.h {
            x.row(y, &mut row)?;
            for (i, value) in row.iter().enumerate() {
                for (k, sum) in sums.iter_mut().enumerate() {
                    let weight = ((y * 31 + i * 17 + k * 7) % 13) as f32 - 6.0;
                    *sum += self.gain * weight * value;
                }
            }
        }
        if score == Score::Probability {
            let most = sums.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f32> = sums.iter().map(|s| (s - most).exp()).collect();
            let all: f32 = powers.iter().sum();
            sums = powers.iter().map(|p| p / all).collect();
        }
        out[..self.classes].copy_from_slice(&sums);
        Ok(())
    }
}

/// Evidence that follows the picture, the class and the depth.
struct Follows {
    classes: usize,
}

impl Explain for Follows {
    fn evidence(
        &mut self,
        _classifier: &mut dyn Classifier,
        picture: Picture<'_>,
        target: usize,
        evidence: &mut [f32],
    ) -> Result<bool, Error> {
        let shape = picture.shape();
        for (i, weight) in evidence.iter_mut().enumerate() {
            let value = picture.value(i / shape.w, i % shape.w, 0)?;
            *weight = (value * (target + 1 + i % 3) as f32).abs();
        }
        Ok(evidence.iter().any(|w| *w != evidence[0]))
    }

    fn randomised(
        &mut self,
        depth: usize,
        _cascading: bool,
        _seed: u64,
        _picture: Picture<'_>,
        _target: usize,
        evidence: &mut [f32],
    ) -> Result<Option<bool>, Error> {
        for (i, weight) in evidence.iter_mut().enumerate() {
            *weight = ((i * 7 + depth * 3) % 5) as f32;
        }
        Ok((depth < self.classes).then_some(depth != 1))
    }
}

/// Holds what metrics show to be finite, shares to 0..1, progress to its end.
struct Strict;

impl Progress for Strict {
    fn step(&mut self, done: u64, total: u64) -> bool {
        assert!(done <= total, "{done} of {total}");
        true
    }
}

impl Witness for Strict {
    fn point(&mut self, curve: &'static str, share: f64, score: f64) {
        assert!((0.0..=1.0).contains(&share), "{curve}: {share}");
        assert!(score.is_finite(), "{curve}");
    }

    fn part(&mut self, name: &'static str, value: f64) {
        assert!(value.is_finite(), "{name}");
    }
}

#[derive(Debug)]
struct Case {
    shape: Shape,
    classes: usize,
    gain: f32,
    pixels: Vec<f32>,
    evidence: Vec<f32>,
    region: Option<Vec<u8>>,
    seed: u64,
}

/// Weights as maps have them: any, sparse, flat, none, very large.
fn weights(n: usize) -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        proptest::collection::vec(0.0..1.0_f32, n),
        proptest::collection::vec(prop_oneof![3 => Just(0.0_f32), 1 => 0.0..1e-30_f32], n),
        proptest::collection::vec(prop_oneof![Just(0.0_f32), Just(3e38)], n),
        prop_oneof![Just(0.0_f32), Just(0.25), Just(f32::MAX)].prop_map(move |v| vec![v; n]),
        (0..n).prop_map(move |i| (0..n).map(|k| f32::from(u8::from(i == k))).collect()),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1..9_usize, 1..9_usize, 1..3_usize, 1..4_usize);
    let gains = prop_oneof![Just(0.0_f32), Just(0.01), Just(1.0), Just(1e4)];
    (sizes, gains, any::<u64>()).prop_flat_map(|((h, w, c, classes), gain, seed)| {
        let shape = Shape::new(h, w, c);
        let pixels = prop_oneof![
            proptest::collection::vec(-2.0..2.0_f32, shape.len()),
            Just(vec![0.0; shape.len()]),
        ];
        let region = proptest::option::of(prop_oneof![
            proptest::collection::vec(0..2_u8, shape.area()),
            Just(vec![0; shape.area()]),
            Just(vec![1; shape.area()]),
        ]);
        (pixels, weights(shape.area()), region).prop_map(move |(pixels, evidence, region)| Case {
            shape,
            classes,
            gain,
            pixels,
            evidence,
            region,
            seed,
        })
    })
}

fn score(case: &Case, text: &str) -> Result<Scored, Error> {
    let picture = Picture::Tensor {
        shape: case.shape,
        data: &case.pixels,
    };
    let grey = vec![0.5; case.shape.len()];
    let backgrounds = [Picture::Tensor {
        shape: case.shape,
        data: &grey,
    }];
    let subject = Subject {
        picture,
        fill: Fill::Colour([0.1; 4]),
        target: case.classes - 1,
        evidence: &case.evidence,
        attribution: Attribution {
            shape: Shape::new(case.shape.h, case.shape.w, 1),
            values: &case.evidence,
            score: Score::Logit,
        },
        region: case.region.as_deref(),
        backgrounds: &backgrounds,
        seed: case.seed,
    };
    let mut net = Linear {
        shape: case.shape,
        classes: case.classes,
        gain: case.gain,
    };
    let once = Cost {
        forward: 1,
        backward: 1,
        scratch: 0,
    };
    let mut explain = Follows {
        classes: case.classes,
    };
    let spec: MetricSpec = text.parse().expect("a metric");
    spec.with_metric(|metric| {
        let cost = metric.cost(case.shape, case.classes, once);
        let mut scratch = vec![f32::NAN; cost.scratch];
        metric.score(&mut net, &subject, &mut explain, &mut scratch, &mut Strict)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_score_is_in_its_range_or_has_a_reason(case in cases()) {
        for row in METRICS {
            match score(&case, row.name) {
                Ok(Scored::Value(value)) => {
                    let [least, most] = row.range;
                    let rounding = 1e-9;
                    prop_assert!(
                        value >= least - rounding && value <= most + rounding,
                        "{}: {value}", row.name
                    );
                }
                Ok(Scored::Undefined(reason)) => prop_assert!(!reason.is_empty()),
                Err(error) => prop_assert!(false, "{}: {error}", row.name),
            }
            // Asked again, the same bits.
            prop_assert_eq!(score(&case, row.name), score(&case, row.name));
        }
    }

    /// What says nothing has no score, whatever the picture.
    #[test]
    fn no_evidence_has_no_score(mut case in cases()) {
        case.evidence.fill(0.0);
        case.region = Some(vec![1; case.shape.area()]);
        for name in [
            "pointing-game", "iosr", "energy", "relevance-mass", "relevance-rank", "top-k",
            "robustness", "max-sensitivity", "average-sensitivity", "lipschitz",
            "complexity", "sparseness", "randomisation",
        ] {
            let found = score(&case, name);
            prop_assert!(matches!(found, Ok(Scored::Undefined(_))), "{name}: {found:?}");
        }
    }
}
